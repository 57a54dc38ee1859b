//! Gathering an info dictionary from peers (BEP 9).
//!
//! Peers say how long it is and send it in pieces of 16 KiB, and nothing shows
//! which of them lies until it is whole. At first the pieces come from all peers
//! at once. If the whole is wrong, it is gathered anew from one peer at a time: a
//! liar then is known.

use super::hash::InfoHashes;
use super::limits::{BLOCK_OCTETS, METADATA_OCTETS_MAX};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use thiserror::Error;

/// Octets of a piece of metadata.
pub const METADATA_PIECE_OCTETS: usize = BLOCK_OCTETS as usize;

/// Peers whose word about the length is kept.
pub const METADATA_PEERS_MAX: usize = 256;

/// How long a piece of metadata may take to come.
pub const METADATA_PATIENCE: Duration = Duration::from_secs(10);

/// Whoever speaks: a number that the caller gives to each connection.
pub type PeerId = u64;

/// Why what a peer said is not taken. It is the peer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AssemblyError {
    /// A length that cannot be.
    #[error("metadata of {0} octets")]
    Length(i64),
    /// A peer that says another length than before.
    #[error("metadata of {now} octets, but before of {before}")]
    Contradiction {
        /// What it said first.
        before: usize,
        /// What it says now.
        now: i64,
    },
    /// A piece that this peer was not asked for.
    #[error("piece {0} of the metadata was not asked for")]
    Unasked(u32),
    /// A piece of the wrong length.
    #[error("piece {piece} of the metadata has {octets} octets")]
    PieceLength {
        /// Which piece.
        piece: u32,
        /// Its octets.
        octets: usize,
    },
    /// All pieces came from this peer and are not the info dictionary.
    #[error("the metadata does not have the info-hash")]
    Wrong,
    /// More peers than [`METADATA_PEERS_MAX`]: nobody's fault.
    #[error("there are peers enough")]
    Enough,
}

/// What came of a piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssemblyProgress {
    /// More pieces are missing.
    More,
    /// All are here and the hash is right: the info dictionary.
    Complete(Vec<u8>),
    /// All are here and the hash is wrong. Several peers sent them, so it begins
    /// anew.
    Restarted,
}

/// A piece that is to come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Missing,
    /// Of whom, and until when it is waited for.
    Asked(PeerId, Instant),
    Here(PeerId, Box<[u8]>),
}

impl Piece {
    fn is_asked_of(&self, peer: PeerId) -> bool {
        matches!(self, Piece::Asked(asked, _) if *asked == peer)
    }
}

/// Who may send pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Senders {
    /// All peers.
    Everyone,
    /// One peer, the first that is asked.
    Anyone,
    /// This peer alone.
    Only(PeerId),
}

/// Gathers the info dictionary.
#[derive(Debug)]
pub struct MetadataAssembly {
    hashes: InfoHashes,
    octets_max: usize,
    /// How long it is by the word of each peer.
    lengths: BTreeMap<PeerId, usize>,
    /// The same of those that did not send what they were asked for. They are heard
    /// again when nobody else is left.
    aside: BTreeMap<PeerId, usize>,
    /// The length that is tried.
    length: usize,
    pieces: Vec<Piece>,
    senders: Senders,
}

impl MetadataAssembly {
    /// For the torrent of a magnet link, at most [`METADATA_OCTETS_MAX`] octets.
    pub fn new(hashes: InfoHashes) -> Self {
        Self::with_octets_max(hashes, METADATA_OCTETS_MAX)
    }

    /// With another bound of its length.
    pub fn with_octets_max(hashes: InfoHashes, octets_max: usize) -> Self {
        Self {
            hashes,
            octets_max,
            lengths: BTreeMap::new(),
            aside: BTreeMap::new(),
            length: 0,
            pieces: Vec::new(),
            senders: Senders::Everyone,
        }
    }

    /// A peer says in its extended handshake how long the metadata is
    /// (`metadata_size`). What most peers say is tried.
    ///
    /// # Errors
    /// When it cannot be so long, or the peer said otherwise before.
    pub fn handle_length(&mut self, peer: PeerId, octets: i64) -> Result<(), AssemblyError> {
        let length = usize::try_from(octets).ok().filter(|length| (1..=self.octets_max).contains(length));
        let length = length.ok_or(AssemblyError::Length(octets))?;
        match self.lengths.get(&peer).or(self.aside.get(&peer)) {
            Some(before) if *before != length => {
                return Err(AssemblyError::Contradiction { before: *before, now: octets });
            }
            Some(_) => return Ok(()),
            None if self.lengths.len() + self.aside.len() >= METADATA_PEERS_MAX => {
                return Err(AssemblyError::Enough);
            }
            None => {}
        }
        self.lengths.insert(peer, length);
        self.choose_length();
        Ok(())
    }

    /// Which piece to ask a peer for next. Ask until there is none; how many at once
    /// is the caller's choice.
    pub fn poll_request(&mut self, now: Instant, peer: PeerId) -> Option<u32> {
        if self.lengths.get(&peer) != Some(&self.length) {
            return None;
        }
        match self.senders {
            Senders::Only(only) if only != peer => return None,
            Senders::Anyone => self.senders = Senders::Only(peer),
            Senders::Everyone | Senders::Only(_) => {}
        }
        let index = self.pieces.iter().position(|piece| *piece == Piece::Missing)?;
        *self.pieces.get_mut(index)? = Piece::Asked(peer, now + METADATA_PATIENCE);
        u32::try_from(index).ok()
    }

