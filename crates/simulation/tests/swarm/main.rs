//! Swarms of the real torrent machine in simulated time: the lecture's bounds,
//! free riders, liars, churn, a seed that leaves, ten thousand peers.

mod bounds;
mod trouble;

use simulation::swarm::{HostPlan, Outcome, Plan};

const MB: f64 = 1e6;

/// A swarm of one seed and these leechers, with uplinks in MB/s.
fn plan(seed: u64, pieces: u32, seed_up: f64, leechers_up: &[f64]) -> Plan {
    let mut hosts = vec![HostPlan::seed((seed_up * MB) as u64)];
    hosts.extend(leechers_up.iter().map(|up| HostPlan::leecher((up * MB) as u64)));
    Plan::new(seed, pieces, hosts)
}

/// How many times the bound the last leecher took.
fn ratio(plan: &Plan, outcome: &Outcome) -> f64 {
    outcome.last_completed().expect("all are complete").as_secs_f64() / plan.bound_seconds()
}
