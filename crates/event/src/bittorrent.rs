//! What happens to torrents.

use crate::{Detail, Event};
use std::fmt;
use std::net::SocketAddr;

/// Something that happened in a tracker.
#[derive(Debug, Clone)]
pub enum BittorrentEvent {
    /// A tracker answered a batch of requests; counters only, so that the hot
    /// path tells once a batch.
    TrackerAnswered {
        /// Connection ids given (UDP).
        connects: u32,
        /// Announces answered.
        announces: u32,
        /// Scrapes answered.
        scrapes: u32,
        /// Requests that got an error or no reply.
        refused: u32,
    },
    /// A tracker answered one announce.
    Announced {
        /// Who announced.
        from: SocketAddr,
        /// The tracker.
        to: SocketAddr,
        /// The torrent, in hexadecimal.
        info_hash: String,
        /// Why, e.g. `started`; empty for a regular announce.
        reason: &'static str,
        /// How many peers it was told of.
        peers: usize,
    },
    /// A tracker refused a request.
    TrackerRefused {
        /// Who asked.
        peer: SocketAddr,
        /// Why, in words.
        reason: String,
    },
}

impl BittorrentEvent {
    /// How fine this event is.
    pub fn detail(&self) -> Detail {
        match self {
            BittorrentEvent::TrackerAnswered { .. } => Detail::Summary,
            BittorrentEvent::Announced { .. } | BittorrentEvent::TrackerRefused { .. } => Detail::Message,
        }
    }
}

impl From<BittorrentEvent> for Event {
    fn from(event: BittorrentEvent) -> Self {
        Event::Bittorrent(event)
    }
}

impl fmt::Display for BittorrentEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BittorrentEvent::TrackerAnswered { connects, announces, scrapes, refused } => write!(
                f,
                "{connects} connection ids given, {announces} announces and {scrapes} scrapes answered, {refused} refused"
            ),
            BittorrentEvent::Announced { info_hash, reason: "", peers, .. } => {
                write!(f, "announce of {info_hash}, told of {peers} peers")
            }
            BittorrentEvent::Announced { info_hash, reason, peers, .. } => {
                write!(f, "announce ({reason}) of {info_hash}, told of {peers} peers")
            }
            BittorrentEvent::TrackerRefused { peer, reason } => write!(f, "tracker refused {peer}: {reason}"),
        }
    }
}
