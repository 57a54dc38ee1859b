//! Tiers, events and timeouts, step by step.

use super::*;
use crate::tracker::swarm::Counts;
use crate::tracker::udp::{
    Announce, Options, Reply, Request, write_announce_head, write_connect, write_error, write_scrape,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::net::SocketAddr;
use std::time::Duration;

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(3)
}

fn tiers(sizes: &[usize]) -> Vec<Vec<TrackerUrl>> {
    let tier = |(tier, size): (usize, &usize)| {
        let url = |n| TrackerUrl::parse(&format!("udp://t{tier}-{n}.test:1")).expect("a URL");
        (0..*size).map(url).collect()
    };
    sizes.iter().enumerate().map(tier).collect()
}

fn announcer(sizes: &[usize]) -> Announcer {
    Announcer::new(tiers(sizes), &[Family::V4], false, &mut rng())
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_mins(minutes)
}

/// Asks for the next announce, which must be due at `now`.
fn due(announcer: &mut Announcer, now: Instant) -> (TrackerId, Event) {
    let due = announcer.poll_announce(now).expect("due");
    assert_eq!(announcer.poll_announce(now), None, "one at a time");
    (due.tracker, due.event)
}

fn schedule() -> Schedule {
    Schedule::new(1_800, Some(600))
}

#[test]
fn who_answers_is_asked_again_after_the_interval() {
    let (mut announcer, now) = (announcer(&[3, 2]), Instant::now());
    let (first, event) = due(&mut announcer, now);
    assert_eq!(event, Event::Started);
    announcer.handle_failure(now, first, Family::V4, None);
    let (second, event) = due(&mut announcer, now);
    assert!(second != first && event == Event::Started);
    announcer.handle_reply(now, second, Family::V4, schedule());
    assert_eq!(announcer.poll_timeout(), Some(now + minutes(30)));
    assert_eq!(announcer.poll_announce(now + minutes(29)), None);
    // It was moved to the front of its tier.
    let later = now + minutes(30);
    assert_eq!(due(&mut announcer, later), (second, Event::None));
    announcer.handle_failure(later, second, Family::V4, None);
    assert_eq!(due(&mut announcer, later), (first, Event::Started), "it never answered");
}

#[test]
fn tiers_are_gone_through_in_order_and_then_all_rest() {
    let (mut announcer, mut now) = (announcer(&[2, 3, 1]), Instant::now());
    let mut rests = Vec::new();
    for _ in 0..9 {
        let mut order = Vec::new();
        for _ in 0..6 {
            let (tracker, event) = due(&mut announcer, now);
            assert_eq!(event, Event::Started);
            order.push(tracker.0);
            announcer.handle_failure(now, tracker, Family::V4, None);
        }
        let sorted = |part: &[usize]| {
            let mut part = part.to_vec();
            part.sort_unstable();
            part
        };
        assert_eq!((sorted(&order[..2]), sorted(&order[2..5])), (vec![0, 1], vec![2, 3, 4]));
        let next = announcer.poll_timeout().expect("a rest");
        rests.push((next - now).as_secs());
        now = next;
    }
    assert_eq!(rests, [30, 60, 120, 240, 480, 960, 1_800, 1_800, 1_800]);
}

/// The example of BEP 12: `[[tracker1], [backup1], [backup2]]`.
#[test]
fn a_backup_is_asked_only_while_the_first_cannot_be_reached() {
    let (mut announcer, now) = (announcer(&[1, 1, 1]), Instant::now());
    let mut asked = Vec::new();
    for round in 0..3 {
        let at = now + minutes(30 * round);
        loop {
            let (tracker, _) = due(&mut announcer, at);
            asked.push(tracker.0);
            // The first is away in the first round, the backups always answer.
            if tracker.0 == 0 && round == 0 {
                announcer.handle_failure(at, tracker, Family::V4, None);
            } else {
                announcer.handle_reply(at, tracker, Family::V4, schedule());
                break;
            }
        }
    }
    assert_eq!(asked, [0, 1, 0, 0]);
}

