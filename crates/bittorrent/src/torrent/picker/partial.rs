//! Pieces that are begun, block by block.

use super::super::pieces::BlockId;

/// Peers that one block is asked of at the same time, at most.
pub const COPIES_MAX: usize = 3;

const NOBODY: u32 = u32::MAX;

/// Where a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BlockState {
    /// Nobody was asked.
    Free,
    /// Asked of at least one peer.
    Requested,
    /// Here.
    Received,
}

/// One block of a piece that is begun.
#[derive(Debug, Clone, Copy)]
struct Block {
    state: BlockState,
    /// Who was asked (slots); once the block is here, the first is the key of
    /// the peer that sent it.
    who: [u32; COPIES_MAX],
}

const FREE: Block = Block { state: BlockState::Free, who: [NOBODY; COPIES_MAX] };

/// A piece that is begun and not yet found good.
#[derive(Debug, Clone)]
pub(super) struct Partial {
    pub(super) piece: u32,
    blocks: Box<[Block]>,
    /// Blocks nobody was asked for.
    free: u32,
    /// Blocks that are here.
    received: u32,
    /// No block before this one is free.
    lowest_free: u32,
    /// The only peer (slot) that is asked: it is suspected of sending bad blocks.
    pub(super) owner: Option<u32>,
    /// Where it stands in the picker's list of pieces with free blocks.
    pub(super) open_at: Option<usize>,
}

/// What came of a block that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// Other peers (slots) who were asked for the same block.
    others: [u32; COPIES_MAX],
    /// All blocks of the piece are here.
    pub(crate) whole: bool,
}

impl Receipt {
    /// Other peers (slots) who were asked for the same block.
    pub(crate) fn others(&self) -> impl Iterator<Item = u32> {
        self.others.into_iter().filter(|slot| *slot != NOBODY)
    }
}

impl Partial {
    pub(super) fn new(piece: u32, blocks: u32, owner: Option<u32>) -> Self {
        let blocks: Box<[Block]> = vec![FREE; blocks as usize].into();
        Self { piece, free: blocks.len() as u32, blocks, received: 0, lowest_free: 0, owner, open_at: None }
    }

    pub(super) fn free(&self) -> u32 {
        self.free
    }

    pub(super) fn is_whole(&self) -> bool {
        self.received as usize == self.blocks.len()
    }

    /// Nothing is here, nobody is asked.
    pub(super) fn is_untouched(&self) -> bool {
        self.free as usize == self.blocks.len()
    }

    pub(super) fn has(&self, block: u32) -> bool {
        self.blocks.get(block as usize).is_some_and(|block| block.state == BlockState::Received)
    }

    /// Asks `slot` for up to `count` free blocks, the first ones first.
    pub(super) fn take_free(&mut self, slot: u32, count: usize, out: &mut Vec<BlockId>) {
        let mut left = count.min(self.free as usize);
        let mut at = self.lowest_free;
        while left > 0 {
            let Some(block) = self.blocks.get_mut(at as usize) else { break };
            if block.state == BlockState::Free {
                block.state = BlockState::Requested;
                block.who[0] = slot;
                out.push(BlockId { piece: self.piece, block: at });
                self.free -= 1;
                left -= 1;
            }
            at += 1;
        }
        self.lowest_free = at;
    }

    /// Asks one more peer for a block.
    pub(super) fn take_copy(&mut self, slot: u32, block: u32) -> bool {
        let Some(block) = self.blocks.get_mut(block as usize) else { return false };
        if block.state != BlockState::Requested || block.who.contains(&slot) {
            return false;
        }
        let Some(place) = block.who.iter_mut().find(|who| **who == NOBODY) else { return false };
        *place = slot;
        true
    }

    /// Asks `to` for a block in place of `from`, if nobody else was asked.
    pub(super) fn reassign(&mut self, from: u32, to: u32, block: u32) -> bool {
        let Some(block) = self.blocks.get_mut(block as usize) else { return false };
        let alone = [from, NOBODY, NOBODY];
        if block.state != BlockState::Requested || block.who != alone || from == to {
            return false;
        }
        block.who[0] = to;
        true
    }

    /// Blocks that were asked of others and could be asked of `slot` too.
    pub(super) fn copies(&self, slot: u32) -> impl Iterator<Item = u32> {
        let waiting = self.blocks.iter().enumerate().filter(move |(_, block)| {
            block.state == BlockState::Requested
                && block.who[COPIES_MAX - 1] == NOBODY
                && !block.who.contains(&slot)
        });
        waiting.map(|(at, _)| at as u32)
    }

