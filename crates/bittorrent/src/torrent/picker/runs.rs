//! The choice for a web seed (BEP 19): pieces that follow one another, so that one
//! request over HTTP gets many, in the longest gap that peers leave.

use super::Picker;
use super::pick::Asker;
use std::ops::Range;

/// Pieces that nobody has begun that are looked through for the longest run.
const LOOK_MAX: usize = 1 << 16;

impl Picker {
    /// The piece behind `last`, or else one of the longest run of pieces that
    /// nobody has begun.
    pub(super) fn next_in_run(&self, asker: &Asker<'_>, last: Option<u32>) -> Option<u32> {
        let urgent = self.priority(*self.order.pieces().first()?);
        let begins = |piece: &u32| self.priority(*piece) == urgent && asker.may_take(*piece);
        let next = last.map(|last| last + 1).filter(|next| self.fresh.contains(*next));
        if let Some(next) = next.filter(begins) {
            return Some(next);
        }
        let (mut longest, mut run): (Range<u32>, Range<u32>) = (0..0, 0..0);
        for piece in self.fresh.iter().filter(begins).take(LOOK_MAX) {
            run = if piece == run.end && !run.is_empty() { run.start..piece + 1 } else { piece..piece + 1 };
            if run.len() > longest.len() {
                longest = run.clone();
            }
        }
        let start = (!longest.is_empty()).then_some(longest.start)?;
        // Whoever is asked for the piece before goes on into this run: leave it half.
        let shared = start.checked_sub(1).is_some_and(|before| self.partial(before).is_some());
        Some(if shared { start + longest.len() as u32 / 2 } else { start })
    }
}
