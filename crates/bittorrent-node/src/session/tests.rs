//! What a session holds at most, and what it keeps.

use super::record::Record;
use super::running::REMOVED_MAX;
use super::*;
use crate::transport::Protocols;
use crate::{Data, Discovery, Settings, What};
use bittorrent::encryption::Policy;
use bittorrent::metainfo::{CreateOptions, Creator, FileSpec};
use net::Shutdown;
use std::net::Ipv4Addr;

fn engine_settings(folder: &Path) -> Settings {
    Settings {
        listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
        data: folder.to_owned(),
        memory_octets_max: 1 << 20,
        encryption: Policy::Allowed,
        protocols: Protocols::Tcp,
        discovery: Discovery::default(),
        limits: Limits::default(),
        names: Names::default(),
    }
}

async fn session(folder: &Path) -> Session {
    let network = Network::from_source(Ipv4Addr::LOCALHOST.into());
    let started = Engine::start(engine_settings(folder), network.clone(), Shutdown::new()).await;
    let engine = started.expect("an engine");
    Session::open(engine, network, Names::default(), folder, folder, Rules::default())
        .await
        .expect("a session")
}

fn link_of(digit: char) -> NewTorrent {
    let link = format!("magnet:?xt=urn:btih:{}", digit.to_string().repeat(40));
    NewTorrent {
        what: What::Magnet(Box::new(link.parse().expect("a link"))),
        folder: None,
        halted: Some(true),
        priorities: Vec::new(),
        settings: TorrentSettings::default(),
    }
}

#[tokio::test]
async fn so_many_torrents_and_no_more_are_held() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut session = session(folder.path()).await;
    session.torrents_max = 2;
    for digit in ['a', 'b'] {
        assert!(!session.add(link_of(digit)).await.expect("added").duplicate);
    }
    assert!(session.add(link_of('a')).await.expect("it is there").duplicate);
    assert!(matches!(session.add(link_of('c')).await, Err(AddError::Full)));
    let wrong = TorrentSettings { seed_ratio_limit: f64::NAN, ..TorrentSettings::default() };
    assert!(matches!(
        session.add(NewTorrent { settings: wrong, ..link_of('d') }).await,
        Err(AddError::Settings(_))
    ));
    let id = session.find(&"a".repeat(40)).expect("it is there");
    for removal in session.remove(&[id], Data::Keep).await.expect("removed") {
        removal.await.expect("removed");
    }
    session.add(link_of('c')).await.expect("there is room again");
    session.close().await;
    let kept = Record::read_all(folder.path()).expect("read");
    let hashes: Vec<char> = kept.iter().filter_map(|record| record.hash.chars().next()).collect();
    assert_eq!(hashes, ['b', 'c']);
}

#[tokio::test]
async fn what_is_still_being_removed_cannot_be_added_and_leaves_no_half() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut session = session(folder.path()).await;
    let id = session.add(link_of('a')).await.expect("added").id;
    let removals = session.remove(&[id], Data::Keep).await.expect("removed");
    assert!(matches!(session.add(link_of('a')).await, Err(AddError::BeingRemoved)));
    assert!(Record::read_all(folder.path()).expect("read").is_empty());
    for removal in removals {
        removal.await.expect("removed");
    }
    session.add(link_of('a')).await.expect("added again");
    assert_eq!(Record::read_all(folder.path()).expect("read").len(), 1);
}

#[tokio::test]
async fn so_many_removed_ones_are_told_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut session = session(folder.path()).await;
    let count = i64::try_from(REMOVED_MAX).expect("a small number") + 10;
    for id in 1..=count {
        session.note_removed(id, String::new());
    }
    assert_eq!(session.removed().count(), REMOVED_MAX);
    assert_eq!(session.removed().max(), Some(count), "the last ones");
}

#[test]
fn settings_that_cannot_be_read_are_told_of_and_passed_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = settings_file(folder.path());
    for octets in [&b"{"[..], b"{\"seed-queue-size\": -1}", b"{\"download-dir\": \"films\"}"] {
        files::write_atomically(&file, octets, files::SECRET).expect("written");
        assert_eq!(read_settings(folder.path()).expect("no failure of the disk"), None);
    }
}

#[tokio::test]
async fn a_link_that_leads_to_a_private_torrent_keeps_its_own_trackers_only() {
    let (place, folder) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let file = FileSpec {
        path: vec!["one".to_owned()],
        length: 30_000,
        executable: false,
        hidden: false,
        symlink: None,
    };
    let own = "http://127.0.0.1:9/announce";
    let options =
        CreateOptions { private: true, trackers: vec![vec![own.to_owned()]], ..CreateOptions::new("film") };
    let mut creator = Creator::new(vec![file], options).expect("a torrent");
    creator.update(&vec![7; 30_000]).expect("octets");
    let metainfo = creator.finish().expect("a torrent");
    std::fs::create_dir_all(place.path().join("film")).expect("a folder");
    std::fs::write(place.path().join("film/one"), vec![7; 30_000]).expect("written");
    let network = Network::from_source(Ipv4Addr::LOCALHOST.into());
    let started = Engine::start(engine_settings(place.path()), network, Shutdown::new()).await;
    let seed = started.expect("an engine");
    let options = crate::Options::new(place.path().to_owned());
    let mut link = metainfo.magnet();
    link.peers = vec![("127.0.0.1".to_owned(), seed.addresses()[0].port())];
    seed.add(What::Metainfo(Arc::new(metainfo)), options).await.expect("added");

    let mut session = session(folder.path()).await;
    let defaults = "udp://127.0.0.1:10".to_owned();
    let settings = SessionSettings { default_trackers: defaults, ..session.settings().clone() };
    session.set_settings(settings).await.expect("set");
    let new = NewTorrent { what: What::Magnet(Box::new(link)), halted: Some(false), ..link_of('e') };
    let id = session.add(new).await.expect("added").id;
    let trackers = async |session: &Session| {
        let entry = session.entries.get(&id).expect("it is there");
        let details = entry.handle.details().await.expect("details");
        details.trackers.iter().map(|line| line.url.clone()).collect::<Vec<_>>()
    };
    assert_eq!(trackers(&session).await, [own, "udp://127.0.0.1:10"]);
    let ended = async {
        while trackers(&session).await.len() > 1 {
            session.tick().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), ended).await.expect("its metadata comes");
    assert_eq!(trackers(&session).await, [own]);
}
