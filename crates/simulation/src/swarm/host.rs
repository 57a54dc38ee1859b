//! One host of a swarm: its torrent and its links.

use super::plan::{Behaviour, HostPlan, Plan};
use bittorrent::torrent::{BlockDigest, Octets, PeerKey, PieceLengths, PieceSet, Torrent};
use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

/// A block on its way through an uplink.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sending {
    pub(super) to: u32,
    pub(super) connection: u32,
    pub(super) octets: Octets,
    pub(super) wrong: bool,
}

/// One host.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) plan: HostPlan,
    pub(super) torrent: Torrent,
    pub(super) is_here: bool,
    /// Its neighbours, and the connection to each.
    pub(super) links: HashMap<u32, u32>,
    pub(super) banned: BTreeSet<u32>,
    /// The first is being sent.
    pub(super) uplink: VecDeque<Sending>,
    /// When the downlink is free again.
    pub(super) downlink_free: Instant,
    /// Blocks that were written and are wrong.
    wrong: HashSet<(u32, u32)>,
    pub(super) wrong_sent: u64,
    /// Counts its stays, so that a timer of an earlier one is void.
    pub(super) stay: u32,
}

impl Host {
    pub(super) fn new(now: Instant, plan: &Plan, host: HostPlan, lengths: PieceLengths, seed: u64) -> Self {
        let mut settings = plan.settings.clone();
        if !host.sends() {
            settings = settings.without_upload();
        }
        let have = if host.is_seed { PieceSet::full(plan.pieces) } else { PieceSet::empty(plan.pieces) };
        let rng = ChaCha12Rng::seed_from_u64(seed);
        Self {
            plan: host,
            torrent: Torrent::new(now, lengths, &have, settings, rng),
            is_here: false,
            links: HashMap::new(),
            banned: BTreeSet::new(),
            uplink: VecDeque::new(),
            downlink_free: now,
            wrong: HashSet::new(),
            wrong_sent: 0,
            stay: 0,
        }
    }

    /// Whether the next block it sends is wrong: every other one of a liar.
    pub(super) fn lies(&mut self) -> bool {
        if self.plan.behaviour != Behaviour::Liar {
            return false;
        }
        self.wrong_sent += 1;
        self.wrong_sent.is_multiple_of(2)
    }

    pub(super) fn write(&mut self, octets: Octets, wrong: bool) {
        let place = (octets.piece, octets.begin);
        if wrong {
            self.wrong.insert(place);
        } else if !self.wrong.is_empty() {
            self.wrong.remove(&place);
        }
    }

    /// Checks a piece and gives the digests of its blocks: those of wrong ones
    /// differ.
    pub(super) fn check(&mut self, piece: u32) -> (bool, Vec<BlockDigest>) {
        let blocks = self.torrent.lengths().blocks(piece);
        let begins = (0..blocks).map(|block| block * bittorrent::torrent::BLOCK_OCTETS);
        let wrong: Vec<bool> = begins.map(|begin| self.wrong.remove(&(piece, begin))).collect();
        let good = !wrong.contains(&true);
        (good, wrong.into_iter().map(|wrong| [u8::from(wrong); 20]).collect())
    }

    pub(super) fn key(peer: u32) -> PeerKey {
        PeerKey(peer)
    }
}

/// How long octets take over a link.
pub(super) fn span(octets: u32, rate: Option<u64>) -> Duration {
    match rate {
        None => Duration::ZERO,
        Some(rate) => Duration::from_nanos(u64::from(octets) * 1_000_000_000 / rate.max(1)),
    }
}
