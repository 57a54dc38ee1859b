//! What a session holds at most, and what it keeps.

use super::record::Record;
use super::running::REMOVED_MAX;
use super::*;
use crate::transport::Protocols;
use crate::{Data, Discovery, Settings, What};
use bittorrent::encryption::Policy;
use net::Shutdown;
use std::net::Ipv4Addr;

async fn session(folder: &Path) -> Session {
    let settings = Settings {
        listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
        data: folder.to_owned(),
        memory_octets_max: 1 << 20,
        encryption: Policy::Allowed,
        protocols: Protocols::Tcp,
        discovery: Discovery::default(),
        limits: Limits::default(),
        names: Names::default(),
    };
    let network = Network::from_source(Ipv4Addr::LOCALHOST.into());
    let engine = Engine::start(settings, network.clone(), Shutdown::new()).await.expect("an engine");
    Session::open(engine, network, Names::default(), folder, folder).await.expect("a session")
}

fn link(digit: char) -> NewTorrent {
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
        assert!(!session.add(link(digit)).await.expect("added").duplicate);
    }
    assert!(session.add(link('a')).await.expect("it is there").duplicate);
    assert!(matches!(session.add(link('c')).await, Err(AddError::Full)));
    let wrong = TorrentSettings { seed_ratio_limit: f64::NAN, ..TorrentSettings::default() };
    assert!(matches!(
        session.add(NewTorrent { settings: wrong, ..link('d') }).await,
        Err(AddError::Settings(_))
    ));
    let id = session.find(&"a".repeat(40)).expect("it is there");
    for removal in session.remove(&[id], Data::Keep).await.expect("removed") {
        removal.await.expect("removed");
    }
    session.add(link('c')).await.expect("there is room again");
    session.close().await;
    let kept = Record::read_all(folder.path()).expect("read");
    let hashes: Vec<char> = kept.iter().filter_map(|record| record.hash.chars().next()).collect();
    assert_eq!(hashes, ['b', 'c']);
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
