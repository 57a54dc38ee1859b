//! How a connection keeps its queue in the system short and its packets few, so
//! that a narrow uplink carries blocks and little else.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// Octets that may wait in the system to be sent, at least: a block.
pub(super) const UNSENT_OCTETS_MIN: u32 = 16 * 1024;
/// For how long what waits in the system lasts. What was handed to it cannot be
/// taken back by a choke or a cancel, and mixes what should go one after the
/// other: a piece is of use only when it is whole.
const UNSENT_SPAN: f64 = 0.025;
/// How often it is looked how quickly the connection sends.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How much of what is sent may wait in the system.
#[derive(Debug)]
pub(super) struct SendAhead {
    unsent_max: u32,
    since: Instant,
    octets: u64,
}

impl SendAhead {
    /// Begins with [`UNSENT_OCTETS_MIN`].
    pub(super) fn new(now: Instant) -> Self {
        Self { unsent_max: UNSENT_OCTETS_MIN, since: now, octets: 0 }
    }

    /// The system took octets. Gives another bound where it is due: not each small
    /// change is worth a system call.
    pub(super) fn note(&mut self, now: Instant, octets: u32) -> Option<u32> {
        self.octets += u64::from(octets);
        let span = now.saturating_duration_since(self.since);
        if span < LOOK_INTERVAL && self.octets < u64::from(self.unsent_max) * 8 {
            return None;
        }
        // A burst at once is no rate yet.
        let seconds = span.max(LOOK_INTERVAL / 10).as_secs_f64();
        let lasting = (self.octets as f64 / seconds * UNSENT_SPAN) as u32;
        let due = lasting.max(UNSENT_OCTETS_MIN);
        (self.since, self.octets) = (now, 0);
        let changes = due > self.unsent_max || due < self.unsent_max / 2;
        changes.then(|| {
            self.unsent_max = due;
            due
        })
    }
}

/// Octets that come while a slow connection is left alone from which on it is quick.
const QUICK_OCTETS: usize = 64 * 1024;
/// How long a slow connection is left alone after it was read.
const REST: Duration = Duration::from_millis(20);

/// A rest between two reads of a connection over which blocks come slowly. TCP
/// acknowledges what was read: where each pair of packets is read as it comes, the
/// acknowledgements take more than two octets of our uplink for each hundred that
/// come in, and each wakes us.
///
/// What one read brings tells nothing: who reads as quickly as the other sends
/// reads little each time.
#[derive(Debug)]
pub(super) struct Rest {
    alarm: Alarm,
    since: Instant,
    octets: usize,
    is_slow: bool,
}

impl Rest {
    /// Of a connection that is not known to be slow yet.
    pub(super) fn new(now: Instant) -> Self {
        Self { alarm: Alarm::default(), since: now, octets: 0, is_slow: false }
    }

    /// Octets were read.
    pub(super) fn note(&mut self, octets: usize) {
        self.octets += octets;
    }

    /// All that had come was read. Whether a rest begins.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= REST {
            self.is_slow = self.octets < QUICK_OCTETS;
            (self.since, self.octets) = (now, 0);
        }
        if self.is_slow {
            self.alarm.set(REST);
        }
        self.is_slow
    }

    /// Ready when it may be read; else the task is woken then.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.alarm.poll(cx)
    }
}

/// Wakes a task after a while.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    timer: Option<Pin<Box<Sleep>>>,
    is_set: bool,
}

impl Alarm {
    pub(super) fn set(&mut self, span: Duration) {
        let until = tokio::time::Instant::now() + span;
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(until),
            None => self.timer = Some(Box::pin(tokio::time::sleep_until(until))),
        }
        self.is_set = true;
    }

    /// Ready when it is not set, or its time has come.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(timer) = self.timer.as_mut().filter(|_| self.is_set) {
            std::task::ready!(timer.as_mut().poll(cx));
            self.is_set = false;
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn after(start: Instant, milliseconds: u64) -> Instant {
        start + Duration::from_millis(milliseconds)
    }

    #[test]
    fn little_waits_of_a_slow_connection_and_more_of_a_quick_one() {
        let start = Instant::now();
        let mut slow = SendAhead::new(start);
        // 160 KB a second last 25 ms in 4 KB: a block is the least.
        assert!((1..50).all(|block| slow.note(after(start, block * 100), 16_384).is_none()));
        let mut quick = SendAhead::new(start);
        // 16 MB a second.
        let told: Vec<u32> = (1..2_000).filter_map(|block| quick.note(after(start, block), 16_384)).collect();
        let last = *told.last().expect("a larger bound");
        assert!((400_000..450_000).contains(&last) && told.len() < 10, "{told:?}");
        // It falls again once half would do.
        let told: Vec<u32> =
            (21..40).filter_map(|block| quick.note(after(start, block * 100), 16_384)).collect();
        assert_eq!(told.last(), Some(&UNSENT_OCTETS_MIN), "{told:?}");
    }

    #[test]
    fn a_burst_raises_the_bound_before_the_next_look() {
        let start = Instant::now();
        let mut burst = SendAhead::new(start);
        let told = (0..8).find_map(|_| burst.note(after(start, 1), 16_384));
        assert!(told.is_some_and(|told| told > 8 * UNSENT_OCTETS_MIN), "{told:?}");
    }

    #[tokio::test]
    async fn a_slow_connection_rests_between_reads() {
        let start = Instant::now();
        let mut rest = Rest::new(start);
        assert!(std::future::poll_fn(|cx| rest.poll(cx)).now_or_never().is_some());
        rest.note(QUICK_OCTETS - 1);
        assert!(!rest.begin(start), "it is not known to be slow yet");
        let begun = Instant::now();
        assert!(rest.begin(start + REST));
        std::future::poll_fn(|cx| rest.poll(cx)).await;
        assert!(begun.elapsed() >= REST);
    }

    #[tokio::test]
    async fn a_quick_connection_does_not_rest_however_little_each_read_brings() {
        let start = Instant::now();
        let mut rest = Rest::new(start);
        let rests = (1..10_000).filter(|read| {
            rest.note(QUICK_OCTETS / 16);
            rest.begin(start + REST * *read / 16)
        });
        assert_eq!(rests.count(), 0);
        // Once nothing came for a while it is slow, until more does in a rest.
        let after = start + REST * 1_000;
        rest.note(1);
        assert!(rest.begin(after));
        rest.note(QUICK_OCTETS);
        assert!(!rest.begin(after + REST));
    }
}
