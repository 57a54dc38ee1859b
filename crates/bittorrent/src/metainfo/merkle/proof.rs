//! Requests for hashes, their answers, and what proves them (BEP 52, "hash
//! request").

use super::{Hash, Tree, TreeShape, parent, root};
use thiserror::Error;

/// Hashes of the base layer that one request may ask for: a piece of 128 MiB has
/// as many leaves. BEP 52 recommends 512 and forbids less than 2.
pub const HASHES_PER_REQUEST_MAX: u32 = 8192;

/// What a request for hashes asks for, without the file's root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashRequest {
    /// The layer of the hashes, counted from the leaves at 0.
    pub base_layer: u32,
    /// The first of them; a multiple of `length`.
    pub index: u32,
    /// How many: a power of two, at least 2 and at most [`HASHES_PER_REQUEST_MAX`].
    pub length: u32,
    /// How many layers above the base layer to prove. Those that follow from the
    /// hashes themselves are not sent.
    pub proof_layers: u32,
}

/// Why a request or its answer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The number of hashes is no power of two or out of range.
    #[error("a request for {0} hashes")]
    Length(u32),
    /// The hashes are not all in the tree.
    #[error("a request for hashes outside of the tree")]
    Outside,
    /// The proof does not reach the root, so it proves nothing.
    #[error("the proof does not reach the root")]
    Short,
    /// The answer has another number of hashes than the request says.
    #[error("{found} hashes in an answer of {expected}")]
    Count {
        /// As many as the request makes.
        expected: usize,
        /// As many as came.
        found: usize,
    },
    /// The hashes do not lead to the root.
    #[error("the hashes do not lead to the root")]
    Wrong,
}

impl HashRequest {
    /// A request for all leaves or nodes below one, with the proof up to the root:
    /// `length` hashes from `index` on at `base_layer`.
    pub fn to_root(shape: &TreeShape, base_layer: u32, index: u32, length: u32) -> Self {
        let proof_layers = shape.height().saturating_sub(base_layer).saturating_sub(1);
        Self { base_layer, index, length, proof_layers }
    }

    /// Whether it can be asked of a file of this shape.
    ///
    /// # Errors
    /// When it asks for too many hashes or for some that are not there.
    pub fn check(&self, shape: &TreeShape) -> Result<(), ProofError> {
        if !self.length.is_power_of_two() || !(2..=HASHES_PER_REQUEST_MAX).contains(&self.length) {
            return Err(ProofError::Length(self.length));
        }
        let end = u64::from(self.index) + u64::from(self.length);
        let inside = self.index.is_multiple_of(self.length) && end <= shape.width(self.base_layer);
        let layers = shape.height().saturating_sub(self.base_layer);
        if inside && self.proof_layers < layers { Ok(()) } else { Err(ProofError::Outside) }
    }

    /// Layers from the base to the node that covers all hashes asked for.
    fn covered(&self) -> u32 {
        self.length.max(1).ilog2()
    }

    /// Uncles that prove it: one for each layer from the covering node up.
    fn uncles(&self) -> u32 {
        self.proof_layers.saturating_add(1).saturating_sub(self.covered())
    }

    /// Hashes that the answer has. `check` has been passed.
    pub fn answer_length(&self) -> usize {
        self.length.saturating_add(self.uncles()) as usize
    }

    /// The answer: the hashes asked for (padding included), then the uncles that
    /// prove them, from below.
    ///
    /// # Errors
    /// When the request is not right, or reaches below what the tree has.
    pub fn answer(&self, tree: &Tree) -> Result<Vec<Hash>, ProofError> {
        self.answer_from(&tree.shape(), |layer, index| tree.node(layer, index))
    }

