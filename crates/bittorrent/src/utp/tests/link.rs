//! A one-way link from a seed.

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What goes over the wire.
#[derive(Debug, Clone)]
pub(super) enum Packet {
    /// A datagram of uTP, and whether it may be fragmented.
    Utp(Bytes, bool),
    /// A packet of another flow.
    Other,
    /// An acknowledgement of the other flow.
    OtherAck,
}

impl Packet {
    fn octets(&self) -> usize {
        match self {
            Self::Utp(octets, _) => octets.len() + 28,
            Self::Other => 1_500,
            Self::OtherAck => 40,
        }
    }
}

/// What a link does to packets. Shares are of 1,000.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    pub(super) lost: u32,
    pub(super) repeated: u32,
    pub(super) rate_octets_per_second: Option<u64>,
    pub(super) queue_octets_max: usize,
    /// IP packets above this are dropped unless they may be fragmented.
    pub(super) mtu_octets: usize,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
            lost: 0,
            repeated: 0,
            rate_octets_per_second: None,
            queue_octets_max: 256 << 10,
            mtu_octets: 1_500,
        }
    }
}

/// Both directions.
pub(super) struct Wire {
    rng: ChaCha8Rng,
    pub(super) links: [Link; 2],
    free_at: [Option<Instant>; 2],
    crossing: BTreeMap<(Instant, u64), (usize, Packet)>,
    number: u64,
    /// Packets dropped at a full queue.
    pub(super) dropped: usize,
}

impl Wire {
    pub(super) fn new(seed: u64, links: [Link; 2]) -> Self {
        let (rng, crossing) = (ChaCha8Rng::seed_from_u64(seed), BTreeMap::new());
        Self { rng, links, free_at: [None; 2], crossing, number: 0, dropped: 0 }
    }

    fn chance(&mut self, of_thousand: u32) -> bool {
        self.rng.next_u32() % 1_000 < of_thousand
    }

    /// How long a packet would wait in the queue.
    pub(super) fn queueing(&self, now: Instant, from: usize) -> Duration {
        self.free_at[from].map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }

    /// Sends a packet; false when it is lost.
    pub(super) fn send(&mut self, now: Instant, from: usize, packet: Packet) -> bool {
        let link = self.links[from].clone();
        let octets = packet.octets();
        let whole = matches!(packet, Packet::Utp(_, false)) && octets > link.mtu_octets;
        if self.chance(link.lost) || whole {
            return false;
        }
        let mut left = now;
        if let Some(rate) = link.rate_octets_per_second {
            let queued = self.queueing(now, from);
            if queued.as_secs_f64() * rate as f64 + octets as f64 > link.queue_octets_max as f64 {
                self.dropped += 1;
                return false;
            }
            left = now + queued + Duration::from_secs_f64(octets as f64 / rate as f64);
            self.free_at[from] = Some(left);
        }
        let copies = 1 + usize::from(self.chance(link.repeated));
        for _ in 0..copies {
            let jitter = link.jitter.mul_f64(f64::from(self.rng.next_u32()) / f64::from(u32::MAX));
            self.number += 1;
            self.crossing.insert((left + link.delay + jitter, self.number), (1 - from, packet.clone()));
        }
        true
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.crossing.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn receive(&mut self, now: Instant) -> Option<(usize, Packet)> {
        let entry = self.crossing.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}
