//! The swarm store against a naive model, its bounds and its choice of peers.

use super::*;
use crate::tracker::{Event, read_peer};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::{Duration, Instant};

const LIMITS: Limits = Limits { torrents_max: 100, peers_max: 10_000, peers_per_torrent_max: 1_000 };
const LIFETIME: Duration = Duration::from_hours(1);

/// A store of one family with a clock.
struct Tracker<S: Slot> {
    swarms: Swarms<S>,
    keyed: Keyed,
    rng: ChaCha8Rng,
    now: Instant,
}

impl<S: Slot> Tracker<S> {
    fn new(limits: Limits) -> Self {
        let (keyed, now) = (Keyed::new(17, 99), Instant::now());
        Self { swarms: Swarms::new(limits, keyed, now), keyed, rng: ChaCha8Rng::seed_from_u64(5), now }
    }

    fn announce(&mut self, torrent: u8, announce: &Announce<S>) -> Result<(Told, Vec<SocketAddr>), Refusal> {
        let info_hash = [torrent; 20];
        let announce = Announce { random: self.rng.next_u64(), ..*announce };
        let mut out = vec![0; announce.wanted * S::OCTETS];
        let at = self.keyed.info_hash(&info_hash);
        let told = self.swarms.announce(self.now, at, &info_hash, &announce, &mut out)?;
        let peers = out[..told.peers * S::OCTETS].chunks(S::OCTETS);
        Ok((told, peers.map(|peer| read_peer(S::FAMILY, peer).expect("a peer")).collect()))
    }

    fn scrape(&self, torrent: u8) -> Counts {
        let info_hash = [torrent; 20];
        self.swarms.scrape_closely(self.keyed.info_hash(&info_hash), &info_hash)
    }
}

fn four(n: u16) -> SocketAddrV4 {
    SocketAddrV4::new([10, 0, (n >> 8) as u8, n as u8].into(), 6_881 + n % 7)
}

fn six(n: u16) -> SocketAddrV6 {
    SocketAddrV6::new([0x2001, 0xdb8, 0, n, 0, 0, 0, n % 3].into(), 6_881 + n % 7, 0, 0)
}

fn leecher<S: Slot>(peer: S::Address) -> Announce<S> {
    Announce { peer, event: Event::Started, seed: false, wanted: 50, lifetime: LIFETIME, random: 0 }
}

fn seed<S: Slot>(peer: S::Address) -> Announce<S> {
    Announce { seed: true, ..leecher(peer) }
}

/// What a peer of the model is.
#[derive(Debug, Clone, Copy)]
struct Known {
    seed: bool,
    paused: bool,
    deadline: u64,
}

#[derive(Debug, Clone)]
enum Step {
    Announce { torrent: u8, peer: u16, event: Event, seed: bool, wanted: usize },
    Wait(u64),
    Sweep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let event = prop_oneof![
        4 => Just(Event::None), 2 => Just(Event::Started), 2 => Just(Event::Completed),
        2 => Just(Event::Stopped), 1 => Just(Event::Paused)
    ];
    let announce = (0_u8..3, 0_u16..60, event, any::<bool>(), 0_usize..40).prop_map(
        |(torrent, peer, event, seed, wanted)| Step::Announce { torrent, peer, event, seed, wanted },
    );
    let step = prop_oneof![30 => announce, 1 => (0_u64..3_000).prop_map(Step::Wait), 1 => Just(Step::Sweep)];
    proptest::collection::vec(step, 0..400)
}

