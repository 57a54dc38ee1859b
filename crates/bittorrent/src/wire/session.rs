//! One connection's duties: what the peer may say when, who chokes whom, and
//! the times after which to speak or to give up.

use super::bitfield::Bitfield;
use super::handshake::{Feature, Handshake, Reserved};
use super::message::{BLOCK_OCTETS, Block, HashRange, Message, REQUEST_OCTETS_MAX};
use super::peer_id::PeerId;
use super::violation::Violation;
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// The times of a connection, and whom to expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The peer's id, if the tracker told it.
    pub expected_peer: Option<PeerId>,
    /// The other info-hash of a hybrid torrent, with which a peer may answer
    /// (BEP 52, "upgrade path").
    pub upgrade: Option<[u8; 20]>,
    /// Whether the torrent has a v2 part, so that hashes can be spoken of.
    pub merkle_tree: bool,
    /// After so long without sending anything a keep-alive is due.
    pub keep_alive: Duration,
    /// After so long without receiving anything the peer is given up.
    pub idle: Duration,
    /// How long a handshake may take.
    pub handshake: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            expected_peer: None,
            upgrade: None,
            merkle_tree: false,
            // BEP 3 says every two minutes; some give up after just as long.
            keep_alive: Duration::from_secs(110),
            idle: Duration::from_mins(4),
            handshake: Duration::from_secs(20),
        }
    }
}

/// Who chokes whom and who is interested (BEP 3: "connections start out choked
/// and not interested").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags {
    /// We choke the peer.
    pub choking: bool,
    /// We are interested in what the peer has.
    pub interested: bool,
    /// The peer chokes us.
    pub peer_choking: bool,
    /// The peer is interested in what we have.
    pub peer_interested: bool,
}

/// What a time that has passed demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeout {
    /// Send [`Message::KeepAlive`].
    KeepAlive,
    /// Close the connection: the handshake took too long.
    Handshake,
    /// Close the connection: the peer was silent for too long.
    Idle,
}

/// Pieces of a torrent and octets of each but the last.
#[derive(Debug, Clone, Copy)]
struct Geometry {
    pieces: u32,
    piece_octets: u32,
}

/// One connection, from our handshake on.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    ours: Handshake,
    peer: Option<Handshake>,
    geometry: Option<Geometry>,
    flags: Flags,
    begun: Instant,
    sent: Instant,
    received: Instant,
}

impl Session {
    /// Begins when our handshake is sent, or when a connection was accepted.
    pub fn new(now: Instant, ours: Handshake, settings: Settings) -> Self {
        let flags = Flags { choking: true, interested: false, peer_choking: true, peer_interested: false };
        Self { settings, ours, peer: None, geometry: None, flags, begun: now, sent: now, received: now }
    }

    /// From now on judges by the torrent's pieces, each but the last of so many
    /// octets. Until then, with a magnet link, any piece may be spoken of.
    pub fn set_pieces(&mut self, pieces: u32, piece_octets: u32) {
        self.geometry = Some(Geometry { pieces, piece_octets });
    }

    /// The peer's handshake arrived.
    ///
    /// # Errors
    /// When the peer is not whom, or does not speak of what, was expected.
    pub fn handle_handshake(&mut self, now: Instant, peer: &Handshake) -> Result<(), Violation> {
        self.received = now;
        if self.peer.is_some() {
            return Err(Violation::OutOfOrder);
        }
        let upgraded = self.ours.reserved.has(Feature::V2Upgrade)
            && self.settings.upgrade.is_some_and(|info_hash| info_hash == peer.info_hash);
        if peer.info_hash != self.ours.info_hash && !upgraded {
            return Err(Violation::OtherTorrent);
        }
        if peer.peer_id == self.ours.peer_id {
            return Err(Violation::Ourselves);
        }
        if self.settings.expected_peer.is_some_and(|expected| expected != peer.peer_id) {
            return Err(Violation::OtherPeer);
        }
        self.peer = Some(*peer);
        Ok(())
    }

    /// A message arrived.
    ///
    /// # Errors
    /// When it is not allowed now, or not at all.
    pub fn handle_message(&mut self, now: Instant, message: &Message<'_>) -> Result<(), Violation> {
        self.received = now;
        if self.peer.is_none() {
            return Err(Violation::OutOfOrder);
        }
        match message {
            // `port` only tells something; programs send it unasked.
            Message::KeepAlive | Message::Port(_) => {}
            Message::Choke => self.flags.peer_choking = true,
            Message::Unchoke => self.flags.peer_choking = false,
            Message::Interested => self.flags.peer_interested = true,
            Message::NotInterested => self.flags.peer_interested = false,
            Message::Have(piece) => {
                self.check_piece(*piece)?;
            }
            // BEP 3 has it as the first message only. aria2 sends it again in place
            // of many a `have`; it takes the place of what was said before.
            Message::Bitfield(octets) => {
                if let Some(Geometry { pieces, .. }) = self.geometry {
                    Bitfield::from_octets(octets, pieces)?;
                }
            }
            Message::HaveAll | Message::HaveNone => {
                self.check_negotiated(Feature::Fast)?;
            }
            Message::Request(block) | Message::Cancel(block) => {
                self.check_octets(block, REQUEST_OCTETS_MAX)?;
            }
            Message::Piece { piece, begin, octets } => {
                let length = u32::try_from(octets.len()).unwrap_or(u32::MAX);
                self.check_block(&Block { piece: *piece, begin: *begin, length })?;
            }
            Message::Suggest(piece) | Message::AllowedFast(piece) => {
                self.check_negotiated(Feature::Fast)?;
                self.check_piece(*piece)?;
            }
            Message::Reject(block) => {
                self.check_negotiated(Feature::Fast)?;
                self.check_block(block)?;
            }
            Message::Extended { .. } => self.check_negotiated(Feature::Extensions)?,
            Message::HashRequest(range) | Message::HashReject(range) => self.check_hashes(range)?,
            Message::Hashes { range, hashes } => {
                self.check_hashes(range)?;
                // Layers of proof that lie within the hashes are left out.
                let count = (hashes.len() / 32) as u64;
                let least = u64::from(range.length);
                if !(least..=least + u64::from(range.proof_layers)).contains(&count) {
                    return Err(Violation::NoSuchHashes(*range));
                }
            }
        }
        Ok(())
    }

