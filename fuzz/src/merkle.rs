//! Requests for hashes of v2 torrents, and the answers of peers to them.

use bittorrent::metainfo::merkle::{
    Below, HASHES_PER_REQUEST_MAX, Hash, HashRequest, ProofError, Tree, TreeShape, leaf,
};

/// Blocks of the file under test.
const BLOCKS_MAX: u64 = 300;
/// Octets of the input before the hashes.
const HEAD_OCTETS: usize = 14;

/// Octets that say what is asked of which file, and the hashes of the answer.
pub fn merkle(input: &[u8]) {
    let Some((head, answer)) = input.split_first_chunk::<HEAD_OCTETS>() else { return };
    let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let blocks = u64::from(u16::from_be_bytes([head[0], head[1]])) % BLOCKS_MAX + 1;
    let request = HashRequest {
        base_layer: u32::from(head[2]),
        index: number(4),
        // Sparse, as powers of two are among numbers, unless the input says otherwise.
        length: if head[3] & 1 == 0 { 1 << (head[8] % 32) } else { number(8) },
        proof_layers: u32::from(head[12]),
    };
    let shape = TreeShape { blocks, piece_layer: u32::from(head[13] % 4) };
    let hashes: Vec<[u8; 32]> = answer.as_chunks().0.to_vec();
    let leaves: Vec<Hash> = (0..blocks).map(|block| leaf(&block.to_be_bytes())).collect();
    let tree = Tree::new(shape, 0, leaves.clone()).expect("all leaves");
    let root = tree.root();
    if let Some(pieces) = Below::pieces(&shape, &request) {
        let block = |piece: u64| (piece << shape.piece_layer).min(blocks) as usize;
        let read = leaves.get(block(pieces.start)..block(pieces.end)).expect("no more than there is");
        let layer =
            tree.row(shape.piece_layer).and_then(|row| Tree::new(shape, shape.piece_layer, row.to_vec()));
        let answer = Below::new(shape, pieces.start, read.to_vec()).answer(&request, layer.as_ref());
        assert_eq!(answer, request.answer(&tree).ok(), "from pieces as from the whole");
    }
    match request.answer(&tree) {
        Err(refused) => {
            assert!(!refused.to_string().is_empty());
            assert_eq!(request.verify(&shape, &root, &hashes), Err(refused), "both sides refuse the same");
        }
        Ok(right) => {
            assert_eq!(right.len(), request.answer_length());
            assert!(right.len() <= HASHES_PER_REQUEST_MAX as usize + 64);
            let verdict = request.verify(&shape, &root, &right);
            assert!(verdict.is_ok() || verdict == Err(ProofError::Short), "{verdict:?}");
            let given = request.verify(&shape, &root, &hashes);
            assert!(given.is_err() || hashes == right, "only the right hashes lead to the root");
        }
    }
}
