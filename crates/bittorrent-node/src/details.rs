//! What can be asked of a torrent beside its progress: what it is made of, file by
//! file and tracker by tracker.

use bittorrent::metainfo::Metainfo;
use bittorrent::torrent::{PieceSet, Priority};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;
use storage::Member;

/// A torrent at one moment, in full.
#[derive(Debug, Clone)]
pub struct Details {
    /// Its metainfo, once its info dictionary is here.
    pub metainfo: Option<Arc<Metainfo>>,
    /// Below which folder its files lie.
    pub folder: PathBuf,
    /// The pieces that are here; `None` before its files have been looked at.
    pub have: Option<PieceSet>,
    /// How many peers have each piece; empty before.
    pub copies: Vec<u32>,
    /// How much each file is wanted, padding files too; empty before the info
    /// dictionary is here.
    pub files: Vec<Priority>,
    /// The files with the paths that they have on the disk, in the order of the info
    /// dictionary; `None` before they have been looked at.
    pub members: Option<Arc<[Member]>>,
    /// Its trackers, in the order of their tiers.
    pub trackers: Vec<TrackerLine>,
    /// Addresses that sent wrong octets, and are not spoken with any more.
    pub banned: Vec<IpAddr>,
    /// Pieces looked at so far, while it is found out which are here.
    pub looked_pieces: u32,
}

/// One tracker of a torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackerLine {
    /// Where it is announced to.
    pub url: String,
    /// The number of its tier, from 0.
    pub tier: usize,
    /// What came of the last announce, once there was one.
    pub answer: Option<TrackerAnswer>,
}

/// What came of an announce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackerAnswer {
    /// When.
    pub at: SystemTime,
    /// When it is announced to again by itself, where that is known.
    pub next: Option<SystemTime>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// Addresses of peers that it told.
    pub peers: usize,
    /// Peers that have all, where it says.
    pub seeds: Option<u32>,
    /// Peers that have not, where it says.
    pub leechers: Option<u32>,
}
