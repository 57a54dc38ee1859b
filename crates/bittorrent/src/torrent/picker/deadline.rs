//! Pieces that are needed by a time: what a player reads next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Pieces with a deadline at most: with pieces of 1 MiB, hours of video ahead.
pub const DEADLINES_MAX: usize = 4_096;

/// The pieces in the order in which they are needed.
#[derive(Debug, Clone, Default)]
pub(super) struct Deadlines {
    by_time: BTreeSet<(Instant, u32)>,
    of: BTreeMap<u32, Instant>,
}

impl Deadlines {
    /// Sets a piece's deadline. Whether there was room for it.
    pub(super) fn set(&mut self, piece: u32, at: Instant) -> bool {
        self.clear(piece);
        if self.of.len() >= DEADLINES_MAX {
            return false;
        }
        self.of.insert(piece, at);
        self.by_time.insert((at, piece));
        true
    }

    pub(super) fn clear(&mut self, piece: u32) {
        if let Some(at) = self.of.remove(&piece) {
            self.by_time.remove(&(at, piece));
        }
    }

    pub(super) fn clear_all(&mut self) {
        *self = Self::default();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// The pieces, the one that is needed first in front.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Instant, u32)> + '_ {
        self.by_time.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_nearest_deadline_is_first_and_there_is_a_bound() {
        let now = Instant::now();
        let mut deadlines = Deadlines::default();
        for piece in 0..DEADLINES_MAX as u32 {
            assert!(deadlines.set(piece, now + Duration::from_secs(u64::from(10_000 - piece))));
        }
        assert!(!deadlines.set(u32::MAX, now), "the bound holds");
        assert!(deadlines.set(7, now), "a deadline can be moved");
        assert_eq!(deadlines.iter().next(), Some((now, 7)));
        deadlines.clear(7);
        assert!(deadlines.iter().all(|(_, piece)| piece != 7) && !deadlines.is_empty());
        assert_eq!(deadlines.iter().count(), DEADLINES_MAX - 1);
    }
}
