//! What is refused, where and why.

use super::*;
use crate::bencode::DecodeError;
use crate::metainfo::{Fault, Info};

fn refused(info: &Entries) -> MetainfoError {
    parse(info).expect_err("refused")
}

/// The same dictionary with other entries.
fn with<'k>(mut info: Entries, more: impl IntoIterator<Item = (&'k str, Item)>) -> Entries {
    info.extend(entries(more));
    info
}

fn without(mut info: Entries, key: &str) -> Entries {
    info.remove(key.as_bytes());
    info
}

fn check(info: Entries, place: &str, fault: Fault) {
    assert_eq!(refused(&info), MetainfoError { place: place.into(), fault });
}

#[test]
fn what_is_no_metainfo() {
    let fault = |octets: &[u8]| Metainfo::parse(octets, &Limits::DEFAULT).expect_err("refused").to_string();
    assert_eq!(fault(b""), "the value is cut short at octet 0");
    assert_eq!(fault(b"3:abc"), "not a dictionary");
    assert_eq!(fault(b"de"), "info: missing");
    assert_eq!(fault(b"d4:infoi1ee"), "info: not a dictionary");
    assert_eq!(fault(b"d4:infode4:infodee"), "a dictionary with one key twice at octet 0");
    assert_eq!(fault(b"d4:infod1:ai01eee"), "an integer with a leading zero at octet 12");
    assert_eq!(fault(b"d4:infodeeX"), "octets behind the end of the value at octet 10");
    assert!(matches!(
        Info::parse(b"i1e", &Limits::DEFAULT),
        Err(MetainfoError { fault: Fault::Kind("dictionary"), .. })
    ));
}

#[test]
fn what_a_v1_torrent_needs() {
    check(without(single_v1(), "name"), "info.name", Fault::Missing);
    check(with(single_v1(), [("name", 1.into())]), "info.name", Fault::Missing);
    check(with(single_v1(), [("name", "/..".into())]), "info.name", Fault::EmptyName);
    check(without(single_v1(), "length"), "info.length", Fault::Missing);
    check(with(single_v1(), [("length", "5".into())]), "info.length", Fault::Kind("number"));
    check(with(single_v1(), [("length", (-5).into())]), "info.length", Fault::OutOfRange(-5));
    check(with(single_v1(), [("length", 0.into())]), "info", Fault::NoContent);
    check(without(single_v1(), "piece length"), "info.piece length", Fault::Missing);
    check(with(single_v1(), [("piece length", 0.into())]), "info.piece length", Fault::OutOfRange(0));
    check(with(single_v1(), [("piece length", (-1).into())]), "info.piece length", Fault::OutOfRange(-1));
    check(without(single_v1(), "pieces"), "info.pieces", Fault::Missing);
    check(with(single_v1(), [("pieces", 1.into())]), "info.pieces", Fault::Kind("string"));
    for found in [0, 20, 39, 41, 60] {
        let fault = Fault::PieceHashes { expected: 40, found };
        check(with(single_v1(), [("pieces", vec![7; found as usize].into())]), "info.pieces", fault);
    }
    check(with(single_v1(), [("meta version", 3.into())]), "info.meta version", Fault::Version(3));
    check(with(single_v1(), [("file tree", Item::dictionary([]))]), "info", Fault::NoVersion);
}

#[test]
fn what_the_files_of_a_v1_torrent_need() {
    let one = |file: Item| multi_v1(vec![super::file(&["a"], 1), file]);
    check(multi_v1(vec![]), "info", Fault::NoContent);
    check(multi_v1(vec![file(&["a"], 0)]), "info", Fault::NoContent);
    check(one(1.into()), "info.files[1]", Fault::Kind("dictionary"));
    check(one(file(&[], 1)), "info.files[1].path", Fault::Missing);
    check(one(file(&["a"], -1)), "info.files[1].length", Fault::OutOfRange(-1));
    check(one(Item::dictionary([("length", 1.into())])), "info.files[1].path", Fault::Missing);
    check(one(Item::dictionary([("path", strings(&["a"]))])), "info.files[1].length", Fault::Missing);
    let path = Item::List(vec!["a".into(), 1.into()]);
    let entry = Item::dictionary([("length", 1.into()), ("path", path.clone())]);
    check(one(entry), "info.files[1].path[1]", Fault::Kind("string"));
    let link = [("attr", "l".into()), ("path", strings(&["b"])), ("symlink path", path)];
    check(one(Item::dictionary(link)), "info.files[1].symlink path[1]", Fault::Kind("string"));
}

