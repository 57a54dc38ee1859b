//! How near the lecture's bounds a swarm comes.

use super::{MB, plan, ratio};
use simulation::swarm::{HostPlan, Plan, run};
use std::time::{Duration, Instant};

const PACKAGE: &str = "utopia-simulation --test swarm";

/// The last of N leechers within this multiple of the bound.
const RATIO_MAX: f64 = 1.08;

fn near_the_bound(test: &str, seeds: u64, seed_up: f64, leechers_up: &[f64]) {
    simulation::seeds(PACKAGE, test, seeds, |seed| {
        let plan = plan(seed, 300, seed_up, leechers_up);
        let outcome = run(&plan);
        let ratio = ratio(&plan, &outcome);
        let file = f64::from(plan.pieces) * f64::from(plan.piece_octets);
        println!(
            "seed {seed}: {ratio:.3} of the bound, the seed sent {:.2} F",
            outcome.sent_octets[0] as f64 / file
        );
        assert!((1.0..RATIO_MAX).contains(&ratio), "{ratio:.3} of the bound");
    });
}

#[test]
fn equal_peers() {
    near_the_bound("bounds::equal_peers", 2, 4.0, &[2.0; 8]);
}

#[test]
fn unequal_peers() {
    near_the_bound("bounds::unequal_peers", 2, 4.0, &[3.5, 3.5, 3.5, 3.5, 0.5, 0.5, 0.5, 0.5]);
}

#[test]
fn sixteen_peers() {
    near_the_bound("bounds::sixteen_peers", 1, 8.0, &[2.0; 16]);
}

/// The seed must send each piece once and still keep its uplink full.
#[test]
fn a_slow_seed_sends_everything_once() {
    let plan = plan(1, 300, 1.0, &[4.0; 8]);
    let outcome = run(&plan);
    let file = f64::from(plan.pieces) * f64::from(plan.piece_octets);
    let (ratio, sent) = (ratio(&plan, &outcome), outcome.sent_octets[0] as f64 / file);
    println!("{ratio:.3} of the bound, the seed sent {sent:.3} F");
    assert!(ratio < RATIO_MAX && sent < 1.03, "{ratio:.3} of the bound, {sent:.3} F");
}

/// The seed has sent everything once when its few peers have hardly begun to send it
/// on: from then on it must send them what it turned down before.
#[test]
fn a_fast_seed_is_not_idle_once_everything_is_out() {
    for count in [2, 3, 4, 8] {
        let mut plan = plan(1, 256, 4.0, &vec![0.4; count]);
        plan.piece_octets = 32 * 1024;
        let ratio = ratio(&plan, &run(&plan));
        println!("{count} peers: {ratio:.3} of the bound");
        assert!((1.0..RATIO_MAX).contains(&ratio), "{count} peers: {ratio:.3} of the bound");
    }
}

/// A downlink can be the bound too: F/dmin.
#[test]
fn a_slow_downlink() {
    let mut plan = plan(1, 100, 4.0, &[4.0; 4]);
    plan.hosts[2] = plan.hosts[2].with_down((0.5 * MB) as u64);
    let ratio = ratio(&plan, &run(&plan));
    assert!((1.0..RATIO_MAX).contains(&ratio), "{ratio:.3} of the bound");
}

/// N copies over one uplink: NF/us.
#[test]
fn clients_of_a_server() {
    for count in [1, 5, 20] {
        let clients = vec![HostPlan::leecher((2.0 * MB) as u64); count];
        let plan = Plan::client_server(1, 40, (4.0 * MB) as u64, clients);
        let ratio = ratio(&plan, &run(&plan));
        assert!((1.0..RATIO_MAX).contains(&ratio), "{count} clients: {ratio:.3} of the bound");
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_another() {
    let of = |seed| run(&plan(seed, 40, 2.0, &[2.0; 12]));
    assert_eq!(of(5), of(5));
    assert_ne!(of(5).digest, of(6).digest);
}

/// `cargo test --release -p utopia-simulation --test swarm -- --ignored --nocapture`
#[test]
#[ignore = "a couple of minutes, in release only"]
fn ten_thousand_peers() {
    let mut plan = plan(1, 40, 20.0, &vec![1.0; 10_000]);
    plan.neighbours = 12;
    let started = Instant::now();
    let outcome = run(&plan);
    let share = |share| outcome.completed_share(share).map_or(f64::NAN, |time| time.as_secs_f64());
    println!(
        "{} blocks in {:.0?}: half complete after {:.1} s, 95 % after {:.1} s, all after {:.1} s, {:.2} of the bound, \
         fairness {:.3}, digest {:016x}",
        outcome.blocks,
        started.elapsed(),
        share(0.5),
        share(0.95),
        share(1.0),
        ratio(&plan, &outcome),
        outcome.fairness(),
        outcome.digest,
    );
    assert!(outcome.fairness() > 0.85);
    assert!(started.elapsed() < Duration::from_mins(5));
}
