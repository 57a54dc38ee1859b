//! The space of pieces against a naive model that knows of each octet whose it is.

use super::*;
use crate::metainfo::{FileSelection, Layout};
use proptest::prelude::*;

/// Of each octet of each piece: which octet of which file.
fn model(layout: &Layout) -> Vec<Vec<(usize, u64)>> {
    let piece_length = layout.piece_length() as usize;
    let mut pieces: Vec<Vec<(usize, u64)>> = Vec::new();
    for (index, file) in layout.files().iter().enumerate() {
        if layout.version() == Version::V2 && file.length > 0 {
            pieces.push(Vec::new());
        }
        for octet in 0..file.length {
            if pieces.last().is_none_or(|piece| piece.len() == piece_length) {
                pieces.push(Vec::new());
            }
            pieces.last_mut().expect("a piece").push((index, octet));
        }
    }
    pieces
}

/// A torrent whose pieces are as short as v1 allows: the model is small.
fn tiny(files: &[(bool, u16)], piece_length: i64) -> Metainfo {
    let entry = |(index, (padding, length)): (usize, &(bool, u16))| {
        let attributes = if *padding { "p" } else { "" };
        Item::dictionary([
            ("attr", attributes.into()),
            ("length", i64::from(*length).into()),
            ("path", strings(&[&index.to_string()])),
        ])
    };
    let mut info = multi_v1(files.iter().enumerate().map(entry).collect());
    let total: i64 = files.iter().map(|(_, length)| i64::from(*length)).sum();
    info.insert(b"piece length".to_vec(), piece_length.into());
    info.insert(
        b"pieces".to_vec(),
        vec![0; 20 * total.unsigned_abs().div_ceil(piece_length as u64) as usize].into(),
    );
    parse(&info).expect("a torrent")
}

