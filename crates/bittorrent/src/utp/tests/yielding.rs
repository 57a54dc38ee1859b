//! LEDBAT keeps queues near its target and yields to a flow that fills them
//! (RFC 6817 section 1).

use super::*;

/// 8 Mbit/s with one second of queue.
fn bottleneck() -> Link {
    let (rate, queue_octets_max) = (Some(1_000_000), 1_000_000);
    Link {
        delay: Duration::from_millis(20),
        rate_octets_per_second: rate,
        queue_octets_max,
        ..Link::default()
    }
}

/// A flow that grows until packets are lost, as TCP does (RFC 5681).
#[derive(Debug)]
struct Reno {
    window: f64,
    threshold: f64,
    next: u64,
    acknowledged: u64,
    in_flight: u64,
    recovering_until: u64,
}

impl Reno {
    fn new() -> Self {
        Self { window: 10.0, threshold: 1e9, next: 0, acknowledged: 0, in_flight: 0, recovering_until: 0 }
    }

    fn send(&mut self, now: Instant, wire: &mut Wire) {
        while (self.in_flight as f64) < self.window {
            let passed = wire.send(now, 0, Crossing::Other);
            self.next += 1;
            if passed {
                self.in_flight += 1;
            } else if self.next > self.recovering_until {
                // Told at once instead of a round trip later: it yields sooner.
                self.recovering_until = self.next + self.in_flight;
                self.window = (self.window / 2.0).max(2.0);
                self.threshold = self.window;
            }
        }
    }

    fn acknowledged(&mut self) {
        self.acknowledged += 1;
        self.in_flight -= 1;
        self.window += if self.window < self.threshold { 1.0 } else { 1.0 / self.window };
    }
}

/// Runs the world with the other flow; the queueing delays seen, in seconds.
fn run(world: &mut World, mut other: Option<&mut Reno>, span: Duration) -> Vec<f64> {
    let until = world.now + span;
    let mut seen = Vec::new();
    while world.now < until {
        if let Some(reno) = &mut other {
            reno.send(world.now, &mut world.wire);
        }
        let timeouts = world.hosts.iter().filter_map(|host| host.endpoint.poll_timeout()).min();
        let next = [timeouts, world.wire.next()].into_iter().flatten().min().unwrap_or(until);
        world.now = world.now.max(next);
        let mut touched = [false; 2];
        while let Some((to, crossing)) = world.wire.receive(world.now) {
            match crossing {
                Crossing::Utp(octets, _) => {
                    world.hosts[to]
                        .endpoint
                        .handle_packet(world.now, path_to(1 - to), &octets)
                        .expect("a packet");
                    touched[to] = true;
                }
                Crossing::Other => drop(world.wire.send(world.now, 1, Crossing::OtherAck)),
                Crossing::OtherAck => {
                    if let Some(reno) = &mut other {
                        reno.acknowledged();
                    }
                }
            }
        }
        for host in 0..2 {
            world.hosts[host].endpoint.handle_timeout(world.now);
            world.settle(host);
        }
        seen.push(world.wire.queueing(world.now, 0).as_secs_f64());
    }
    seen
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn alone_it_fills_the_link_with_a_queue_near_the_target() {
    let mut world = World::new(1, bottleneck(), Config::default());
    world.connect(octets(60_000_000));
    run(&mut world, None, Duration::from_secs(10));
    let before = world.stream(1).got.len();
    let delays = run(&mut world, None, Duration::from_secs(20));
    let rate = (world.stream(1).got.len() - before) as f64 / 20.0;
    assert!(rate > 930_000.0, "{rate} octets a second of 1,000,000");
    let (mean, most) = (mean(&delays), delays.iter().copied().fold(0.0, f64::max));
    assert!((0.06..0.13).contains(&mean), "mean queueing of {mean} s");
    assert!(most < 0.2, "queueing of {most} s");
    let measured = world.hosts[0].endpoint.measured(*world.hosts[0].streams.keys().next().expect("one"));
    let queueing = measured.and_then(|measured| measured.queueing).expect("measured");
    assert!((queueing.as_secs_f64() - TARGET.as_secs_f64()).abs() < 0.06, "{queueing:?}");
    assert_eq!(world.wire.dropped, 0);
}

#[test]
fn it_yields_to_a_flow_that_fills_the_queue_and_comes_back() {
    let mut world = World::new(1, bottleneck(), Config::default());
    world.connect(octets(120_000_000));
    run(&mut world, None, Duration::from_secs(10));
    let mut reno = Reno::new();
    run(&mut world, Some(&mut reno), Duration::from_secs(10));
    let (ours, theirs) = (world.stream(1).got.len(), reno.acknowledged);
    run(&mut world, Some(&mut reno), Duration::from_secs(40));
    let ours = (world.stream(1).got.len() - ours) as f64 / 40.0;
    let theirs = (reno.acknowledged - theirs) as f64 * 1_500.0 / 40.0;
    assert!(theirs > 850_000.0 && ours < 120_000.0, "{ours} for us, {theirs} for TCP");
    // Its packets are gone: the link is ours again.
    run(&mut world, None, Duration::from_secs(15));
    let before = world.stream(1).got.len();
    run(&mut world, None, Duration::from_secs(10));
    let rate = (world.stream(1).got.len() - before) as f64 / 10.0;
    assert!(rate > 900_000.0, "{rate} octets a second of 1,000,000");
}

#[test]
fn two_of_its_kind_share_and_stay_near_the_target() {
    let mut world = World::new(1, bottleneck(), Config::default());
    world.connect(octets(60_000_000));
    run(&mut world, None, Duration::from_secs(3));
    world.connect(octets(60_000_000));
    run(&mut world, None, Duration::from_secs(10));
    let delays = run(&mut world, None, Duration::from_secs(20));
    // The latecomer takes the other's queue for the path: twice the target.
    assert!(mean(&delays) < 0.25, "{}", mean(&delays));
    assert!(world.hosts[1].streams.values().all(|stream| stream.got.len() > 3_000_000));
}

/// The other clock gains 200 ms in the end: not to be taken for a queue.
#[test]
fn a_clock_that_runs_faster_is_no_queue() {
    let link = Link { rate_octets_per_second: Some(250_000), ..bottleneck() };
    let mut world = World::new(1, link, Config::default());
    world.drift_ppm = 2_000;
    world.connect(octets(60_000_000));
    run(&mut world, None, Duration::from_secs(80));
    let before = world.stream(1).got.len();
    run(&mut world, None, Duration::from_secs(20));
    let rate = (world.stream(1).got.len() - before) as f64 / 20.0;
    assert!(rate > 230_000.0, "{rate} octets a second of 250,000");
}