#[test]
fn tiers_are_shuffled() {
    let firsts: std::collections::BTreeSet<usize> = (0..50)
        .map(|seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut announcer = Announcer::new(tiers(&[4]), &[Family::V4], false, &mut rng);
            due(&mut announcer, Instant::now()).0.0
        })
        .collect();
    assert_eq!(firsts.len(), 4);
}

#[test]
fn a_download_is_told_once_and_at_once() {
    let (mut announcer, now) = (announcer(&[1]), Instant::now());
    let (tracker, _) = due(&mut announcer, now);
    announcer.handle_reply(now, tracker, Family::V4, schedule());
    announcer.handle_completed(now + minutes(1));
    assert_eq!(due(&mut announcer, now + minutes(1)), (tracker, Event::Completed));
    announcer.handle_reply(now + minutes(1), tracker, Family::V4, schedule());
    announcer.handle_completed(now + minutes(2));
    assert_eq!(announcer.poll_announce(now + minutes(2)), None);
    assert_eq!(due(&mut announcer, now + minutes(31)), (tracker, Event::None));
}

#[test]
fn what_is_completed_while_being_asked_is_told_after() {
    let (mut announcer, now) = (announcer(&[1]), Instant::now());
    let (tracker, _) = due(&mut announcer, now);
    announcer.handle_reply(now, tracker, Family::V4, schedule());
    let later = now + minutes(30);
    assert_eq!(due(&mut announcer, later), (tracker, Event::None));
    announcer.handle_completed(later);
    announcer.handle_reply(later, tracker, Family::V4, schedule());
    assert_eq!(due(&mut announcer, later), (tracker, Event::Completed));
}

#[test]
fn a_seed_has_nothing_to_complete() {
    let now = Instant::now();
    let mut announcer = Announcer::new(tiers(&[1]), &[Family::V4], true, &mut rng());
    let (tracker, _) = due(&mut announcer, now);
    announcer.handle_reply(now, tracker, Family::V4, schedule());
    announcer.handle_completed(now);
    assert_eq!(announcer.poll_announce(now), None);
}

#[test]
fn all_that_know_of_us_are_told_that_we_leave() {
    let (mut announcer, now) = (announcer(&[1, 1, 1]), Instant::now());
    let (first, _) = due(&mut announcer, now);
    announcer.handle_reply(now, first, Family::V4, schedule());
    let later = now + minutes(30);
    let (again, _) = due(&mut announcer, later);
    announcer.handle_failure(later, again, Family::V4, None);
    let (second, _) = due(&mut announcer, later);
    announcer.handle_reply(later, second, Family::V4, schedule());
    announcer.handle_stop(later);
    let mut told = Vec::new();
    while let Some(due) = announcer.poll_announce(later) {
        assert_eq!(due.event, Event::Stopped);
        told.push(due.tracker);
        // Whether it answers or not.
        announcer.handle_failure(later, due.tracker, Family::V4, None);
    }
    assert_eq!(told, [first, second]);
    assert_eq!((announcer.poll_timeout(), announcer.poll_announce(later + minutes(60))), (None, None));
}

#[test]
fn who_leaves_when_all_is_here_says_that_it_is_before() {
    let (mut announcer, now) = (announcer(&[1]), Instant::now());
    let (tracker, _) = due(&mut announcer, now);
    announcer.handle_reply(now, tracker, Family::V4, schedule());
    announcer.handle_completed(now);
    announcer.handle_stop(now);
    assert_eq!(due(&mut announcer, now), (tracker, Event::Completed));
    announcer.handle_reply(now, tracker, Family::V4, schedule());
    assert_eq!(due(&mut announcer, now), (tracker, Event::Stopped));
    announcer.handle_reply(now, tracker, Family::V4, schedule());
    assert_eq!(announcer.poll_announce(now + minutes(60)), None);
}

