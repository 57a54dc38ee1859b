//! Many nodes on a made-up Internet with loss and delay, in simulated time.
//! The same seed gives the same run.

use crate::hostile::Hostile;
use bittorrent::dht::{Config, Contact, Event, Id, Node, OperationId, Outcome};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Who is at an address.
enum Host {
    Honest(Box<Node<ChaCha8Rng>>),
    Hostile(Hostile),
}

/// All hosts and what is on its way between them.
pub(crate) struct Network {
    pub(crate) now: Instant,
    pub(crate) rng: ChaCha8Rng,
    /// Of 100 datagrams so many are lost.
    pub(crate) loss_percent: u32,
    hosts: HashMap<SocketAddr, Host>,
    /// In the order of their joining.
    pub(crate) honest: Vec<SocketAddr>,
    flying: BTreeMap<(Instant, u64), (SocketAddr, SocketAddr, Vec<u8>)>,
    timers: BTreeSet<(Instant, SocketAddr)>,
    timer_of: HashMap<SocketAddr, Instant>,
    next: u64,
    events: Vec<(SocketAddr, Event)>,
    pub(crate) datagrams: u64,
}

/// An address in a network of its own.
pub(crate) fn address(number: u32) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from((20 << 24) + (number << 8) + 1).into(), 6_881)
}

