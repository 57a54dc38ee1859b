//! What the disk does to a torrent: full, moved, gone over by a restart.

mod rig;

use bittorrent::metainfo::{Metainfo, Version};
use bittorrent_node::{ControlError, Options, Rates, Stage, What};
use rig::{Side, content, torrent, until, write_files};
use std::path::Path;
use std::process::Command;

const FILES: [usize; 3] = [300_000, 200_000, 500_000];

/// Where the test that needs a full disk finds one.
const SMALL_DISK: &str = "UTOPIA_TEST_SMALL_DISK";

async fn seed(version: Version) -> (Side, Metainfo) {
    let side = Side::start().await;
    let metainfo = torrent(&FILES, version);
    write_files(&side.files(), &FILES);
    let handle = side.add(&metainfo, side.options()).await;
    until(&handle, |now| now.stage == Stage::Seeding).await;
    (side, metainfo)
}

fn all_is_right(folder: &Path) {
    for (index, octets) in FILES.iter().enumerate() {
        let read = std::fs::read(folder.join("film").join(index.to_string())).expect("a file");
        assert!(read == content(index, *octets), "file {index}");
    }
}

/// A real file system with room for half of the torrent, in a mount namespace of
/// its own, in which the test below runs.
#[test]
fn a_full_disk_pauses_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let mount =
        "mount -t tmpfs -o size=600k none \"$1\" && exec \"$2\" --exact on_a_small_disk --include-ignored";
    let test = std::env::current_exe().expect("a test");
    let mut inner = Command::new("unshare");
    inner.args(["--mount", "sh", "-c", mount, "sh"]).arg(folder.path()).arg(test);
    let output = inner.env(SMALL_DISK, folder.path()).output().expect("unshare");
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("Operation not permitted") || said.contains("permission denied") {
        println!("skipped: no file system may be mounted here");
        return;
    }
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
#[ignore = "runs within a_full_disk_pauses_and_nothing_is_lost"]
async fn on_a_small_disk() {
    let Ok(small) = std::env::var(SMALL_DISK) else { return };
    let small = Path::new(&small);
    let (seed, metainfo) = seed(Version::Hybrid).await;
    let leecher = Side::start().await;
    // Something is on the disk that makes room when it goes.
    std::fs::write(small.join("ballast"), vec![1; 200_000]).expect("written");
    let options = Options { folder: small.to_owned(), peers: vec![seed.address()], ..leecher.options() };
    let handle = leecher.add(&metainfo, options).await;
    let now = until(&handle, |now| matches!(now.stage, Stage::Paused(_))).await;
    assert!(matches!(&now.stage, Stage::Paused(why) if why.contains("no room left")), "{:?}", now.stage);
    // It goes on by command only, and pauses again while there is no room.
    handle.resume().await.expect("resumed");
    until(&handle, |now| now.stage == Stage::Downloading).await;
    handle.add_peers(vec![seed.address()]).await;
    until(&handle, |now| matches!(now.stage, Stage::Paused(_))).await;
    let full = until(&handle, |now| now.connections == 0).await;
    std::fs::remove_file(small.join("ballast")).expect("removed");
    let remounted = Command::new("mount").args(["-o", "remount,size=4m"]).arg(small).status().expect("mount");
    assert!(remounted.success());
    handle.resume().await.expect("resumed");
    let now = until(&handle, |now| now.stage == Stage::Seeding).await;
    assert!(full.have_pieces > 0 && now.bad_pieces == 0);
    // What was here before was not fetched again.
    let fetched = now.received_octets - full.received_octets;
    // The last block of each file comes with the padding behind it.
    let padding = FILES.len() as u64 * 16_384;
    assert!(fetched <= full.left_octets + padding + now.wasted_octets, "{fetched} of {}", full.left_octets);
    all_is_right(small);
    // Nor is anything else than was noted found by a check.
    handle.recheck().await.expect("begun");
    let now = until(&handle, |now| now.stage == Stage::Seeding).await;
    assert_eq!(now.have_pieces, now.pieces);
}

