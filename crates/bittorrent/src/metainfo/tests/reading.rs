//! Torrents as they should be, and as they are in the field.

use super::*;
use crate::metainfo::{FileKind, Info, InfoHashV1, InfoHashV2, web_seed_url};

/// Paths below the torrent's folder.
fn paths(metainfo: &Metainfo) -> Vec<String> {
    metainfo.info.layout().files().iter().map(|file| file.path.join("/")).collect()
}

#[test]
fn a_single_file_of_v1() {
    let info = single_v1();
    let metainfo = parse(&info).expect("a torrent");
    let layout = metainfo.info.layout();
    assert_eq!((layout.name(), layout.folder(), layout.version()), ("name", None, Version::V1));
    assert_eq!((layout.total_octets(), layout.piece_count()), (20_000, 2));
    assert_eq!((layout.piece_octets(0), layout.piece_octets(1), layout.piece_octets(2)), (16_384, 3_616, 0));
    assert_eq!(paths(&metainfo), ["name"]);
    let octets = Item::Dictionary(info).encode();
    assert_eq!(metainfo.info.octets(), octets);
    assert_eq!(metainfo.info.hashes().v1, Some(InfoHashV1::of(&octets)));
    assert_eq!(metainfo.info.hashes().v2, None);
    assert_eq!(metainfo.info.piece_hash_v1(1), Some([7; 20]));
    assert_eq!(metainfo.info.piece_hash_v1(2), None);
    assert_eq!(metainfo.info.piece_hash_v1(u32::MAX), None);
    assert_eq!(Info::parse(&octets, &Limits::DEFAULT).as_ref(), Ok(&metainfo.info));
}

#[test]
fn keys_of_v1_may_be_out_of_order_and_their_octets_count() {
    let octets = b"d4:infod6:lengthi5e12:piece lengthi16384e6:pieces20:AAAAAAAAAAAAAAAAAAAA4:name1:xee\r\n";
    let metainfo = Metainfo::parse(octets, &Limits::DEFAULT).expect("a torrent");
    let info = octets.get(7..octets.len() - 3).expect("the info dictionary");
    assert_eq!(metainfo.info.hashes().v1, Some(InfoHashV1::of(info)));
    assert_eq!(metainfo.info.octets(), info);
    assert_eq!(metainfo.info.piece_hash_v1(0).as_ref(), Some(b"AAAAAAAAAAAAAAAAAAAA"));
}

#[test]
fn everything_beside_the_info_dictionary_is_read_and_written() {
    let mut info = multi_v1(vec![file(&["a b", "c"], 1)]);
    info.extend(entries([("private", 1.into()), ("source", "SITE".into())]));
    let tiers = Item::List(vec![
        strings(&["http://one.test/announce", " udp://two.test:6969"]),
        strings(&["gopher://three.test", "x"]),
        strings(&["https://four.test/a"]),
    ]);
    let node = |host: &str, port: i64| Item::List(vec![host.into(), port.into()]);
    let octets = document(
        &info,
        [
            ("announce", "http://zero.test/announce".into()),
            ("announce-list", tiers),
            (
                "url-list",
                strings(&["http://seed.test/my files", "ftp://no.test/", "http://seed.test/my files"]),
            ),
            ("httpseeds", strings(&["http://seed.test/script.php"])),
            (
                "nodes",
                Item::List(vec![node("router.test", 6881), node("x", 0), node("", 1), node("y", 65_536)]),
            ),
            ("comment", "a comment".into()),
            ("created by", b"latin \xe9".as_slice().into()),
            ("creation date", 1_234_567.into()),
        ],
    );
    let metainfo = Metainfo::parse(&octets, &Limits::DEFAULT).expect("a torrent");
    let two_tiers = vec![
        vec!["http://one.test/announce".to_owned(), "udp://two.test:6969".to_owned()],
        vec!["https://four.test/a".to_owned()],
    ];
    assert_eq!(metainfo.trackers, two_tiers);
    assert_eq!(metainfo.web_seeds, ["http://seed.test/my%20files/"]);
    assert_eq!(metainfo.http_seeds, ["http://seed.test/script.php"]);
    assert_eq!(metainfo.nodes, [("router.test".to_owned(), 6881)]);
    assert_eq!(metainfo.comment.as_deref(), Some("a comment"));
    assert_eq!(metainfo.created_by.as_deref(), Some("latin \u{fffd}"));
    assert_eq!(metainfo.creation_date_seconds, Some(1_234_567));
    assert!(metainfo.info.is_private());
    assert_eq!(metainfo.info.source(), Some("SITE"));
    let layout = metainfo.info.layout();
    let url = web_seed_url(&metainfo.web_seeds[0], layout, 0);
    assert_eq!(url.as_deref(), Some("http://seed.test/my%20files/name/a%20b/c"));
    assert_eq!(web_seed_url("http://x/", layout, 1), None);
    assert_eq!(Metainfo::parse(&metainfo.encode(), &Limits::DEFAULT), Ok(metainfo));
}

