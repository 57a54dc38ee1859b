//! One distribution by real nodes: a tracker, a seed that is the server, and N
//! others, each on a loopback address of its own behind a last mile of its own.

use super::figures::Architecture;
use super::plan::{DELAY, DistributePlan, rules};
use crate::LabError;
use crate::swarm::{LastMile, Node, NodePlan, Role, original, track};
use event::{BittorrentEvent, Detail, Event, Observer, Told};
use net::Shutdown;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const TRACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 51, 0, 1));
/// The host that has the file.
const SERVER: &str = "server";
/// How often it is looked who has all.
const LOOK: Duration = Duration::from_millis(100);
/// How long the server may take to announce itself, and everything to stop.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many times its bound a distribution may take, and how long on top.
const BOUNDS_MAX: f64 = 8.0;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Run {
    /// Until the last had all; `None`: one never had, or it was to stop.
    pub(super) seconds: Option<f64>,
    /// Every copy is the server's, octet for octet.
    pub(super) same: bool,
}

/// Distributes the file to `count`, until `stop` is requested. `look` is told a few
/// times a second how many have all, and after how many seconds.
pub(super) async fn run(
    plan: &DistributePlan,
    architecture: Architecture,
    count: usize,
    stop: &Shutdown,
    look: impl Fn(usize, f64),
) -> Result<Run, LabError> {
    let folder = plan.folder.join(format!("{}-{count}", architecture.name().to_lowercase()));
    let arrivals = Arc::new(Arrivals::default());
    let stream = event::Stream::new();
    stream.observe(arrivals.clone());
    let rates = plan.rates();
    let metainfo = original(&folder, SERVER, plan.octets(), rates.piece_octets, plan.seed, TRACKER)?;
    let shutdown = Shutdown::new();
    let tracker = track(TRACKER, &stream, &shutdown)?;
    let nodes = hosts(plan, architecture, count).into_iter();
    let nodes = nodes.map(|host| Node::new(host, &folder, metainfo.clone(), &stream, None));
    let mut nodes = nodes.collect::<Result<Vec<_>, _>>()?;
    let seconds = timed(plan, architecture, &mut nodes, &arrivals, stop, look).await;
    futures_util::future::join_all(nodes.iter_mut().map(Node::stop)).await;
    shutdown.finish(PATIENCE).await;
    drop(tracker);
    let same = matches!(seconds, Ok(Some(_))) && same(&nodes)?;
    for node in &nodes {
        node.remove_copy()?;
    }
    Ok(Run { seconds: seconds?, same })
}

/// Switches all on and waits.
async fn timed(
    plan: &DistributePlan,
    architecture: Architecture,
    nodes: &mut [Node],
    arrivals: &Arrivals,
    stop: &Shutdown,
    look: impl Fn(usize, f64),
) -> Result<Option<f64>, LabError> {
    let Some((server, others)) = nodes.split_first_mut() else { return Ok(None) };
    server.start().await?;
    // It is there before the others come, or they would wait for the tracker.
    let until = Instant::now() + PATIENCE;
    while !arrivals.has_announced(server.plan.address) {
        if Instant::now() > until {
            return Err(LabError::Swarm("the server does not announce itself to the tracker".to_owned()));
        }
        tokio::time::sleep(LOOK).await;
    }
    let began = Instant::now();
    let started = futures_util::future::join_all(others.iter_mut().map(Node::start)).await;
    started.into_iter().collect::<Result<Vec<_>, _>>()?;
    let patience = plan.bound(architecture, others.len()) * BOUNDS_MAX + PATIENCE.as_secs_f64();
    loop {
        let passed = began.elapsed().as_secs_f64();
        let (complete, last) = arrivals.complete();
        look(complete, passed);
        if complete == others.len() {
            return Ok(last.map(|last| last.saturating_duration_since(began).as_secs_f64()));
        }
        if passed > patience {
            return Ok(None);
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.requested() => return Ok(None),
        }
    }
}

/// The server and the others.
fn hosts(plan: &DistributePlan, architecture: Architecture, count: usize) -> Vec<NodePlan> {
    let rules = rules(architecture, count);
    let node = |number: usize, name: String, role: Role, up: u64| NodePlan {
        name,
        // Each in a network of its own, as homes are.
        address: IpAddr::from([127, 51, u8::try_from(number).unwrap_or(u8::MAX), 1]),
        role,
        link: LastMile { up, down: plan.down, delay: DELAY },
        rules: rules.clone(),
    };
    let role = match architecture {
        Architecture::ClientServer => Role::FreeRider,
        Architecture::PeerToPeer => Role::Peer,
    };
    let server = node(1, SERVER.to_owned(), Role::Seed, plan.server_up);
    let others = (1..=count).map(|number| node(1 + number, format!("host{number}"), role, plan.peer_up));
    std::iter::once(server).chain(others).collect()
}

/// Whether every host has the same file.
fn same(nodes: &[Node]) -> Result<bool, LabError> {
    let Some((server, others)) = nodes.split_first() else { return Ok(false) };
    let file = server.copy()?;
    for node in others {
        if file.is_none() || node.copy()? != file {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Who has announced itself, and who has all since when.
#[derive(Debug, Default)]
struct Arrivals(Mutex<Arrived>);

#[derive(Debug, Default)]
struct Arrived {
    announced: HashSet<IpAddr>,
    complete: HashMap<Arc<str>, Instant>,
}

impl Arrivals {
    fn has_announced(&self, address: IpAddr) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).announced.contains(&address)
    }

    /// How many have all, and since when the last.
    fn complete(&self) -> (usize, Option<Instant>) {
        let arrived = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (arrived.complete.len(), arrived.complete.values().max().copied())
    }
}

impl Observer for Arrivals {
    fn detail(&self) -> Detail {
        Detail::Message
    }

    fn observe(&self, told: &Told) {
        let now = Instant::now();
        let Event::Bittorrent(event) = &told.event else { return };
        let mut arrived = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            BittorrentEvent::Announced { from, .. } => {
                arrived.announced.insert(from.ip());
            }
            BittorrentEvent::Completed { .. } => {
                arrived.complete.entry(told.host.clone()).or_insert(now);
            }
            _ => {}
        }
    }
}