    /// The header of a `piece` arrived.
    ///
    /// # Errors
    /// When the torrent has no such block. That it was never requested is for
    /// the caller to notice.
    pub fn handle_block(&mut self, now: Instant, block: &Block) -> Result<(), Violation> {
        self.received = now;
        if self.peer.is_none() {
            return Err(Violation::OutOfOrder);
        }
        self.check_block(block)
    }

    /// Octets of a block arrived, or of a message that is not whole.
    pub fn handle_octets(&mut self, now: Instant) {
        self.received = now;
    }

    /// A message was sent.
    pub fn message_sent(&mut self, now: Instant, message: &Message<'_>) {
        self.sent = now;
        match message {
            Message::Choke => self.flags.choking = true,
            Message::Unchoke => self.flags.choking = false,
            Message::Interested => self.flags.interested = true,
            Message::NotInterested => self.flags.interested = false,
            _ => {}
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is next to be called.
    pub fn poll_timeout(&self) -> Instant {
        if self.peer.is_some() {
            (self.received + self.settings.idle).min(self.sent + self.settings.keep_alive)
        } else {
            self.begun + self.settings.handshake
        }
    }

    /// What is to be done now, if anything.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Timeout> {
        if self.peer.is_none() {
            return (now >= self.begun + self.settings.handshake).then_some(Timeout::Handshake);
        }
        if now >= self.received + self.settings.idle {
            return Some(Timeout::Idle);
        }
        if now >= self.sent + self.settings.keep_alive {
            self.sent = now;
            return Some(Timeout::KeepAlive);
        }
        None
    }

    /// Who chokes whom, and who is interested.
    pub fn flags(&self) -> Flags {
        self.flags
    }

    /// The peer's handshake, if it has arrived.
    pub fn peer(&self) -> Option<&Handshake> {
        self.peer.as_ref()
    }

    /// Whether both sides have a feature. Its messages may not be sent else.
    pub fn has(&self, feature: Feature) -> bool {
        let theirs = self.peer.map_or(Reserved::default(), |peer| peer.reserved);
        self.ours.reserved.has(feature) && theirs.has(feature)
    }

    /// Whether the peer has upgraded the connection to the v2 info-hash.
    pub fn is_upgraded(&self) -> bool {
        self.peer.is_some_and(|peer| peer.info_hash != self.ours.info_hash)
    }

    /// Whether the peer speaks of hashes of trees (BEP 52): it knows the torrent by its
    /// v2 info-hash, or says that it knows v2.
    pub fn knows_trees(&self) -> bool {
        let by_v2 = self.settings.upgrade.is_none() || self.is_upgraded();
        self.settings.merkle_tree && (by_v2 || self.has(Feature::V2Upgrade))
    }

    fn check_negotiated(&self, feature: Feature) -> Result<(), Violation> {
        if self.has(feature) { Ok(()) } else { Err(Violation::NotNegotiated(feature)) }
    }

    fn check_piece(&self, piece: u32) -> Result<(), Violation> {
        match self.geometry {
            Some(Geometry { pieces, .. }) if piece >= pieces => Err(Violation::NoSuchPiece { piece, pieces }),
            _ => Ok(()),
        }
    }

    fn check_hashes(&self, range: &HashRange) -> Result<(), Violation> {
        if !self.settings.merkle_tree {
            return Err(Violation::NoMerkleTree);
        }
        if range.is_valid() { Ok(()) } else { Err(Violation::NoSuchHashes(*range)) }
    }

    /// A block is what we ask for ourselves.
    fn check_block(&self, block: &Block) -> Result<(), Violation> {
        self.check_octets(block, BLOCK_OCTETS)
    }

    fn check_octets(&self, block: &Block, octets_max: u32) -> Result<(), Violation> {
        self.check_piece(block.piece)?;
        let piece_octets = self.geometry.map_or(u32::MAX, |geometry| geometry.piece_octets);
        let within = block.begin.checked_add(block.length).is_some_and(|end| end <= piece_octets);
        let sized = (1..=octets_max).contains(&block.length);
        if within && sized { Ok(()) } else { Err(Violation::NoSuchBlock(*block)) }
    }
}
