//! The choice of the next blocks for one peer.

use super::super::dice::Dice;
use super::super::piece_set::{Holdings, PieceSet};
use super::super::pieces::BlockId;
use super::partial::Partial;
use super::{Picker, order};

/// Below this count of wanted pieces a peer's bits are walked in place of the
/// order of all pieces: whoever has little would be searched for in vain.
const SPARSE_MAX: u32 = 64;

/// The peer that is to be asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'peer> {
    pub(crate) slot: u32,
    pub(crate) holds: &'peer Holdings,
    /// How many missing pieces it has.
    pub(crate) interesting: u32,
    /// The piece it was last asked for: it goes on with that one.
    pub(crate) current: Option<u32>,
    /// While it chokes us, only these (BEP 6, allowed fast).
    pub(crate) only: Option<&'peer [u32]>,
    /// It proposes these (BEP 6, suggest piece).
    pub(crate) suggested: &'peer [u32],
    /// It would not serve these a moment ago (BEP 6, reject).
    pub(crate) refused: &'peer [u32],
    /// Its pieces are taken whole: it is suspected of sending bad blocks.
    pub(crate) alone: bool,
    /// Nothing is here yet: any piece will do, rarity is no matter.
    pub(crate) random: bool,
    /// It is asked for pieces that follow one another.
    pub(crate) in_runs: bool,
    /// From this many begun pieces on no other is begun if one can be gone on with.
    pub(crate) partials_max: usize,
}

impl Asker<'_> {
    pub(super) fn may_take(&self, piece: u32) -> bool {
        self.holds.contains(piece)
            && !self.refused.contains(&piece)
            && self.only.is_none_or(|only| only.contains(&piece))
    }
}

impl Picker {
    /// Asks for up to `count` blocks. Gives the piece they end in.
    pub(crate) fn pick(
        &mut self,
        asker: &Asker<'_>,
        count: usize,
        dice: &mut Dice,
        out: &mut Vec<BlockId>,
    ) -> Option<u32> {
        let mut current = asker.current.filter(|piece| self.goes_on(asker, *piece));
        if !self.deadlines.is_empty() {
            current = None;
        }
        let wanted = out.len() + count;
        while out.len() < wanted {
            let last = out.last().map(|id| id.piece).or(asker.current);
            let Some(piece) = current.or_else(|| self.choose(asker, last, dice)) else { break };
            if self.partial(piece).is_none() {
                self.begin(piece, asker.alone.then_some(asker.slot));
            }
            let (before, left) = (out.len(), wanted - out.len());
            let Some(partial) = self.partial_mut(piece) else { break };
            partial.take_free(asker.slot, left, out);
            let taken = out.len() - before;
            self.free_blocks -= taken as u64;
            self.note_open(piece);
            if taken == 0 {
                break;
            }
            current = self.goes_on(asker, piece).then_some(piece);
        }
        current
    }

    /// Whether a peer can be asked for free blocks of a begun piece.
    fn goes_on(&self, asker: &Asker<'_>, piece: u32) -> bool {
        self.missing.contains(piece)
            && self.partial(piece).is_some_and(|partial| may_join(asker, partial))
            && asker.may_take(piece)
    }

    fn choose(&self, asker: &Asker<'_>, last: Option<u32>, dice: &mut Dice) -> Option<u32> {
        let begins = |piece: u32| self.fresh.contains(piece) && asker.may_take(piece);
        let takes = |piece: u32| begins(piece) || self.goes_on(asker, piece);
        if let Some((_, piece)) = self.deadlines.iter().find(|(_, piece)| takes(*piece)) {
            return Some(piece);
        }
        if let Some(only) = asker.only {
            return only.iter().copied().find(|piece| takes(*piece));
        }
        if self.sequential {
            return self.first_of_all(asker);
        }
        if asker.in_runs
            && let Some(piece) = self.next_in_run(asker, last)
        {
            return Some(piece);
        }
        let begun = self.best_begun(asker, dice);
        let enough = self.partials.len() >= asker.partials_max;
        if begun.is_some() && (enough || asker.random) {
            return begun.map(|(_, piece)| piece);
        }
        if let Some(piece) = asker.suggested.iter().copied().find(|piece| begins(*piece)) {
            return Some(piece);
        }
        let new = if asker.random {
            self.any(asker, dice).and_then(|piece| Some((self.bucket(piece)?, piece)))
        } else {
            self.rarest(asker, dice)
        };
        match (begun, new) {
            (Some((one, piece)), Some((other, _))) if one <= other => Some(piece),
            (begun, new) => new.or(begun).map(|(_, piece)| piece),
        }
    }

