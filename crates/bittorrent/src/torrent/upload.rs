//! Serving: whose requests are served, in which order.

use super::peer::{Peer, PeerKey};
use super::piece_set::Holdings;
use super::spread::{Spread, Urgency};
use super::super_seeding::SuperSeeding;
use super::uploads::{Refusal, Upload};
use super::{Octets, Send, Torrent};
use std::time::{Duration, Instant};

/// Requests at the head of a peer's queue among which a seed chooses.
const CHOICE_MAX: usize = 64;
/// Requests of one peer that are turned down in a row, at most: who asks for the
/// same again and again gets it in the end.
const TURNED_DOWN_MAX: usize = 1024;
/// The same where the first was turned down [`TURNED_DOWN_SPAN`] ago.
const TURNED_DOWN_LONG: usize = 2;
/// Who asks for nothing novel in this time, though it is turned down, wants nothing
/// novel: it gets a part of the torrent only, or plays it from a place. An honest
/// peer that wants all asks for the rarest pieces first, and those are novel.
const TURNED_DOWN_SPAN: Duration = Duration::from_secs(3);

/// Octets a seed hands to the service ahead for all peers together, at least,
/// while it spreads pieces that nobody has.
const SPREAD_AHEAD_OCTETS: u64 = 64 * 1024;

/// How often a seed that sends looks whether it has more slots to give away.
const SLOTS_INTERVAL: Duration = Duration::from_millis(50);

impl From<Octets> for Upload {
    fn from(Octets { piece, begin, octets }: Octets) -> Self {
        Self { piece, begin, octets }
    }
}

impl From<Upload> for Octets {
    fn from(Upload { piece, begin, octets }: Upload) -> Self {
        Self { piece, begin, octets }
    }
}

impl Torrent {
    /// The peer wants octets (BEP 3). Outside of what it may ask for it is
    /// rejected, if it speaks the fast extension (BEP 6), or not answered.
    pub fn handle_request(&mut self, now: Instant, key: PeerKey, octets: Octets) {
        let Some(slot) = self.peers.slot(key) else { return };
        let have = self.picker.have().contains(octets.piece);
        let shown = self.super_seeding.as_ref().is_none_or(|seed| seed.may_ask(slot, octets.piece));
        let open = self.peers.get(slot).is_some_and(|peer| !peer.am_choking && !peer.is_dismissed);
        if have && open && self.turns_down(now, slot, octets) {
            return;
        }
        let Some(peer) = self.peers.get_mut(slot) else { return };
        let allowed =
            !peer.am_choking || (peer.facts.fast && peer.facts.allowed_fast.contains(&octets.piece));
        let (refused, fault) = if !have || !shown {
            (true, true)
        } else if !allowed || peer.is_dismissed || self.paused {
            // It may have been choked a moment ago.
            (true, false)
        } else {
            match peer.uploads.push(self.picker.lengths(), octets.into()) {
                Ok(()) => (false, false),
                Err(Refusal::Full | Refusal::Senseless) => (true, true),
                Err(Refusal::Twice) => (false, true),
            }
        };
        let fast = peer.facts.fast;
        self.served_all &= refused;
        if !refused && !std::mem::replace(&mut peer.is_queued, true) {
            self.serving.push_back(slot);
        }
        if refused && fast {
            self.send(key, Send::Reject(octets));
        }
        if fault {
            self.fault(slot);
        }
    }

    /// The peer no longer wants octets (BEP 3). With the fast extension even a
    /// cancelled request is answered (BEP 6).
    pub fn handle_cancel(&mut self, _now: Instant, key: PeerKey, octets: Octets) {
        let Some(peer) = self.peers.slot(key).and_then(|slot| self.peers.get_mut(slot)) else { return };
        if peer.uploads.cancel(octets.into()) && peer.facts.fast {
            self.send(key, Send::Reject(octets));
        }
    }

    /// The service has sent octets it was told to serve. Also called for those
    /// it could not read: with `sent` false they do not count, and are rejected.
    pub fn handle_block_sent(&mut self, now: Instant, key: PeerKey, octets: Octets, sent: bool) {
        let Some(peer) = self.peers.slot(key).and_then(|slot| self.peers.get_mut(slot)) else { return };
        peer.uploads.handle_sent(now, octets.octets, sent);
        self.served_all = false;
        if sent {
            peer.round_out += u64::from(octets.octets);
            peer.total_out += u64::from(octets.octets);
            self.totals.sent_octets += u64::from(octets.octets);
            self.sent_rate.add(now, octets.octets);
            self.spare.note_sent(octets.octets);
            self.last_sent = now;
            if now >= self.next_slots && self.finished.is_some() {
                // A seed has more slots the more it sends: it must not wait for a
                // second to find that out.
                self.next_slots = now + SLOTS_INTERVAL;
                self.fill_slots(now);
            }
        } else if peer.facts.fast {
            self.send(key, Send::Reject(octets));
        }
    }

