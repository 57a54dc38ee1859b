//! The table against a plain list of nodes, and against those who want to fill
//! it.

use super::*;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

const OWN: Id = Id::new([0; 20]);

/// A node far from us; each number has a network of its own.
fn far(number: u32) -> Contact {
    let mut octets = [0xff; 20];
    octets[16..].copy_from_slice(&number.to_be_bytes());
    Contact {
        id: Id::new(octets),
        address: SocketAddr::new(Ipv4Addr::from((20 << 24) + (number << 8)).into(), 1),
    }
}

fn random(rng: &mut ChaCha8Rng, number: u32) -> Contact {
    Contact { id: Id::random(rng), ..far(number) }
}

fn later(now: Instant, minutes: u64) -> Instant {
    now + Duration::from_secs(minutes * 60)
}

#[test]
fn a_full_bucket_takes_nobody_while_all_are_good() {
    let now = Instant::now();
    let mut table = Table::new(now, OWN);
    for number in 0..K as u32 {
        assert_eq!(table.responded(now, far(number)), Offered::Added);
    }
    assert_eq!(table.responded(now, far(8)), Offered::Waits(None));
    assert_eq!(table.responded(now, far(0)), Offered::Known);
    assert_eq!((table.len(), table.buckets()), (8, 2), "the far bucket was split off once");
}

#[test]
fn questionable_nodes_are_pinged_and_replaced_when_bad() {
    let now = Instant::now();
    let mut table = Table::new(now, OWN);
    for number in 0..K as u32 {
        table.responded(now + Duration::from_secs(number.into()), far(number));
    }
    let late = later(now, 16);
    assert_eq!(table.count(late, Standing::Questionable), 8);
    assert_eq!(table.responded(late, far(8)), Offered::Waits(Some(far(0))), "the one not seen for longest");
    // A query from it is as good as a reply.
    assert!(!table.queried(late, &far(0)));
    assert_eq!(table.responded(late, far(9)), Offered::Waits(Some(far(1))));
    table.failed(late, &far(1));
    assert_eq!(table.count(late, Standing::Bad), 0, "once more");
    table.failed(late, &far(1));
    let closest = table.closest(late, &far(1).id, 20, true);
    assert!(!closest.contains(&far(1)) && closest.contains(&far(9)), "the latest that waits comes in");
    assert!(!closest.contains(&far(8)));
    // Nobody else waits longer than that.
    for number in 2..8 {
        table.failed(late, &far(number));
        table.failed(late, &far(number));
    }
    assert_eq!(table.count(late, Standing::Bad), 5);
    assert_eq!(table.responded(late, far(20)), Offered::Added);
    assert_eq!(table.count(late, Standing::Bad), 4);
}

#[test]
fn a_node_that_failed_is_good_again_once_it_replies() {
    let now = Instant::now();
    let mut table = Table::new(now, OWN);
    table.responded(now, far(1));
    table.failed(now, &far(1));
    assert_eq!(table.count(now, Standing::Questionable), 1);
    assert_eq!(table.closest(now, &OWN, 8, false), []);
    table.responded(now, far(1));
    assert_eq!(table.closest(now, &OWN, 8, false), [far(1)]);
}

#[test]
fn an_id_is_not_taken_from_who_has_it() {
    let now = Instant::now();
    let mut table = Table::new(now, OWN);
    table.responded(now, far(1));
    let thief = Contact { address: far(2).address, ..far(1) };
    assert_eq!(table.responded(now, thief), Offered::Refused);
    table.failed(now, &thief);
    table.failed(now, &thief);
    assert_eq!(table.count(now, Standing::Good), 1, "the thief's failures are not the owner's");
    table.failed(now, &far(1));
    table.failed(now, &far(1));
    assert_eq!(table.responded(now, thief), Offered::Added);
    // Who changes the id at one address does not sit there twice.
    let changed = Contact { id: far(3).id, ..thief };
    assert_eq!(table.responded(now, changed), Offered::Added);
    assert_eq!(table.contacts(), [changed]);
    assert_eq!(table.responded(now, Contact { id: OWN, ..far(9) }), Offered::Refused);
}

#[test]
fn one_address_and_one_network_have_their_share() {
    let now = Instant::now();
    let mut table = Table::new(now, OWN);
    let at =
        |number: u32, ip: [u8; 4], port| Contact { address: SocketAddr::new(ip.into(), port), ..far(number) };
    assert_eq!(table.responded(now, at(1, [9, 9, 9, 1], 1)), Offered::Added);
    assert_eq!(table.responded(now, at(2, [9, 9, 9, 1], 2)), Offered::Refused);
    assert_eq!(table.responded(now, at(3, [9, 9, 9, 2], 1)), Offered::Added);
    assert_eq!(table.responded(now, at(4, [9, 9, 9, 3], 1)), Offered::Refused);
    assert_eq!(table.responded(now, at(5, [9, 9, 8, 1], 1)), Offered::Added);
    // At home several nodes may share an address.
    for port in 1..4 {
        assert_eq!(table.responded(now, at(10 + u32::from(port), [127, 0, 0, 1], port)), Offered::Added);
    }
}

