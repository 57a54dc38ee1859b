//! What happens by itself: rounds of the choker, requests that are given up.

use super::choker::Candidate;
use super::seeding::SeedingGoal;
use super::{Event, Torrent};
use std::time::{Duration, Instant};

/// How often the peers are looked over.
pub const TICK: Duration = Duration::from_secs(1);

impl Torrent {
    /// When [`Torrent::handle_timeout`] is to be called; never is nothing due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        Some(self.next_tick)
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK;
        self.served_all = false;
        self.check_requests(now);
        if let Some(spread) = &mut self.spread {
            spread.expire(now);
        }
        if now >= self.choker.next_round() && !self.paused {
            self.choke_round(now);
        } else {
            // Slots became vacant, or more: what a seed sends grows.
            self.fill_slots(now);
        }
        self.check_goal(now);
        self.settle(now);
    }

    fn check_requests(&mut self, now: Instant) {
        for (slot, peer) in self.peers.iter_mut() {
            let (given_up, snubs) = peer.pipeline.check(now, &self.settings);
            if snubs {
                self.events.push_back(Event::Snubbed { peer: peer.key });
            }
            if peer.forget_refusals(now) {
                self.to_fill.push(slot);
            }
            let idle = peer.am_interested && !peer.peer_choking && peer.pipeline.len() == 0;
            if idle {
                // Somebody else may have become slow.
                self.to_fill.push(slot);
            }
            if !given_up.is_empty() {
                // It may have them all the same, one at a time.
                self.to_fill.push(slot);
                self.wake = true;
            }
            for id in given_up {
                self.picker.release(slot, id);
            }
        }
    }

    fn check_goal(&mut self, now: Instant) {
        if !self.goal_told && self.is_goal_reached(now) {
            self.goal_told = true;
            self.events.push_back(Event::SeedingGoalReached);
        }
    }

    /// Whether it has seeded as much as it shall.
    pub fn is_goal_reached(&self, now: Instant) -> bool {
        let Some(since) = self.finished else { return false };
        let goal = &self.settings.seeding_goal;
        if *goal == SeedingGoal::default() {
            return false;
        }
        let idle = now.saturating_duration_since(self.last_sent);
        let seeding = now.saturating_duration_since(since);
        let sent = self.sent_before + self.totals.sent_octets;
        goal.is_reached(sent, self.picker.goal_octets(), seeding, idle)
    }

    /// `between` rounds the octets of the last round count too, or nobody would
    /// have sent anything at the beginning of the next.
    fn candidates(&self, now: Instant, between: bool) -> Vec<Candidate> {
        let seeding = self.finished.is_some();
        let peers = self.peers.iter().filter(|(_, peer)| !peer.is_dismissed);
        let candidate = |(slot, peer): (u32, &super::peer::Peer)| {
            let before = if between { peer.last_round } else { (0, 0) };
            Candidate {
                slot,
                interested: peer.peer_interested,
                snubs: peer.pipeline.snubs,
                octets: if seeding { peer.round_out + before.1 } else { peer.round_in + before.0 },
                unchoked: peer.unchoked,
                choked: peer.choked,
                newcomer: now.saturating_duration_since(peer.joined) < self.settings.newcomer_span,
            }
        };
        peers.map(candidate).collect()
    }

    fn choke_round(&mut self, now: Instant) {
        self.spare.begin_round();
        self.choker.spare = self.spare.slots();
        let candidates = self.candidates(now, false);
        let (seeding, sent) = (self.finished.is_some(), self.sent_rate.octets_per_second(now));
        let unchoked = self.choker.round(now, seeding, sent, candidates, &self.settings, &mut self.dice);
        let slots: Vec<u32> = self.peers.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.set_choking(now, slot, !unchoked.contains(&slot));
            if let Some(peer) = self.peers.get_mut(slot) {
                peer.last_round = (peer.round_in, peer.round_out);
                (peer.round_in, peer.round_out) = (0, 0);
            }
        }
    }

    /// How many peers are served, and how many may be.
    fn served(&self, now: Instant) -> (usize, usize) {
        let (seeding, sent) = (self.finished.is_some(), self.sent_rate.octets_per_second(now));
        let served = self.peers.iter().filter(|(_, peer)| !peer.am_choking && peer.peer_interested);
        (served.count(), self.choker.slots(seeding, sent, &self.settings))
    }

    /// Unchokes one more while the uplink is not full.
    pub(super) fn look_for_room(&mut self, now: Instant) {
        let (served, slots) = self.served(now);
        let spare = self.spare.slots();
        let taken = spare.saturating_sub(slots.saturating_sub(served) as u32);
        let more = self.spare.look(now, taken, self.settings.spare_slots);
        self.choker.spare = self.spare.slots();
        if more && self.finished.is_none() {
            self.fill_slots(now);
        }
    }

    /// Gives vacant slots away between rounds, so that the uplink is not idle.
    pub(super) fn fill_slots(&mut self, now: Instant) {
        let (served, slots) = self.served(now);
        if self.paused || served >= slots {
            return;
        }
        let (seeding, sent) = (self.finished.is_some(), self.sent_rate.octets_per_second(now));
        let candidates = self.candidates(now, true);
        for slot in self.choker.fill(seeding, sent, candidates, &self.settings, &mut self.dice) {
            self.set_choking(now, slot, false);
        }
    }

    /// A peer came to want something, or wants nothing any more.
    pub(super) fn handle_interest(&mut self, now: Instant, was_choked: bool, interested: bool) {
        let (served, slots) = self.served(now);
        match (interested, was_choked) {
            (true, true) => self.fill_slots(now),
            (true, false) if served > slots => {
                if let Some(worst) = self.choker.worst(&self.candidates(now, true)) {
                    self.set_choking(now, worst, true);
                }
            }
            // It may want something again with the next piece: its slot is kept
            // for a moment, unless nobody else is served.
            (false, false) if served == 0 => self.fill_slots(now),
            _ => {}
        }
    }
}