    /// A piece came with its peer's word about the length of all (`total_size`).
    ///
    /// # Errors
    /// When the peer lies; it is best left. After [`AssemblyError::Wrong`] it is
    /// forgotten here already.
    pub fn handle_piece(
        &mut self,
        peer: PeerId,
        piece: u32,
        total_octets: i64,
        octets: &[u8],
    ) -> Result<AssemblyProgress, AssemblyError> {
        if !self.pieces.get(piece as usize).is_some_and(|place| place.is_asked_of(peer)) {
            return Err(AssemblyError::Unasked(piece));
        }
        self.handle_length(peer, total_octets)?;
        let begin = (piece as usize).saturating_mul(METADATA_PIECE_OCTETS);
        let expected = self.length.saturating_sub(begin).min(METADATA_PIECE_OCTETS);
        let place = self.pieces.get_mut(piece as usize).ok_or(AssemblyError::Unasked(piece))?;
        if octets.len() != expected {
            return Err(AssemblyError::PieceLength { piece, octets: octets.len() });
        }
        *place = Piece::Here(peer, octets.into());
        if self.pieces.iter().any(|piece| !matches!(piece, Piece::Here(..))) {
            return Ok(AssemblyProgress::More);
        }
        self.end_attempt(peer)
    }

    /// A peer has no metadata to give (`reject`): others are asked.
    pub fn handle_reject(&mut self, peer: PeerId, piece: u32) {
        if self.pieces.get(piece as usize).is_some_and(|place| place.is_asked_of(peer)) {
            self.set_aside(peer);
        }
    }

    /// Time has passed, a second or so: others are asked for what did not come in
    /// time.
    pub fn handle_timeout(&mut self, now: Instant) {
        let late: BTreeSet<PeerId> = self
            .pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::Asked(peer, until) if *until <= now => Some(*peer),
                _ => None,
            })
            .collect();
        for peer in late {
            self.set_aside(peer);
        }
    }

    /// A peer is gone.
    pub fn handle_gone(&mut self, peer: PeerId) {
        self.aside.remove(&peer);
        self.lengths.remove(&peer);
        self.release(peer);
    }

    /// A peer is not asked again until all others are set aside, too: liars in
    /// number cannot keep an honest peer from its turn.
    fn set_aside(&mut self, peer: PeerId) {
        if let Some(length) = self.lengths.remove(&peer) {
            self.aside.insert(peer, length);
        }
        self.release(peer);
    }

    /// What was asked of a peer is asked of others.
    fn release(&mut self, peer: PeerId) {
        for piece in &mut self.pieces {
            if piece.is_asked_of(peer) {
                *piece = Piece::Missing;
            }
        }
        if self.senders == Senders::Only(peer) {
            self.restart_alone();
        }
        if self.lengths.is_empty() {
            self.lengths = std::mem::take(&mut self.aside);
        }
        self.choose_length();
    }

    /// All pieces are here, the last from `peer`.
    fn end_attempt(&mut self, peer: PeerId) -> Result<AssemblyProgress, AssemblyError> {
        let mut whole = Vec::with_capacity(self.length);
        let mut several = false;
        for piece in &self.pieces {
            if let Piece::Here(from, octets) = piece {
                several |= *from != peer;
                whole.extend_from_slice(octets);
            }
        }
        if self.hashes.fits(&whole) {
            return Ok(AssemblyProgress::Complete(whole));
        }
        self.restart_alone();
        if several {
            return Ok(AssemblyProgress::Restarted);
        }
        self.handle_gone(peer);
        Err(AssemblyError::Wrong)
    }

    /// Begins anew, with one peer for all pieces.
    fn restart_alone(&mut self) {
        self.senders = Senders::Anyone;
        self.pieces.fill(Piece::Missing);
    }

    /// Takes the length that most peers say; one that is being tried stays until
    /// it has fewer. What was gathered for another is thrown away.
    fn choose_length(&mut self) {
        let mut votes: BTreeMap<usize, usize> = BTreeMap::new();
        for length in self.lengths.values() {
            *votes.entry(*length).or_default() += 1;
        }
        let current = votes.get(&self.length).copied().unwrap_or(0);
        let most = votes.iter().max_by_key(|(_, count)| **count);
        let Some((length, _)) = most.filter(|(_, count)| **count > current) else { return };
        self.length = *length;
        self.pieces = vec![Piece::Missing; length.div_ceil(METADATA_PIECE_OCTETS)];
        if self.senders != Senders::Everyone {
            self.senders = Senders::Anyone;
        }
    }
}

/// A piece of an info dictionary for a peer that asks; nothing beyond the last.
pub fn metadata_piece(info: &[u8], piece: u32) -> Option<&[u8]> {
    let begin = (piece as usize).checked_mul(METADATA_PIECE_OCTETS)?;
    let rest = info.get(begin..).filter(|rest| !rest.is_empty())?;
    Some(rest.get(..METADATA_PIECE_OCTETS).unwrap_or(rest))
}
