//! Peers that do not send, lie, come and go.

use super::{plan, ratio};
use simulation::swarm::{Behaviour, run};
use std::time::Duration;

const PACKAGE: &str = "utopia-simulation --test swarm";

#[test]
fn free_riders_finish_last() {
    simulation::seeds(PACKAGE, "trouble::free_riders_finish_last", 10, |seed| {
        let mut plan = plan(seed, 200, 1.5, &[1.0; 20]);
        for host in &mut plan.hosts[16..] {
            *host = host.behaving(Behaviour::FreeRider);
        }
        let outcome = run(&plan);
        let mean = |times: &[Option<Duration>]| {
            let seconds = times.iter().map(|time| time.expect("complete").as_secs_f64());
            seconds.sum::<f64>() / times.len() as f64
        };
        let (fair, free) = (mean(&outcome.completed[1..16]), mean(&outcome.completed[16..]));
        println!("seed {seed}: those who send {fair:.1} s, free riders {free:.1} s");
        // Even if free riders got nothing before all others are complete, they
        // would need a third longer only: then everybody sends to them.
        assert!(free > 1.15 * fair, "free riders {free:.1} s, others {fair:.1} s");
        let first_free = outcome.completed[16..].iter().min().copied().flatten().expect("complete");
        let late = outcome.completed[1..16].iter().flatten().filter(|time| **time > first_free).count();
        assert!(late <= 1, "{late} of 15 who send finish after a free rider");
    });
}

#[test]
fn liars_are_banned_and_everybody_completes() {
    simulation::seeds(PACKAGE, "trouble::liars_are_banned_and_everybody_completes", 3, |seed| {
        let mut plan = plan(seed, 120, 2.0, &[2.0; 12]);
        for host in &mut plan.hosts[10..] {
            *host = host.behaving(Behaviour::Liar);
        }
        // Liars that were banned by all others starve.
        plan.span_max = Duration::from_mins(5);
        let outcome = run(&plan);
        assert!(outcome.completed[..10].iter().all(Option::is_some), "{:?}", outcome.completed);
        assert!(outcome.banned_by[..10].iter().all(|count| *count == 0), "{:?}", outcome.banned_by);
        assert!(outcome.banned_by[10..].iter().all(|count| *count >= 6), "{:?}", outcome.banned_by);
    });
}

#[test]
fn a_third_leaves_and_comes_back() {
    let mut plan = plan(3, 200, 2.0, &[2.0; 12]);
    for (at, host) in plan.hosts[1..].iter_mut().enumerate() {
        let at = at as u64;
        host.joins = Duration::from_millis(300 * at);
        if at.is_multiple_of(3) {
            host.away = Some((Duration::from_secs(8 + at), Duration::from_secs(14 + at)));
        }
    }
    let outcome = run(&plan);
    let ratio = ratio(&plan, &outcome);
    println!("{ratio:.3} of the bound without churn");
    assert!(ratio < 1.5, "{ratio:.3}");
    let file = u64::from(plan.pieces) * u64::from(plan.piece_octets);
    for (host, received) in outcome.received_octets.iter().enumerate().skip(1) {
        let again = (received - file) as f64 / file as f64;
        assert!(again < 0.12, "host {host} received {again:.3} of the file again");
    }
}

#[test]
fn the_seed_leaves_once_one_copy_is_out() {
    let mut plan = plan(4, 120, 1.0, &[2.0; 8]);
    plan.seeds_leave = true;
    let outcome = run(&plan);
    let copy = outcome.one_copy.expect("a copy is out").as_secs_f64();
    let last = outcome.last_completed().expect("all complete without the seed").as_secs_f64();
    let once = 120.0 * f64::from(plan.piece_octets) / 1e6;
    println!("one copy after {copy:.1} s (F/us is {once:.1} s), all after {last:.1} s");
    assert!(copy < 1.08 * once && last < 1.15 * once, "{copy:.1} {last:.1} {once:.1}");
}

#[test]
fn without_a_copy_nobody_completes_and_the_run_ends() {
    let mut plan = plan(5, 20, 1.0, &[1.0; 3]);
    plan.hosts[0].away = Some((Duration::from_secs(2), Duration::from_secs(10_000)));
    plan.span_max = Duration::from_mins(2);
    let outcome = run(&plan);
    assert_eq!(outcome.last_completed(), None);
    assert!(outcome.ended <= plan.span_max);
}

/// `cargo test --release -p utopia-simulation --test swarm -- --ignored --nocapture`
#[test]
#[ignore = "a couple of minutes, in release only"]
fn ten_thousand_peers_of_whom_some_do_not_send_and_some_lie() {
    const FAIR: usize = 9_000;
    const RIDERS: usize = 500;
    let mut plan = plan(1, 40, 20.0, &vec![1.0; 10_000]);
    plan.neighbours = 12;
    for (at, host) in plan.hosts[1..].iter_mut().enumerate() {
        if at >= FAIR {
            *host = host.behaving(if at < FAIR + RIDERS { Behaviour::FreeRider } else { Behaviour::Liar });
        }
    }
    // Liars that were banned by all others starve.
    plan.span_max = Duration::from_mins(2);
    let outcome = run(&plan);
    let seconds = |times: &[Option<Duration>]| {
        let mut times: Vec<f64> = times.iter().flatten().map(Duration::as_secs_f64).collect();
        times.sort_by(f64::total_cmp);
        (times.len(), times[times.len() / 2], times[times.len() - 1])
    };
    let (fair, riders) = (1..=FAIR, FAIR + 1..=FAIR + RIDERS);
    let (complete, half, all) = seconds(&outcome.completed[fair.clone()]);
    let (riders_complete, riders_half, riders_all) = seconds(&outcome.completed[riders]);
    let sum = |octets: &[u64]| octets.iter().sum::<u64>() as f64;
    let wasted = sum(&outcome.wasted_octets[fair.clone()]) / sum(&outcome.received_octets[fair.clone()]);
    let innocent = outcome.banned_by[fair].iter().filter(|count| **count > 0).count();
    let liars = &outcome.banned_by[FAIR + RIDERS + 1..];
    let mean = f64::from(liars.iter().sum::<u32>()) / liars.len() as f64;
    println!(
        "those who send: {complete} complete, half after {half:.1} s, all after {all:.1} s, {:.1} % wasted; \
         free riders: {riders_complete} complete, half after {riders_half:.1} s, all after {riders_all:.1} s; \
         a liar is banned by {mean:.1} of its neighbours, {innocent} others are; digest {:016x}",
        wasted * 100.0,
        outcome.digest,
    );
    assert_eq!((complete, innocent), (FAIR, 0));
    assert!(riders_half > half);
}
