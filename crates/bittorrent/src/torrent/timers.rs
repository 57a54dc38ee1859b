//! What happens by itself: rounds of the choker, requests that are given up.

use super::choker::{Candidate, Choker};
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
        self.check_requests(now);
        if let Some(spread) = &mut self.spread {
            spread.expire(now);
        }
        if now >= self.choker.next_round() && !self.paused {
            self.choke_round(now);
        } else if self.finished.is_some() {
            // What a seed sends grows, and so do its slots.
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
            if !peer.refused.is_empty() && now >= peer.refused_until {
                peer.refused.clear();
                peer.nothing_at = None;
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
        let Some(since) = self.finished.filter(|_| !self.goal_told) else { return };
        let idle = now.saturating_duration_since(self.last_sent);
        let seeding = now.saturating_duration_since(since);
        let octets = self.picker.lengths().total_octets();
        if self.settings.seeding_goal.is_reached(self.totals.sent_octets, octets, seeding, idle) {
            self.goal_told = true;
            self.events.push_back(Event::SeedingGoalReached);
        }
    }

    fn candidates(&self, now: Instant) -> Vec<Candidate> {
        let seeding = self.finished.is_some();
        let peers = self.peers.iter().filter(|(_, peer)| !peer.is_dismissed);
        let candidate = |(slot, peer): (u32, &super::peer::Peer)| Candidate {
            slot,
            interested: peer.peer_interested,
            snubs: peer.pipeline.snubs,
            octets: if seeding { peer.round_out } else { peer.round_in },
            unchoked: peer.unchoked,
            choked: peer.choked,
            newcomer: now.saturating_duration_since(peer.joined) < self.settings.newcomer_span,
        };
        peers.map(candidate).collect()
    }

    fn choke_round(&mut self, now: Instant) {
        let candidates = self.candidates(now);
        let (seeding, sent) = (self.finished.is_some(), self.sent_rate.octets_per_second(now));
        let unchoked = self.choker.round(now, seeding, sent, candidates, &self.settings, &mut self.dice);
        let slots: Vec<u32> = self.peers.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.set_choking(now, slot, !unchoked.contains(&slot));
            if let Some(peer) = self.peers.get_mut(slot) {
                (peer.round_in, peer.round_out) = (0, 0);
            }
        }
    }

    /// Gives vacant slots away between rounds, so that the uplink is not idle.
    pub(super) fn fill_slots(&mut self, now: Instant) {
        let (seeding, sent) = (self.finished.is_some(), self.sent_rate.octets_per_second(now));
        let busy = self.peers.iter().filter(|(_, peer)| !peer.am_choking && peer.peer_interested).count();
        if self.paused || busy >= Choker::slots(seeding, sent, &self.settings) {
            return;
        }
        let candidates = self.candidates(now);
        for slot in self.choker.fill(seeding, sent, candidates, &self.settings, &mut self.dice) {
            self.set_choking(now, slot, false);
        }
    }
}
