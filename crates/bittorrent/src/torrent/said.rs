//! What peers say about themselves: what they have, want and allow.

use super::peer::{HINTS_MAX, PeerKey};
use super::piece_set::{BitfieldError, Holdings, PieceSet};
use super::{Event, Octets, Reason, Send, Torrent};
use std::time::Instant;

impl Torrent {
    /// The peer has one more piece (BEP 3).
    pub fn handle_have(&mut self, now: Instant, key: PeerKey, piece: u32) {
        let Some(slot) = self.peers.slot(key) else { return };
        let count = self.picker.lengths().count();
        if piece >= count {
            return self.fault(slot);
        }
        let missing = self.picker.is_missing(piece);
        let Some(peer) = self.peers.get_mut(slot) else { return };
        if peer.holds == Holdings::None {
            peer.holds = Holdings::Some(PieceSet::empty(count));
        }
        let Holdings::Some(set) = &mut peer.holds else { return };
        if !set.insert(piece) {
            return;
        }
        peer.interesting += u32::from(missing);
        peer.nothing_at = None;
        self.picker.count_copy(piece, false);
        self.note_copy(slot, piece);
        if missing {
            self.update_interest(slot);
            self.to_fill.push(slot);
        }
        self.dismiss_if_useless(slot);
        self.settle(now);
    }

    /// What the peer has (BEP 3). An error is the peer's fault: disconnect it.
    pub fn handle_bitfield(
        &mut self,
        now: Instant,
        key: PeerKey,
        octets: &[u8],
    ) -> Result<(), BitfieldError> {
        let set = PieceSet::from_bitfield(self.picker.lengths().count(), octets)?;
        let holds = match set.count() {
            0 => Holdings::None,
            _ if set.is_full() => Holdings::All,
            _ => Holdings::Some(set),
        };
        self.set_holdings(now, key, holds);
        Ok(())
    }

    /// The peer has everything (BEP 6).
    pub fn handle_have_all(&mut self, now: Instant, key: PeerKey) {
        self.set_holdings(now, key, Holdings::All);
    }

    /// The peer has nothing (BEP 6).
    pub fn handle_have_none(&mut self, now: Instant, key: PeerKey) {
        self.set_holdings(now, key, Holdings::None);
    }

    /// The peer lost a piece (BEP 54).
    pub fn handle_dont_have(&mut self, now: Instant, key: PeerKey, piece: u32) {
        let Some(slot) = self.peers.slot(key) else { return };
        let count = self.picker.lengths().count();
        if piece >= count {
            return self.fault(slot);
        }
        let Some(peer) = self.peers.get(slot) else { return };
        let mut set = match &peer.holds {
            Holdings::None => return,
            Holdings::Some(set) => set.clone(),
            Holdings::All => PieceSet::full(count),
        };
        set.remove(piece);
        self.picker.disown(slot);
        self.wake = true;
        self.set_holdings(now, key, Holdings::Some(set));
    }

    fn set_holdings(&mut self, now: Instant, key: PeerKey, holds: Holdings) {
        let Some(slot) = self.peers.slot(key) else { return };
        let Some(peer) = self.peers.get_mut(slot) else { return };
        let before = std::mem::replace(&mut peer.holds, holds.clone());
        peer.nothing_at = None;
        let counts = !peer.facts.web_seed;
        if counts {
            self.picker.count_holdings(&before, true);
            self.picker.count_holdings(&holds, false);
        }
        self.count_interesting(slot);
        if counts && (self.spread.is_some() || self.super_seeding.is_some()) {
            for piece in 0..self.picker.lengths().count() {
                if holds.contains(piece) && !before.contains(piece) {
                    self.note_copy(slot, piece);
                }
            }
            self.note_lost_copies(&before);
        }
        self.update_interest(slot);
        self.dismiss_if_useless(slot);
        self.to_fill.push(slot);
        self.settle(now);
    }

    /// Counts anew what a peer has that is missing.
    pub(super) fn count_interesting(&mut self, slot: u32) {
        let missing = self.picker.missing();
        let Some(peer) = self.peers.get_mut(slot) else { return };
        peer.interesting = match &peer.holds {
            Holdings::None => 0,
            Holdings::Some(set) => missing.common(set).count() as u32,
            Holdings::All => missing.count(),
        };
    }

    /// Tells the peer whether it has something that is missing.
    pub(super) fn update_interest(&mut self, slot: u32) {
        let paused = self.paused;
        let Some(peer) = self.peers.get_mut(slot) else { return };
        let interested = peer.interesting > 0 && !paused && !peer.is_dismissed;
        if interested != peer.am_interested {
            peer.am_interested = interested;
            let key = peer.key;
            self.send(key, if interested { Send::Interested } else { Send::NotInterested });
        }
    }

