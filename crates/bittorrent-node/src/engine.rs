//! The engine: a thread of its own on which all torrents of a host run, the
//! listeners for their peers, and what all of them share.

use crate::handshake;
use crate::names::Names;
use crate::progress::Progress;
use crate::swarm::{self, Buffers, Command, Options, Swarm};
use bittorrent::encryption::{Policy, ServedKeys};
use bittorrent::metainfo::{InfoHashes, Magnet, Metainfo};
use bittorrent::torrent::bandwidth::TokenBucket;
use bittorrent::tracker::Family;
use bittorrent::tracker::announcer::{ConnectionCache, TrackerUrl};
use bittorrent::wire::PeerId;
use net::{ListenBounds, ListenError, ListenOptions, Listener, Network, Shutdown};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::LocalSet;

/// Commands that wait for the engine or a torrent.
const COMMANDS_MAX: usize = 64;
/// How often those who wait for octets they may transfer look again.
const THROTTLE_INTERVAL: Duration = Duration::from_millis(20);
/// Connections from peers, shaking hands or open, of all torrents.
const CONNECTIONS_MAX: usize = 2_000;
/// Connections from one address: several peers may be behind it.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 50;

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

/// What all torrents of the engine share.
pub(crate) struct Context {
    pub(crate) network: Network,
    pub(crate) data: PathBuf,
    pub(crate) peer_id: PeerId,
    pub(crate) buffers: Buffers,
    pub(crate) encryption: Policy,
    pub(crate) names: Names,
    /// By which trackers may know us again on another address.
    pub(crate) key: u32,
    /// What trackers over UDP gave us.
    pub(crate) trackers: RefCell<ConnectionCache>,
    families: Vec<Family>,
    port: Cell<u16>,
    download: RefCell<TokenBucket>,
    upload: RefCell<TokenBucket>,
    throttled: RefCell<Vec<std::task::Waker>>,
    throttling: Notify,
    torrents: RefCell<BTreeMap<[u8; 20], Rc<Swarm>>>,
}

impl Context {
    /// The port that peers connect to.
    pub(crate) fn port(&self) -> u16 {
        self.port.get()
    }

    /// The address families that peers can reach us over.
    pub(crate) fn families(&self) -> Vec<Family> {
        self.families.clone()
    }

    /// The torrent of an info-hash.
    pub(crate) fn find(&self, info_hash: &[u8; 20]) -> Option<Rc<Swarm>> {
        self.torrents.borrow().get(info_hash).cloned()
    }

    pub(crate) fn served_keys(&self) -> ServedKeys {
        let mut keys = ServedKeys::new();
        for info_hash in self.torrents.borrow().keys() {
            keys.insert(*info_hash);
        }
        keys
    }

    /// Whether reading must wait; then the task is woken later.
    pub(crate) fn download_is_throttled(
        &self,
        cx: &std::task::Context<'_>,
        now: Instant,
        own: &RefCell<TokenBucket>,
    ) -> bool {
        self.is_throttled(cx, now, &self.download, own)
    }

    /// Whether writing must wait; then the task is woken later.
    pub(crate) fn upload_is_throttled(
        &self,
        cx: &std::task::Context<'_>,
        now: Instant,
        own: &RefCell<TokenBucket>,
    ) -> bool {
        self.is_throttled(cx, now, &self.upload, own)
    }

    fn is_throttled(
        &self,
        cx: &std::task::Context<'_>,
        now: Instant,
        all: &RefCell<TokenBucket>,
        own: &RefCell<TokenBucket>,
    ) -> bool {
        let free = all.borrow_mut().allowance(now, 1) > 0 && own.borrow_mut().allowance(now, 1) > 0;
        if !free {
            self.throttled.borrow_mut().push(cx.waker().clone());
            self.throttling.notify_one();
        }
        !free
    }

    pub(crate) fn count_download(&self, octets: usize, own: &RefCell<TokenBucket>) {
        self.download.borrow_mut().take(octets as u64);
        own.borrow_mut().take(octets as u64);
    }

    pub(crate) fn count_upload(&self, octets: usize, own: &RefCell<TokenBucket>) {
        self.upload.borrow_mut().take(octets as u64);
        own.borrow_mut().take(octets as u64);
    }

    /// Wakes those who wait for octets they may transfer.
    async fn keep_throttling(&self) {
        loop {
            self.throttling.notified().await;
            tokio::time::sleep(THROTTLE_INTERVAL).await;
            for waker in self.throttled.take() {
                waker.wake();
            }
        }
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
    let now = Instant::now();
    let context = Rc::new(Context {
        network,
        data: settings.data.clone(),
        peer_id: PeerId::generate(&mut rand::rng()),
        buffers: Buffers::new(settings.memory_octets_max),
        encryption: settings.encryption,
        names: settings.names.clone(),
        key: rand::random(),
        trackers: RefCell::default(),
        families: families(&settings.listen),
        port: Cell::new(0),
        download: RefCell::new(TokenBucket::new(now, settings.download_per_second)),
        upload: RefCell::new(TokenBucket::new(now, settings.upload_per_second)),
        throttled: RefCell::default(),
        throttling: Notify::new(),
        torrents: RefCell::default(),
    });
    match listen(&context, &settings) {
        Ok(listeners) => {
            let addresses: Vec<SocketAddr> = listeners.iter().map(|(address, _)| *address).collect();
            context.port.set(addresses.first().map_or(0, SocketAddr::port));
            for (_, listener) in listeners {
                let context = context.clone();
                let accept = move |stream| {
                    tokio::task::spawn_local(handshake::receive(context.clone(), stream));
                };
                tokio::task::spawn_local(listener.each(shutdown.clone(), accept));
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
    context.torrents.borrow_mut().clear();
}

/// The families of addresses, each once; IPv4 where nothing is listened on.
fn families(addresses: &[SocketAddr]) -> Vec<Family> {
    let all = [Family::V4, Family::V6].into_iter();
    let found: Vec<Family> =
        all.filter(|family| addresses.iter().any(|address| Family::of(*address) == *family)).collect();
    if found.is_empty() { vec![Family::V4] } else { found }
}

fn listen(context: &Context, settings: &Settings) -> Result<Vec<(SocketAddr, Listener)>, ListenError> {
    let bounds = ListenBounds::new(CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX);
    let open = |address: &SocketAddr| {
        let failed = |source| ListenError { service: "bittorrent", address: *address, source };
        let options = ListenOptions { address: *address, bounds: bounds.clone() };
        let listener = context.network.listen(&options).map_err(failed)?;
        Ok((listener.local_addr().map_err(failed)?, listener))
    };
    settings.listen.iter().map(open).collect()
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
