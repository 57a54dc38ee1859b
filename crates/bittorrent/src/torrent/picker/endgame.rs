//! Blocks that were asked of one peer and are asked of another too, or instead.

use super::super::pieces::BlockId;
use super::Picker;
use super::pick::Asker;

impl Picker {
    /// Whether a block that was asked of somebody else may be asked of this peer.
    pub(crate) fn may_share(&self, asker: &Asker<'_>, id: BlockId) -> bool {
        let shared = |partial: &super::partial::Partial| partial.owner.is_none() && !partial.has(id.block);
        !asker.alone
            && self.missing.contains(id.piece)
            && self.partial(id.piece).is_some_and(shared)
            && asker.may_take(id.piece)
    }

    /// Asks one more peer for a block. Whether it may be: at most
    /// [`super::COPIES_MAX`] are, each once.
    pub(crate) fn share(&mut self, slot: u32, id: BlockId) -> bool {
        self.partial_mut(id.piece).is_some_and(|partial| partial.take_copy(slot, id.block))
    }

    /// Asks `to` for a block in place of `from`. Whether `from` alone was asked.
    pub(crate) fn reassign(&mut self, from: u32, to: u32, id: BlockId) -> bool {
        self.partial_mut(id.piece).is_some_and(|partial| partial.reassign(from, to, id.block))
    }

    /// Blocks with a deadline that were asked of others and can be asked of this
    /// peer too, those first that are needed first.
    pub(crate) fn urgent_copies(&self, asker: &Asker<'_>, count: usize) -> Vec<BlockId> {
        let mut found = Vec::new();
        for (_, piece) in self.deadlines.iter() {
            let Some(partial) = self.partial(piece) else { continue };
            let blocks = partial.copies(asker.slot).map(|block| BlockId { piece, block });
            found.extend(blocks.filter(|id| self.may_share(asker, *id)).take(count - found.len()));
            if found.len() >= count {
                break;
            }
        }
        found
    }
}
