//! What can be said to torrents while they run.

mod rig;

use bittorrent::metainfo::Version;
use bittorrent::torrent::{Priority, SeedingGoal};
use bittorrent_node::{ControlError, Data, Limits, Options, Rates, Stage, What};
use rig::{Side, content, torrent, until, write_files};

const FILES: [usize; 3] = [300_000, 200_000, 500_000];

/// A seed of [`FILES`], and a leecher that knows of it and has not begun.
async fn pair() -> (Side, Side, bittorrent::metainfo::Metainfo, Options) {
    let (seed, leecher) = (Side::start().await, Side::start().await);
    let metainfo = torrent(&FILES, Version::Hybrid);
    write_files(&seed.files(), &FILES);
    let handle = seed.add(&metainfo, seed.options()).await;
    until(&handle, |now| now.stage == Stage::Seeding).await;
    let options = Options { peers: vec![seed.address()], ..leecher.options() };
    (seed, leecher, metainfo, options)
}

#[tokio::test]
async fn a_torrent_halts_and_goes_on() {
    let (_seed, leecher, metainfo, options) = pair().await;
    let handle = leecher.add(&metainfo, Options { halted: true, ..options }).await;
    let now = until(&handle, |now| now.stage == Stage::Halted).await;
    assert_eq!((now.have_pieces, now.connections), (0, 0));
    handle.set_rates(Rates { download: Some(100_000), upload: None }).await.expect("limited");
    handle.resume().await.expect("resumed");
    until(&handle, |now| now.have_pieces > 0).await;
    handle.pause().await.expect("paused");
    let now = until(&handle, |now| now.connections == 0).await;
    assert_eq!(now.stage, Stage::Halted);
    assert!(now.left_octets > 0);
    handle.set_rates(Rates::default()).await.expect("not limited");
    handle.resume().await.expect("resumed");
    until(&handle, |now| now.stage == Stage::Seeding).await;
    for (index, octets) in FILES.iter().enumerate() {
        let read = std::fs::read(leecher.files().join("film").join(index.to_string())).expect("a file");
        assert_eq!(read, content(index, *octets));
    }
}

#[tokio::test]
async fn files_are_chosen_while_it_runs() {
    let (seed, leecher, metainfo, options) = pair().await;
    let layout = metainfo.info.layout();
    let numbers: Vec<usize> =
        (0..layout.files().len()).filter(|file| !layout.files()[*file].is_padding()).collect();
    let [first, second, third] = numbers[..] else { panic!("three files") };
    let skipped = vec![(first, Priority::Skip), (second, Priority::Skip), (third, Priority::High)];
    let handle = leecher.add(&metainfo, Options { priorities: skipped, ..options }).await;
    until(&handle, |now| now.stage == Stage::Seeding).await;
    let there = |file: &str| leecher.files().join("film").join(file).exists();
    assert!(!there("0") && !there("1") && there("2"));
    let missing = handle.set_files(vec![(first, Priority::Low), (99, Priority::Low)]).await;
    assert_eq!(missing, Err(ControlError::NoFile { file: 99, count: layout.files().len() }));
    handle.set_files(vec![(first, Priority::Low)]).await.expect("chosen");
    handle.add_peers(vec![seed.address()]).await;
    until(&handle, |now| now.stage == Stage::Seeding && now.have_octets == 800_000).await;
    assert!(there("0") && !there("1"));
}

#[tokio::test]
async fn a_recheck_finds_what_is_broken_and_gets_it_again() {
    let (seed, leecher, metainfo, options) = pair().await;
    let handle = leecher.add(&metainfo, options).await;
    until(&handle, |now| now.stage == Stage::Seeding).await;
    let file = leecher.files().join("film/2");
    let times = std::fs::metadata(&file).and_then(|metadata| metadata.modified()).expect("times");
    let mut broken = content(2, FILES[2]);
    broken[100_000] ^= 1;
    std::fs::write(&file, &broken).expect("broken");
    // As a bad disk does it: nothing but the octets tells.
    std::fs::File::options().write(true).open(&file).and_then(|file| file.set_modified(times)).expect("set");
    handle.recheck().await.expect("begun");
    handle.add_peers(vec![seed.address()]).await;
    let now = until(&handle, |now| now.stage == Stage::Seeding).await;
    assert_eq!(now.have_pieces, now.pieces);
    assert_eq!(std::fs::read(&file).expect("read"), content(2, FILES[2]));
}

