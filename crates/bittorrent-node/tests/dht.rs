//! Nodes of the hash table on loopback, over sockets of their own and over
//! shared ones.

use bittorrent::bencode;
use bittorrent_node::dht::{
    Dht, DhtError, Id, Item, LookUp, Options, Outcome, PeersWanted, SecretKey, TorrentKey, Wanted, Wires,
    wire,
};
use net::{Network, Shutdown};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn no_names() -> LookUp {
    Arc::new(|_| Box::pin(async { Err(io::Error::other("no names here")) }))
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// A node on loopback that knows `nodes`.
fn node(shutdown: &Shutdown, nodes: &[SocketAddr]) -> (Dht, SocketAddr) {
    start(shutdown, Options { nodes: nodes.to_vec(), ..Options::default() }, no_names())
}

fn start(shutdown: &Shutdown, options: Options, look_up: LookUp) -> (Dht, SocketAddr) {
    let (wires, bound) = Wires::open(&Network::new(), &[address("127.0.0.1:0")], shutdown).expect("a socket");
    (Dht::start(options, wires, look_up, shutdown), bound[0])
}

async fn ready(dht: &Dht) {
    tokio::time::timeout(Duration::from_secs(20), dht.ready()).await.expect("in time").expect("running");
}

/// Some nodes that know one another.
async fn nodes(shutdown: &Shutdown, count: usize) -> Vec<Dht> {
    let (first, at) = node(shutdown, &[]);
    let mut nodes = vec![first];
    for _ in 1..count {
        nodes.push(node(shutdown, &[at]).0);
    }
    for node in &nodes {
        ready(node).await;
    }
    nodes
}

async fn peers(dht: &Dht, info_hash: Id) -> Vec<SocketAddr> {
    let finding = dht.peers(info_hash, PeersWanted::default()).await.expect("begun");
    finding.all().await.expect("ended").0
}

#[tokio::test]
async fn peers_are_announced_and_found_over_sockets() {
    let shutdown = Shutdown::new();
    let nodes = nodes(&shutdown, 12).await;
    let info_hash = Id::new([7; 20]);
    let finding = nodes[3].announce(info_hash, Some(4_000), true).await.expect("begun");
    let (none, outcome) = finding.all().await.expect("ended");
    assert_eq!(none, []);
    assert!(matches!(outcome, Outcome::Announced { stored, .. } if stored >= 8), "{outcome:?}");
    assert_eq!(peers(&nodes[9], info_hash).await, [address("127.0.0.1:4000")]);
    assert_eq!(peers(&nodes[9], Id::new([8; 20])).await, []);
    let mut torrents = 0;
    for node in &nodes {
        torrents += node.status().await.expect("running").torrents;
    }
    assert!(torrents >= 8, "{torrents}");
    assert!(shutdown.finish(Duration::from_secs(5)).await);
    assert_eq!(nodes[0].status().await, Err(DhtError::Stopped));
}

#[tokio::test]
async fn a_torrent_is_published_under_a_key_and_updated() {
    let shutdown = Shutdown::new();
    let nodes = nodes(&shutdown, 6).await;
    let secret = SecretKey::from_seed(&[1; 32]);
    let link: TorrentKey = format!("magnet:?xs=urn:btpk:{}&s=6e", secret.public()).parse().expect("a link");
    assert_eq!(nodes[5].resolve_torrent(&link).await, Ok(None));
    for version in 1..=3 {
        let item = nodes[1].publish_torrent(&secret, b"n", Id::new([version; 20])).await.expect("published");
        nodes[1].keep(item).await.expect("room");
        let resolved = nodes[5].resolve_torrent(&link).await;
        assert_eq!(resolved, Ok(Some((Id::new([version; 20]), version.into()))));
    }
    let item =
        Item::Immutable(bittorrent::dht::Value::encode(&bencode::Item::from("text")).expect("a value"));
    assert!(nodes[2].put(item.clone(), None).await.expect("stored") >= 5);
    assert_eq!(nodes[4].get(Wanted::Immutable(item.target())).await, Ok(Some(item)));
}

#[tokio::test]
async fn the_table_is_saved_and_used_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("torrents/dht");
    let others = Shutdown::new();
    let (_one, at) = node(&others, &[]);
    let (_two, _) = node(&others, &[at]);
    let options = |nodes: &[SocketAddr]| Options {
        nodes: nodes.to_vec(),
        file: Some(file.clone()),
        ..Options::default()
    };
    let first = Shutdown::new();
    let (dht, _) = start(&first, options(&[at]), no_names());
    ready(&dht).await;
    let id = dht.status().await.expect("running").v4.expect("IPv4").id;
    assert!(first.finish(Duration::from_secs(5)).await);
    let second = Shutdown::new();
    let (dht, _) = start(&second, options(&[]), no_names());
    ready(&dht).await;
    assert_eq!(dht.status().await.expect("running").v4.expect("IPv4").id, id);
    // What is no table is no reason not to start.
    std::fs::write(&file, b"garbage").expect("written");
    let third = Shutdown::new();
    let (dht, _) = start(&third, options(&[at]), no_names());
    ready(&dht).await;
}

