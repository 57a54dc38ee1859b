//! The simulation itself: what its links do to datagrams and streams, and that
//! a seed replays a run.

use simulation::{
    ATTEMPTS_MAX, Link, Node, NodeId, RETRANSMISSION, Simulation, StreamEvent, StreamId, Transmit,
};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

fn at(last: u8) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(192, 0, 2, last).into(), 7)
}

/// Sends what it is told and notes what it gets.
#[derive(Default)]
struct Peer {
    out: VecDeque<Transmit>,
    datagrams: Vec<(Instant, Vec<u8>)>,
    events: Vec<(Instant, StreamEvent)>,
    stream: Option<StreamId>,
    deaf: bool,
    wake: Option<Instant>,
    woken: Vec<Instant>,
}

impl Node for Peer {
    fn handle_datagram(&mut self, now: Instant, _: SocketAddr, _: SocketAddr, octets: &[u8]) {
        self.datagrams.push((now, octets.to_vec()));
    }

    fn handle_stream(&mut self, now: Instant, stream: StreamId, event: StreamEvent) {
        if let StreamEvent::Opened { .. } = event {
            self.stream = Some(stream);
        }
        self.events.push((now, event));
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.wake = None;
        self.woken.push(now);
    }

    fn poll_transmit(&mut self, _: Instant) -> Option<Transmit> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.wake
    }

    fn accepts(&self, _: SocketAddr) -> bool {
        !self.deaf
    }
}

fn pair(seed: u64, link: Link) -> (Simulation<Peer>, NodeId, NodeId) {
    let mut simulation = Simulation::new(seed, link);
    let one = simulation.add(&[at(1).ip()], Peer::default());
    let two = simulation.add(&[at(2).ip()], Peer::default());
    (simulation, one, two)
}

fn send(simulation: &mut Simulation<Peer>, from: NodeId, octets: Vec<u8>) {
    simulation
        .with(from, |peer, _| peer.out.push_back(Transmit::Datagram { from: at(1), to: at(2), octets }));
}

/// When each datagram arrived, in milliseconds, and its first octet.
fn arrivals(simulation: &Simulation<Peer>, node: NodeId, epoch: Instant) -> Vec<(u128, u8)> {
    let arrival = |(at, octets): &(Instant, Vec<u8>)| (at.duration_since(epoch).as_millis(), octets[0]);
    simulation.node(node).datagrams.iter().map(arrival).collect()
}

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn a_link_delays_and_spaces_datagrams_by_its_rate() {
    let link = Link { delay: 20 * MILLISECOND, rate_octets_per_second: Some(100_000), ..Link::default() };
    let (mut simulation, one, two) = pair(1, link);
    let epoch = simulation.now();
    (0..3).for_each(|n| send(&mut simulation, one, vec![n; 1_000]));
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(arrivals(&simulation, two, epoch), [(30, 0), (40, 1), (50, 2)]);
}

#[test]
fn a_full_queue_drops_datagrams() {
    let link = Link { rate_octets_per_second: Some(1_000), queue_octets_max: 2_500, ..Link::default() };
    let (mut simulation, one, two) = pair(1, link);
    (0..10).for_each(|n| send(&mut simulation, one, vec![n; 1_000]));
    simulation.run_for(Duration::from_mins(1));
    assert_eq!(simulation.node(two).datagrams.len(), 2);
}

#[test]
fn loss_is_about_as_configured_and_partition_is_total() {
    let (mut simulation, one, two) = pair(7, Link { loss: 0.3, ..Link::default() });
    (0..2_000).for_each(|_| send(&mut simulation, one, vec![0]));
    simulation.run_for(Duration::from_secs(1));
    let arrived = simulation.node(two).datagrams.len();
    assert!((1_300..1_500).contains(&arrived), "{arrived} of 2,000");
    simulation.set_partition(at(1).ip(), at(2).ip(), true);
    (0..100).for_each(|_| send(&mut simulation, one, vec![0]));
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(simulation.node(two).datagrams.len(), arrived);
    simulation.set_partition(at(1).ip(), at(2).ip(), false);
    (0..100).for_each(|_| send(&mut simulation, one, vec![0]));
    simulation.run_for(Duration::from_secs(1));
    assert!(simulation.node(two).datagrams.len() > arrived);
}

#[test]
fn reordering_lets_later_datagrams_overtake() {
    let (mut simulation, one, two) = pair(3, Link { reordering: 0.5, ..Link::default() });
    let epoch = simulation.now();
    for n in 0..20 {
        send(&mut simulation, one, vec![n]);
        simulation.run_for(MILLISECOND);
    }
    simulation.run_for(Duration::from_secs(1));
    let order: Vec<u8> = arrivals(&simulation, two, epoch).iter().map(|(_, n)| *n).collect();
    assert_eq!(order.len(), 20);
    assert!(!order.is_sorted(), "{order:?}");
}

