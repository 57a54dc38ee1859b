//! Links to torrents.

use super::*;
use crate::metainfo::{
    FileSelection, InfoHashV1, InfoHashV2, InfoHashes, MAGNET_ADDRESSES_MAX, MAGNET_OCTETS_MAX, Magnet,
    MagnetError, MutableItem,
};
use proptest::prelude::*;

const V1: &str = "magnet:?xt=urn:btih:cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd";

fn magnet(link: &str) -> Magnet {
    link.parse().expect(link)
}

fn refused(link: &str) -> MagnetError {
    link.parse::<Magnet>().expect_err(link)
}

#[test]
fn info_hashes_of_every_kind() {
    let v1 = Some(InfoHashV1([0xcd; 20]));
    assert_eq!(magnet(V1).hashes, InfoHashes { v1, v2: None });
    assert_eq!(magnet("MAGNET:?XT=URN%3abtih%3ACDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDC%64").hashes.v1, v1);
    let base32 = magnet("magnet:?xt=urn:btih:MFRGCYTBMJQWEYLCMFRGCYTBMJQWEYLC").hashes.v1;
    assert_eq!(base32, Some(InfoHashV1(*b"abababababababababab")));
    let v2 = format!("xt.1=urn:btmh:1220{}", "ef".repeat(32));
    let hybrid = magnet(&format!("{V1}&{v2}"));
    assert_eq!(hybrid.hashes, InfoHashes { v1, v2: Some(InfoHashV2([0xef; 32])) });
    assert_eq!(magnet(&format!("magnet:?{v2}")).hashes.v1, None);
}

#[test]
fn everything_else_in_a_link() {
    let link = magnet(&format!(
        "{V1}&dn=a+file%20%C3%A9&tr=http%3A%2F%2Ft.test%2Fannounce%3Fa%3Db%26c&tr.1=udp://u.test:6969&amp;ws=\
         https://w.test/f&x.pe=192.0.2.1:6881&x.pe=[2001:db8::1]:6882&x.pe=host.test:6883&so=0,2,4,6-8&xl=7&x"
    ));
    assert_eq!(link.name.as_deref(), Some("a file é"));
    assert_eq!(link.trackers, ["http://t.test/announce?a=b&c", "udp://u.test:6969"]);
    assert_eq!(link.web_seeds, ["https://w.test/f"]);
    let peers = [("192.0.2.1", 6881), ("2001:db8::1", 6882), ("host.test", 6883)];
    assert_eq!(link.peers, peers.map(|(host, port)| (host.to_owned(), port)));
    assert_eq!(link.selection, Some("0,2,4,6-8".parse().expect("a selection")));
    assert_eq!(magnet(&link.to_string()), link);
    let red = magnet(&format!("{V1}&dn=%1b[31mred%0a%07"));
    assert_eq!(red.name.as_deref(), Some("[31mred"), "no terminal obeys it");
}

#[test]
fn mutable_torrents_need_no_info_hash() {
    let key = "8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e";
    let link = magnet(&format!("magnet:?xs=urn:btpk:{key}&s=6e"));
    let mutable = link.mutable.clone().expect("a key");
    assert_eq!((mutable.public_key[0], mutable.salt.as_slice()), (0x85, b"n".as_slice()));
    assert_eq!(link.to_string(), format!("magnet:?xs=urn:btpk:{key}&s=6e"));
    assert!(matches!(refused("magnet:?xs=urn:btpk:85"), MagnetError::Hash(_)));
    assert!(matches!(refused(&format!("magnet:?xs=urn:btpk:{key}&s=6")), MagnetError::Hash(_)));
    let salt = |octets: usize| format!("magnet:?xs=urn:btpk:{key}&s={}", "00".repeat(octets));
    assert_eq!(magnet(&salt(64)).mutable.expect("a key").salt.len(), 64);
    assert!(matches!(refused(&salt(65)), MagnetError::Hash(_)));
}

