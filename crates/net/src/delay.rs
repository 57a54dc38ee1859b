//! Datagrams on their way: held until they are due, in order of arrival.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Instant;

/// Datagrams held at once; further ones are lost, as in a full router.
pub(crate) const HELD_DATAGRAMS_MAX: usize = 4_096;

/// Holds things until they are due. Those due at the same time leave in the
/// order they came.
#[derive(Debug)]
pub(crate) struct DelayQueue<T> {
    heap: BinaryHeap<Reverse<Held<T>>>,
    next: u64,
}

#[derive(Debug)]
struct Held<T> {
    due: Instant,
    number: u64,
    thing: T,
}

impl<T> Default for DelayQueue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), next: 0 }
    }
}

impl<T> DelayQueue<T> {
    /// Holds `thing` until `due`; false when the queue is full and it is lost.
    pub(crate) fn push(&mut self, due: Instant, thing: T) -> bool {
        if self.heap.len() >= HELD_DATAGRAMS_MAX {
            return false;
        }
        self.heap.push(Reverse(Held { due, number: self.next, thing }));
        self.next += 1;
        true
    }

    /// The first thing that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<T> {
        if self.next_due()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(held)| held.thing)
    }

    /// When the next thing is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(held)| held.due)
    }
}

impl<T> PartialEq for Held<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Held<T> {}

impl<T> PartialOrd for Held<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Held<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn leaves_by_time_then_by_arrival() {
        let start = Instant::now();
        let later = start + Duration::from_millis(5);
        let mut queue = DelayQueue::default();
        queue.push(later, "c");
        queue.push(start, "a");
        queue.push(start, "b");
        assert_eq!(queue.pop_due(start), Some("a"));
        assert_eq!(queue.pop_due(start), Some("b"));
        assert_eq!(queue.pop_due(start), None);
        assert_eq!(queue.next_due(), Some(later));
        assert_eq!(queue.pop_due(later), Some("c"));
    }

    #[test]
    fn loses_what_goes_beyond_its_bound() {
        let now = Instant::now();
        let mut queue = DelayQueue::default();
        for number in 0..HELD_DATAGRAMS_MAX {
            assert!(queue.push(now, number));
        }
        assert!(!queue.push(now, HELD_DATAGRAMS_MAX));
        assert_eq!(queue.pop_due(now), Some(0));
        assert!(queue.push(now, 0));
    }
}
