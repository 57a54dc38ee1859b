//! One host of a swarm: an engine of its own on an address of its own, behind its
//! last mile; the tracker; and the file that is distributed.

use crate::LabError;
use bittorrent::encryption::Policy;
use bittorrent::metainfo::{Metainfo, Version};
use bittorrent::torrent::Settings as Rules;
use bittorrent_node::tracker::{AccessKind, Config, Tracker};
use bittorrent_node::{
    Discovery, Engine, Handle, Hidden, Making, Options, Original, Progress, Protocols, Settings, Stage, What,
};
use net::{Capture, Conditions, Impairment, Network, Shutdown};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use storage::files;

/// The port of all peers: each has an address for itself.
const PORT: u16 = 6_881;
/// The tracker's.
const TRACKER_PORT: u16 = 6_969;
/// Octets of blocks in a node's memory.
const MEMORY_OCTETS_MAX: usize = 4 * 1024 * 1024;
/// For how long the queue in front of an uplink holds.
const QUEUE: Duration = Duration::from_millis(100);
/// How long a node may take to look at its files.
const START_PATIENCE: Duration = Duration::from_mins(1);
/// The name of the file that is distributed.
const FILE: &str = "film.mp4";

/// The link between a home and the Internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastMile {
    /// Octets a second from the home.
    pub(crate) up: u64,
    /// Octets a second to it.
    pub(crate) down: u64,
    /// How long everything takes in one direction.
    pub(crate) delay: Duration,
}

impl LastMile {
    fn conditions(&self) -> Conditions {
        Conditions {
            rate_bits: Some(self.down.saturating_mul(8)),
            uplink_bits: Some(self.up.saturating_mul(8)),
            queue: QUEUE,
            delay: self.delay,
            ..Conditions::default()
        }
    }
}

/// What a host is in the swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// Has everything from the beginning.
    Seed,
    /// Takes and gives.
    Peer,
    /// Takes only.
    FreeRider,
}

/// One host as it is planned.
#[derive(Debug, Clone)]
pub(crate) struct NodePlan {
    pub(crate) name: String,
    pub(crate) address: IpAddr,
    pub(crate) role: Role,
    pub(crate) link: LastMile,
    pub(crate) rules: Rules,
}

/// One host.
pub(crate) struct Node {
    pub(crate) plan: NodePlan,
    network: Network,
    folder: PathBuf,
    metainfo: Arc<Metainfo>,
    running: Option<(Engine, Handle)>,
}

impl Node {
    /// A host that is switched off. Its files lie below `folder`; a seed's are there
    /// already.
    pub(crate) fn new(
        plan: NodePlan,
        folder: &Path,
        metainfo: Arc<Metainfo>,
        stream: &event::Stream,
        capture: Option<&Capture>,
    ) -> Result<Self, LabError> {
        let mut network = Network::from_source(plan.address)
            .reporting(stream.reporter(&plan.name))
            .with(Impairment::new(0, plan.link.conditions()));
        if let Some(capture) = capture {
            network = network.with(capture.interface(&plan.name).map_err(LabError::network("the capture"))?);
        }
        Ok(Self { folder: folder.join(&plan.name), plan, network, metainfo, running: None })
    }

    /// Switches it on; it has looked at its files when this returns.
    pub(crate) async fn start(&mut self) -> Result<Progress, LabError> {
        let name = self.plan.name.clone();
        let failed = |error: &dyn std::fmt::Display| LabError::Swarm(format!("{name}: {error}"));
        let settings = settings(self.plan.address, &self.folder);
        let engine = Engine::start(settings, self.network.clone(), Shutdown::new());
        let engine = engine.await.map_err(|error| failed(&format_args!("{error}. {ONE_LAB}")))?;
        let handle = engine.add(What::Metainfo(self.metainfo.clone()), self.options()).await;
        let handle = handle.map_err(|error| failed(&error))?;
        let mut changes = handle.progress();
        let looked =
            changes.wait_for(|progress| !matches!(progress.stage, Stage::Checking | Stage::Metadata));
        let progress = match tokio::time::timeout(START_PATIENCE, looked).await {
            Ok(Ok(progress)) => progress.clone(),
            Ok(Err(_)) => return Err(failed(&"its engine ended")),
            Err(_) => return Err(failed(&"it takes too long to look at its files")),
        };
        self.running = Some((engine, handle));
        Ok(progress)
    }

