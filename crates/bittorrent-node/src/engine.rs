//! The engine: a thread of its own on which all torrents of a host run, and the
//! listeners for their peers.

use crate::context::Context;
use crate::discovery::{self, Discovery};
use crate::names::Names;
use crate::progress::Progress;
use crate::reach::{self, Doors};
use crate::swarm::{self, Command, Options, Swarm};
use crate::transport::Protocols;
use bittorrent::encryption::Policy;
use bittorrent::metainfo::{InfoHashes, Magnet, Metainfo};
use bittorrent::tracker::announcer::TrackerUrl;
use net::{ListenError, Network, Shutdown};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;

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
    /// Octets a second from peers, all torrents together; `None` for no limit.
    pub download_per_second: Option<u64>,
    /// Octets a second to peers, all torrents together.
    pub upload_per_second: Option<u64>,
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

/// What a torrent is made of.
#[derive(Debug, Clone)]
pub enum What {
    /// Its metainfo.
    Metainfo(Arc<Metainfo>),
    /// A link: the rest comes from peers.
    Magnet(Box<Magnet>),
}

impl What {
    /// Its trackers, tier by tier; those whose URL is of no use are left out.
    fn trackers(&self) -> Vec<Vec<TrackerUrl>> {
        let read = |tier: &[String]| tier.iter().filter_map(|url| TrackerUrl::parse(url).ok()).collect();
        match self {
            What::Metainfo(metainfo) => metainfo.trackers.iter().map(|tier| read(tier)).collect(),
            // A link has no tiers: each is one of its own.
            What::Magnet(magnet) => magnet.trackers.chunks(1).map(read).collect(),
        }
    }

    fn hashes(&self) -> InfoHashes {
        match self {
            What::Metainfo(metainfo) => metainfo.info.hashes(),
            What::Magnet(magnet) => magnet.hashes,
        }
    }
}

/// A running engine.
#[derive(Debug)]
pub struct Engine {
    orders: mpsc::Sender<Order>,
    addresses: Vec<SocketAddr>,
    shutdown: Shutdown,
    thread: Option<JoinHandle<()>>,
}

/// A torrent that runs.
#[derive(Debug, Clone)]
pub struct Handle {
    hashes: InfoHashes,
    commands: mpsc::Sender<Command>,
    progress: watch::Receiver<Progress>,
}

struct Order {
    what: What,
    options: Options,
    reply: oneshot::Sender<Result<Handle, EngineError>>,
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
        let (told, listening) = oneshot::channel();
        let (hold, ending) = (shutdown.hold(), shutdown.clone());
        let thread = std::thread::Builder::new()
            .name("torrents".to_owned())
            .spawn(move || {
                let local = LocalSet::new();
                local.block_on(&runtime, serve(settings, network, taken, told, ending));
                drop(hold);
            })
            .map_err(EngineError::Thread)?;
        let addresses = listening.await.map_err(|_| EngineError::Stopping)??;
        Ok(Self { orders, addresses, shutdown, thread: Some(thread) })
    }

    /// Where peers connect to.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Runs one more torrent.
    ///
    /// # Errors
    /// When it runs already, or the engine is stopping.
    pub async fn add(&self, what: What, options: Options) -> Result<Handle, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.orders.send(Order { what, options, reply }).await.map_err(|_| EngineError::Stopping)?;
        answer.await.map_err(|_| EngineError::Stopping)?
    }

    /// Ends all torrents; what is here is noted, so that the next run believes it.
    pub async fn stop(mut self) {
        self.shutdown.request();
        if let Some(thread) = self.thread.take() {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Handle {
    /// Its info-hashes.
    pub fn hashes(&self) -> InfoHashes {
        self.hashes
    }

    /// How it stands; changes some times a second.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Tells it of addresses where peers may be.
    pub async fn add_peers(&self, addresses: Vec<SocketAddr>) {
        // Fails only while it ends.
        let _ = self.commands.send(Command::AddPeers(addresses)).await;
    }
}

/// All that happens on the engine's thread.
async fn serve(
    settings: Settings,
    network: Network,
    mut orders: mpsc::Receiver<Order>,
    told: oneshot::Sender<Result<Vec<SocketAddr>, ListenError>>,
    shutdown: Shutdown,
) {
    let context = Rc::new(Context::new(&settings, network));
    // The hash table outlives the torrents, which ask it to their end.
    let dht_shutdown = Shutdown::new();
    let dht = &settings.discovery.dht;
    match Doors::open(&context.network, &settings.listen, settings.protocols, dht.is_some()) {
        Ok(doors) => {
            let addresses = doors.addresses();
            context.set_port(addresses.first().map_or(0, SocketAddr::port));
            let wires = doors.serve(&context, &shutdown);
            if let Some(dht) = dht {
                discovery::start_dht(&context, dht, wires, &dht_shutdown);
            }
            let _ = told.send(Ok(addresses));
        }
        Err(error) => {
            let _ = told.send(Err(error));
            return;
        }
    }
    let throttling = context.clone();
    tokio::task::spawn_local(async move { throttling.keep_throttling().await });
    let mut running = tokio::task::JoinSet::new();
    let mut stops = Vec::new();
    loop {
        let order = tokio::select! {
            () = shutdown.requested() => break,
            order = orders.recv() => match order {
                Some(order) => order,
                None => break,
            },
        };
        let Order { what, options, reply } = order;
        let _ = reply.send(begin(&context, what, options, &mut running).inspect(|handle| {
            stops.push(handle.commands.clone());
        }));
    }
    for stop in stops {
        let _ = stop.send(Command::Stop).await;
    }
    while running.join_next().await.is_some() {}
    discovery::end_dht(dht_shutdown).await;
    reach::close(&context).await;
    context.torrents.borrow_mut().clear();
}

fn begin(
    context: &Rc<Context>,
    what: What,
    options: Options,
    running: &mut tokio::task::JoinSet<()>,
) -> Result<Handle, EngineError> {
    let hashes = what.hashes();
    let mut torrents = context.torrents.borrow_mut();
    if let Some(hash) = hashes.wire().find(|hash| torrents.contains_key(&hash.0)) {
        return Err(EngineError::Twice(hash.to_string()));
    }
    let trackers = what.trackers();
    let (name, metainfo) = match what {
        What::Metainfo(metainfo) => (metainfo.info.name().to_owned(), Some(metainfo)),
        What::Magnet(magnet) => {
            let hash = hashes.wire().next().map(|hash| hash.to_string());
            (magnet.name.or(hash).unwrap_or_default(), None)
        }
    };
    if let Some(metainfo) = metainfo.as_ref().filter(|metainfo| !metainfo.info.is_private()) {
        tokio::task::spawn_local(discovery::add_nodes(context.clone(), metainfo.nodes.clone()));
    }
    let swarm = Rc::new(Swarm::new(context.clone(), hashes, name, metainfo, options));
    for hash in hashes.wire() {
        torrents.insert(hash.0, swarm.clone());
    }
    let (commands, taken) = mpsc::channel(COMMANDS_MAX);
    let (tell, progress) = watch::channel(swarm.progress(Instant::now()));
    let (of, context) = (swarm.clone(), context.clone());
    running.spawn_local(async move {
        swarm::run(swarm, trackers, taken, tell).await;
        context.torrents.borrow_mut().retain(|_, other| !Rc::ptr_eq(other, &of));
    });
    Ok(Handle { hashes, commands, progress })
}