/// The same for IPv6.
pub(crate) fn address_v6(number: u16) -> SocketAddr {
    SocketAddr::new(Ipv6Addr::new(0x2a00, number, 0, 0, 0, 0, 0, 1).into(), 6_881)
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: Instant::now(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            loss_percent: 0,
            hosts: HashMap::new(),
            honest: Vec::new(),
            flying: BTreeMap::new(),
            timers: BTreeSet::new(),
            timer_of: HashMap::new(),
            next: 0,
            events: Vec::new(),
            datagrams: 0,
        }
    }

    /// A node at `at` that knows a few others; its id fits its address.
    pub(crate) fn join(&mut self, at: SocketAddr) {
        let external = vec![at.ip()];
        let config = Config { v4: at.is_ipv4(), v6: at.is_ipv6(), external, ..Config::default() };
        self.join_as(at, config);
    }

    pub(crate) fn join_as(&mut self, at: SocketAddr, config: Config) {
        let rng = ChaCha8Rng::seed_from_u64(self.rng.next_u64());
        let mut node = Node::new(self.now, config, None, rng);
        let same: Vec<SocketAddr> =
            self.honest.iter().filter(|other| other.is_ipv4() == at.is_ipv4()).copied().collect();
        for _ in 0..3.min(same.len()) {
            node.add_node(self.now, same[self.rng.next_u32() as usize % same.len()]);
        }
        self.honest.push(at);
        self.hosts.insert(at, Host::Honest(Box::new(node)));
        self.settle(at);
    }

    /// Somebody hostile, of whom some honest nodes get to know.
    pub(crate) fn join_hostile(&mut self, at: SocketAddr, hostile: Hostile) {
        self.hosts.insert(at, Host::Hostile(hostile));
        for _ in 0..10 {
            let victim = self.honest[self.rng.next_u32() as usize % self.honest.len()];
            self.with(victim, |node, now| node.add_node(now, at));
        }
    }

    /// `at` is gone without a word.
    pub(crate) fn leave(&mut self, at: SocketAddr) {
        self.hosts.remove(&at);
        self.honest.retain(|other| *other != at);
        if let Some(timer) = self.timer_of.remove(&at) {
            self.timers.remove(&(timer, at));
        }
    }

    pub(crate) fn node(&self, at: SocketAddr) -> &Node<ChaCha8Rng> {
        match &self.hosts[&at] {
            Host::Honest(node) => node,
            Host::Hostile(_) => panic!("{at} is hostile"),
        }
    }

    /// Does something with a node and carries what it sends.
    pub(crate) fn with<T>(
        &mut self,
        at: SocketAddr,
        act: impl FnOnce(&mut Node<ChaCha8Rng>, Instant) -> T,
    ) -> T {
        let Some(Host::Honest(node)) = self.hosts.get_mut(&at) else { panic!("{at} is no node") };
        let result = act(node, self.now);
        self.settle(at);
        result
    }

    /// Any honest node.
    pub(crate) fn anyone(&mut self) -> SocketAddr {
        self.honest[self.rng.next_u32() as usize % self.honest.len()]
    }

    fn settle(&mut self, at: SocketAddr) {
        let Some(Host::Honest(node)) = self.hosts.get_mut(&at) else { return };
        let mut sent = Vec::new();
        while let Some(transmit) = node.poll_transmit() {
            sent.push((transmit.to, transmit.octets));
        }
        while let Some(event) = node.poll_event() {
            self.events.push((at, event));
        }
        let timer = node.poll_timeout();
        if let Some(old) = self.timer_of.insert(at, timer) {
            self.timers.remove(&(old, at));
        }
        self.timers.insert((timer, at));
        for (to, octets) in sent {
            self.send(at, to, octets);
        }
    }

    pub(crate) fn send(&mut self, from: SocketAddr, to: SocketAddr, octets: Vec<u8>) {
        self.datagrams += 1;
        if self.rng.next_u32() % 100 < self.loss_percent {
            return;
        }
        let delay = Duration::from_millis(10 + u64::from(self.rng.next_u32() % 190));
        self.next += 1;
        self.flying.insert((self.now + delay, self.next), (from, to, octets));
    }

    /// Lets the next thing happen that is due until `end`.
    fn step(&mut self, end: Instant) -> bool {
        let arrival = self.flying.first_key_value().map(|((at, _), _)| *at);
        let timer = self.timers.first().map(|(at, _)| *at);
        let Some(at) = arrival.into_iter().chain(timer).min().filter(|at| *at <= end) else {
            self.now = end;
            return false;
        };
        self.now = self.now.max(at);
        if arrival == Some(at) {
            let Some((_, (from, to, octets))) = self.flying.pop_first() else { return false };
            match self.hosts.get_mut(&to) {
                Some(Host::Honest(node)) => {
                    node.handle_datagram(self.now, from, &octets);
                    self.settle(to);
                }
                Some(Host::Hostile(hostile)) => {
                    for octets in hostile.reply(&octets, &mut self.rng) {
                        self.send(to, from, octets);
                    }
                }
                None => {}
            }
        } else if let Some((_, host)) = self.timers.pop_first() {
            self.timer_of.remove(&host);
            self.with(host, Node::handle_timeout);
        }
        true
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
    }

    /// Runs until an operation is over, at most three minutes.
    pub(crate) fn finish(&mut self, at: SocketAddr, operation: OperationId) -> Outcome {
        let end = self.now + Duration::from_mins(3);
        loop {
            let over = |event: &(SocketAddr, Event)| matches!(event, (host, Event::Finished { operation: other, .. }) if *host == at && *other == operation);
            if let Some(place) = self.events.iter().position(over) {
                let (_, event) = self.events.remove(place);
                let Event::Finished { outcome, .. } = event else { unreachable!() };
                return outcome;
            }
            assert!(self.step(end), "the operation does not end");
        }
    }

    /// The peers told to `at` for an operation so far.
    pub(crate) fn peers(&self, at: SocketAddr, operation: OperationId) -> Vec<SocketAddr> {
        let told = self.events.iter().filter(|(host, _)| *host == at).filter_map(|(_, event)| match event {
            Event::Peers { operation: other, peers } if *other == operation => Some(peers),
            _ => None,
        });
        told.flatten().copied().collect()
    }

    /// Addresses and ids that nodes were told of.
    pub(crate) fn externals(&self) -> Vec<(SocketAddr, IpAddr, Option<Id>)> {
        let told = self.events.iter().filter_map(|(host, event)| match event {
            Event::External { address, new_id } => Some((*host, *address, *new_id)),
            _ => None,
        });
        told.collect()
    }

    /// `count` nodes that have found one another.
    pub(crate) fn grow(&mut self, count: u32) {
        for number in 0..count {
            self.join(address(number));
            // Not all in the same moment.
            if number % 20 == 0 {
                self.run(Duration::from_secs(1));
            }
        }
        self.run(Duration::from_mins(2));
    }

    /// A contact that does not exist, as near to `target` as can be.
    pub(crate) fn made_up(target: &Id, rng: &mut ChaCha8Rng) -> Contact {
        let ip: IpAddr = Ipv4Addr::from((90 << 24) + (rng.next_u32() & 0x00ff_ffff)).into();
        Contact { id: target.random_sharing(40, true, rng), address: SocketAddr::new(ip, 1_024) }
    }
}
