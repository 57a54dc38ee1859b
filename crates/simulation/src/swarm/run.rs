//! The scheduler of a swarm.

use super::carried::{Carried, Flight, deliver};
use super::host::{Host, Sending, span};
use super::outcome::Outcome;
use super::plan::Plan;
use super::tracker::Tracker;
use bittorrent::torrent::{BlockUse, Octets, PeerFacts, PieceLengths, PieceSet, Send};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

/// Something that happens at a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Join {
        host: u32,
    },
    Leave {
        host: u32,
    },
    Tick {
        host: u32,
        stay: u32,
    },
    /// The first block in the uplink has left.
    Sent {
        host: u32,
        stay: u32,
    },
    /// A block has come through the downlink.
    Block {
        from: u32,
        to: u32,
        connection: u32,
        octets: Octets,
        wrong: bool,
    },
}

/// The hosts, what is under way, and what is planned.
pub(super) struct Swarm<'plan> {
    pub(super) plan: &'plan Plan,
    rng: ChaCha12Rng,
    pub(super) epoch: Instant,
    pub(super) now: Instant,
    pub(super) hosts: Vec<Host>,
    tracker: Tracker,
    planned: BinaryHeap<Reverse<(Instant, u64, Happening)>>,
    flights: VecDeque<Flight>,
    order: u64,
    connections: u32,
    /// Hosts to be polled.
    busy: Vec<u32>,
    /// Leechers that are not complete.
    pub(super) incomplete: usize,
    /// Pieces of which no leecher that sends has a copy.
    pub(super) uncopied: PieceSet,
    pub(super) outcome: Outcome,
}

/// Runs a swarm until everybody is complete or its time is over.
///
/// # Panics
/// If the plan has more than [`Plan::HOSTS_MAX`] hosts, or lengths that make no
/// torrent.
pub fn run(plan: &Plan) -> Outcome {
    assert!(plan.hosts.len() <= Plan::HOSTS_MAX, "{} hosts are too many", plan.hosts.len());
    let octets = u64::from(plan.pieces) * u64::from(plan.piece_octets);
    let lengths =
        PieceLengths::uniform(octets, plan.piece_octets).expect("the plan's lengths make a torrent");
    let epoch = Instant::now();
    let mut rng = ChaCha12Rng::seed_from_u64(plan.seed);
    let hosts: Vec<Host> = (plan.hosts.iter())
        .map(|host| Host::new(epoch, plan, *host, lengths.clone(), rng.random()))
        .collect();
    let count = hosts.len();
    let mut swarm = Swarm {
        plan,
        rng,
        epoch,
        now: epoch,
        incomplete: hosts.iter().filter(|host| !host.plan.is_seed).count(),
        tracker: Tracker::default(),
        planned: BinaryHeap::new(),
        flights: VecDeque::new(),
        order: 0,
        connections: 0,
        busy: Vec::new(),
        uncopied: PieceSet::full(plan.pieces),
        outcome: Outcome {
            completed: hosts.iter().map(|host| host.plan.is_seed.then_some(Duration::ZERO)).collect(),
            sent_octets: vec![0; count],
            received_octets: vec![0; count],
            wasted_octets: vec![0; count],
            banned_by: vec![0; count],
            one_copy: None,
            ended: Duration::ZERO,
            blocks: 0,
            digest: 0xcbf2_9ce4_8422_2325,
        },
        hosts,
    };
    for (host, plan) in plan.hosts.iter().enumerate() {
        let host = host as u32;
        swarm.plan_at(epoch + plan.joins, Happening::Join { host });
        if let Some((leaves, comes)) = plan.away {
            swarm.plan_at(epoch + leaves, Happening::Leave { host });
            swarm.plan_at(epoch + comes, Happening::Join { host });
        }
    }
    let until = epoch + plan.span_max;
    while swarm.incomplete > 0 && swarm.step(until) {}
    swarm.finish()
}

