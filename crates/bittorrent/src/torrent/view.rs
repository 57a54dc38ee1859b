//! What can be seen of a torrent: for people, for the tracker, for a restart.

use super::peer::PeerKey;
use super::piece_set::{Holdings, PieceSet};
use super::pieces::PieceLengths;
use super::{Priority, Torrent};
use std::time::Instant;

/// Octets and faults since the torrent was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Octets of blocks received.
    pub received_octets: u64,
    /// Octets of blocks sent.
    pub sent_octets: u64,
    /// Octets received that were here already.
    pub wasted_octets: u64,
    /// Pieces that failed their hash.
    pub bad_pieces: u64,
}

/// One peer, as it can be shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PeerView<'peer> {
    /// The peer.
    pub key: PeerKey,
    /// We choke it.
    pub am_choking: bool,
    /// We want something it has.
    pub am_interested: bool,
    /// It chokes us.
    pub peer_choking: bool,
    /// It wants something we have.
    pub peer_interested: bool,
    /// It is the optimistic unchoke.
    pub optimistic: bool,
    /// It snubs us.
    pub snubs: bool,
    /// It took part in a bad piece.
    pub suspect: bool,
    /// What it has.
    pub holds: &'peer Holdings,
    /// Requests on their way to it.
    pub requests: usize,
    /// Octets a second from it.
    pub received_per_second: f64,
    /// Octets a second to it.
    pub sent_per_second: f64,
    /// Octets from it.
    pub received_octets: u64,
    /// Octets to it.
    pub sent_octets: u64,
}

impl Torrent {
    /// The lengths of the pieces.
    pub fn lengths(&self) -> &PieceLengths {
        self.picker.lengths()
    }

    /// The pieces that are here.
    pub fn have(&self) -> &PieceSet {
        self.picker.have()
    }

    /// The wanted pieces that are not here.
    pub fn missing(&self) -> &PieceSet {
        self.picker.missing()
    }

    /// Whether nothing that is wanted is missing.
    pub fn is_finished(&self) -> bool {
        self.finished.is_some()
    }

    /// How much a piece is wanted.
    pub fn priority(&self, piece: u32) -> Priority {
        self.picker.priority(piece)
    }

    /// How many peers have a piece.
    pub fn copies(&self, piece: u32) -> u32 {
        self.picker.copies(piece)
    }

    /// How many peers have all.
    pub fn seeds(&self) -> u32 {
        self.picker.seeds()
    }

    /// Pieces that are begun.
    pub fn partials(&self) -> usize {
        self.picker.partials()
    }

    /// How many peers there are.
    pub fn peers_len(&self) -> usize {
        self.peers.len()
    }

    /// What was transferred.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Octets received and sent a second.
    pub fn rates(&self, now: Instant) -> (f64, f64) {
        (self.received_rate.octets_per_second(now), self.sent_rate.octets_per_second(now))
    }

    /// All peers.
    pub fn peers(&self, now: Instant) -> impl Iterator<Item = PeerView<'_>> {
        self.peers.iter().map(move |(slot, peer)| PeerView {
            key: peer.key,
            am_choking: peer.am_choking,
            am_interested: peer.am_interested,
            peer_choking: peer.peer_choking,
            peer_interested: peer.peer_interested,
            optimistic: self.choker.optimistic().contains(&slot),
            snubs: peer.pipeline.snubs,
            suspect: peer.suspect,
            holds: &peer.holds,
            requests: peer.pipeline.len(),
            received_per_second: peer.pipeline.rate.octets_per_second(now),
            sent_per_second: peer.uploads.rate.octets_per_second(now),
            received_octets: peer.total_in,
            sent_octets: peer.total_out,
        })
    }
}
