//! Who sent the wrong block of a bad piece.
//!
//! When a piece fails its hash, what each peer sent is remembered as a digest a
//! block. The piece is asked for again; once it is good, the digests that differ
//! name the liars. Whoever sent a bad piece alone, or the same block in two
//! versions, is named at once. A v2 torrent's tree tells what each block ought to be:
//! peers are asked for its leaves, which name the liars before that.

use super::PeerKey;
use std::collections::{BTreeMap, BTreeSet};

/// A digest of a block's octets: SHA-1, or any other of 160 bits.
pub type BlockDigest = [u8; 20];

/// Bad pieces of which evidence is kept, at most. The oldest piece by index goes
/// first: its liars stay unnamed.
pub const EVIDENCE_PIECES_MAX: usize = 64;
/// Bad versions of one piece that are kept, at most.
pub const EVIDENCE_VERSIONS_MAX: usize = 4;

/// One bad version of a piece: who sent each block, and what.
type Version = Vec<(PeerKey, BlockDigest)>;

/// What is known of bad pieces.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    pieces: BTreeMap<u32, Vec<Version>>,
}

impl Evidence {
    /// Whether there was a bad version of a piece, so that its digests are needed.
    pub(crate) fn wants(&self, piece: u32) -> bool {
        self.pieces.contains_key(&piece)
    }

    /// A piece was bad. Names those who must have lied.
    pub(crate) fn handle_bad(
        &mut self,
        piece: u32,
        senders: &[PeerKey],
        digests: &[BlockDigest],
    ) -> BTreeSet<PeerKey> {
        let all: BTreeSet<PeerKey> = senders.iter().copied().collect();
        if all.len() == 1 {
            return all;
        }
        let mut liars = BTreeSet::new();
        if senders.len() != digests.len() {
            return liars;
        }
        let version: Version = senders.iter().copied().zip(digests.iter().copied()).collect();
        let before = self.pieces.entry(piece).or_default();
        for old in before.iter() {
            // An honest peer has one version of a block only.
            let twice = old.iter().zip(&version).filter(|(old, new)| old.0 == new.0 && old.1 != new.1);
            liars.extend(twice.map(|(_, new)| new.0));
        }
        if before.len() == EVIDENCE_VERSIONS_MAX {
            before.remove(0);
        }
        before.push(version);
        if self.pieces.len() > EVIDENCE_PIECES_MAX {
            self.pieces.pop_first();
        }
        liars
    }

    /// What some blocks of a piece ought to be, from block `first` on. Names those who
    /// sent something else.
    pub(crate) fn handle_known(
        &self,
        piece: u32,
        first: usize,
        digests: &[BlockDigest],
    ) -> BTreeSet<PeerKey> {
        let versions = self.pieces.get(&piece).into_iter().flatten();
        let blocks = versions.flat_map(|version| version.iter().skip(first).zip(digests));
        blocks.filter(|((_, sent), right)| sent != *right).map(|((sender, _), _)| *sender).collect()
    }

    /// A piece was good. Names those who sent something else before.
    pub(crate) fn handle_good(&mut self, piece: u32, digests: &[BlockDigest]) -> BTreeSet<PeerKey> {
        let liars = self.handle_known(piece, 0, digests);
        self.pieces.remove(&piece);
        liars
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PeerKey = PeerKey(1);
    const B: PeerKey = PeerKey(2);
    const C: PeerKey = PeerKey(3);

    fn digests(octets: &[u8]) -> Vec<BlockDigest> {
        octets.iter().map(|octet| [*octet; 20]).collect()
    }

    fn set(keys: &[PeerKey]) -> BTreeSet<PeerKey> {
        keys.iter().copied().collect()
    }

    #[test]
    fn the_good_piece_names_who_sent_another_block() {
        let mut evidence = Evidence::default();
        assert_eq!(evidence.handle_bad(5, &[A, B, A], &digests(b"x2y")), set(&[]));
        assert!(evidence.wants(5));
        assert_eq!(evidence.handle_good(5, &digests(b"xzy")), set(&[B]));
        assert!(!evidence.wants(5));
    }

    #[test]
    fn a_sole_sender_and_one_who_changes_its_mind_are_named_at_once() {
        let mut evidence = Evidence::default();
        assert_eq!(evidence.handle_bad(5, &[C, C], &digests(b"xy")), set(&[C]));
        assert!(!evidence.wants(5));
        assert_eq!(evidence.handle_bad(5, &[A, B], &digests(b"xy")), set(&[]));
        assert_eq!(evidence.handle_bad(5, &[A, B], &digests(b"xz")), set(&[B]));
        // Both versions count when the good one comes.
        assert_eq!(evidence.handle_good(5, &digests(b"wy")), set(&[A, B]));
    }

    #[test]
    fn what_a_block_ought_to_be_names_who_sent_another_at_once() {
        let mut evidence = Evidence::default();
        assert_eq!(evidence.handle_bad(5, &[A, B, C], &digests(b"x2y")), set(&[]));
        assert_eq!(evidence.handle_known(5, 0, &digests(b"x")), set(&[]));
        assert_eq!(evidence.handle_known(5, 1, &digests(b"zy")), set(&[B]));
        assert_eq!(evidence.handle_known(6, 1, &digests(b"zy")), set(&[]), "of another piece");
        assert_eq!(evidence.handle_known(5, 3, &digests(b"zy")), set(&[]), "beyond the last");
    }

    #[test]
    fn evidence_is_bounded() {
        let mut evidence = Evidence::default();
        for piece in 0..200 {
            for _ in 0..20 {
                evidence.handle_bad(piece, &[A, B], &digests(b"xy"));
            }
        }
        assert_eq!(evidence.pieces.len(), EVIDENCE_PIECES_MAX);
        assert!(evidence.pieces.values().all(|versions| versions.len() == EVIDENCE_VERSIONS_MAX));
        assert_eq!(evidence.handle_bad(999, &[A, B], &digests(b"x")), set(&[]), "digests are missing");
    }
}
