//! Every bound, and what is beyond it.

use super::*;
use crate::metainfo::{
    BLOCK_OCTETS, FILE_OCTETS_MAX, Fault, Info, PIECE_OCTETS_MAX, TOTAL_OCTETS_MAX, URL_OCTETS_MAX,
};

fn fault(info: &Entries, limits: &Limits) -> Option<(String, Fault)> {
    parse_within(info, limits).err().map(|error| (error.place, error.fault))
}

#[test]
fn octets_depth_and_values() {
    let octets = document(&single_v1(), []);
    let limits = |metainfo_octets_max| Limits { metainfo_octets_max, ..Limits::DEFAULT };
    assert!(Metainfo::parse(&octets, &limits(octets.len())).is_ok());
    let error = Metainfo::parse(&octets, &limits(octets.len() - 1)).expect_err("refused");
    assert_eq!(error, Fault::TooMuch(octets.len() as u64 - 1).into());
    let info = Item::Dictionary(single_v1()).encode();
    assert!(Info::parse(&info, &limits(info.len())).is_ok());
    assert!(Info::parse(&info, &limits(info.len() - 1)).is_err());

    let deep = multi_v1(vec![file(&["a"], 1)]);
    assert!(parse_within(&deep, &Limits { depth_max: 5, ..Limits::DEFAULT }).is_ok());
    assert!(parse_within(&deep, &Limits { depth_max: 4, ..Limits::DEFAULT }).is_err());
    let values = 3 + 8;
    assert!(parse_within(&single_v1(), &Limits { values_max: values, ..Limits::DEFAULT }).is_ok());
    assert!(parse_within(&single_v1(), &Limits { values_max: values - 1, ..Limits::DEFAULT }).is_err());
    assert!(Metainfo::parse("l".repeat(1_000_000).as_bytes(), &Limits::DEFAULT).is_err());
}

#[test]
fn lengths() {
    let file_max = i64::try_from(FILE_OCTETS_MAX).expect("a length");
    let large = |length: i64| {
        let mut info = single_v1();
        info.extend(entries([
            ("length", length.into()),
            ("piece length", i64::from(PIECE_OCTETS_MAX).into()),
        ]));
        let pieces = (length as u64).div_ceil(PIECE_OCTETS_MAX.into()).min(40_000) as usize;
        info.insert(b"pieces".to_vec(), vec![1; 20 * pieces].into());
        info
    };
    assert_eq!(fault(&large(file_max), &Limits::DEFAULT), None);
    for length in [file_max + 1, i64::MAX] {
        let out = Some(("info.length".into(), Fault::OutOfRange(length)));
        assert_eq!(fault(&large(length), &Limits::DEFAULT), out);
    }

    let mut info = single_v1();
    info.insert(b"pieces".to_vec(), vec![1; 20].into());
    info.insert(b"piece length".to_vec(), i64::from(PIECE_OCTETS_MAX).into());
    assert_eq!(fault(&info, &Limits::DEFAULT), None);
    let beyond = i64::from(PIECE_OCTETS_MAX) + 1;
    info.insert(b"piece length".to_vec(), beyond.into());
    let out = Some(("info.piece length".into(), Fault::OutOfRange(beyond)));
    assert_eq!(fault(&info, &Limits::DEFAULT), out);

    let count = TOTAL_OCTETS_MAX / FILE_OCTETS_MAX + 1;
    let files = (0..count).map(|index| file(&[&index.to_string()], file_max)).collect();
    assert_eq!(
        fault(&multi_v1(files), &Limits::DEFAULT),
        Some(("info".into(), Fault::TooMuch(TOTAL_OCTETS_MAX)))
    );
}

