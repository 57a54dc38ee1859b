//! The endgame: what is asked of one peer is asked of another too, so that the
//! last blocks do not wait for the slowest (BEP 3).

use super::super::pieces::BlockId;
use super::pick::Asker;
use super::{COPIES_MAX, Picker};

/// Which pieces may be asked for twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Twice {
    /// All: the endgame.
    All,
    /// Those with a deadline: a player waits.
    Deadlines,
}

impl Picker {
    /// Asks for up to `count` blocks that others were asked for already, those
    /// first that would come last. `wait` says in how many seconds a slot would
    /// deliver what it was asked for, `own_wait` the same for one more block of
    /// this peer: a block that comes sooner from where it was asked is left there.
    pub(crate) fn pick_copies(
        &mut self,
        asker: &Asker<'_>,
        twice: Twice,
        count: usize,
        wait: &dyn Fn(u32) -> f64,
        own_wait: f64,
        out: &mut Vec<BlockId>,
    ) {
        let mut found: Vec<(f64, BlockId)> = Vec::new();
        for partial in &self.partials {
            let piece = partial.piece;
            if (twice == Twice::Deadlines && !self.deadlines.contains(piece))
                || !self.missing.contains(piece)
                || !asker.may_take(piece)
                || asker.alone
                || partial.owner.is_some()
            {
                continue;
            }
            for (block, asked) in partial.copies(asker.slot) {
                let soonest = asked.map(wait).fold(f64::INFINITY, f64::min);
                if soonest > own_wait {
                    found.push((soonest, BlockId { piece, block }));
                }
            }
        }
        // Latest first; the index breaks ties, so that a run can be replayed.
        found.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        for (_, id) in found.into_iter().take(count.min(COPIES_MAX * 16)) {
            if self.partial_mut(id.piece).is_some_and(|partial| partial.take_copy(asker.slot, id.block)) {
                out.push(id);
            }
        }
    }
}
