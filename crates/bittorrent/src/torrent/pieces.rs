//! How long each piece is, and how it falls into blocks.

use crate::metainfo::PieceContent;

/// Octets of a block: what every client asks for at a time (BEP 3).
pub const BLOCK_OCTETS: u32 = 16 * 1024;
/// Pieces of a torrent at most: 4 Mi, beyond any torrent seen, and still a
/// bitfield of only 512 KiB.
pub const PIECES_MAX: u32 = 1 << 22;
/// Octets of a piece at most: 256 MiB, so that a piece has at most 16 Ki blocks.
pub const PIECE_OCTETS_MAX: u32 = 1 << 28;

/// Why lengths make no torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PieceLengthsError {
    /// The piece length is zero or too large.
    #[error("a piece of {0} octets is not between 1 and {PIECE_OCTETS_MAX}")]
    PieceOctets(u32),
    /// There is nothing to transfer, or too much.
    #[error("{0} pieces are not between 1 and {PIECES_MAX}")]
    Pieces(u64),
    /// The octets cannot be counted.
    #[error("the lengths of the files exceed 2^64 octets")]
    Overflow,
}

/// A block: the unit in which pieces are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId {
    /// Index of the piece.
    pub piece: u32,
    /// Index of the block within the piece.
    pub block: u32,
}

/// The length of every piece of one torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PieceLengths {
    piece_octets: u32,
    count: u32,
    total_octets: u64,
    /// Pieces shorter than `piece_octets`, by index.
    short: Box<[(u32, u32)]>,
    /// Pieces with padding, by index.
    padded: Box<[(u32, PieceContent)]>,
}

impl PieceLengths {
    /// Pieces over one run of octets, of which only the last may be shorter
    /// (BEP 3).
    pub fn uniform(total_octets: u64, piece_octets: u32) -> Result<Self, PieceLengthsError> {
        Self::per_file(piece_octets, [total_octets])
    }

    /// Pieces that begin anew with each file, so that the last of each file may
    /// be shorter (BEP 52). Empty files have no piece.
    pub fn per_file(
        piece_octets: u32,
        files_octets: impl IntoIterator<Item = u64>,
    ) -> Result<Self, PieceLengthsError> {
        if piece_octets == 0 || piece_octets > PIECE_OCTETS_MAX {
            return Err(PieceLengthsError::PieceOctets(piece_octets));
        }
        let (mut count, mut total) = (0_u64, 0_u64);
        let mut short = Vec::new();
        for octets in files_octets {
            total = total.checked_add(octets).ok_or(PieceLengthsError::Overflow)?;
            count = count.saturating_add(octets.div_ceil(u64::from(piece_octets)));
            if count > u64::from(PIECES_MAX) {
                return Err(PieceLengthsError::Pieces(count));
            }
            let rest = (octets % u64::from(piece_octets)) as u32;
            if rest > 0 {
                short.push((count as u32 - 1, rest));
            }
        }
        if count == 0 {
            return Err(PieceLengthsError::Pieces(0));
        }
        Ok(Self {
            piece_octets,
            count: count as u32,
            total_octets: total,
            short: short.into(),
            padded: Box::default(),
        })
    }

    /// The same with these pieces, in order, partly padding (BEP 47). Blocks behind the
    /// content are zeros, which nobody need send.
    pub fn with_padding(mut self, padded: impl IntoIterator<Item = (u32, PieceContent)>) -> Self {
        self.padded = padded.into_iter().collect();
        self
    }

    /// How many pieces there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Octets of the whole.
    pub fn total_octets(&self) -> u64 {
        self.total_octets
    }

    /// Octets of a piece; 0 for one that does not exist.
    pub fn octets(&self, piece: u32) -> u32 {
        if piece >= self.count {
            return 0;
        }
        match self.short.binary_search_by_key(&piece, |(piece, _)| *piece) {
            Ok(at) => self.short.get(at).map_or(0, |(_, octets)| *octets),
            Err(_) => self.piece_octets,
        }
    }

    fn content(&self, piece: u32) -> Option<PieceContent> {
        let at = self.padded.binary_search_by_key(&piece, |(piece, _)| *piece).ok()?;
        self.padded.get(at).map(|(_, content)| *content)
    }

    /// Octets of a piece that are of files; 0 for one that does not exist.
    pub fn content_octets(&self, piece: u32) -> u32 {
        self.content(piece).map_or_else(|| self.octets(piece), |content| content.octets)
    }

    /// Blocks of a piece that are asked for: those with content, and one of a piece
    /// without any; 0 for one that does not exist.
    pub fn blocks(&self, piece: u32) -> u32 {
        let end = self.content(piece).map_or_else(|| self.octets(piece), |content| content.end.max(1));
        end.div_ceil(BLOCK_OCTETS)
    }

    /// Where a block begins in its piece and how many octets it has; `None` when
    /// it does not exist, or is padding only.
    pub fn range(&self, id: BlockId) -> Option<(u32, u32)> {
        let begin = (id.block < self.blocks(id.piece)).then(|| id.block.checked_mul(BLOCK_OCTETS))??;
        let rest = self.octets(id.piece).checked_sub(begin).filter(|rest| *rest > 0)?;
        Some((begin, rest.min(BLOCK_OCTETS)))
    }

    /// The block that is exactly these octets, if there is one.
    pub fn block_at(&self, piece: u32, begin: u32, octets: u32) -> Option<BlockId> {
        if !begin.is_multiple_of(BLOCK_OCTETS) {
            return None;
        }
        let id = BlockId { piece, block: begin / BLOCK_OCTETS };
        (self.range(id)? == (begin, octets)).then_some(id)
    }

