//! One torrent in the distributed hash table: its peers are found there, and
//! others find us (BEP 5).

use crate::dht::{Dht, DhtError, Id};
use crate::progress::Source;
use crate::swarm::Swarm;
use crate::transport::Protocol;
use bittorrent::metainfo::InfoHashV1;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often it is announced: nodes forget it after half an hour or more.
const ANNOUNCE_INTERVAL: Duration = Duration::from_mins(15);
/// The pause after the first search when peers are wanted; each further one
/// doubles it.
const PAUSE_MIN: Duration = Duration::from_secs(2);
/// How often it is looked whether more peers are wanted or all is here.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Announces the torrent under one of its info-hashes until it is told to leave.
/// Ends early where the torrent turns out to be private (BEP 27).
pub(crate) async fn run(swarm: Rc<Swarm>, hash: InfoHashV1, mut orders: watch::Receiver<()>) {
    let Some(dht) = swarm.context().dht.get().cloned() else { return };
    let left = async { while orders.changed().await.is_ok() {} };
    tokio::select! {
        () = left => {}
        // It is private, or the hash table has been stopped.
        _ = keep(&swarm, &dht, Id::new(hash.0)) => {}
    }
}

async fn keep(swarm: &Swarm, dht: &Dht, info_hash: Id) -> Result<(), DhtError> {
    dht.ready().await?;
    let mut pause = PAUSE_MIN;
    loop {
        if swarm.is_private() {
            return Ok(());
        }
        let began = Instant::now();
        let seed = is_seed(swarm);
        match announce(swarm, dht, info_hash, seed).await {
            Err(DhtError::Stopped) => return Err(DhtError::Stopped),
            Err(error) => tracing::debug!(%error, "not announced in the hash table"),
            Ok(()) => {}
        }
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let wait = if is_seed(swarm) != seed || swarm.wants_peers() { pause } else { ANNOUNCE_INTERVAL };
            if swarm.is_private() || began.elapsed() >= wait {
                break;
            }
        }
        pause = (pause * 2).min(ANNOUNCE_INTERVAL);
    }
}

fn is_seed(swarm: &Swarm) -> bool {
    swarm.transferred().left == Some(0)
}

/// One search for peers, at the end of which the nodes nearest to the torrent
/// hear of us.
async fn announce(swarm: &Swarm, dht: &Dht, info_hash: Id, seed: bool) -> Result<(), DhtError> {
    let context = swarm.context();
    // Over uTP we are reached at the port that nodes see, whatever a NAT makes of it.
    let port = Some(context.port()).filter(|_| !context.protocols.has(Protocol::Utp));
    let mut finding = dht.announce(info_hash, port, seed).await?;
    let mut found = 0;
    while let Some(peers) = finding.next().await {
        found += peers.len();
        if !swarm.is_private() {
            swarm.add_contacts(Source::Dht, peers);
        }
    }
    let outcome = finding.finish().await?;
    tracing::debug!(%info_hash, found, ?outcome, "announced in the hash table");
    Ok(())
}
