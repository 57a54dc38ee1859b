//! Publishing folders: each file or folder that somebody puts there becomes a
//! torrent, which our tracker knows, our engine seeds and our web server has too.
//!
//! A task of its own looks at the folders from time to time. Files that rest are
//! read once, in the background; what came of it is kept with what the files
//! looked like, so that a restart reads none of them again.

mod config;
mod kept;
mod look;
mod published;
mod seeding;
mod shelf;
mod task;

pub use config::{Config, ConfigError, Encryption, Folder, Format};
pub use published::{Addresses, Published, PublishedFile, ServeError, Served};
pub use shelf::Reading;

use crate::filter::{FilterError, read_ip_filter};
use crate::names::Names;
use crate::original::LeftOut;
use crate::progress::Progress;
use crate::tracker::{Counts, Tracker};
use arc_swap::ArcSwap;
use bittorrent::ip_filter::IpFilter;
use event::Reporter;
use net::{ListenError, ListenOptions, Listener, Network, Shutdown, Trains};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use task::{Order, Task};
use tokio::sync::{mpsc, watch};

/// Changes that wait for the task.
const ORDERS_MAX: usize = 4;

/// What publishing stands on.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Through which peers come.
    pub network: Network,
    /// Which is told what is published.
    pub tracker: Tracker,
    /// Finds other trackers.
    pub names: Names,
    /// The folder for what is remembered between runs.
    pub data: PathBuf,
    /// Who is told what happens.
    pub reporter: Reporter,
    /// Its end.
    pub shutdown: Shutdown,
}

/// Publishes folders. Clones speak of the same.
#[derive(Debug, Clone)]
pub struct Publisher {
    orders: mpsc::Sender<Order>,
    listing: Arc<ArcSwap<Listing>>,
    tracker: Tracker,
    network: Network,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The list of addresses not to speak with cannot be used.
    #[error("torrents.ip_filter: {0}")]
    Filter(#[from] FilterError),
    /// The host ends.
    #[error("this host is stopping")]
    Stopped,
}

/// A new configuration for which everything is ready.
#[derive(Debug)]
pub struct Prepared {
    config: Config,
    filter: Arc<IpFilter>,
    /// Hold the new addresses until the engine takes them.
    probes: Vec<(Listener, Trains)>,
}

/// What is published at one moment.
#[derive(Debug, Default)]
pub struct Listing {
    /// Where peers connect to.
    pub addresses: Vec<SocketAddr>,
    /// The torrents, by where they lie.
    pub torrents: Vec<Listed>,
    /// Files that are being read, or wait for it.
    pub reading: Vec<Arc<Reading>>,
    /// What is left out, and why.
    pub left_out: Vec<LeftOut>,
    by_id: HashMap<String, usize>,
}

/// A torrent that is published, and how it does.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The torrent.
    pub published: Arc<Published>,
    progress: watch::Receiver<Progress>,
}

impl Listed {
    /// How it does among its peers.
    pub fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }
}

impl Listing {
    /// A torrent by its name in addresses.
    pub fn find(&self, id: &str) -> Option<&Listed> {
        self.by_id.get(id).and_then(|index| self.torrents.get(*index))
    }
}

impl Publisher {
    /// Publishes nothing yet. Ends with the shutdown. Must be called within a tokio
    /// runtime.
    pub fn new(parts: Parts) -> Self {
        let (orders, taken) = mpsc::channel(ORDERS_MAX);
        let listing = Arc::new(ArcSwap::from_pointee(Listing::default()));
        let (tracker, network) = (parts.tracker.clone(), parts.network.clone());
        let task = Task::new(parts.clone(), listing.clone());
        parts.shutdown.spawn(task.run(taken));
        Self { orders, listing, tracker, network }
    }

    /// Looks whether the configuration can be used.
    ///
    /// # Errors
    /// When an address cannot be listened on, or the list of addresses not to speak
    /// with cannot be used; then all stays as it is.
    pub async fn prepare(&self, config: &Config) -> Result<Prepared, PrepareError> {
        let open = self.listing.load().addresses.clone();
        let new = config.listen.iter().filter(|address| address.port() != 0 && !open.contains(address));
        let probe = |address: &SocketAddr| {
            let failed = |source| ListenError { service: "torrents", address: *address, source };
            let tcp = self.network.listen(&ListenOptions::at(*address)).map_err(failed)?;
            let udp = self.network.trains(*address, 0).map_err(failed)?;
            Ok((tcp, udp))
        };
        let probes = new.map(probe).collect::<Result<_, ListenError>>()?;
        let filter = match config.ip_filter.clone() {
            Some(file) => {
                let read = tokio::task::spawn_blocking(move || read_ip_filter(&file)).await;
                read.map_err(|_| PrepareError::Stopped)??.0
            }
            None => IpFilter::default(),
        };
        Ok(Prepared { config: config.clone(), filter: Arc::new(filter), probes })
    }

    /// Works by the new configuration from here on; `addresses` are those under
    /// which others reach our tracker and web server. Torrents that are the same go
    /// on. Returns, when peers can connect, what a person should know.
    pub async fn carry_out(&self, prepared: Prepared, addresses: Addresses) -> Vec<String> {
        let Prepared { config, filter, probes } = prepared;
        drop(probes);
        // Fails only while the host ends.
        net::ask(&self.orders, |reply| Order { config, filter, addresses, reply }).await.unwrap_or_default()
    }

    /// What is published now.
    pub fn listing(&self) -> Arc<Listing> {
        self.listing.load_full()
    }

    /// The peers of a torrent that our tracker knows, of all its info-hashes.
    pub fn counts(&self, published: &Published) -> Counts {
        let all = published.hashes();
        let counts = all.wire().map(|hash| self.tracker.counts(&hash.0));
        counts.fold(Counts::default(), Counts::of_both)
    }
}