#[test]
fn an_id_that_fits_its_address_is_preferred() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let now = Instant::now();
    let mut table = Table::new(now, OWN);
    for number in 0..K as u32 {
        table.responded(now, far(number));
    }
    let ip: IpAddr = [21, 7, 7, 7].into();
    let id = std::iter::repeat_with(|| crate::dht::security::id_for(&ip, &mut rng))
        .find(|id| OWN.shared_bits(id) == 0)
        .expect("half of them");
    let fit = Contact { id, address: SocketAddr::new(ip, 1) };
    assert_eq!(table.responded(now, fit), Offered::Added);
    assert!(table.closest(now, &id, 1, false).contains(&fit));
    assert_eq!((table.len(), table.contacts().len()), (8, 9));
}

#[test]
fn stale_buckets_are_refreshed_one_after_the_other() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let now = Instant::now();
    let mut table = Table::new(now, OWN);
    for number in 0..200 {
        table.responded(now, random(&mut rng, number));
    }
    let buckets = table.buckets();
    assert!(buckets > 3);
    assert_eq!(table.refresh(later(now, 14), &mut rng), None);
    assert_eq!(table.next_refresh(), Some(later(now, 15)));
    let targets: Vec<Id> = std::iter::from_fn(|| table.refresh(later(now, 15), &mut rng)).collect();
    let shared: Vec<usize> = targets.iter().map(|target| OWN.shared_bits(target)).collect();
    assert_eq!(shared.len(), buckets);
    assert!(shared.iter().enumerate().all(|(place, bits)| place == *bits || place == buckets - 1));
    assert_eq!(table.next_refresh(), Some(later(now, 30)));
    table.refresh_sparse(later(now, 16));
    assert!(table.refresh(later(now, 16), &mut rng).is_some(), "the nearest bucket is never full");
}

#[test]
fn with_a_new_id_the_nodes_stay() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let now = Instant::now();
    let mut table = Table::new(now, OWN);
    for number in 0..500 {
        table.responded(now, random(&mut rng, number));
    }
    let before: HashSet<Id> = table.contacts().iter().map(|contact| contact.id).collect();
    let own = Id::new([0xaa; 20]);
    table.rekey(now, own);
    assert_eq!(table.own(), own);
    assert_bounded(&table);
    let after: HashSet<Id> = table.contacts().iter().map(|contact| contact.id).collect();
    assert!(after.is_subset(&before));
    // Most were near to us; now they are far, and of those few are kept.
    assert!(after.len() >= 3 * K, "{} of {}", after.len(), before.len());
}

fn assert_bounded(table: &Table) {
    assert!(table.buckets.len() <= ID_BITS);
    let last = table.buckets.len() - 1;
    for (place, bucket) in table.buckets.iter().enumerate() {
        assert!(bucket.live.len() <= K && bucket.spare.len() <= SPARE_MAX);
        for entry in bucket.all() {
            let bits = table.own.shared_bits(&entry.contact().id);
            assert!(bits == place || (place == last && bits >= place));
        }
    }
    let contacts = table.contacts();
    let ids: HashSet<Id> = contacts.iter().map(|contact| contact.id).collect();
    let holders: HashSet<Holder> = contacts.iter().map(|contact| Holder::of(&contact.address.ip())).collect();
    assert_eq!((ids.len(), holders.len()), (contacts.len(), contacts.len()));
}

#[test]
fn ids_ever_nearer_do_not_grow_the_table_without_bound() {
    let now = Instant::now();
    let mut table = Table::new(now, OWN);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for number in 0..4_000_u32 {
        let id = OWN.random_sharing(number as usize / 20, false, &mut rng);
        if id != OWN {
            table.responded(now, Contact { id, ..far(number) });
        }
    }
    assert_bounded(&table);
    // Few ids are left that share more.
    assert!(table.buckets() > 150, "{}", table.buckets());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_near_is_known_as_a_plain_list_would_know_it(
        steps in prop::collection::vec((0u32..60, 0u8..4, 0u64..10), 1..300),
        seed: u64,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let nodes: Vec<Contact> = (0..60).map(|number| random(&mut rng, number)).collect();
        let mut now = Instant::now();
        let mut table = Table::new(now, OWN);
        for (node, what, minutes) in steps {
            now = later(now, minutes);
            let node = &nodes[node as usize];
            match what {
                0 | 1 => { table.responded(now, *node); }
                2 => table.failed(now, node),
                _ => { table.queried(now, node); }
            }
            assert_bounded(&table);
        }
        let target = Id::random(&mut rng);
        let mut plain: Vec<Contact> = table.entries()
            .filter(|entry| entry.standing(now) == Standing::Good)
            .map(Entry::contact)
            .collect();
        plain.sort_by_key(|contact| target.distance(&contact.id));
        plain.truncate(K);
        prop_assert_eq!(table.closest(now, &target, K, false), plain);
    }
}
