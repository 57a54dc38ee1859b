//! What is published, as the page and scripts read it.

use bittorrent_node::http_file::encode_path;
use bittorrent_node::publish::{Listed, Publisher};
use bittorrent_node::tracker::Counts;
use serde::Serialize;

/// What is published.
#[derive(Debug, Default, Serialize)]
pub(crate) struct List {
    /// The torrents, by folder and name.
    pub(crate) torrents: Vec<Torrent>,
    /// Files that are being read, or wait for it, before they are published.
    pub(crate) reading: Vec<Reading>,
    /// What is left out; not told to everybody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) left_out: Vec<LeftOut>,
}

/// A torrent.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the JSON says where the torrent file is under `torrent`")]
pub(crate) struct Torrent {
    /// Its name.
    pub(crate) name: String,
    /// What the folder is called that it lies in.
    pub(crate) folder: Option<String>,
    /// Octets of all files.
    pub(crate) octets: u64,
    /// Its info-hash of v1 (BEP 3).
    pub(crate) info_hash: Option<String>,
    /// Its info-hash of v2 (BEP 52).
    pub(crate) info_hash_v2: Option<String>,
    /// The link by which clients find it.
    pub(crate) magnet: String,
    /// Where its torrent file is.
    pub(crate) torrent: String,
    /// Its files.
    pub(crate) files: Vec<File>,
    /// Peers that have all of it, ourselves included.
    pub(crate) seeds: u32,
    /// Peers that have not.
    pub(crate) leechers: u32,
    /// Downloads that ended since the start.
    pub(crate) completed: u32,
    /// Peers that are connected to us.
    pub(crate) connections: usize,
    /// Octets sent to peers, in earlier runs too.
    pub(crate) sent_octets: u64,
    /// Octets sent to peers a second.
    pub(crate) sent_per_second: u64,
}

/// A file of a torrent.
#[derive(Debug, Serialize)]
pub(crate) struct File {
    /// Its path, which begins with the torrent's name.
    pub(crate) path: String,
    /// Its octets.
    pub(crate) octets: u64,
    /// Where it is had over HTTP.
    pub(crate) address: String,
}

/// Files that are being read.
#[derive(Debug, Serialize)]
pub(crate) struct Reading {
    /// The torrent's name.
    pub(crate) name: String,
    /// Octets read so far.
    pub(crate) done_octets: u64,
    /// Of how many.
    pub(crate) total_octets: u64,
}

/// What is left out.
#[derive(Debug, Serialize)]
pub(crate) struct LeftOut {
    /// Where it lies.
    pub(crate) place: String,
    /// Why, and what to do.
    pub(crate) reason: String,
}

impl List {
    /// What `publisher` publishes now.
    pub(crate) fn of(publisher: &Publisher, public: bool) -> Self {
        let listing = publisher.listing();
        let torrent = |listed: &Listed| Torrent::new(listed, publisher.counts(&listed.published));
        let mut torrents: Vec<_> = listing.torrents.iter().map(torrent).collect();
        torrents.sort_by(|one, other| (&one.folder, &one.name).cmp(&(&other.folder, &other.name)));
        let reading = |reading: &std::sync::Arc<bittorrent_node::publish::Reading>| {
            let (done_octets, total_octets) = reading.octets();
            Reading { name: reading.name.clone(), done_octets, total_octets }
        };
        let left_out = listing.left_out.iter().filter(|_| !public).map(|left_out| LeftOut {
            place: left_out.place.display().to_string(),
            reason: left_out.reason.clone(),
        });
        Self {
            torrents,
            reading: listing.reading.iter().map(reading).collect(),
            left_out: left_out.collect(),
        }
    }
}

impl Torrent {
    fn new(listed: &Listed, counts: Counts) -> Self {
        let (published, progress) = (&listed.published, listed.progress());
        let (id, hashes) = (&published.id, published.hashes());
        let file = |file: &bittorrent_node::publish::PublishedFile| File {
            path: file.path.clone(),
            octets: file.octets,
            address: {
                let mut address = format!("/torrents/{id}");
                encode_path(file.path.split('/'), &mut address);
                address
            },
        };
        Self {
            name: published.name().to_owned(),
            folder: published.folder_name.clone(),
            octets: published.octets,
            info_hash: hashes.v1.map(|hash| hash.to_string()),
            info_hash_v2: hashes.v2.map(|hash| hash.to_string()),
            magnet: published.magnet(),
            torrent: format!("/torrents/{id}.torrent"),
            files: published.files.iter().map(file).collect(),
            seeds: counts.seeds,
            leechers: counts.leechers,
            completed: counts.completed,
            connections: progress.connections,
            sent_octets: progress.sent_octets,
            sent_per_second: progress.sent_per_second as u64,
        }
    }
}
