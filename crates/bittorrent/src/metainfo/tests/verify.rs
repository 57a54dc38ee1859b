//! Whether pieces are found to be right.

use super::*;
use crate::metainfo::merkle::leaves;
use crate::metainfo::{Info, PieceHasher, PieceHashes, PieceLayers, Verdict, Verifier};

const FILES: [(&str, u64); 4] = [("a", 100_000), ("b", 5), ("c", 0), ("d", 65_536)];

/// The octets of a piece as a disk has them: padding is zeros.
fn piece_octets(metainfo: &Metainfo, piece: u32) -> Vec<u8> {
    let layout = metainfo.info.layout();
    let contents: Vec<_> = layout
        .files()
        .iter()
        .map(|file| match FILES.iter().position(|(name, _)| file.path == [*name]) {
            Some(index) => content(index, file.length),
            None => vec![0; file.length as usize],
        })
        .collect();
    let slices = layout.slices(piece, 0, layout.piece_octets(piece)).expect("the piece");
    slices
        .flat_map(|slice| {
            let begin = slice.offset as usize;
            contents[slice.file][begin..begin + slice.length as usize].to_vec()
        })
        .collect()
}

#[test]
fn right_pieces_are_right_and_each_changed_bit_is_found() {
    for version in [Version::V1, Version::V2, Version::Hybrid] {
        let metainfo = made(&FILES, version, 32_768);
        let verifier = Verifier::new(&metainfo.info, &metainfo.piece_layers);
        for piece in 0..metainfo.info.layout().piece_count() {
            let mut octets = piece_octets(&metainfo, piece);
            assert_eq!(verifier.verify(piece, &octets), Verdict::Right, "{version:?} {piece}");
            assert_eq!(verifier.verify(piece, &octets[1..]), Verdict::Wrong);
            let at = octets.len() / 2;
            octets[at] ^= 4;
            let verdict = verifier.verify(piece, &octets);
            // What is sent as padding does not matter: it is zeros.
            let padding = at >= metainfo.info.layout().piece_content_octets(piece) as usize;
            let expected = match (version, padding) {
                (Version::Hybrid, true) => Verdict::Right,
                _ => Verdict::Wrong,
            };
            assert_eq!(verdict, expected, "{version:?} {piece}");
        }
        assert_eq!(verifier.verify(u32::MAX, &[]), Verdict::Unknown);
    }
}

#[test]
fn blocks_can_be_hashed_as_they_come() {
    let metainfo = made(&FILES, Version::Hybrid, 32_768);
    let octets = piece_octets(&metainfo, 3);
    for cut in [1, 1000, 16_384, 16_385, 40_000] {
        let mut hasher = PieceHasher::new(&metainfo.info, 3);
        octets.chunks(cut).for_each(|chunk| hasher.update(chunk));
        let hashes = hasher.finish();
        // 100,000 octets leave 1,696 to the fourth piece: one block, then padding.
        assert_eq!(hashes.v2_blocks, Some(leaves(&octets[..1_696])));
        let verifier = Verifier::new(&metainfo.info, &metainfo.piece_layers);
        assert_eq!(verifier.verify_hashes(3, &hashes), Verdict::Right);
    }
}

#[test]
fn without_its_piece_layer_a_piece_of_v2_is_unknown() {
    let metainfo = made(&FILES, Version::V2, 32_768);
    let none = PieceLayers::new();
    let verifier = Verifier::new(&metainfo.info, &none);
    let octets = |piece| piece_octets(&metainfo, piece);
    assert_eq!(verifier.verify(0, &octets(0)), Verdict::Unknown);
    // A file of one piece needs none.
    assert_eq!(verifier.verify(4, &octets(4)), Verdict::Right);
    assert_eq!(verifier.verify_hashes(4, &PieceHashes::default()), Verdict::Unknown);
    let no_blocks = PieceHashes { v1: None, v2_blocks: Some(Vec::new()) };
    assert_eq!(verifier.verify_hashes(4, &no_blocks), Verdict::Wrong);

    let layout = metainfo.info.layout();
    let root = layout.files()[0].pieces_root.expect("a root");
    let layer = metainfo.piece_layers.get(&root).expect("a layer").to_vec();
    let mut some = PieceLayers::new();
    assert!(some.insert(layout, 0, layer[1..].to_vec()).is_err());
    assert!(some.insert(layout, 1, layer.clone()).is_err());
    assert!(some.insert(layout, 9, layer.clone()).is_err());
    some.insert(layout, 0, layer).expect("the right layer");
    assert_eq!(Verifier::new(&metainfo.info, &some).verify(0, &octets(0)), Verdict::Right);
}

#[test]
fn a_hybrid_whose_hashes_contradict_is_told_apart_from_a_bad_piece() {
    let good = made(&FILES, Version::Hybrid, 32_768);
    // The same torrent, its first SHA-1 changed.
    let mut octets = good.info.octets().to_vec();
    let hash = good.info.piece_hash_v1(0).expect("a hash");
    let at = octets.windows(20).position(|window| *window == hash).expect("in the dictionary");
    octets[at] ^= 1;
    let torn = Info::parse(&octets, &Limits::DEFAULT).expect("still a torrent");
    let verifier = Verifier::new(&torn, &good.piece_layers);
    assert_eq!(verifier.verify(0, &piece_octets(&good, 0)), Verdict::Contradiction);
    assert_eq!(verifier.verify(0, &vec![1; 32_768]), Verdict::Wrong);
    assert_eq!(verifier.verify(1, &piece_octets(&good, 1)), Verdict::Right);
}
