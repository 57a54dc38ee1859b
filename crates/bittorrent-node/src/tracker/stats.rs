//! What the tracker has done.

use super::store::Sizes;
use event::{BittorrentEvent, Detail, Reporter};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};

/// What the tracker has done since it started, and what it holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// What is stored now.
    #[serde(flatten)]
    pub sizes: Sizes,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// Connection ids given over UDP.
    pub connects: u64,
    /// Announces answered over UDP.
    pub udp_announces: u64,
    /// Announces answered over HTTP.
    pub http_announces: u64,
    /// Announces among them that said a download is complete.
    pub completed: u64,
    /// Scrapes answered over either.
    pub scrapes: u64,
    /// Requests that got an error or no reply.
    pub refused: u64,
}

/// Counts of one batch of requests.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) connects: u32,
    pub(super) udp_announces: u32,
    pub(super) http_announces: u32,
    pub(super) completed: u32,
    pub(super) scrapes: u32,
    pub(super) refused: u32,
}

/// Counts since the start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    connects: AtomicU64,
    udp_announces: AtomicU64,
    http_announces: AtomicU64,
    completed: AtomicU64,
    scrapes: AtomicU64,
    refused: AtomicU64,
}

impl Counters {
    /// Adds a batch, and tells of it.
    pub(super) fn add(&self, tally: &Tally, reporter: &Reporter) {
        let counts = [
            (&self.connects, tally.connects),
            (&self.udp_announces, tally.udp_announces),
            (&self.http_announces, tally.http_announces),
            (&self.completed, tally.completed),
            (&self.scrapes, tally.scrapes),
            (&self.refused, tally.refused),
        ];
        for (counter, count) in counts {
            if count > 0 {
                counter.fetch_add(u64::from(count), Ordering::Relaxed);
            }
        }
        reporter.tell_with(Detail::Summary, || BittorrentEvent::TrackerAnswered {
            connects: tally.connects,
            announces: tally.udp_announces + tally.http_announces,
            completed: tally.completed,
            scrapes: tally.scrapes,
            refused: tally.refused,
        });
    }

    pub(super) fn read(&self, sizes: Sizes, uptime_seconds: u64) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            sizes,
            uptime_seconds,
            connects: read(&self.connects),
            udp_announces: read(&self.udp_announces),
            http_announces: read(&self.http_announces),
            completed: read(&self.completed),
            scrapes: read(&self.scrapes),
            refused: read(&self.refused),
        }
    }
}
