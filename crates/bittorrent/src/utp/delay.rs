//! Delays of one direction of a path, measured by two clocks that nobody set:
//! only differences mean anything (RFC 6817 section 2.4.2).

use super::sequence::is_earlier;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Minutes for which the least delay is remembered (RFC 6817 section 4.2:
/// BASE_HISTORY is 10).
const BASE_HISTORY: usize = 10;
/// Measurements the current delay is the least of (RFC 6817 section 4.1:
/// CURRENT_FILTER).
const CURRENT_FILTER: usize = 4;
/// How long one entry of the history gathers.
const MINUTE: Duration = Duration::from_mins(1);

/// The delays of one direction, in microseconds.
#[derive(Debug, Default)]
pub(super) struct DelayHistory {
    /// The least delay of each minute, the newest last.
    base: VecDeque<u32>,
    minute_began: Option<Instant>,
    current: VecDeque<u32>,
}

impl DelayHistory {
    /// Takes a measurement: the receiver's clock minus the sender's.
    pub(super) fn add(&mut self, now: Instant, delay_microseconds: u32) {
        self.current.truncate(CURRENT_FILTER - 1);
        self.current.push_front(delay_microseconds);
        let over = self.minute_began.is_none_or(|began| now.saturating_duration_since(began) >= MINUTE);
        match self.base.back_mut() {
            Some(least) if !over => {
                if is_earlier(delay_microseconds, *least) {
                    *least = delay_microseconds;
                }
            }
            _ => {
                self.minute_began = Some(now);
                self.base.push_back(delay_microseconds);
                if self.base.len() > BASE_HISTORY {
                    self.base.pop_front();
                }
            }
        }
    }

    /// The least delay remembered: that of the path with empty queues.
    pub(super) fn base(&self) -> Option<u32> {
        least(&self.base)
    }

    /// How long packets wait in queues now; nothing before the first measurement.
    pub(super) fn queueing(&self) -> Option<Duration> {
        let (base, current) = (self.base()?, least(&self.current)?);
        let above = if is_earlier(current, base) { 0 } else { current.wrapping_sub(base) };
        Some(Duration::from_micros(u64::from(above)))
    }

    /// Moves the whole history: the clocks drift apart.
    pub(super) fn shift(&mut self, microseconds: u32) {
        self.base.iter_mut().for_each(|least| *least = least.wrapping_add(microseconds));
    }
}

fn least(delays: &VecDeque<u32>) -> Option<u32> {
    delays.iter().copied().reduce(|one, other| if is_earlier(other, one) { other } else { one })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queueing_is_what_lies_above_the_least_even_across_the_wrap() {
        let now = Instant::now();
        let mut history = DelayHistory::default();
        assert_eq!(history.queueing(), None);
        history.add(now, u32::MAX - 100);
        assert_eq!(history.queueing(), Some(Duration::ZERO));
        // Four measurements, the least of which counts.
        for delay in [899, 899, 99_899, 899] {
            history.add(now, delay);
        }
        assert_eq!(history.queueing(), Some(Duration::from_millis(1)));
    }

    #[test]
    fn the_history_is_bounded_and_forgets() {
        let mut now = Instant::now();
        let mut history = DelayHistory::default();
        history.add(now, 10);
        for _ in 0..BASE_HISTORY {
            now += MINUTE;
            history.add(now, 500);
        }
        assert_eq!((history.base(), history.base.len()), (Some(500), BASE_HISTORY));
        assert_eq!(history.current.len(), CURRENT_FILTER);
    }
}
