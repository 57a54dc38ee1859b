//! Requests on their way to one peer: as many as its link holds.
//!
//! To keep a peer sending, as many octets must be asked for as it sends in the
//! time from a request to its block (the bandwidth-delay product), and a little
//! more. To ask for much more would bind blocks to a slow peer.

use super::pieces::{BLOCK_OCTETS, BlockId};
use super::rate::{RATE_WINDOW, Rate};
use super::settings::Settings;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Blocks that were given up and are still taken when they come, at most.
const LATE_MAX: u32 = 512;
/// The time from a request to its block that is assumed before one was seen.
const ROUND_TRIP_ASSUMED: Duration = Duration::from_millis(100);
/// Longer times are no round trip but a queue.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(3);

/// Requests on their way to a web seed at least, 1 MiB, and while something is
/// urgent, and at most (16 MiB, as libtorrent has it).
const WEB_SEED_REQUESTS_MIN: u32 = 64;
const WEB_SEED_REQUESTS_MIN_URGENT: u32 = 16;
const WEB_SEED_REQUESTS_MAX: u32 = 1_024;

/// For how long a peer that was asked for the first time is not taken for a slow one.
const UNTRIED_SPAN: Duration = Duration::from_secs(2);
/// Octets a second that are assumed of a peer that has sent nothing.
const RATE_LEAST: f64 = 2_000.0;
/// How much later a peer is expected to answer that did not answer in time.
const SLOW_PENALTY: Duration = Duration::from_mins(1);

/// How quickly a peer is expected to answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outlook {
    /// Seconds for each block before and including the one looked at.
    block_seconds: f64,
    /// Seconds on top.
    seconds: f64,
}

impl Outlook {
    /// In how many seconds the block at a place in the pipeline is here.
    pub(crate) fn arrival(&self, at: usize) -> f64 {
        (at + 1) as f64 * self.block_seconds + self.seconds
    }
}

/// The requests on their way to one peer, and how quickly it answers.
#[derive(Debug, Clone)]
pub(crate) struct Pipeline {
    /// In the order in which they were sent, which is the order of most answers.
    waiting: VecDeque<(BlockId, Instant)>,
    pub(crate) rate: Rate,
    /// The shortest time from a request to its block.
    round_trip: Option<Duration>,
    /// When a block came last, or the first request went out after a pause.
    progress: Instant,
    /// When the first request went out after a pause, and the rate before it: a
    /// peer that had nothing to do has not become slow.
    resumed: Instant,
    rate_before: f64,
    /// Requests that were given up: their blocks may still come.
    late: u32,
    /// No block came in time: it is asked for one at a time.
    slow: bool,
    /// No block came for much longer.
    pub(crate) snubs: bool,
}

/// What came of a block, as far as its request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It was asked for.
    Asked,
    /// It may have been asked for: the request was given up.
    Late,
    /// It was not asked for.
    Unasked,
}

impl Pipeline {
    pub(crate) fn new(now: Instant, round_trip: Option<Duration>) -> Self {
        Self {
            waiting: VecDeque::new(),
            rate: Rate::new(now),
            round_trip,
            progress: now,
            resumed: now,
            rate_before: 0.0,
            late: 0,
            slow: false,
            snubs: false,
        }
    }

    /// Whether it did not answer in time.
    pub(crate) fn is_slow(&self) -> bool {
        self.slow || self.snubs
    }

    /// Whether it was asked a moment ago and has sent nothing yet: how quick it is is
    /// not known.
    pub(crate) fn is_untried(&self, now: Instant) -> bool {
        self.rate_before == 0.0
            && !self.is_slow()
            && self.rate.octets_per_second(now) == 0.0
            && now.saturating_duration_since(self.resumed) < UNTRIED_SPAN
    }

    /// Requests on their way.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How many requests should be on their way. `peer_max` is what the peer
    /// says it queues (BEP 10, reqq).
    pub(crate) fn depth(&self, now: Instant, settings: &Settings, peer_max: u32) -> usize {
        let most = settings.requests_max.min(peer_max).max(1);
        self.depth_within(now, settings, settings.requests_min.min(most), most)
    }

