//! The hashes of single blocks (BEP 52, below the piece layer): read from the disk
//! and given to peers that ask, and asked of peers when a piece is bad, so that who
//! sent the wrong block of it is known at once.

use super::active::Active;
use super::hashes::{range_of, request_of};
use super::{Ended, Entry};
use crate::content::{Job, block_digest};
use bittorrent::metainfo::merkle::{Below, Hash, HashRequest, TreeShape};
use bittorrent::torrent::bandwidth::TokenBucket;
use bittorrent::torrent::{BlockDigest, PeerKey};
use bittorrent::wire::{BLOCK_OCTETS, HASHES_MAX, HashRange, Message};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Octets that are read and hashed a second for peers that ask, at most: a request
/// of 66 octets has megabytes read.
const OCTETS_PER_SECOND: u64 = 32 * 1024 * 1024;
/// Octets that one answer may take; a piece may always be asked about.
const ANSWER_OCTETS_MAX: u64 = HASHES_MAX as u64 * BLOCK_OCTETS as u64;
/// How long an answer is of use: the piece has come anew by then.
const PATIENCE: Duration = Duration::from_secs(15);
/// Requests that are on their way.
const ASKED_MAX: usize = 64;

/// What is asked of us and by us.
#[derive(Debug)]
pub(super) struct Leaves {
    /// What may be read for others.
    allowance: TokenBucket,
    /// By root and index.
    asked: BTreeMap<(Hash, u32), Asked>,
}

/// A request that is on its way.
#[derive(Debug)]
struct Asked {
    of: PeerKey,
    piece: u32,
    /// Its first block that is asked about.
    first: usize,
    request: HashRequest,
    until: Instant,
}

/// What blocks of a piece ought to be.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) piece: u32,
    pub(super) first: usize,
    pub(super) digests: Vec<BlockDigest>,
}

impl Leaves {
    pub(super) fn new(now: Instant) -> Self {
        Self { allowance: TokenBucket::new(now, Some(OCTETS_PER_SECOND)), asked: BTreeMap::new() }
    }

    /// Begins to answer a request for what lies below the piece layer. Whether it can
    /// be: the pieces are here, and not too much is asked for.
    pub(super) fn begin(&mut self, now: Instant, key: PeerKey, range: &HashRange, active: &Active) -> bool {
        let Some((pieces, first)) = pieces(range, active) else { return false };
        let octets =
            (pieces.end - pieces.start) as u64 * u64::from(active.content.info().layout().piece_length());
        if self.allowance.allowance(now, 1) == 0 {
            return false;
        }
        self.allowance.take(octets);
        active.worker.send(Job::Leaves { of: key, range: *range, pieces, first });
        true
    }

    /// Asks a peer what the blocks of a bad piece ought to be: one that has it and is
    /// not suspected, if there is any.
    pub(super) fn ask(&mut self, now: Instant, piece: u32, active: &Active, peers: &BTreeMap<u32, Entry>) {
        self.asked.retain(|_, asked| now < asked.until);
        let layout = active.content.info().layout();
        let Some((file, of_file)) = layout.merkle_file(piece) else { return };
        let (Some(root), Some((_, top))) =
            (file.pieces_root, active.content.layers().piece_hash(layout, piece))
        else {
            return;
        };
        let views = active.torrent.peers(now).filter(|view| view.holds.contains(piece));
        let views = views.filter_map(|view| Some((view, peers.get(&view.key.0)?)));
        let best = views
            .filter(|(_, entry)| entry.knows_trees)
            .max_by_key(|(view, _)| (!view.suspect, view.received_octets));
        let Some((view, entry)) = best else { return };
        let width = 1_u32.checked_shl(top).unwrap_or(0);
        let length = width.min(HASHES_MAX);
        if length < 2 {
            return;
        }
        let blocks = layout.piece_content_octets(piece).div_ceil(bittorrent::wire::BLOCK_OCTETS);
        for first in (0..blocks.min(width)).step_by(length as usize) {
            let Some(begin) = of_file.checked_mul(width).filter(|_| self.asked.len() < ASKED_MAX) else {
                return;
            };
            let index = begin + first;
            let request = HashRequest { base_layer: 0, index, length, proof_layers: top - 1 };
            let (of, until) = (view.key, now + PATIENCE);
            let asked = Asked { of, piece, first: first as usize, request, until };
            self.asked.insert((root, index), asked);
            entry.link.send(&Message::HashRequest(range_of(&root, &request)));
        }
    }

    /// Hashes came; `None` where they are no answer to what was asked here.
    ///
    /// # Errors
    /// When they are not those of the tree.
    pub(super) fn handle_hashes(
        &mut self,
        key: PeerKey,
        said: &HashRange,
        octets: &[u8],
        active: &Active,
    ) -> Result<Option<Known>, Ended> {
        let Some(asked) = self.take(key, said) else { return Ok(None) };
        let layout = active.content.info().layout();
        let Some((file, _)) = layout.merkle_file(asked.piece) else { return Ok(None) };
        let Some((known, _)) = active.content.layers().piece_hash(layout, asked.piece) else {
            return Ok(None);
        };
        let (hashes, _) = octets.as_chunks::<32>();
        let shape = TreeShape::new(file.length, layout.piece_length());
        let proven = asked.request.verify_below(&shape, &known, hashes);
        let proven = proven.map_err(|error| Ended::Broke(error.to_string()))?;
        let digests = proven.iter().map(block_digest).collect();
        Ok(Some(Known { piece: asked.piece, first: asked.first, digests }))
    }

    /// A peer has no hashes to give. Whether that was an answer to what was asked here.
    pub(super) fn handle_reject(&mut self, key: PeerKey, said: &HashRange) -> bool {
        self.take(key, said).is_some()
    }

    /// What `said` answers.
    fn take(&mut self, key: PeerKey, said: &HashRange) -> Option<Asked> {
        let place = (said.pieces_root, said.index);
        let asked = self.asked.get(&place)?;
        if asked.of != key || *said != range_of(&said.pieces_root, &asked.request) {
            return None;
        }
        self.asked.remove(&place)
    }
}

/// Which pieces must be read to answer, and which of the file's pieces is the first.
fn pieces(range: &HashRange, active: &Active) -> Option<(Range<u32>, u64)> {
    let layout = active.content.info().layout();
    let have = active.torrent.have();
    let request = request_of(range);
    let of_root =
        layout.files().iter().enumerate().filter(|(_, file)| file.pieces_root == Some(range.pieces_root));
    // Files with the same content have the same root.
    of_root.into_iter().find_map(|(index, file)| {
        let shape = TreeShape::new(file.length, layout.piece_length());
        request.check(&shape).ok()?;
        let needed = Below::pieces(&shape, &request)?;
        let octets = (needed.end - needed.start).checked_mul(layout.piece_length().into())?;
        if needed.end - needed.start > 1 && octets > ANSWER_OCTETS_MAX {
            return None;
        }
        let begin = layout.file_pieces(index).start;
        let of_torrent = |piece: u64| begin.checked_add(u32::try_from(piece).ok()?);
        let pieces = of_torrent(needed.start)?..of_torrent(needed.end)?;
        pieces.clone().all(|piece| have.contains(piece)).then_some((pieces, needed.start))
    })
}
