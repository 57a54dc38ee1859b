//! The picker: which block is asked for next.
//!
//! Rarest first among the pieces nobody has begun (`order`), begun pieces before
//! new ones as long as they are as rare (`pick`), pieces with a deadline before
//! all (`deadline`), and at the end the same block from several peers (`endgame`).
//! It knows peers by slot, a small number, and never iterates over them.

mod deadline;
mod endgame;
mod order;
mod partial;
mod pick;
mod rarity;
mod runs;
mod wishes;

pub use deadline::DEADLINES_MAX;
pub use partial::COPIES_MAX;
pub(crate) use partial::Receipt;
pub(crate) use pick::Asker;

use super::piece_set::PieceSet;
use super::pieces::{BlockId, PieceLengths};
use deadline::Deadlines;
use order::Order;
use partial::Partial;

/// How much a piece is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Priority {
    /// Not at all: none of its files is selected.
    Skip,
    /// After all others.
    Low,
    /// As usual.
    #[default]
    Normal,
    /// Before all others.
    High,
}

const NOT_BEGUN: u32 = u32::MAX;

/// What is here, what is wanted, who has it, and what is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Picker {
    lengths: PieceLengths,
    have: PieceSet,
    priorities: Box<[Priority]>,
    /// Wanted pieces that are not here.
    missing: PieceSet,
    /// Copies of each piece among the peers that do not have all.
    availability: Box<[u16]>,
    /// Peers that have all.
    seeds: u32,
    /// Missing pieces that are not begun: the same as in `order`.
    fresh: PieceSet,
    order: Order,
    partials: Vec<Partial>,
    /// Begun pieces with free blocks: few, most are asked for at once.
    open: Vec<u32>,
    /// Where in `partials` each piece is.
    begun: Box<[u32]>,
    /// Free blocks of begun pieces that are wanted.
    free_blocks: u64,
    deadlines: Deadlines,
    sequential: bool,
    /// Grows whenever a block can be asked for that could not be before.
    epoch: u64,
}

impl Picker {
    pub(crate) fn new(lengths: PieceLengths, have: PieceSet) -> Self {
        let count = lengths.count();
        let mut missing = PieceSet::full(count);
        for piece in have.iter() {
            missing.remove(piece);
        }
        let mut picker = Self {
            priorities: vec![Priority::Normal; count as usize].into(),
            availability: vec![0; count as usize].into(),
            seeds: 0,
            fresh: missing.clone(),
            missing,
            order: Order::empty(count),
            partials: Vec::new(),
            open: Vec::new(),
            begun: vec![NOT_BEGUN; count as usize].into(),
            free_blocks: 0,
            deadlines: Deadlines::default(),
            sequential: false,
            epoch: 0,
            have,
            lengths,
        };
        picker.rebuild();
        picker
    }

    pub(crate) fn lengths(&self) -> &PieceLengths {
        &self.lengths
    }

    pub(crate) fn have(&self) -> &PieceSet {
        &self.have
    }

    /// Wanted pieces that are not here.
    pub(crate) fn missing(&self) -> &PieceSet {
        &self.missing
    }

    pub(crate) fn is_missing(&self, piece: u32) -> bool {
        self.missing.contains(piece)
    }

    pub(crate) fn priority(&self, piece: u32) -> Priority {
        self.priorities.get(piece as usize).copied().unwrap_or(Priority::Skip)
    }

