//! What happens to torrents, in trackers and among peers.

use crate::{Detail, Event};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// Something that happened in a tracker, or to a torrent of a peer. Torrents are
/// named by their info-hash in hexadecimal.
#[derive(Debug, Clone)]
pub enum BittorrentEvent {
    /// A tracker answered a batch of requests; counters only, so that the hot
    /// path tells once a batch.
    TrackerAnswered {
        /// Connection ids given (UDP).
        connects: u32,
        /// Announces answered.
        announces: u32,
        /// Announces among them that said a download is complete.
        completed: u32,
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
    /// A file or folder is given away from here on.
    Published {
        /// The torrent.
        torrent: Arc<str>,
        /// Its name.
        name: String,
        /// Octets of its files.
        octets: u64,
    },
    /// A file or folder is given away no more.
    Withdrawn {
        /// The torrent.
        torrent: Arc<str>,
        /// Its name.
        name: String,
    },
    /// A file or folder that was put among those to be published cannot be.
    LeftOut {
        /// Where it lies.
        place: String,
        /// Why, and what to do.
        reason: String,
    },
    /// What published torrents did since this was told last, and how many there
    /// are; counters only.
    Seeded {
        /// Torrents that are seeded.
        torrents: u64,
        /// Connections to peers.
        connections: u64,
        /// Octets sent.
        sent_octets: u64,
    },
    /// A peer has shaken hands. Both ends tell it.
    PeerJoined {
        /// The torrent.
        torrent: Arc<str>,
        /// The peer.
        peer: SocketAddr,
        /// Whether it connected to us.
        incoming: bool,
    },
    /// A peer is gone.
    PeerLeft {
        /// The torrent.
        torrent: Arc<str>,
        /// The peer.
        peer: SocketAddr,
        /// Why, in words.
        reason: String,
    },
    /// We let a peer have what it asks for.
    Unchoked {
        /// The torrent.
        torrent: Arc<str>,
        /// The peer.
        peer: SocketAddr,
        /// Whether it was chosen without regard to what it sends.
        optimistic: bool,
    },
    /// We no longer let a peer have what it asks for.
    Choked {
        /// The torrent.
        torrent: Arc<str>,
        /// The peer.
        peer: SocketAddr,
    },
    /// A piece is here and was checked against its hash.
    PieceVerified {
        /// The torrent.
        torrent: Arc<str>,
        /// Its index.
        piece: u32,
        /// Its octets.
        octets: u32,
    },
    /// A piece did not match its hash.
    PieceFailed {
        /// The torrent.
        torrent: Arc<str>,
        /// Its index.
        piece: u32,
    },
    /// Everything is here.
    Completed {
        /// The torrent.
        torrent: Arc<str>,
    },
}

impl BittorrentEvent {
    /// How fine this event is.
    pub fn detail(&self) -> Detail {
        match self {
            BittorrentEvent::TrackerAnswered { .. }
            | BittorrentEvent::Published { .. }
            | BittorrentEvent::Withdrawn { .. }
            | BittorrentEvent::LeftOut { .. }
            | BittorrentEvent::Seeded { .. }
            | BittorrentEvent::PieceVerified { .. }
            | BittorrentEvent::PieceFailed { .. }
            | BittorrentEvent::Completed { .. } => Detail::Summary,
            BittorrentEvent::Announced { .. }
            | BittorrentEvent::TrackerRefused { .. }
            | BittorrentEvent::PeerJoined { .. }
            | BittorrentEvent::PeerLeft { .. }
            | BittorrentEvent::Unchoked { .. }
            | BittorrentEvent::Choked { .. } => Detail::Message,
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
            BittorrentEvent::TrackerAnswered { connects, announces, completed, scrapes, refused } => write!(
                f,
                "{connects} connection ids given, {announces} announces ({completed} of complete downloads) and {scrapes} scrapes answered, {refused} refused"
            ),
            BittorrentEvent::Announced { info_hash, reason: "", peers, .. } => {
                write!(f, "announce of {info_hash}, told of {peers} peers")
            }
            BittorrentEvent::Announced { info_hash, reason, peers, .. } => {
                write!(f, "announce ({reason}) of {info_hash}, told of {peers} peers")
            }
            BittorrentEvent::TrackerRefused { peer, reason } => write!(f, "tracker refused {peer}: {reason}"),
            BittorrentEvent::Published { torrent, name, octets } => {
                write!(f, "{name} is published, {octets} octets, as {torrent}")
            }
            BittorrentEvent::Withdrawn { torrent, name } => {
                write!(f, "{name} is published no more, it was {torrent}")
            }
            BittorrentEvent::LeftOut { place, reason } => write!(f, "not published: {place}: {reason}"),
            BittorrentEvent::Seeded { torrents, connections, sent_octets } => {
                write!(f, "{torrents} torrents seeded to {connections} peers, {sent_octets} octets sent")
            }
            BittorrentEvent::PeerJoined { torrent, peer, incoming: true } => {
                write!(f, "{peer} connected for {torrent}")
            }
            BittorrentEvent::PeerJoined { torrent, peer, incoming: false } => {
                write!(f, "connected to {peer} for {torrent}")
            }
            BittorrentEvent::PeerLeft { torrent, peer, reason } => {
                write!(f, "{peer} is gone from {torrent}: {reason}")
            }
            BittorrentEvent::Unchoked { torrent, peer, optimistic } => {
                let how = if *optimistic { "optimistically unchoked" } else { "unchoked" };
                write!(f, "{how} {peer} for {torrent}")
            }
            BittorrentEvent::Choked { torrent, peer } => write!(f, "choked {peer} for {torrent}"),
            BittorrentEvent::PieceVerified { torrent, piece, octets } => {
                write!(f, "piece {piece} of {torrent} is here, {octets} octets")
            }
            BittorrentEvent::PieceFailed { torrent, piece } => {
                write!(f, "piece {piece} of {torrent} does not match its hash")
            }
            BittorrentEvent::Completed { torrent } => write!(f, "{torrent} is complete"),
        }
    }
}