    /// The same for a web seed, each request to which costs it more than a peer.
    pub(crate) fn depth_of_web_seed(&self, now: Instant, settings: &Settings, urgent: bool) -> usize {
        let least = if urgent { WEB_SEED_REQUESTS_MIN_URGENT } else { WEB_SEED_REQUESTS_MIN };
        self.depth_within(now, settings, least, WEB_SEED_REQUESTS_MAX)
    }

    fn depth_within(&self, now: Instant, settings: &Settings, least: u32, most: u32) -> usize {
        if self.is_slow() {
            return 1;
        }
        let span = self.round_trip.unwrap_or(ROUND_TRIP_ASSUMED) + settings.request_queue_span;
        let octets = self.pace(now) * span.as_secs_f64();
        let blocks = (octets / f64::from(BLOCK_OCTETS)).ceil() as u32;
        (blocks + 1).clamp(least, most) as usize
    }

    /// Octets a second that it sends, or sent before it had nothing to do.
    fn pace(&self, now: Instant) -> f64 {
        let rate = self.rate.octets_per_second(now);
        let resumes = self.waiting.is_empty() || now.saturating_duration_since(self.resumed) < RATE_WINDOW;
        if resumes { rate.max(self.rate_before) } else { rate }
    }

    /// How quickly it answers, to be compared with others.
    pub(crate) fn outlook(&self, now: Instant) -> Outlook {
        let silent = if self.slow || self.snubs { SLOW_PENALTY } else { Duration::ZERO };
        let round_trip = self.round_trip.unwrap_or(ROUND_TRIP_ASSUMED);
        Outlook {
            // A peer that has sent nothing yet is taken for a slow one.
            block_seconds: f64::from(BLOCK_OCTETS) / self.pace(now).max(RATE_LEAST),
            seconds: (round_trip + silent).as_secs_f64(),
        }
    }

    /// The requests that were sent last, latest first, with their places.
    pub(crate) fn latest(&self) -> impl Iterator<Item = (usize, BlockId)> {
        self.waiting.iter().enumerate().rev().map(|(at, (id, _))| (at, *id))
    }

    pub(crate) fn ask(&mut self, now: Instant, id: BlockId) {
        if self.waiting.is_empty() {
            self.resumed = now;
            if !self.slow {
                self.progress = now;
            }
        }
        self.waiting.push_back((id, now));
    }

    /// A block came.
    pub(crate) fn answer(&mut self, now: Instant, id: BlockId, octets: u32) -> Answer {
        let Some((_, sent)) = self.take(id) else {
            if self.late == 0 {
                return Answer::Unasked;
            }
            self.late -= 1;
            self.note_progress(now, octets);
            return Answer::Late;
        };
        let took = now.saturating_duration_since(sent).min(ROUND_TRIP_MAX);
        self.round_trip = Some(self.round_trip.map_or(took, |least| least.min(took)));
        self.note_progress(now, octets);
        Answer::Asked
    }

    fn note_progress(&mut self, now: Instant, octets: u32) {
        self.rate.add(now, octets);
        if self.waiting.is_empty() {
            // Halved, so that one lucky moment is not remembered for ever.
            self.rate_before = self.rate.octets_per_second(now).max(self.rate_before / 2.0);
        }
        self.progress = now;
        self.slow = false;
        self.snubs = false;
    }

    /// Takes back one request (it was rejected or cancelled). Whether it was on
    /// its way.
    pub(crate) fn withdraw(&mut self, id: BlockId, may_come: bool) -> bool {
        let found = self.take(id).is_some();
        if found && may_come {
            self.late = (self.late + 1).min(LATE_MAX);
        }
        found
    }

    fn take(&mut self, id: BlockId) -> Option<(BlockId, Instant)> {
        if self.waiting.front().is_some_and(|(first, _)| *first == id) {
            return self.waiting.pop_front();
        }
        let at = self.waiting.iter().position(|(waiting, _)| *waiting == id)?;
        self.waiting.remove(at)
    }

    /// Takes back all requests.
    pub(crate) fn drain(&mut self, may_come: bool) -> Vec<BlockId> {
        let all: Vec<BlockId> = self.waiting.drain(..).map(|(id, _)| id).collect();
        if may_come {
            self.late = (self.late + all.len() as u32).min(LATE_MAX);
        }
        all
    }