#[tokio::test]
async fn files_move_while_pieces_come_and_a_restart_finds_them() {
    let (seed, metainfo) = seed(Version::V1).await;
    let leecher = Side::start().await;
    let elsewhere = leecher.folder.path().join("elsewhere");
    let limit = Some(400_000);
    let options = Options { peers: vec![seed.address()], download_per_second: limit, ..leecher.options() };
    let handle = leecher.add(&metainfo, options.clone()).await;
    until(&handle, |now| now.have_pieces > 2).await;
    handle.move_files(elsewhere.clone()).await.expect("moved");
    assert!(!leecher.files().join("film").exists());
    handle.set_rates(Rates::default()).await.expect("not limited");
    until(&handle, |now| now.stage == Stage::Seeding).await;
    all_is_right(&elsewhere);
    handle.rename("film/0".into(), "zero".to_owned()).await.expect("renamed");
    handle.rename("film".into(), "movie".to_owned()).await.expect("renamed");
    assert!(elsewhere.join("movie/zero").exists() && handle.progress().borrow().name == "movie");
    handle.rename("movie/zero".into(), "0".to_owned()).await.expect("renamed");
    handle.rename("movie".into(), "film".to_owned()).await.expect("renamed");
    handle.rename("film/2".into(), "two".to_owned()).await.expect("renamed");
    // A file in the way: all stays where it is.
    std::fs::create_dir_all(leecher.files().join("film")).expect("a folder");
    std::fs::write(leecher.files().join("film/1"), "mine").expect("written");
    let refused = handle.move_files(leecher.files()).await;
    assert!(matches!(refused, Err(ControlError::Disk(_))), "{refused:?}");
    assert!(elsewhere.join("film/two").exists());
    // Who still names the old folder finds them.
    let Side { engine, folder, .. } = leecher;
    engine.stop().await;
    let again = Side::in_folder(folder).await;
    let handle = again.add(&metainfo, Options { peers: Vec::new(), ..options }).await;
    let now = until(&handle, |now| now.stage == Stage::Seeding).await;
    assert_eq!(now.received_octets, 0);
    handle.recheck().await.expect("begun");
    until(&handle, |now| now.stage == Stage::Seeding).await;
    handle.rename("film/two".into(), "2".to_owned()).await.expect("renamed");
    all_is_right(&elsewhere);
    // Unless it is said that they are there after all.
    std::fs::remove_dir_all(again.files()).expect("removed");
    std::fs::create_dir_all(again.files()).expect("a folder");
    std::fs::rename(elsewhere.join("film"), again.files().join("film")).expect("moved by hand");
    handle.find_files(again.files()).await.expect("begun");
    until(&handle, |now| now.stage == Stage::Seeding && now.have_pieces == now.pieces).await;
}

#[tokio::test]
async fn what_a_link_is_about_is_known_to_the_next_run() {
    for version in [Version::V1, Version::V2] {
        let (seed, metainfo) = seed(version).await;
        let leecher = Side::start().await;
        let options = Options { peers: vec![seed.address()], ..leecher.options() };
        let link = What::Magnet(Box::new(metainfo.magnet()));
        let handle = leecher.engine.add(link.clone(), options).await.expect("added");
        until(&handle, |now| now.stage == Stage::Seeding).await;
        all_is_right(&leecher.files());
        let Side { engine, folder, .. } = leecher;
        engine.stop().await;
        // Nobody is asked this time.
        let again = Side::in_folder(folder).await;
        let handle = again.engine.add(link, again.options()).await.expect("added");
        let now = until(&handle, |now| now.stage == Stage::Seeding).await;
        assert_eq!((now.have_pieces, now.received_octets), (now.pieces, 0));
    }
}

#[tokio::test]
async fn what_the_disk_refuses_is_said_and_tried_again_by_command() {
    let side = Side::start().await;
    let metainfo = torrent(&FILES, Version::V1);
    write_files(&side.files(), &FILES);
    let file = side.files().join("film/1");
    std::fs::remove_file(&file).expect("removed");
    std::fs::create_dir(&file).expect("a folder in its place");
    let handle = side.add(&metainfo, side.options()).await;
    let now = until(&handle, |now| matches!(now.stage, Stage::Paused(_))).await;
    assert!(matches!(&now.stage, Stage::Paused(why) if why.contains("film/1")), "{:?}", now.stage);
    std::fs::remove_dir(&file).expect("removed");
    std::fs::write(&file, content(1, FILES[1])).expect("written");
    handle.resume().await.expect("resumed");
    until(&handle, |now| now.stage == Stage::Seeding).await;
}

