//! The scheduler: what happens next, in the order of simulated time.

use crate::link::{Busy, Link};
use crate::node::{Node, StreamEvent, StreamId, Transmit};
use crate::streams::{ATTEMPTS_MAX, RETRANSMISSION, Streams};
use crate::trace::Trace;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Names a node of a simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(usize);

/// Hosts, links and time.
#[derive(Debug)]
pub struct Simulation<N> {
    seed: u64,
    rng: ChaCha12Rng,
    /// Simulated time 0. Only differences to it mean anything.
    epoch: Instant,
    now: Instant,
    nodes: Vec<N>,
    places: BTreeMap<IpAddr, NodeId>,
    default_link: Link,
    links: BTreeMap<(IpAddr, IpAddr), Busy>,
    streams: Streams,
    /// What will happen, by time and then by the order in which it was planned.
    plan: BTreeMap<(Instant, u64), Happening>,
    planned: u64,
    trace: Trace,
}

#[derive(Debug)]
enum Happening {
    Datagram { from: SocketAddr, to: SocketAddr, octets: Vec<u8> },
    Open { from: SocketAddr, to: SocketAddr },
    Stream { node: NodeId, stream: StreamId, event: StreamEvent },
}

impl<N: Node> Simulation<N> {
    /// A network without hosts; all links are `default_link` until told otherwise.
    pub fn new(seed: u64, default_link: Link) -> Self {
        let epoch = Instant::now();
        Self {
            seed,
            rng: ChaCha12Rng::seed_from_u64(seed),
            epoch,
            now: epoch,
            nodes: Vec::new(),
            places: BTreeMap::new(),
            default_link,
            links: BTreeMap::new(),
            streams: Streams::default(),
            plan: BTreeMap::new(),
            planned: 0,
            trace: Trace::default(),
        }
    }

    /// The seed everything random comes from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// A generator for a node, that depends on the seed alone.
    pub fn fork_rng(&mut self) -> ChaCha12Rng {
        ChaCha12Rng::seed_from_u64(self.rng.random())
    }