#[tokio::test]
async fn names_are_looked_up_until_they_are_found() {
    let shutdown = Shutdown::new();
    let (router, at) = node(&shutdown, &[]);
    let (_other, _) = node(&shutdown, &[at]);
    // The router knows somebody once it has been asked.
    ready(&router).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let look_up: LookUp = Arc::new(move |name| {
        assert_eq!(name, "router.utopia.test:6881");
        counted.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move { Ok(vec![at]) })
    });
    let options = Options { routers: vec!["router.utopia.test:6881".to_owned()], ..Options::default() };
    let (dht, _) = start(&shutdown, options, look_up);
    ready(&dht).await;
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_socket_may_be_shared() {
    let shutdown = Shutdown::new();
    let (_other, at) = node(&shutdown, &[]);
    let (near, mut far) = wire();
    let dht = Dht::start(
        Options { nodes: vec![at], ..Options::default() },
        Wires { v4: Some(near), v6: None },
        no_names(),
        &shutdown,
    );
    let socket = Network::new().datagrams(address("127.0.0.1:0")).expect("a socket");
    let carry = async {
        let mut buffer = [0; 2_048];
        loop {
            tokio::select! {
                received = socket.receive_from(&mut buffer) => {
                    let (octets, from) = received.expect("received");
                    assert_eq!(buffer[0], b'd', "what is for the hash table begins like that");
                    let datagram = buffer[..octets].to_vec().into();
                    far.arrivals.send((from, datagram)).await.expect("the table runs");
                }
                Some((to, datagram)) = far.departures.recv() => {
                    socket.send_to(&datagram, to).await.expect("sent");
                }
            }
        }
    };
    tokio::select! {
        () = carry => unreachable!("it goes on"),
        () = ready(&dht) => {}
    }
}

#[tokio::test]
async fn both_families_run_side_by_side() {
    let shutdown = Shutdown::new();
    let network = Network::new();
    let both = [address("127.0.0.1:0"), address("[::1]:0")];
    let Ok((wires, bound)) = Wires::open(&network, &both, &shutdown) else {
        println!("skipped: there is no IPv6 here");
        return;
    };
    let _first = Dht::start(Options::default(), wires, no_names(), &shutdown);
    let (wires, _) = Wires::open(&network, &both, &shutdown).expect("sockets");
    let dht = Dht::start(Options { nodes: bound, ..Options::default() }, wires, no_names(), &shutdown);
    ready(&dht).await;
    let known = async {
        while dht.status().await.expect("running").v6.is_none_or(|six| six.good == 0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), known).await.expect("in time");
    let finding = dht.announce(Id::new([1; 20]), Some(9), false).await.expect("begun");
    let (_, outcome) = finding.all().await.expect("ended");
    assert!(matches!(outcome, Outcome::Announced { stored: 2, .. }), "{outcome:?}");
    let two_of_one = [address("127.0.0.1:0"), address("127.0.0.2:0")];
    assert!(Wires::open(&network, &two_of_one, &shutdown).is_err());
}
