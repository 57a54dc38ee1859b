//! Who is unchoked, round by round.

use super::*;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use std::time::Duration;

fn dice(seed: u64) -> Dice {
    Dice::new(ChaCha12Rng::seed_from_u64(seed))
}

fn peer(slot: u32, octets: u64, now: Instant) -> Candidate {
    Candidate { slot, interested: true, snubs: false, octets, unchoked: None, choked: now, newcomer: false }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Marks who is unchoked, as the torrent would.
fn apply(candidates: &mut [Candidate], unchoked: &[u32], now: Instant) {
    for candidate in candidates {
        match (unchoked.contains(&candidate.slot), candidate.unchoked) {
            (true, None) => candidate.unchoked = Some(now),
            (false, Some(_)) => (candidate.unchoked, candidate.choked) = (None, now),
            _ => {}
        }
    }
}

#[test]
fn the_four_who_send_the_most_are_unchoked_and_one_more() {
    let (now, settings) = (Instant::now(), Settings::default());
    let candidates: Vec<Candidate> = (0..20).map(|slot| peer(slot, 1_000 * u64::from(slot), now)).collect();
    let mut choker = Choker::new(now);
    let unchoked = choker.round(now, false, 0.0, candidates, &settings, &mut dice(1));
    assert_eq!(unchoked[..4], [19, 18, 17, 16]);
    assert_eq!(unchoked.len(), 5);
    assert!(unchoked[4] < 16 && choker.optimistic() == &unchoked[4..]);
    assert_eq!(choker.next_round(), now + seconds(10));
}

#[test]
fn the_optimistic_unchoke_stays_thirty_seconds_and_then_goes_to_another() {
    let (start, settings) = (Instant::now(), Settings::default());
    let mut candidates: Vec<Candidate> = (0..20).map(|slot| peer(slot, u64::from(slot) * 9, start)).collect();
    let (mut choker, mut dice) = (Choker::new(start), dice(3));
    let mut drawn = Vec::new();
    for round in 0..12 {
        let now = start + seconds(10 * round);
        let unchoked = choker.round(now, false, 0.0, candidates.clone(), &settings, &mut dice);
        apply(&mut candidates, &unchoked, now);
        drawn.push(choker.optimistic()[0]);
    }
    for turn in drawn.chunks(3) {
        assert!(turn.iter().all(|slot| *slot == turn[0]), "{drawn:?}");
    }
    assert!(drawn.chunks(3).zip(drawn.chunks(3).skip(1)).all(|(one, next)| one[0] != next[0]), "{drawn:?}");
}

#[test]
fn newcomers_are_three_times_as_likely() {
    let (now, settings) = (Instant::now(), Settings::default());
    let mut dice = dice(5);
    let mut newcomers = 0;
    for _ in 0..4_000 {
        // Four with a slot, one newcomer and three old ones: 3 of 6.
        let mut candidates: Vec<Candidate> = (0..4).map(|slot| peer(slot, 100, now)).collect();
        candidates.extend((4..8).map(|slot| Candidate { newcomer: slot == 4, ..peer(slot, 0, now) }));
        let unchoked = Choker::new(now).round(now, false, 0.0, candidates, &settings, &mut dice);
        newcomers += u32::from(unchoked[4] == 4);
    }
    assert!((1_850..2_150).contains(&newcomers), "{newcomers}");
}

#[test]
fn an_optimistic_unchoke_that_sends_enough_gets_a_slot_and_another_is_drawn() {
    let (start, settings) = (Instant::now(), Settings::default());
    let mut candidates: Vec<Candidate> = (0..10).map(|slot| peer(slot, 0, start)).collect();
    let (mut choker, mut dice) = (Choker::new(start), dice(7));
    let unchoked = choker.round(start, false, 0.0, candidates.clone(), &settings, &mut dice);
    apply(&mut candidates, &unchoked, start);
    let lucky = choker.optimistic()[0];
    candidates[lucky as usize].octets = 1_000_000;
    let now = start + seconds(10);
    let unchoked = choker.round(now, false, 0.0, candidates, &settings, &mut dice);
    assert_eq!(unchoked[0], lucky);
    assert!(unchoked.len() == 5 && choker.optimistic() != [lucky]);
}

#[test]
fn who_snubs_gets_no_slot_but_may_be_drawn_no_more_either() {
    let (now, settings) = (Instant::now(), Settings::default());
    let mut candidates: Vec<Candidate> = (0..3).map(|slot| peer(slot, 10, now)).collect();
    candidates[1].snubs = true;
    let mut unchoked = Choker::new(now).round(now, false, 0.0, candidates, &settings, &mut dice(1));
    unchoked.sort_unstable();
    assert_eq!(unchoked, [0, 2]);
}

#[test]
fn a_faster_peer_that_wants_nothing_is_unchoked_beside_the_four() {
    let (now, settings) = (Instant::now(), Settings { optimistic_slots: 0, ..Settings::default() });
    let mut candidates: Vec<Candidate> = (0..9).map(|slot| peer(slot, 100 - u64::from(slot), now)).collect();
    candidates[1].interested = false;
    candidates[7].interested = false;
    let unchoked = Choker::new(now).round(now, false, 0.0, candidates, &settings, &mut dice(1));
    assert_eq!(unchoked, [0, 1, 2, 3, 4]);
}

#[test]
fn a_seed_goes_by_what_is_taken_and_serves_everybody_in_time() {
    let (start, settings) = (Instant::now(), Settings::default());
    for seed_policy in [SeedPolicy::UploadRate, SeedPolicy::RoundRobin] {
        let settings = Settings { seed_policy, seed_slots: Slots::Fixed(4), ..settings.clone() };
        let mut candidates: Vec<Candidate> = (0..12).map(|slot| peer(slot, 0, start)).collect();
        let (mut choker, mut dice) = (Choker::new(start), dice(11));
        let mut served = [0_u32; 12];
        for round in 0..180 {
            let now = start + seconds(10 * round);
            let unchoked = choker.round(now, true, 0.0, candidates.clone(), &settings, &mut dice);
            assert_eq!(unchoked.len(), 5);
            apply(&mut candidates, &unchoked, now);
            for candidate in &mut candidates {
                // Faster ones have higher numbers.
                candidate.octets =
                    if candidate.unchoked.is_some() { 100 + u64::from(candidate.slot) } else { 0 };
                served[candidate.slot as usize] += u32::from(candidate.unchoked.is_some());
            }
        }
        assert!(served.iter().all(|rounds| *rounds >= 6), "{seed_policy:?} {served:?}");
        let (slow, fast): (u32, u32) = (served[..6].iter().sum(), served[6..].iter().sum());
        if seed_policy == SeedPolicy::UploadRate {
            assert!(4 * fast > 5 * slow, "{served:?}");
        } else {
            assert!(fast.abs_diff(slow) < 90, "{served:?}");
        }
    }
}

#[test]
fn slots_by_rate_follow_what_is_sent() {
    let slots = Slots::ByRate { octets_per_second: 100_000, min: 2, max: 8 };
    let settings = Settings { slots, optimistic_slots: 0, ..Settings::default() };
    let now = Instant::now();
    for (sent, unchoked) in [(0.0, 2), (350_000.0, 4), (9e9, 8), (f64::NAN, 2)] {
        let candidates: Vec<Candidate> = (0..20).map(|slot| peer(slot, 1, now)).collect();
        let seen = Choker::new(now).round(now, false, sent, candidates, &settings, &mut dice(1));
        assert_eq!(seen.len(), unchoked, "{sent}");
    }
}

#[test]
fn the_worst_goes_when_a_better_one_comes_to_want_something() {
    let (now, settings) = (Instant::now(), Settings::default());
    let mut candidates: Vec<Candidate> = (0..6).map(|slot| peer(slot, 10 * u64::from(slot), now)).collect();
    let mut choker = Choker::new(now);
    let unchoked = choker.round(now, false, 0.0, candidates.clone(), &settings, &mut dice(1));
    apply(&mut candidates, &unchoked, now);
    // The slowest of the four, not the optimistic unchoke that is slower still.
    assert_eq!(choker.worst(&candidates), Some(2));
    candidates[2].interested = false;
    assert_eq!(choker.worst(&candidates), Some(3));
    assert_eq!(choker.worst(&[]), None);
}

#[test]
fn vacant_slots_are_filled_between_rounds_and_nobody_loses_one() {
    let (now, settings) = (Instant::now(), Settings::default());
    let mut choker = Choker::new(now);
    let mut candidates: Vec<Candidate> = (0..3).map(|slot| peer(slot, 0, now)).collect();
    let unchoked = choker.round(now, false, 0.0, candidates.clone(), &settings, &mut dice(1));
    apply(&mut candidates, &unchoked, now);
    assert_eq!(choker.slots(false, 0.0, &settings), 5);
    candidates.extend((3..9).map(|slot| peer(slot, u64::from(slot), now)));
    let given = choker.fill(false, 0.0, candidates.clone(), &settings, &mut dice(2));
    assert_eq!(given, [8, 7], "five in all, the best first");
    apply(&mut candidates, &[0, 1, 2, 7, 8], now);
    assert!(choker.fill(false, 0.0, candidates, &settings, &mut dice(2)).is_empty());
}
