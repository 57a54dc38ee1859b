//! Octets arrive once, in order and completely, and connections end.

use super::*;
use proptest::prelude::*;

fn small_windows() -> Config {
    Config { receive_octets_max: 8_000, send_octets_max: 5_000, ..Config::default() }
}

/// Sends in both directions and expects everything there, and both ends gone.
fn exchange(seed: u64, link: Link, config: Config, there: usize, back: usize) -> World {
    let mut world = World::new(seed, link, config);
    world.hosts[1].reply = octets(back);
    world.connect(octets(there));
    let done = |world: &World| {
        let both = world.hosts.iter().all(|host| host.streams.values().any(|stream| stream.closed.is_some()));
        let gone = world.hosts.iter().all(|host| host.endpoint.is_empty());
        gone && (both || never_connected(world))
    };
    assert!(world.run_until(Duration::from_hours(1), done), "seed {seed}: no end");
    if never_connected(&world) {
        // Even of few losses all may hit the opening.
        assert!(world.wire.links[0].lost > 0, "seed {seed}: no connection");
        return world;
    }
    for (host, count) in [(0, back), (1, there)] {
        let stream = world.stream(host);
        assert!(stream.got == octets(count), "seed {seed}: {} of {count} octets", stream.got.len());
        assert!(stream.finished, "seed {seed}");
        // Where many packets are lost, the last word may be among them.
        let last_word = stream.closed == Some(CloseReason::Finished) || world.wire.links[0].lost > 0;
        assert!(last_word, "seed {seed}: {:?}", stream.closed);
    }
    world
}

/// Every SYN, or every answer to one, was lost.
fn never_connected(world: &World) -> bool {
    let timed_out = |stream: &Stream| !stream.connected && stream.closed == Some(CloseReason::TimedOut);
    world.hosts[0].streams.values().any(timed_out)
}

#[test]
fn a_clean_link_is_filled_without_a_loss() {
    let link = Link { rate_octets_per_second: Some(1_000_000), ..Link::default() };
    let world = exchange(1, link, Config::default(), 3_000_000, 0);
    // 3 s for the octets themselves, 2 s for the linger at the end.
    assert!(world.elapsed() < Duration::from_secs(6), "{:?}", world.elapsed());
    assert_eq!(world.wire.dropped, 0);
}

