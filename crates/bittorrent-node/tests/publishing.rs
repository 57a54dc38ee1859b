//! A publisher among its neighbours: the local network, the router.

mod rig;
#[path = "rig/router.rs"]
mod router;

use bittorrent::lsd::{Announce, DATAGRAM_OCTETS_MAX};
use bittorrent::metainfo::{Limits, Metainfo};
use bittorrent_node::Names;
use bittorrent_node::publish::{Addresses, Config, Folder, Parts, Publisher};
use bittorrent_node::tracker::{self, Tracker};
use net::{Network, Shutdown};
use rig::PATIENCE;
use router::router;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Where the publisher is, and a neighbour.
const AT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 81, 7, 1));
const NEIGHBOUR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 81, 7, 2));

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_and_the_router_are_told_and_a_rate_changes_without_a_restart() {
    let group = SocketAddr::from(([239, 192, 152, 143], 42_000 + (std::process::id() % 20_000) as u16));
    let neighbour = Network::new().multicast(group, NEIGHBOUR).expect("joined");
    let (search, table) = router();
    let (shutdown, folder) = (Shutdown::new(), tempfile::tempdir().expect("a folder"));
    let files = folder.path().join("files");
    std::fs::create_dir(&files).expect("a folder");
    std::fs::write(files.join("film"), vec![7; 100_000]).expect("written");
    let (network, reporter) = (Network::new(), event::Reporter::silent());
    let tracker =
        Tracker::start(&tracker::Config::default(), network.clone(), reporter.clone(), shutdown.clone());
    let publisher = Publisher::new(Parts {
        network,
        tracker: tracker.expect("a tracker"),
        names: Names::default(),
        data: folder.path().join("data"),
        reporter,
        shutdown: shutdown.clone(),
    });
    let carry_out = async |config: &Config| {
        let prepared = publisher.prepare(config).await.expect("an address to listen on");
        assert!(publisher.carry_out(prepared, Addresses::default()).await.is_empty());
    };
    let config = Config {
        listen: vec![(AT, 0).into()],
        publish: vec![Folder::new(files)],
        settle_seconds: 0,
        lsd_groups: vec![group],
        gateway: Some(search),
        ..Config::default()
    };
    carry_out(&config).await;
    let own = publisher.listing().addresses[0];

    let mut buffer = [0; DATAGRAM_OCTETS_MAX];
    let heard = tokio::time::timeout(PATIENCE, neighbour.receive(&mut buffer)).await;
    let (octets, _) = heard.expect("in time").expect("received");
    let announce = Announce::decode(&buffer[..octets]).expect("an announce");
    assert_eq!((announce.port, announce.info_hashes.is_empty()), (own.port(), false));
    let handed_on = || table.lock().expect("not poisoned").values().copied().collect::<Vec<_>>();
    let told = async {
        while handed_on() != [own, own] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("the router is told of both protocols");

    // With another engine, the system would have chosen another port.
    let slower = Config { upload_octets_per_second_max: 50_000, ..config };
    carry_out(&slower).await;
    assert_eq!((&*publisher.listing().addresses, handed_on()), (&[own][..], vec![own, own]));
    carry_out(&Config { gateway: None, ..slower }).await;
    assert_eq!(handed_on(), [], "the router was told to forget us");
    assert!(shutdown.finish(Duration::from_secs(9)).await, "all have ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_on_the_list_gets_nothing_until_it_is_not() {
    let (shutdown, folder) = (Shutdown::new(), tempfile::tempdir().expect("a folder"));
    let files = folder.path().join("files");
    std::fs::create_dir(&files).expect("a folder");
    std::fs::write(files.join("film"), vec![7; 100_000]).expect("written");
    let (network, reporter) = (Network::new(), event::Reporter::silent());
    let tracker =
        Tracker::start(&tracker::Config::default(), network.clone(), reporter.clone(), shutdown.clone());
    let publisher = Publisher::new(Parts {
        network,
        tracker: tracker.expect("a tracker"),
        names: Names::default(),
        data: folder.path().join("data"),
        reporter,
        shutdown: shutdown.clone(),
    });
    let list = folder.path().join("list");
    let config = Config {
        listen: vec![(std::net::Ipv4Addr::LOCALHOST, 0).into()],
        publish: vec![Folder::new(files)],
        settle_seconds: 0,
        ip_filter: Some(list.clone()),
        ..Config::default()
    };
    let missing = publisher.prepare(&config).await.expect_err("there is no list").to_string();
    assert!(missing.starts_with("torrents.ip_filter: ") && missing.ends_with("there is no such file"));
    std::fs::write(&list, "127.0.0.0/8\n").expect("written");
    let prepared = publisher.prepare(&config).await.expect("prepared");
    assert!(publisher.carry_out(prepared, Addresses::default()).await.is_empty());
    let published = async {
        loop {
            match publisher.listing().torrents.first() {
                Some(listed) => break listed.published.torrent_file(),
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let octets = tokio::time::timeout(PATIENCE, published).await.expect("it is published");
    let metainfo = Metainfo::parse(&octets, &Limits::DEFAULT).expect("a torrent");
    let leecher = rig::Side::start().await;
    let peers = publisher.listing().addresses.clone();
    let handle =
        leecher.add(&metainfo, bittorrent_node::Options { peers: peers.clone(), ..leecher.options() });
    let handle = handle.await;
    rig::until(&handle, |now| now.stage == bittorrent_node::Stage::Downloading).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(handle.progress().borrow().received_octets, 0);
    // Another engine would listen elsewhere.
    let prepared = publisher.prepare(&Config { ip_filter: None, ..config }).await.expect("prepared");
    assert!(publisher.carry_out(prepared, Addresses::default()).await.is_empty());
    assert_eq!(publisher.listing().addresses, peers);
    handle.pause().await.expect("paused");
    handle.resume().await.expect("resumed");
    handle.add_peers(peers).await;
    rig::until(&handle, |now| now.stage == bittorrent_node::Stage::Seeding).await;
    leecher.engine.stop().await;
    assert!(shutdown.finish(Duration::from_secs(9)).await, "all have ended");
}
