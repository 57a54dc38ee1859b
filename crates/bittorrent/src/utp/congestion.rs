//! LEDBAT: how much may be under way so that the queues of the path stay short
//! and other traffic is yielded to (RFC 6817, BEP 29 "congestion control").

use super::delay::DelayHistory;
use std::time::{Duration, Instant};

/// The queueing delay that is aimed at (BEP 29 and RFC 6817 section 3.3: 100 ms).
pub const TARGET: Duration = Duration::from_millis(100);
/// How fast the window follows the delay; at most 1, so that it never grows
/// faster than TCP's (RFC 6817 section 2.5).
const GAIN: f64 = 1.0;
/// The least window, in packets (RFC 6817 section 2.5: MIN_CWND).
const PACKETS_MIN: f64 = 2.0;
/// The first window, in packets (RFC 6817 section 2.5: INIT_CWND; as RFC 6928).
const PACKETS_INITIAL: f64 = 10.0;
/// The first window in octets, for large packets.
const OCTETS_INITIAL: f64 = 14_600.0;
/// The largest window, in octets: more than the buffers hold.
const OCTETS_MAX: f64 = 64.0 * 1024.0 * 1024.0;
/// Slow start ends when the queueing delay exceeds this share of the target, as
/// in LEDBAT++ (draft-irtf-iccrg-ledbat-plus-plus section 4.3).
const SLOW_START_SHARE: f64 = 0.75;

/// The congestion window of one connection.
#[derive(Debug)]
pub(super) struct Ledbat {
    /// Octets that may be under way.
    window: f64,
    /// Slow start ends here.
    threshold: f64,
    delays: DelayHistory,
}

impl Ledbat {
    /// The window of a new connection whose packets carry `packet_octets`.
    pub(super) fn new(packet_octets: usize) -> Self {
        let packet = packet_octets as f64;
        let window = (packet * PACKETS_INITIAL).min(OCTETS_INITIAL.max(packet * PACKETS_MIN));
        Self { window, threshold: OCTETS_MAX, delays: DelayHistory::default() }
    }

    /// Octets that may be under way.
    pub(super) fn window_octets(&self) -> usize {
        self.window as usize
    }

    /// How long our packets wait in queues, where it is known.
    pub(super) fn queueing(&self) -> Option<Duration> {
        self.delays.queueing()
    }

    /// The other side told how long our last packet took (0: it does not know).
    pub(super) fn delay_told(&mut self, now: Instant, microseconds: u32) {
        if microseconds != 0 {
            self.delays.add(now, microseconds);
        }
    }

    /// The delays of the other direction got shorter than ever by so much: taken
    /// for drift of the clocks, which makes ours seem longer.
    pub(super) fn clocks_drifted(&mut self, microseconds: u32) {
        self.delays.shift(microseconds);
    }

    /// `octets` were acknowledged while `in_flight_octets` were under way.
    pub(super) fn acknowledged(&mut self, octets: usize, in_flight_octets: usize, packet_octets: usize) {
        let (acked, packet) = (octets as f64, packet_octets as f64);
        // A window that is not filled must not grow (RFC 6817 section 2.4.2).
        let filled = in_flight_octets as f64 + packet >= self.window;
        let queueing = self.delays.queueing().unwrap_or_default().as_secs_f64();
        let target = TARGET.as_secs_f64();
        if self.window < self.threshold {
            if queueing <= target * SLOW_START_SHARE {
                if filled {
                    self.set(self.window + acked, packet);
                }
                return;
            }
            self.threshold = self.window;
        }
        let off_target = (target - queueing) / target;
        if off_target > 0.0 && !filled {
            return;
        }
        let step = GAIN * off_target * acked * packet / self.window;
        // One acknowledgement must not take more than half of what it acknowledges.
        self.set(self.window + step.max(-acked / 2.0), packet);
    }

    /// Packets were lost, for the first time within a round trip (RFC 6817
    /// section 2.4.2).
    pub(super) fn lost(&mut self, packet_octets: usize) {
        self.set(self.window / 2.0, packet_octets as f64);
        self.threshold = self.window;
    }

    /// Nothing was acknowledged for a whole timeout (BEP 29: the window becomes
    /// one packet).
    pub(super) fn timed_out(&mut self, packet_octets: usize) {
        self.lost(packet_octets);
        self.window = packet_octets as f64;
    }

    fn set(&mut self, window: f64, packet: f64) {
        self.window = window.clamp((packet * PACKETS_MIN).min(OCTETS_MAX), OCTETS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: usize = 1_000;

    /// A window of ten packets beyond slow start, with this queueing delay.
    fn settled(queueing_milliseconds: u32) -> Ledbat {
        let mut ledbat = Ledbat::new(PACKET);
        (ledbat.window, ledbat.threshold) = (10_000.0, 10_000.0);
        let now = Instant::now();
        ledbat.delay_told(now, 5_000);
        (0..4).for_each(|_| ledbat.delay_told(now, 5_000 + queueing_milliseconds * 1_000));
        ledbat
    }

    /// The window after one round trip that acknowledged all of it.
    fn round(mut ledbat: Ledbat) -> f64 {
        (0..10).for_each(|_| ledbat.acknowledged(1_000, 10_000, PACKET));
        ledbat.window
    }

    #[test]
    fn the_window_grows_below_the_target_and_shrinks_above() {
        // Empty queues: one packet a round trip, as TCP (RFC 6817 section 2.5).
        assert!((round(settled(0)) - 11_000.0).abs() < 100.0);
        assert!((round(settled(50)) - 10_500.0).abs() < 100.0);
        assert!((round(settled(100)) - 10_000.0).abs() < 1.0);
        assert!((round(settled(200)) - 9_000.0).abs() < 100.0);
        assert!(round(settled(2_000)) >= PACKETS_MIN * PACKET as f64);
    }

    #[test]
    fn slow_start_doubles_until_the_queue_grows() {
        let mut ledbat = Ledbat::new(PACKET);
        let now = Instant::now();
        ledbat.delay_told(now, 1);
        ledbat.acknowledged(10_000, 10_000, PACKET);
        assert_eq!(ledbat.window_octets(), 20_000);
        (0..4).for_each(|_| ledbat.delay_told(now, 80_001));
        ledbat.acknowledged(20_000, 20_000, PACKET);
        assert!((20_000..20_500).contains(&ledbat.window_octets()), "{}", ledbat.window);
    }

    #[test]
    fn loss_halves_and_a_timeout_leaves_one_packet() {
        let mut ledbat = settled(0);
        ledbat.lost(PACKET);
        assert_eq!(ledbat.window_octets(), 5_000);
        ledbat.timed_out(PACKET);
        assert_eq!((ledbat.window_octets(), ledbat.threshold), (1_000, 2_500.0));
    }

    #[test]
    fn a_window_that_is_not_filled_does_not_grow_and_none_exceeds_the_bound() {
        let mut ledbat = settled(0);
        ledbat.acknowledged(1_000, 2_000, PACKET);
        assert_eq!(ledbat.window_octets(), 10_000);
        ledbat.threshold = f64::MAX;
        (0..50).for_each(|_| ledbat.acknowledged(1 << 30, 1 << 30, PACKET));
        assert!(ledbat.window <= OCTETS_MAX);
    }
}
