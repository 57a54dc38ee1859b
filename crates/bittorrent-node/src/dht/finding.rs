//! Peers as they are found.

use super::DhtError;
use bittorrent::dht::{Outcome, PEERS_FOUND_MAX};
use std::net::SocketAddr;
use tokio::sync::{mpsc, oneshot};

/// A search for peers under way. Dropped, it ends.
#[derive(Debug)]
pub struct Finding {
    peers: mpsc::Receiver<Vec<SocketAddr>>,
    outcome: oneshot::Receiver<Outcome>,
}

impl Finding {
    /// With the ends through which it is told. No search tells of more than
    /// [`PEERS_FOUND_MAX`] peers, so none is lost here.
    pub(super) fn new() -> (Self, mpsc::Sender<Vec<SocketAddr>>, oneshot::Sender<Outcome>) {
        let (tell, peers) = mpsc::channel(PEERS_FOUND_MAX);
        let (end, outcome) = oneshot::channel();
        (Self { peers, outcome }, tell, end)
    }

    /// The next peers, each told once; `None` when the search is over.
    pub async fn next(&mut self) -> Option<Vec<SocketAddr>> {
        self.peers.recv().await
    }

    /// What came of it; the peers that were not fetched are dropped.
    ///
    /// # Errors
    /// When the hash table has been stopped.
    pub async fn finish(self) -> Result<Outcome, DhtError> {
        self.outcome.await.map_err(|_| DhtError::Stopped)
    }

    /// All peers, and what came of it.
    ///
    /// # Errors
    /// When the hash table has been stopped.
    pub async fn all(mut self) -> Result<(Vec<SocketAddr>, Outcome), DhtError> {
        let mut all = Vec::new();
        while let Some(peers) = self.next().await {
            all.extend(peers);
        }
        Ok((all, self.finish().await?))
    }
}