#[test]
fn one_tracker_and_one_web_seed_may_stand_alone() {
    let octets = document(
        &single_v1(),
        [("announce", "udp://t.test:1".into()), ("url-list", "http://w.test/f".into())],
    );
    let metainfo = Metainfo::parse(&octets, &Limits::DEFAULT).expect("a torrent");
    assert_eq!(metainfo.trackers, [["udp://t.test:1"]]);
    assert_eq!(metainfo.web_seeds, ["http://w.test/f"]);
    let layout = metainfo.info.layout();
    assert_eq!(web_seed_url("http://w.test/f", layout, 0).as_deref(), Some("http://w.test/f"));
    assert_eq!(web_seed_url("http://w.test/", layout, 0).as_deref(), Some("http://w.test/name"));
}

#[test]
fn hostile_paths_are_made_harmless() {
    let metainfo = parse(&multi_v1(vec![
        file(&["..", "..", "etc", "passwd"], 1),
        file(&["/etc/passwd"], 1),
        file(&["a\\..\\b"], 1),
        file(&["", "."], 1),
        file(&["nul\0", "\u{202e}fdp.exe"], 1),
    ]))
    .expect("a torrent");
    assert_eq!(paths(&metainfo), ["_/_/etc/passwd", "etcpasswd", "a..b", "_/_.1", "nul_/fdp.exe"]);
    // Web seeds are asked for the names as they are.
    let url = web_seed_url("http://w.test/", metainfo.info.layout(), 2);
    assert_eq!(url.as_deref(), Some("http://w.test/name/a%5C..%5Cb"));

    let mut info = single_v1();
    info.insert(b"name".to_vec(), "/etc/../passwd".into());
    assert_eq!(paths(&parse(&info).expect("a torrent")), ["etc..passwd"]);
    let mut info = multi_v1(vec![file(&["a"], 1)]);
    info.insert(b"name".to_vec(), "..".into());
    let metainfo = parse(&info).expect("a torrent");
    assert_eq!(metainfo.info.name(), metainfo.info.hashes().v1.expect("a hash").to_string());
}

#[test]
fn the_name_that_is_known_to_be_utf_8_is_preferred() {
    let mut entry =
        entries([("length", 1.into()), ("path", strings(&["?"])), ("path.utf-8", strings(&["é"]))]);
    let mut info = multi_v1(vec![Item::Dictionary(entry.clone())]);
    info.insert(b"name.utf-8".to_vec(), "ü".into());
    let metainfo = parse(&info).expect("a torrent");
    assert_eq!((metainfo.info.name(), paths(&metainfo)), ("ü", vec!["é".into()]));
    entry.insert(b"path.utf-8".to_vec(), 1.into());
    assert_eq!(paths(&parse(&multi_v1(vec![Item::Dictionary(entry)])).expect("a torrent")), ["?"]);
}

