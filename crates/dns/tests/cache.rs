//! The cache against a reference model, and its bound exceeded.

use dns::cache::{Bounds, Cache, Found, Rank};
use dns::{Name, Record, RecordData};
use domain::base::Ttl;
use domain::base::iana::{Class, Rtype};
use domain::rdata::{A, Cname, Soa, Txt};
use proptest::prelude::*;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

fn name(text: &str) -> Name {
    Name::bytes_from_str(text).expect("a name")
}

fn record(owner: &Name, ttl: u32, data: impl Into<RecordData>) -> Record {
    Record::new(owner.clone(), Class::IN, Ttl::from_secs(ttl), data.into())
}

fn a(owner: &Name, ttl: u32, last: u8) -> Record {
    record(owner, ttl, A::new(Ipv4Addr::new(192, 0, 2, last)))
}

fn soa(apex: &Name, ttl: u32, minimum: u32) -> Record {
    let seconds = Ttl::from_secs;
    let data =
        Soa::new(name("ns."), name("admin."), 1.into(), seconds(1), seconds(1), seconds(1), seconds(minimum));
    record(apex, ttl, data)
}

const RANKS: [Rank; 5] =
    [Rank::Additional, Rank::Referral, Rank::Answer, Rank::AuthoritativeAuthority, Rank::AuthoritativeAnswer];

/// What happens to a cache.
#[derive(Debug, Clone)]
enum Deed {
    Store { name: u8, rank: usize, ttl: u32, last: u8 },
    Deny { name: u8, ttl: u32, minimum: u32 },
    Pass { milliseconds: u64 },
    Find { name: u8 },
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let ttl = prop_oneof![0..20_u32, Just(200_000), Just(u32::MAX)];
    let deed =
        prop_oneof![
            (0..4_u8, 0..RANKS.len(), ttl.clone(), any::<u8>())
                .prop_map(|(name, rank, ttl, last)| Deed::Store { name, rank, ttl, last }),
            (0..4_u8, ttl.clone(), ttl).prop_map(|(name, ttl, minimum)| Deed::Deny { name, ttl, minimum }),
            (0..15_000_u64).prop_map(|milliseconds| Deed::Pass { milliseconds }),
            (0..4_u8).prop_map(|name| Deed::Find { name }),
        ];
    prop::collection::vec(deed, 0..120)
}

/// The simplest cache that is right: what was stored last at the highest rank,
/// with the time it ends.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    rank: Rank,
    ends: u64,
    /// The address, or nothing if the name has none.
    last: Option<u8>,
}