#[tokio::test]
async fn files_that_are_taken_away_while_they_come_are_not_said_to_be_here() {
    let (seed, metainfo) = seed(Version::Hybrid).await;
    let leecher = Side::start().await;
    let options =
        Options { peers: vec![seed.address()], download_per_second: Some(400_000), ..leecher.options() };
    let handle = leecher.add(&metainfo, options).await;
    until(&handle, |now| now.have_pieces > 2).await;
    let elsewhere = leecher.folder.path().join("elsewhere");
    std::fs::rename(leecher.files(), &elsewhere).expect("moved by hand");
    handle.set_rates(Rates::default()).await.expect("not limited");
    let stopped = |stage: &Stage| matches!(stage, Stage::Paused(why) if why.contains("was taken away"));
    let now = until(&handle, |now| stopped(&now.stage) || now.stage == Stage::Seeding).await;
    assert!(stopped(&now.stage), "{:?}", now.stage);
    // Nor when it is told to go on, until they are back.
    handle.resume().await.expect("resumed");
    let now = until(&handle, |now| stopped(&now.stage) || now.stage == Stage::Seeding).await;
    assert!(stopped(&now.stage), "{:?}", now.stage);
    // A check finds what is missing, and it comes again.
    handle.recheck().await.expect("begun");
    handle.add_peers(vec![seed.address()]).await;
    until(&handle, |now| now.stage == Stage::Seeding).await;
    all_is_right(&leecher.files());
}

#[tokio::test]
async fn a_seed_whose_file_was_cut_short_says_so_and_a_check_finds_what_is_left() {
    let (seed, metainfo) = seed(Version::Hybrid).await;
    let file = std::fs::OpenOptions::new().write(true).open(seed.files().join("film/2")).expect("a file");
    file.set_len(200_000).expect("cut short");
    let seeding = seed.engine.torrents().await.expect("torrents").remove(0);
    let leecher = Side::start().await;
    let options = Options { peers: vec![seed.address()], ..leecher.options() };
    let handle = leecher.add(&metainfo, options).await;
    let now = until(&seeding, |now| matches!(now.stage, Stage::Paused(_))).await;
    assert!(
        matches!(&now.stage, Stage::Paused(why) if why.contains("film/2: it is shorter")),
        "{:?}",
        now.stage
    );
    seeding.recheck().await.expect("begun");
    let now = until(&seeding, |now| now.stage == Stage::Downloading).await;
    assert!(now.have_pieces < now.pieces && now.have_pieces > 0, "{now:?}");
    handle.add_peers(vec![seed.address()]).await;
    until(&handle, |after| after.have_pieces == now.have_pieces).await;
}

#[tokio::test]
async fn what_a_link_to_a_v2_torrent_is_about_may_be_here_already() {
    let (seed, metainfo) = seed(Version::V2).await;
    let leecher = Side::start().await;
    write_files(&leecher.files(), &FILES);
    let options = Options { peers: vec![seed.address()], ..leecher.options() };
    let link = What::Magnet(Box::new(metainfo.magnet()));
    let handle = leecher.engine.add(link, options).await.expect("added");
    let now = until(&handle, |now| now.stage == Stage::Seeding).await;
    assert!(now.received_octets < 100_000, "{now:?}");
}