fn open(simulation: &mut Simulation<Peer>, one: NodeId) {
    simulation.with(one, |peer, _| peer.out.push_back(Transmit::Open { from: at(1), to: at(2) }));
}

/// The octets a peer received on its stream, in order.
fn received(peer: &Peer) -> Vec<u8> {
    let octets = |(_, event): &(Instant, StreamEvent)| match event {
        StreamEvent::Octets(octets) => octets.clone(),
        _ => Vec::new(),
    };
    peer.events.iter().flat_map(octets).collect()
}

#[test]
fn a_stream_brings_all_octets_in_order_through_loss() {
    for seed in 0..20 {
        let link = Link { loss: 0.3, jitter: 40 * MILLISECOND, ..Link::default() };
        let (mut simulation, one, two) = pair(seed, link);
        open(&mut simulation, one);
        assert!(
            simulation.run_until(Duration::from_mins(1), |s| s.node(one).stream.is_some()),
            "seed {seed}"
        );
        let stream = simulation.node(one).stream.expect("open");
        for n in 0..100 {
            simulation.with(one, |peer, _| peer.out.push_back(Transmit::Send { stream, octets: vec![n] }));
        }
        simulation.with(one, |peer, _| peer.out.push_back(Transmit::Close { stream }));
        simulation.run_for(Duration::from_mins(5));
        let there = simulation.node(two);
        assert_eq!(received(there), (0..100).collect::<Vec<u8>>(), "seed {seed}");
        assert_eq!(there.events.last().map(|(_, event)| event), Some(&StreamEvent::Closed));
    }
}

#[test]
fn opening_takes_a_round_trip_and_may_be_refused() {
    let (mut simulation, one, two) = pair(1, Link::default());
    let epoch = simulation.now();
    open(&mut simulation, one);
    simulation.run_for(Duration::from_secs(1));
    let opened = simulation.node(one).events[0].0.duration_since(epoch);
    assert_eq!(opened, 20 * MILLISECOND);
    simulation.with(two, |peer, _| peer.deaf = true);
    open(&mut simulation, one);
    simulation.run_for(Duration::from_secs(1));
    let last = &simulation.node(one).events.last().expect("an event").1;
    assert_eq!(last, &StreamEvent::Refused { local: at(1), peer: at(2) });
}

#[test]
fn a_stream_over_a_parted_path_breaks_at_both_ends() {
    let (mut simulation, one, two) = pair(1, Link::default());
    open(&mut simulation, one);
    simulation.run_for(Duration::from_secs(1));
    let stream = simulation.node(one).stream.expect("open");
    simulation.set_partition(at(1).ip(), at(2).ip(), true);
    let sent = simulation.now();
    simulation.with(one, |peer, _| peer.out.push_back(Transmit::Send { stream, octets: vec![1] }));
    simulation.run_for(Duration::from_mins(5));
    // After the last attempt, each waited for twice as long as the one before.
    let broken = sent + RETRANSMISSION * (1 << ATTEMPTS_MAX);
    for node in [one, two] {
        assert_eq!(simulation.node(node).events.last(), Some(&(broken, StreamEvent::Broken)));
    }
    assert_eq!(received(simulation.node(two)), []);
}

#[test]
fn timeouts_come_when_they_are_wanted() {
    let (mut simulation, one, _) = pair(1, Link::default());
    let wanted = simulation.now() + Duration::from_secs(5);
    simulation.with(one, |peer, _| peer.wake = Some(wanted));
    simulation.run_for(Duration::from_secs(10));
    assert_eq!(simulation.node(one).woken, [wanted]);
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_gives_another() {
    let run = |seed| {
        let (mut simulation, one, _) =
            pair(seed, Link { loss: 0.5, jitter: 9 * MILLISECOND, ..Link::default() });
        (0..100).for_each(|n| send(&mut simulation, one, vec![n]));
        simulation.run_for(Duration::from_secs(1));
        simulation.trace().clone()
    };
    assert_eq!(run(5).to_string(), run(5).to_string());
    assert_eq!(run(5).digest(), run(5).digest());
    assert_ne!(run(5).digest(), run(6).digest());
}

#[test]
fn the_trace_keeps_its_last_lines_and_a_digest_of_all() {
    let (mut simulation, one, _) = pair(1, Link::default());
    for _ in 0..6_000 {
        send(&mut simulation, one, vec![0]);
    }
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(simulation.trace().told(), 12_000);
    assert_eq!(simulation.trace().lines().count(), 10_000);
}

#[test]
fn datagrams_to_nobody_are_noted() {
    let (mut simulation, one, _) = pair(1, Link::default());
    let nowhere: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)), 7);
    let lost = Transmit::Datagram { from: at(1), to: nowhere, octets: vec![1] };
    simulation.with(one, |peer, _| peer.out.push_back(lost));
    simulation.run_for(Duration::from_secs(1));
    assert!(simulation.trace().lines().any(|line| line.contains("nobody there")));
}