    /// Whether a piece has these octets, at least one.
    pub fn contains(&self, piece: u32, begin: u32, octets: u32) -> bool {
        octets > 0 && begin.checked_add(octets).is_some_and(|end| end <= self.octets(piece))
    }

    /// Whether a peer may ask for these octets: those that a piece has, and behind
    /// them, up to the usual length of a piece, zeros. libtorrent 2.0 asks for
    /// whole blocks of a piece of v2 that its file cuts short.
    pub fn may_be_asked(&self, piece: u32, begin: u32, octets: u32) -> bool {
        let padded = begin < self.octets(piece)
            && begin.checked_add(octets).is_some_and(|end| end <= self.piece_octets);
        octets > 0 && padded || self.contains(piece, begin, octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_piece_of_a_run_is_shorter() {
        let lengths = PieceLengths::uniform(100_000, 32_768).expect("a torrent");
        assert_eq!(lengths.count(), 4);
        assert_eq!((lengths.octets(2), lengths.octets(3), lengths.octets(4)), (32_768, 1_696, 0));
        assert_eq!((lengths.blocks(0), lengths.blocks(3), lengths.blocks(9)), (2, 1, 0));
        assert_eq!(lengths.range(BlockId { piece: 0, block: 1 }), Some((16_384, 16_384)));
        assert_eq!(lengths.range(BlockId { piece: 3, block: 0 }), Some((0, 1_696)));
        assert_eq!(lengths.range(BlockId { piece: 3, block: 1 }), None);
        assert_eq!(lengths.range(BlockId { piece: 0, block: u32::MAX }), None);
    }

    #[test]
    fn each_file_of_a_second_version_torrent_begins_a_piece() {
        let lengths = PieceLengths::per_file(32_768, [40_000, 0, 5, 65_536]).expect("a torrent");
        assert_eq!(lengths.count(), 5);
        let octets: Vec<u32> = (0..5).map(|piece| lengths.octets(piece)).collect();
        assert_eq!(octets, [32_768, 7_232, 5, 32_768, 32_768]);
        assert_eq!(lengths.total_octets(), 105_541);
    }

    #[test]
    fn padding_is_not_asked_for() {
        let octets = 4 * 65_536;
        let content = |octets, end| PieceContent { octets, end };
        let padded = [(0, content(3_000, 3_000)), (2, content(20_000, 32_769)), (3, content(0, 0))];
        let lengths = PieceLengths::uniform(octets, 65_536).expect("a torrent").with_padding(padded);
        let all =
            |of: fn(&PieceLengths, u32) -> u32| (0..4).map(|piece| of(&lengths, piece)).collect::<Vec<_>>();
        assert_eq!(all(PieceLengths::octets), [65_536; 4]);
        assert_eq!(all(PieceLengths::content_octets), [3_000, 65_536, 20_000, 0]);
        // Whole blocks, however much of the last is padding.
        assert_eq!(all(PieceLengths::blocks), [1, 4, 3, 1]);
        assert_eq!(lengths.range(BlockId { piece: 2, block: 2 }), Some((32_768, 16_384)));
        assert_eq!(lengths.range(BlockId { piece: 2, block: 3 }), None);
        assert_eq!(lengths.block_at(0, 16_384, 16_384), None);
        assert!(lengths.may_be_asked(0, 16_384, 16_384), "others may want it");
    }

    #[test]
    fn absurd_lengths_are_refused() {
        use PieceLengthsError::{Overflow, PieceOctets, Pieces};
        assert_eq!(PieceLengths::uniform(1, 0), Err(PieceOctets(0)));
        assert_eq!(PieceLengths::uniform(1, PIECE_OCTETS_MAX + 1), Err(PieceOctets(PIECE_OCTETS_MAX + 1)));
        assert_eq!(PieceLengths::uniform(0, 16_384), Err(Pieces(0)));
        let most = u64::from(PIECES_MAX);
        assert!(PieceLengths::uniform(most, 1).is_ok());
        assert_eq!(PieceLengths::uniform(most + 1, 1), Err(Pieces(most + 1)));
        assert_eq!(
            PieceLengths::per_file(PIECE_OCTETS_MAX, [1, u64::MAX]),
            Err(Overflow),
            "the sum does not fit"
        );
    }

    #[test]
    fn a_block_is_found_by_its_exact_octets_only() {
        let lengths = PieceLengths::uniform(50_000, 32_768).expect("a torrent");
        assert_eq!(lengths.block_at(0, 16_384, 16_384), Some(BlockId { piece: 0, block: 1 }));
        assert_eq!(lengths.block_at(1, 16_384, 848), Some(BlockId { piece: 1, block: 1 }));
        for (piece, begin, octets) in
            [(0, 1, 16_384), (0, 0, 16_383), (0, 32_768, 16_384), (2, 0, 1), (0, 0, 0), (1, 16_384, 16_384)]
        {
            assert_eq!(lengths.block_at(piece, begin, octets), None, "{piece} {begin} {octets}");
        }
        assert!(lengths.contains(0, 7, 32_761));
        assert!(!lengths.contains(0, 8, 32_761) && !lengths.contains(0, u32::MAX, 2));
        assert!(!lengths.contains(0, 0, 0));
    }

    #[test]
    fn zeros_behind_a_short_piece_may_be_asked_for() {
        let lengths = PieceLengths::uniform(50_000, 32_768).expect("a torrent");
        assert!(lengths.may_be_asked(1, 16_384, 16_384), "848 octets and zeros");
        assert!(!lengths.contains(1, 16_384, 16_384));
        for (piece, begin, octets) in
            [(1, 17_232, 1), (1, 16_384, 16_385), (2, 0, 1), (0, 32_768, 1), (0, 0, 0)]
        {
            assert!(!lengths.may_be_asked(piece, begin, octets), "{piece} {begin} {octets}");
        }
    }
}
