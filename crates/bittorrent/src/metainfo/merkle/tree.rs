//! The tree of one file, from some layer up to its root.

use super::super::limits::BLOCK_OCTETS;
use super::{Hash, above, padding, piece_layer, root};

/// How large the tree of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeShape {
    /// Blocks of the file: leaves that are not padding.
    pub blocks: u64,
    /// The layer whose nodes cover a piece each.
    pub piece_layer: u32,
}

impl TreeShape {
    /// That of a file of `length` octets, at least 1.
    pub fn new(length: u64, piece_length: u32) -> Self {
        Self { blocks: length.div_ceil(BLOCK_OCTETS.into()).max(1), piece_layer: piece_layer(piece_length) }
    }

    /// The layer of the root: 0 for a file of one block.
    pub fn height(&self) -> u32 {
        self.blocks.next_power_of_two().ilog2()
    }

    /// Nodes at a layer that cover octets of the file.
    pub fn nodes(&self, layer: u32) -> u64 {
        match 1u64.checked_shl(layer) {
            Some(width) => self.blocks.div_ceil(width),
            None => 1,
        }
    }

    /// Nodes at a layer with those that are padding; 0 above the root.
    pub fn width(&self, layer: u32) -> u64 {
        match self.height().checked_sub(layer) {
            Some(below) => 1u64.checked_shl(below).unwrap_or(0),
            None => 0,
        }
    }

    /// Whether the nodes of the piece layer are all that `hashes` are and lead to
    /// this root. A file within one piece has no piece layer.
    pub fn fits(&self, hashes: &[Hash], pieces_root: &Hash) -> bool {
        let Some(height) = self.height().checked_sub(self.piece_layer) else { return false };
        hashes.len() as u64 == self.nodes(self.piece_layer)
            && root(hashes, self.piece_layer, height) == *pieces_root
    }
}

/// The tree of one file, from a base layer up to its root: of a file of which all
/// octets are there from the leaves up, else from the piece layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    shape: TreeShape,
    base: u32,
    /// Row by row from the base layer up, padding left out.
    rows: Vec<Vec<Hash>>,
}

impl Tree {
    /// The tree above the nodes of layer `base`; nothing where they are not all of
    /// them. It takes twice the memory of `nodes`.
    pub fn new(shape: TreeShape, base: u32, nodes: Vec<Hash>) -> Option<Self> {
        if base > shape.height() || nodes.len() as u64 != shape.nodes(base) {
            return None;
        }
        let mut rows = vec![nodes];
        let mut filler = padding(base);
        for _ in base..shape.height() {
            let next = above(rows.last()?, &filler);
            filler = super::parent(&filler, &filler);
            rows.push(next);
        }
        Some(Self { shape, base, rows })
    }

    /// Its shape.
    pub fn shape(&self) -> TreeShape {
        self.shape
    }

    /// Its lowest layer.
    pub fn base(&self) -> u32 {
        self.base
    }

    /// The root: the file's `pieces root`.
    pub fn root(&self) -> Hash {
        self.rows.last().and_then(|row| row.first()).copied().unwrap_or_default()
    }

    /// The nodes of a layer without padding; nothing below the base layer and above
    /// the root.
    pub fn row(&self, layer: u32) -> Option<&[Hash]> {
        self.rows.get(layer.checked_sub(self.base)? as usize).map(Vec::as_slice)
    }

    /// One node, padding included.
    pub fn node(&self, layer: u32, index: u64) -> Option<Hash> {
        if index >= self.shape.width(layer) {
            return None;
        }
        let row = self.row(layer)?;
        Some(usize::try_from(index).ok().and_then(|index| row.get(index)).copied().unwrap_or(padding(layer)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{leaves, parent};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shapes_are_those_of_the_specification() {
        let shape = TreeShape::new(1, 65_536);
        assert_eq!((shape.blocks, shape.height(), shape.width(0)), (1, 0, 1));
        let shape = TreeShape::new(16_384 * 5 + 1, 65_536);
        assert_eq!((shape.blocks, shape.height()), (6, 3));
        assert_eq!((shape.nodes(2), shape.width(2), shape.width(3), shape.width(4)), (2, 2, 1, 0));
        assert_eq!(shape.nodes(200), 1);
    }

    #[test]
    fn a_tree_needs_all_nodes_of_its_base() {
        let shape = TreeShape::new(16_384 * 3, 16_384);
        assert!(Tree::new(shape, 0, vec![[1; 32]; 2]).is_none());
        assert!(Tree::new(shape, 0, vec![[1; 32]; 4]).is_none());
        assert!(Tree::new(shape, 3, vec![[1; 32]; 1]).is_none());
        let tree = Tree::new(shape, 0, vec![[1; 32]; 3]).expect("a tree");
        let left = parent(&[1; 32], &[1; 32]);
        let right = parent(&[1; 32], &[0; 32]);
        assert_eq!(tree.root(), parent(&left, &right));
        assert_eq!(tree.node(0, 3), Some([0; 32]));
        assert_eq!(tree.node(0, 4), None);
        assert_eq!(tree.node(1, 1), Some(right));
    }

    proptest! {
        #[test]
        fn the_piece_layer_and_the_leaves_give_one_root(length in 1usize..900_000, exponent in 0u32..4) {
            let octets: Vec<u8> = (0..length).map(|at| (at / 1000) as u8).collect();
            let piece_length = 16_384 << exponent;
            let shape = TreeShape::new(length as u64, piece_length);
            let whole = Tree::new(shape, 0, leaves(&octets)).expect("a tree");
            if length > piece_length as usize {
                let row = whole.row(exponent).expect("the piece layer").to_vec();
                prop_assert!(shape.fits(&row, &whole.root()));
                prop_assert!(!shape.fits(&row[1..], &whole.root()));
                // Each node of it is the root of its piece alone.
                for (piece, node) in octets.chunks(piece_length as usize).zip(&row) {
                    prop_assert_eq!(&root(&leaves(piece), 0, exponent), node);
                }
                let short = Tree::new(shape, exponent, row.clone()).expect("a tree");
                prop_assert_eq!(short.root(), whole.root());
                let mut wrong = row;
                wrong[0][0] ^= 1;
                prop_assert!(!shape.fits(&wrong, &whole.root()));
            }
        }
    }
}
