//! Slots on top of those of tit for tat, while the uplink is not full.
//!
//! Near the end those who send the most have nearly all and ask for little, and
//! keep their slots all the same; the others are choked while the uplink is idle.
//! What nobody takes costs nobody anything: it is given to one more at a time.

use std::time::{Duration, Instant};

/// How often it is looked whether the uplink is full, at most and at least; between
/// these as often as a full one sends so much that a block more or less is no matter.
const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(100);
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
const LOOK_OCTETS: f64 = 256.0 * 1024.0;
/// The part of the most that was ever sent below which the uplink has room, and
/// from which on it is full.
const ROOM_BELOW: f64 = 0.85;
const FULL_FROM: f64 = 0.95;
/// Seconds in which the most that was sent is forgotten to a half.
const FORGET_SECONDS: f64 = 60.0;
/// Seconds over which what is sent is averaged.
const AVERAGE_SECONDS: f64 = 0.5;

/// How full the uplink is, and how many slots that gives.
#[derive(Debug, Clone)]
pub(crate) struct Spare {
    looked: Instant,
    /// Octets sent since then.
    octets: u64,
    /// Octets a second of late, and the most of these.
    rate: f64,
    most: f64,
    slots: u32,
}

impl Spare {
    pub(crate) fn new(now: Instant) -> Self {
        Self { looked: now, octets: 0, rate: 0.0, most: 0.0, slots: 0 }
    }

    /// Slots on top of the others.
    pub(crate) fn slots(&self) -> u32 {
        self.slots
    }

    /// Octets were sent.
    pub(crate) fn note_sent(&mut self, octets: u32) {
        self.octets += u64::from(octets);
    }

    /// Whether it is time to look whether there is room.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let full = Duration::from_secs_f64(LOOK_OCTETS / self.most.max(1.0));
        now.saturating_duration_since(self.looked) >= full.clamp(LOOK_INTERVAL_MIN, LOOK_INTERVAL)
    }

    /// Looks; `taken` are the spare slots that have somebody. Whether there is one
    /// more to give away than before.
    pub(crate) fn look(&mut self, now: Instant, taken: u32, max: u32) -> bool {
        let seconds = now.saturating_duration_since(self.looked).max(LOOK_INTERVAL_MIN).as_secs_f64();
        let rate = self.octets as f64 / seconds;
        (self.looked, self.octets) = (now, 0);
        self.rate += (1.0 - (-seconds / AVERAGE_SECONDS).exp()) * (rate - self.rate);
        self.most = (self.most * 0.5_f64.powf(seconds / FORGET_SECONDS)).max(self.rate);
        // Nothing was ever sent: how much could be is not known.
        let room = self.most > 0.0 && self.has_room();
        if room && taken >= self.slots && self.slots < max {
            self.slots += 1;
            return true;
        }
        false
    }

    /// Whether more could go out, for all that is known.
    pub(crate) fn has_room(&self) -> bool {
        self.rate <= ROOM_BELOW * self.most
    }

    /// A round of the choker begins: a full uplink is for those who send again.
    pub(crate) fn begin_round(&mut self) {
        if self.rate >= FULL_FROM * self.most {
            self.slots = self.slots.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_added_while_there_is_room_and_taken_back_in_a_full_round() {
        let mut now = Instant::now();
        let mut spare = Spare::new(now);
        let mut pass = |spare: &mut Spare, octets: u32, taken: u32| {
            now += LOOK_INTERVAL;
            spare.note_sent(octets);
            assert!(spare.is_due(now));
            spare.look(now, taken, 2)
        };
        assert!(!pass(&mut spare, 0, 0), "nothing was sent yet");
        for _ in 0..20 {
            assert!(!pass(&mut spare, 500_000, 0), "the uplink is full");
        }
        assert!(pass(&mut spare, 100_000, 0));
        assert!(!pass(&mut spare, 100_000, 0), "nobody took it");
        assert!(pass(&mut spare, 100_000, 1));
        assert!(!pass(&mut spare, 100_000, 2) && spare.slots() == 2, "no more than may be");
        spare.begin_round();
        assert_eq!(spare.slots(), 2);
        for _ in 0..20 {
            pass(&mut spare, 500_000, 2);
        }
        spare.begin_round();
        assert_eq!(spare.slots(), 1);
    }

    #[test]
    fn a_quick_uplink_is_looked_at_more_often_within_bounds() {
        for (per_second, milliseconds) in [(1_000, 250), (2_000_000, 131), (1_000_000_000, 100)] {
            let mut now = Instant::now();
            let mut spare = Spare::new(now);
            for _ in 0..100 {
                now += LOOK_INTERVAL;
                spare.note_sent(per_second / 4);
                spare.look(now, 0, 2);
            }
            let due = |milliseconds: u64| spare.is_due(now + Duration::from_millis(milliseconds));
            assert!(!due(milliseconds - 1) && due(milliseconds + 1), "{per_second}");
        }
    }
}
