//! One family's way through the tiers.

use super::schedule::Schedule;
use super::{Event, Family, TrackerId};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Trackers of one torrent.
pub const TRACKERS_MAX: usize = 256;
/// The rest after all trackers failed; doubled each time.
const REST_MIN: Duration = Duration::from_secs(30);
/// The longest rest.
const REST_MAX: Duration = Duration::from_mins(30);

/// How far one tracker is.
#[derive(Debug, Default)]
struct Known {
    /// Whether it knows of us: it answered and was not told that we left.
    started: bool,
    /// Whether it was told that we completed.
    completed: bool,
    /// To be sent back.
    tracker_id: Option<Vec<u8>>,
    /// Not to be asked before; of a tracker that said so (BEP 31).
    not_before: Option<Instant>,
    /// Never to be asked again.
    never: bool,
}

/// What a walk does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// Waits until then to ask the tracker at `at`.
    Waiting(Instant),
    /// Waits for a tracker's answer.
    Asking(TrackerId, Event),
    /// Has nothing more to do.
    Done,
}

/// One family's way through the tiers.
#[derive(Debug)]
pub(super) struct Walk {
    family: Family,
    tiers: Vec<Vec<TrackerId>>,
    /// Which tier and which of its trackers is asked next.
    at: (usize, usize),
    doing: Option<Doing>,
    known: BTreeMap<TrackerId, Known>,
    /// Walks in which nobody answered.
    failures: u32,
    /// The earliest next announce that the last tracker allows.
    earliest: Option<Instant>,
    /// Whether nothing was left at the beginning.
    seed: bool,
    completed: bool,
    stopping: bool,
}

impl Walk {
    pub(super) fn new(family: Family, tiers: Vec<Vec<TrackerId>>, seed: bool) -> Self {
        let doing = if tiers.is_empty() { Some(Doing::Done) } else { None };
        Self {
            family,
            tiers,
            at: (0, 0),
            doing,
            known: BTreeMap::new(),
            failures: 0,
            earliest: None,
            seed,
            completed: false,
            stopping: false,
        }
    }

    pub(super) fn family(&self) -> Family {
        self.family
    }

    pub(super) fn tracker_id(&self, tracker: TrackerId) -> Option<Vec<u8>> {
        self.known.get(&tracker)?.tracker_id.clone()
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        match self.doing {
            Some(Doing::Waiting(until)) => Some(until),
            _ => None,
        }
    }

    /// Whom to ask now.
    pub(super) fn poll(&mut self, now: Instant) -> Option<(TrackerId, Event)> {
        match self.doing {
            // The first announce is due as soon as somebody asks.
            None => {}
            Some(Doing::Waiting(until)) if until <= now => {}
            _ => return None,
        }
        if self.stopping {
            return self.poll_stop();
        }
        // Each tracker once at most: those that must rest are passed over.
        for _ in 0..TRACKERS_MAX {
            let tracker = self.current()?;
            let known = self.known.entry(tracker).or_default();
            if known.never || known.not_before.is_some_and(|until| now < until) {
                if !self.advance() {
                    self.rest(now);
                    return None;
                }
                continue;
            }
            let event = if !known.started {
                Event::Started
            } else if self.completed && !self.seed && !known.completed {
                Event::Completed
            } else {
                Event::None
            };
            self.doing = Some(Doing::Asking(tracker, event));
            return Some((tracker, event));
        }
        None
    }

    /// The next tracker that is to be told that we leave; before, that the download
    /// is complete, where it was not told yet: it counts them.
    fn poll_stop(&mut self) -> Option<(TrackerId, Event)> {
        let next = self.known.iter_mut().find(|(_, known)| known.started);
        let Some((tracker, known)) = next else {
            self.doing = Some(Doing::Done);
            return None;
        };
        let tracker = *tracker;
        // Told once, whether it answers or not.
        let event = if self.completed && !self.seed && !known.completed {
            known.completed = true;
            Event::Completed
        } else {
            known.started = false;
            Event::Stopped
        };
        self.doing = Some(Doing::Asking(tracker, event));
        Some((tracker, event))
    }