    /// The rarest begun piece, and its bucket.
    fn best_begun(&self, asker: &Asker<'_>, dice: &mut Dice) -> Option<(usize, u32)> {
        let (before, after) = self.open.split_at(dice.below(self.open.len()));
        let mut best: Option<(usize, u32)> = None;
        for piece in after.iter().chain(before).copied() {
            if let Some(bucket) = self.bucket(piece)
                && best.is_none_or(|(least, _)| bucket < least)
                && self.goes_on(asker, piece)
            {
                best = Some((bucket, piece));
            }
        }
        best
    }

    /// The rarest piece that is not begun, ties broken at random.
    fn rarest(&self, asker: &Asker<'_>, dice: &mut Dice) -> Option<(usize, u32)> {
        if let Some(set) = sparse(asker) {
            return self.rarest_of_few(asker, set, dice);
        }
        for (bucket, pieces) in self.order.buckets() {
            let (before, after) = pieces.split_at(dice.below(pieces.len()));
            if let Some(piece) = after.iter().chain(before).find(|piece| asker.may_take(**piece)) {
                return Some((bucket, *piece));
            }
        }
        None
    }

    fn rarest_of_few(&self, asker: &Asker<'_>, set: &PieceSet, dice: &mut Dice) -> Option<(usize, u32)> {
        let mut best: Option<(usize, u32)> = None;
        let mut ties = 0;
        for piece in self.fresh.common(set).filter(|piece| asker.may_take(*piece)) {
            let bucket = order::bucket(self.priority(piece), self.partial_copies(piece))?;
            match best {
                Some((least, _)) if bucket > least => {}
                Some((least, _)) if bucket == least => {
                    ties += 1;
                    if dice.below(ties) == 0 {
                        best = Some((bucket, piece));
                    }
                }
                _ => (best, ties) = (Some((bucket, piece)), 1),
            }
        }
        best
    }

    /// Any piece that is not begun, the most urgent ones only.
    fn any(&self, asker: &Asker<'_>, dice: &mut Dice) -> Option<u32> {
        let pieces = self.order.pieces();
        let (before, after) = pieces.split_at(dice.below(pieces.len()));
        let first = self.priority(*pieces.first()?);
        let mut all = after.iter().chain(before).copied();
        all.find(|piece| self.priority(*piece) == first && asker.may_take(*piece))
    }

    /// The first missing piece, begun or not.
    fn first_of_all(&self, asker: &Asker<'_>) -> Option<u32> {
        let begun = self.open.iter().copied().filter(|piece| self.goes_on(asker, *piece)).min();
        let new = match asker.holds {
            Holdings::None => None,
            Holdings::All => self.fresh.iter().find(|piece| asker.may_take(*piece)),
            Holdings::Some(set) => self.fresh.common(set).find(|piece| asker.may_take(*piece)),
        };
        begun.into_iter().chain(new).min()
    }
}

/// What a peer holds, if that is little.
fn sparse<'peer>(asker: &Asker<'peer>) -> Option<&'peer PieceSet> {
    match asker.holds {
        Holdings::Some(set) if asker.interesting < SPARSE_MAX => Some(set),
        _ => None,
    }
}

fn may_join(asker: &Asker<'_>, partial: &Partial) -> bool {
    let owned = match partial.owner {
        Some(owner) => owner == asker.slot,
        None => !asker.alone,
    };
    owned && partial.free() > 0
}
