//! Networks of hundreds of nodes with loss, churn and hostile nodes: what was
//! announced and stored is found. `UTOPIA_SEED=n` replays a run.

mod hostile;
mod network;

use bittorrent::bencode;
use bittorrent::dht::security::{id_fits, id_for};
use bittorrent::dht::{
    Config, Family, Id, Item, MutableItem, Outcome, PeersWanted, SecretKey, TorrentKey, TorrentPointer,
    Value, Wanted,
};
use hostile::Hostile;
use network::{Network, address, address_v6};
use rand_chacha::rand_core::Rng;
use std::net::SocketAddr;
use std::time::Duration;

fn seed() -> u64 {
    let seed = std::env::var("UTOPIA_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("UTOPIA_SEED={seed}");
    seed
}

fn announce(network: &mut Network, at: SocketAddr, info_hash: Id) -> usize {
    let operation = network.with(at, |node, now| node.announce(now, info_hash, Some(4_000), false));
    match network.finish(at, operation.expect("room")) {
        Outcome::Announced { stored, .. } => stored,
        other => panic!("{other:?}"),
    }
}

fn lookup(network: &mut Network, at: SocketAddr, info_hash: Id) -> Vec<SocketAddr> {
    let operation = network.with(at, |node, now| node.lookup_peers(now, info_hash, PeersWanted::default()));
    let operation = operation.expect("room");
    network.finish(at, operation);
    network.peers(at, operation)
}

fn put(network: &mut Network, at: SocketAddr, item: Item, cas: Option<i64>) -> (usize, usize, Option<i64>) {
    let operation = network.with(at, |node, now| node.put_item(now, item, cas));
    match network.finish(at, operation.expect("room")) {
        Outcome::Put { stored, refused, newer } => (stored, refused, newer),
        other => panic!("{other:?}"),
    }
}

fn get(network: &mut Network, at: SocketAddr, wanted: Wanted) -> Option<Item> {
    let operation = network.with(at, |node, now| node.get_item(now, wanted));
    match network.finish(at, operation.expect("room")) {
        Outcome::Item(item) => item,
        other => panic!("{other:?}"),
    }
}

fn text(text: &str) -> Value {
    Value::encode(&bencode::Item::from(text)).expect("a value")
}

#[test]
fn announced_peers_are_found_from_anywhere_in_a_thousand_nodes() {
    let mut network = Network::new(seed());
    network.grow(1_000);
    let (mut queries, mut times) = (Vec::new(), Vec::new());
    for round in 0..30 {
        let info_hash = Id::random(&mut network.rng);
        let (publisher, searcher) = (network.anyone(), network.anyone());
        assert_eq!(announce(&mut network, publisher, info_hash), 8);
        let (before, begun) = (network.datagrams, network.now);
        let peer = SocketAddr::new(publisher.ip(), 4_000);
        assert_eq!(lookup(&mut network, searcher, info_hash), [peer], "round {round}");
        queries.push(network.datagrams - before);
        times.push(network.now - begun);
    }
    queries.sort_unstable();
    times.sort_unstable();
    // One way takes 10 to 200 ms.
    println!("a lookup takes {} datagrams and {:?} at the median", queries[15], times[15]);
}

#[test]
fn with_loss_dead_and_hostile_nodes_nearly_all_is_found() {
    let mut network = Network::new(seed());
    network.loss_percent = 5;
    network.grow(400);
    for number in 0..60 {
        let at = address(10_000 + number);
        let id = id_for(&at.ip(), &mut network.rng);
        let hostile =
            [Hostile::Liar(id), Hostile::Shifter, Hostile::Garbler, Hostile::Echo(id), Hostile::Forger(id)];
        network.join_hostile(at, hostile[number as usize % 5]);
    }
    network.run(Duration::from_mins(1));
    for _ in 0..80 {
        let gone = network.anyone();
        network.leave(gone);
    }
    let (mut found, mut stored, mut times) = (0, 0, Vec::new());
    for _ in 0..50 {
        let info_hash = Id::random(&mut network.rng);
        let (publisher, searcher) = (network.anyone(), network.anyone());
        stored += announce(&mut network, publisher, info_hash);
        let begun = network.now;
        let peers = lookup(&mut network, searcher, info_hash);
        times.push(network.now - begun);
        found += usize::from(peers.contains(&SocketAddr::new(publisher.ip(), 4_000)));
    }
    times.sort_unstable();
    println!("{found} of 50 found, in {:?} at the median, {stored} of 400 announcements stored", times[25]);
    assert!(found >= 48, "{found} of 50 found");
    assert!(stored >= 300, "{stored} of 400 stored");
}

#[test]
fn items_are_found_after_a_third_of_the_nodes_left() {
    let mut network = Network::new(seed());
    network.loss_percent = 3;
    network.grow(200);
    let secret = SecretKey::from_seed(&[5; 32]);
    let mut targets = Vec::new();
    for number in 0..20_i64 {
        let value = text(&format!("item {number}"));
        let item = if number % 2 == 0 {
            Item::Immutable(value)
        } else {
            Item::Mutable(MutableItem::sign(&secret, &number.to_be_bytes(), 1, value).expect("an item"))
        };
        let publisher = network.anyone();
        let (stored, ..) = put(&mut network, publisher, item.clone(), None);
        assert!(stored >= 5, "{stored} stored");
        let wanted = match &item {
            Item::Immutable(_) => Wanted::Immutable(item.target()),
            Item::Mutable(item) => Wanted::Mutable { key: item.key(), salt: item.salt().to_vec() },
        };
        targets.push((wanted, item));
    }
    for _ in 0..network.honest.len() / 3 {
        let gone = network.anyone();
        network.leave(gone);
    }
    for (wanted, item) in targets {
        let searcher = network.anyone();
        assert_eq!(get(&mut network, searcher, wanted.clone()), Some(item), "{wanted:?}");
    }
}

#[test]
fn an_item_outlives_its_two_hours_only_if_it_is_kept() {
    let mut network = Network::new(seed());
    network.grow(60);
    let (kept, left) = (Item::Immutable(text("kept")), Item::Immutable(text("left")));
    let publisher = network.anyone();
    for item in [&kept, &left] {
        assert_eq!(put(&mut network, publisher, item.clone(), None).0, 8);
    }
    network.with(publisher, |node, now| node.keep_item(now, kept.clone())).expect("room");
    network.run(Duration::from_mins(150));
    let searcher = network.anyone();
    assert_eq!(get(&mut network, searcher, Wanted::Immutable(kept.target())), Some(kept.clone()));
    assert_eq!(get(&mut network, searcher, Wanted::Immutable(left.target())), None);
    network.with(publisher, |node, _| node.forget_item(&kept.target()));
    network.run(Duration::from_hours(3));
    assert_eq!(get(&mut network, searcher, Wanted::Immutable(kept.target())), None);
}

#[test]
fn a_torrent_is_updated_under_its_key_and_a_race_is_noticed() {
    let mut network = Network::new(seed());
    network.grow(100);
    let secret = SecretKey::from_seed(&[9; 32]);
    let link: TorrentKey = format!("magnet:?xs=urn:btpk:{}&s=6e", secret.public()).parse().expect("a link");
    let wanted = Wanted::Mutable { key: link.key, salt: link.salt.clone() };
    let version = |sequence, octet| {
        let value = TorrentPointer { info_hash: Id::new([octet; 20]) }.value().expect("a value");
        Item::Mutable(MutableItem::sign(&secret, &link.salt, sequence, value).expect("an item"))
    };
    let (one, other, reader) = (address(1), address(2), address(3));
    assert_eq!(put(&mut network, one, version(1, 1), None), (8, 0, None));
    assert_eq!(put(&mut network, one, version(2, 2), Some(1)), (8, 0, None));
    // The other one does not know of version 2.
    assert_eq!(put(&mut network, other, version(2, 3), Some(1)), (0, 0, Some(2)));
    assert_eq!(put(&mut network, other, version(1, 1), None), (0, 0, Some(2)), "nor is an old one put again");
    let item = get(&mut network, reader, wanted).expect("an item");
    let pointer = TorrentPointer::read(item.value()).expect("an info-hash");
    assert_eq!(pointer.info_hash, Id::new([2; 20]));
}

#[test]
fn ids_come_to_fit_the_addresses_others_see() {
    let mut network = Network::new(seed());
    for number in 0..60 {
        network.join_as(address(number), Config::default());
    }
    network.run(Duration::from_mins(3));
    let fitting = |network: &Network| {
        let fits = |at: &&SocketAddr| {
            let status = network.node(**at).status(network.now, Family::V4).expect("a node");
            id_fits(&status.id, &at.ip())
        };
        network.honest.iter().filter(fits).count()
    };
    assert_eq!(fitting(&network), 60);
    assert!(network.externals().iter().all(|(host, address, _)| host.ip() == *address));
    let info_hash = Id::random(&mut network.rng);
    assert_eq!(announce(&mut network, address(1), info_hash), 8);
    assert_eq!(lookup(&mut network, address(50), info_hash).len(), 1);
}

#[test]
fn who_enforces_ids_is_not_surrounded() {
    let mut network = Network::new(seed());
    network.grow(150);
    let info_hash = Id::random(&mut network.rng);
    let publisher = network.anyone();
    assert_eq!(announce(&mut network, publisher, info_hash), 8);
    // Each has a network of its own and an id next to the torrent, which does not fit.
    for number in 0..60 {
        let id = info_hash.random_sharing(60, true, &mut network.rng);
        network.join_hostile(address(20_000 + number), Hostile::Echo(id));
    }
    let enforcing = address(30_000);
    let config = Config { enforce_ids: true, external: vec![enforcing.ip()], ..Config::default() };
    network.join_as(enforcing, config);
    network.run(Duration::from_mins(1));
    let peer = SocketAddr::new(publisher.ip(), 4_000);
    assert_eq!(lookup(&mut network, enforcing, info_hash), [peer]);
}

#[test]
fn both_families_are_separate_and_help_one_another() {
    let mut network = Network::new(seed());
    for number in 0..40 {
        network.join(address(number));
        network.join(address_v6(number as u16 + 1));
    }
    network.run(Duration::from_mins(1));
    let info_hash = Id::random(&mut network.rng);
    assert_eq!(announce(&mut network, address(3), info_hash), 8);
    assert_eq!(announce(&mut network, address_v6(3), info_hash), 8);
    assert_eq!(lookup(&mut network, address(9), info_hash), [SocketAddr::new(address(3).ip(), 4_000)]);
    assert_eq!(lookup(&mut network, address_v6(9), info_hash), [SocketAddr::new(address_v6(3).ip(), 4_000)]);
}

#[test]
fn a_search_for_peers_estimates_the_swarm() {
    let mut network = Network::new(seed());
    network.grow(120);
    let info_hash = Id::random(&mut network.rng);
    for number in 0..60 {
        let at = address(number);
        let operation = network.with(at, |node, now| node.announce(now, info_hash, None, number < 20));
        network.finish(at, operation.expect("room"));
    }
    let at = address(100);
    let wanted = PeersWanted { scrape: true, no_seed: false };
    let operation = network.with(at, |node, now| node.lookup_peers(now, info_hash, wanted)).expect("room");
    let Outcome::Peers(found) = network.finish(at, operation) else { panic!("no peers") };
    let sums = found.sums.expect("filters");
    let (seeds, peers) = (sums.seeds.estimate(), sums.peers.estimate());
    // One reply of 1,024 octets holds the filters and a third of the peers.
    assert!(found.peers > 50, "{}", found.peers);
    assert!((19.0..21.0).contains(&seeds) && (38.0..42.0).contains(&peers), "{seeds} {peers}");
    // The port is the one it was announced from.
    assert!(network.peers(at, operation).iter().all(|peer| (0..60).any(|number| *peer == address(number))));
}

#[test]
fn after_an_outage_the_network_is_found_again() {
    let mut network = Network::new(seed());
    network.grow(60);
    let cut = network.anyone();
    network.loss_percent = 100;
    network.run(Duration::from_mins(30));
    let good = |network: &Network| network.node(cut).status(network.now, Family::V4).expect("a node").good;
    assert_eq!(good(&network), 0);
    network.loss_percent = 0;
    network.run(Duration::from_mins(10));
    assert!(good(&network) >= 16, "{} good nodes", good(&network));
    let info_hash = Id::random(&mut network.rng);
    assert_eq!(announce(&mut network, cut, info_hash), 8);
    let searcher = network.anyone();
    assert_eq!(lookup(&mut network, searcher, info_hash).len(), 1);
}

#[test]
fn a_quiet_network_stays_together() {
    let mut network = Network::new(seed());
    network.grow(60);
    network.run(Duration::from_mins(5));
    let before = network.datagrams;
    network.run(Duration::from_hours(1));
    let each = (network.datagrams - before) / 60 / 60;
    println!("{each} datagrams a minute for each node without anything to do");
    assert!(each < 60, "{each} datagrams a minute");
    for at in network.honest.clone() {
        let status = network.node(at).status(network.now, Family::V4).expect("a node");
        assert!(status.good * 10 >= status.nodes * 9, "{status:?}");
    }
}

#[test]
fn a_flood_changes_nothing_for_others() {
    let mut network = Network::new(seed());
    network.grow(60);
    let victim = address(0);
    let query =
        b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa1:y1:qe";
    let before = network.datagrams;
    for _ in 0..5_000 {
        network.with(victim, |node, now| node.handle_datagram(now, address(40_000), query));
    }
    let replies = network.datagrams - before;
    assert!(replies < 250, "{replies} replies to a flood");
    let info_hash = Id::random(&mut network.rng);
    assert_eq!(announce(&mut network, victim, info_hash), 8);
    let _ = network.rng.next_u32();
    assert_eq!(lookup(&mut network, address(7), info_hash).len(), 1);
}
