//! How many copies of each piece there are, and the order that follows from it.

use super::super::piece_set::Holdings;
use super::Picker;
use super::order::{self, Order};

impl Picker {
    pub(super) fn bucket(&self, piece: u32) -> Option<usize> {
        order::bucket(self.priority(piece), self.partial_copies(piece))
    }

    /// Puts the order together anew, in linear time.
    pub(super) fn rebuild(&mut self) {
        self.order = Order::build(self.lengths.count(), |piece| {
            self.fresh.contains(piece).then(|| self.bucket(piece)).flatten()
        });
    }

    /// A peer joins with what it has, or `leaves`.
    pub(crate) fn count_holdings(&mut self, holds: &Holdings, leaves: bool) {
        match holds {
            Holdings::None => {}
            Holdings::All if leaves => self.seeds = self.seeds.saturating_sub(1),
            Holdings::All => self.seeds += 1,
            Holdings::Some(set) => {
                for piece in set.iter() {
                    self.count_copy(piece, leaves);
                }
            }
        }
    }

    /// A peer has one more piece, or one `less`.
    pub(crate) fn count_copy(&mut self, piece: u32, less: bool) {
        let before = self.bucket(piece);
        let Some(copies) = self.availability.get_mut(piece as usize) else { return };
        *copies = if less { copies.saturating_sub(1) } else { copies.saturating_add(1) };
        if self.fresh.contains(piece)
            && let (Some(before), Some(after)) = (before, self.bucket(piece))
            && before != after
        {
            self.order.change(piece, before, after);
        }
    }

    pub(super) fn renew(&mut self, piece: u32) {
        if let Some(bucket) = self.bucket(piece)
            && self.missing.contains(piece)
            && self.fresh.insert(piece)
        {
            self.order.insert(piece, bucket);
        }
    }

    pub(super) fn take_fresh(&mut self, piece: u32) {
        if self.fresh.remove(piece)
            && let Some(bucket) = self.bucket(piece)
        {
            self.order.remove(piece, bucket);
        }
    }
}
