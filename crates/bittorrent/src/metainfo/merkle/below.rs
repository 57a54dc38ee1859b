//! What lies below a file's piece layer: made from the blocks themselves when
//! somebody asks for it, for it would take a five-hundredth of the file to keep it.

use super::{Hash, HashRequest, Tree, TreeShape, above, padding};
use std::ops::Range;

/// The leaves of some consecutive pieces of one file, and what is above them up to
/// the layer of the pieces; of a file within one piece, up to its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Below {
    /// Of all of the file.
    shape: TreeShape,
    /// The block of the file with which they begin, where a piece does.
    first: u64,
    /// Row by row from the leaves up, padding left out.
    rows: Vec<Vec<Hash>>,
}

impl Below {
    /// Which pieces of the file must be read to answer `request`; `None` where none
    /// must: it asks for the piece layer or what is above it.
    pub fn pieces(shape: &TreeShape, request: &HashRequest) -> Option<Range<u64>> {
        let above = shape.piece_layer.checked_sub(request.base_layer).filter(|above| *above > 0)?;
        let piece = |node: u64| node.div_ceil(1u64.checked_shl(above).unwrap_or(u64::MAX));
        let first = u64::from(request.index).checked_shr(above).unwrap_or(0);
        let end = piece(u64::from(request.index) + u64::from(request.length));
        Some(first..end.min(shape.nodes(shape.piece_layer)).max(first))
    }

    /// Of the `leaves` of whole pieces from the file's piece `first_piece` on.
    pub fn new(shape: TreeShape, first_piece: u64, leaves: Vec<Hash>) -> Self {
        let height = shape.piece_layer.min(shape.height());
        let mut rows = vec![leaves];
        let mut filler = padding(0);
        for layer in 0..height as usize {
            let next = rows.get(layer).map(|row| above(row, &filler));
            filler = super::parent(&filler, &filler);
            rows.extend(next);
        }
        let first = first_piece.checked_shl(shape.piece_layer).unwrap_or(u64::MAX);
        Self { shape, first, rows }
    }

    /// One node, padding included, where it is not above the layer of the pieces.
    fn node(&self, layer: u32, index: u64) -> Option<Hash> {
        let row = self.rows.get(layer as usize)?;
        let offset = index.checked_sub(self.first >> layer)?;
        let node = usize::try_from(offset).ok().and_then(|offset| row.get(offset));
        // Padding is behind the end of the file only.
        node.copied().or_else(|| (index >= self.shape.nodes(layer)).then(|| padding(layer)))
    }

    /// The answer to a request for hashes below the piece layer; `pieces` is the
    /// tree from that layer up, which a file within one piece does not have.
    pub fn answer(&self, request: &HashRequest, pieces: Option<&Tree>) -> Option<Vec<Hash>> {
        let node = |layer, index| {
            let here = self.node(layer, index);
            here.or_else(|| pieces.and_then(|tree| tree.node(layer, index)))
        };
        request.answer_from(&self.shape, node).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever a tree with all its leaves would answer is answered from the
        /// pieces that are said to be needed.
        #[test]
        fn the_answers_are_those_of_the_whole_tree(
            blocks in 1u64..300, piece_layer in 0u32..6, base in 0u32..6, exponent in 1u32..8, at: u32,
            proof_layers in 0u32..10,
        ) {
            let shape = TreeShape { blocks, piece_layer };
            let leaves: Vec<Hash> = (0..blocks).map(|at| super::super::leaf(&at.to_be_bytes())).collect();
            let whole = Tree::new(shape, 0, leaves.clone()).expect("a tree");
            let length = 1 << exponent;
            let places = shape.width(base) / u64::from(length);
            prop_assume!(places > 0);
            let index = at % places as u32 * length;
            let request = HashRequest { base_layer: base, index, length, proof_layers };
            let Some(pieces) = Below::pieces(&shape, &request) else {
                prop_assert!(base >= piece_layer);
                return Ok(());
            };
            let block = |piece: u64| (piece << piece_layer).min(blocks) as usize;
            let read = leaves[block(pieces.start)..block(pieces.end)].to_vec();
            let layer = whole.row(piece_layer).map(|row| Tree::new(shape, piece_layer, row.to_vec()).expect("a tree"));
            let answer = Below::new(shape, pieces.start, read).answer(&request, layer.as_ref());
            prop_assert_eq!(answer, request.answer(&whole).ok());
        }
    }

    #[test]
    fn no_more_is_read_than_is_asked_about() {
        let shape = TreeShape { blocks: 1_000, piece_layer: 3 };
        let asked = |base_layer, index, length| {
            Below::pieces(&shape, &HashRequest { base_layer, index, length, proof_layers: 0 })
        };
        assert_eq!(asked(0, 16, 8), Some(2..3));
        assert_eq!(asked(0, 4, 2), Some(0..1));
        assert_eq!(asked(2, 2, 4), Some(1..3));
        assert_eq!(asked(0, 512, 512), Some(64..125), "the last is the file's 125th");
        assert_eq!(asked(0, 1_008, 16), Some(126..126), "padding only");
        assert_eq!(asked(3, 0, 4), None);
        assert_eq!(asked(0, u32::MAX, u32::MAX), Some(536_870_911..536_870_911));
    }
}
