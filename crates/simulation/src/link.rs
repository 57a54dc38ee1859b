//! The way from one host to another.

use std::time::{Duration, Instant};

/// A one-way link between two addresses.
#[derive(Debug, Clone)]
pub struct Link {
    /// How long each octet travels.
    pub delay: Duration,
    /// Added at random to the delay, between nothing and this.
    pub jitter: Duration,
    /// How fast octets leave; unlimited without it.
    pub rate_octets_per_second: Option<u64>,
    /// Octets that wait for their turn at most; further datagrams are dropped.
    pub queue_octets_max: u64,
    /// The share of datagrams lost, from 0 to 1.
    pub loss: f64,
    /// The share of datagrams that come late, from 0 to 1.
    pub reordering: f64,
    /// How much later those come.
    pub reordering_delay: Duration,
    /// Whether anything passes at all.
    pub up: bool,
}

impl Default for Link {
    /// 10 ms of delay, nothing else.
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
            rate_octets_per_second: None,
            queue_octets_max: 256 << 10,
            loss: 0.0,
            reordering: 0.0,
            reordering_delay: Duration::from_millis(50),
            up: true,
        }
    }
}

/// A link and what it is busy with.
#[derive(Debug, Clone)]
pub(crate) struct Busy {
    pub(crate) link: Link,
    /// When the last octet queued so far will have left.
    free_at: Instant,
}

impl Busy {
    pub(crate) fn new(link: Link, now: Instant) -> Self {
        Self { link, free_at: now }
    }

    /// Queues `octets`. When the last of them leaves, or nothing if the queue
    /// is full and `bounded`.
    pub(crate) fn send(&mut self, now: Instant, octets: usize, bounded: bool) -> Option<Instant> {
        let Some(rate) = self.link.rate_octets_per_second else { return Some(now) };
        let start = self.free_at.max(now);
        let queued = start.saturating_duration_since(now).as_secs_f64() * rate as f64;
        if bounded && queued + octets as f64 > self.link.queue_octets_max as f64 {
            return None;
        }
        let nanoseconds = octets as u128 * 1_000_000_000 / u128::from(rate.max(1));
        self.free_at = start + Duration::from_nanos(nanoseconds as u64);
        Some(self.free_at)
    }
}