/// Does the same to the store and to maps.
fn compare<S: Slot>(steps: Vec<Step>, address: fn(u16) -> S::Address) -> Result<(), TestCaseError> {
    let mut tracker = Tracker::<S>::new(LIMITS);
    let mut model: BTreeMap<u8, BTreeMap<u16, Known>> = BTreeMap::new();
    let mut completed: BTreeMap<u8, u32> = BTreeMap::new();
    let mut seconds = 0;
    for step in steps {
        match step {
            Step::Wait(more) => {
                seconds += more;
                tracker.now += Duration::from_secs(more);
            }
            Step::Sweep => {
                // Removing a torrent moves another one behind the cursor.
                tracker.swarms.sweep(tracker.now, 10);
                tracker.swarms.sweep(tracker.now, 10);
                for (torrent, swarm) in &mut model {
                    swarm.retain(|_, known| known.deadline / 16 >= seconds / 16);
                    if swarm.is_empty() {
                        completed.remove(torrent);
                    }
                }
                model.retain(|_, swarm| !swarm.is_empty());
                prop_assert_eq!(tracker.swarms.torrents(), model.len());
            }
            Step::Announce { torrent, peer, event, seed, wanted } => {
                let announce =
                    Announce { peer: address(peer), event, seed, wanted, lifetime: LIFETIME, random: 0 };
                let (told, peers) = tracker.announce(torrent, &announce).expect("room");
                if event == Event::Stopped {
                    if let Some(swarm) = model.get_mut(&torrent) {
                        swarm.remove(&peer);
                    }
                } else {
                    let swarm = model.entry(torrent).or_default();
                    let known = Known { seed, paused: event == Event::Paused, deadline: seconds + 3_600 };
                    let before = swarm.insert(peer, known);
                    if event == Event::Completed && seed && !before.is_some_and(|before| before.seed) {
                        *completed.entry(torrent).or_default() += 1;
                    }
                }
                let swarm = model.get(&torrent).cloned().unwrap_or_default();
                let seeds = swarm.values().filter(|known| known.seed).count();
                prop_assert_eq!((told.seeds, told.leechers), (seeds as u32, (swarm.len() - seeds) as u32));
                let uploads = (seed && event != Event::Started) || event == Event::Paused;
                let useful: BTreeSet<SocketAddr> = swarm
                    .iter()
                    .filter(|(n, known)| {
                        **n != peer
                            && known.deadline / 16 >= seconds / 16
                            && !(uploads && (known.seed || known.paused))
                    })
                    .map(|(n, _)| address(*n).into())
                    .collect();
                let given: BTreeSet<SocketAddr> = peers.iter().copied().collect();
                prop_assert_eq!(given.len(), peers.len(), "no peer twice");
                prop_assert!(given.is_subset(&useful));
                let expected = if event == Event::Stopped { 0 } else { wanted.min(useful.len()) };
                prop_assert_eq!(given.len(), expected);
            }
        }
        prop_assert_eq!(tracker.swarms.peers(), model.values().map(BTreeMap::len).sum::<usize>());
        for torrent in 0..3 {
            let swarm = model.get(&torrent).cloned().unwrap_or_default();
            let seeds = swarm.values().filter(|known| known.seed).count() as u32;
            let counts = Counts {
                seeds,
                leechers: swarm.len() as u32 - seeds,
                completed: completed.get(&torrent).copied().unwrap_or_default(),
                downloaders: swarm.values().filter(|known| !known.seed && !known.paused).count() as u32,
            };
            prop_assert_eq!(tracker.scrape(torrent), counts);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn it_is_as_good_as_maps_over_ipv4(steps in steps()) {
        compare::<Slot4>(steps, four)?;
    }

    #[test]
    fn it_is_as_good_as_maps_over_ipv6(steps in steps()) {
        compare::<Slot6>(steps, six)?;
    }
}

#[test]
fn a_torrent_with_its_first_peers_fills_one_line() {
    assert_eq!(size_of::<super::peers::Peers<Slot4>>(), 40);
    assert_eq!(size_of::<super::peers::Peers<Slot6>>(), 40);
}

#[test]
fn no_bound_is_exceeded() {
    let limits = Limits { torrents_max: 10, peers_max: 50, peers_per_torrent_max: 20 };
    let mut tracker = Tracker::<Slot4>::new(limits);
    for n in 0..1_000 {
        let (told, _) = tracker.announce(0, &leecher(four(n))).expect("one torrent");
        assert_eq!(told.stored, n < 20);
        // Who finds no room is still told of others.
        assert!(told.peers >= usize::from(n.min(20)), "{told:?}");
    }
    for torrent in 1..=255 {
        let outcome = tracker.announce(torrent, &leecher(four(1)));
        assert_eq!(outcome.is_err(), torrent >= 10, "{torrent}: {outcome:?}");
    }
    for n in 0..1_000 {
        let _ = tracker.announce((n % 300) as u8, &leecher(four(2_000 + n)));
    }
    assert_eq!((tracker.swarms.torrents(), tracker.swarms.peers()), (10, 50));
    // Those who are there are served as before, and room is made in time.
    assert!(tracker.announce(0, &seed(four(3))).expect("known").0.stored);
    tracker.now += 2 * LIFETIME;
    assert_eq!(tracker.swarms.sweep(tracker.now, 100), 50);
    assert_eq!((tracker.swarms.torrents(), tracker.swarms.peers()), (0, 0));
    assert!(tracker.announce(200, &leecher(four(1))).expect("room").0.stored);
}

#[test]
fn a_stranger_who_leaves_makes_no_torrent_and_port_0_no_peer() {
    let mut tracker = Tracker::<Slot4>::new(LIMITS);
    let stopped = Announce { event: Event::Stopped, ..leecher(four(1)) };
    assert_eq!(tracker.announce(1, &stopped).expect("nothing").0, Told::default());
    let nowhere = SocketAddrV4::new([10, 0, 0, 1].into(), 0);
    assert_eq!(tracker.announce(1, &leecher(nowhere)).expect("nothing").0, Told::default());
    assert_eq!(tracker.swarms.torrents(), 0);
    tracker.announce(1, &leecher(four(1))).expect("room");
    let (told, peers) = tracker.announce(1, &leecher(nowhere)).expect("told");
    assert_eq!((told.stored, told.leechers, peers), (false, 1, vec![four(1).into()]));
}

#[test]
fn a_download_is_counted_once() {
    let mut tracker = Tracker::<Slot4>::new(LIMITS);
    tracker.announce(1, &leecher(four(1))).expect("room");
    let completed = Announce { event: Event::Completed, ..seed(four(1)) };
    for _ in 0..3 {
        tracker.announce(1, &completed).expect("room");
    }
    let lie = Announce { event: Event::Completed, ..leecher(four(2)) };
    tracker.announce(1, &lie).expect("room");
    assert_eq!(tracker.scrape(1), Counts { seeds: 1, leechers: 1, completed: 1, downloaders: 1 });
}

/// As rqbit does, which says that nothing is left while it knows only a link.
#[test]
fn who_begins_as_a_seed_is_told_of_seeds_once() {
    let mut tracker = Tracker::<Slot4>::new(LIMITS);
    tracker.announce(1, &seed(four(1))).expect("room");
    let begins = seed(four(2));
    assert_eq!(tracker.announce(1, &begins).expect("room").1, [four(1).into()]);
    let goes_on = Announce { event: Event::None, ..begins };
    assert_eq!(tracker.announce(1, &goes_on).expect("room").1, []);
}

/// Every peer of a large swarm is told about as often as every other.
#[test]
fn peers_are_chosen_evenly() {
    let mut tracker = Tracker::<Slot4>::new(LIMITS);
    for n in 0..600 {
        tracker.announce(1, &leecher(four(n))).expect("room");
    }
    let mut told: BTreeMap<SocketAddr, u32> = BTreeMap::new();
    let rounds = 4_000;
    for _ in 0..rounds {
        let (_, peers) = tracker.announce(1, &leecher(four(0))).expect("room");
        assert_eq!(peers.len(), 50);
        for peer in peers {
            *told.entry(peer).or_default() += 1;
        }
    }
    assert_eq!(told.len(), 599);
    let mean = rounds * 50 / 599;
    let (least, most) = (told.values().min().expect("some"), told.values().max().expect("some"));
    assert!(*least > mean * 6 / 10 && *most < mean * 15 / 10, "{least} {mean} {most}");
}

#[test]
fn a_seed_among_thousands_of_seeds_is_told_of_leechers() {
    let limits = Limits { peers_per_torrent_max: 10_000, peers_max: 10_000, ..LIMITS };
    let mut tracker = Tracker::<Slot4>::new(limits);
    for n in 0..10_000 {
        tracker.announce(1, &seed(four(n))).expect("room");
    }
    for n in 0..100 {
        tracker.announce(1, &leecher(four(n))).expect("room");
    }
    let again = Announce { event: Event::None, ..seed(four(5_000)) };
    let (told, peers) = tracker.announce(1, &again).expect("room");
    assert_eq!((told.seeds, told.leechers), (9_900, 100));
    assert_eq!(peers.len(), 50);
    // Who downloads is told of seeds as well.
    assert_eq!(tracker.announce(1, &leecher(four(5))).expect("room").1.len(), 50);
}

#[test]
fn who_asks_among_thousands_of_no_use_looks_at_some_of_them_only() {
    let limits = Limits { peers_per_torrent_max: 10_000, peers_max: 10_000, ..LIMITS };
    let mut tracker = Tracker::<Slot4>::new(limits);
    // Partial seeds are no seeds: they stand among the leechers.
    for n in 0..10_000 {
        tracker.announce(1, &Announce { event: Event::Paused, ..leecher(four(n)) }).expect("room");
    }
    for n in 0..100 {
        tracker.announce(1, &leecher(four(n))).expect("room");
    }
    let again = Announce { event: Event::Paused, ..leecher(four(5_000)) };
    let (told, peers) = tracker.announce(1, &again).expect("room");
    assert_eq!((told.seeds, told.leechers), (0, 10_000));
    assert!(!peers.is_empty() && peers.len() < 50, "{}", peers.len());
}

/// Leechers and seeds of a large swarm are told of in proportion.
#[test]
fn leechers_and_seeds_are_mixed() {
    let mut tracker = Tracker::<Slot4>::new(LIMITS);
    for n in 0..200 {
        tracker.announce(1, &leecher(four(n))).expect("room");
    }
    for n in 200..800 {
        tracker.announce(1, &seed(four(n))).expect("room");
    }
    let mut seeds = 0;
    for _ in 0..400 {
        let (_, peers) = tracker.announce(1, &leecher(four(0))).expect("room");
        assert_eq!(peers.len(), 50);
        seeds += peers.iter().filter(|peer| (200..800).any(|n| SocketAddr::from(four(n)) == **peer)).count();
    }
    // Three quarters of all are seeds.
    assert!((70..80).contains(&(seeds * 100 / (400 * 50))), "{seeds}");
}

#[test]
fn what_is_fetched_is_what_will_be_read() {
    let mut tracker = Tracker::<Slot4>::new(LIMITS);
    let at = tracker.keyed.info_hash(&[1; 20]);
    let nothing = |_| ();
    assert_eq!(tracker.swarms.fetch_torrent(at, nothing), None);
    tracker.announce(1, &leecher(four(0))).expect("room");
    let fetched = std::cell::Cell::new(0);
    let count = |_| fetched.set(fetched.get() + 1);
    tracker.swarms.fetch_index(at, count);
    let place = tracker.swarms.fetch_torrent(at, count).expect("known");
    tracker.swarms.fetch_peers(place, &leecher(four(0)), count);
    assert_eq!(fetched.get(), 2, "one peer lies within the torrent");
    for n in 0..20 {
        tracker.announce(1, &leecher(four(n))).expect("room");
    }
    tracker.swarms.fetch_peers(place, &leecher(four(0)), count);
    assert!(fetched.get() > 3);
}
