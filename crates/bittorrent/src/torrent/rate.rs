//! How many octets a second: an average that forgets.

use std::time::{Duration, Instant};

/// Over how long octets are averaged: a moment ago counts, ten seconds ago
/// hardly does.
pub const RATE_WINDOW: Duration = Duration::from_secs(3);

/// An exponentially weighted average of octets a second. It takes no memory for
/// what it saw, and costs the same however often it is told.
#[derive(Debug, Clone)]
pub struct Rate {
    /// Octets a second that were averaged at `told`.
    average: f64,
    told: Instant,
    /// Since when octets are counted: a short history is not averaged with the
    /// nothing before it.
    since: Instant,
}

impl Rate {
    /// Nothing was transferred before `now`.
    pub fn new(now: Instant) -> Self {
        Self { average: 0.0, told: now, since: now }
    }

    /// Counts octets.
    pub fn add(&mut self, now: Instant, octets: u32) {
        self.forget(now);
        if self.average < 1.0 {
            // After a silence the average would need a window to come up again.
            self.since = now;
        }
        self.average += f64::from(octets) / RATE_WINDOW.as_secs_f64();
    }

    /// Octets a second, of late.
    pub fn octets_per_second(&self, now: Instant) -> f64 {
        let window = RATE_WINDOW.as_secs_f64();
        let silence = now.saturating_duration_since(self.told).as_secs_f64() / window;
        // A single octet a moment ago is no rate yet: at least a tenth of the
        // window is looked at.
        let history = (now.saturating_duration_since(self.since).as_secs_f64() / window).max(0.1);
        self.average * (-silence).exp() / (1.0 - (-history).exp())
    }

    fn forget(&mut self, now: Instant) {
        let silence = now.saturating_duration_since(self.told).as_secs_f64();
        if silence > 0.0 {
            self.average *= (-silence / RATE_WINDOW.as_secs_f64()).exp();
            self.told = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, milliseconds: u64) -> Instant {
        start + Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_steady_flow_is_measured_from_its_first_second_on() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        for step in 0..2_000 {
            rate.add(after(start, step * 10), 10_000);
            if step > 100 {
                let seen = rate.octets_per_second(after(start, step * 10));
                assert!((980_000.0..1_030_000.0).contains(&seen), "{seen} at step {step}");
            }
        }
    }

    #[test]
    fn what_stopped_is_forgotten() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        for step in 0..1_000 {
            rate.add(after(start, step * 10), 10_000);
        }
        assert!(rate.octets_per_second(after(start, 13_000)) < 380_000.0);
        assert!(rate.octets_per_second(after(start, 40_000)) < 100.0);
        // It comes up again as quickly as the first time.
        for step in 6_000..6_200 {
            rate.add(after(start, step * 10), 10_000);
        }
        assert!(rate.octets_per_second(after(start, 62_000)) > 950_000.0);
    }

    #[test]
    fn time_that_goes_backwards_is_taken_as_no_time() {
        let start = Instant::now();
        let mut rate = Rate::new(after(start, 1_000));
        rate.add(start, 1_000);
        assert!(rate.octets_per_second(start).is_finite());
    }
}
