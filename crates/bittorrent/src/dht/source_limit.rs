//! How many queries one address may ask: a flood gets no answers, and nobody
//! can be flooded by our replies to forged queries.

use super::contact::Holder;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// What each address may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceLimit {
    /// Queries a second, over time.
    pub queries_per_second: u32,
    /// Queries at once after a silence.
    pub burst_queries: u32,
    /// Addresses that are counted one by one; all others share one allowance.
    pub sources_max: usize,
}

impl Default for SourceLimit {
    fn default() -> Self {
        Self { queries_per_second: 20, burst_queries: 100, sources_max: 4_096 }
    }
}

/// Forgetting the silent costs a walk through all: at most this often.
const FORGET_INTERVAL: Duration = Duration::from_secs(1);

/// A token bucket for each address.
#[derive(Debug, Clone)]
pub struct SourceLimits {
    limit: SourceLimit,
    sources: HashMap<Holder, Allowance>,
    /// Of all who are not counted one by one.
    others: Allowance,
    forgot: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Allowance {
    /// Queries left, in thousandths.
    milliqueries: u64,
    at: Instant,
}

impl SourceLimits {
    /// Nobody has asked yet.
    pub fn new(now: Instant, limit: SourceLimit) -> Self {
        Self { limit, sources: HashMap::new(), others: Allowance::full(now, limit), forgot: now }
    }

    /// Whether a query that came from `ip` just now is to be answered.
    pub fn allow(&mut self, now: Instant, ip: &IpAddr) -> bool {
        let holder = Holder::of(ip);
        let limit = self.limit;
        if let Some(allowance) = self.sources.get_mut(&holder) {
            return allowance.take(now, limit);
        }
        if self.sources.len() >= limit.sources_max
            && now.saturating_duration_since(self.forgot) >= FORGET_INTERVAL
        {
            self.forgot = now;
            self.sources.retain(|_, allowance| !allowance.is_full(now, limit));
        }
        if self.sources.len() >= limit.sources_max {
            return self.others.take(now, limit);
        }
        let mut allowance = Allowance::full(now, limit);
        let allowed = allowance.take(now, limit);
        self.sources.insert(holder, allowance);
        allowed
    }
}

impl Allowance {
    fn full(now: Instant, limit: SourceLimit) -> Self {
        Self { milliqueries: u64::from(limit.burst_queries) * 1_000, at: now }
    }

    fn fill(&mut self, now: Instant, limit: SourceLimit) {
        let passed = now.saturating_duration_since(self.at);
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        let gained = millis.saturating_mul(limit.queries_per_second.into());
        let full = u64::from(limit.burst_queries) * 1_000;
        if gained > 0 {
            self.milliqueries = self.milliqueries.saturating_add(gained).min(full);
            // Only whole milliseconds were counted.
            self.at += Duration::from_millis(millis);
        }
    }

    fn is_full(mut self, now: Instant, limit: SourceLimit) -> bool {
        self.fill(now, limit);
        self.milliqueries >= u64::from(limit.burst_queries) * 1_000
    }

    fn take(&mut self, now: Instant, limit: SourceLimit) -> bool {
        self.fill(now, limit);
        let Some(left) = self.milliqueries.checked_sub(1_000) else { return false };
        self.milliqueries = left;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: SourceLimit = SourceLimit { queries_per_second: 10, burst_queries: 20, sources_max: 50 };

    fn allowed(limits: &mut SourceLimits, now: Instant, ip: [u8; 4], queries: usize) -> usize {
        (0..queries).filter(|_| limits.allow(now, &ip.into())).count()
    }

    #[test]
    fn a_flood_is_cut_to_the_limit_and_others_are_served() {
        let start = Instant::now();
        let mut limits = SourceLimits::new(start, LIMIT);
        assert_eq!(allowed(&mut limits, start, [192, 0, 2, 1], 1_000), 20);
        assert_eq!(allowed(&mut limits, start, [192, 0, 2, 2], 5), 5);
        let mut answered = 0;
        for millis in 1..=10_000 {
            answered += allowed(&mut limits, start + Duration::from_millis(millis), [192, 0, 2, 1], 1);
        }
        assert_eq!(answered, 100);
        assert_eq!(allowed(&mut limits, start + Duration::from_hours(1), [192, 0, 2, 1], 1_000), 20);
    }

    #[test]
    fn the_addresses_counted_are_bounded() {
        let start = Instant::now();
        let mut limits = SourceLimits::new(start, LIMIT);
        let mut answered = 0;
        for source in 0..1_000_u32 {
            answered += usize::from(limits.allow(start, &std::net::Ipv4Addr::from(source).into()));
        }
        assert_eq!(limits.sources.len(), 50);
        assert_eq!(answered, 70, "each of 50, and all others together what one may");
        // Once they are silent they make room.
        let later = start + Duration::from_secs(5);
        assert_eq!(allowed(&mut limits, later, [192, 0, 2, 1], 30), 20);
        assert_eq!(limits.sources.len(), 1);
    }
}