    /// The peer serves us no more (BEP 3).
    pub fn handle_choke(&mut self, now: Instant, key: PeerKey) {
        let Some(slot) = self.peers.slot(key) else { return };
        let Some(peer) = self.peers.get_mut(slot) else { return };
        if !std::mem::replace(&mut peer.peer_choking, true) {
            self.serving_us -= 1;
        }
        peer.refused.clear();
        peer.current = None;
        peer.nothing_at = None;
        // With the fast extension each request is rejected or served (BEP 6): what
        // is already on its way need not be asked of another.
        if !peer.facts.fast {
            self.give_up_requests(slot, true);
        }
        // Nor may a suspect keep its piece to itself.
        self.picker.disown(slot);
        self.wake = true;
        self.to_fill.push(slot);
        self.settle(now);
    }

    /// The peer serves us (BEP 3).
    pub fn handle_unchoke(&mut self, now: Instant, key: PeerKey) {
        let Some(slot) = self.peers.slot(key) else { return };
        let Some(peer) = self.peers.get_mut(slot) else { return };
        if std::mem::replace(&mut peer.peer_choking, false) {
            self.serving_us += 1;
        }
        peer.nothing_at = None;
        self.to_fill.push(slot);
        self.settle(now);
    }

    /// The peer wants something we have (BEP 3).
    pub fn handle_interested(&mut self, now: Instant, key: PeerKey) {
        self.set_peer_interested(now, key, true);
    }

    /// The peer wants nothing we have (BEP 3).
    pub fn handle_not_interested(&mut self, now: Instant, key: PeerKey) {
        self.set_peer_interested(now, key, false);
    }

    fn set_peer_interested(&mut self, now: Instant, key: PeerKey, interested: bool) {
        let Some(slot) = self.peers.slot(key) else { return };
        let Some(peer) = self.peers.get_mut(slot) else { return };
        if peer.peer_interested == interested {
            return;
        }
        peer.peer_interested = interested;
        let choked = peer.am_choking;
        self.handle_interest(now, choked, interested);
        self.settle(now);
    }

    /// The peer proposes a piece (BEP 6).
    pub fn handle_suggest(&mut self, now: Instant, key: PeerKey, piece: u32) {
        self.hint(now, key, piece, false);
    }

    /// The peer serves a piece even while it chokes us (BEP 6).
    pub fn handle_allowed_fast(&mut self, now: Instant, key: PeerKey, piece: u32) {
        self.hint(now, key, piece, true);
    }

    fn hint(&mut self, now: Instant, key: PeerKey, piece: u32, allowed: bool) {
        let Some(slot) = self.peers.slot(key) else { return };
        if piece >= self.picker.lengths().count() {
            return self.fault(slot);
        }
        let Some(peer) = self.peers.get_mut(slot) else { return };
        let hints = if allowed { &mut peer.allowed } else { &mut peer.suggested };
        if !hints.contains(&piece) {
            // The newest hints are kept.
            if hints.len() >= HINTS_MAX {
                hints.remove(0);
            }
            hints.push(piece);
            peer.nothing_at = None;
            self.to_fill.push(slot);
            self.settle(now);
        }
    }

    /// The peer does not serve a request (BEP 6).
    pub fn handle_reject(&mut self, now: Instant, key: PeerKey, octets: Octets) {
        let Some(slot) = self.peers.slot(key) else { return };
        let id = self.picker.lengths().block_at(octets.piece, octets.begin, octets.octets);
        let Some(peer) = self.peers.get_mut(slot) else { return };
        let Some(id) = id.filter(|id| peer.pipeline.withdraw(*id, false)) else { return };
        if peer.peer_choking {
            peer.allowed.retain(|piece| *piece != id.piece);
        } else {
            peer.suggested.retain(|piece| *piece != id.piece);
            if !peer.refused.contains(&id.piece) && peer.refused.len() < HINTS_MAX {
                peer.refused.push(id.piece);
            }
            peer.refused_at = now;
        }
        peer.nothing_at = None;
        self.picker.release(slot, id);
        self.wake = true;
        self.to_fill.push(slot);
        self.settle(now);
    }

    /// The peer takes nothing any more, or does again (BEP 21).
    pub fn handle_upload_only(&mut self, now: Instant, key: PeerKey, upload_only: bool) {
        let Some(slot) = self.peers.slot(key) else { return };
        let Some(peer) = self.peers.get_mut(slot) else { return };
        peer.facts.upload_only = upload_only;
        self.dismiss_if_useless(slot);
        self.settle(now);
    }

    /// Tells the service to disconnect a peer that needs nothing and has nothing
    /// that is needed (BEP 21).
    pub(super) fn dismiss_if_useless(&mut self, slot: u32) {
        if !self.settings.disconnect_useless || !self.picker.missing().is_empty() {
            return;
        }
        let Some(peer) = self.peers.get_mut(slot) else { return };
        if !peer.is_dismissed && (peer.facts.upload_only || peer.holds.is_full()) {
            let event = Event::Disconnect { peer: peer.key, reason: Reason::Useless };
            self.events.push_back(event);
            self.dismiss(slot);
        }
    }
}