#[tokio::test]
async fn what_is_removed_is_gone_and_nothing_else() {
    let (_seed, leecher, metainfo, options) = pair().await;
    let folder = leecher.files().join("film");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("mine"), "not the torrent's").expect("written");
    let elsewhere = leecher.folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("a folder");
    let handle = leecher.add(&metainfo, options.clone()).await;
    until(&handle, |now| now.stage == Stage::Seeding).await;
    handle.remove(Data::Keep).await.expect("removed");
    assert!(folder.join("0").exists());
    assert_eq!(std::fs::read_dir(leecher.data.join("torrents")).expect("a folder").count(), 0);
    assert_eq!(handle.pause().await, Err(ControlError::Gone));
    assert!(leecher.engine.torrents().await.expect("a list").is_empty());
    let handle = leecher.add(&metainfo, options).await;
    assert_eq!(leecher.engine.torrents().await.expect("a list").len(), 1);
    until(&handle, |now| now.stage == Stage::Seeding).await;
    handle.remove(Data::Delete).await.expect("removed");
    assert!(!folder.join("0").exists() && !folder.join("2").exists());
    assert!(folder.join("mine").exists() && elsewhere.exists());
}

#[tokio::test]
async fn limits_hold_for_one_and_for_all() {
    let (seed, leecher, metainfo, options) = pair().await;
    let none = Limits { dialling_max: 0, ..Limits::default() };
    leecher.engine.set_limits(none).await.expect("limited");
    let handle = leecher.add(&metainfo, options).await;
    until(&handle, |now| now.stage == Stage::Downloading && now.known_peers == 1).await;
    assert_eq!(handle.progress().borrow().connections, 0);
    let none = Limits { connections_max: 0, ..Limits::default() };
    leecher.engine.set_limits(none).await.expect("limited");
    // Nor is one taken that comes.
    seed.engine.torrents().await.expect("a list")[0].add_peers(vec![leecher.address()]).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(handle.progress().borrow().connections, 0);
    handle.set_connections_max(0).await.expect("limited");
    leecher.engine.set_limits(Limits::default()).await.expect("not limited");
    handle.set_sequential(true).await.expect("sequential");
    assert_eq!(handle.progress().borrow().connections, 0);
    handle.set_connections_max(10).await.expect("not limited");
    until(&handle, |now| now.stage == Stage::Seeding).await;
    // It has sent nothing, and has seeded enough all the same.
    let goal = SeedingGoal { span: Some(std::time::Duration::ZERO), ..SeedingGoal::default() };
    handle.set_seeding_goal(goal).await.expect("a goal");
    until(&handle, |now| now.stage == Stage::Done).await;
    handle.set_seeding_goal(SeedingGoal::default()).await.expect("no goal");
    until(&handle, |now| now.stage == Stage::Seeding).await;
}

#[tokio::test]
async fn a_link_knows_no_files_yet_and_bad_trackers_are_refused() {
    let side = Side::start().await;
    let magnet = torrent(&FILES, Version::V1).magnet();
    let handle = side.engine.add(What::Magnet(Box::new(magnet)), side.options()).await.expect("added");
    assert_eq!(handle.set_files(vec![(0, Priority::Skip)]).await, Err(ControlError::NoMetadata));
    assert_eq!(handle.recheck().await, Err(ControlError::NoMetadata));
    let bad = handle.add_trackers(vec!["gopher://tracker.test/".to_owned()]).await;
    assert!(matches!(bad, Err(ControlError::Tracker { .. })));
    handle.add_trackers(vec!["udp://127.0.0.1:9/announce".to_owned()]).await.expect("added");
    handle.pause().await.expect("paused");
    assert_eq!(handle.progress().borrow().stage, Stage::Halted);
    handle.remove(Data::Delete).await.expect("removed");
}

#[tokio::test]
async fn nobody_on_the_list_is_spoken_with_whoever_connects() {
    use bittorrent::ip_filter::IpFilter;
    let list = |text: &str| std::sync::Arc::new(IpFilter::read(text.as_bytes()).expect("a list").0);
    let (seed, leecher, metainfo, options) = pair().await;
    // Outgoing: its address is not even remembered.
    leecher.engine.set_ip_filter(list("loopback:127.0.0.0-127.255.255.255")).await.expect("set");
    let handle = leecher.add(&metainfo, options).await;
    until(&handle, |now| now.stage == Stage::Downloading).await;
    handle.add_peers(vec![seed.address()]).await;
    handle.set_rates(Rates { download: Some(50_000), upload: None }).await.expect("limited");
    assert_eq!(handle.progress().borrow().known_peers, 0);
    // Incoming: the other side keeps it out.
    leecher.engine.set_ip_filter(list("")).await.expect("set");
    seed.engine.set_ip_filter(list("127.0.0.1")).await.expect("set");
    handle.add_peers(vec![seed.address()]).await;
    until(&handle, |now| now.known_peers == 1).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(handle.progress().borrow().connections, 0);
    // What is open is closed by a new list.
    seed.engine.set_ip_filter(list("9.9.9.9")).await.expect("set");
    handle.pause().await.expect("paused");
    handle.resume().await.expect("resumed");
    until(&handle, |now| now.connections == 1).await;
    leecher.engine.set_ip_filter(list("127.0.0.1/32")).await.expect("set");
    until(&handle, |now| now.connections == 0).await;
}
