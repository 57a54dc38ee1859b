//! What can be seen of a torrent that runs.

use crate::transport::Protocol;
use bittorrent::torrent::PeerView;
use serde::Serialize;
use std::net::SocketAddr;

/// What a torrent is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case", tag = "stage", content = "why")]
pub enum Stage {
    /// Gets the info dictionary from peers (BEP 9).
    #[default]
    Metadata,
    /// Looks which pieces are on the disk.
    Checking,
    /// Gets pieces.
    Downloading,
    /// Has all that is wanted.
    Seeding,
    /// Has seeded enough.
    Done,
    /// Was told to stop, until it is told to go on.
    Halted,
    /// Something must be mended first.
    Paused(String),
}

/// A torrent at one moment.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Progress {
    /// Its name.
    pub name: String,
    /// What it is doing.
    #[serde(flatten)]
    pub stage: Stage,
    /// Its pieces; 0 while they are unknown.
    pub pieces: u32,
    /// Pieces that are here.
    pub have_pieces: u32,
    /// Octets of its files.
    pub total_octets: u64,
    /// Octets of files in pieces that are here.
    pub have_octets: u64,
    /// Octets of files in wanted pieces that are not here.
    pub left_octets: u64,
    /// Octets of blocks received in this run.
    pub received_octets: u64,
    /// Octets of blocks sent, in earlier runs too.
    pub sent_octets: u64,
    /// Octets received that were here already.
    pub wasted_octets: u64,
    /// Pieces that failed their hash.
    pub bad_pieces: u64,
    /// Octets received a second.
    pub received_per_second: f64,
    /// Octets sent a second.
    pub sent_per_second: f64,
    /// Connections that are open.
    pub connections: usize,
    /// Peers among them that have all.
    pub seeds: u32,
    /// Addresses that are known.
    pub known_peers: usize,
    /// Nodes of the distributed hash table that are known; `None` where it is not
    /// used.
    pub dht_nodes: Option<usize>,
    /// The trackers that were asked, with why those failed that did.
    pub trackers: Vec<(String, Option<String>)>,
    /// The peers.
    pub peers: Vec<PeerLine>,
    /// The web seeds (BEP 17, 19).
    pub web_seeds: Vec<WebSeedLine>,
}

/// How a web seed stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WebSeedState {
    /// It is asked when there is something to ask for.
    Active,
    /// It failed, and is asked again later.
    Resting,
    /// It is not needed now.
    Spare,
    /// It is of no use, or was banned.
    Gone,
}

/// One web seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WebSeedLine {
    /// Its address.
    pub url: String,
    /// How it stands.
    pub state: WebSeedState,
    /// What went wrong with it last.
    pub failure: Option<String>,
    /// Octets from it a second.
    pub received_per_second: f64,
    /// Octets from it.
    pub received_octets: u64,
}

/// Who tells of an address, in the order of how much that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Another peer (PEX, BEP 11).
    Pex,
    /// The distributed hash table (BEP 5).
    Dht,
    /// It connected to us.
    Incoming,
    /// A neighbour's own word (LSD, BEP 14).
    Lsd,
    /// A tracker.
    Tracker,
    /// The user.
    User,
}

impl Source {
    /// Whether it may be heeded for a private torrent (BEP 27).
    pub(crate) fn is_for_private(self) -> bool {
        matches!(self, Source::Incoming | Source::Tracker | Source::User)
    }
}

/// What is known of a connection beside what the rules know.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) address: SocketAddr,
    pub(crate) client: String,
    pub(crate) incoming: bool,
    pub(crate) protocol: Protocol,
    pub(crate) encrypted: bool,
    pub(crate) source: Source,
}

/// One peer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PeerLine {
    /// Where it is.
    pub address: SocketAddr,
    /// What it calls itself; empty where it does not say.
    pub client: String,
    /// It connected to us.
    pub incoming: bool,
    /// What carries the connection.
    pub protocol: Protocol,
    /// The connection is encrypted.
    pub encrypted: bool,
    /// Who told of it.
    pub source: Source,
    /// Pieces it has.
    pub have_pieces: u32,
    /// We choke it.
    pub am_choking: bool,
    /// We want something of it.
    pub am_interested: bool,
    /// It chokes us.
    pub peer_choking: bool,
    /// It wants something of us.
    pub peer_interested: bool,
    /// It is unchoked optimistically.
    pub optimistic: bool,
    /// It unchokes us and sends nothing.
    pub snubs: bool,
    /// Octets from it a second.
    pub received_per_second: f64,
    /// Octets to it a second.
    pub sent_per_second: f64,
    /// Octets from it.
    pub received_octets: u64,
    /// Octets to it.
    pub sent_octets: u64,
}

impl PeerLine {
    pub(crate) fn new(view: &PeerView<'_>, pieces: u32, connection: Connection) -> Self {
        let Connection { address, client, incoming, protocol, encrypted, source } = connection;
        Self {
            address,
            client,
            incoming,
            protocol,
            encrypted,
            source,
            have_pieces: view.holds.count(pieces),
            am_choking: view.am_choking,
            am_interested: view.am_interested,
            peer_choking: view.peer_choking,
            peer_interested: view.peer_interested,
            optimistic: view.optimistic,
            snubs: view.snubs,
            received_per_second: view.received_per_second,
            sent_per_second: view.sent_per_second,
            received_octets: view.received_octets,
            sent_octets: view.sent_octets,
        }
    }
}
