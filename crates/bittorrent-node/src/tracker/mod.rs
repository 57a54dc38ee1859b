//! The tracker: announces and scrapes over UDP (BEP 15) and HTTP (BEP 3), both
//! from one store.

mod config;
mod http;
mod listen;
mod page;
mod settings;
mod stats;
mod store;
mod tell;
#[cfg(test)]
mod tests;
mod udp;

pub use config::{AccessKind, Config, ConfigError};
pub use stats::Stats;
pub use store::Sizes;

use arc_swap::ArcSwap;
pub use bittorrent::tracker::swarm::Counts;
use bittorrent::tracker::swarm::Limits;
use bittorrent::tracker::udp::ConnectionIds;
use event::Reporter;
use listen::{Change, Listening};
use net::{ListenError, Network, Shutdown};
use settings::Settings;
use stats::Counters;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};
use store::Store;

/// How often a part of the torrents is looked through for peers that are over.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// In so many parts.
const SWEEP_PARTS: usize = 45;
/// How long connection ids are given under one secret.
const SECRET_LIFETIME: Duration = Duration::from_mins(30);
/// Shards for each thread where there are several, so that two seldom want the
/// same. More would leave fewer announces of a batch to each, whose memory can be
/// fetched at the same time.
const SHARDS_PER_THREAD: usize = 2;
/// Said of torrents that the access list does not permit.
const NOT_SERVED: &str = "this torrent is not served here";

/// Why the tracker did not start, or did not take a configuration.
#[derive(Debug, thiserror::Error)]
pub enum TrackerError {
    /// A socket could not be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// A tracker. Clones speak of the same one.
#[derive(Debug, Clone)]
pub struct Tracker {
    shared: Arc<Shared>,
    listening: Arc<Listening>,
}

/// A new configuration for which everything is ready.
#[derive(Debug)]
pub struct Prepared {
    settings: Settings,
    limits: Limits,
    change: Change,
}

/// What all parts of the tracker see.
#[derive(Debug)]
struct Shared {
    store: Store,
    settings: ArcSwap<Settings>,
    /// The torrents that this host publishes.
    published: Mutex<Arc<HashSet<[u8; 20]>>>,
    connections: ArcSwap<ConnectionIds>,
    counters: Counters,
    reporter: Reporter,
    shutdown: Shutdown,
    started: Instant,
    /// Whether the task that forgets peers runs.
    kept: Once,
}

impl Tracker {
    /// A tracker that does not listen yet. Ends with `shutdown`.
    ///
    /// # Errors
    /// When the configuration is wrong.
    pub fn new(
        config: &Config,
        network: Network,
        reporter: Reporter,
        shutdown: Shutdown,
    ) -> Result<Self, ConfigError> {
        let started = Instant::now();
        let threads = config.threads();
        let shards = if threads == 1 { 1 } else { threads * SHARDS_PER_THREAD };
        let shared = Arc::new(Shared {
            store: Store::new(shards, config.limits(shards), started),
            settings: ArcSwap::from_pointee(config.settings(&HashSet::new())?),
            published: Mutex::default(),
            connections: ArcSwap::from_pointee(ConnectionIds::new(rand::random(), started)),
            counters: Counters::default(),
            reporter,
            shutdown: shutdown.clone(),
            started,
            kept: Once::new(),
        });
        Ok(Self { shared, listening: Arc::new(Listening::nowhere(network, shutdown)) })
    }

    /// Opens the sockets and serves until `shutdown` is requested. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// When a socket cannot be opened, or the configuration is wrong.
    pub fn start(
        config: &Config,
        network: Network,
        reporter: Reporter,
        shutdown: Shutdown,
    ) -> Result<Self, TrackerError> {
        let tracker = Self::new(config, network, reporter, shutdown)?;
        let prepared = tracker.prepare(config)?;
        tracker.carry_out(prepared);
        Ok(tracker)
    }

    /// Opens what the configuration needs and is not open yet. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// When a socket cannot be opened, or the configuration is wrong; then all
    /// stays as it is.
    pub fn prepare(&self, config: &Config) -> Result<Prepared, TrackerError> {
        Ok(Prepared {
            settings: config.settings(&self.shared.published())?,
            limits: config.limits(self.shared.store.shards()),
            change: self.listening.plan(config)?,
        })
    }

    /// Works by the new configuration from here on. What it knows of torrents and
    /// peers stays; connections that are open go on.
    pub fn carry_out(&self, Prepared { settings, limits, change }: Prepared) {
        let listens = !(change.udp().is_empty() && change.http().is_empty());
        self.shared.store.set_limits(limits);
        let published = self.shared.lock_published();
        self.shared.settings.store(Arc::new(settings.with_published(&published)));
        drop(published);
        self.listening.carry_out(change, &self.shared);
        if listens {
            let kept = self.shared.clone();
            self.shared.kept.call_once(|| drop(self.shared.shutdown.spawn(keep(kept))));
        }
    }

    /// Tells it which torrents this host publishes, for [`AccessKind::Published`].
    pub fn publish(&self, info_hashes: HashSet<[u8; 20]>) {
        let mut published = self.shared.lock_published();
        *published = Arc::new(info_hashes);
        let settings = self.shared.settings.load().with_published(&published);
        self.shared.settings.store(Arc::new(settings));
    }

    /// The seeds and leechers of a torrent that it knows, of both families.
    pub fn counts(&self, info_hash: &[u8; 20]) -> Counts {
        self.shared.store.scrape(info_hash, true)
    }

    /// Where it listens over UDP, in the order of the configuration.
    pub fn udp_addrs(&self) -> Vec<SocketAddr> {
        self.listening.udp()
    }

    /// Where it listens over HTTP, in the order of the configuration.
    pub fn http_addrs(&self) -> Vec<SocketAddr> {
        self.listening.http()
    }

    /// What it has done and what it holds.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }
}

impl Prepared {
    /// Where it will listen over UDP, in the order of the configuration.
    pub fn udp_addrs(&self) -> Vec<SocketAddr> {
        self.change.udp()
    }

    /// Where it will listen over HTTP, in the order of the configuration.
    pub fn http_addrs(&self) -> Vec<SocketAddr> {
        self.change.http()
    }
}

impl Shared {
    fn stats(&self) -> Stats {
        self.counters.read(self.store.sizes(), self.started.elapsed().as_secs())
    }

    fn published(&self) -> Arc<HashSet<[u8; 20]>> {
        self.lock_published().clone()
    }

    fn lock_published(&self) -> MutexGuard<'_, Arc<HashSet<[u8; 20]>>> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets peers that are over and changes the secret, until the shutdown is
/// requested.
async fn keep(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    let mut secret_since = Instant::now();
    loop {
        tokio::select! {
            () = shared.shutdown.requested() => return,
            _ = ticks.tick() => {}
        }
        let now = Instant::now();
        shared.store.sweep(now, SWEEP_PARTS);
        if now.saturating_duration_since(secret_since) >= SECRET_LIFETIME {
            secret_since = now;
            let mut connections = (**shared.connections.load()).clone();
            connections.rotate(rand::random());
            shared.connections.store(Arc::new(connections));
        }
    }
}
