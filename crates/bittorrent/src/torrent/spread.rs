//! A seed's first duty: to get one copy of everything out.
//!
//! As long as pieces exist that nobody else has, each octet a seed sends of a
//! piece that others have, or that another peer is just taking, delays the whole
//! swarm: with a slow seed the last leecher cannot be done before the seed has
//! sent everything once, the F/us of the lecture's bound. So each such piece is
//! given to one peer, and whoever asks for another piece meanwhile is sent on to
//! those who have it. Unlike super-seeding (BEP 16) nothing is hidden: peers
//! choose among all novel pieces, rarest first as ever, and the uplink stays full.

use super::peer::KeyHasher;
use super::piece_set::PieceSet;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::time::{Duration, Instant};

/// For how long a piece is another peer's, without a copy being announced.
pub const GIVEN_SPAN: Duration = Duration::from_mins(1);

/// The place of pieces that are not begun, after those that are.
const UNBEGUN: u64 = 1 << 32;

/// How urgent it is to serve a piece. Less is more urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// Nobody else has it, and nobody else is given it.
    Novel,
    /// Others have it.
    Copied,
    /// Another peer is being given it.
    Given,
}

/// Which pieces are out.
#[derive(Debug, Clone)]
pub(crate) struct Spread {
    /// Pieces nobody has or is given.
    novel: PieceSet,
    /// Pieces that are being given to a peer.
    given: HashMap<u32, Given, BuildHasherDefault<KeyHasher>>,
    gifts: u64,
    /// Pieces that only the peer (slot) has that was given them.
    kept: HashMap<u32, u32, BuildHasherDefault<KeyHasher>>,
    /// How many those are for each peer.
    keeps: HashMap<u32, u64, BuildHasherDefault<KeyHasher>>,
}

/// A piece that is being given to a peer.
#[derive(Debug, Clone, Copy)]
struct Given {
    slot: u32,
    since: Instant,
    /// Grows with each piece.
    turn: u64,
}

impl Spread {
    /// A seed beside which `copies` says how many peers have a piece.
    pub(crate) fn new(count: u32, have: &PieceSet, copies: impl Fn(u32) -> u32) -> Self {
        let mut novel = PieceSet::empty(count);
        for piece in have.iter().filter(|piece| copies(*piece) == 0) {
            novel.insert(piece);
        }
        Self {
            novel,
            given: HashMap::default(),
            gifts: 0,
            kept: HashMap::default(),
            keeps: HashMap::default(),
        }
    }

    /// Whether pieces are left that nobody has or is given.
    pub(crate) fn has_novel(&self) -> bool {
        !self.novel.is_empty()
    }

    /// A novel piece, the first at or after `start`.
    pub(crate) fn novel_from(&self, start: u32) -> Option<u32> {
        self.novel.next_from(start)
    }

    /// Whether everything has a copy.
    pub(crate) fn is_over(&self) -> bool {
        self.novel.is_empty() && self.given.is_empty()
    }

    pub(crate) fn urgency(&self, slot: u32, piece: u32) -> Urgency {
        self.rank(slot, piece).0
    }

    /// The urgency of serving a piece to a peer, and the order among equals: a
    /// piece that was begun first is finished first. Eight pieces sent side by
    /// side are all useless until all are whole; one after the other, the first
    /// peer can pass its piece on while the second receives.
    pub(crate) fn rank(&self, slot: u32, piece: u32) -> (Urgency, u64) {
        if self.novel.contains(piece) {
            // Whoever passes on what it was given comes before whoever keeps it.
            return (Urgency::Novel, UNBEGUN + self.keeps.get(&slot).copied().unwrap_or(0));
        }
        match self.given.get(&piece) {
            Some(given) if given.slot == slot => (Urgency::Novel, given.turn),
            Some(_) => (Urgency::Given, 0),
            None => (Urgency::Copied, 0),
        }
    }

    /// Whoever had a piece left, or lost it, and nobody else has it.
    pub(crate) fn note_lost(&mut self, piece: u32) {
        if !self.given.contains_key(&piece) {
            self.novel.insert(piece);
        }
    }