proptest! {
    #[test]
    fn answers_as_the_reference_model_and_never_beyond_a_ttl(deeds in deeds()) {
        let epoch = Instant::now();
        let bounds = Bounds { octets_max: 1 << 20, ttl_seconds_max: 100, negative_ttl_seconds_max: 50 };
        let mut cache = Cache::new(bounds);
        let mut model: HashMap<u8, Known> = HashMap::new();
        let mut passed = 0_u64;
        let names: Vec<Name> = (0..4).map(|n| name(&format!("n{n}.example."))).collect();
        let sane = |ttl: u32| if ttl > i32::MAX as u32 { 0 } else { ttl };
        let store = |model: &mut HashMap<u8, Known>, key: u8, now: u64, known: Known| {
            // Less than a second left is as good as nothing.
            let present = model.get(&key).filter(|present| present.ends >= now + 1_000);
            if present.is_some_and(|present| present.rank > known.rank) {
                return;
            }
            if known.ends == now { model.remove(&key); } else { model.insert(key, known); }
        };
        for deed in deeds {
            let now = epoch + Duration::from_millis(passed);
            match deed {
                Deed::Store { name, rank, ttl, last } => {
                    cache.store_rrset(now, RANKS[rank], &[a(&names[usize::from(name)], ttl, last)]);
                    let ends = passed + u64::from(sane(ttl).min(100)) * 1_000;
                    store(&mut model, name, passed, Known { rank: RANKS[rank], ends, last: Some(last) });
                }
                Deed::Deny { name: key, ttl, minimum } => {
                    cache.store_no_data(now, &names[usize::from(key)], Rtype::A, &soa(&name("example."), ttl, minimum));
                    let ends = passed + u64::from(sane(ttl).min(sane(minimum)).min(50)) * 1_000;
                    store(&mut model, key, passed, Known { rank: Rank::AuthoritativeAuthority, ends, last: None });
                }
                Deed::Pass { milliseconds } => passed += milliseconds,
                Deed::Find { name } => {
                    let found = cache.find(now, &names[usize::from(name)], Rtype::A);
                    let known = model.get(&name).filter(|known| known.ends >= passed + 1_000);
                    let ttl_max = |known: &Known| (known.ends - passed) / 1_000;
                    match (found, known) {
                        (None, None) => {}
                        (None, Some(known)) => prop_assert!(known.rank < Rank::ANSWERING, "{known:?} not found"),
                        (Some(Found::Rrset(records)), Some(known)) => {
                            prop_assert!(known.rank >= Rank::ANSWERING);
                            prop_assert_eq!(u64::from(records[0].ttl().as_secs()), ttl_max(known));
                            let expected = known.last.map(|last| Ipv4Addr::new(192, 0, 2, last).to_string());
                            prop_assert_eq!(Some(records[0].data().to_string()), expected);
                        }
                        (Some(Found::NoData(soa)), Some(known)) => {
                            prop_assert_eq!(known.last, None);
                            prop_assert_eq!(u64::from(soa.ttl().as_secs()), ttl_max(known));
                        }
                        (found, known) => prop_assert!(false, "found {found:?}, knows {known:?}"),
                    }
                }
            }
        }
    }

    #[test]
    fn stays_within_its_octets_and_never_mixes_names_up(
        octets_max in 0..20_000_usize,
        stores in prop::collection::vec((0..500_u16, 1..200_usize), 0..150),
    ) {
        let now = Instant::now();
        let mut cache = Cache::new(Bounds { octets_max, ..Bounds::default() });
        for (key, length) in stores {
            let owner = name(&format!("n{key}.example."));
            let text = format!("{key}:{}", "x".repeat(length));
            let data: Txt<bytes::Bytes> = Txt::build_from_slice(text.as_bytes()).expect("a text");
            cache.store_rrset(now, Rank::AuthoritativeAnswer, &[record(&owner, 60, data)]);
            prop_assert!(cache.octets() <= octets_max);
            if let Some(Found::Rrset(records)) = cache.find(now, &owner, Rtype::TXT) {
                prop_assert_eq!(records[0].data().to_string(), format!("\"{text}\""));
            }
        }
    }
}

#[test]
fn an_alias_is_found_for_other_types_but_not_for_its_own() {
    let now = Instant::now();
    let mut cache = Cache::new(Bounds::default());
    let owner = name("alias.example.");
    let alias = record(&owner, 60, Cname::new(name("www.example.")));
    cache.store_rrset(now, Rank::AuthoritativeAnswer, std::slice::from_ref(&alias));
    assert_eq!(cache.find(now, &owner, Rtype::A), Some(Found::Alias(alias.clone())));
    assert_eq!(cache.find(now, &owner, Rtype::CNAME), Some(Found::Rrset(vec![alias])));
}

#[test]
fn a_name_that_appears_exists_again() {
    let now = Instant::now();
    let mut cache = Cache::new(Bounds::default());
    let owner = name("new.example.");
    cache.store_name_error(now, &owner, &soa(&name("example."), 60, 60));
    assert!(matches!(cache.find(now, &owner, Rtype::A), Some(Found::NameError(_))));
    cache.store_rrset(now, Rank::AuthoritativeAnswer, &[a(&owner, 60, 1)]);
    assert!(matches!(cache.find(now, &owner, Rtype::A), Some(Found::Rrset(_))));
}

#[test]
fn a_delegation_is_apart_from_answers() {
    let now = Instant::now();
    let mut cache = Cache::new(Bounds::default());
    let apex = name("example.");
    let ns = |ttl, server: &str| record(&apex, ttl, domain::rdata::Ns::new(name(server)));
    cache.store_delegation(now, &[ns(10, "parent-says.")]);
    cache.store_rrset(now, Rank::AuthoritativeAnswer, &[ns(1_000, "child-says.")]);
    assert_eq!(cache.delegation(now, &apex).expect("known")[0].data().to_string(), "parent-says.");
    assert_eq!(cache.delegation(now + Duration::from_secs(10), &apex), None);
}