#[test]
fn who_leaves_while_the_first_announce_is_on_its_way_says_so_after() {
    let (mut announcer, now) = (announcer(&[1]), Instant::now());
    let (tracker, _) = due(&mut announcer, now);
    announcer.handle_stop(now);
    assert_eq!(announcer.poll_announce(now), None);
    announcer.handle_reply(now, tracker, Family::V4, schedule());
    assert_eq!(due(&mut announcer, now), (tracker, Event::Stopped));
    let (mut announcer, now) = (self::announcer(&[1]), Instant::now());
    announcer.handle_stop(now);
    assert_eq!(announcer.poll_announce(now), None, "nobody knows of us");
}

#[test]
fn more_peers_are_asked_for_no_sooner_than_allowed() {
    let (mut announcer, now) = (announcer(&[1]), Instant::now());
    let (tracker, _) = due(&mut announcer, now);
    announcer.handle_reply(now, tracker, Family::V4, schedule());
    announcer.handle_want(now + minutes(1));
    assert_eq!(announcer.poll_timeout(), Some(now + minutes(10)));
    announcer.handle_want(now + minutes(12));
    assert_eq!(announcer.poll_timeout(), Some(now + minutes(10)), "never later than before");
    announcer.handle_demand(now + minutes(2));
    assert_eq!(announcer.poll_timeout(), Some(now + minutes(10)), "nor for the user");
    let later = now + minutes(10);
    let (tracker, _) = due(&mut announcer, later);
    announcer.handle_failure(later, tracker, Family::V4, None);
    announcer.handle_want(later);
    assert_eq!(announcer.poll_announce(later), None, "who failed rests");
    announcer.handle_demand(later);
    assert_eq!(due(&mut announcer, later), (tracker, Event::None), "unless the user asks");
}

#[test]
fn a_tracker_that_says_when_is_not_asked_before() {
    let (mut announcer, now) = (announcer(&[1, 1]), Instant::now());
    let (first, _) = due(&mut announcer, now);
    announcer.handle_failure(now, first, Family::V4, Some(minutes(60)));
    let (second, _) = due(&mut announcer, now);
    announcer.handle_failure(now, second, Family::V4, Some(Duration::MAX));
    let mut asked = Vec::new();
    for _ in 0..20 {
        let now = announcer.poll_timeout().expect("a rest");
        if let Some(due) = announcer.poll_announce(now) {
            asked.push((due.tracker, now));
            announcer.handle_failure(now, due.tracker, Family::V4, None);
        }
    }
    assert!(!asked.is_empty() && asked.iter().all(|(tracker, _)| *tracker == first), "never means never");
}

#[test]
fn families_go_their_own_ways() {
    let now = Instant::now();
    let mut announcer = Announcer::new(tiers(&[1, 1]), &[Family::V4, Family::V6], false, &mut rng());
    let four = announcer.poll_announce(now).expect("due");
    let six = announcer.poll_announce(now).expect("due");
    assert_eq!((four.family, six.family, four.tracker), (Family::V4, Family::V6, six.tracker));
    announcer.handle_reply(now, four.tracker, Family::V4, schedule());
    announcer.handle_failure(now, six.tracker, Family::V6, None);
    let next = announcer.poll_announce(now).expect("due");
    assert!(next.family == Family::V6 && next.tracker != six.tracker);
    // Strays change nothing.
    announcer.handle_reply(now, six.tracker, Family::V6, schedule());
    announcer.handle_failure(now, four.tracker, Family::V4, None);
    assert_eq!(announcer.poll_timeout(), Some(now + minutes(30)));
}