#[test]
fn every_seed_gets_through_a_bad_link() {
    for seed in 0..60 {
        let link = Link {
            delay: Duration::from_millis(5 + seed % 40),
            jitter: Duration::from_millis(seed % 30),
            lost: (seed as u32 % 7) * 40,
            repeated: (seed as u32 % 3) * 100,
            ..Link::default()
        };
        let config = if seed % 2 == 0 { small_windows() } else { Config::default() };
        exchange(seed, link, config, 60_000, 20_000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn any_amount_arrives(
        seed: u64, there in 0usize..30_000, back in 0usize..30_000, lost in 0u32..250, jitter in 0u64..60,
        window in 1_500usize..20_000
    ) {
        let link = Link { lost, repeated: 50, jitter: Duration::from_millis(jitter), ..Link::default() };
        let config = Config { receive_octets_max: window, send_octets_max: window, ..Config::default() };
        exchange(seed >> 1, link, config, there, back);
    }
}

#[test]
fn more_packets_than_numbers_wrap_well() {
    let link = Link { delay: Duration::from_millis(1), lost: 5, ..Link::default() };
    let world = exchange(3, link, Config::default(), 100_000 * 1_000, 0);
    assert!(world.datagrams > 65_536, "{}", world.datagrams);
}

#[test]
fn a_lost_packet_costs_round_trips_and_no_timeout() {
    let mut world = World::new(1, Link::default(), Config::default());
    world.connect(octets(200_000));
    world.run_for(Duration::from_millis(50));
    world.wire.links[0].lost = 1_000;
    world.run_for(Duration::from_millis(8));
    world.wire.links[0].lost = 0;
    assert!(world.run_until(Duration::from_millis(450), |world| world.stream(1).got.len() == 200_000));
}

#[test]
fn the_last_packet_is_repeated_before_the_timeout() {
    let mut world = World::new(1, Link::default(), Config::default());
    world.connect(octets(9_000));
    // SYN, its answer, then all octets and the end at once: the tail is lost.
    world.run_for(Duration::from_millis(19));
    world.wire.links[0].lost = 1_000;
    world.run_for(Duration::from_millis(3));
    world.wire.links[0].lost = 0;
    assert!(world.run_until(Duration::from_millis(350), |world| {
        world.hosts[1].streams.values().any(|stream| stream.got.len() == 9_000)
    }));
}

/// The window closes, the writer is held back, nothing is lost, and one slow
/// reader is found awake again even if the news of it is lost.
#[test]
fn a_reader_that_rests_holds_the_writer_back() {
    for (lost_news, seed) in [(false, 1), (true, 2)] {
        let config = Config { receive_octets_max: 50_000, send_octets_max: 30_000, ..Config::default() };
        let mut world = World::new(seed, Link::default(), config);
        world.hosts[1].reads = false;
        world.connect(octets(400_000));
        world.run_for(Duration::from_secs(30));
        let got = world.stream(1).got.len();
        assert!((40_000..=50_000).contains(&got), "{got}");
        let waits = world.stream(0).to_send.len();
        assert!(waits >= 400_000 - 50_000 - 30_000 - 2_000, "{waits}");
        // Only now and then a look whether it opened.
        let before = world.datagrams;
        world.run_for(Duration::from_mins(1));
        assert!(world.datagrams - before < 60, "{}", world.datagrams - before);
        world.wire.links[1].lost = if lost_news { 1_000 } else { 0 };
        world.hosts[1].resume();
        world.settle(1);
        world.wire.links[1].lost = 0;
        let done = |world: &World| world.stream(1).got.len() == 400_000;
        assert!(world.run_until(Duration::from_secs(100), done), "{}", world.stream(1).got.len());
        assert!(world.stream(1).got == octets(400_000));
    }
}

#[test]
fn small_writes_share_packets() {
    let mut world = World::new(1, Link::default(), Config::default());
    let id = world.connect(Bytes::new());
    world.hosts[0].streams.get_mut(&id).expect("the stream").finishes = false;
    // `connect` had nothing to send and finished at once: another one.
    let id = world.hosts[0].endpoint.connect(world.now, path_to(1)).expect("a connection");
    world.hosts[0].streams.insert(id, Stream::default());
    world.settle(0);
    world.run_for(Duration::from_millis(100));
    let before = world.datagrams;
    for _ in 0..2_000 {
        assert!(world.hosts[0].endpoint.write(id, Bytes::from_static(b"12345")).is_empty());
        world.settle(0);
    }
    world.run_for(Duration::from_secs(1));
    let got = world.hosts[1].streams.values().map(|stream| stream.got.len()).max();
    assert_eq!(got, Some(10_000));
    assert!(world.datagrams - before < 30, "{}", world.datagrams - before);
}

#[test]
fn packets_that_come_together_are_acknowledged_together() {
    let link = Link { delay: Duration::from_millis(5), ..Link::default() };
    let world = exchange(1, link, Config::default(), 1_000_000, 0);
    // About 690 packets of octets; far fewer acknowledgements.
    assert!(world.datagrams < 900, "{}", world.datagrams);
}

#[test]
fn datagrams_grow_to_what_the_path_carries_and_no_more() {
    for (mtu, knows, expected) in [
        (1_500, None, 1_472),
        (1_400, None, 1_372),
        (65_536, Some(65_507), 65_507),
        (9_000, Some(65_507), 8_972),
    ] {
        let link = Link { mtu_octets: mtu, ..Link::default() };
        let mut world = World::new(1, link, Config::default());
        world.hosts.iter_mut().for_each(|host| host.path_octets_max = knows);
        let id = world.connect(octets(30_000_000));
        let grown = |world: &World| {
            world.hosts[0]
                .endpoint
                .measured(id)
                .is_some_and(|measured| measured.datagram_octets + 40 > expected)
        };
        assert!(world.run_until(Duration::from_mins(1), grown), "{mtu}");
        let found = world.hosts[0].endpoint.measured(id).expect("there").datagram_octets;
        assert!(found <= expected, "{found} of {expected}");
        assert!(
            world.run_until(Duration::from_mins(1), |world| world.stream(1).got.len() == 30_000_000),
            "{mtu}"
        );
        assert!(world.stream(1).got == octets(30_000_000));
    }
}

#[test]
fn a_path_that_shrinks_is_noticed() {
    let mut world = World::new(1, Link::default(), Config::default());
    let id = world.connect(octets(3_000_000));
    world.run_for(Duration::from_millis(200));
    assert_eq!(world.hosts[0].endpoint.measured(id).map(|measured| measured.datagram_octets), Some(1_472));
    world.wire.links[0].mtu_octets = 1_300;
    let done = |world: &World| world.stream(1).got.len() == 3_000_000;
    assert!(world.run_until(Duration::from_mins(2), done), "{}", world.stream(1).got.len());
}

#[test]
fn nobody_there_is_found_out() {
    let mut world = World::new(1, Link { lost: 1_000, ..Link::default() }, Config::default());
    world.connect(octets(10));
    let closed = |world: &World| world.stream(0).closed == Some(CloseReason::TimedOut);
    assert!(world.run_until(Duration::from_secs(40), closed));
    assert_eq!(world.elapsed(), Duration::from_secs(15));
    assert!(world.datagrams <= 4, "{}", world.datagrams);
}

#[test]
fn a_side_that_vanishes_is_given_up_and_an_idle_one_is_kept_alive() {
    let mut world = World::new(1, Link::default(), Config::default());
    let id = world.hosts[0].endpoint.connect(world.now, path_to(1)).expect("a connection");
    world.hosts[0].streams.insert(id, Stream::default());
    world.settle(0);
    world.run_for(Duration::from_secs(1));
    let before = world.datagrams;
    world.run_for(Duration::from_secs(290));
    assert!((18..=22).contains(&(world.datagrams - before)), "{}", world.datagrams - before);
    assert!(world.stream(0).closed.is_none());
    world.wire.links[0].lost = 1_000;
    world.hosts[0].streams.get_mut(&id).expect("the stream").to_send = octets(100);
    world.settle(0);
    let closed = |world: &World| world.stream(0).closed == Some(CloseReason::TimedOut);
    assert!(world.run_until(Duration::from_secs(200), closed));
}

#[test]
fn who_drops_a_connection_still_sends_and_one_that_forgot_resets() {
    let mut world = World::new(1, Link::default(), Config::default());
    let id = world.hosts[0].endpoint.connect(world.now, path_to(1)).expect("a connection");
    world.hosts[0].streams.insert(id, Stream::default());
    world.settle(0);
    world.run_for(Duration::from_millis(100));
    assert!(world.hosts[0].endpoint.write(id, octets(30_000)).is_empty());
    let now = world.now;
    world.hosts[0].endpoint.abandon(now, id);
    world.settle(0);
    world.run_for(Duration::from_secs(10));
    assert!(world.stream(1).got == octets(30_000) && world.stream(1).finished);
    assert!(world.hosts[0].endpoint.is_empty());

    let id = world.connect(octets(1_000_000));
    world.run_for(Duration::from_millis(100));
    world.hosts[0].endpoint.reset(id);
    world.settle(0);
    world.run_for(Duration::from_secs(1));
    assert!(world.hosts[1].streams.values().any(|stream| stream.closed == Some(CloseReason::Reset)));
    assert!(world.hosts[1].endpoint.is_empty());
}
