//! Whether a piece is right: by its SHA-1 (v1), by the root of its blocks' hashes
//! (v2), by both (hybrid).

use super::info::Info;
use super::layers::PieceLayers;
use super::limits::BLOCK_OCTETS;
use super::merkle::{self, Hash};
use sha1::{Digest, Sha1};
use sha2::Sha256;

/// Padding, a part of it.
const ZEROS: [u8; 1024] = [0; 1024];

/// What a piece is found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every hash that is known is right, and one is known.
    Right,
    /// It is not what the torrent says.
    Wrong,
    /// Of a hybrid torrent: one hash is right, the other is wrong. No peer is to
    /// blame: the torrent contradicts itself and nothing of it can be trusted.
    Contradiction,
    /// No hash of it is known yet: its piece layer has not come.
    Unknown,
}

/// The hashes of a piece as it was received or read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PieceHashes {
    /// SHA-1 of the whole piece, for v1 and hybrid torrents.
    pub v1: Option<[u8; 20]>,
    /// SHA-256 of each block, without padding behind the file: for v2 and hybrid
    /// torrents.
    pub v2_blocks: Option<Vec<Hash>>,
}

/// Takes the octets of one piece in order and gives its hashes. It can be fed
/// while blocks arrive, so that they are hashed while they are in the cache.
#[derive(Debug, Clone)]
pub struct PieceHasher {
    v1: Option<Sha1>,
    v2: Option<BlockHasher>,
}

/// Hashes blocks of 16 KiB.
#[derive(Debug, Clone)]
pub(super) struct BlockHasher {
    block: Sha256,
    block_octets: usize,
    /// Octets that are still to come; behind them is padding.
    content_left: usize,
    leaves: Vec<Hash>,
}

impl PieceHasher {
    /// For a piece of this torrent.
    pub fn new(info: &Info, piece: u32) -> Self {
        let layout = info.layout();
        let content = layout.piece_content_octets(piece) as usize;
        Self {
            v1: layout.version().has_v1().then(Sha1::new),
            v2: layout.merkle_file(piece).map(|_| BlockHasher::new(content)),
        }
    }

    /// Takes the next octets. Padding behind a file of a hybrid torrent is zeros
    /// (BEP 47), whatever is said here: a peer that sends something else could set
    /// its two hashes against each other.
    pub fn update(&mut self, octets: &[u8]) {
        let content = self.v2.as_ref().map_or(octets.len(), |v2| v2.content_left.min(octets.len()));
        let (content, padding) = octets.split_at_checked(content).unwrap_or((octets, &[]));
        if let Some(v2) = &mut self.v2 {
            v2.update(content);
        }
        if let Some(v1) = &mut self.v1 {
            v1.update(content);
        }
        self.pad(padding.len());
    }

    /// Takes so many octets of padding.
    pub fn pad(&mut self, octets: usize) {
        let Some(v1) = &mut self.v1 else { return };
        for begin in (0..octets).step_by(ZEROS.len()) {
            v1.update(ZEROS.get(..octets - begin).unwrap_or(&ZEROS));
        }
    }

    /// The hashes of what was taken.
    pub fn finish(self) -> PieceHashes {
        PieceHashes {
            v1: self.v1.map(|v1| v1.finalize().into()),
            v2_blocks: self.v2.map(BlockHasher::finish),
        }
    }
}

impl BlockHasher {
    pub(super) fn new(content_left: usize) -> Self {
        Self { block: Sha256::new(), block_octets: 0, content_left, leaves: Vec::new() }
    }

    pub(super) fn update(&mut self, octets: &[u8]) {
        let mut octets = octets.get(..self.content_left).unwrap_or(octets);
        self.content_left -= octets.len();
        while !octets.is_empty() {
            let room = BLOCK_OCTETS as usize - self.block_octets;
            let (here, rest) = octets.split_at(room.min(octets.len()));
            self.block.update(here);
            self.block_octets += here.len();
            if self.block_octets == BLOCK_OCTETS as usize {
                self.end_block();
            }
            octets = rest;
        }
    }

    fn end_block(&mut self) {
        self.leaves.push(self.block.finalize_reset().into());
        self.block_octets = 0;
    }

    pub(super) fn finish(mut self) -> Vec<Hash> {
        if self.block_octets > 0 {
            self.end_block();
        }
        self.leaves
    }
}

/// Says whether pieces of one torrent are right.
#[derive(Debug, Clone, Copy)]
pub struct Verifier<'t> {
    info: &'t Info,
    piece_layers: &'t PieceLayers,
}

impl<'t> Verifier<'t> {
    /// With the piece layers that are known; v1 torrents need none.
    pub fn new(info: &'t Info, piece_layers: &'t PieceLayers) -> Self {
        Self { info, piece_layers }
    }

    /// Whether a piece is right, given all its octets. Padding of hybrid torrents is
    /// part of it.
    pub fn verify(&self, piece: u32, octets: &[u8]) -> Verdict {
        if octets.len() != self.info.layout().piece_octets(piece) as usize {
            return Verdict::Wrong;
        }
        let mut hasher = PieceHasher::new(self.info, piece);
        hasher.update(octets);
        self.verify_hashes(piece, &hasher.finish())
    }

    /// Whether a piece is right, given its hashes. What is absent there is not
    /// checked.
    pub fn verify_hashes(&self, piece: u32, hashes: &PieceHashes) -> Verdict {
        let v1 = match (hashes.v1, self.info.piece_hash_v1(piece)) {
            (Some(found), Some(expected)) => Some(found == expected),
            _ => None,
        };
        let v2 = hashes.v2_blocks.as_ref().and_then(|blocks| self.v2_is_right(piece, blocks));
        match (v1, v2) {
            (None, None) => Verdict::Unknown,
            (Some(true), None | Some(true)) | (None, Some(true)) => Verdict::Right,
            (Some(false), None | Some(false)) | (None, Some(false)) => Verdict::Wrong,
            (Some(true), Some(false)) | (Some(false), Some(true)) => Verdict::Contradiction,
        }
    }

    fn v2_is_right(&self, piece: u32, blocks: &[Hash]) -> Option<bool> {
        let layout = self.info.layout();
        let (expected, height) = self.piece_layers.piece_hash(layout, piece)?;
        let count = layout.piece_content_octets(piece).div_ceil(BLOCK_OCTETS) as usize;
        Some(blocks.len() == count && merkle::root(blocks, 0, height) == expected)
    }
}
