//! A file as the body of a response: read piece by piece as the client takes it, so
//! that it needs the memory of one piece whatever its length.

use axum::body::Bytes;
use bittorrent_node::publish::Served;
use futures_util::stream::{self, Stream};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// Octets read at once, and kept in memory for each client.
const PIECE_OCTETS: usize = 256 * 1024;

/// When a client last took a piece of what it gets: a connection lives while it
/// does.
#[derive(Debug, Clone)]
pub(crate) struct Pulse(Arc<Mutex<Instant>>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Pulse {
    /// When it was last.
    pub(crate) fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// A part of a file, piece by piece. Ends with an error where the file has become
/// shorter.
pub(super) fn stream(
    served: Served,
    part: Range<u64>,
    pulse: Pulse,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let served = Arc::new(served);
    stream::unfold(part, move |left| {
        let (served, pulse) = (served.clone(), pulse.clone());
        async move {
            if left.is_empty() {
                return None;
            }
            pulse.beat();
            let count = (left.end - left.start).min(PIECE_OCTETS as u64);
            let offset = left.start;
            let read = tokio::task::spawn_blocking(move || served.read(offset, count as usize)).await;
            let piece = read.map_err(io::Error::other).flatten();
            let rest = match &piece {
                Ok(_) => offset + count..left.end,
                Err(_) => left.end..left.end,
            };
            Some((piece.map(Bytes::from), rest))
        }
    })
}