    fn current(&self) -> Option<TrackerId> {
        self.tiers.get(self.at.0)?.get(self.at.1).copied()
    }

    /// Goes on to the next tracker; false, and back at the first, when there is
    /// none.
    fn advance(&mut self) -> bool {
        self.at.1 += 1;
        if self.tiers.get(self.at.0).is_some_and(|tier| self.at.1 < tier.len()) {
            return true;
        }
        self.at = (self.at.0 + 1, 0);
        if self.at.0 < self.tiers.len() {
            return true;
        }
        self.at = (0, 0);
        false
    }

    fn rest(&mut self, now: Instant) {
        let rest = REST_MIN.saturating_mul(1 << self.failures.min(16)).min(REST_MAX);
        self.failures = self.failures.saturating_add(1);
        self.doing = Some(Doing::Waiting(now + rest));
    }

    /// The answer to what is being asked; `None` to anything else.
    fn answered(&mut self, tracker: TrackerId) -> Option<Event> {
        match self.doing {
            Some(Doing::Asking(asked, event)) if asked == tracker => Some(event),
            _ => None,
        }
    }

    pub(super) fn reply(&mut self, now: Instant, tracker: TrackerId, schedule: Schedule) {
        let Some(event) = self.answered(tracker) else { return };
        if event == Event::Stopped {
            self.doing = Some(Doing::Waiting(now));
            return;
        }
        let known = self.known.entry(tracker).or_default();
        known.started = true;
        // Who hears of us for the first time when all is here has no download to count.
        known.completed |= event == Event::Completed || (event == Event::Started && self.completed);
        if schedule.tracker_id.is_some() {
            known.tracker_id = schedule.tracker_id;
        }
        let untold = self.completed && !self.seed && !known.completed;
        self.failures = 0;
        self.promote();
        self.earliest = Some(now + schedule.min_interval);
        let next = if self.stopping || untold { now } else { now + schedule.interval };
        self.doing = Some(Doing::Waiting(next));
    }

    /// Who answered stands first in its tier, and the next announce begins with
    /// the first tier again (BEP 12).
    fn promote(&mut self) {
        let (tier, place) = self.at;
        if let Some(tier) = self.tiers.get_mut(tier)
            && place < tier.len()
        {
            tier[..=place].rotate_right(1);
        }
        self.at = (0, 0);
    }

    pub(super) fn failure(&mut self, now: Instant, tracker: TrackerId, retry_in: Option<Duration>) {
        let Some(event) = self.answered(tracker) else { return };
        if self.stopping || event == Event::Stopped {
            self.doing = Some(Doing::Waiting(now));
            return;
        }
        if let Some(retry_in) = retry_in {
            let known = self.known.entry(tracker).or_default();
            match now.checked_add(retry_in) {
                Some(until) if retry_in != Duration::MAX => known.not_before = Some(until),
                _ => known.never = true,
            }
        }
        if self.advance() {
            self.doing = Some(Doing::Waiting(now));
        } else {
            self.rest(now);
        }
    }

    pub(super) fn complete(&mut self, now: Instant) {
        if self.completed || self.seed {
            return;
        }
        self.completed = true;
        if let Some(Doing::Waiting(until)) = &mut self.doing
            && self.failures == 0
        {
            *until = now.min(*until);
        }
    }

    pub(super) fn stop(&mut self, now: Instant) {
        self.stopping = true;
        match self.doing {
            // What is on its way may yet be answered, and is then followed by the farewell.
            Some(Doing::Asking(..) | Doing::Done) => {}
            _ => self.doing = Some(Doing::Waiting(now)),
        }
    }

    pub(super) fn demand(&mut self, now: Instant) {
        self.failures = 0;
        self.want(now);
    }

    pub(super) fn want(&mut self, now: Instant) {
        if let Some(Doing::Waiting(until)) = &mut self.doing
            && self.failures == 0
            && !self.stopping
        {
            let earliest = self.earliest.map_or(now, |earliest| earliest.max(now));
            *until = earliest.min(*until);
        }
    }
}
