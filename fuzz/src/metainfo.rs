//! Metainfo: what a user opens and what peers send as the info dictionary.

use bittorrent::metainfo::{
    FileKind, Info, Layout, Limits, Metainfo, Verdict, Verifier, Version, is_safe_component, web_seed_url,
};
use std::collections::BTreeSet;

/// Pieces and files that this target has the time to look at.
const LOOKED_AT_MAX: u32 = 64;

/// A `.torrent` file, or an info dictionary alone.
pub fn metainfo(input: &[u8]) {
    if let Ok(info) = Info::parse(input, &Limits::DEFAULT) {
        assert_eq!(info.octets(), input);
        check_info(&info);
        // What came from peers can be written to disk and read again.
        let metainfo = Metainfo::new(info);
        assert_eq!(Metainfo::parse(&metainfo.encode(), &Limits::DEFAULT), Ok(metainfo));
    }
    let Ok(metainfo) = Metainfo::parse(input, &Limits::DEFAULT) else { return };
    check_info(&metainfo.info);
    let written = metainfo.encode();
    assert_eq!(Metainfo::parse(&written, &Limits::DEFAULT).as_ref(), Ok(&metainfo));
    assert!(metainfo.trackers.iter().all(|tier| !tier.is_empty()));
    assert!(metainfo.trackers.iter().map(Vec::len).sum::<usize>() <= Limits::DEFAULT.trackers_max);
    let link = metainfo.magnet();
    if let Ok(read) = link.to_string().parse::<bittorrent::metainfo::Magnet>() {
        assert_eq!((read.hashes, read.name), (link.hashes, link.name));
    }
    let layout = metainfo.info.layout();
    for web_seed in metainfo.web_seeds.iter().take(2) {
        let url = web_seed_url(web_seed, layout, 0).expect("the first file");
        assert!(url.len() >= web_seed.trim_end_matches('/').len());
    }
    let verifier = Verifier::new(&metainfo.info, &metainfo.piece_layers);
    for piece in 0..layout.piece_count().min(4) {
        let length = layout.piece_octets(piece);
        if length <= 1 << 20 {
            let verdict = verifier.verify(piece, &vec![0xa5; length as usize]);
            assert!(verdict != Verdict::Right, "nobody has found such octets");
        }
        assert_ne!(verifier.verify(piece, b""), Verdict::Right);
    }
}

fn check_info(info: &Info) {
    let layout = info.layout();
    assert!(info.hashes().fits(info.octets()));
    assert_eq!(info.hashes().v1.is_some(), layout.version().has_v1());
    assert_eq!(info.hashes().v2.is_some(), layout.version().has_v2());
    assert!(is_safe_component(info.name()));
    check_paths(layout);
    assert!(layout.piece_count() >= 1 && layout.piece_count() <= Limits::DEFAULT.pieces_max);
    assert_eq!(info.piece_hash_v1(layout.piece_count()), None);
    for piece in (0..layout.piece_count()).take(LOOKED_AT_MAX as usize) {
        check_piece(info, piece);
    }
    check_piece(info, layout.piece_count() - 1);
}

/// No path leads out of the folder, and no two files are one.
fn check_paths(layout: &Layout) {
    let mut files = BTreeSet::new();
    for file in layout.files().iter().filter(|file| !file.is_padding()) {
        assert!(!file.path.is_empty());
        assert!(file.path.iter().all(|component| is_safe_component(component)), "{:?}", file.path);
        assert!(files.insert(file.path.as_slice()), "{:?} is there twice", file.path);
        if let FileKind::Symlink(target) = &file.kind {
            assert!(!target.is_empty() && target.iter().all(|component| is_safe_component(component)));
        }
    }
    for file in &files {
        let folder = |end: usize| file.split_at(end).0;
        assert!((1..file.len()).all(|end| !files.contains(folder(end))), "{file:?} is in a file");
    }
}

/// The parts of a piece are parts of files and add up to it.
fn check_piece(info: &Info, piece: u32) {
    let layout = info.layout();
    let octets = layout.piece_octets(piece);
    assert!(octets >= 1 && octets <= layout.piece_length());
    assert_eq!(info.piece_hash_v1(piece).is_some(), layout.version().has_v1());
    let mut sum = 0;
    for slice in layout.slices(piece, 0, octets).expect("the whole piece") {
        let file = layout.files().get(slice.file).expect("a file");
        assert!(slice.length > 0 && slice.offset + u64::from(slice.length) <= file.length);
        assert!(layout.file_pieces(slice.file).contains(&piece));
        sum += slice.length;
    }
    assert_eq!(sum, octets);
    assert!(layout.slices(piece, 1, octets).is_none());
    if layout.version() != Version::V1 {
        let (file, _) = layout.merkle_file(piece).expect("a file with a tree");
        assert!(file.pieces_root.is_some());
        assert!(layout.piece_content_octets(piece) <= octets);
    }
}
