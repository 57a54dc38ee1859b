//! Asking for blocks, and what becomes of those that come.

use super::ban::BlockDigest;
use super::output::BlockUse;
use super::peer::{HINTS_MAX, Peer, PeerKey};
use super::picker::{Asker, Priority};
use super::pieces::BlockId;
use super::requests::Answer;
use super::{Event, Octets, Picker, Send, Settings, Torrent};
use std::collections::BTreeSet;
use std::time::Instant;

/// Begun pieces for each peer that serves us, and a few more, before begun ones
/// are finished first: whole pieces can be shared, parts cannot. Fewer would have
/// a seed asked for pieces that others have begun to send.
const PARTIALS_PER_PEER: usize = 3;
const PARTIALS_SPARE: usize = 4;

impl Torrent {
    /// A block came. Only a [`BlockUse::Wanted`] one is written.
    pub fn handle_block(&mut self, now: Instant, key: PeerKey, octets: Octets) -> BlockUse {
        let Some(slot) = self.peers.slot(key) else { return BlockUse::Unrequested };
        let id = self.picker.lengths().block_at(octets.piece, octets.begin, octets.octets);
        let (Some(id), Some(peer)) = (id, self.peers.get_mut(slot)) else {
            self.fault(slot);
            return BlockUse::Unrequested;
        };
        if peer.pipeline.answer(now, id, octets.octets) == Answer::Unasked {
            self.fault(slot);
            let here = self.picker.has_block(id);
            return if here { BlockUse::Duplicate } else { BlockUse::Unrequested };
        }
        let count = u64::from(octets.octets);
        peer.round_in += count;
        peer.total_in += count;
        self.received_rate.add(now, octets.octets);
        self.totals.received_octets += count;
        let receipt = self.picker.receive(slot, key.0, id);
        let fate = match receipt {
            None => {
                self.totals.wasted_octets += count;
                BlockUse::Duplicate
            }
            Some(receipt) => {
                for other in receipt.others() {
                    self.cancel(other, id);
                }
                if receipt.whole {
                    let digests = self.evidence.wants(id.piece);
                    self.events.push_back(Event::PieceReady { piece: id.piece, digests });
                }
                BlockUse::Wanted
            }
        };
        self.to_fill.push(slot);
        self.settle(now);
        fate
    }

    fn cancel(&mut self, slot: u32, id: BlockId) {
        if self.withdraw(slot, id) {
            self.to_fill.push(slot);
        }
    }

    /// Takes back one request and says so. Whether it was on its way.
    pub(super) fn withdraw(&mut self, slot: u32, id: BlockId) -> bool {
        let Some(peer) = self.peers.get_mut(slot) else { return false };
        let found = peer.pipeline.withdraw(id, true);
        if let Some((begin, octets)) = self.picker.lengths().range(id).filter(|_| found) {
            let key = peer.key;
            self.send(key, Send::Cancel(Octets { piece: id.piece, begin, octets }));
        }
        found
    }

