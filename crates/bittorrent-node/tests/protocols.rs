//! A torrent goes over everything that carries connections: both families, TCP and
//! uTP, plain and encrypted.

mod rig;

use bittorrent::encryption::Policy;
use bittorrent::metainfo::Version;
use bittorrent_node::{Options, Protocol, Protocols, Rates, Stage};
use rig::{Side, content, torrent, until, write_files};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};

const FILES: [usize; 2] = [300_000, 100_000];

async fn side(ip: IpAddr, protocols: Protocols, encryption: Policy) -> Side {
    Side::with(|settings| {
        settings.listen = vec![SocketAddr::new(ip, 0)];
        settings.protocols = protocols;
        settings.encryption = encryption;
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_families_both_protocols_plain_and_encrypted() {
    let metainfo = torrent(&FILES, Version::Hybrid);
    for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
        for (protocols, protocol) in [(Protocols::Tcp, Protocol::Tcp), (Protocols::Utp, Protocol::Utp)] {
            for encryption in [Policy::Disabled, Policy::Required] {
                let seed = side(ip, protocols, encryption).await;
                write_files(&seed.files(), &FILES);
                let handle = seed.add(&metainfo, seed.options()).await;
                until(&handle, |now| now.stage == Stage::Seeding).await;
                let leecher = side(ip, protocols, encryption).await;
                // Slow, so that the connection is seen.
                let (peers, limit) = (vec![seed.address()], Some(50_000));
                let options = Options { peers, download_per_second: limit, ..leecher.options() };
                let handle = leecher.add(&metainfo, options).await;
                let now = until(&handle, |now| !now.peers.is_empty()).await;
                let peer = &now.peers[0];
                let encrypted = encryption == Policy::Required;
                assert_eq!((peer.protocol, peer.encrypted), (protocol, encrypted), "{ip}");
                handle.set_rates(Rates::default()).await.expect("not limited");
                until(&handle, |now| now.stage == Stage::Seeding).await;
                for (index, octets) in FILES.iter().enumerate() {
                    let file = leecher.files().join("film").join(index.to_string());
                    assert!(std::fs::read(file).expect("a file") == content(index, *octets), "{ip}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_connect_to_each_other_at_once_keep_one_connection() {
    // Of whole pieces: each has what the other one lacks.
    let files = [2 * 65_536, 3 * 65_536];
    let metainfo = torrent(&files, Version::V1);
    for protocols in [Protocols::Tcp, Protocols::Utp] {
        let ip = IpAddr::from(Ipv4Addr::LOCALHOST);
        let sides = [side(ip, protocols, Policy::Allowed).await, side(ip, protocols, Policy::Allowed).await];
        let mut handles = Vec::new();
        for (index, side) in sides.iter().enumerate() {
            write_files(&side.files(), &files);
            std::fs::remove_file(side.files().join("film").join(index.to_string())).expect("removed");
            handles.push(side.add(&metainfo, Options { halted: true, ..side.options() }).await);
        }
        for (handle, other) in handles.iter().zip(sides.iter().rev()) {
            handle.add_peers(vec![other.address()]).await;
        }
        for handle in &handles {
            handle.resume().await.expect("resumed");
        }
        for handle in &handles {
            let now = until(handle, |now| now.stage == Stage::Seeding).await;
            assert!(now.connections <= 2, "{now:?}");
        }
    }
}

/// Datagrams that a port may get from anybody: nonsense, what looks like the hash
/// table's, and connections over uTP that are asked for and never confirmed.
fn flood(to: SocketAddr, until: &AtomicBool) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    for number in 0_u32.. {
        if until.load(Ordering::Relaxed) {
            return;
        }
        let mut datagram = content(number as usize, (number % 1_400) as usize);
        match number % 3 {
            0 => {}
            1 => datagram.splice(..0, *b"d1:ad2:id20:").for_each(drop),
            // A SYN of version 1, each time for another connection.
            _ => datagram = [&[0x41, 0], &number.to_be_bytes()[2..], &[0; 16][..]].concat(),
        }
        // A full queue is the flood's own trouble.
        let _ = socket.send_to(&datagram, to);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_datagrams_does_not_stop_a_download_over_utp() {
    let metainfo = torrent(&FILES, Version::V1);
    let ip = IpAddr::from(Ipv4Addr::LOCALHOST);
    let mut sides = Vec::new();
    for _ in 0..2 {
        let side = Side::with(|settings| {
            settings.listen = vec![SocketAddr::new(ip, 0)];
            settings.protocols = Protocols::Utp;
            settings.discovery.dht = Some(bittorrent_node::DhtSettings::default());
        });
        sides.push(side.await);
    }
    let (seed, leecher) = (&sides[0], &sides[1]);
    write_files(&seed.files(), &FILES);
    let handle = seed.add(&metainfo, seed.options()).await;
    until(&handle, |now| now.stage == Stage::Seeding).await;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for side in [seed, leecher] {
            scope.spawn(|| flood(side.address(), &done));
        }
        let _ends = Ends(&done);
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let options = Options { peers: vec![seed.address()], ..leecher.options() };
                let handle = leecher.add(&metainfo, options).await;
                until(&handle, |now| now.stage == Stage::Seeding).await;
            });
        });
    });
}

/// Ends the flood, also where the download fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
