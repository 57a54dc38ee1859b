//! Merkle trees of v2 torrents (BEP 52).
//!
//! A file is cut into blocks of 16 KiB. The leaves of its tree are their SHA-256
//! hashes, filled up with zeros (not hashes of zeros) to a power of two. Layer 0
//! is the leaves, each node above is the SHA-256 of its two children, and the
//! topmost is the file's `pieces root`. The *piece layer* is the one whose nodes
//! cover a piece each.

mod below;
mod proof;
mod tree;

pub use below::Below;
pub use proof::{HASHES_PER_REQUEST_MAX, HashRequest, ProofError};
pub use tree::{Tree, TreeShape};

use super::limits::BLOCK_OCTETS;
use sha2::{Digest, Sha256};

/// A node of a tree.
pub type Hash = [u8; 32];

/// The hash of one block: a leaf. The last block of a file is hashed as it is,
/// without padding.
pub fn leaf(block: &[u8]) -> Hash {
    Sha256::digest(block).into()
}

/// The leaves of octets that begin with a block.
pub fn leaves(octets: &[u8]) -> Vec<Hash> {
    octets.chunks(BLOCK_OCTETS as usize).map(leaf).collect()
}

/// The node above two others.
pub fn parent(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

/// The node at `layer` (0 is the leaves) below which no leaf is of the file.
pub fn padding(layer: u32) -> Hash {
    (0..layer).fold([0; 32], |below, _| parent(&below, &below))
}

/// The layer whose nodes cover a piece each. `piece_length` is a power of two of
/// at least a block.
pub fn piece_layer(piece_length: u32) -> u32 {
    (piece_length / BLOCK_OCTETS).max(1).ilog2()
}

/// The node that lies `height` layers above `nodes`, which stand at `layer`; what
/// they lack to 2^`height` is padding. More than that are not looked at.
pub fn root(nodes: &[Hash], layer: u32, height: u32) -> Hash {
    let mut row = nodes.to_vec();
    let mut filler = padding(layer);
    if row.is_empty() {
        row.push(filler);
    }
    for _ in 0..height {
        row = above(&row, &filler);
        filler = parent(&filler, &filler);
    }
    row.first().copied().unwrap_or_default()
}

/// The row above a row.
fn above(row: &[Hash], filler: &Hash) -> Vec<Hash> {
    row.chunks(2)
        .map(|pair| match pair {
            [left, right] => parent(left, right),
            [left] => parent(left, filler),
            _ => *filler,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_zero_at_the_bottom_and_hashes_of_it_above() {
        assert_eq!(padding(0), [0; 32]);
        let one: Hash = Sha256::digest([0; 64]).into();
        assert_eq!(padding(1), one);
        assert_eq!(padding(2), parent(&one, &one));
    }

    #[test]
    fn a_root_is_that_of_the_rows_filled_up() {
        let nodes: Vec<Hash> = (1..=5u8).map(|number| [number; 32]).collect();
        let mut filled = nodes.clone();
        filled.resize(8, padding(3));
        let pairs = |row: &[Hash]| row.chunks(2).map(|pair| parent(&pair[0], &pair[1])).collect::<Vec<_>>();
        let naive = pairs(&pairs(&pairs(&filled)));
        assert_eq!(root(&nodes, 3, 3), naive[0]);
        assert_eq!(root(&nodes[..1], 0, 0), nodes[0]);
        assert_eq!(root(&[], 2, 1), padding(3));
    }

    #[test]
    fn the_piece_layer_covers_a_piece_with_each_node() {
        assert_eq!(piece_layer(16 * 1024), 0);
        assert_eq!(piece_layer(64 * 1024), 2);
        assert_eq!(piece_layer(16 * 1024 * 1024), 10);
    }
}