    /// The same from the nodes that `node` has, by layer and index, padding included.
    pub(super) fn answer_from(
        &self,
        shape: &TreeShape,
        node: impl Fn(u32, u64) -> Option<Hash>,
    ) -> Result<Vec<Hash>, ProofError> {
        self.check(shape)?;
        let mut hashes = Vec::with_capacity(self.answer_length());
        for offset in 0..self.length {
            let node = node(self.base_layer, u64::from(self.index) + u64::from(offset));
            hashes.push(node.ok_or(ProofError::Outside)?);
        }
        let mut index = u64::from(self.index) >> self.covered();
        let first = self.base_layer + self.covered();
        for layer in first..first + self.uncles() {
            hashes.push(node(layer, index ^ 1).ok_or(ProofError::Outside)?);
            index >>= 1;
        }
        Ok(hashes)
    }

    /// Whether `hashes` answer the request and lead to the file's root; gives the
    /// hashes that were asked for, those of padding cut off.
    ///
    /// # Errors
    /// When they do not. The peer that sent them is to blame, except for
    /// [`ProofError::Short`]: the request did not ask for a whole proof.
    pub fn verify<'h>(
        &self,
        shape: &TreeShape,
        pieces_root: &Hash,
        hashes: &'h [Hash],
    ) -> Result<&'h [Hash], ProofError> {
        self.check(shape)?;
        if self.base_layer + self.covered() + self.uncles() < shape.height() {
            return Err(ProofError::Short);
        }
        self.verify_below(shape, pieces_root, hashes)
    }

    /// The same where the node is known that the proof leads to: with a known piece
    /// layer, the leaves of a piece need no proof (`proof_layers` 0).
    ///
    /// # Errors
    /// As [`HashRequest::verify`], but never [`ProofError::Short`].
    pub fn verify_below<'h>(
        &self,
        shape: &TreeShape,
        known: &Hash,
        hashes: &'h [Hash],
    ) -> Result<&'h [Hash], ProofError> {
        self.check(shape)?;
        let count = ProofError::Count { expected: self.answer_length(), found: hashes.len() };
        if hashes.len() != self.answer_length() {
            return Err(count);
        }
        let (asked, uncles) = hashes.split_at_checked(self.length as usize).ok_or(count)?;
        let mut index = self.index >> self.covered();
        let mut node = root(asked, self.base_layer, self.covered());
        for uncle in uncles {
            node = if index & 1 == 0 { parent(&node, uncle) } else { parent(uncle, &node) };
            index >>= 1;
        }
        if node != *known {
            return Err(ProofError::Wrong);
        }
        let real = shape.nodes(self.base_layer).saturating_sub(self.index.into());
        Ok(usize::try_from(real).ok().and_then(|real| asked.get(..real)).unwrap_or(asked))
    }
}

#[cfg(test)]
mod tests {
    use super::super::padding;
    use super::*;
    use proptest::prelude::*;

    fn tree(blocks: u64) -> Tree {
        let shape = TreeShape { blocks, piece_layer: 2 };
        let nodes = (0..blocks).map(|at| super::super::leaf(&at.to_be_bytes())).collect();
        Tree::new(shape, 0, nodes).expect("a tree")
    }

    #[test]
    fn an_answer_has_the_hashes_and_the_uncles_that_they_do_not_imply() {
        let tree = tree(11);
        let request = HashRequest::to_root(&tree.shape(), 0, 4, 4);
        // Layers 1 and 2 follow from the four leaves; 16 leaves have their root at 4.
        assert_eq!(request.proof_layers, 3);
        let answer = request.answer(&tree).expect("an answer");
        assert_eq!(answer.len(), 4 + 2);
        assert_eq!(answer.get(4..), Some([tree.node(2, 0), tree.node(3, 1)].map(Option::unwrap).as_slice()));
        let verified = request.verify(&tree.shape(), &tree.root(), &answer);
        assert_eq!(verified, Ok(&answer[..4]));
    }

