//! The engine: a thread of its own on which all torrents of a host run, and the
//! listeners for their peers.

mod serving;
mod what;

use crate::control::{Handle, Rates};
use crate::dht::Dht;
use crate::discovery::Discovery;
use crate::names::Names;
use crate::swarm::Options;
use crate::transport::{Protocol, Protocols};
use bittorrent::encryption::Policy;
use bittorrent::ip_filter::IpFilter;
use net::{ListenError, Network, Shutdown};
use serving::serve;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;
pub use what::What;
use what::known;

/// Commands that wait for the engine or a torrent.
const COMMANDS_MAX: usize = 64;

/// What an engine is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where peers connect to; with port 0 the system chooses one.
    pub listen: Vec<SocketAddr>,
    /// The folder for what is remembered between runs.
    pub data: PathBuf,
    /// Octets of blocks in memory.
    pub memory_octets_max: usize,
    /// What is encrypted.
    pub encryption: Policy,
    /// Which protocols connections are opened and accepted over.
    pub protocols: Protocols,
    /// How peers are found beside trackers.
    pub discovery: Discovery,
    /// Limits of all torrents together.
    pub limits: Limits,
    /// Finds trackers and web servers.
    pub names: Names,
}

/// Why an engine did not start, or did not take a torrent.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system has no thread or event queue left.
    #[error("the thread for torrents cannot be started: {0}")]
    Thread(std::io::Error),
    /// The torrent is there already.
    #[error("the torrent {0} runs already")]
    Twice(String),
    /// It is being stopped.
    #[error("the engine is stopping")]
    Stopping,
}

/// What an engine was started with, as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// Peers are found in the distributed hash table (BEP 5).
    pub dht: bool,
    /// Neighbours are found (BEP 14).
    pub lsd: bool,
    /// Connections are carried over TCP.
    pub tcp: bool,
    /// Connections are carried over uTP (BEP 29).
    pub utp: bool,
    /// What is encrypted, in a word.
    pub encryption: &'static str,
}

impl Abilities {
    fn of(settings: &Settings) -> Self {
        Self {
            dht: settings.discovery.dht.is_some(),
            lsd: settings.discovery.lsd.is_some(),
            tcp: settings.protocols.has(Protocol::Tcp),
            utp: settings.protocols.has(Protocol::Utp),
            encryption: match settings.encryption {
                Policy::Disabled | Policy::Allowed => "tolerated",
                Policy::Preferred => "preferred",
                Policy::Required => "required",
            },
        }
    }
}

/// A running engine. Clones speak of the same one.
#[derive(Debug, Clone)]
pub struct Engine {
    orders: mpsc::Sender<Order>,
    addresses: Vec<SocketAddr>,
    dht: Option<Dht>,
    data: PathBuf,
    abilities: Abilities,
    shutdown: Shutdown,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// Where it listens, and its hash table.
type Begun = (Vec<SocketAddr>, Option<Dht>);

/// What the engine's thread is told.
enum Order {
    Add(What, Box<Options>, oneshot::Sender<Result<Handle, EngineError>>),
    List(oneshot::Sender<Vec<Handle>>),
    Limits(Limits, oneshot::Sender<()>),
    Filter(Arc<IpFilter>, oneshot::Sender<()>),
    External(Option<IpAddr>, u16),
}

/// Limits of all torrents together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets a second.
    pub rates: Rates,
    /// Connections with peers that have shaken hands.
    pub connections_max: usize,
    /// Connections on their way to peers at once, so that routers with small
    /// tables bear us.
    pub dialling_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rates: Rates::default(), connections_max: 500, dialling_max: 100 }
    }
}

impl Engine {
    /// Starts the thread and listens. Ends when `shutdown` is requested.
    ///
    /// # Errors
    /// When an address cannot be listened on, or there is no thread left.
    pub async fn start(
        settings: Settings,
        network: Network,
        shutdown: Shutdown,
    ) -> Result<Self, EngineError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(EngineError::Thread)?;
        let (orders, taken) = mpsc::channel(COMMANDS_MAX);
        let (data, abilities) = (settings.data.clone(), Abilities::of(&settings));
        let (told, listening) = oneshot::channel();
        let (hold, ending) = (shutdown.hold(), shutdown.clone());
        let thread = std::thread::Builder::new()
            .name("torrents".to_owned())
            .spawn(move || {
                let local = LocalSet::new();
                local.block_on(&runtime, serve(settings, network, taken, told, ending));
                drop(local);
                // All that must be durable is: a name server that does not answer is
                // not waited for.
                runtime.shutdown_background();
                drop(hold);
            })
            .map_err(EngineError::Thread)?;
        let (addresses, dht) = listening.await.map_err(|_| EngineError::Stopping)??;
        let thread = Arc::new(Mutex::new(Some(thread)));
        Ok(Self { orders, addresses, dht, data, abilities, shutdown, thread })
    }

    /// Where peers connect to.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The distributed hash table, where it is used.
    pub fn dht(&self) -> Option<&Dht> {
        self.dht.as_ref()
    }

    /// What it was started with.
    pub fn abilities(&self) -> Abilities {
        self.abilities
    }

    /// Runs one more torrent. Of a link whose info dictionary came to an earlier
    /// run, all is known at once.
    ///
    /// # Errors
    /// When it runs already, or the engine is stopping.
    pub async fn add(&self, what: What, options: Options) -> Result<Handle, EngineError> {
        let what = match what {
            What::Magnet(magnet) => {
                let data = self.data.clone();
                let known = tokio::task::spawn_blocking(move || known(&data, magnet));
                known.await.map_err(|_| EngineError::Stopping)?
            }
            what @ What::Metainfo(_) => what,
        };
        self.ask(|reply| Order::Add(what, Box::new(options), reply)).await?
    }

    /// All torrents, in the order of their info-hashes.
    ///
    /// # Errors
    /// When the engine is stopping.
    pub async fn torrents(&self) -> Result<Vec<Handle>, EngineError> {
        self.ask(Order::List).await
    }

    /// Changes the limits of all torrents together. Connections that are open
    /// stay.
    ///
    /// # Errors
    /// When the engine is stopping.
    pub async fn set_limits(&self, limits: Limits) -> Result<(), EngineError> {
        self.ask(|reply| Order::Limits(limits, reply)).await
    }

    /// Others reach us at this port, and the address where it is known: a router
    /// hands on what comes there. Trackers, peers and the hash table are told so.
    ///
    /// # Errors
    /// When the engine is stopping.
    pub async fn set_external(&self, ip: Option<IpAddr>, port: u16) -> Result<(), EngineError> {
        self.orders.send(Order::External(ip, port)).await.map_err(|_| EngineError::Stopping)
    }

    /// Speaks with nobody on a list any more: neither connects to them nor takes
    /// their connections, wherever it heard of them; open ones are closed.
    ///
    /// # Errors
    /// When the engine is stopping.
    pub async fn set_ip_filter(&self, filter: Arc<IpFilter>) -> Result<(), EngineError> {
        self.ask(|reply| Order::Filter(filter, reply)).await
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, EngineError> {
        net::ask(&self.orders, order).await.ok_or(EngineError::Stopping)
    }

    /// Ends all torrents; what is here is noted, so that the next run believes it.
    pub async fn stop(self) {
        self.shutdown.request();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}
