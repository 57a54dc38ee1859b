//! Padding of hybrid torrents (BEP 47): nobody sends it, and nobody counts it.

mod rig;

use bittorrent::metainfo::Version;
use bittorrent_node::{Options, Stage};
use rig::{Side, content, torrent, until, write_files};

/// In pieces of four blocks: a part of one, two and a part, and four and a part.
const FILES: [usize; 4] = [3_000, 40_000, 70_000, 1];

#[tokio::test]
async fn small_files_come_without_the_padding_behind_them() {
    let metainfo = torrent(&FILES, Version::Hybrid);
    let seed = Side::start().await;
    write_files(&seed.files(), &FILES);
    let handle = seed.add(&metainfo, seed.options()).await;
    let now = until(&handle, |now| now.stage == Stage::Seeding).await;
    let octets: u64 = FILES.iter().map(|octets| *octets as u64).sum();
    assert_eq!((now.total_octets, now.have_octets, now.left_octets), (octets, octets, 0));
    let leecher = Side::start().await;
    let options = Options { peers: vec![seed.address()], ..leecher.options() };
    let handle = leecher.add(&metainfo, options).await;
    let now = until(&handle, |now| now.stage == Stage::Seeding).await;
    assert_eq!((now.total_octets, now.have_octets, now.left_octets), (octets, octets, 0));
    // Blocks are whole but for the last of the torrent; five pieces are of 17.
    let blocks = 1 + 3 + 4 + 1;
    assert_eq!(now.received_octets - now.wasted_octets, blocks * 16_384 + 1);
    for (index, octets) in FILES.iter().enumerate() {
        let file = std::fs::read(leecher.files().join("film").join(index.to_string())).expect("a file");
        assert!(file == content(index, *octets));
    }
    handle.recheck().await.expect("checked");
    let now = until(&handle, |now| now.stage == Stage::Seeding).await;
    assert_eq!(now.have_pieces, now.pieces);
}
