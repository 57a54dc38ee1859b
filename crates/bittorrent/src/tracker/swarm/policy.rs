//! How often peers announce and how many peers they are told of.

use rand_core::Rng;
use std::time::Duration;

/// The longest interval: peers must be kept for twice as long and some more.
pub const INTERVAL_SECONDS_MAX: u32 = 12 * 3_600;

/// How often peers announce and how many peers they are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Seconds between the announces of a peer, 1 to [`INTERVAL_SECONDS_MAX`].
    pub interval_seconds: u32,
    /// Seconds that a peer is to wait at least.
    pub min_interval_seconds: u32,
    /// Up to so many seconds are added to the interval at random, so that peers
    /// that came together do not announce together for ever.
    pub jitter_seconds: u32,
    /// Peers told to who does not say how many.
    pub peers_default: u32,
    /// Peers told at most, whatever is asked for.
    pub peers_max: u32,
}

impl Default for Policy {
    /// 30 minutes, at least 5; 50 peers, at most 74, which fit in one datagram
    /// over IPv6.
    fn default() -> Self {
        Self {
            interval_seconds: 1_800,
            min_interval_seconds: 300,
            jitter_seconds: 120,
            peers_default: 50,
            peers_max: 74,
        }
    }
}

impl Policy {
    /// The interval of one reply, in seconds.
    pub fn interval(&self, rng: &mut impl Rng) -> u32 {
        let jitter = (u64::from(rng.next_u32()) * (u64::from(self.jitter_seconds) + 1)) >> 32;
        let interval = u64::from(self.interval_seconds.max(1)) + jitter;
        interval.min(u64::from(INTERVAL_SECONDS_MAX)) as u32
    }

    /// How long a peer is kept after an announce: two intervals and a minute.
    pub fn lifetime(&self) -> Duration {
        let longest = self.interval_seconds.max(1).saturating_add(self.jitter_seconds);
        Duration::from_secs(u64::from(longest.min(INTERVAL_SECONDS_MAX)) * 2 + 60)
    }

    /// How many peers to tell who asks for `asked`; negative means that it does
    /// not say (BEP 15).
    pub fn wanted(&self, asked: i32) -> usize {
        u32::try_from(asked).unwrap_or(self.peers_default).min(self.peers_max) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn intervals_differ_within_their_bounds() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let policy = Policy { interval_seconds: 100, jitter_seconds: 9, ..Policy::default() };
        let seen: std::collections::BTreeSet<u32> = (0..1_000).map(|_| policy.interval(&mut rng)).collect();
        assert_eq!(seen, (100..=109).collect());
        assert_eq!(policy.lifetime(), Duration::from_secs(2 * 109 + 60));
        let endless = Policy { interval_seconds: u32::MAX, jitter_seconds: u32::MAX, ..policy };
        assert_eq!(endless.interval(&mut rng), INTERVAL_SECONDS_MAX);
        assert!(endless.lifetime() < Duration::from_hours(36));
        assert!(Policy { interval_seconds: 0, jitter_seconds: 0, ..policy }.interval(&mut rng) == 1);
    }

    #[test]
    fn the_number_of_peers_is_bounded() {
        let policy = Policy { peers_default: 50, peers_max: 74, ..Policy::default() };
        let wanted: Vec<usize> = [-1, i32::MIN, 0, 3, 75, i32::MAX].map(|asked| policy.wanted(asked)).into();
        assert_eq!(wanted, [50, 50, 0, 3, 74, 74]);
        assert_eq!(Policy { peers_default: 500, ..policy }.wanted(-1), 74);
    }
}
