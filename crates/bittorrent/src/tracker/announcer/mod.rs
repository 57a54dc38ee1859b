//! When a client asks which of its torrent's trackers (BEP 12), and how over
//! UDP (BEP 15).
//!
//! [`Announcer`] decides; [`Exchange`] carries one announce over UDP through its
//! connection, its timeouts and their repetition. Over HTTP the service asks
//! [`super::http::Announce::url`].

mod exchange;
mod schedule;
#[cfg(test)]
mod tests;
mod url;
mod walk;

pub use exchange::{ConnectionCache, Exchange, Progress};
pub use schedule::Schedule;
pub use url::{TrackerUrl, URL_OCTETS_MAX, UrlError};
pub use walk::TRACKERS_MAX;

use super::{Event, Family};
use rand_core::Rng;
use std::time::Instant;
use walk::Walk;

/// One tracker of the torrent, by its place in what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackerId(pub usize);

/// An announce to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// To whom.
    pub tracker: TrackerId,
    /// Where that is.
    pub url: TrackerUrl,
    /// Over which family: a tracker tells of that family's peers (BEP 7).
    pub family: Family,
    /// Why.
    pub event: Event,
    /// What the tracker gave as `tracker id` before, to be sent back.
    pub tracker_id: Option<Vec<u8>>,
}

/// The announces of one torrent. Each address family goes through the tiers by
/// itself, because a tracker may be there over one of them only.
///
/// Each announce begins with the first tracker of the first tier. Who answers is
/// moved to the front of its tier; who fails is followed by the next, and after
/// the last all rest for a while that grows.
#[derive(Debug)]
pub struct Announcer {
    urls: Vec<TrackerUrl>,
    walks: Vec<Walk>,
}

impl Announcer {
    /// A torrent's trackers in their tiers, each tier shuffled (BEP 12);
    /// trackers beyond [`TRACKERS_MAX`] are left out. `seed` says whether nothing
    /// is left to be downloaded: then there is nothing to be completed.
    pub fn new(tiers: Vec<Vec<TrackerUrl>>, families: &[Family], seed: bool, rng: &mut impl Rng) -> Self {
        let mut urls = Vec::new();
        let mut ids: Vec<Vec<TrackerId>> = Vec::new();
        for tier in tiers {
            let first = urls.len();
            urls.extend(tier.into_iter().take(TRACKERS_MAX - urls.len()));
            let mut tier: Vec<TrackerId> = (first..urls.len()).map(TrackerId).collect();
            shuffle(&mut tier, rng);
            if !tier.is_empty() {
                ids.push(tier);
            }
        }
        let walks = families.iter().map(|family| Walk::new(*family, ids.clone(), seed)).collect();
        Self { urls, walks }
    }

    /// Whether there is a tracker at all.
    pub fn is_empty(&self) -> bool {
        self.urls.is_empty()
    }

    /// What is to be sent now; call until it gives `None`. Each announce is
    /// answered by [`Announcer::handle_reply`] or [`Announcer::handle_failure`].
    pub fn poll_announce(&mut self, now: Instant) -> Option<Due> {
        for walk in &mut self.walks {
            if let Some((tracker, event)) = walk.poll(now) {
                let url = self.urls.get(tracker.0)?.clone();
                let tracker_id = walk.tracker_id(tracker);
                return Some(Due { tracker, url, family: walk.family(), event, tracker_id });
            }
        }
        None
    }

    /// When [`Announcer::poll_announce`] has something next; `None` while it
    /// waits for answers or has nothing more to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.walks.iter().filter_map(Walk::timeout).min()
    }

    /// A tracker answered.
    pub fn handle_reply(&mut self, now: Instant, tracker: TrackerId, family: Family, schedule: Schedule) {
        self.with(family, |walk| walk.reply(now, tracker, schedule));
    }

    /// A tracker did not answer, or refused: the next is asked.
    /// `retry_in` is what it asked for, if it did (BEP 31).
    pub fn handle_failure(
        &mut self,
        now: Instant,
        tracker: TrackerId,
        family: Family,
        retry_in: Option<std::time::Duration>,
    ) {
        self.with(family, |walk| walk.failure(now, tracker, retry_in));
    }

    /// The last piece is here: tells so once, and at once.
    pub fn handle_completed(&mut self, now: Instant) {
        for walk in &mut self.walks {
            walk.complete(now);
        }
    }

    /// The client leaves: every tracker that knows of it is told, once, and
    /// nothing more is sent after.
    pub fn handle_stop(&mut self, now: Instant) {
        for walk in &mut self.walks {
            walk.stop(now);
        }
    }

    /// More peers are wanted: asks as soon as the tracker's least interval
    /// allows it.
    pub fn handle_want(&mut self, now: Instant) {
        for walk in &mut self.walks {
            walk.want(now);
        }
    }

    /// The user asks: as [`Self::handle_want`], and those that failed are asked at
    /// once too.
    pub fn handle_demand(&mut self, now: Instant) {
        for walk in &mut self.walks {
            walk.demand(now);
        }
    }

    fn with(&mut self, family: Family, act: impl FnOnce(&mut Walk)) {
        if let Some(walk) = self.walks.iter_mut().find(|walk| walk.family() == family) {
            act(walk);
        }
    }
}

fn shuffle(tier: &mut [TrackerId], rng: &mut impl Rng) {
    for last in (1..tier.len()).rev() {
        let other = (u64::from(rng.next_u32()) * (last as u64 + 1)) >> 32;
        tier.swap(last, other as usize);
    }
}