#[test]
fn attributes_padding_and_symlinks_of_bep_47() {
    let entry = |attributes: &str, path: &[&str], more: Vec<(&'static str, Item)>| {
        let mut entry =
            entries([("attr", attributes.into()), ("length", 10.into()), ("path", strings(path))]);
        entry.extend(entries(more));
        Item::Dictionary(entry)
    };
    let mut pathless = entries([("attr", "p".into()), ("length", 10.into())]);
    let metainfo = parse(&multi_v1(vec![
        entry("xh", &["run"], vec![]),
        entry("p", &["pad"], vec![]),
        Item::Dictionary(pathless.clone()),
        file(&["_____padding_file_0_"], 10),
        entry("l", &["link"], vec![("symlink path", strings(&["..", "folder", "file"]))]),
        file(&["folder", "file"], 10),
        entry("l", &["out"], vec![("symlink path", strings(&["..", "..", "etc", "passwd"]))]),
        entry("l", &["nowhere"], vec![]),
    ]))
    .expect("a torrent");
    let files = metainfo.info.layout().files();
    assert!(files[0].executable && files[0].hidden && files[0].kind == FileKind::Regular);
    assert!(files[1..4].iter().all(|file| file.kind == FileKind::Padding && !file.executable));
    assert_eq!(files[2].path, [".pad", "10"]);
    assert_eq!(files[4].kind, FileKind::Symlink(vec!["folder".into(), "file".into()]));
    assert_eq!((files[4].length, files[5].offset), (0, 40));
    assert_eq!(files[6].kind, FileKind::DeadSymlink);
    assert_eq!((&files[7].kind, files[7].length), (&FileKind::Regular, 0));
    assert_eq!(metainfo.info.layout().content_octets(), 20);
    pathless.remove(b"attr".as_slice());
    assert!(parse(&multi_v1(vec![Item::Dictionary(pathless)])).is_err());
}

#[test]
fn a_file_tree_is_read_in_order() {
    let tree = Item::dictionary([
        ("b", leaf(20_000, 1)),
        (
            "a",
            Item::dictionary([("z", leaf(5, 2)), ("empty folder", Item::dictionary([])), ("..", leaf(3, 3))]),
        ),
    ]);
    let info = v2(tree);
    let metainfo = parse(&info).expect("a torrent");
    assert_eq!(paths(&metainfo), ["a/_", "a/z", "b"]);
    let layout = metainfo.info.layout();
    assert_eq!((layout.version(), layout.folder(), layout.piece_count()), (Version::V2, Some("name"), 4));
    let pieces: Vec<_> = (0..5).map(|piece| layout.piece_octets(piece)).collect();
    assert_eq!(pieces, [3, 5, 16_384, 3_616, 0]);
    let octets = Item::Dictionary(info).encode();
    assert_eq!(metainfo.info.hashes().v2, Some(InfoHashV2::of(&octets)));
    assert_eq!(metainfo.info.hashes().v1, None);
    // Without piece layers it is as if it came from peers.
    assert_eq!(metainfo.piece_layers.missing(layout).collect::<Vec<_>>(), [2]);
    assert_eq!(metainfo.piece_layers.piece_hash(layout, 0), Some(([3; 32], 0)));
    assert_eq!(metainfo.piece_layers.piece_hash(layout, 2), None);

    let single = parse(&v2(Item::dictionary([("f", leaf(20_000, 1))]))).expect("a torrent");
    assert_eq!((single.info.layout().folder(), single.info.name()), (None, "f"));
}

#[test]
fn hybrid_torrents_may_have_padding_at_their_end_or_not() {
    let tree = Item::dictionary([("a", leaf(5, 1)), ("b", leaf(7, 2)), ("c", leaf(0, 0))]);
    let padding = |length: i64| {
        Item::dictionary([("attr", "p".into()), ("length", length.into()), ("path", strings(&[".pad", "x"]))])
    };
    let mut files = vec![file(&["a"], 5), padding(16_379), file(&["b"], 7), file(&["c"], 0)];
    let hybrid = |files: Vec<Item>| {
        let mut info = v2(tree.clone());
        info.extend(multi_v1(files));
        info.insert(b"pieces".to_vec(), vec![7; 40].into());
        parse(&info)
    };
    let short = hybrid(files.clone()).expect("a torrent");
    assert_eq!((short.info.layout().version(), short.info.layout().piece_octets(1)), (Version::Hybrid, 7));
    assert!(short.info.hashes().v1.is_some() && short.info.hashes().v2.is_some());
    files.push(padding(16_377));
    let layout = hybrid(files.clone()).expect("a torrent").info.layout().clone();
    assert_eq!((layout.piece_octets(1), layout.piece_content_octets(1)), (16_384, 7));
    files.push(padding(1));
    assert!(hybrid(files).is_err());
}
