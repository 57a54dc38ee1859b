//! Tit for tat: who is unchoked.
//!
//! A leecher unchokes the four peers who send to it at the highest rate, decided
//! anew every ten seconds, and one more, chosen at random every thirty seconds,
//! whatever it sends: the optimistic unchoke, by which newcomers get a first piece
//! and better partners are found. A seed, to whom nobody sends, goes by the rate
//! at which its peers take (BEP 3, "The choking algorithm").
//!
//! The choker is handed what is known of each peer and says who is unchoked; it
//! sends nothing.

use super::dice::Dice;
use super::settings::{SeedPolicy, Settings, Slots};
use std::cmp::Reverse;
use std::time::Instant;

/// What the choker knows of one peer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    pub(crate) slot: u32,
    pub(crate) interested: bool,
    /// It snubs us: it unchokes us and sends nothing.
    pub(crate) snubs: bool,
    /// Octets since the last round: received by a leecher, sent by a seed.
    pub(crate) octets: u64,
    /// Since when it is unchoked.
    pub(crate) unchoked: Option<Instant>,
    /// When it was choked last, or joined.
    pub(crate) choked: Instant,
    pub(crate) newcomer: bool,
}

/// The state between rounds.
#[derive(Debug, Clone)]
pub(crate) struct Choker {
    next_round: Instant,
    next_rotation: Instant,
    optimistic: Vec<u32>,
    /// Slots on top of a leecher's, while its uplink has room.
    pub(crate) spare: u32,
}

impl Choker {
    pub(crate) fn new(now: Instant) -> Self {
        Self { next_round: now, next_rotation: now, optimistic: Vec::new(), spare: 0 }
    }

    /// When the next round is due.
    pub(crate) fn next_round(&self) -> Instant {
        self.next_round
    }

    /// Who is unchoked without regard to what it sends.
    pub(crate) fn optimistic(&self) -> &[u32] {
        &self.optimistic
    }

    /// A slot is a peer's no more.
    pub(crate) fn forget(&mut self, slot: u32) {
        self.optimistic.retain(|optimistic| *optimistic != slot);
    }

    /// Decides anew. `sent_per_second` is what all peers take from us. Gives the
    /// slots that are unchoked from now on.
    pub(crate) fn round(
        &mut self,
        now: Instant,
        seeding: bool,
        sent_per_second: f64,
        mut candidates: Vec<Candidate>,
        settings: &Settings,
        dice: &mut Dice,
    ) -> Vec<u32> {
        self.next_round = now + settings.choke_interval;
        // Ties are broken at random: a stable sort of a shuffled list.
        for at in (1..candidates.len()).rev() {
            candidates.swap(at, dice.below(at + 1));
        }
        if seeding {
            rank_for_seed(now, &mut candidates, settings);
        } else {
            candidates.retain(|candidate| !candidate.snubs || self.optimistic.contains(&candidate.slot));
            candidates
                .sort_by_key(|it| (Reverse(if it.snubs { 0 } else { it.octets }), it.unchoked.is_none()));
        }
        let mut unchoked = Vec::new();
        let mut left = self.regular_slots(seeding, sent_per_second, settings);
        for candidate in &candidates {
            if left == 0 {
                break;
            }
            // Whoever is faster than those who get a slot is unchoked even if it
            // wants nothing: should it come to want something, it has a slot.
            if candidate.interested || (candidate.octets > 0 && !seeding) {
                unchoked.push(candidate.slot);
                left -= u32::from(candidate.interested);
            }
        }
        self.rotate(now, &candidates, &unchoked, settings, dice);
        unchoked.extend(&self.optimistic);
        unchoked
    }

    /// Keeps the optimistic unchokes until their time is over, then draws others.
    fn rotate(
        &mut self,
        now: Instant,
        candidates: &[Candidate],
        regular: &[u32],
        settings: &Settings,
        dice: &mut Dice,
    ) {
        let before = std::mem::take(&mut self.optimistic);
        if now >= self.next_rotation {
            self.next_rotation = now + settings.optimistic_interval;
        } else {
            let stays = |slot: &u32| candidates.iter().any(|it| it.slot == *slot && it.interested);
            self.optimistic = before.iter().copied().filter(stays).collect();
        }
        self.optimistic.retain(|slot| !regular.contains(slot));
        let mut pool: Vec<Candidate> = candidates
            .iter()
            .filter(|it| it.interested && !regular.contains(&it.slot) && !self.optimistic.contains(&it.slot))
            .copied()
            .collect();
        // Whoever just had its turn waits for another, if there is one.
        if pool.iter().any(|it| !before.contains(&it.slot)) {
            pool.retain(|it| !before.contains(&it.slot));
        }
        while self.optimistic.len() < settings.optimistic_slots as usize && !pool.is_empty() {
            let weight =
                |it: &Candidate| if it.newcomer { settings.newcomer_weight.max(1) } else { 1 } as usize;
            let mut throw = dice.below(pool.iter().map(weight).sum());
            let drawn = pool.iter().position(|it| {
                let hit = throw < weight(it);
                throw = throw.saturating_sub(weight(it));
                hit
            });
            self.optimistic.push(pool.swap_remove(drawn.unwrap_or(0)).slot);
        }
    }

