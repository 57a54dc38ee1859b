//! What hosts do about the events of their torrents.

use super::run::Swarm;
use bittorrent::torrent::Event;

impl Swarm<'_> {
    pub(super) fn act(&mut self, host: u32, event: Event) {
        let now = self.now;
        let place = &mut self.hosts[host as usize];
        match event {
            Event::PieceReady { piece, .. } => {
                let (good, digests) = place.check(piece);
                place.torrent.handle_piece_checked(now, piece, good, &digests);
            }
            Event::PieceCompleted { piece } => {
                // What only a free rider has is lost to the others.
                let copied = place.plan.sends() && self.uncopied.remove(piece);
                if copied && self.uncopied.is_empty() {
                    self.outcome.one_copy = Some(self.now.saturating_duration_since(self.epoch));
                    if self.plan.seeds_leave {
                        let hosts = self.plan.hosts.iter().enumerate();
                        for (seed, _) in hosts.filter(|(_, host)| host.is_seed) {
                            self.leave(seed as u32);
                        }
                    }
                }
            }
            Event::Completed => {
                let done = self.now.saturating_duration_since(self.epoch);
                if self.outcome.completed[host as usize].replace(done).is_none() {
                    self.incomplete -= 1;
                }
            }
            Event::Ban { peer, .. } => {
                place.banned.insert(peer.0);
                self.outcome.banned_by[peer.0 as usize] += 1;
                self.disconnect(host, peer.0);
            }
            Event::Disconnect { peer, .. } => self.disconnect(host, peer.0),
            Event::Finished | Event::Snubbed { .. } | Event::SeedingGoalReached => {}
        }
    }
}
