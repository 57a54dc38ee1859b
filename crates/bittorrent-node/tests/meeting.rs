//! Two peers behind network address translation, whom nobody reaches from outside,
//! and a third one who knows both (BEP 55).

mod rig;

use bittorrent::metainfo::{FileSelection, Version};
use bittorrent_node::{Options, PeerLine, Protocol, Protocols, Source, Stage, What};
use net::{Direction, Layer, Network, Passing};
use rig::{Side, torrent, until, write_files};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The first file is what the leecher wants; nobody has the second, so that the
/// one in the middle stays. Both are of whole pieces.
const FILES: [usize; 2] = [15 * 65_536, 65_536];

/// Lets datagrams in from those only to whom one went out.
#[derive(Debug, Default)]
struct Translation(Mutex<BTreeSet<SocketAddr>>);

impl Layer for Translation {
    fn datagram(&self, passing: &Passing<'_>) -> Option<Instant> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match passing.direction {
            Direction::Outgoing => {
                known.insert(passing.to);
                Some(passing.at)
            }
            Direction::Incoming => known.contains(&passing.from).then_some(passing.at),
        }
    }
}

async fn side(last: u8, protocols: Protocols, behind: impl FnOnce(Network) -> Network) -> Side {
    Side::behind(behind, |settings| {
        settings.listen = vec![SocketAddr::from(([127, 82, 4, last], 0))];
        settings.protocols = protocols;
    })
    .await
}

fn first_file() -> FileSelection {
    FileSelection::new([0..=0]).expect("a selection")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_one_brings_two_together_whom_nobody_reaches() {
    let hidden = |network: Network| network.with(Translation::default());
    let relay = side(1, Protocols::TcpFirst, |network| network).await;
    let target = side(2, Protocols::Utp, hidden).await;
    let asking = side(3, Protocols::Utp, hidden).await;
    let metainfo = torrent(&FILES, Version::V1);

    // The relay has the first file and waits for the second.
    write_files(&relay.files(), &FILES);
    std::fs::remove_file(relay.files().join("film/1")).expect("removed");
    let at_relay = relay.add(&metainfo, relay.options()).await;
    until(&at_relay, |now| now.stage == Stage::Downloading && now.have_pieces > 0).await;

    // The target wants nothing more: it connects to nobody by itself any more.
    let known = Options { peers: vec![relay.address()], selection: Some(first_file()), ..target.options() };
    let at_target = target.add(&metainfo, known).await;
    until(&at_target, |now| now.stage == Stage::Seeding && now.connections == 1).await;

    let options = asking.options();
    let slow = Options {
        peers: vec![relay.address()],
        selection: Some(first_file()),
        // It stays until both have met.
        download_per_second: Some(16_000),
        ..options
    };
    let at_asking = asking.add(&metainfo, slow).await;
    let met = |peer: &PeerLine| peer.address == target.address();
    let now = until(&at_asking, |now| now.peers.iter().any(met)).await;
    let peer = now.peers.iter().find(|peer| met(peer)).expect("it is there");
    assert_eq!(peer.protocol, Protocol::Utp);
    assert!(peer.incoming || peer.source == Source::Pex, "{peer:?}");
    until(&at_target, |now| now.peers.iter().any(|peer| peer.address == asking.address())).await;
}

/// As behind a router that lets nobody in.
#[tokio::test]
async fn a_seed_goes_to_whom_it_is_told_of() {
    let metainfo = torrent(&[300_000], Version::Hybrid);
    let (seed, leecher) = (Side::start().await, Side::start().await);
    write_files(&seed.files(), &[300_000]);
    let handle = leecher.add(&metainfo, leecher.options()).await;
    let options = Options { peers: vec![leecher.address()], ..seed.options() };
    let _seeding = seed.add(&metainfo, options).await;
    until(&handle, |now| now.stage == Stage::Seeding).await;
}

#[tokio::test]
async fn a_link_may_name_the_host_of_a_peer() {
    let metainfo = torrent(&[300_000], Version::Hybrid);
    let mut magnet = metainfo.magnet();
    let seed = Side::start().await;
    write_files(&seed.files(), &[300_000]);
    seed.add(&metainfo, seed.options()).await;
    magnet.peers = vec![("localhost".to_owned(), seed.address().port())];
    let leecher = Side::start().await;
    let options = Options { named_peers: magnet.peers.clone(), ..leecher.options() };
    let handle = leecher.engine.add(What::Magnet(Box::new(magnet)), options).await.expect("added");
    until(&handle, |now| now.stage == Stage::Seeding).await;
}