    /// Between rounds: gives away what slots became vacant, and takes none.
    pub(crate) fn fill(
        &mut self,
        seeding: bool,
        sent_per_second: f64,
        mut candidates: Vec<Candidate>,
        settings: &Settings,
        dice: &mut Dice,
    ) -> Vec<u32> {
        self.optimistic.retain(|slot| candidates.iter().any(|it| it.slot == *slot && it.interested));
        let regular = candidates
            .iter()
            .filter(|it| it.interested && it.unchoked.is_some() && !self.optimistic.contains(&it.slot))
            .count();
        let slots = self.regular_slots(seeding, sent_per_second, settings);
        let vacant = (slots as usize).saturating_sub(regular);
        let optimistic = (settings.optimistic_slots as usize).saturating_sub(self.optimistic.len());
        candidates.retain(|it| it.interested && it.unchoked.is_none());
        for at in (1..candidates.len()).rev() {
            candidates.swap(at, dice.below(at + 1));
        }
        candidates.sort_by_key(|it| (it.snubs, Reverse(it.octets)));
        let given: Vec<u32> = candidates.iter().take(vacant + optimistic).map(|it| it.slot).collect();
        self.optimistic.extend(given.iter().skip(vacant));
        given
    }

    /// Between rounds, when a peer that kept its unchoke came to want something
    /// and there are too many now: who has to go (BEP 3: the downloader with the
    /// worst upload rate).
    pub(crate) fn worst(&self, candidates: &[Candidate]) -> Option<u32> {
        let served = candidates.iter().filter(|it| it.interested && it.unchoked.is_some());
        let regular = served.filter(|it| !self.optimistic.contains(&it.slot));
        regular.min_by_key(|it| (it.octets, Reverse(it.unchoked), it.slot)).map(|it| it.slot)
    }

    /// Slots for which peers are chosen by rate.
    fn regular_slots(&self, seeding: bool, sent_per_second: f64, settings: &Settings) -> u32 {
        if seeding {
            regular_slots(settings.seed_slots, sent_per_second)
        } else {
            regular_slots(settings.slots, sent_per_second).saturating_add(self.spare)
        }
    }

    /// How many peers may be unchoked, the optimistic ones included.
    pub(crate) fn slots(&self, seeding: bool, sent_per_second: f64, settings: &Settings) -> usize {
        (self.regular_slots(seeding, sent_per_second, settings) + settings.optimistic_slots) as usize
    }
}

/// A seed's order: rotation first, then whoever takes the most.
fn rank_for_seed(now: Instant, candidates: &mut [Candidate], settings: &Settings) {
    match settings.seed_policy {
        SeedPolicy::UploadRate => {
            let recent = |it: &Candidate| {
                it.unchoked
                    .filter(|since| now.saturating_duration_since(*since) <= settings.optimistic_interval)
            };
            candidates.sort_by_key(|it| (Reverse(recent(it)), Reverse(it.octets)));
        }
        SeedPolicy::RoundRobin => {
            let served = |it: &Candidate| {
                it.unchoked
                    .is_some_and(|since| now.saturating_duration_since(since) >= settings.optimistic_interval)
            };
            // Those in their turn, then those who wait, the longest first, then
            // those whose turn is over.
            candidates.sort_by_key(|it| (served(it), it.unchoked.is_none(), it.choked));
        }
    }
}

fn regular_slots(slots: Slots, sent_per_second: f64) -> u32 {
    match slots {
        Slots::Fixed(slots) => slots,
        Slots::ByRate { octets_per_second, min, max } => {
            let fed = (sent_per_second / f64::from(octets_per_second.max(1))) as u32;
            fed.saturating_add(1).clamp(min.min(max), max)
        }
    }
}

#[cfg(test)]
mod tests;
