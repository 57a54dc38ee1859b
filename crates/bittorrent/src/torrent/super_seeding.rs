//! Super-seeding (BEP 16): a seed that looks like a peer with nothing, and shows
//! its pieces one by one, the next one to a peer only when the last one it was
//! given was seen with somebody else. For peers that choose badly; `spread` does
//! better with those that choose rarest first.

use super::piece_set::{Holdings, PieceSet};
use std::collections::BTreeMap;

/// Pieces that are shown to a peer and not yet seen elsewhere, at most: while one
/// is announced the other is taken.
pub const SHOWN_PENDING_MAX: usize = 2;

/// What was shown to whom.
#[derive(Debug, Clone)]
pub(crate) struct SuperSeeding {
    count: u32,
    /// How often each piece was shown.
    times: Box<[u16]>,
    /// Pieces each peer (slot) may ask for.
    shown: BTreeMap<u32, PieceSet>,
    /// Pieces that are not yet seen with another peer, and who was shown them.
    pending: BTreeMap<u32, u32>,
}

impl SuperSeeding {
    pub(crate) fn new(count: u32) -> Self {
        let times = vec![0; count as usize].into();
        Self { count, times, shown: BTreeMap::new(), pending: BTreeMap::new() }
    }

    /// Whether a peer may ask for a piece.
    pub(crate) fn may_ask(&self, slot: u32, piece: u32) -> bool {
        self.shown.get(&slot).is_some_and(|shown| shown.contains(piece))
    }

    /// The next piece to show to a peer that holds `holds`: the one shown and
    /// held (`copies`) least. `None` when it has enough to do.
    pub(crate) fn next(&mut self, slot: u32, holds: &Holdings, copies: impl Fn(u32) -> u32) -> Option<u32> {
        if self.pending.values().filter(|owner| **owner == slot).count() >= SHOWN_PENDING_MAX {
            return None;
        }
        let count = self.count;
        let shown = self.shown.entry(slot).or_insert_with(|| PieceSet::empty(count));
        let candidates = (0..count).filter(|piece| !holds.contains(*piece) && !shown.contains(*piece));
        // A start of its own for each peer, or all would be shown the same ties.
        let turn = |piece: u32| piece.wrapping_sub(slot.wrapping_mul(0x9e37_79b9) % count) % count;
        let piece = candidates
            .min_by_key(|piece| (copies(*piece), self.times.get(*piece as usize).copied(), turn(*piece)))?;
        shown.insert(piece);
        if let Some(times) = self.times.get_mut(piece as usize) {
            *times = times.saturating_add(1);
        }
        self.pending.insert(piece, slot);
        Some(piece)
    }

    /// A peer announced a piece. Gives the peer that may be shown the next one:
    /// the one it was shown to, if another has it now, or if there is no other
    /// (`alone`) that could get it.
    pub(crate) fn note_copy(&mut self, slot: u32, piece: u32, alone: bool) -> Option<u32> {
        let owner = *self.pending.get(&piece)?;
        if owner == slot && !alone {
            return None;
        }
        self.pending.remove(&piece)
    }

    /// A peer left.
    pub(crate) fn forget(&mut self, slot: u32) {
        self.shown.remove(&slot);
        self.pending.retain(|_, owner| *owner != slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_piece_is_shown_when_the_last_was_seen_elsewhere() {
        let mut seed = SuperSeeding::new(10);
        let none = Holdings::None;
        let (first, second) =
            (seed.next(1, &none, |_| 0).expect("one"), seed.next(1, &none, |_| 0).expect("two"));
        assert_eq!(seed.next(1, &none, |_| 0), None, "{SHOWN_PENDING_MAX} at a time");
        assert!(first != second && seed.may_ask(1, first) && !seed.may_ask(2, first));
        let others: Vec<u32> = (0..2).filter_map(|_| seed.next(2, &none, |_| 0)).collect();
        assert!(!others.contains(&first) && !others.contains(&second), "each piece to one peer");
        assert_eq!(seed.note_copy(1, first, false), None, "it has it, nobody else");
        assert_eq!(seed.note_copy(2, first, false), Some(1));
        assert!(seed.next(1, &none, |_| 0).is_some());
        assert_eq!(seed.note_copy(2, first, false), None);
        assert_eq!(seed.note_copy(1, second, true), Some(1), "there is nobody else");
        seed.forget(1);
        assert!(!seed.may_ask(1, first));
    }

    #[test]
    fn when_all_was_shown_the_rarest_is_shown_again() {
        let mut seed = SuperSeeding::new(2);
        seed.next(1, &Holdings::None, |_| 0);
        seed.next(1, &Holdings::None, |_| 0);
        assert_eq!(seed.next(2, &Holdings::None, |piece| 1 + u32::from(piece == 0)), Some(1));
        assert_eq!(seed.next(3, &Holdings::All, |_| 0), None);
    }
}