    /// Takes note of a block that is here; `None` when it was here already.
    pub(super) fn receive(&mut self, slot: u32, key: u32, block: u32) -> Option<Receipt> {
        let at = block;
        let block = self.blocks.get_mut(at as usize)?;
        let mut others = block.who;
        match block.state {
            BlockState::Received => return None,
            BlockState::Free => self.free -= 1,
            BlockState::Requested => {
                for other in &mut others {
                    if *other == slot {
                        *other = NOBODY;
                    }
                }
            }
        }
        *block = Block { state: BlockState::Received, who: [NOBODY; COPIES_MAX] };
        block.who[0] = key;
        self.received += 1;
        Some(Receipt { others, whole: self.is_whole() })
    }

    /// `slot` is no longer asked for a block. Whether the block became free.
    pub(super) fn release(&mut self, slot: u32, block: u32) -> bool {
        let at = block;
        let Some(block) = self.blocks.get_mut(at as usize) else { return false };
        if block.state != BlockState::Requested {
            return false;
        }
        let mut left = [NOBODY; COPIES_MAX];
        let others = block.who.into_iter().filter(|who| *who != slot && *who != NOBODY);
        for (place, who) in left.iter_mut().zip(others) {
            *place = who;
        }
        block.who = left;
        if left[0] != NOBODY {
            return false;
        }
        block.state = BlockState::Free;
        self.free += 1;
        self.lowest_free = self.lowest_free.min(at);
        true
    }

    /// The key of the peer that sent each block, once the piece is whole.
    pub(super) fn senders(&self) -> Vec<u32> {
        self.blocks.iter().map(|block| block.who[0]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(out: &[BlockId]) -> Vec<u32> {
        out.iter().map(|id| id.block).collect()
    }

    #[test]
    fn each_block_is_asked_of_one_peer_until_it_is_given_up() {
        let mut partial = Partial::new(7, 4, None);
        let mut out = Vec::new();
        partial.take_free(1, 3, &mut out);
        partial.take_free(2, 3, &mut out);
        assert_eq!(blocks(&out), [0, 1, 2, 3]);
        assert_eq!(partial.free(), 0);
        assert!(!partial.release(2, 0), "another was asked");
        assert!(partial.release(1, 1) && partial.free() == 1);
        out.clear();
        partial.take_free(3, 9, &mut out);
        assert_eq!(blocks(&out), [1]);
    }

    #[test]
    fn copies_are_asked_of_three_peers_at_most_and_told_on_arrival() {
        let mut partial = Partial::new(7, 1, None);
        partial.take_free(1, 1, &mut Vec::new());
        assert!(!partial.take_copy(1, 0), "not twice of the same");
        assert!(partial.take_copy(2, 0) && partial.take_copy(3, 0));
        assert!(!partial.take_copy(4, 0), "{COPIES_MAX} at most");
        assert_eq!(partial.copies(9).count(), 0);
        let receipt = partial.receive(2, 20, 0).expect("it is new");
        assert_eq!(receipt.others().collect::<Vec<_>>(), [1, 3]);
        assert!(receipt.whole && partial.is_whole());
        assert_eq!(partial.receive(1, 10, 0), None, "it is here already");
        assert_eq!(partial.senders(), [20]);
    }

    #[test]
    fn a_block_goes_over_to_another_peer_if_one_alone_was_asked() {
        let mut partial = Partial::new(7, 2, None);
        partial.take_free(1, 1, &mut Vec::new());
        assert!(!partial.reassign(2, 3, 0) && !partial.reassign(1, 3, 1) && !partial.reassign(1, 3, 9));
        assert!(partial.reassign(1, 3, 0));
        assert!(!partial.release(1, 0) && partial.take_copy(4, 0));
        assert!(!partial.reassign(3, 5, 0), "two were asked");
    }

    #[test]
    fn a_block_that_nobody_was_asked_for_any_more_is_still_good() {
        let mut partial = Partial::new(7, 2, None);
        partial.take_free(1, 1, &mut Vec::new());
        assert!(partial.release(1, 0) && partial.is_untouched());
        assert!(partial.receive(1, 10, 0).is_some());
        assert_eq!(partial.free(), 1);
    }
}
