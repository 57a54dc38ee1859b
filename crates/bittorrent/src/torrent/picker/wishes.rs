//! What is wanted: priorities, deadlines, the order of a player.

use super::partial::Partial;
use super::{Picker, Priority};
use std::time::Instant;

impl Picker {
    /// Changes what is wanted, and how much. Linear in the count of pieces.
    pub(crate) fn set_priorities(&mut self, priorities: impl IntoIterator<Item = (u32, Priority)>) {
        for (piece, priority) in priorities {
            if let Some(place) = self.priorities.get_mut(piece as usize) {
                *place = priority;
            }
        }
        self.free_blocks = 0;
        for piece in 0..self.lengths.count() {
            let wanted = self.priority(piece) != Priority::Skip && !self.have.contains(piece);
            let free = self.partial(piece).map(Partial::free);
            if wanted {
                self.missing.insert(piece);
                self.free_blocks += u64::from(free.unwrap_or(0));
            } else {
                self.missing.remove(piece);
            }
            if wanted && free.is_none() {
                self.fresh.insert(piece);
            } else {
                self.fresh.remove(piece);
            }
        }
        self.rebuild();
        self.epoch += 1;
    }

    pub(crate) fn set_sequential(&mut self, sequential: bool) {
        self.sequential = sequential;
        self.epoch += 1;
    }

    /// Sets or takes away a piece's deadline. Whether there was room for it.
    pub(crate) fn set_deadline(&mut self, piece: u32, at: Option<Instant>) -> bool {
        self.epoch += 1;
        match at {
            Some(at) if self.missing.contains(piece) => self.deadlines.set(piece, at),
            _ => {
                self.deadlines.clear(piece);
                true
            }
        }
    }

    pub(crate) fn clear_deadlines(&mut self) {
        self.deadlines.clear_all();
    }

    /// Whether any piece has a deadline.
    pub(crate) fn has_deadlines(&self) -> bool {
        !self.deadlines.is_empty()
    }
}