#[test]
fn a_tracker_id_is_sent_back_and_trackers_are_bounded() {
    let now = Instant::now();
    let mut announcer = Announcer::new(tiers(&[300, 5]), &[Family::V4], false, &mut rng());
    assert_eq!(announcer.urls.len(), TRACKERS_MAX);
    let (tracker, _) = due(&mut announcer, now);
    let schedule = Schedule { tracker_id: Some(b"abc".to_vec()), ..schedule() };
    announcer.handle_reply(now, tracker, Family::V4, schedule);
    let due = announcer.poll_announce(now + minutes(30)).expect("due");
    assert_eq!(due.tracker_id.as_deref(), Some(&b"abc"[..]));
    let mut none = Announcer::new(vec![vec![]], &[Family::V4], false, &mut rng());
    assert!(none.is_empty() && none.poll_announce(now).is_none() && none.poll_timeout().is_none());
}

fn asked() -> Announce<'static> {
    Announce {
        connection_id: 0,
        transaction_id: 0,
        info_hash: [1; 20],
        peer_id: [2; 20],
        downloaded: 0,
        left: 1,
        uploaded: 0,
        event: Event::Started,
        ip: 0,
        key: 3,
        num_want: -1,
        port: 6_881,
        options: Options::default(),
    }
}

fn tracker() -> SocketAddr {
    ([192, 0, 2, 1], 6_969).into()
}

#[test]
fn an_exchange_connects_and_announces() {
    let (now, mut rng, mut cache) = (Instant::now(), rng(), ConnectionCache::default());
    let mut exchange = Exchange::announce(now, tracker(), asked(), b"/a?k=1", 8, &cache, &mut rng);
    let sent = exchange.poll_transmit().expect("a connect");
    assert_eq!(Request::read(&sent), Ok(Request::Connect { transaction_id: exchange.transaction_id() }));
    assert_eq!(exchange.poll_transmit(), None);
    let mut out = [0; 64];
    // From elsewhere, or of another transaction, nothing is taken.
    let length = write_connect(exchange.transaction_id(), 77, &mut out);
    let stranger = SocketAddr::from(([192, 0, 2, 2], 6_969));
    exchange.handle_datagram(now, stranger, &out[..length], &mut cache, &mut rng);
    let length = write_connect(exchange.transaction_id() ^ 1, 77, &mut out);
    exchange.handle_datagram(now, tracker(), &out[..length], &mut cache, &mut rng);
    assert_eq!(exchange.poll_transmit(), None);
    let length = write_connect(exchange.transaction_id(), 77, &mut out);
    let progress = exchange.handle_datagram(now, tracker(), &out[..length], &mut cache, &mut rng);
    assert_eq!(progress, Progress::Continues);
    let sent = exchange.poll_transmit().expect("an announce");
    let Ok(Request::Announce(announce)) = Request::read(&sent) else { panic!("an announce") };
    assert_eq!((announce.connection_id, announce.info_hash, announce.key), (77, [1; 20], 3));
    assert_eq!(announce.options.url_data().collect::<Vec<_>>().concat(), b"/a?k=1");
    let length = write_announce_head(exchange.transaction_id(), 1_800, 1, 2, &mut out);
    let progress = exchange.handle_datagram(now, tracker(), &out[..length], &mut cache, &mut rng);
    let Progress::Answered(reply @ Reply::Announce { seeds: 2, .. }) = progress else {
        panic!("{progress:?}")
    };
    assert_eq!(Schedule::of_udp(&reply), Some(Schedule::new(1_800, None)));
    assert_eq!(exchange.poll_timeout(), None);
    // The next one needs no connect, for a minute.
    let mut next = Exchange::scrape(now, tracker(), &[[1; 20]], 8, &cache, &mut rng);
    let sent = next.poll_transmit().expect("a scrape");
    assert!(matches!(Request::read(&sent), Ok(Request::Scrape(scrape)) if scrape.connection_id == 77));
    let length = write_scrape(next.transaction_id(), [Counts::default()].into_iter(), &mut out);
    let progress = next.handle_datagram(now, tracker(), &out[..length], &mut cache, &mut rng);
    assert!(matches!(progress, Progress::Answered(Reply::Scrape(counts)) if counts.counts().len() == 1));
    let mut later = Exchange::announce(now + minutes(1), tracker(), asked(), b"", 8, &cache, &mut rng);
    let sent = later.poll_transmit().expect("a connect");
    assert!(matches!(Request::read(&sent), Ok(Request::Connect { .. })));
}

