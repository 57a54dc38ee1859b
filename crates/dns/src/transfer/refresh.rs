//! When a secondary asks its primary (RFC 1034 section 4.3.5, RFC 1996): a state
//! machine; time comes in, actions go out.

use crate::zone::{Soa, serial_is_newer};
use std::time::{Duration, Instant};

/// Seconds until the first retry while there is no zone yet.
const FIRST_RETRY_SECONDS: u32 = 5;
/// Seconds of the longest retry while there is no zone yet.
const FIRST_RETRY_SECONDS_MAX: u32 = 300;
/// Seconds of the shortest refresh or retry, whatever the SOA says.
const TIMER_SECONDS_MIN: u32 = 1;

/// What the secondary has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Ask the primary for its SOA.
    QuerySoa,
    /// Transfer the zone.
    Transfer,
    /// Serve the zone no longer.
    Expire,
}

/// The timers of one zone.
#[derive(Debug)]
pub struct Refresh {
    soa: Option<Soa>,
    /// When to ask next; not while asking.
    due: Option<Instant>,
    expires: Option<Instant>,
    /// A NOTIFY came while asking.
    notified: bool,
    failures: u32,
}

impl Refresh {
    /// Starts with the stored version of the zone, if there is one, and how long
    /// ago a primary confirmed it. Either way the primary is asked at once.
    pub fn new(now: Instant, stored: Option<(Soa, Duration)>) -> Self {
        Self {
            soa: stored.map(|(soa, _)| soa),
            due: Some(now),
            expires: stored.map(|(soa, age)| now + seconds(soa.expire).saturating_sub(age)),
            notified: false,
            failures: 0,
        }
    }

    /// When [`Refresh::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.due, self.expires].into_iter().flatten().min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Action> {
        if self.expires.is_some_and(|expires| expires <= now) {
            self.expires = None;
            self.soa = None;
            self.due = self.due.map(|due| due.min(now + seconds(FIRST_RETRY_SECONDS)));
            return Some(Action::Expire);
        }
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            return Some(if self.soa.is_some() { Action::QuerySoa } else { Action::Transfer });
        }
        None
    }

    /// The primary sent a NOTIFY, perhaps with its serial.
    pub fn handle_notify(&mut self, now: Instant, serial: Option<u32>) {
        if let (Some(soa), Some(serial)) = (self.soa, serial)
            && !serial_is_newer(serial, soa.serial)
        {
            return;
        }
        match self.due {
            Some(_) => self.due = Some(now),
            None => self.notified = true,
        }
    }

    /// The primary told its SOA.
    pub fn handle_soa(&mut self, now: Instant, soa: Soa) -> Option<Action> {
        match self.soa {
            Some(ours) if !serial_is_newer(soa.serial, ours.serial) => {
                self.rest(now, ours);
                None
            }
            _ => Some(Action::Transfer),
        }
    }

    /// The zone was transferred.
    pub fn handle_transferred(&mut self, now: Instant, soa: Soa) {
        self.soa = Some(soa);
        self.rest(now, soa);
    }

    /// The primary did not answer, or not well.
    pub fn handle_failure(&mut self, now: Instant) {
        let retry = self.soa.map_or_else(
            || (FIRST_RETRY_SECONDS << self.failures.min(6)).min(FIRST_RETRY_SECONDS_MAX),
            |soa| soa.retry,
        );
        self.failures = self.failures.saturating_add(1);
        self.wait(now, retry);
    }

    fn rest(&mut self, now: Instant, soa: Soa) {
        self.failures = 0;
        self.expires = Some(now + seconds(soa.expire));
        self.wait(now, soa.refresh);
    }

    fn wait(&mut self, now: Instant, after: u32) {
        let again = std::mem::take(&mut self.notified);
        self.due = Some(if again { now } else { now + seconds(after) });
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds.max(TIMER_SECONDS_MIN)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOA: Soa = Soa { serial: 10, refresh: 100, retry: 10, expire: 1_000, minimum: 5 };

    #[test]
    fn refreshes_retries_and_expires() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut refresh = Refresh::new(start, None);
        assert_eq!(refresh.handle_timeout(at(0)), Some(Action::Transfer));
        assert_eq!(refresh.handle_timeout(at(0)), None, "asked once");
        refresh.handle_transferred(at(0), SOA);
        assert_eq!(refresh.poll_timeout(), Some(at(100)));
        assert_eq!(refresh.handle_timeout(at(99)), None);
        assert_eq!(refresh.handle_timeout(at(100)), Some(Action::QuerySoa));
        assert_eq!(refresh.handle_soa(at(100), SOA), None);
        assert_eq!(refresh.handle_timeout(at(200)), Some(Action::QuerySoa));
        assert_eq!(refresh.handle_soa(at(200), Soa { serial: 11, ..SOA }), Some(Action::Transfer));
        refresh.handle_failure(at(200));
        let mut now = 210;
        while refresh.handle_timeout(at(now)) == Some(Action::QuerySoa) {
            refresh.handle_failure(at(now));
            now += 10;
        }
        assert_eq!(now, 1_100, "the SOA was last confirmed at 100 and expires 1,000 s later");
    }

    #[test]
    fn a_restart_does_not_put_off_the_expiry() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut refresh = Refresh::new(start, Some((SOA, Duration::from_secs(990))));
        assert_eq!(refresh.handle_timeout(at(0)), Some(Action::QuerySoa));
        refresh.handle_failure(at(1));
        assert_eq!(refresh.poll_timeout(), Some(at(10)), "1,000 s after it was confirmed");
        assert_eq!(refresh.handle_timeout(at(10)), Some(Action::Expire));
        let mut refresh = Refresh::new(start, Some((SOA, Duration::from_secs(2_000))));
        assert_eq!(refresh.handle_timeout(at(0)), Some(Action::Expire));
        assert_eq!(refresh.handle_timeout(at(0)), Some(Action::Transfer), "nothing is left to be confirmed");
    }

    #[test]
    fn a_notify_is_followed_at_once_or_after_what_runs() {
        let start = Instant::now();
        let mut refresh = Refresh::new(start, Some((SOA, Duration::ZERO)));
        assert_eq!(refresh.handle_timeout(start), Some(Action::QuerySoa));
        refresh.handle_notify(start, Some(12));
        refresh.handle_soa(start, SOA);
        assert_eq!(refresh.handle_timeout(start), Some(Action::QuerySoa), "told while asking");
        refresh.handle_soa(start, SOA);
        refresh.handle_notify(start, Some(10));
        assert_eq!(refresh.handle_timeout(start), None, "nothing new");
        refresh.handle_notify(start, None);
        assert_eq!(refresh.handle_timeout(start), Some(Action::QuerySoa));
    }

    #[test]
    fn without_a_zone_retries_come_less_and_less_often_up_to_a_bound() {
        let mut now = Instant::now();
        let mut refresh = Refresh::new(now, None);
        let mut waits = Vec::new();
        for _ in 0..10 {
            assert_eq!(refresh.handle_timeout(now), Some(Action::Transfer));
            refresh.handle_failure(now);
            let due = refresh.poll_timeout().unwrap();
            waits.push((due - now).as_secs());
            now = due;
        }
        let longest = u64::from(FIRST_RETRY_SECONDS_MAX);
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, longest, longest, longest, longest]);
    }
}
