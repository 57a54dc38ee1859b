//! What a torrent is started with.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Connections of a torrent at once, unless somebody says otherwise.
const CONNECTIONS_MAX: usize = 50;

/// What a torrent is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Below which folder its files lie.
    pub folder: PathBuf,
    /// How the room of its files is had.
    pub allocation: storage::Allocation,
    /// The rules' settings.
    pub rules: bittorrent::torrent::Settings,
    /// Check all pieces, whatever an earlier run left.
    pub recheck: bool,
    /// Octets a second from peers; `None` for no limit.
    pub download_per_second: Option<u64>,
    /// Octets a second to peers.
    pub upload_per_second: Option<u64>,
    /// Connections of this torrent at once.
    pub connections_max: usize,
    /// Peers to begin with.
    pub peers: Vec<SocketAddr>,
    /// The same by host and port, as a link may name them (`x.pe`, BEP 9). Behind a
    /// proxy names are not looked up: it would be told to others whom we seek.
    pub named_peers: Vec<(String, u16)>,
    /// The files that are wanted (BEP 53); all where absent.
    pub selection: Option<bittorrent::metainfo::FileSelection>,
    /// How much single files are wanted, by their numbers in the info dictionary.
    pub priorities: Vec<(usize, bittorrent::torrent::Priority)>,
    /// Begins halted, until it is told to go on.
    pub halted: bool,
    /// Files that lie in the place of its own, and are something else, are
    /// overwritten; without this it pauses, until it is told to go on.
    pub overwrite: bool,
    /// It is seeded only: where not all pieces are here it pauses, and nothing is ever
    /// got into its files.
    pub seeds_only: bool,
    /// What the files looked like when the torrent was made of them, in its order,
    /// `None` for padding. Where they still do they are whole, and are seeded
    /// without being read again; where not the torrent pauses. They are never
    /// written to, nor read through links. Absent: the files are the torrent's to write.
    pub sealed: Option<Vec<Option<storage::Stamp>>>,
}

impl Options {
    /// All of a torrent, below a folder, without limits.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            allocation: storage::Allocation::Sparse,
            rules: bittorrent::torrent::Settings::default(),
            recheck: false,
            download_per_second: None,
            upload_per_second: None,
            connections_max: CONNECTIONS_MAX,
            peers: Vec::new(),
            named_peers: Vec::new(),
            selection: None,
            priorities: Vec::new(),
            halted: false,
            overwrite: false,
            seeds_only: false,
            sealed: None,
        }
    }
}