    #[test]
    fn padding_is_sent_and_cut_off() {
        let tree = tree(11);
        let request = HashRequest::to_root(&tree.shape(), 0, 8, 8);
        let answer = request.answer(&tree).expect("an answer");
        assert_eq!(answer.get(3..8), Some([padding(0); 5].as_slice()));
        assert_eq!(request.verify(&tree.shape(), &tree.root(), &answer).map(<[Hash]>::len), Ok(3));
    }

    #[test]
    fn the_leaves_of_a_piece_need_no_proof_where_its_hash_is_known() {
        let tree = tree(11);
        let request = HashRequest { base_layer: 0, index: 8, length: 4, proof_layers: 0 };
        let answer = request.answer(&tree).expect("an answer");
        let known = tree.node(2, 2).expect("the piece's hash");
        assert_eq!(request.verify_below(&tree.shape(), &known, &answer), Ok(&answer[..3]));
        assert_eq!(request.verify(&tree.shape(), &tree.root(), &answer), Err(ProofError::Short));
        assert_eq!(request.verify_below(&tree.shape(), &tree.root(), &answer), Err(ProofError::Wrong));
        // All leaves of a small file prove themselves.
        let small = HashRequest { base_layer: 0, index: 0, length: 16, proof_layers: 0 };
        let answer = small.answer(&tree).expect("an answer");
        assert_eq!(small.verify(&tree.shape(), &tree.root(), &answer).map(<[Hash]>::len), Ok(11));
    }

    #[test]
    fn what_is_not_asked_rightly_is_refused() {
        let tree = tree(5000);
        let request = HashRequest { base_layer: 0, index: 0, length: 4, proof_layers: 0 };
        let refused = |request: HashRequest| request.answer(&tree).expect_err("refused");
        for length in [0, 1, 3, 511, HASHES_PER_REQUEST_MAX * 2] {
            assert_eq!(refused(HashRequest { length, ..request }), ProofError::Length(length));
        }
        assert!(HashRequest { length: HASHES_PER_REQUEST_MAX, ..request }.answer(&tree).is_ok());
        assert_eq!(refused(HashRequest { index: 2, ..request }), ProofError::Outside);
        assert_eq!(refused(HashRequest { index: u32::MAX - 3, ..request }), ProofError::Outside);
        assert_eq!(refused(HashRequest { base_layer: 14, ..request }), ProofError::Outside);
        assert_eq!(refused(HashRequest { base_layer: u32::MAX, ..request }), ProofError::Outside);
        assert_eq!(refused(HashRequest { proof_layers: 13, ..request }), ProofError::Outside);
        assert_eq!(refused(HashRequest { proof_layers: u32::MAX, ..request }), ProofError::Outside);
        let answer = request.answer(&tree).expect("an answer");
        assert_eq!(request.verify(&tree.shape(), &tree.root(), &answer), Err(ProofError::Short));
        let whole = HashRequest::to_root(&tree.shape(), 0, 0, 4);
        let count = ProofError::Count { expected: 4 + 11, found: 4 };
        assert_eq!(whole.verify(&tree.shape(), &tree.root(), &answer), Err(count));
    }

    proptest! {
        #[test]
        fn every_answer_verifies_and_none_with_a_changed_bit(
            blocks in 2u64..600, base in 0u32..4, exponent in 1u32..6, at: u32, bit: usize,
        ) {
            let tree = tree(blocks);
            let shape = tree.shape();
            let length = 1 << exponent;
            prop_assume!(shape.width(base) >= length.into());
            let index = at % (shape.width(base) as u32 / length) * length;
            let request = HashRequest::to_root(&shape, base, index, length);
            let mut answer = request.answer(&tree).expect("an answer");
            prop_assert_eq!(answer.len(), request.answer_length());
            prop_assert!(request.verify(&shape, &tree.root(), &answer).is_ok());
            let bit = bit % (answer.len() * 256);
            answer[bit / 256][bit / 8 % 32] ^= 1 << (bit % 8);
            prop_assert_eq!(request.verify(&shape, &tree.root(), &answer), Err(ProofError::Wrong));
        }
    }
}