    /// Octets of files in all pieces that are wanted, or here: what a share ratio is of.
    pub(crate) fn goal_octets(&self) -> u64 {
        let wanted = |piece: &u32| self.priority(*piece) != Priority::Skip || self.have.contains(*piece);
        (0..self.lengths.count())
            .filter(wanted)
            .map(|piece| u64::from(self.lengths.content_octets(piece)))
            .sum()
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Peers that have a piece.
    pub(crate) fn copies(&self, piece: u32) -> u32 {
        self.seeds + self.partial_copies(piece)
    }

    /// Peers that have a piece but not all.
    pub(crate) fn partial_copies(&self, piece: u32) -> u32 {
        self.availability.get(piece as usize).map_or(0, |copies| u32::from(*copies))
    }

    /// Peers that have all.
    pub(crate) fn seeds(&self) -> u32 {
        self.seeds
    }

    /// Whether every missing block has been asked for.
    pub(crate) fn is_endgame(&self) -> bool {
        self.fresh.is_empty() && self.free_blocks == 0 && !self.missing.is_empty()
    }

    fn partial(&self, piece: u32) -> Option<&Partial> {
        self.partials.get(*self.begun.get(piece as usize)? as usize)
    }

    fn partial_mut(&mut self, piece: u32) -> Option<&mut Partial> {
        self.partials.get_mut(*self.begun.get(piece as usize)? as usize)
    }

    /// Takes note of whether a begun piece has free blocks.
    fn note_open(&mut self, piece: u32) {
        let count = self.open.len();
        let Some(partial) = self.partial_mut(piece) else { return };
        match (partial.open_at, partial.free() > 0) {
            (None, true) => {
                partial.open_at = Some(count);
                self.open.push(piece);
            }
            (Some(at), false) => {
                partial.open_at = None;
                self.close(at);
            }
            _ => {}
        }
    }

    fn close(&mut self, at: usize) {
        self.open.swap_remove(at);
        if let Some(moved) = self.open.get(at).copied()
            && let Some(partial) = self.partial_mut(moved)
        {
            partial.open_at = Some(at);
        }
    }

    fn begin(&mut self, piece: u32, owner: Option<u32>) {
        self.take_fresh(piece);
        let partial = Partial::new(piece, self.lengths.blocks(piece), owner);
        if self.missing.contains(piece) {
            self.free_blocks += u64::from(partial.free());
        }
        self.begun[piece as usize] = self.partials.len() as u32;
        self.partials.push(partial);
        self.note_open(piece);
    }

    fn forget(&mut self, piece: u32) -> Option<Partial> {
        let at = *self.begun.get(piece as usize)?;
        if at == NOT_BEGUN {
            return None;
        }
        if let Some(open_at) = self.partial(piece).and_then(|partial| partial.open_at) {
            self.close(open_at);
        }
        let partial = self.partials.swap_remove(at as usize);
        self.begun[piece as usize] = NOT_BEGUN;
        if let Some(moved) = self.partials.get(at as usize) {
            self.begun[moved.piece as usize] = at;
        }
        if self.missing.contains(piece) {
            self.free_blocks -= u64::from(partial.free());
        }
        Some(partial)
    }

    /// Whether a block is here, in a piece that is here or begun.
    pub(crate) fn has_block(&self, id: BlockId) -> bool {
        self.have.contains(id.piece) || self.partial(id.piece).is_some_and(|partial| partial.has(id.block))
    }

    /// A block came from `slot`. `None`: it was here already.
    pub(crate) fn receive(&mut self, slot: u32, key: u32, id: BlockId) -> Option<Receipt> {
        if self.have.contains(id.piece) || self.lengths.range(id).is_none() {
            return None;
        }
        if self.partial(id.piece).is_none() {
            self.begin(id.piece, None);
        }
        let wanted = self.missing.contains(id.piece);
        let partial = self.partial_mut(id.piece)?;
        let before = partial.free();
        let receipt = partial.receive(slot, key, id.block)?;
        let taken = before - partial.free();
        if wanted {
            self.free_blocks -= u64::from(taken);
        }
        self.note_open(id.piece);
        Some(receipt)
    }

    /// `slot` is no longer asked for a block: nor is the piece any longer its alone.
    pub(crate) fn release(&mut self, slot: u32, id: BlockId) {
        let wanted = self.missing.contains(id.piece);
        let Some(partial) = self.partial_mut(id.piece) else { return };
        if !partial.release(slot, id.block) {
            return;
        }
        partial.owner.take_if(|owner| *owner == slot);
        self.epoch += 1;
        if wanted {
            self.free_blocks += 1;
        }
        self.note_open(id.piece);
        if self.partial(id.piece).is_some_and(Partial::is_untouched) {
            self.forget(id.piece);
            self.renew(id.piece);
        }
    }

    /// A piece that `owner` was to deliver whole may be asked of everybody.
    pub(crate) fn disown(&mut self, slot: u32) {
        for partial in self.partials.iter_mut().filter(|partial| partial.owner == Some(slot)) {
            partial.owner = None;
            self.epoch += 1;
        }
    }

    /// Who sent each block of a piece that is whole.
    pub(crate) fn senders(&self, piece: u32) -> Option<Vec<u32>> {
        self.partial(piece).filter(|partial| partial.is_whole()).map(Partial::senders)
    }

    /// The piece was checked and is good. Whether it was wanted and missing.
    pub(crate) fn pass(&mut self, piece: u32) -> bool {
        self.forget(piece);
        self.take_fresh(piece);
        self.deadlines.clear(piece);
        self.have.insert(piece);
        self.missing.remove(piece)
    }

    /// The piece is begun anew: it was checked and is bad, or was not written.
    pub(crate) fn fail(&mut self, piece: u32) {
        self.forget(piece);
        self.renew(piece);
        self.epoch += 1;
    }

    /// What can be asked for has changed otherwise: the endgame began.
    pub(crate) fn touch(&mut self) {
        self.epoch += 1;
    }

    /// Pieces that are begun.
    pub(crate) fn partials(&self) -> usize {
        self.partials.len()
    }
}