impl Swarm<'_> {
    fn plan_at(&mut self, at: Instant, happening: Happening) {
        self.order += 1;
        self.planned.push(Reverse((at, self.order, happening)));
    }

    fn step(&mut self, until: Instant) -> bool {
        let flight = self.flights.front().map(|flight| (flight.at, flight.order));
        let planned = self.planned.peek().map(|Reverse((at, order, _))| (*at, *order));
        let Some((at, _)) = flight.into_iter().chain(planned).min().filter(|(at, _)| *at <= until) else {
            return false;
        };
        self.now = at;
        if flight.is_some_and(|flight| planned.is_none_or(|planned| flight < planned)) {
            if let Some(flight) = self.flights.pop_front() {
                self.arrive(flight);
            }
        } else if let Some(Reverse((_, _, happening))) = self.planned.pop() {
            self.happen(happening);
        }
        while let Some(host) = self.busy.pop() {
            self.poll(host);
        }
        true
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Join { host } => self.join(host),
            Happening::Leave { host } => self.leave(host),
            Happening::Tick { host, stay } => {
                let now = self.now;
                let place = &mut self.hosts[host as usize];
                if place.is_here && place.stay == stay {
                    place.torrent.handle_timeout(now);
                    if let Some(at) = place.torrent.poll_timeout() {
                        self.plan_at(at, Happening::Tick { host, stay });
                    }
                    self.busy.push(host);
                }
            }
            Happening::Sent { host, stay } => self.sent(host, stay),
            Happening::Block { from, to, connection, octets, wrong } => {
                self.block(from, to, connection, octets, wrong);
            }
        }
    }

    fn join(&mut self, host: u32) {
        let now = self.now;
        let place = &mut self.hosts[host as usize];
        if place.is_here {
            return;
        }
        place.is_here = true;
        place.stay += 1;
        place.downlink_free = now;
        let stay = place.stay;
        // Nobody's clock is in step with another's.
        let phase = Duration::from_micros(self.rng.random_range(0..10_000));
        self.plan_at(now + phase, Happening::Tick { host, stay });
        for other in self.tracker.join(host, self.plan.neighbours, &mut self.rng) {
            self.connect(host, other);
        }
    }

    fn connect(&mut self, one: u32, other: u32) {
        let now = self.now;
        let banned = |host: u32, peer| self.hosts[host as usize].banned.contains(&peer);
        if banned(one, other) || banned(other, one) {
            return;
        }
        // Two complete hosts have nothing to say to each other.
        let complete = |host: u32| self.hosts[host as usize].torrent.is_finished();
        if complete(one) && complete(other) {
            return;
        }
        self.connections += 1;
        for (host, peer) in [(one, other), (other, one)] {
            let facts = PeerFacts { round_trip: Some(self.plan.delay * 2), ..PeerFacts::default() };
            let place = &mut self.hosts[host as usize];
            if place.torrent.add_peer(now, Host::key(peer), facts).is_ok() {
                place.links.insert(peer, self.connections);
                self.busy.push(host);
            }
        }
    }

    pub(super) fn disconnect(&mut self, host: u32, peer: u32) {
        let now = self.now;
        let place = &mut self.hosts[host as usize];
        let Some(connection) = place.links.remove(&peer) else { return };
        place.torrent.remove_peer(now, Host::key(peer));
        self.busy.push(host);
        self.fly(host, peer, connection, Carried::Closed);
    }

    pub(super) fn leave(&mut self, host: u32) {
        let place = &mut self.hosts[host as usize];
        if !place.is_here {
            return;
        }
        place.is_here = false;
        place.uplink.clear();
        let mut peers: Vec<u32> = place.links.keys().copied().collect();
        peers.sort_unstable();
        for peer in peers {
            self.disconnect(host, peer);
        }
        self.tracker.leave(host);
    }

    fn fly(&mut self, from: u32, to: u32, connection: u32, what: Carried) {
        self.order += 1;
        let at = self.now + self.plan.delay;
        self.flights.push_back(Flight { at, order: self.order, from, to, connection, what });
    }

    fn arrive(&mut self, flight: Flight) {
        let Flight { from, to, connection, what, .. } = flight;
        let now = self.now;
        let place = &mut self.hosts[to as usize];
        if place.links.get(&from) != Some(&connection) {
            return;
        }
        match what {
            Carried::Message(send) => {
                deliver(place, now, from, send);
                self.busy.push(to);
            }
            Carried::Block { octets, wrong } => {
                let free = place.downlink_free.max(now) + span(octets.octets, place.plan.down);
                place.downlink_free = free;
                if free > now {
                    self.plan_at(free, Happening::Block { from, to, connection, octets, wrong });
                } else {
                    self.block(from, to, connection, octets, wrong);
                }
            }
            Carried::Closed => {
                place.links.remove(&from);
                place.torrent.remove_peer(now, Host::key(from));
                self.busy.push(to);
            }
        }
    }

    fn block(&mut self, from: u32, to: u32, connection: u32, octets: Octets, wrong: bool) {
        let now = self.now;
        let place = &mut self.hosts[to as usize];
        if place.links.get(&from) != Some(&connection) {
            return;
        }
        if place.torrent.handle_block(now, Host::key(from), octets) == BlockUse::Wanted {
            place.write(octets, wrong);
        }
        self.outcome.blocks += 1;
        let nanoseconds = now.saturating_duration_since(self.epoch).as_nanos() as u64;
        for number in
            [nanoseconds, u64::from(from), u64::from(to), u64::from(octets.piece), u64::from(octets.begin)]
        {
            // FNV-1a over words: runs are compared, nothing is kept secret.
            self.outcome.digest = (self.outcome.digest ^ number).wrapping_mul(0x0100_0000_01b3);
        }
        self.busy.push(to);
    }

    fn sent(&mut self, host: u32, stay: u32) {
        let now = self.now;
        let place = &mut self.hosts[host as usize];
        if place.stay != stay {
            return;
        }
        let Some(Sending { to, connection, octets, wrong }) = place.uplink.pop_front() else { return };
        if place.links.get(&to) == Some(&connection) {
            place.torrent.handle_block_sent(now, Host::key(to), octets, true);
            self.fly(host, to, connection, Carried::Block { octets, wrong });
        }
        self.busy.push(host);
        self.start_sending(host);
    }

    fn start_sending(&mut self, host: u32) {
        let place = &mut self.hosts[host as usize];
        // Blocks for those who are gone take no time.
        while place.uplink.front().is_some_and(|it| place.links.get(&it.to) != Some(&it.connection)) {
            place.uplink.pop_front();
        }
        if let Some(next) = place.uplink.front() {
            let (at, stay) = (self.now + span(next.octets.octets, place.plan.up), place.stay);
            self.plan_at(at, Happening::Sent { host, stay });
        }
    }

    /// Carries what a host wants sent, and does what it wants done.
    fn poll(&mut self, host: u32) {
        let now = self.now;
        loop {
            let place = &mut self.hosts[host as usize];
            if let Some(event) = place.torrent.poll_event() {
                self.act(host, event);
                continue;
            }
            let Some((peer, send)) = place.torrent.poll_send(now) else { break };
            let Some(connection) = place.links.get(&peer.0).copied() else { continue };
            if let Send::Serve(octets) = send {
                let wrong = place.lies();
                place.uplink.push_back(Sending { to: peer.0, connection, octets, wrong });
                if place.uplink.len() == 1 {
                    self.start_sending(host);
                }
            } else {
                self.fly(host, peer.0, connection, Carried::Message(send));
            }
        }
    }

    fn finish(mut self) -> Outcome {
        for (at, host) in self.hosts.iter().enumerate() {
            let totals = host.torrent.totals();
            self.outcome.sent_octets[at] = totals.sent_octets;
            self.outcome.received_octets[at] = totals.received_octets;
            self.outcome.wasted_octets[at] = totals.wasted_octets;
        }
        self.outcome.ended = self.now.saturating_duration_since(self.epoch);
        self.outcome
    }
}
