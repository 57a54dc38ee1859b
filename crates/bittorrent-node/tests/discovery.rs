//! Engines that find each other without trackers, and what they keep to
//! themselves.

mod rig;

use bittorrent::lsd::{Announce, DATAGRAM_OCTETS_MAX};
use bittorrent::metainfo::{CreateOptions, Creator, FileSpec, Metainfo, Version};
use bittorrent_node::dht::{Dht, Id, LookUp, Options as DhtOptions, PeersWanted, Wires};
use bittorrent_node::{DhtSettings, Discovery, LsdSettings, Options, Protocols, Stage};
use net::{Network, Shutdown};
use rig::{PATIENCE, Side, until};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// A torrent of one file with octets of one value.
fn torrent(value: u8, private: bool) -> Metainfo {
    let octets = vec![value; 100_000];
    let spec = FileSpec { length: octets.len() as u64, ..FileSpec::default() };
    let options =
        CreateOptions { private, version: Version::V1, ..CreateOptions::new(format!("file-{value}")) };
    let mut creator = Creator::new(vec![spec], options).expect("a torrent");
    creator.update(&octets).expect("hashed");
    creator.finish().expect("a torrent")
}

fn hash(metainfo: &Metainfo) -> [u8; 20] {
    metainfo.info.hashes().wire().next().expect("an info-hash").0
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_hears_of_private_torrents() {
    let at = IpAddr::from([127, 81, 3, 1]);
    let group_v4 = SocketAddr::from(([239, 192, 152, 143], 20_000 + (std::process::id() % 20_000) as u16));
    let neighbour = Network::new().multicast(group_v4, IpAddr::from([127, 81, 3, 2])).expect("joined");
    let shutdown = Shutdown::new();
    let (wires, bound) =
        Wires::open(&Network::new(), &[SocketAddr::from(([127, 81, 3, 3], 0))], &shutdown).expect("a socket");
    let no_names: LookUp = Arc::new(|_| Box::pin(async { Err(io::Error::other("no names here")) }));
    let node = Dht::start(DhtOptions::default(), wires, no_names, &shutdown);

    let discovery = Discovery {
        dht: Some(DhtSettings { nodes: bound, ..DhtSettings::default() }),
        lsd: Some(LsdSettings { group_v4, ..LsdSettings::default() }),
    };
    let side = Side::with(|settings| {
        settings.listen = vec![SocketAddr::new(at, 0)];
        settings.protocols = Protocols::TcpFirst;
        settings.discovery = discovery;
    });
    let side = side.await;
    let (private, public) = (torrent(1, true), torrent(2, false));
    for metainfo in [&private, &public] {
        let handle = side.add(metainfo, side.options()).await;
        until(&handle, |now| now.stage == Stage::Downloading).await;
    }

    let heard = async {
        let mut buffer = [0; DATAGRAM_OCTETS_MAX];
        loop {
            let (octets, _) = neighbour.receive(&mut buffer).await.expect("received");
            let announce = Announce::decode(&buffer[..octets]).expect("an announce");
            assert_eq!(announce.port, side.address().port());
            assert!(!announce.info_hashes.contains(&hash(&private)));
            if announce.info_hashes.contains(&hash(&public)) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.expect("neighbours hear of the public one");

    let peers = async |metainfo: &Metainfo| {
        let info_hash = Id::new(hash(metainfo));
        let finding = node.peers(info_hash, PeersWanted::default()).await.expect("begun");
        finding.all().await.expect("ended").0
    };
    let announced = async {
        while peers(&public).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, announced).await.expect("the public one is announced");
    assert_eq!(node.status().await.expect("running").torrents, 1);
    assert!(peers(&private).await.is_empty());
    side.engine.stop().await;
    assert!(side.data.join("dht-nodes").is_file(), "the nodes are saved");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_goes_to_a_neighbour_who_comes() {
    let group_v4 = SocketAddr::from(([239, 192, 152, 143], 40_000 + (std::process::id() % 20_000) as u16));
    let ip = IpAddr::from([127, 81, 5, 1]);
    let comer = Network::new().multicast(group_v4, ip).expect("joined");
    let listener = tokio::net::TcpListener::bind(SocketAddr::new(ip, 0)).await.expect("a port");
    let seed = Side::with(|settings| {
        settings.listen = vec![SocketAddr::from(([127, 81, 5, 2], 0))];
        settings.discovery.lsd = Some(LsdSettings { group_v4, ..LsdSettings::default() });
    })
    .await;
    let metainfo = rig::torrent(&[100_000], Version::V1);
    rig::write_files(&seed.files(), &[100_000]);
    let handle = seed.add(&metainfo, seed.options()).await;
    until(&handle, |now| now.stage == Stage::Seeding).await;

    let port = listener.local_addr().expect("an address").port();
    let announce = Announce { port, info_hashes: vec![hash(&metainfo)], cookie: None };
    comer.send(&announce.encode(group_v4).expect("a datagram")).await.expect("sent");
    let came = tokio::time::timeout(PATIENCE, listener.accept()).await.expect("in time").expect("accepted");
    assert_eq!(came.1.ip(), IpAddr::from([127, 81, 5, 2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_tell_each_other_of_their_nodes() {
    let side = async |last: u8| {
        Side::with(|settings| {
            settings.listen = vec![SocketAddr::from(([127, 81, 4, last], 0))];
            settings.discovery.dht = Some(DhtSettings::default());
        })
        .await
    };
    let (one, other) = (side(1).await, side(2).await);
    let metainfo = torrent(3, false);
    one.add(&metainfo, one.options()).await;
    let options = Options { peers: vec![one.address()], ..other.options() };
    let handle = other.add(&metainfo, options).await;
    // Neither was told of a node: only their connection can have done it.
    until(&handle, |now| now.dht_nodes == Some(1)).await;
}
