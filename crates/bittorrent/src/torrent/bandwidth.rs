//! Limits on octets a second: token buckets, which the service asks before it
//! reads or writes.

use std::time::{Duration, Instant};

/// For how long unused tokens are kept, so that short pauses cost nothing.
pub const BURST: Duration = Duration::from_millis(250);
/// Tokens kept at least: one block and its header, or it could never be sent.
pub const BURST_OCTETS_MIN: u64 = 16 * 1024 + 13;

/// A bucket that fills with tokens at a rate; each octet takes one.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    /// `None`: no limit.
    octets_per_second: Option<u64>,
    tokens: f64,
    filled: Instant,
}

impl TokenBucket {
    /// A full bucket. A rate of `None` is no limit.
    pub fn new(now: Instant, octets_per_second: Option<u64>) -> Self {
        let mut bucket = Self { octets_per_second, tokens: 0.0, filled: now };
        bucket.tokens = bucket.burst();
        bucket
    }

    /// Changes the rate (a schedule, a command).
    pub fn set_rate(&mut self, now: Instant, octets_per_second: Option<u64>) {
        self.fill(now);
        self.octets_per_second = octets_per_second;
        self.tokens = self.tokens.min(self.burst());
    }

    /// The rate.
    pub fn octets_per_second(&self) -> Option<u64> {
        self.octets_per_second
    }

    /// How many octets may go now; at most `wanted`.
    pub fn allowance(&mut self, now: Instant, wanted: u64) -> u64 {
        self.fill(now);
        match self.octets_per_second {
            None => wanted,
            Some(_) => wanted.min(self.tokens.max(0.0) as u64),
        }
    }

    /// Takes tokens for octets that went. More may be taken than are there (a
    /// block is not cut): what is missing is waited for.
    pub fn take(&mut self, octets: u64) {
        if self.octets_per_second.is_some() {
            self.tokens -= octets as f64;
        }
    }

    /// When `octets` may go; `None` when they may at once. A rate of 0 gives a
    /// time an hour ahead, again and again.
    pub fn ready_at(&mut self, now: Instant, octets: u64) -> Option<Instant> {
        self.fill(now);
        let rate = self.octets_per_second?;
        let missing = (octets as f64).min(self.burst()) - self.tokens;
        if missing <= 0.0 {
            return None;
        }
        let hour = 3_600.0;
        let wait = if rate == 0 { hour } else { (missing / rate as f64).min(hour) };
        // Rounded up, or the bucket would be asked a nanosecond too early.
        Some(now + Duration::from_secs_f64(wait) + Duration::from_micros(1))
    }

    fn burst(&self) -> f64 {
        let octets = self.octets_per_second.unwrap_or(0) as f64 * BURST.as_secs_f64();
        octets.max(BURST_OCTETS_MIN as f64)
    }

    fn fill(&mut self, now: Instant) {
        let span = now.saturating_duration_since(self.filled).as_secs_f64();
        if span > 0.0 {
            self.filled = now;
            let rate = self.octets_per_second.unwrap_or(0) as f64;
            self.tokens = (self.tokens + rate * span).min(self.burst());
        }
    }
}

/// How many octets may go through both a torrent's bucket and the global one.
pub fn allowance_of_both(now: Instant, one: &mut TokenBucket, other: &mut TokenBucket, wanted: u64) -> u64 {
    let first = one.allowance(now, wanted);
    other.allowance(now, first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_ten_seconds_the_rate_holds() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(start, Some(1_000_000));
        let (mut now, mut sent) = (start, 0_u64);
        while now < start + Duration::from_secs(10) {
            if let Some(at) = bucket.ready_at(now, 16_384) {
                now = at;
                continue;
            }
            bucket.take(16_384);
            sent += 16_384;
        }
        assert!((9_980_000..=10_300_000).contains(&sent), "{sent}");
    }

    #[test]
    fn unused_tokens_are_kept_for_a_moment_only() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(start, Some(1_000_000));
        assert_eq!(bucket.allowance(start + Duration::from_mins(1), u64::MAX), 250_000);
        // A slow bucket still lets a whole block through.
        let mut slow = TokenBucket::new(start, Some(100));
        assert_eq!(slow.allowance(start + Duration::from_mins(10), u64::MAX), BURST_OCTETS_MIN);
    }

    #[test]
    fn a_block_larger_than_the_tokens_is_waited_for_afterwards() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(start, Some(16_384));
        bucket.take(3 * 16_384);
        assert_eq!(bucket.allowance(start, 1), 0);
        let at = bucket.ready_at(start, 16_384).expect("it has to wait");
        let waited = at.duration_since(start).as_secs_f64();
        assert!((2.9..3.1).contains(&waited), "{waited}");
    }

    #[test]
    fn no_limit_and_nothing_at_all() {
        let start = Instant::now();
        let mut open = TokenBucket::new(start, None);
        open.take(u64::MAX);
        assert_eq!(open.allowance(start, 77), 77);
        assert_eq!(open.ready_at(start, 77), None);
        let mut shut = TokenBucket::new(start, Some(0));
        shut.take(BURST_OCTETS_MIN);
        let late = start + Duration::from_secs(1_000);
        assert_eq!(shut.allowance(late, 1), 0);
        assert!(shut.ready_at(late, 1).is_some_and(|at| at > late));
        shut.set_rate(late, Some(1_000_000));
        assert_eq!(shut.allowance(late + Duration::from_millis(10), u64::MAX), 10_000);
        assert_eq!(allowance_of_both(late + Duration::from_millis(10), &mut shut, &mut open, 99), 99);
    }
}
