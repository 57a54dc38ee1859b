//! big
use simulation::swarm::*;
fn main() {
    let n: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let nb: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let mut hosts = vec![HostPlan::seed(20_000_000)];
    hosts.extend(vec![HostPlan::leecher(1_000_000); n]);
    let mut plan = Plan::new(1, 64, hosts);
    plan.neighbours = nb;
    let t = std::time::Instant::now();
    let o = run(&plan);
    println!(
        "{n} {nb}: blocks {} wall {:?} last {:?} half {:?} bound {:.1} wasted {:.3} fair {:.3}",
        o.blocks,
        t.elapsed(),
        o.last_completed(),
        o.completed_share(0.5),
        plan.bound_seconds(),
        o.wasted_octets.iter().sum::<u64>() as f64 / o.received_octets.iter().sum::<u64>() as f64,
        o.fairness()
    );
}