#[test]
fn what_a_v2_torrent_needs() {
    let tree = |leaf: Item| v2(Item::dictionary([("f", leaf)]));
    let entry = |more: Vec<(&'static str, Item)>| tree(Item::dictionary([("", Item::dictionary(more))]));
    let root = |octets: Vec<u8>| ("pieces root", Item::Bytes(octets));
    assert!(parse(&tree(leaf(5, 1))).is_ok());
    check(without(v2(Item::dictionary([])), "file tree"), "info.file tree", Fault::Missing);
    check(v2(Item::dictionary([])), "info", Fault::NoContent);
    check(tree(1.into()), "info.file tree.f", Fault::Kind("dictionary"));
    check(tree(Item::dictionary([("", 1.into())])), "info.file tree.f", Fault::Kind("dictionary"));
    check(v2(Item::dictionary([("", leaf(5, 1))])), "info.file tree", Fault::EmptyName);
    let both = Item::dictionary([("", Item::dictionary([])), ("g", leaf(5, 1))]);
    check(tree(both), "info.file tree.f", Fault::EmptyName);
    check(entry(vec![]), "info.file tree.f.length", Fault::Missing);
    check(entry(vec![("length", (-1).into())]), "info.file tree.f.length", Fault::OutOfRange(-1));
    let place = "info.file tree.f.pieces root";
    check(entry(vec![("length", 1.into())]), place, Fault::PiecesRoot);
    check(entry(vec![("length", 1.into()), root(vec![1; 31])]), place, Fault::PiecesRoot);
    check(tree(leaf(1, 0)), place, Fault::PiecesRoot);
    let padding = vec![("attr", "p".into()), ("length", 1.into()), root(vec![1; 32])];
    check(entry(padding), "info.file tree.f", Fault::Padding);
    for length in [1, 8_192, 16_383, 16_385, 49_152] {
        let info = with(tree(leaf(5, 1)), [("piece length", length.into())]);
        check(info, "info.piece length", Fault::PieceLength(length));
    }
}

#[test]
fn v2_must_be_canonical() {
    let info = b"d12:meta versioni2e9:file treed1:fd0:d6:lengthi5e11:pieces root32:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAeee4:name1:x12:piece lengthi16384ee";
    let error = Info::parse(info, &Limits::DEFAULT).expect_err("refused");
    let fault = DecodeError { at: 19, reason: "a key that is there already or out of order" };
    assert_eq!(error, Fault::Bencoding(fault).at("info"));
}

#[test]
fn the_parts_of_a_hybrid_must_agree() {
    let padding = |length: i64| {
        Item::dictionary([("attr", "p".into()), ("length", length.into()), ("path", strings(&[".pad", "0"]))])
    };
    let tree = Item::dictionary([("a", leaf(5, 1)), ("b", leaf(7, 2)), ("e", leaf(0, 0))]);
    let hybrid = |files: Vec<Item>| {
        let mut info = v2(tree.clone());
        info.extend(multi_v1(files));
        with(info, [("pieces", vec![7; 40].into())])
    };
    let pad = || padding(16_379);
    let empty = || file(&["e"], 0);
    assert!(parse(&hybrid(vec![file(&["a"], 5), pad(), file(&["b"], 7), empty()])).is_ok());
    assert!(parse(&hybrid(vec![empty(), file(&["a"], 5), pad(), file(&["b"], 7)])).is_ok());
    for files in [
        vec![file(&["a"], 5), pad(), file(&["b"], 7)],
        vec![file(&["a"], 5), pad(), file(&["b"], 7), file(&["other"], 0)],
        vec![file(&["a"], 5), pad(), file(&["b"], 8), empty()],
        vec![file(&["a"], 5), pad(), file(&["c"], 7), empty()],
        vec![file(&["b"], 7), padding(16_377), file(&["a"], 5), empty()],
        vec![file(&["a"], 5), file(&["b"], 7), empty()],
        vec![file(&["a"], 5), padding(16_380), file(&["b"], 7), empty()],
        vec![file(&["a"], 5), padding(32_763), file(&["b"], 7), empty()],
        vec![padding(5), file(&["a"], 5), padding(16_374), file(&["b"], 7), empty()],
        vec![file(&["a"], 5), pad(), file(&["b"], 7), empty(), file(&["c"], 1)],
        vec![file(&["a"], 5), empty()],
    ] {
        check(hybrid(files), "info", Fault::Hybrid);
    }
    let mut single = v2(tree.clone());
    single.extend(single_v1());
    check(single, "info", Fault::Hybrid);
    check(
        without(hybrid(vec![file(&["a"], 5), pad(), file(&["b"], 7), empty()]), "pieces"),
        "info.pieces",
        Fault::Missing,
    );
}

#[test]
fn piece_layers_must_lead_to_the_roots() {
    let good = made(&[("a", 3 * BLOCK), ("b", 5), ("c", 40_000)], Version::V2, 16_384);
    let octets = good.encode();
    assert_eq!(Metainfo::parse(&octets, &Limits::DEFAULT), Ok(good.clone()));
    let value = crate::bencode::decode(&octets, &crate::bencode::Limits::MESSAGE).expect("bencoded");
    let layers = value.dictionary().and_then(|root| root.dictionary(b"piece layers")).expect("layers");
    let layers: Vec<(Vec<u8>, Vec<u8>)> = layers
        .entries()
        .iter()
        .map(|(root, hashes)| (root.to_vec(), hashes.bytes().expect("octets").to_vec()))
        .collect();
    assert_eq!(layers.len(), 2);
    let read = |layers: &[(Vec<u8>, Item)]| {
        let layers = Item::Dictionary(layers.iter().cloned().collect());
        let info = Item::Encoded(good.info.octets().to_vec());
        let document = Item::dictionary([("info", info), ("piece layers", layers)]).encode();
        Metainfo::parse(&document, &Limits::DEFAULT).map_err(|error| error.to_string())
    };
    let (root, hashes) = layers.first().cloned().expect("a layer");
    let mut wrong = hashes.clone();
    wrong[40] ^= 1;
    let other_root = vec![9; 32];
    let missing = read(&[(root.clone(), hashes.clone().into())]).expect("one layer may be missing");
    assert_eq!(missing.piece_layers.missing(missing.info.layout()).count(), 1);
    for (root, layer, reason) in [
        (&root, Item::from(wrong), "a piece layer that does not hash to its root"),
        (&root, hashes[32..].into(), "a piece layer of another length than its file"),
        (
            &root,
            [hashes.clone(), vec![0; 32]].concat().into(),
            "a piece layer of another length than its file",
        ),
        (&root, hashes[..95].into(), "a piece layer of another length than its file"),
        (&root, 1.into(), "not a string"),
        (&other_root, hashes.clone().into(), "a piece layer of no file"),
        (&vec![9; 31], hashes.clone().into(), "a piece layer of no file"),
    ] {
        assert_eq!(read(&[(root.clone(), layer)]), Err(format!("piece layers[0]: {reason}")));
    }
    // A file of one piece has no layer: its root is the hash.
    let small = good.info.layout().files()[1].pieces_root.expect("a root");
    assert!(read(&[(small.to_vec(), small.to_vec().into())]).is_err());
}

#[test]
fn equal_files_share_one_layer() {
    let options = CreateOptions { piece_length: Some(16_384), ..CreateOptions::new("torrent") };
    let mut creator = Creator::new(specs(&[("a", 3 * BLOCK), ("b", 3 * BLOCK)]), options).expect("a creator");
    creator.update(&[content(1, 3 * BLOCK), content(1, 3 * BLOCK)].concat()).expect("room");
    let metainfo = creator.finish().expect("a torrent");
    let layout = metainfo.info.layout();
    assert_eq!(layout.files()[0].pieces_root, layout.files()[1].pieces_root);
    assert_eq!(metainfo.piece_layers.missing(layout).count(), 0);
    assert_eq!(Metainfo::parse(&metainfo.encode(), &Limits::DEFAULT), Ok(metainfo.clone()));
}