    /// The next octets to be served, if there is room for more.
    pub(super) fn next_serve(&mut self, now: Instant) -> Option<(PeerKey, Send)> {
        if self.spread.as_ref().is_some_and(|spread| !spread.is_over()) {
            return self.next_to_spread(now);
        }
        // In turn, so that all get the same share.
        for _ in 0..self.serving.len() {
            let slot = self.serving.pop_front()?;
            let Some(peer) = self.peers.get_mut(slot) else { continue };
            if peer.uploads.is_empty() {
                peer.is_queued = false;
                continue;
            }
            self.serving.push_back(slot);
            if peer.uploads.has_room(now, &self.settings)
                && let Some(upload) = peer.uploads.hand(now, 0)
            {
                return Some((peer.key, Send::Serve(upload.into())));
            }
        }
        None
    }

    /// The most urgent request of all, the queues taken in turn.
    fn next_to_spread(&mut self, now: Instant) -> Option<(PeerKey, Send)> {
        self.turn_down(now);
        let spread = self.spread.as_mut()?;
        let mut best: Option<((Urgency, u64), usize, usize)> = None;
        let mut empty = false;
        // A novel piece is wanted by who has no room for more at this moment.
        let mut waits = false;
        // Little is handed over ahead in all, or what is to go out piece by piece
        // would be mixed again in the sockets. Who does not take what it asked for
        // holds up nobody.
        let moving = self.serving.iter().filter_map(|slot| self.peers.get(*slot));
        let ahead: u64 = moving.map(|peer| peer.uploads.handed_and_moving(now)).sum();
        let twentieth = (self.sent_rate.octets_per_second(now) / 20.0) as u64;
        if ahead >= twentieth.max(SPREAD_AHEAD_OCTETS) {
            return self.sends.pop_front();
        }
        for (turn, slot) in self.serving.iter().enumerate() {
            let Some(peer) = self.peers.get(*slot) else { continue };
            empty |= peer.uploads.is_empty();
            let room = peer.uploads.has_room(now, &self.settings);
            if !room && waits {
                continue;
            }
            let mut urgent: Option<((Urgency, u64), usize)> = None;
            for (at, upload) in peer.uploads.iter().take(CHOICE_MAX).enumerate() {
                let rank = spread.rank(*slot, upload.piece);
                if urgent.is_none_or(|(least, _)| rank < least) {
                    urgent = Some((rank, at));
                }
                // Pieces are mostly asked for in the order in which they are begun.
                if rank.0 == Urgency::Novel {
                    break;
                }
            }
            if !room {
                waits = urgent.is_some_and(|((urgency, _), _)| urgency == Urgency::Novel);
            } else if let Some((rank, at)) = urgent
                && best.is_none_or(|(least, ..)| rank < least)
            {
                best = Some((rank, turn, at));
            }
        }
        // It would only be held up by what others have already, unless it is the
        // peer who takes it slowly and the uplink has room.
        let copies = !waits || (ahead == 0 && self.spare.has_room());
        let best = best.filter(|((urgency, _), ..)| *urgency == Urgency::Novel || copies);
        let chosen = best.and_then(|(_, turn, at)| {
            let slot = self.serving.remove(turn)?;
            self.serving.push_back(slot);
            let peer = self.peers.get_mut(slot)?;
            let upload = peer.uploads.hand(now, at)?;
            spread.give(now, slot, upload.piece);
            Some((peer.key, Send::Serve(upload.into())))
        });
        if empty {
            let peers = &mut self.peers;
            self.serving.retain(|slot| {
                let Some(peer) = peers.get_mut(*slot) else { return false };
                peer.is_queued = !peer.uploads.is_empty();
                peer.is_queued
            });
        }
        chosen.or_else(|| self.sends.pop_front())
    }

