//! Searches over made-up networks.

use super::*;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::net::Ipv4Addr;

const OWN: Id = Id::new([0xfe; 20]);

fn node(id: Id, number: u32) -> Contact {
    Contact { id, address: SocketAddr::new(Ipv4Addr::from((20 << 24) + (number << 8)).into(), 1) }
}

fn nodes(count: u32, seed: u64) -> Vec<Contact> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|number| node(Id::random(&mut rng), number)).collect()
}

/// The nodes closest to an id.
fn closest(nodes: &[Contact], target: &Id) -> Vec<Contact> {
    let mut nodes = nodes.to_vec();
    nodes.sort_by_key(|node| target.distance(&node.id));
    nodes.truncate(K);
    nodes
}

/// Runs a search over a network in which everybody knows the nodes closest to
/// anything, and `dead` nodes do not reply.
fn run(lookup: &mut Lookup, nodes: &[Contact], dead: &HashSet<Id>) {
    let mut open: VecDeque<Ask> = VecDeque::new();
    loop {
        while let Some(ask) = lookup.next_ask() {
            open.push_back(ask);
            assert!(open.len() <= ALPHA);
        }
        if lookup.is_finished() {
            return;
        }
        let ask = open.pop_front().expect("somebody is being asked");
        let there = nodes.iter().find(|node| node.address == ask.address);
        match there.filter(|node| !dead.contains(&node.id)) {
            Some(there) => {
                lookup.replied(ask, *there, Some(vec![1]), true, false);
                lookup.add_named(&closest(nodes, &lookup.target()));
            }
            None => lookup.failed(ask, false),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_nearest_living_nodes_are_found(seed: u64, dead_percent in 0u32..60) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let nodes = nodes(300, seed);
        let mut dead: HashSet<Id> = nodes.iter().map(|node| node.id).collect();
        dead.retain(|id| u32::from(id.octets()[19]) * 100 < dead_percent * 256);
        let living: Vec<Contact> = nodes.iter().filter(|node| !dead.contains(&node.id)).copied().collect();
        let mut lookup = Lookup::new(Id::random(&mut rng), OWN);
        lookup.add_entrance(living[0].address);
        // Everybody names living nodes here; who does not is in the next test.
        run(&mut lookup, &living, &dead);
        let found: Vec<Contact> = lookup.nearest(K).map(|(contact, _)| contact).collect();
        prop_assert_eq!(found, closest(&living, &lookup.target()));
        prop_assert_eq!(lookup.stores(K).count(), K);
    }
}

#[test]
fn dead_nodes_are_passed_over() {
    let nodes = nodes(100, 5);
    let target = Id::new([0x55; 20]);
    let dead: HashSet<Id> = closest(&nodes, &target).iter().take(5).map(|node| node.id).collect();
    let mut lookup = Lookup::new(target, OWN);
    for node in &nodes {
        lookup.add(*node);
    }
    run(&mut lookup, &nodes, &dead);
    let living: Vec<Contact> = nodes.iter().filter(|node| !dead.contains(&node.id)).copied().collect();
    let found: Vec<Contact> = lookup.nearest(K).map(|(contact, _)| contact).collect();
    assert_eq!(found, closest(&living, &target));
}

#[test]
fn who_makes_up_ever_nearer_nodes_is_given_up() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let target = Id::new([0x55; 20]);
    let mut lookup = Lookup::new(target, OWN);
    lookup.add_entrance(node(target, 0).address);
    let mut number = 0;
    while let Some(ask) = lookup.next_ask() {
        let here = node(ask.id.unwrap_or(Id::new([1; 20])), 0);
        lookup.replied(ask, Contact { address: ask.address, ..here }, None, true, false);
        let mut named = Vec::new();
        for _ in 0..100 {
            number += 1;
            named.push(node(target.random_sharing(number as usize / 30, true, &mut rng), number));
        }
        lookup.add_named(&named);
        assert!(lookup.candidates.len() <= CANDIDATES_MAX);
        assert!(lookup.seen.len() <= SEEN_MAX && lookup.holders.len() <= SEEN_MAX);
    }
    assert!(lookup.is_finished());
    assert!(lookup.queries() <= QUERIES_MAX, "{}", lookup.queries());
    assert!(lookup.queries() > 50, "it does not give up early: {}", lookup.queries());
}

#[test]
fn one_network_cannot_fill_a_search() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let target = Id::new([0x55; 20]);
    let mut lookup = Lookup::new(target, OWN);
    for host in 0..=255 {
        let id = target.random_sharing(60, true, &mut rng);
        lookup.add(Contact { id, address: SocketAddr::from(([9, 9, 9, host], 1)) });
        lookup.add(Contact {
            id: Id::random(&mut rng),
            address: SocketAddr::from(([9, 9, 8, 1], host.into())),
        });
    }
    assert_eq!(lookup.candidates.len(), NETWORK_NODES_MAX + 1);
    for number in 0..100 {
        lookup.add_entrance(node(target, number).address);
    }
    assert_eq!(lookup.entrances.len(), ENTRANCES_MAX);
}

#[test]
fn slow_nodes_make_room_for_others_and_are_waited_for_if_near() {
    let target = Id::new([0; 20]);
    let mut lookup = Lookup::new(target, OWN);
    let nodes: Vec<Contact> = (1..=20).map(|number| node(Id::new([number; 20]), number.into())).collect();
    for node in &nodes {
        lookup.add(*node);
    }
    let first = lookup.next_ask().expect("somebody");
    assert_eq!(first.id, Some(nodes[0].id));
    lookup.slow();
    while let Some(ask) = lookup.next_ask() {
        let there = nodes.iter().find(|node| node.address == ask.address).expect("there");
        lookup.replied(ask, *there, None, true, false);
    }
    assert_eq!(lookup.replies(), K);
    assert!(!lookup.is_finished(), "the nearest may still reply");
    lookup.replied(first, nodes[0], Some(vec![7]), true, true);
    assert!(lookup.is_finished());
    assert_eq!(lookup.nearest(1).next(), Some((nodes[0], Some(&[7][..]))));
    assert_eq!(lookup.stores(K).collect::<Vec<_>>(), [(nodes[0], &[7][..])]);
}

#[test]
fn who_is_another_than_named_or_unfit_does_not_count() {
    let target = Id::new([0; 20]);
    let mut lookup = Lookup::new(target, OWN);
    let (one, two) = (node(Id::new([1; 20]), 1), node(Id::new([2; 20]), 2));
    lookup.add(one);
    lookup.add(two);
    lookup.add(node(OWN, 3));
    let ask = lookup.next_ask().expect("one");
    lookup.replied(ask, Contact { id: Id::new([9; 20]), ..one }, Some(vec![1]), true, false);
    let ask = lookup.next_ask().expect("two");
    lookup.replied(ask, two, Some(vec![1]), false, false);
    assert!(lookup.next_ask().is_none() && lookup.is_finished());
    assert_eq!((lookup.stores(K).count(), lookup.replies()), (0, 1));
}
