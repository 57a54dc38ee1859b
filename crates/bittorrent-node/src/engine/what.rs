//! What a torrent is made of: its metainfo, or a link.

use crate::content::metainfo_file;
use bittorrent::metainfo::{InfoHashes, Magnet, Metainfo};
use bittorrent::tracker::announcer::TrackerUrl;
use bittorrent::web_seed::WebSeed;
use std::path::Path;
use std::sync::Arc;

/// What a torrent is made of.
#[derive(Debug, Clone)]
pub enum What {
    /// Its metainfo.
    Metainfo(Arc<Metainfo>),
    /// A link: the rest comes from peers.
    Magnet(Box<Magnet>),
}

impl What {
    /// Its trackers, tier by tier; those whose URL is of no use are left out.
    pub(super) fn trackers(&self) -> Vec<Vec<TrackerUrl>> {
        let read = |tier: &[String]| tier.iter().filter_map(|url| TrackerUrl::parse(url).ok()).collect();
        match self {
            What::Metainfo(metainfo) => metainfo.trackers.iter().map(|tier| read(tier)).collect(),
            // A link has no tiers: each is one of its own.
            What::Magnet(magnet) => magnet.trackers.chunks(1).map(read).collect(),
        }
    }

    /// Its web seeds.
    pub(super) fn web_seeds(&self) -> Vec<WebSeed> {
        let files = |urls: &[String]| urls.iter().cloned().map(WebSeed::Files).collect::<Vec<_>>();
        match self {
            What::Metainfo(metainfo) => {
                let scripts = metainfo.http_seeds.iter().cloned().map(WebSeed::Script);
                files(&metainfo.web_seeds).into_iter().chain(scripts).collect()
            }
            What::Magnet(magnet) => files(&magnet.web_seeds),
        }
    }

    pub(super) fn hashes(&self) -> InfoHashes {
        match self {
            What::Metainfo(metainfo) => metainfo.info.hashes(),
            What::Magnet(magnet) => magnet.hashes,
        }
    }
}

/// A link as what is known of it from an earlier run, in the folder `data`.
pub(super) fn known(data: &Path, magnet: Box<Magnet>) -> What {
    let Some(hash) = magnet.hashes.wire().next() else { return What::Magnet(magnet) };
    let limits = bittorrent::metainfo::Limits::DEFAULT;
    let read = storage::files::read(&metainfo_file(data, &hash), limits.metainfo_octets_max as u64);
    let Ok(Some(octets)) = read else { return What::Magnet(magnet) };
    let same = |metainfo: &Metainfo| {
        let hashes = metainfo.info.hashes();
        (magnet.hashes.v1.is_none() || magnet.hashes.v1 == hashes.v1)
            && (magnet.hashes.v2.is_none() || magnet.hashes.v2 == hashes.v2)
    };
    match Metainfo::parse(&octets, &limits).ok().filter(same) {
        Some(mut metainfo) => {
            metainfo.trackers = magnet.trackers.chunks(1).map(<[String]>::to_vec).collect();
            What::Metainfo(Arc::new(metainfo))
        }
        None => What::Magnet(magnet),
    }
}