    fn options(&self) -> Options {
        let rules = self.plan.rules.clone();
        Options {
            rules: if self.plan.role == Role::FreeRider { rules.without_upload() } else { rules },
            connections_max: 200,
            ..Options::new(self.folder.clone())
        }
    }

    /// Switches it off at once; it has noted what it has when the future is ready.
    pub(crate) fn stop(&mut self) -> impl Future<Output = ()> + use<> {
        let running = self.running.take();
        async move {
            if let Some((engine, _)) = running {
                engine.stop().await;
            }
        }
    }

    /// How it stands; `None` while it is switched off.
    pub(crate) fn progress(&self) -> Option<Progress> {
        self.running.as_ref().map(|(_, handle)| handle.progress().borrow().clone())
    }

    /// Its copy of the file, if it is whole.
    pub(crate) fn copy(&self) -> Result<Option<Vec<u8>>, LabError> {
        Ok(files::read(&self.folder.join(FILE), self.metainfo.info.layout().total_octets())?)
    }

    /// Removes its copy, once nobody wants it any more.
    pub(crate) fn remove_copy(&self) -> Result<(), LabError> {
        Ok(files::remove(&self.folder.join(FILE))?)
    }
}

/// What every node's engine is started with.
fn settings(address: IpAddr, folder: &Path) -> Settings {
    Settings {
        listen: vec![SocketAddr::new(address, PORT)],
        data: folder.join("data"),
        memory_octets_max: MEMORY_OCTETS_MAX,
        encryption: Policy::Disabled,
        protocols: Protocols::Tcp,
        discovery: Discovery::default(),
        limits: bittorrent_node::Limits::default(),
        names: bittorrent_node::Names::default(),
    }
}

/// Starts the tracker on an address of its own, until `shutdown` is requested.
pub(crate) fn track(
    address: IpAddr,
    stream: &event::Stream,
    shutdown: &Shutdown,
) -> Result<Tracker, LabError> {
    let at = SocketAddr::new(address, TRACKER_PORT);
    let config = Config { udp_listen: vec![at], threads: 1, access: AccessKind::Open, ..Config::default() };
    let reporter = stream.reporter("tracker");
    let network = Network::from_source(address).reporting(reporter.clone());
    let started = Tracker::start(&config, network, reporter, shutdown.clone());
    started.map_err(|error| LabError::Swarm(format!("the tracker: {error}. {ONE_LAB}")))
}

/// What to do when an address is taken.
const ONE_LAB: &str = "If another lab runs on this machine, end it first: each has the same addresses";

/// Makes the file in the folder of the host that has it, and its torrent. The same
/// seed makes the same file.
pub(crate) fn original(
    folder: &Path,
    host: &str,
    octets: u64,
    piece_octets: u32,
    seed: u64,
    tracker: IpAddr,
) -> Result<Arc<Metainfo>, LabError> {
    let mut film = vec![0; usize::try_from(octets).unwrap_or(usize::MAX)];
    ChaCha12Rng::seed_from_u64(seed).fill_bytes(&mut film);
    let path = folder.join(host).join(FILE);
    files::write_atomically(&path, &film, files::PUBLIC)?;
    let making = Making {
        version: Version::V1,
        piece_octets: Some(piece_octets),
        trackers: vec![vec![format!("udp://{}", SocketAddr::new(tracker, TRACKER_PORT))]],
        web_seeds: Vec::new(),
        comment: None,
        private: false,
    };
    let wrong = |error: bittorrent_node::OriginalError| LabError::Swarm(format!("the torrent: {error}"));
    let original = Original::look(&path, Hidden::Included).map_err(wrong)?;
    Ok(Arc::new(original.make(making, |_, _| ControlFlow::Continue(())).map_err(wrong)?))
}