    /// The simulated time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Simulated time since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.now.saturating_duration_since(self.epoch)
    }

    /// What happened so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Adds a line of a test's own to the trace.
    pub fn tell(&mut self, what: &str) {
        self.trace.tell(self.now.saturating_duration_since(self.epoch), what);
    }

    /// Adds a host with its addresses.
    pub fn add(&mut self, addresses: &[IpAddr], node: N) -> NodeId {
        let id = NodeId(self.nodes.len());
        self.nodes.push(node);
        for address in addresses {
            self.places.insert(*address, id);
        }
        id
    }

    /// A host.
    pub fn node(&self, id: NodeId) -> &N {
        &self.nodes[id.0]
    }

    /// Does something to a host, then carries what it sends.
    pub fn with<T>(&mut self, id: NodeId, action: impl FnOnce(&mut N, Instant) -> T) -> T {
        let result = action(&mut self.nodes[id.0], self.now);
        self.carry(id);
        result
    }

    /// Sets the link from one address to another, one way.
    pub fn set_link(&mut self, from: IpAddr, to: IpAddr, link: Link) {
        self.links.insert((from, to), Busy::new(link, self.now));
    }

    /// Changes the links between two addresses, both ways.
    pub fn change_links(&mut self, one: IpAddr, other: IpAddr, change: impl Fn(&mut Link)) {
        for (from, to) in [(one, other), (other, one)] {
            change(&mut self.link(from, to).link);
        }
    }

    /// Parts two hosts or joins them again.
    pub fn set_partition(&mut self, one: IpAddr, other: IpAddr, parted: bool) {
        self.change_links(one, other, |link| link.up = !parted);
    }

    /// Lets the next thing happen, if one is planned before or at `until`.
    pub fn step(&mut self, until: Instant) -> bool {
        let timeout = (self.nodes.iter().enumerate())
            .filter_map(|(id, node)| node.poll_timeout().map(|at| (at.max(self.now), NodeId(id))))
            .min();
        let planned = self.plan.first_key_value().map(|(key, _)| *key);
        match (planned, timeout) {
            (Some((at, order)), timeout) if at <= until && timeout.is_none_or(|(wake, _)| at <= wake) => {
                self.now = at;
                if let Some(happening) = self.plan.remove(&(at, order)) {
                    self.happen(happening);
                }
                true
            }
            (_, Some((at, id))) if at <= until => {
                self.now = at;
                self.nodes[id.0].handle_timeout(at);
                self.carry(id);
                true
            }
            _ => false,
        }
    }

    /// Runs for `span` of simulated time.
    pub fn run_for(&mut self, span: Duration) {
        let until = self.now + span;
        while self.step(until) {}
        self.now = until;
    }

    /// Runs until `done` says so, at most for `span`. Whether it did.
    pub fn run_until(&mut self, span: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let until = self.now + span;
        while !done(self) {
            if !self.step(until) {
                self.now = until;
                return done(self);
            }
        }
        true
    }

    fn link(&mut self, from: IpAddr, to: IpAddr) -> &mut Busy {
        let (default, now) = (&self.default_link, self.now);
        self.links.entry((from, to)).or_insert_with(|| Busy::new(default.clone(), now))
    }

    fn plan(&mut self, at: Instant, happening: Happening) {
        self.plan.insert((at, self.planned), happening);
        self.planned += 1;
    }

    /// Carries everything a node sends.
    fn carry(&mut self, id: NodeId) {
        while let Some(transmit) = self.nodes[id.0].poll_transmit(self.now) {
            match transmit {
                Transmit::Datagram { from, to, octets } => self.carry_datagram(from, to, octets),
                Transmit::Open { from, to } => self.carry_open(id, from, to),
                Transmit::Send { stream, octets } => self.carry_stream(stream, StreamEvent::Octets(octets)),
                Transmit::Close { stream } => self.carry_stream(stream, StreamEvent::Closed),
            }
        }
    }

    fn carry_datagram(&mut self, from: SocketAddr, to: SocketAddr, octets: Vec<u8>) {
        let now = self.now;
        let (fate, late, jitter) =
            (self.rng.random::<f64>(), self.rng.random::<f64>(), self.rng.random::<f64>());
        let busy = self.link(from.ip(), to.ip());
        let (link, length) = (busy.link.clone(), octets.len());
        if !link.up || fate < link.loss {
            let why = if link.up { "lost" } else { "parted" };
            return self.tell(&format!("{from} > {to} datagram {length} {why}"));
        }
        let Some(left) = busy.send(now, length, true) else {
            return self.tell(&format!("{from} > {to} datagram {length} dropped, queue full"));
        };
        let mut arrives = left + link.delay + link.jitter.mul_f64(jitter);
        if late < link.reordering {
            arrives += link.reordering_delay;
        }
        self.tell(&format!("{from} > {to} datagram {length}"));
        self.plan(arrives, Happening::Datagram { from, to, octets });
    }

    /// When octets that must arrive do so; nothing when the path stays broken.
    fn arrival(&mut self, from: IpAddr, to: IpAddr, octets: usize) -> Option<Instant> {
        let mut waited = Duration::ZERO;
        for attempt in 0..ATTEMPTS_MAX {
            let (fate, jitter) = (self.rng.random::<f64>(), self.rng.random::<f64>());
            let now = self.now;
            let busy = self.link(from, to);
            if busy.link.up && fate >= busy.link.loss {
                let left = busy.send(now, octets, false)?;
                return Some(left + waited + busy.link.delay + busy.link.jitter.mul_f64(jitter));
            }
            waited += RETRANSMISSION * (1 << attempt);
        }
        None
    }

    fn carry_open(&mut self, id: NodeId, from: SocketAddr, to: SocketAddr) {
        self.tell(&format!("{from} > {to} open"));
        if let Some(at) = self.arrival(from.ip(), to.ip(), 0) {
            self.plan(at, Happening::Open { from, to });
        } else {
            let at = self.now + RETRANSMISSION * (1 << ATTEMPTS_MAX);
            let event = StreamEvent::Refused { local: from, peer: to };
            self.plan(at, Happening::Stream { node: id, stream: StreamId(u64::MAX), event });
        }
    }

    fn carry_stream(&mut self, stream: StreamId, event: StreamEvent) {
        let Some(end) = self.streams.end_mut(stream) else { return };
        if end.closed {
            return;
        }
        let octets = if let StreamEvent::Octets(octets) = &event { octets.len() } else { 0 };
        end.closed = event == StreamEvent::Closed;
        let (from, to, after, opposite) = (end.local, end.peer, end.arrives_after, end.opposite);
        self.tell(&format!(
            "{from} > {to} stream {}",
            if octets > 0 { format!("{octets}") } else { "close".into() }
        ));
        let Some(&node) = self.places.get(&to.ip()) else { return };
        if let Some(arrives) = self.arrival(from.ip(), to.ip(), octets) {
            let arrives = arrives.max(after);
            if let Some(end) = self.streams.end_mut(stream) {
                end.arrives_after = arrives;
            }
            self.plan(arrives, Happening::Stream { node, stream: opposite, event });
        } else {
            let at = self.now + RETRANSMISSION * (1 << ATTEMPTS_MAX);
            let near = self.places.get(&from.ip()).copied();
            for (node, stream) in [(near, stream), (Some(node), opposite)] {
                if let Some(node) = node {
                    self.plan(at, Happening::Stream { node, stream, event: StreamEvent::Broken });
                }
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Datagram { from, to, octets } => {
                let Some(&node) = self.places.get(&to.ip()) else {
                    return self.tell(&format!("{from} > {to} nobody there"));
                };
                self.tell(&format!("{to} < {from} datagram {}", octets.len()));
                self.nodes[node.0].handle_datagram(self.now, from, to, &octets);
                self.carry(node);
            }
            Happening::Open { from, to } => self.happen_open(from, to),
            Happening::Stream { node, stream, event } => {
                let gone = event == StreamEvent::Broken && self.streams.remove(stream).is_none();
                if gone {
                    return;
                }
                self.tell(&format!("node {} stream {} {}", node.0, stream.0, outline(&event)));
                self.nodes[node.0].handle_stream(self.now, stream, event);
                self.carry(node);
            }
        }
    }

    fn happen_open(&mut self, from: SocketAddr, to: SocketAddr) {
        let Some(&opener) = self.places.get(&from.ip()) else { return };
        let accepter = self.places.get(&to.ip()).copied().filter(|node| self.nodes[node.0].accepts(to));
        let back = self.arrival(to.ip(), from.ip(), 0);
        let (Some(accepter), Some(back)) = (accepter, back) else {
            let at = back.unwrap_or(self.now + RETRANSMISSION * (1 << ATTEMPTS_MAX));
            let event = StreamEvent::Refused { local: from, peer: to };
            return self.plan(at, Happening::Stream { node: opener, stream: StreamId(u64::MAX), event });
        };
        let (ours, theirs) = self.streams.open(self.now, from, to);
        if let Some(end) = self.streams.end_mut(theirs) {
            end.arrives_after = back;
        }
        let opened = StreamEvent::Opened { local: from, peer: to };
        self.plan(back, Happening::Stream { node: opener, stream: ours, event: opened });
        let accepted = StreamEvent::Opened { local: to, peer: from };
        self.plan(self.now, Happening::Stream { node: accepter, stream: theirs, event: accepted });
    }
}

fn outline(event: &StreamEvent) -> String {
    match event {
        StreamEvent::Opened { peer, .. } => format!("opened with {peer}"),
        StreamEvent::Refused { peer, .. } => format!("refused by {peer}"),
        StreamEvent::Octets(octets) => format!("octets {}", octets.len()),
        StreamEvent::Closed => "closed".into(),
        StreamEvent::Broken => "broken".into(),
    }
}
