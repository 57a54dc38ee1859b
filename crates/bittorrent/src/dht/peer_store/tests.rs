//! What is remembered of announced peers, and how much at most.

use super::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::net::Ipv4Addr;

const OWN: Id = Id::new([0; 20]);

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(1)
}

fn peer(ip: u32, port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from(ip).into(), port)
}

fn torrent(number: u32) -> Id {
    let mut octets = [0; 20];
    octets[..4].copy_from_slice(&number.to_be_bytes());
    Id::new(octets)
}

/// What the counters say is what is there.
fn assert_counted(store: &PeerStore) {
    let peers: usize = store.torrents.values().map(|torrent| torrent.all().count()).sum();
    assert_eq!(store.peers, peers);
    let mut announcers: HashMap<Holder, usize> = HashMap::new();
    for torrent in store.torrents.values() {
        let holders: std::collections::HashSet<Holder> =
            torrent.all().map(|peer| Holder::of(&peer.address.ip())).collect();
        for holder in holders {
            *announcers.entry(holder).or_default() += 1;
        }
    }
    assert_eq!(store.announcers, announcers);
}

#[test]
fn announced_peers_are_found_until_they_are_old() {
    let (now, mut rng) = (Instant::now(), rng());
    let mut store = PeerStore::new();
    let six: SocketAddr = "[2001:db8::1]:9".parse().expect("an address");
    assert!(store.announce(now, &OWN, torrent(1), peer(1, 1), true));
    assert!(store.announce(now, &OWN, torrent(1), peer(2, 1), false));
    assert!(store.announce(now, &OWN, torrent(1), six, false));
    let mut pick = |at, no_seed, count| store.pick(at, &torrent(1), Family::V4, no_seed, count, &mut rng);
    assert_eq!(pick(now, false, 9).len(), 2);
    assert_eq!(pick(now, true, 1), [peer(2, 1)], "no seed first");
    let late = now + PEER_LIFETIME;
    assert_eq!(pick(late, false, 9), []);
    assert_eq!(store.pick(now, &torrent(1), Family::V6, false, 9, &mut rng), [six]);
    assert!(store.announce(late, &OWN, torrent(1), peer(2, 1), true));
    store.expire(late);
    assert_eq!(store.pick(late, &torrent(1), Family::V4, false, 9, &mut rng), [peer(2, 1)]);
    assert_eq!((store.peers(), store.torrents()), (1, 1));
    assert_counted(&store);
    store.expire(late + PEER_LIFETIME);
    assert_eq!((store.peers(), store.torrents(), store.announcers.len()), (0, 0, 0));
}

#[test]
fn one_address_takes_no_more_than_its_share() {
    let (now, mut rng) = (Instant::now(), rng());
    let mut store = PeerStore::new();
    for port in 1..100 {
        assert!(store.announce(
            now + Duration::from_secs(port.into()),
            &OWN,
            torrent(1),
            peer(1, port),
            false
        ));
    }
    let mut ports: Vec<u16> =
        store.pick(now, &torrent(1), Family::V4, false, 9, &mut rng).iter().map(SocketAddr::port).collect();
    ports.sort_unstable();
    assert_eq!(ports, [96, 97, 98, 99]);
    let announced =
        (2..1_000).filter(|number| store.announce(now, &OWN, torrent(*number), peer(1, 1), false)).count();
    assert_eq!(announced, TORRENTS_OF_ADDRESS_MAX - 1);
    assert!(store.announce(now, &OWN, torrent(999), peer(2, 1), false), "others are not hindered");
    assert_counted(&store);
}

#[test]
fn a_full_store_keeps_what_is_near() {
    let now = Instant::now();
    let mut store = PeerStore::new();
    let announcer = |number: u32| peer(number / 100, 1);
    for number in (1..=TORRENTS_MAX as u32).map(|number| number * 2) {
        assert!(store.announce(now, &OWN, torrent(number), announcer(number), false));
    }
    let farthest = TORRENTS_MAX as u32 * 2;
    assert!(!store.announce(now, &OWN, torrent(farthest + 1), peer(9_999, 1), false));
    assert!(store.announce(now, &OWN, torrent(1), peer(9_999, 1), false));
    assert_eq!(store.torrents(), TORRENTS_MAX);
    assert!(!store.torrents.contains_key(&torrent(farthest)));
    assert_counted(&store);
    // What is old goes before what is far.
    let late = now + PEER_LIFETIME;
    assert!(store.announce(late, &OWN, torrent(u32::MAX), peer(1, 1), false));
    assert_eq!(store.torrents(), 1);
}

#[test]
fn peers_are_bounded_for_one_torrent_and_in_all() {
    let now = Instant::now();
    let mut store = PeerStore::new();
    let stored = (0..PEERS_MAX as u32 + 50)
        .filter(|ip| store.announce(now, &OWN, torrent(9), peer(*ip, 1), false))
        .count();
    assert_eq!(stored, PEERS_MAX);
    assert!(!store.has_room(&torrent(9), Family::V4));
    assert!(store.has_room(&torrent(9), Family::V6) && store.has_room(&torrent(8), Family::V4));
    for number in 10..70 {
        for ip in 0..PEERS_MAX as u32 {
            store.announce(now, &OWN, torrent(number), peer(number << 16 | ip, 1), false);
        }
    }
    assert_eq!(store.peers(), PEERS_IN_ALL_MAX);
    assert_counted(&store);
}

#[test]
fn samples_and_filters_tell_what_is_there() {
    let (now, mut rng) = (Instant::now(), rng());
    let mut store = PeerStore::new();
    assert_eq!(store.sample(now, &mut rng).info_hashes, []);
    for number in 0..100 {
        store.announce(now, &OWN, torrent(number), peer(number, 1), number % 2 == 0);
    }
    let soon = now + SAMPLE_INTERVAL;
    let samples = store.sample(soon, &mut rng);
    assert_eq!((samples.info_hashes.len(), samples.count, samples.interval_seconds), (SAMPLE_MAX, 100, 60));
    let same = store.sample(soon + Duration::from_secs(20), &mut rng);
    assert_eq!((same.info_hashes, same.interval_seconds), (samples.info_hashes.clone(), 40));
    assert_ne!(store.sample(soon + SAMPLE_INTERVAL, &mut rng).info_hashes, samples.info_hashes);
    assert_eq!(store.filters(&torrent(500)), None);
    for ip in 0..300 {
        store.announce(now, &OWN, torrent(7), peer(ip, 1), ip < 100);
    }
    let sums = store.filters(&torrent(7)).expect("filters");
    assert!((90.0..110.0).contains(&sums.seeds.estimate()), "{}", sums.seeds.estimate());
    assert!((185.0..215.0).contains(&sums.peers.estimate()), "{}", sums.peers.estimate());
}
