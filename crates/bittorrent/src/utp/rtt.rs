//! How long a round trip takes, and how long to wait for it (BEP 29
//! "timeouts", after RFC 6298).

use std::time::Duration;

/// The retransmission timeout before the first measurement (BEP 29).
const TIMEOUT_INITIAL: Duration = Duration::from_secs(1);
/// The least retransmission timeout (BEP 29: 500 milliseconds).
pub const TIMEOUT_MIN: Duration = Duration::from_millis(500);
/// The most, after however many doublings (RFC 6298 (2.5): at least 60 s).
pub const TIMEOUT_MAX: Duration = Duration::from_mins(1);

/// Measured round trips.
#[derive(Debug, Clone)]
pub(super) struct RoundTrip {
    smoothed: Option<Duration>,
    variance: Duration,
    least: Option<Duration>,
    /// How often the timeout was doubled since the last measurement.
    doublings: u32,
}

impl Default for RoundTrip {
    fn default() -> Self {
        Self { smoothed: None, variance: Duration::ZERO, least: None, doublings: 0 }
    }
}

impl RoundTrip {
    /// Takes one measurement, of a packet that was sent once only.
    pub(super) fn measured(&mut self, round_trip: Duration) {
        self.doublings = 0;
        self.least = Some(self.least.map_or(round_trip, |least| least.min(round_trip)));
        let Some(smoothed) = self.smoothed else {
            self.smoothed = Some(round_trip);
            self.variance = round_trip / 2;
            return;
        };
        let off = smoothed.abs_diff(round_trip);
        // BEP 29: rtt_var += (|delta| - rtt_var) / 4, rtt += (packet_rtt - rtt) / 8.
        self.variance = (self.variance * 3 + off) / 4;
        self.smoothed = Some((smoothed * 7 + round_trip) / 8);
    }

    /// The other side answered, though nothing could be measured by it.
    pub(super) fn answered(&mut self) {
        self.doublings = 0;
    }

    /// A timeout passed without an answer: the next one is twice as long.
    pub(super) fn timed_out(&mut self) {
        self.doublings = self.doublings.saturating_add(1).min(16);
    }

    /// How long to wait for an acknowledgement.
    pub(super) fn timeout(&self) -> Duration {
        let basic = match self.smoothed {
            Some(smoothed) => (smoothed + self.variance * 4).max(TIMEOUT_MIN),
            None => TIMEOUT_INITIAL,
        };
        basic.saturating_mul(1 << self.doublings).min(TIMEOUT_MAX)
    }

    /// The smoothed round trip, once there was a measurement.
    pub(super) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// How much later than its successors a packet may be acknowledged before it
    /// counts as lost: a quarter of the shortest round trip (RFC 8985 section 6.2).
    pub(super) fn reordering(&self) -> Duration {
        self.least.map_or(TIMEOUT_MIN, |least| (least / 4).max(Duration::from_millis(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn the_timeout_follows_the_measurements_and_has_bounds() {
        let mut round_trip = RoundTrip::default();
        assert_eq!(round_trip.timeout(), TIMEOUT_INITIAL);
        round_trip.measured(milliseconds(400));
        assert_eq!(round_trip.timeout(), milliseconds(400 + 4 * 200));
        // BEP 29: the variance moves by a quarter, the mean by an eighth.
        round_trip.measured(milliseconds(800));
        assert_eq!(round_trip.smoothed(), Some(milliseconds(450)));
        assert_eq!(round_trip.timeout(), milliseconds(450 + 4 * 250));
        for _ in 0..100 {
            round_trip.measured(milliseconds(1));
        }
        assert_eq!(round_trip.timeout(), TIMEOUT_MIN);
    }

    #[test]
    fn the_timeout_doubles_up_to_its_bound_until_an_answer() {
        let mut round_trip = RoundTrip::default();
        round_trip.measured(milliseconds(1));
        let waits: Vec<_> = (0..9)
            .map(|_| {
                round_trip.timed_out();
                round_trip.timeout().as_millis()
            })
            .collect();
        assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
        (0..100).for_each(|_| round_trip.timed_out());
        assert_eq!(round_trip.timeout(), TIMEOUT_MAX);
        round_trip.answered();
        assert_eq!(round_trip.timeout(), TIMEOUT_MIN);
    }
}
