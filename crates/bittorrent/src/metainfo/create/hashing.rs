//! Hashing the files as their octets come.

use super::super::merkle::{self, Hash, TreeShape};
use super::super::verify::BlockHasher;
use super::plan::Plan;
use sha1::{Digest, Sha1};

/// Zeros to pad with, as many as a block.
const ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];

/// What the octets hash to.
#[derive(Debug)]
pub(super) struct Hashes {
    /// SHA-1 of the pieces, one behind the other; empty without v1.
    pub(super) v1: Vec<u8>,
    /// Of each file with content in order; empty without v2.
    pub(super) files: Vec<FileHashes>,
}

/// The merkle tree of a file.
#[derive(Debug)]
pub(super) struct FileHashes {
    pub(super) root: Hash,
    /// The hashes of its pieces; one alone is the root itself.
    pub(super) piece_layer: Vec<Hash>,
}

/// Takes octets in order.
#[derive(Debug)]
pub(super) struct Hashing {
    v1: Option<PieceRow>,
    v2: Option<BlockHasher>,
    /// Which file of the plan the next octet is of.
    file: usize,
    file_octets: u64,
    piece_layer: Vec<Hash>,
    files: Vec<FileHashes>,
}

/// The pieces of v1.
#[derive(Debug)]
struct PieceRow {
    hasher: Sha1,
    octets: u32,
    piece_length: u32,
    hashes: Vec<u8>,
}

impl Hashing {
    pub(super) fn new(plan: &Plan) -> Self {
        let (hasher, hashes) = (Sha1::new(), Vec::new());
        let row = PieceRow { hasher, octets: 0, piece_length: plan.piece_length, hashes };
        let mut hashing = Self {
            v1: plan.version.has_v1().then_some(row),
            v2: plan.version.has_v2().then(|| BlockHasher::new(plan.piece_length as usize)),
            file: 0,
            file_octets: 0,
            piece_layer: Vec::new(),
            files: Vec::new(),
        };
        hashing.pass_empty(plan);
        hashing
    }

    /// Takes octets; there are no more than the files of the plan have.
    pub(super) fn update(&mut self, plan: &Plan, mut octets: &[u8]) {
        while let Some(file) = plan.files.get(self.file).filter(|_| !octets.is_empty()) {
            let piece = u64::from(plan.piece_length);
            let piece_left = piece - self.file_octets % piece;
            let left = piece_left.min(file.spec.length - self.file_octets);
            let (here, rest) = octets.split_at(octets.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
            octets = rest;
            self.file_octets += here.len() as u64;
            if let Some(v1) = &mut self.v1 {
                v1.update(here);
            }
            if let Some(v2) = &mut self.v2 {
                v2.update(here);
            }
            let file_ends = self.file_octets == file.spec.length;
            if file_ends || self.file_octets.is_multiple_of(piece) {
                self.end_piece(plan, file.spec.length);
            }
            if file_ends {
                self.end_file(plan, file.spec.length, file.padding);
            }
        }
    }

    /// Ends a piece of v2.
    fn end_piece(&mut self, plan: &Plan, length: u64) {
        let Some(v2) = &mut self.v2 else { return };
        let shape = TreeShape::new(length, plan.piece_length);
        let leaves = std::mem::replace(v2, BlockHasher::new(plan.piece_length as usize)).finish();
        self.piece_layer.push(merkle::root(&leaves, 0, shape.piece_layer.min(shape.height())));
    }

    fn end_file(&mut self, plan: &Plan, length: u64, padding: u32) {
        let shape = TreeShape::new(length, plan.piece_length);
        if self.v2.is_some() {
            let piece_layer = std::mem::take(&mut self.piece_layer);
            let height = shape.height().saturating_sub(shape.piece_layer);
            self.files.push(FileHashes {
                root: merkle::root(&piece_layer, shape.piece_layer, height),
                piece_layer,
            });
        }
        if let Some(v1) = &mut self.v1 {
            v1.pad(padding);
        }
        self.file += 1;
        self.file_octets = 0;
        self.pass_empty(plan);
    }

    fn pass_empty(&mut self, plan: &Plan) {
        while plan.files.get(self.file).is_some_and(|file| file.spec.length == 0) {
            self.file += 1;
        }
    }

    pub(super) fn finish(self) -> Hashes {
        Hashes { v1: self.v1.map(PieceRow::finish).unwrap_or_default(), files: self.files }
    }
}

impl PieceRow {
    fn update(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            let room = (self.piece_length - self.octets) as usize;
            let (here, rest) = octets.split_at(room.min(octets.len()));
            self.hasher.update(here);
            self.octets += here.len() as u32;
            if self.octets == self.piece_length {
                self.end_piece();
            }
            octets = rest;
        }
    }

    fn pad(&mut self, mut octets: u32) {
        while octets > 0 {
            let here = ZEROS.get(..octets as usize).unwrap_or(&ZEROS);
            self.update(here);
            octets -= here.len() as u32;
        }
    }

    fn end_piece(&mut self) {
        self.hashes.extend_from_slice(&self.hasher.finalize_reset());
        self.octets = 0;
    }

    fn finish(mut self) -> Vec<u8> {
        if self.octets > 0 {
            self.end_piece();
        }
        self.hashes
    }
}
