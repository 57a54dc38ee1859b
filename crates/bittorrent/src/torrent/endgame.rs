//! The endgame, and what leads to it: a peer that serves us and has nothing left
//! to be asked for takes over from the slowest.
//!
//! A block that waits far back in a slow peer's pipeline is asked of the idle one
//! instead, which costs nothing. In the endgame, when every block has been asked
//! for, even one that is about to come is asked for twice, and whoever is second
//! is told that it is no longer wanted (BEP 3).

use super::Torrent;
use super::download::asker;
use std::time::{Duration, Instant};

/// How much sooner a block must be here for it to be asked of another: what is
/// expected of peers is uncertain, and what is being sent cannot be called back.
const SOONER: f64 = 1.25;
const SOONER_SECONDS: f64 = 0.1;
/// Requests at the front of a pipeline that are about to be answered: to withdraw
/// them would be too late.
const SOON_ANSWERED: usize = 2;
/// Slow peers that are looked at in one go.
const SLOW_MAX: usize = 8;
/// Requests of each that are looked at.
const LATEST_MAX: usize = 64;
/// How soon after nothing was found it is looked again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Torrent {
    /// Finds up to `room` blocks for a peer among those that others were asked for.
    pub(super) fn take_over(&mut self, now: Instant, slot: u32, room: usize) {
        let endgame = self.picker.is_endgame();
        let Some(peer) = self.peers.get(slot) else { return };
        let asker = asker(&self.settings, &self.picker, self.serving_us, slot, peer);
        let (own, before) = (peer.pipeline.outlook(now), peer.pipeline.len());
        let mut withdrawn = Vec::new();
        if self.picker.has_deadlines() {
            for id in self.picker.urgent_copies(&asker, room) {
                if self.picker.share(slot, id) {
                    self.picked.push(id);
                }
            }
        }
        let mut slow: Vec<_> = (self.peers.iter())
            .filter(|(other, it)| *other != slot && it.pipeline.len() > 0)
            .filter(|(_, it)| endgame || !it.pipeline.is_untried(now))
            .map(|(other, it)| (it.pipeline.outlook(now), other, it))
            .map(|(outlook, other, it)| (outlook.arrival(it.pipeline.len() - 1), outlook, other, it))
            .filter(|(last, ..)| *last > SOONER * own.arrival(before) + SOONER_SECONDS)
            .collect();
        slow.sort_by(|one, next| next.0.total_cmp(&one.0).then(one.2.cmp(&next.2)));
        'slow: for (_, outlook, other, it) in slow.into_iter().take(SLOW_MAX) {
            for (at, id) in it.pipeline.latest().take(LATEST_MAX) {
                if self.picked.len() >= room {
                    break 'slow;
                }
                if outlook.arrival(at) <= SOONER * own.arrival(before + self.picked.len()) + SOONER_SECONDS {
                    break;
                }
                if !self.picker.may_share(&asker, id) {
                    continue;
                }
                if at >= SOON_ANSWERED && self.picker.reassign(other, slot, id) {
                    withdrawn.push((other, id));
                    self.picked.push(id);
                } else if endgame && self.picker.share(slot, id) {
                    self.picked.push(id);
                }
            }
        }
        let found = !self.picked.is_empty();
        for (other, id) in withdrawn {
            self.withdraw(other, id);
        }
        self.ask_picked(now, slot);
        if let Some(peer) = self.peers.get_mut(slot) {
            peer.nothing_at = Some(self.picker.epoch());
            if !found {
                peer.next_look = now + LOOK_AGAIN;
            }
        }
    }
}
