//! Guessing passwords is slowed down: failures are counted by peer, by account,
//! and by both together, and forgotten one by one as time passes.

use super::{AccountError, Config};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// A peer may fail at one account only half as often as at all together.
const PEER_AT_ACCOUNT_SHARE: u32 = 2;

/// Failures of late.
#[derive(Clone)]
pub(super) struct Throttle {
    counts: Arc<Mutex<HashMap<Key, Count>>>,
    per_peer_max: u32,
    per_account_max: u32,
    forgotten_seconds: f64,
    remembered_max: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Peer(IpAddr),
    Account(String),
    Both(IpAddr, String),
}

struct Count {
    /// At `at`; one less for each time of forgetting since.
    failures: f64,
    at: Instant,
}

impl Throttle {
    pub(super) fn new(config: &Config) -> Self {
        Throttle {
            counts: Arc::default(),
            per_peer_max: config.failures_per_peer_max.max(1),
            per_account_max: config.failures_per_account_max.max(1),
            forgotten_seconds: f64::from(config.failure_forgotten_seconds.max(1)),
            remembered_max: config.failures_remembered_max.max(3),
        }
    }

    /// The same failures under other rules.
    pub(super) fn under(&self, config: &Config) -> Self {
        Throttle { counts: self.counts.clone(), ..Self::new(config) }
    }

    fn keys(&self, address: &str, peer: IpAddr) -> [(Key, u32); 3] {
        let peer = network(peer);
        // A stranger may send a megabyte as their name.
        let address: String = address.chars().take(320).collect();
        [
            (Key::Both(peer, address.clone()), (self.per_peer_max / PEER_AT_ACCOUNT_SHARE).max(1)),
            (Key::Peer(peer), self.per_peer_max),
            (Key::Account(address), self.per_account_max),
        ]
    }

    /// Refuses a login after too many failures.
    pub(super) fn check(&self, address: &str, peer: IpAddr) -> Result<(), AccountError> {
        self.check_at(address, peer, Instant::now())
    }

    fn check_at(&self, address: &str, peer: IpAddr, now: Instant) -> Result<(), AccountError> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wait = 0.0f64;
        for (key, max) in self.keys(address, peer) {
            if let Some(count) = counts.get(&key) {
                let above = self.left(count, now) - f64::from(max - 1);
                wait = wait.max(above * self.forgotten_seconds);
            }
        }
        // Less than a tenth of a second is no wait, but rounding.
        if wait < 0.1 { Ok(()) } else { Err(AccountError::Throttled { retry_seconds: wait.ceil() as u64 }) }
    }

    /// Counts a failure.
    pub(super) fn failed(&self, address: &str, peer: IpAddr) {
        self.failed_at(address, peer, Instant::now());
    }

    fn failed_at(&self, address: &str, peer: IpAddr, now: Instant) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, _) in self.keys(address, peer) {
            if counts.len() >= self.remembered_max && !counts.contains_key(&key) {
                self.make_room(&mut counts, now);
            }
            let count = counts.entry(key).or_insert(Count { failures: 0.0, at: now });
            count.failures = self.left(count, now) + 1.0;
            count.at = now;
        }
    }

    /// Failures not forgotten yet.
    fn left(&self, count: &Count, now: Instant) -> f64 {
        let seconds = now.saturating_duration_since(count.at).as_secs_f64();
        (count.failures - seconds / self.forgotten_seconds).max(0.0)
    }

    /// Drops what is forgotten anyway; else the quarter with the fewest
    /// failures, so that this is rarely done.
    fn make_room(&self, counts: &mut HashMap<Key, Count>, now: Instant) {
        counts.retain(|_, count| self.left(count, now) > 0.0);
        if counts.len() < self.remembered_max {
            return;
        }
        let mut failures: Vec<f64> = counts.values().map(|count| self.left(count, now)).collect();
        failures.sort_by(f64::total_cmp);
        let bound = failures.get(failures.len() / 4).copied().unwrap_or(0.0);
        let mut excess = failures.len() / 4 + 1;
        counts.retain(|_, count| {
            let drop = excess > 0 && self.left(count, now) <= bound;
            excess -= usize::from(drop);
            !drop
        });
    }
}

/// Who shares a subscriber's line: one IPv4 address, one /64 of IPv6.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let bits = address.to_bits() & !u128::from(u64::MAX);
            std::net::Ipv6Addr::from_bits(bits).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn throttle(config: Config) -> Throttle {
        Throttle::new(&config)
    }

    #[test]
    fn failures_count_and_are_forgotten() {
        let throttle =
            throttle(Config { failures_per_peer_max: 4, failure_forgotten_seconds: 10, ..Config::default() });
        let start = Instant::now();
        for _ in 0..2 {
            throttle.check_at("bob", PEER, start).unwrap();
            throttle.failed_at("bob", PEER, start);
        }
        // Half of the peer's failures may be at one account.
        let refused = throttle.check_at("bob", PEER, start);
        assert!(matches!(refused, Err(AccountError::Throttled { retry_seconds: 10 })), "{refused:?}");
        throttle.check_at("alice", PEER, start).unwrap();
        throttle.check_at("bob", "192.0.2.2".parse().unwrap(), start).unwrap();
        throttle.check_at("bob", PEER, start + Duration::from_secs(10)).unwrap();
        for name in ["carol", "dave"] {
            throttle.failed_at(name, PEER, start);
        }
        assert!(throttle.check_at("erin", PEER, start).is_err(), "the peer has failed four times");
        assert!(throttle.check_at("erin", PEER, start + Duration::from_secs(9)).is_err());
        throttle.check_at("erin", PEER, start + Duration::from_secs(10)).unwrap();
    }

    #[test]
    fn an_account_is_slowed_down_for_all() {
        let throttle = throttle(Config { failures_per_account_max: 3, ..Config::default() });
        let now = Instant::now();
        for last in 1..=3 {
            throttle.failed_at("bob", IpAddr::from([192, 0, 2, last]), now);
        }
        assert!(throttle.check_at("bob", IpAddr::from([192, 0, 2, 99]), now).is_err());
        throttle.check_at("alice", IpAddr::from([192, 0, 2, 1]), now).unwrap();
    }

    #[test]
    fn neighbours_in_a_64_are_one_peer() {
        let throttle = throttle(Config { failures_per_peer_max: 1, ..Config::default() });
        let now = Instant::now();
        throttle.failed_at("bob", "2001:db8::1".parse().unwrap(), now);
        assert!(throttle.check_at("carol", "2001:db8::ffff".parse().unwrap(), now).is_err());
        throttle.check_at("carol", "2001:db8:0:1::1".parse().unwrap(), now).unwrap();
        throttle.failed_at("x", "::ffff:192.0.2.1".parse().unwrap(), now);
        assert!(throttle.check_at("y", PEER, now).is_err());
    }

    #[test]
    fn memory_is_bounded_and_the_worst_is_remembered() {
        let throttle = throttle(Config { failures_remembered_max: 100, ..Config::default() });
        let now = Instant::now();
        let worst = "198.51.100.1".parse().unwrap();
        for _ in 0..30 {
            throttle.failed_at("bob", worst, now);
        }
        for number in 0..5000u32 {
            throttle.failed_at(&format!("user{number}"), IpAddr::from(number.to_be_bytes()), now);
            assert!(throttle.counts.lock().unwrap().len() <= 100);
        }
        assert!(throttle.check_at("bob", worst, now).is_err());
    }
}
