//! What a reader of metainfo accepts.

use crate::bencode;

/// Octets of a block: what one request asks for (BEP 3), and what a leaf of a
/// merkle tree covers (BEP 52).
pub const BLOCK_OCTETS: u32 = 16 * 1024;

/// Octets of the longest piece. A peer has to keep whole pieces that nobody can
/// verify yet; libtorrent draws the line at the same place.
pub const PIECE_OCTETS_MAX: u32 = 32_767 * BLOCK_OCTETS;

/// Octets of the longest file (16 TiB): its merkle tree has 2^30 leaves.
pub const FILE_OCTETS_MAX: u64 = 1 << 44;

/// Octets of all files with their padding (256 TiB).
pub const TOTAL_OCTETS_MAX: u64 = (1 << 48) - 1;

/// Octets of the info dictionary that peers are asked for (BEP 9).
pub const METADATA_OCTETS_MAX: usize = 16 * 1024 * 1024;

/// Octets of one address of a tracker or web seed; longer ones are passed over.
pub const URL_OCTETS_MAX: usize = 4096;

/// Whether two paths that differ by the case of letters alone are one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterCase {
    /// They are two files, as on Linux.
    Distinct,
    /// They are one, as on FAT: the later file is given another name.
    Same,
}

/// What a reader of metainfo accepts.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Octets of a whole metainfo file.
    pub metainfo_octets_max: usize,
    /// Lists and dictionaries within one another.
    pub depth_max: usize,
    /// Bencoded values in all.
    pub values_max: usize,
    /// Files, padding files included.
    pub files_max: usize,
    /// Pieces.
    pub pieces_max: u32,
    /// Components of one path.
    pub path_components_max: usize,
    /// How many names may be tried for files whose names are taken.
    pub renames_max: usize,
    /// Trackers that are heeded; more are passed over.
    pub trackers_max: usize,
    /// Web seeds of either kind that are heeded; more are passed over.
    pub web_seeds_max: usize,
    /// DHT nodes that are heeded; more are passed over.
    pub nodes_max: usize,
    /// Whether two paths that differ by the case of letters alone are one file.
    pub letter_case: LetterCase,
}

impl Limits {
    /// For torrents that a user opens.
    pub const DEFAULT: Self = Self {
        metainfo_octets_max: 128 * 1024 * 1024,
        depth_max: 100,
        values_max: 3_000_000,
        files_max: 500_000,
        pieces_max: 1 << 21,
        path_components_max: 64,
        renames_max: 500,
        trackers_max: 500,
        web_seeds_max: 500,
        nodes_max: 200,
        letter_case: LetterCase::Distinct,
    };

    pub(super) fn bencode(&self, key_order: bencode::KeyOrder) -> bencode::Limits {
        bencode::Limits { depth_max: self.depth_max, values_max: self.values_max, key_order }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