#[test]
fn silence_is_met_with_doubled_patience_and_then_given_up() {
    let (mut now, mut rng, mut cache) = (Instant::now(), rng(), ConnectionCache::default());
    let mut exchange = Exchange::announce(now, tracker(), asked(), b"", 99, &cache, &mut rng);
    let mut waited = Vec::new();
    loop {
        assert!(exchange.poll_transmit().is_some());
        let deadline = exchange.poll_timeout().expect("a deadline");
        waited.push((deadline - now).as_secs());
        assert_eq!(exchange.handle_timeout(now, &mut cache), Progress::Continues);
        now = deadline;
        if exchange.handle_timeout(now, &mut cache) == Progress::TimedOut {
            break;
        }
    }
    assert_eq!(waited, [15, 30, 60, 120, 240, 480, 960, 1_920, 3_840]);
    assert_eq!((exchange.poll_transmit(), exchange.poll_timeout()), (None, None));
}

#[test]
fn a_connection_that_is_over_is_made_anew_while_repeating() {
    let (now, mut rng, mut cache) = (Instant::now(), rng(), ConnectionCache::default());
    let mut exchange = Exchange::announce(now, tracker(), asked(), b"", 8, &cache, &mut rng);
    exchange.poll_transmit();
    let mut out = [0; 64];
    let length = write_connect(exchange.transaction_id(), 77, &mut out);
    exchange.handle_datagram(now, tracker(), &out[..length], &mut cache, &mut rng);
    let mut kinds = Vec::new();
    let mut at = now;
    for _ in 0..4 {
        let sent = exchange.poll_transmit().expect("a request");
        kinds.push(matches!(Request::read(&sent), Ok(Request::Announce(_))));
        at = exchange.poll_timeout().expect("a deadline");
        exchange.handle_timeout(at, &mut cache);
    }
    // Sent after 0 and 15 s with the id, after 45 s too, then it is over.
    assert_eq!(kinds, [true, true, true, false], "{:?}", at - now);
}

#[test]
fn a_remembered_connection_that_is_refused_is_made_anew_once() {
    let (now, mut rng, mut cache) = (Instant::now(), rng(), ConnectionCache::default());
    cache.put(now, tracker(), 5);
    let mut exchange = Exchange::announce(now, tracker(), asked(), b"", 8, &cache, &mut rng);
    exchange.poll_transmit();
    let mut out = [0; 64];
    let length = write_error(exchange.transaction_id(), "connection id unknown", &mut out);
    let progress = exchange.handle_datagram(now, tracker(), &out[..length], &mut cache, &mut rng);
    assert_eq!(progress, Progress::Continues);
    let sent = exchange.poll_transmit().expect("a connect");
    assert!(matches!(Request::read(&sent), Ok(Request::Connect { .. })));
    let length = write_error(exchange.transaction_id(), "no", &mut out);
    let progress = exchange.handle_datagram(now, tracker(), &out[..length], &mut cache, &mut rng);
    assert_eq!(progress, Progress::Answered(Reply::Error { message: b"no" }));
}

#[test]
fn remembered_connections_are_bounded() {
    let (now, mut cache) = (Instant::now(), ConnectionCache::default());
    let tracker = |n: u16| SocketAddr::from(([10, 0, 0, 1], n));
    for n in 0..5_000 {
        cache.put(now, tracker(n), 1);
    }
    assert_eq!(cache.ids.len(), 1_024);
    cache.put(now + minutes(2), tracker(4_999), 1);
    assert_eq!(cache.ids.len(), 1, "what is over makes room");
}