#[test]
fn pieces() {
    let pieces = |length: i64| {
        let mut info = single_v1();
        info.extend(entries([("length", length.into()), ("pieces", vec![1; 20 * 4].into())]));
        fault(&info, &Limits { pieces_max: 4, ..Limits::DEFAULT })
    };
    assert_eq!(pieces(4 * 16_384), None);
    assert_eq!(pieces(4 * 16_384 + 1), Some(("info.pieces".into(), Fault::TooMuch(4))));
    // A file tree of two octets needs two pieces.
    let tree = v2(Item::dictionary([("a", leaf(1, 1)), ("b", leaf(1, 1))]));
    assert_eq!(fault(&tree, &Limits { pieces_max: 2, ..Limits::DEFAULT }), None);
    let beyond = Some(("info.pieces".into(), Fault::TooMuch(1)));
    assert_eq!(fault(&tree, &Limits { pieces_max: 1, ..Limits::DEFAULT }), beyond);
    // The most pieces there can be need no more hashes than can be read.
    const { assert!(20 * Limits::DEFAULT.pieces_max as usize <= Limits::DEFAULT.metainfo_octets_max) };
    const { assert!(BLOCK_OCTETS <= PIECE_OCTETS_MAX) };
}

#[test]
fn files_and_components() {
    let limits = Limits { files_max: 2, path_components_max: 3, ..Limits::DEFAULT };
    let list = |count: usize| multi_v1((0..count).map(|index| file(&[&index.to_string()], 1)).collect());
    assert_eq!(fault(&list(2), &limits), None);
    assert_eq!(fault(&list(3), &limits), Some(("info.files".into(), Fault::TooMuch(2))));
    let tree = |count: usize| {
        let names: Vec<_> = (0..count).map(|index| index.to_string()).collect();
        v2(Item::dictionary(names.iter().map(|name| (name.as_str(), leaf(1, 1)))))
    };
    assert_eq!(fault(&tree(2), &limits), None);
    assert_eq!(fault(&tree(3), &limits), Some(("info.file tree".into(), Fault::TooMuch(2))));

    assert_eq!(fault(&multi_v1(vec![file(&["a"; 3], 1)]), &limits), None);
    let deep = Some(("info.files[0].path".into(), Fault::TooMuch(3)));
    assert_eq!(fault(&multi_v1(vec![file(&["a"; 4], 1)]), &limits), deep);
    let nested = |depth: usize| (0..depth).fold(leaf(1, 1), |inner, _| Item::dictionary([("a", inner)]));
    assert_eq!(fault(&v2(nested(3)), &limits), None);
    assert_eq!(fault(&v2(nested(4)), &limits), Some(("info.file tree.a.a.a".into(), Fault::TooMuch(3))));
    // The deepest tree that is accepted can be read within the depth of values.
    assert_eq!(fault(&v2(nested(Limits::DEFAULT.path_components_max)), &Limits::DEFAULT), None);
}

#[test]
fn renames() {
    let limits = Limits { renames_max: 3, ..Limits::DEFAULT };
    let same = |count: usize| multi_v1((0..count).map(|_| file(&["a"], 1)).collect());
    assert_eq!(fault(&same(4), &limits), None);
    assert_eq!(fault(&same(5), &limits), Some(("info".into(), Fault::Names)));
}

#[test]
fn addresses_beyond_the_bound_are_passed_over() {
    let limits = Limits { trackers_max: 3, web_seeds_max: 2, nodes_max: 1, ..Limits::DEFAULT };
    let address = |index: usize| format!("http://{index}.test/");
    let addresses: Vec<_> = (0..9).map(address).collect();
    let list = || Item::List(addresses.iter().map(|address| address.as_str().into()).collect());
    let node = Item::List(vec!["n".into(), 1.into()]);
    let read = |tiers: Vec<Item>| {
        let octets = document(
            &single_v1(),
            [
                ("announce-list", Item::List(tiers)),
                ("url-list", list()),
                ("httpseeds", list()),
                ("nodes", Item::List(vec![node.clone(), node.clone()])),
            ],
        );
        Metainfo::parse(&octets, &limits).expect("a torrent")
    };
    let metainfo = read(vec![list(), list()]);
    assert_eq!(metainfo.trackers, [addresses[..3].to_vec()]);
    assert_eq!((metainfo.web_seeds.len(), metainfo.http_seeds.len(), metainfo.nodes.len()), (2, 2, 1));

    let tracker = |octets: usize| {
        let address = format!("udp://{}", "x".repeat(octets - 6));
        let octets = document(&single_v1(), [("announce", address.as_str().into())]);
        Metainfo::parse(&octets, &Limits::DEFAULT).expect("a torrent").trackers.len()
    };
    assert_eq!((tracker(URL_OCTETS_MAX), tracker(URL_OCTETS_MAX + 1)), (1, 0));
}