    /// A block of a piece is sent to a peer.
    pub(crate) fn give(&mut self, now: Instant, slot: u32, piece: u32) {
        if self.novel.remove(piece) {
            self.gifts += 1;
            self.given.insert(piece, Given { slot, since: now, turn: self.gifts });
        }
    }

    /// A peer other than us has a piece.
    pub(crate) fn note_copy(&mut self, slot: u32, piece: u32) {
        self.novel.remove(piece);
        let given = self.given.remove(&piece);
        if given.is_some_and(|given| given.slot == slot) {
            self.kept.insert(piece, slot);
            *self.keeps.entry(slot).or_default() += 1;
        } else if let Some(keeper) = self.kept.remove(&piece)
            && let Some(keeps) = self.keeps.get_mut(&keeper)
        {
            *keeps = keeps.saturating_sub(1);
        }
    }

    /// A peer left.
    pub(crate) fn forget(&mut self, slot: u32) {
        self.take_back(slot);
        self.kept.retain(|_, keeper| *keeper != slot);
        self.keeps.remove(&slot);
    }

    /// A peer was choked in the middle of a piece.
    pub(crate) fn take_back(&mut self, slot: u32) {
        self.take_back_if(|owner, _| owner == slot);
    }

    /// Whoever did not announce its piece in time is no longer counted on.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.take_back_if(|_, since| now.saturating_duration_since(since) >= GIVEN_SPAN);
    }

    fn take_back_if(&mut self, gone: impl Fn(u32, Instant) -> bool) {
        let novel = &mut self.novel;
        self.given.retain(|piece, given| {
            let gone = gone(given.slot, given.since);
            if gone {
                novel.insert(*piece);
            }
            !gone
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_novel_piece_is_one_peers_until_a_copy_is_out() {
        let now = Instant::now();
        let mut spread = Spread::new(4, &PieceSet::full(4), |piece| u32::from(piece == 3));
        assert_eq!(spread.urgency(1, 0), Urgency::Novel);
        assert_eq!(spread.urgency(1, 3), Urgency::Copied);
        spread.give(now, 1, 0);
        assert_eq!((spread.urgency(1, 0), spread.urgency(2, 0)), (Urgency::Novel, Urgency::Given));
        spread.note_copy(1, 0);
        assert_eq!(spread.urgency(2, 0), Urgency::Copied);
        let turns: Vec<(Urgency, u64)> = [1, 2]
            .map(|piece| {
                spread.give(now, 5, piece);
                spread.rank(5, piece)
            })
            .into();
        assert!(turns[0] < turns[1] && turns[1].0 == Urgency::Novel, "first begun, first finished");
        spread.take_back(5);
        // Who leaves or is never heard of again loses its pieces.
        spread.give(now, 1, 1);
        spread.give(now, 2, 2);
        assert!(!spread.has_novel() && !spread.is_over());
        spread.take_back(1);
        assert_eq!(spread.urgency(2, 1), Urgency::Novel);
        spread.expire(now + GIVEN_SPAN / 2);
        assert_eq!(spread.urgency(1, 2), Urgency::Given);
        spread.expire(now + GIVEN_SPAN);
        assert_eq!(spread.urgency(1, 2), Urgency::Novel);
        spread.note_copy(2, 1);
        spread.note_copy(1, 2);
        assert!(spread.is_over());
    }

    #[test]
    fn whoever_keeps_what_it_was_given_waits() {
        let now = Instant::now();
        let mut spread = Spread::new(9, &PieceSet::full(9), |_| 0);
        spread.give(now, 1, 0);
        spread.give(now, 2, 1);
        spread.note_copy(1, 0);
        spread.note_copy(2, 1);
        assert_eq!(spread.rank(1, 5), spread.rank(2, 5));
        spread.note_copy(3, 0);
        assert!(spread.rank(1, 5) < spread.rank(2, 5), "peer 1 passed its piece on");
        spread.forget(2);
        assert_eq!(spread.rank(1, 5), spread.rank(2, 5));
    }
}