    /// Looks whether the peer answers in time; gives what is no longer waited
    /// for, and whether it begins to snub us.
    pub(crate) fn check(&mut self, now: Instant, settings: &Settings) -> (Vec<BlockId>, bool) {
        let Some((_, oldest)) = self.waiting.front().copied() else { return (Vec::new(), false) };
        let silent = now.saturating_duration_since(self.progress);
        let snubs = silent >= settings.snub_after && !self.snubs;
        self.snubs |= snubs;
        let waited = now.saturating_duration_since(oldest).min(silent);
        if waited < settings.request_timeout {
            return (Vec::new(), snubs);
        }
        self.slow = true;
        (self.drain(true), snubs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(block: u32) -> BlockId {
        BlockId { piece: 0, block }
    }

    /// Blocks come at `rate`, each `round_trip` after its request.
    fn run(rate: f64, round_trip: Duration, reqq: u32) -> usize {
        let (start, settings) = (Instant::now(), Settings::default());
        let mut pipeline = Pipeline::new(start, None);
        let step = Duration::from_secs_f64(f64::from(BLOCK_OCTETS) / rate);
        let mut now = start;
        for block in 0..(20.0 / step.as_secs_f64()) as u32 {
            pipeline.ask(now, id(block));
            assert_eq!(pipeline.answer(now + round_trip, id(block), BLOCK_OCTETS), Answer::Asked);
            now += step;
        }
        pipeline.depth(now, &settings, reqq)
    }

    #[test]
    fn the_depth_is_the_bandwidth_delay_product() {
        // 1 MB/s over 200 ms and 1 s of queue: 1.2 MB, 74 blocks.
        let depth = run(1e6, Duration::from_millis(200), 500);
        assert!((72..=80).contains(&depth), "{depth}");
        // A modem: the least.
        assert_eq!(run(5_000.0, Duration::from_millis(300), 500), 4);
        // A local network: the most, or what the peer queues.
        assert_eq!(run(5e8, Duration::from_micros(100), 2_000), 500);
        assert_eq!(run(5e8, Duration::from_micros(100), 250), 250);
        assert_eq!(run(5e8, Duration::from_micros(100), 0), 1);
    }

    #[test]
    fn a_silent_peer_is_given_up_then_asked_one_at_a_time_then_snubs() {
        let (start, settings) = (Instant::now(), Settings::default());
        let mut pipeline = Pipeline::new(start, None);
        let at = |seconds| start + Duration::from_secs(seconds);
        pipeline.ask(start, id(0));
        pipeline.ask(start, id(1));
        assert_eq!(pipeline.check(at(19), &settings), (vec![], false));
        assert_eq!(pipeline.check(at(20), &settings), (vec![id(0), id(1)], false));
        assert_eq!(pipeline.depth(at(20), &settings, 500), 1);
        // What was given up is still taken, once.
        pipeline.ask(at(20), id(2));
        assert_eq!(pipeline.check(at(39), &settings), (vec![], false));
        assert_eq!(pipeline.check(at(40), &settings), (vec![id(2)], false), "it may not keep that either");
        pipeline.ask(at(50), id(3));
        assert_eq!(pipeline.check(at(59), &settings), (vec![], false));
        assert_eq!(pipeline.check(at(60), &settings), (vec![], true));
        assert_eq!(pipeline.check(at(69), &settings), (vec![], false), "told once");
        assert_eq!(pipeline.answer(at(91), id(0), 16_384), Answer::Late);
        assert_eq!(pipeline.answer(at(91), id(1), 16_384), Answer::Late);
        assert_eq!(pipeline.answer(at(91), id(2), 16_384), Answer::Late);
        assert_eq!(pipeline.answer(at(91), id(2), 16_384), Answer::Unasked);
        assert!(!pipeline.snubs && pipeline.depth(at(91), &settings, 500) >= 4);
    }

    #[test]
    fn what_is_owed_late_is_bounded() {
        let now = Instant::now();
        let mut pipeline = Pipeline::new(now, None);
        for block in 0..2_000 {
            pipeline.ask(now, id(block));
        }
        assert_eq!(pipeline.drain(true).len(), 2_000);
        let taken = (0..2_000).filter(|block| pipeline.answer(now, id(*block), 1) == Answer::Late).count();
        assert_eq!(taken as u32, LATE_MAX);
    }
}
