//! The engine: a thread of its own on which all torrents of a host run, and the
//! listeners for their peers.

use crate::content::metainfo_file;
use crate::context::Context;
use crate::control::{Handle, Rates};
use crate::dht::Dht;
use crate::discovery::{self, Discovery};
use crate::lsd;
use crate::names::Names;
use crate::reach::{self, Doors};
use crate::swarm::{Ending, Options, Swarm, Task};
use crate::transport::{Protocol, Protocols};
use bittorrent::encryption::Policy;
use bittorrent::ip_filter::IpFilter;
use bittorrent::metainfo::{InfoHashes, Magnet, Metainfo};
use bittorrent::tracker::announcer::TrackerUrl;
use bittorrent::web_seed::WebSeed;
use net::{ListenError, Network, Shutdown};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
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

    /// Its web seeds.
    fn web_seeds(&self) -> Vec<WebSeed> {
        let files = |urls: &[String]| urls.iter().cloned().map(WebSeed::Files).collect::<Vec<_>>();
        match self {
            What::Metainfo(metainfo) => {
                let scripts = metainfo.http_seeds.iter().cloned().map(WebSeed::Script);
                files(&metainfo.web_seeds).into_iter().chain(scripts).collect()
            }
            What::Magnet(magnet) => files(&magnet.web_seeds),
        }
    }

    fn hashes(&self) -> InfoHashes {
        match self {
            What::Metainfo(metainfo) => metainfo.info.hashes(),
            What::Magnet(magnet) => magnet.hashes,
        }
    }
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
        let (reply, answer) = oneshot::channel();
        let order = Order::Add(what, Box::new(options), reply);
        self.orders.send(order).await.map_err(|_| EngineError::Stopping)?;
        answer.await.map_err(|_| EngineError::Stopping)?
    }

    /// All torrents, in the order of their info-hashes.
    ///
    /// # Errors
    /// When the engine is stopping.
    pub async fn torrents(&self) -> Result<Vec<Handle>, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.orders.send(Order::List(reply)).await.map_err(|_| EngineError::Stopping)?;
        answer.await.map_err(|_| EngineError::Stopping)
    }

    /// Changes the limits of all torrents together. Connections that are open
    /// stay.
    ///
    /// # Errors
    /// When the engine is stopping.
    pub async fn set_limits(&self, limits: Limits) -> Result<(), EngineError> {
        let (reply, answer) = oneshot::channel();
        self.orders.send(Order::Limits(limits, reply)).await.map_err(|_| EngineError::Stopping)?;
        answer.await.map_err(|_| EngineError::Stopping)
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
        let (reply, answer) = oneshot::channel();
        self.orders.send(Order::Filter(filter, reply)).await.map_err(|_| EngineError::Stopping)?;
        answer.await.map_err(|_| EngineError::Stopping)
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

/// A link as what is known of it from an earlier run.
fn known(data: &Path, magnet: Box<Magnet>) -> What {
    let Some(hash) = magnet.hashes.wire().next() else { return What::Magnet(magnet) };
    let limits = bittorrent::metainfo::Limits::DEFAULT;
    let read = storage::files::read(&metainfo_file(data, &hash), limits.metainfo_octets_max as u64);
    let Ok(Some(octets)) = read else { return What::Magnet(magnet) };
    let same = |metainfo: &Metainfo| {
        let hashes = metainfo.info.hashes();
        (magnet.hashes.v1.is_none() || magnet.hashes.v1 == hashes.v1)
            && (magnet.hashes.v2.is_none() || magnet.hashes.v2 == hashes.v2)
    };
    match Metainfo::parse(&octets, &limits).ok().filter(same) {
        Some(mut metainfo) => {
            metainfo.trackers = magnet.trackers.chunks(1).map(<[String]>::to_vec).collect();
            What::Metainfo(Arc::new(metainfo))
        }
        None => What::Magnet(magnet),
    }
}

/// All that happens on the engine's thread.
async fn serve(
    mut settings: Settings,
    network: Network,
    mut orders: mpsc::Receiver<Order>,
    told: oneshot::Sender<Result<Begun, ListenError>>,
    shutdown: Shutdown,
) {
    if network.is_proxied() {
        // Whatever does not pass the proxy would tell who we are.
        settings.discovery.lsd = None;
    }
    let context = Rc::new(Context::new(&settings, network));
    // The hash table outlives the torrents, which ask it to their end.
    let dht_shutdown = Shutdown::new();
    let dht = &settings.discovery.dht;
    match Doors::open(&context.network, &settings.listen, settings.protocols, dht.is_some()) {
        Ok(doors) => {
            let addresses = doors.addresses();
            context.set_port(addresses.first().map_or(0, SocketAddr::port));
            let mut wires = doors.serve(&context, &shutdown);
            if context.network.is_proxied() {
                match reach::serve_by_proxy(&context, dht.is_some(), &shutdown).await {
                    Ok(carried) => wires = carried,
                    Err(error) => tracing::warn!(%error, "neither uTP nor the hash table is used"),
                }
            }
            if let Some(dht) = dht.as_ref().filter(|_| !wires.is_empty()) {
                discovery::start_dht(&context, dht, wires, &dht_shutdown);
            }
            if let Some(lsd) = settings.discovery.lsd {
                lsd::start(&context, lsd, &addresses, &shutdown);
            }
            let _ = told.send(Ok((addresses, context.dht.get().cloned())));
        }
        Err(error) => {
            let _ = told.send(Err(error));
            return;
        }
    }
    let throttling = context.clone();
    tokio::task::spawn_local(async move { throttling.keep_throttling().await });
    let mut running = tokio::task::JoinSet::new();
    loop {
        let order = tokio::select! {
            () = shutdown.requested() => break,
            order = orders.recv() => match order {
                Some(order) => order,
                None => break,
            },
        };
        // Those that were removed.
        while running.try_join_next().is_some() {}
        // Who asked may have left.
        match order {
            Order::Add(what, options, reply) => {
                let _ = reply.send(begin(&context, what, *options, &mut running));
            }
            Order::List(reply) => drop(reply.send(context.handles.borrow().values().cloned().collect())),
            Order::Filter(filter, reply) => {
                context.set_filter(filter);
                let _ = reply.send(());
            }
            Order::External(ip, port) => context.set_external(ip, port),
            Order::Limits(limits, reply) => {
                context.set_limits(Instant::now(), limits);
                let _ = reply.send(());
            }
        }
    }
    let handles = context.handles.take();
    for handle in handles.values() {
        handle.stop().await;
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
    let (trackers, web_seeds) = (what.trackers(), what.web_seeds());
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
    let swarm = Rc::new(Swarm::new(context.clone(), hashes, name, metainfo, web_seeds, options));
    for hash in hashes.wire() {
        torrents.insert(hash.0, swarm.clone());
    }
    let (commands, mut taken) = mpsc::channel(COMMANDS_MAX);
    let (tell, progress) = watch::channel(swarm.progress(Instant::now()));
    let handle = Handle::new(hashes, commands, progress);
    let key = hashes.wire().next().map_or([0; 20], |hash| hash.0);
    context.handles.borrow_mut().insert(key, handle.clone());
    let context = context.clone();
    running.spawn_local(async move {
        let mut task = Task::new(swarm.clone(), trackers, tell);
        let ending = task.run(&mut taken).await;
        let removed = match ending {
            Ending::Stop => {
                task.end().await;
                None
            }
            Ending::Remove(data, reply) => Some((task.remove(data).await, reply)),
        };
        context.torrents.borrow_mut().retain(|_, other| !Rc::ptr_eq(other, &swarm));
        context.handles.borrow_mut().remove(&key);
        if let Some((result, reply)) = removed {
            let _ = reply.send(result);
        }
    });
    Ok(handle)
}