    /// While pieces are left that nobody has, a request for another is turned
    /// down, and a novel piece proposed instead, unless the peer wants none of those.
    fn turns_down(&mut self, now: Instant, slot: u32, octets: Octets) -> bool {
        let Some(spread) = self.spread.as_ref().filter(|spread| spread.has_novel()) else { return false };
        let Some(peer) = self.peers.get_mut(slot) else { return false };
        if spread.urgency(slot, octets.piece) == Urgency::Novel {
            (peer.turned_down, peer.turned_down_since) = (0, None);
            return false;
        }
        if !peer.facts.fast || insists(peer, now) {
            return false;
        }
        peer.turned_down_since.get_or_insert(now);
        peer.turned_down += 1;
        let key = peer.key;
        if peer.proposed_for != Some(octets.piece) {
            peer.proposed_for = Some(octets.piece);
            let start = self.dice.below(self.picker.lengths().count() as usize) as u32;
            if let Some(piece) = spread.novel_from(start) {
                self.sends.push_back((key, Send::Suggest { piece }));
            }
        }
        self.sends.push_back((key, Send::Reject(octets)));
        true
    }

    /// Turns down what is queued and has become another peer's since it was asked
    /// for. Looks at the heads of the queues only: the rest comes there.
    fn turn_down(&mut self, now: Instant) {
        for turn in 0..self.serving.len() {
            let Some(slot) = self.serving.get(turn).copied() else { break };
            while let Some(first) = self.peers.get(slot).and_then(|peer| peer.uploads.iter().next()) {
                if !self.turns_down(now, slot, first.into()) {
                    break;
                }
                if let Some(peer) = self.peers.get_mut(slot) {
                    peer.uploads.cancel(first);
                }
            }
        }
    }

    /// Chokes or unchokes a peer. What a choked peer asked for is rejected, except
    /// what it may have while choked (BEP 6).
    pub(super) fn set_choking(&mut self, now: Instant, slot: u32, choking: bool) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        if peer.am_choking == choking {
            return;
        }
        peer.am_choking = choking;
        let key = peer.key;
        if choking {
            (peer.unchoked, peer.choked) = (None, now);
            let allowed = &peer.facts.allowed_fast;
            let dropped = peer.uploads.take_if(|upload| !allowed.contains(&upload.piece));
            let fast = peer.facts.fast;
            self.sends.push_back((key, Send::Choke));
            if fast {
                self.sends.extend(dropped.into_iter().map(|upload| (key, Send::Reject(upload.into()))));
            }
            if let Some(spread) = &mut self.spread {
                spread.take_back(slot);
            }
        } else {
            peer.unchoked = Some(now);
            self.sends.push_back((key, Send::Unchoke));
        }
    }

    /// A peer other than us has a piece.
    pub(super) fn note_copy(&mut self, slot: u32, piece: u32) {
        if let Some(spread) = &mut self.spread {
            spread.note_copy(slot, piece);
        }
        let alone = self.peers.len() == 1;
        let next = self.super_seeding.as_mut().and_then(|seed| seed.note_copy(slot, piece, alone));
        if let Some(slot) = next {
            self.show_next(slot);
        }
    }

    /// A peer has no longer what it `held`: what nobody else has either is novel again.
    pub(super) fn note_lost_copies(&mut self, held: &Holdings) {
        let Some(spread) = &mut self.spread else { return };
        let (have, picker) = (self.picker.have(), &self.picker);
        for piece in have.iter().filter(|piece| held.contains(*piece) && picker.copies(*piece) == 0) {
            spread.note_lost(piece);
        }
    }

    /// Super-seeding: shows a peer what it may ask for next.
    pub(super) fn show_next(&mut self, slot: u32) {
        let Some(peer) = self.peers.get(slot) else { return };
        let Some(seed) = &mut self.super_seeding else { return };
        while let Some(piece) = seed.next(slot, &peer.holds, |piece| self.picker.copies(piece)) {
            self.sends.push_back((peer.key, Send::Have { piece }));
        }
    }

    /// Nothing is missing any more.
    pub(super) fn begin_seeding(&mut self, now: Instant) {
        self.finished = Some(now);
        self.last_sent = now;
        let (count, have) = (self.picker.lengths().count(), self.picker.have());
        if have.is_full() && self.settings.super_seeding && self.peers.len() == 0 {
            self.super_seeding = Some(SuperSeeding::new(count));
        } else if have.is_full() && self.settings.spread_first {
            self.spread = Some(Spread::new(count, have, |piece| self.picker.copies(piece)));
        }
        let slots: Vec<u32> = self.peers.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.dismiss_if_useless(slot);
        }
    }
}

/// Whether a peer wants nothing novel, as it seems.
fn insists(peer: &Peer, now: Instant) -> bool {
    let long = |since| now.saturating_duration_since(since) >= TURNED_DOWN_SPAN;
    peer.turned_down >= TURNED_DOWN_MAX
        || (peer.turned_down >= TURNED_DOWN_LONG && peer.turned_down_since.is_some_and(long))
}