#[tokio::test]
async fn what_lies_in_the_place_of_a_file_and_is_something_else_stays_until_it_may_go() {
    let (seed, metainfo) = seed(Version::Hybrid).await;
    let folder = |leecher: &Side| leecher.files().join("film");
    let leecher = Side::start().await;
    let options = Options { peers: vec![seed.address()], ..leecher.options() };
    let mine = "a letter to my mother";
    std::fs::create_dir_all(folder(&leecher)).expect("a folder");
    std::fs::write(folder(&leecher).join("1"), mine).expect("written");
    let handle = leecher.add(&metainfo, options.clone()).await;
    let now = until(&handle, |now| matches!(now.stage, Stage::Paused(_))).await;
    let Stage::Paused(why) = &now.stage else { panic!("paused") };
    assert!(why.contains("film/1 is there, and nothing of it is the torrent's"), "{why}");
    assert_eq!(std::fs::read(folder(&leecher).join("1")).expect("read"), mine.as_bytes());
    assert!(!folder(&leecher).join("0").exists());
    // To look at it again is not to agree.
    handle.recheck().await.expect("begun");
    until(&handle, |now| matches!(now.stage, Stage::Paused(_))).await;
    assert_eq!(std::fs::read(folder(&leecher).join("1")).expect("read"), mine.as_bytes());
    handle.resume().await.expect("resumed");
    handle.add_peers(vec![seed.address()]).await;
    until(&handle, |now| now.stage == Stage::Seeding).await;
    all_is_right(&leecher.files());
    // Longer than it ought to be, though all that ought to be is there.
    handle.remove(bittorrent_node::Data::Keep).await.expect("removed");
    let file = folder(&leecher).join("1");
    let mut more = std::fs::read(&file).expect("read");
    more.extend_from_slice(mine.as_bytes());
    std::fs::write(&file, &more).expect("written");
    let handle = leecher.add(&metainfo, options.clone()).await;
    let now = until(&handle, |now| matches!(now.stage, Stage::Paused(_))).await;
    let Stage::Paused(why) = &now.stage else { panic!("paused") };
    assert!(why.contains("film/1 is 21 octets longer than the torrent says"), "{why}");
    assert_eq!(std::fs::read(&file).expect("read"), more);
    handle.remove(bittorrent_node::Data::Keep).await.expect("removed");
    // Seeded it is neither.
    let handle = leecher.add(&metainfo, Options { seeds_only: true, ..options.clone() }).await;
    until(&handle, |now| matches!(now.stage, Stage::Paused(_))).await;
    handle.remove(bittorrent_node::Data::Keep).await.expect("removed");
    let handle = leecher.add(&metainfo, Options { overwrite: true, ..options }).await;
    until(&handle, |now| now.stage == Stage::Seeding).await;
    all_is_right(&leecher.files());
}

#[tokio::test]
async fn what_an_earlier_run_left_is_its_own_however_little_is_right() {
    let (seed, metainfo) = seed(Version::Hybrid).await;
    let leecher = Side::start().await;
    let options = leecher.options();
    // It has begun, and was cut off before there was a piece.
    let handle = leecher.add(&metainfo, options.clone()).await;
    until(&handle, |now| now.stage == Stage::Downloading).await;
    let note = || std::fs::read_dir(leecher.data.join("torrents")).is_ok_and(|mut all| all.next().is_some());
    while !note() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let Side { engine, folder, .. } = leecher;
    engine.stop().await;
    std::fs::create_dir_all(folder.path().join("files/film")).expect("a folder");
    std::fs::write(folder.path().join("files/film/1"), [0; 1_000]).expect("written");
    let leecher = Side::in_folder(folder).await;
    let handle = leecher.add(&metainfo, Options { peers: vec![seed.address()], ..options }).await;
    until(&handle, |now| now.stage == Stage::Seeding).await;
    all_is_right(&leecher.files());
}

#[tokio::test]
async fn what_lies_in_the_place_of_a_file_that_is_not_wanted_stays() {
    let (seed, metainfo) = seed(Version::Hybrid).await;
    let folder = |leecher: &Side| leecher.files().join("film");
    let mine = "a letter to my mother";
    let others = Side::start().await;
    std::fs::create_dir_all(folder(&others)).expect("a folder");
    std::fs::write(folder(&others).join("1"), mine).expect("written");
    let selection = Some("0".parse().expect("a selection"));
    let peers = vec![seed.address()];
    let first = others.add(&metainfo, Options { peers, selection, ..others.options() }).await;
    until(&first, |now| now.stage == Stage::Seeding).await;
    assert_eq!(std::fs::read(folder(&others).join("1")).expect("read"), mine.as_bytes());
    // Not even one that is too long, where all may be overwritten.
    first.remove(bittorrent_node::Data::Delete).await.expect("removed");
    let longer = vec![7; FILES[1] + 1];
    std::fs::create_dir_all(folder(&others)).expect("a folder");
    std::fs::write(folder(&others).join("1"), &longer).expect("written");
    let (peers, selection) = (vec![seed.address()], Some("0".parse().expect("a selection")));
    let options = Options { peers, selection, overwrite: true, ..others.options() };
    let first = others.add(&metainfo, options).await;
    until(&first, |now| now.stage == Stage::Seeding).await;
    assert!(std::fs::read(folder(&others).join("1")).expect("read") == longer);
}
