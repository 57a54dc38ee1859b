//! Reliable, ordered streams over links that lose.

use crate::node::StreamId;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// After how long octets that were lost are sent again the first time.
pub const RETRANSMISSION: Duration = Duration::from_millis(200);
/// How often octets are sent before the stream breaks.
pub const ATTEMPTS_MAX: u32 = 8;

/// One end of a stream.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) opposite: StreamId,
    /// Nothing sent later arrives earlier than this.
    pub(crate) arrives_after: Instant,
    /// Whether this end said that it sends no more.
    pub(crate) closed: bool,
}

/// All ends.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    ends: BTreeMap<StreamId, End>,
    next: u64,
}

impl Streams {
    /// A stream's two ends: the opener's and the accepter's.
    pub(crate) fn open(&mut self, now: Instant, from: SocketAddr, to: SocketAddr) -> (StreamId, StreamId) {
        let (ours, theirs) = (StreamId(self.next), StreamId(self.next + 1));
        self.next += 2;
        let end = |local, peer, opposite| End { local, peer, opposite, arrives_after: now, closed: false };
        self.ends.insert(ours, end(from, to, theirs));
        self.ends.insert(theirs, end(to, from, ours));
        (ours, theirs)
    }

    pub(crate) fn end_mut(&mut self, id: StreamId) -> Option<&mut End> {
        self.ends.get_mut(&id)
    }

    pub(crate) fn remove(&mut self, id: StreamId) -> Option<End> {
        self.ends.remove(&id)
    }
}