fn compare(layout: &Layout, cuts: &[(u32, u32, u32)]) -> Result<(), TestCaseError> {
    let model = model(layout);
    prop_assert_eq!(layout.piece_count() as usize, model.len());
    for (piece, octets) in (0u32..).zip(&model) {
        prop_assert_eq!(layout.piece_octets(piece) as usize, octets.len());
        let blocks: u32 = (0..layout.block_count(piece)).map(|block| layout.block_octets(piece, block)).sum();
        prop_assert_eq!(blocks as usize, octets.len());
        prop_assert_eq!(layout.block_octets(piece, layout.block_count(piece)), 0);
        let of_file = |(file, _): &(usize, u64)| !layout.files()[*file].is_padding();
        let content = layout.piece_content(piece);
        prop_assert_eq!(content.octets as usize, octets.iter().filter(|octet| of_file(octet)).count());
        prop_assert_eq!(content.end as usize, octets.iter().rposition(of_file).map_or(0, |last| last + 1));
    }
    let is_padded = |(piece, octets): &(u32, _)| *octets < layout.piece_octets(*piece);
    let contents = (0..layout.piece_count()).map(|piece| (piece, layout.piece_content(piece).octets));
    let padded = layout.padded_pieces().map(|(piece, content)| (piece, content.octets));
    prop_assert_eq!(padded.collect::<Vec<_>>(), contents.filter(is_padded).collect::<Vec<_>>());
    for (piece, offset, length) in cuts {
        let piece = piece % layout.piece_count();
        let (offset, length) = (offset % layout.piece_length(), length % layout.piece_length());
        let wanted = model[piece as usize].get(offset as usize..(offset + length) as usize);
        match layout.slices(piece, offset, length) {
            None => prop_assert_eq!(wanted, None),
            Some(slices) => {
                let octets = |slice: crate::metainfo::Slice| {
                    assert!(slice.length > 0);
                    (0..u64::from(slice.length)).map(move |at| (slice.file, slice.offset + at))
                };
                let found: Vec<_> = slices.flat_map(octets).collect();
                prop_assert_eq!(wanted, Some(found.as_slice()));
            }
        }
    }
    prop_assert!(layout.slices(layout.piece_count(), 0, 0).is_none());
    prop_assert!(layout.slices(0, u32::MAX, 2).is_none());
    for index in 0..layout.files().len() {
        let holds = |piece: &Vec<(usize, u64)>| piece.iter().any(|(file, _)| *file == index);
        let naive: Vec<u32> =
            (0u32..).zip(&model).filter(|(_, piece)| holds(piece)).map(|(at, _)| at).collect();
        prop_assert_eq!(layout.file_pieces(index).collect::<Vec<_>>(), naive);
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_v1_layout_is_the_files_one_behind_the_other(
        files in prop::collection::vec((any::<bool>(), prop_oneof![Just(0u16), 1u16..200]), 1..12),
        piece_length in 1i64..90,
        cuts in prop::collection::vec((any::<u32>(), any::<u32>(), any::<u32>()), 20),
        wanted in prop::collection::vec(any::<bool>(), 12),
    ) {
        prop_assume!(files.iter().any(|(_, length)| *length > 0));
        let metainfo = tiny(&files, piece_length);
        let layout = metainfo.info.layout();
        compare(layout, &cuts)?;
        let needed = |piece: &Vec<(usize, u64)>| piece.iter().any(|(file, _)| wanted[*file] && !files[*file].0);
        let naive: Vec<u32> =
            (0u32..).zip(&model(layout)).filter(|(_, piece)| needed(piece)).map(|(at, _)| at).collect();
        let ranges = layout.pieces_of(|file| wanted[file]);
        prop_assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
        prop_assert_eq!(ranges.into_iter().flatten().collect::<Vec<_>>(), naive);
    }

    #[test]
    fn in_v2_and_hybrid_layouts_each_file_begins_a_piece(
        lengths in prop::collection::vec(prop_oneof![Just(0u64), 1u64..70_000], 1..5),
        cuts in prop::collection::vec((any::<u32>(), any::<u32>(), any::<u32>()), 6),
        hybrid: bool,
    ) {
        prop_assume!(lengths.iter().any(|length| *length > 0));
        let names: Vec<_> = (0..lengths.len()).map(|index| format!("f/{index}")).collect();
        let files: Vec<_> = names.iter().map(String::as_str).zip(lengths).collect();
        let version = if hybrid { Version::Hybrid } else { Version::V2 };
        let metainfo = made(&files, version, 32_768);
        let layout = metainfo.info.layout();
        compare(layout, &cuts)?;
        for file in layout.files().iter().filter(|file| file.length > 0 && !file.is_padding()) {
            prop_assert!(file.offset.is_multiple_of(32_768));
        }
        for (piece, octets) in (0u32..).zip(&model(layout)) {
            let first = octets[0].0;
            let content = octets.iter().filter(|(file, _)| *file == first).count();
            prop_assert_eq!(layout.piece_content_octets(piece) as usize, content);
            let (file, index) = layout.merkle_file(piece).expect("a file");
            prop_assert_eq!(file, &layout.files()[first]);
            prop_assert_eq!(u64::from(index) * 32_768, octets[0].1);
        }
    }
}

#[test]
fn a_selection_of_files_needs_the_pieces_they_are_in() {
    let metainfo = made(&[("a", 40_000), ("b", 10), ("c", 0), ("d", 70_000)], Version::V1, 16_384);
    let layout = metainfo.info.layout();
    let needed = |selection: &str| -> Vec<(u32, u32)> {
        let selection: FileSelection = selection.parse().expect("a selection");
        let ranges = layout.pieces_of(|file| selection.contains(file));
        ranges.iter().map(|range| (range.start, range.end)).collect()
    };
    assert_eq!(needed("1"), [(2, 3)]);
    assert_eq!(needed("0-1"), [(0, 3)]);
    assert_eq!(needed("2"), []);
    assert_eq!(needed("3"), [(2, 7)]);
    assert_eq!(needed("0,3"), [(0, 7)]);
    assert_eq!(needed("9"), []);
}
