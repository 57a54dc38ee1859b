//! ratios
use simulation::swarm::*;
use std::time::{Duration, Instant};
fn mb(x: f64) -> u64 {
    (x * 1e6) as u64
}
fn main() {
    let pieces: u32 = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(400);
    let seeds: u64 = std::env::args().nth(2).and_then(|a| a.parse().ok()).unwrap_or(3);
    let delay: u64 = std::env::args().nth(3).and_then(|a| a.parse().ok()).unwrap_or(10);
    let cases: Vec<(&str, f64, Vec<f64>)> = vec![
        ("4; 8x2", 4.0, vec![2.0; 8]),
        ("4; 4x3.5+4x0.5", 4.0, [vec![3.5; 4], vec![0.5; 4]].concat()),
        ("1; 8x4", 1.0, vec![4.0; 8]),
        ("8; 16x2", 8.0, vec![2.0; 16]),
        ("2; 8x2", 2.0, vec![2.0; 8]),
    ];
    let only = std::env::var("ONLY").ok();
    for (name, us, ups) in cases {
        if only.as_ref().is_some_and(|o| !name.starts_with(o.as_str())) {
            continue;
        }
        for seed in 0..seeds {
            let mut hosts = vec![HostPlan::seed(mb(us))];
            hosts.extend(ups.iter().map(|u| HostPlan::leecher(mb(*u))));
            let mut plan = Plan::new(seed, pieces, hosts);
            plan.delay = Duration::from_millis(delay);
            let t = Instant::now();
            let o = run(&plan);
            let bound = plan.bound_seconds();
            let last = o.last_completed().map_or(f64::NAN, |d| d.as_secs_f64());
            let f = f64::from(plan.pieces) * f64::from(plan.piece_octets);
            let wasted: u64 = o.wasted_octets.iter().sum();
            let times: Vec<String> = o.completed[1..]
                .iter()
                .map(|d| format!("{:.2}", d.map_or(f64::NAN, |d| d.as_secs_f64() / bound)))
                .collect();
            println!(
                "{name:16} seed {seed} ratio {:.3} bound {bound:.1} s, seed sent {:.2} F, copy at {:.2} of F/us, wasted {:.3} F, wall {:?} {}",
                last / bound,
                o.sent_octets[0] as f64 / f,
                o.one_copy.map_or(f64::NAN, |d| d.as_secs_f64()) / (f / (us * 1e6)),
                wasted as f64 / f,
                t.elapsed(),
                times.join(" ")
            );
        }
    }
}