    /// Asks a peer for as much as its pipeline lacks.
    pub(super) fn fill(&mut self, now: Instant, slot: u32) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        peer.forget_refusals(now);
        if peer.is_turned_away() && !self.turned_away.contains(&slot) {
            self.turned_away.push(slot);
        }
        if !peer.am_interested || self.paused || peer.is_dismissed {
            return;
        }
        if peer.peer_choking && peer.allowed.is_empty() {
            return;
        }
        if peer.refused.len() >= HINTS_MAX && !peer.peer_choking {
            // It turns down everything: it is asked again when that is forgotten.
            return;
        }
        let depth = if peer.facts.web_seed {
            let depth = peer.pipeline.depth_of_web_seed(now, &self.settings, self.picker.has_deadlines());
            if peer.pipeline.len() > depth / 2 {
                // Many blocks at a time become one request over HTTP.
                return;
            }
            depth
        } else {
            peer.pipeline.depth(now, &self.settings, peer.facts.requests_max)
        };
        // A few requests in one packet take less of our uplink than a packet each.
        let batch = (depth / 8).min(self.settings.requests_together as usize).max(1);
        let Some(room) = depth.checked_sub(peer.pipeline.len()).filter(|room| *room >= batch) else { return };
        let epoch = self.picker.epoch();
        let endgame = self.picker.is_endgame();
        let asker = asker(&self.settings, &self.picker, self.serving_us, slot, peer);
        self.picked.clear();
        let mut current = None;
        if peer.nothing_at != Some(epoch) {
            current = self.picker.pick(&asker, room, &mut self.dice, &mut self.picked);
        }
        let looks = now >= peer.next_look && (peer.pipeline.len() < depth.div_ceil(2));
        if self.picked.is_empty() && looks {
            self.take_over(now, slot, room);
            return;
        }
        if !endgame && self.picker.is_endgame() {
            // Whoever had nothing to do can help now.
            self.picker.touch();
            self.wake = true;
        }
        let Some(peer) = self.peers.get_mut(slot) else { return };
        let last = self.picked.last().map(|id| id.piece);
        peer.current = if peer.facts.web_seed { last.or(peer.current) } else { current };
        peer.nothing_at = self.picked.is_empty().then_some(epoch);
        self.ask_picked(now, slot);
    }

    /// Sends the requests that were decided on.
    pub(super) fn ask_picked(&mut self, now: Instant, slot: u32) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        for id in self.picked.drain(..) {
            if let Some((begin, octets)) = self.picker.lengths().range(id) {
                peer.pipeline.ask(now, id);
                let octets = Octets { piece: id.piece, begin, octets };
                self.sends.push_back((peer.key, Send::Request(octets)));
            }
        }
    }

    /// Takes back all requests without telling the peer.
    pub(super) fn give_up_requests(&mut self, slot: u32, may_come: bool) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        for id in peer.pipeline.drain(may_come) {
            self.picker.release(slot, id);
            self.wake = true;
        }
    }

    /// Takes back all requests and says so.
    pub(super) fn cancel_requests(&mut self, slot: u32) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        let key = peer.key;
        for id in peer.pipeline.drain(true) {
            self.picker.release(slot, id);
            if let Some((begin, octets)) = self.picker.lengths().range(id) {
                self.sends.push_back((key, Send::Cancel(Octets { piece: id.piece, begin, octets })));
            }
            self.wake = true;
        }
    }

    /// A piece was checked against its hash. `digests` are those of its blocks, in
    /// order: needed when it is bad, or when [`Event::PieceReady`] asked for them.
    /// Without them nobody is blamed but a sole sender.
    pub fn handle_piece_checked(&mut self, now: Instant, piece: u32, good: bool, digests: &[BlockDigest]) {
        let Some(senders) = self.picker.senders(piece) else { return };
        let senders: Vec<PeerKey> = senders.into_iter().map(PeerKey).collect();
        let liars = if good {
            self.evidence.handle_good(piece, digests)
        } else {
            self.evidence.handle_bad(piece, &senders, digests)
        };
        let all: BTreeSet<PeerKey> = senders.into_iter().collect();
        for key in &all {
            let slot = self.peers.slot(*key);
            let Some(peer) = slot.and_then(|slot| self.peers.get_mut(slot)) else { continue };
            if !good {
                peer.suspect = true;
                peer.current = None;
            } else if all.len() == 1 {
                peer.suspect = false;
            }
        }
        for key in liars {
            self.ban(now, key, piece);
        }
        if good {
            self.complete_piece(now, piece);
        } else {
            self.totals.bad_pieces += 1;
            self.picker.fail(piece);
            self.wake = true;
        }
        self.settle(now);
    }

    /// A bad piece may be told apart by what its blocks ought to be: whether there are
    /// several whom it may be blamed on.
    pub fn has_suspects(&self, piece: u32) -> bool {
        self.evidence.wants(piece)
    }

    /// It is known what some blocks of a bad piece ought to be, from block `first` on
    /// (the hash tree of BEP 52 tells): who sent something else is banned.
    pub fn handle_block_digests(&mut self, now: Instant, piece: u32, first: usize, digests: &[BlockDigest]) {
        for key in self.evidence.handle_known(piece, first, digests) {
            self.ban(now, key, piece);
        }
        self.settle(now);
    }

    /// A piece that was ready could not be written or read: it is asked for
    /// again, and nobody is blamed.
    pub fn handle_piece_unwritten(&mut self, now: Instant, piece: u32) {
        if self.picker.senders(piece).is_some() {
            self.picker.fail(piece);
            self.wake = true;
        }
        self.settle(now);
    }

    /// Wants nothing of a peer any more, which is about to be removed: what it was
    /// asked for others are asked for.
    pub(super) fn dismiss(&mut self, slot: u32) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        peer.is_dismissed = true;
        self.give_up_requests(slot, false);
        self.picker.disown(slot);
        self.wake = true;
    }

    fn ban(&mut self, now: Instant, key: PeerKey, piece: u32) {
        self.events.push_back(Event::Ban { peer: key, piece });
        let Some(slot) = self.peers.slot(key) else { return };
        self.dismiss(slot);
        self.set_choking(now, slot, true);
        self.update_interest(slot);
    }

    fn complete_piece(&mut self, now: Instant, piece: u32) {
        let wanted = self.picker.pass(piece);
        self.events.push_back(Event::PieceCompleted { piece });
        let mut bored = Vec::new();
        for (slot, peer) in self.peers.iter_mut() {
            self.sends.push_back((peer.key, Send::Have { piece }));
            if wanted && peer.holds.contains(piece) {
                peer.interesting = peer.interesting.saturating_sub(1);
                if peer.interesting == 0 {
                    bored.push(slot);
                }
            }
        }
        for slot in bored {
            self.update_interest(slot);
        }
        if self.picker.have().is_full() {
            self.events.push_back(Event::Completed);
        }
        if self.picker.missing().is_empty() && self.finished.is_none() {
            self.events.push_back(Event::Finished);
            self.begin_seeding(now);
        }
    }

    /// Changes what is wanted, and how much (BEP 53). Pieces that do not exist are
    /// ignored. Linear in the count of pieces and peers.
    pub fn set_priorities(&mut self, now: Instant, priorities: impl IntoIterator<Item = (u32, Priority)>) {
        self.picker.set_priorities(priorities);
        let slots: Vec<u32> = self.peers.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.count_interesting(slot);
            self.update_interest(slot);
            self.to_fill.push(slot);
        }
        if !self.picker.missing().is_empty() {
            self.finished = None;
            self.spread = None;
        } else if self.finished.is_none() {
            self.events.push_back(Event::Finished);
            self.begin_seeding(now);
        }
        self.settle(now);
    }

    /// Says when a missing piece is needed, or (`None`) that it is not urgent any
    /// more. Whether there was room: [`super::DEADLINES_MAX`].
    pub fn set_deadline(&mut self, now: Instant, piece: u32, at: Option<Instant>) -> bool {
        let fits = self.picker.set_deadline(piece, at);
        self.wake = true;
        self.settle(now);
        fits
    }

    /// Nothing is urgent any more (the player jumped or left).
    pub fn clear_deadlines(&mut self) {
        self.picker.clear_deadlines();
    }

    /// Pieces in their order, or rarest first.
    pub fn set_sequential(&mut self, sequential: bool) {
        self.settings.sequential = sequential;
        self.picker.set_sequential(sequential);
    }
}

/// A peer as the picker sees it.
pub(super) fn asker<'peer>(
    settings: &Settings,
    picker: &Picker,
    serving_us: usize,
    slot: u32,
    peer: &'peer Peer,
) -> Asker<'peer> {
    Asker {
        slot,
        holds: &peer.holds,
        interesting: peer.interesting,
        current: peer.current,
        only: peer.peer_choking.then_some(&peer.allowed),
        suggested: &peer.suggested,
        refused: &peer.refused,
        // A suspect that is silent too would only keep the piece from others.
        alone: peer.suspect && !peer.pipeline.is_slow(),
        in_runs: peer.facts.web_seed,
        random: picker.have().count() as usize + picker.partials() < settings.random_first_pieces as usize,
        partials_max: PARTIALS_PER_PEER * serving_us + PARTIALS_SPARE,
    }
}
