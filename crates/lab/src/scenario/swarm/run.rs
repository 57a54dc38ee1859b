//! The nodes of the scenario while they run, and the page that shows them.

use super::SwarmPlan;
use super::plan::PIECE_OCTETS;
use crate::ladder::{Arrow, Ladder, Names};
use crate::swarm::{
    Caption, LastMile, Node, NodePlan, Role, Seen, View, matrix, moment, original, story, track,
};
use crate::{LabError, Story};
use bittorrent_node::{Progress, tracker::Tracker};
use event::Stream;
use futures_util::future::join_all;
use net::{Network, Shutdown};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use storage::files;
use tokio::sync::mpsc;

/// How often the nodes are looked at, and the terminal's picture drawn.
const LOOK: Duration = Duration::from_millis(250);
/// From host to host in one direction.
const DELAY: Duration = Duration::from_millis(10);
/// How long everything may take to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
const TRACKER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 50, 0, 1));
/// Where the page is.
const PAGE: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(127, 50, 0, 2)), 8080);

/// Who is who: indices of the nodes.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) seed: usize,
    /// Those who take part from the beginning and give.
    pub(super) others: Vec<usize>,
    /// Those of them who leave and come back.
    pub(super) leaving: Vec<usize>,
    pub(super) alice: usize,
    pub(super) rider: usize,
}

impl Places {
    /// All but the seed.
    pub(super) fn takers(&self) -> Vec<usize> {
        self.others.iter().copied().chain([self.alice, self.rider]).collect()
    }
}

/// The nodes, and what is seen of them.
pub(crate) struct Running {
    nodes: Vec<Node>,
    pub(super) view: Arc<View>,
    caption: Arc<Mutex<Caption>>,
    page: SocketAddr,
    _tracker: Tracker,
    shutdown: Shutdown,
}

/// Starts the tracker and the page; all peers are switched off.
pub(crate) fn start(plan: &SwarmPlan) -> Result<(Running, mpsc::Receiver<Arrow>), LabError> {
    plan.check()?;
    let shutdown = Shutdown::new();
    let plans = plans(plan);
    let mut names = Names::default();
    names.add(TRACKER, "tracker");
    for node in &plans {
        names.add(node.address, &node.name);
    }
    let (ladder, arrows) = Ladder::new(names);
    let stream = Stream::new();
    stream.observe(ladder);
    for observer in &plan.observers {
        stream.observe(observer.clone());
    }
    let metainfo = original(&plan.folder, "seed", plan.octets, PIECE_OCTETS, plan.seed, TRACKER)?;
    let tracker = track(TRACKER, &stream, &shutdown)?;
    let nodes = plans
        .into_iter()
        .map(|node| Node::new(node, &plan.folder, metainfo.clone(), &stream, plan.capture.as_ref()));
    let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
    let view = View::new(&nodes, metainfo.info.layout().piece_count());
    stream.observe(view.clone());
    let title = format!("{} from one seed to {} peers", crate::svg::mebi(plan.octets), plan.peers);
    let caption = Caption { title: title.clone(), marks: Vec::new(), bound: plan.bound() };
    let caption = Arc::new(Mutex::new(caption));
    let (seen, told) = (view.clone(), caption.clone());
    let paint = move || moment(&seen.seen(), &told.lock().unwrap_or_else(PoisonError::into_inner));
    let network = Network::from_source(PAGE.ip());
    let page = web::live(&network, PAGE, &title, Arc::new(paint), &shutdown)
        .map_err(|error| LabError::Taken { host: "the page".to_owned(), error })?;
    Ok((Running { nodes, view, caption, page, _tracker: tracker, shutdown }, arrows))
}

/// The seed, the peers, Alice and the free rider, in this order.
fn plans(plan: &SwarmPlan) -> Vec<NodePlan> {
    let rules = plan.rules();
    let node = |number: u8, name: String, role: Role, up: u64| NodePlan {
        name,
        // Each in a network of its own, as homes are.
        address: IpAddr::from([127, 50, number, 1]),
        role,
        link: LastMile { up, down: plan.down(), delay: DELAY },
        rules: rules.clone(),
    };
    let others = plan.peers - 2;
    let mut nodes = vec![node(1, "seed".to_owned(), Role::Seed, plan.seed_up())];
    nodes.extend(
        (1..=others).map(|number| node(1 + number as u8, format!("peer{number}"), Role::Peer, plan.uplink)),
    );
    nodes.push(node(2 + others as u8, "alice".to_owned(), Role::Peer, plan.uplink));
    nodes.push(node(3 + others as u8, "rider".to_owned(), Role::FreeRider, plan.uplink));
    nodes
}

impl Running {
    pub(super) fn places(&self) -> Places {
        let (rider, alice) = (self.nodes.len() - 1, self.nodes.len() - 2);
        let others: Vec<usize> = (1..alice).collect();
        let third = (self.nodes.len() - 1) / 3;
        let leaving = others.iter().copied().take(third).collect();
        Places { seed: 0, others, leaving, alice, rider }
    }

    pub(super) fn page(&self) -> String {
        format!("http://{}/", self.page)
    }

    pub(super) async fn start(&mut self, at: usize) -> Result<Progress, LabError> {
        let progress = self.nodes[at].start().await?;
        self.view.joined(at);
        Ok(progress)
    }

    /// Switches these off, all at once, and goes on looking at the others meanwhile.
    pub(super) async fn stop(&mut self, which: &[usize]) {
        self.view.look(&self.nodes);
        let stopping: Vec<_> = which.iter().map(|at| self.nodes[*at].stop()).collect();
        for at in which {
            self.view.left(*at);
        }
        let mut stopped = pin!(join_all(stopping));
        while tokio::time::timeout(LOOK, stopped.as_mut()).await.is_err() {
            self.view.look(&self.nodes);
        }
    }

    pub(super) fn copy(&self, at: usize) -> Result<Option<Vec<u8>>, LabError> {
        self.nodes[at].copy()
    }

    pub(super) fn mark(&self, text: &'static str) {
        let seconds = self.view.seconds();
        self.caption.lock().unwrap_or_else(PoisonError::into_inner).marks.push((seconds, text));
    }

    pub(super) fn seen(&self) -> Seen {
        self.view.look(&self.nodes);
        self.view.seen()
    }

    pub(super) fn matrix(&self) -> String {
        matrix::matrix(&self.seen())
    }

    /// Waits for something to be seen, at most so long. Returns whether it was.
    pub(super) async fn wait(&self, story: &Story, seconds_max: f64, holds: impl Fn(&Seen) -> bool) -> bool {
        let until = self.view.seconds() + seconds_max;
        loop {
            let seen = self.seen();
            story.draw_live(&matrix::matrix(&seen));
            if holds(&seen) {
                return true;
            }
            if seen.seconds > until {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until so many seconds have passed since the beginning.
    pub(super) async fn wait_until(&self, story: &Story, seconds: f64) {
        self.wait(story, seconds.max(0.0), |seen| seen.seconds >= seconds).await;
    }

    /// Draws how it went, and switches everything off.
    pub(crate) async fn finish(mut self, plan: &SwarmPlan) -> Result<(), LabError> {
        let seen = self.seen();
        join_all(self.nodes.iter_mut().map(Node::stop)).await;
        self.shutdown.finish(STOP_PATIENCE).await;
        if let Some(file) = &plan.picture {
            let caption = self.caption.lock().unwrap_or_else(PoisonError::into_inner);
            files::write_atomically(file, story(&seen, &caption).as_bytes(), files::PUBLIC)?;
        }
        Ok(())
    }
}