#[test]
fn what_is_no_link_to_a_torrent() {
    for link in ["", "magnet", "magnet:", "magnet:xt=urn:btih:cd", "http://x.test/", "magnét:?"] {
        assert_eq!(refused(link), MagnetError::Scheme, "{link}");
    }
    for link in
        ["magnet:?", "magnet:?dn=foo", "magnet:?xt=blah", "magnet:?xt=urn%%3A", "magnet:?xt=urn:sha1:ab"]
    {
        assert_eq!(refused(link), MagnetError::NoTorrent, "{link}");
    }
    for topic in ["btih:abab", "btih:%20abababababababababab", "btmh:1220cd", "btih:"] {
        assert!(matches!(refused(&format!("magnet:?xt=urn:{topic}")), MagnetError::Hash(_)), "{topic}");
    }
    let other_function = format!("magnet:?xt=urn:btmh:1221{}", "cd".repeat(32));
    assert!(matches!(refused(&other_function), MagnetError::Hash(_)));
    assert_eq!(refused(&format!("{V1}&xt=urn:btih:{}", "ab".repeat(20))), MagnetError::TwoTorrents);
    assert_eq!(magnet(&format!("{V1}&{}", &V1["magnet:?".len()..])), magnet(V1));
}

#[test]
fn what_cannot_be_used_is_passed_over() {
    for parameter in [
        "tr=",
        "tr=gopher://x.test",
        "tr=%ff",
        "tr=%2",
        "ws=ftp://x",
        "x.pe=1.2.3.4",
        "x.pe=:1",
        "x.pe=a:0",
        "x.pe=a:65536",
        "x.pe=[1]:2",
        "x.pe=1:2:3",
        "x.pe=a%20b:1",
        "so=",
        "so=2-1",
        "so=x",
        "dn=",
        "\"x=y",
        "=",
        "&&",
        "tr.x=udp://x.test",
    ] {
        assert_eq!(magnet(&format!("{V1}&{parameter}")), magnet(V1), "{parameter}");
    }
    assert_eq!(magnet(&format!("{V1}&dn=%ff")).name.as_deref(), Some("\u{fffd}"));
}

#[test]
fn bounds() {
    let long = |octets: usize| format!("{V1}&dn={}", "x".repeat(octets - V1.len() - 4));
    assert!(long(MAGNET_OCTETS_MAX).parse::<Magnet>().is_ok());
    assert_eq!(refused(&long(MAGNET_OCTETS_MAX + 1)), MagnetError::TooLong);
    let address = |index| format!("&tr=udp://{index}.test&ws=http://{index}.test&x.pe=h{index}:1");
    let addresses: String = (0..=MAGNET_ADDRESSES_MAX).map(address).collect();
    let many = magnet(&format!("{V1}{addresses}"));
    let counts = [many.trackers.len(), many.web_seeds.len(), many.peers.len()];
    assert_eq!(counts, [MAGNET_ADDRESSES_MAX; 3]);
}

#[test]
fn a_torrent_has_a_link() {
    let mut metainfo = made(&[("a", 20_000)], Version::Hybrid, 16_384);
    metainfo.trackers = vec![vec!["udp://t.test:1".into()], vec!["http://t.test/".into()]];
    metainfo.web_seeds = vec!["http://w.test/".into()];
    let link = metainfo.magnet();
    assert_eq!((link.hashes, link.name.as_deref()), (metainfo.info.hashes(), Some("torrent")));
    assert_eq!((link.trackers.len(), link.web_seeds.len()), (2, 1));
    assert_eq!(magnet(&link.to_string()), link);
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same(
        v1: Option<[u8; 20]>, v2: Option<[u8; 32]>, key: Option<[u8; 32]>, salt in prop::collection::vec(any::<u8>(), 0..=64),
        name in prop::option::of("[^\\pC]{1,20}"), tracker in "(udp|https)://[^\\pC]{1,30}", port in 1u16..,
        selection in prop::option::of(prop::collection::vec(0u32..100, 1..5)),
    ) {
        let hashes = InfoHashes { v1: v1.map(InfoHashV1), v2: v2.map(InfoHashV2) };
        let mutable = key.map(|public_key| MutableItem { public_key, salt });
        prop_assume!(!hashes.is_empty() || mutable.is_some());
        let files = |files: Vec<u32>| FileSelection::new(files.into_iter().map(|file| file..=file + 3)).expect("few");
        let peers = vec![("2001:db8::1".into(), port), ("host.test".into(), port)];
        let link = Magnet {
            hashes, mutable, name, trackers: vec![tracker], web_seeds: Vec::new(), peers,
            selection: selection.map(files),
        };
        prop_assert_eq!(link.to_string().parse(), Ok(link));
    }
}
