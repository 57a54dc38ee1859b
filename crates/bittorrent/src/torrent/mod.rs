//! The rules of one torrent: what is asked of whom, who is served, who is banned.
//!
//! [`Torrent`] is a state machine. The service hands in what peers say and the
//! time; it polls what to send and what happened. Nothing here knows messages,
//! sockets or files; peers are named by a [`PeerKey`]. The rules are split by
//! concern:
//!
//! - `picker`: rarest first, random first piece, endgame, priorities, deadlines;
//! - `requests`: how many requests are on their way to a peer; snubbing;
//! - `choker`: tit for tat and the optimistic unchoke;
//! - `spare`: slots on top while the uplink is not full;
//! - `uploads`, `spread`, `super_seeding`: whose requests are served, in which order;
//! - `ban`: who sent the wrong block of a bad piece;
//! - `seeding`: when a seed has done enough;
//! - `rate`, `bandwidth`: measuring and limiting octets a second.
//!
//! After each `handle_…` call, poll [`Torrent::poll_send`] and
//! [`Torrent::poll_event`] until they give nothing: what waits there is bounded by
//! what one call can cause, a few messages for each peer.

mod ban;
pub mod bandwidth;
mod choker;
mod dice;
mod download;
mod endgame;
mod output;
mod peer;
mod picker;
mod piece_set;
mod pieces;
mod rate;
mod requests;
mod said;
mod seeding;
mod settings;
mod spare;
mod spread;
mod super_seeding;
mod timers;
mod upload;
mod uploads;
mod view;

pub use ban::{BlockDigest, EVIDENCE_PIECES_MAX, EVIDENCE_VERSIONS_MAX};
pub use output::{BlockUse, Event, Octets, Reason, Send};
pub use peer::{HINTS_MAX, PEERS_MAX, PeerFacts, PeerKey, REFUSED_SPAN};
pub use picker::{COPIES_MAX, DEADLINES_MAX, Priority};
pub use piece_set::{BitfieldError, Holdings, PieceSet};
pub use pieces::{BLOCK_OCTETS, BlockId, PIECE_OCTETS_MAX, PIECES_MAX, PieceLengths, PieceLengthsError};
pub use rate::{RATE_WINDOW, Rate};
pub use seeding::SeedingGoal;
pub use settings::{SeedPolicy, Settings, Slots};
pub use spread::GIVEN_SPAN;
pub use super_seeding::SHOWN_PENDING_MAX;
pub use timers::TICK;
pub use uploads::{FAULTS_MAX, REQUESTS_QUEUED_MAX};
pub use view::{PeerView, Totals};

use ban::Evidence;
use choker::Choker;
use dice::Dice;
use peer::Peers;
use picker::Picker;
use rand_core::Rng;
use spare::Spare;
use spread::Spread;
use std::collections::VecDeque;
use std::time::Instant;
use super_seeding::SuperSeeding;

/// One torrent and its peers.
#[derive(Debug)]
pub struct Torrent {
    settings: Settings,
    dice: Dice,
    picker: Picker,
    peers: Peers,
    choker: Choker,
    spare: Spare,
    evidence: Evidence,
    /// As a seed: which pieces are out.
    spread: Option<Spread>,
    super_seeding: Option<SuperSeeding>,
    sends: VecDeque<(PeerKey, Send)>,
    events: VecDeque<Event>,
    /// Peers (slots) with requests, in the order in which they are served.
    serving: VecDeque<u32>,
    /// Nothing happened since nothing was found to be served.
    served_all: bool,
    /// How many peers unchoke us.
    serving_us: usize,
    /// Peers (slots) to be asked for more.
    to_fill: Vec<u32>,
    /// Peers that are to be asked again soon for what they rejected.
    turned_away: Vec<u32>,
    /// Blocks became free: peers for whom there was nothing are asked.
    wake: bool,
    picked: Vec<BlockId>,
    paused: bool,
    next_tick: Instant,
    /// When a seed that sends looks for more slots.
    next_slots: Instant,
    totals: Totals,
    sent_rate: Rate,
    received_rate: Rate,
    /// Since when nothing is missing.
    finished: Option<Instant>,
    last_sent: Instant,
    goal_told: bool,
    /// Octets sent in earlier runs: they count towards the goal.
    sent_before: u64,
}

/// Why a peer was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddPeerError {
    /// There are as many peers as can be.
    #[error("the torrent has {PEERS_MAX} peers")]
    Full,
    /// The key is another peer's.
    #[error("peer {} is here already", .0.0)]
    InUse(PeerKey),
}

impl Torrent {
    /// A torrent of which the pieces `have` are here (out of as many as there
    /// are: other indices are ignored), without peers. `rng` decides ties.
    pub fn new(
        now: Instant,
        lengths: PieceLengths,
        have: &PieceSet,
        settings: Settings,
        rng: impl Rng + std::marker::Send + Sync + 'static,
    ) -> Self {
        let mut here = PieceSet::empty(lengths.count());
        for piece in have.iter() {
            here.insert(piece);
        }
        let mut picker = Picker::new(lengths, here);
        picker.set_sequential(settings.sequential);
        let mut torrent = Self {
            dice: Dice::new(rng),
            picker,
            peers: Peers::default(),
            choker: Choker::new(now),
            spare: Spare::new(now),
            evidence: Evidence::default(),
            spread: None,
            super_seeding: None,
            sends: VecDeque::new(),
            events: VecDeque::new(),
            serving: VecDeque::new(),
            served_all: false,
            serving_us: 0,
            to_fill: Vec::new(),
            turned_away: Vec::new(),
            wake: false,
            picked: Vec::new(),
            paused: false,
            next_tick: now,
            next_slots: now,
            totals: Totals::default(),
            sent_rate: Rate::new(now),
            received_rate: Rate::new(now),
            finished: None,
            last_sent: now,
            goal_told: false,
            sent_before: 0,
            settings,
        };
        if torrent.picker.missing().is_empty() {
            torrent.begin_seeding(now);
        }
        torrent
    }

    /// A peer whose handshake is done. What we have is told to it first.
    pub fn add_peer(&mut self, now: Instant, key: PeerKey, mut facts: PeerFacts) -> Result<(), AddPeerError> {
        if self.peers.slot(key).is_some() {
            return Err(AddPeerError::InUse(key));
        }
        if !self.settings.uploads() {
            facts.allowed_fast.clear();
        }
        let fast = facts.fast;
        let allowed = facts.allowed_fast.iter().copied().take(HINTS_MAX).collect::<Vec<_>>();
        let slot = self.peers.add(now, key, facts).ok_or(AddPeerError::Full)?;
        let have = self.picker.have();
        if self.super_seeding.is_some() || have.is_empty() {
            if fast {
                self.send(key, Send::HaveNone);
            }
        } else if fast && have.is_full() {
            self.send(key, Send::HaveAll);
        } else {
            let bitfield = have.to_bitfield();
            self.send(key, Send::Bitfield(bitfield));
        }
        if fast {
            for piece in allowed {
                self.send(key, Send::AllowedFast { piece });
            }
        }
        self.show_next(slot);
        Ok(())
    }

    /// A peer is gone.
    pub fn remove_peer(&mut self, now: Instant, key: PeerKey) {
        let Some(slot) = self.peers.slot(key) else { return };
        self.give_up_requests(slot, false);
        self.picker.disown(slot);
        let Some(peer) = self.peers.remove(slot) else { return };
        if !peer.facts.web_seed {
            self.picker.count_holdings(&peer.holds, true);
        }
        self.serving_us -= usize::from(!peer.peer_choking);
        self.choker.forget(slot);
        self.serving.retain(|serving| *serving != slot);
        self.served_all = false;
        if let Some(spread) = &mut self.spread {
            spread.forget(slot);
        }
        if !peer.facts.web_seed {
            self.note_lost_copies(&peer.holds);
        }
        if let Some(super_seeding) = &mut self.super_seeding {
            super_seeding.forget(slot);
        }
        if !peer.am_choking {
            self.fill_slots(now);
        }
        self.settle(now);
    }

    /// Stops: chokes everybody, asks for nothing, until it is resumed (a full
    /// disk, a schedule, a command).
    pub fn set_paused(&mut self, now: Instant, paused: bool) {
        self.paused = paused;
        let slots: Vec<u32> = self.peers.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            if paused {
                self.cancel_requests(slot);
                self.set_choking(now, slot, true);
            }
            self.update_interest(slot);
            self.to_fill.push(slot);
        }
        if !paused {
            self.fill_slots(now);
        }
        self.settle(now);
    }

    /// Something to send; polled until there is nothing.
    pub fn poll_send(&mut self, now: Instant) -> Option<(PeerKey, Send)> {
        while let Some((key, send)) = self.sends.pop_front() {
            if self.peers.slot(key).is_some() {
                return Some((key, send));
            }
        }
        if self.served_all {
            return None;
        }
        let next = self.next_serve(now);
        self.served_all = next.is_none();
        next
    }

    /// Something that happened; polled until there is nothing.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn send(&mut self, key: PeerKey, send: Send) {
        self.sends.push_back((key, send));
    }

    fn fault(&mut self, slot: u32) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        peer.faults += 1;
        if peer.faults > FAULTS_MAX && !peer.is_dismissed {
            let event = Event::Disconnect { peer: peer.key, reason: Reason::Faults };
            self.events.push_back(event);
            self.dismiss(slot);
        }
    }

    /// Ends each `handle_…`: asks those for more who can be.
    fn settle(&mut self, now: Instant) {
        self.ask_again(now);
        if self.spare.is_due(now) {
            self.look_for_room(now);
        }
        loop {
            if std::mem::take(&mut self.wake) {
                let epoch = self.picker.epoch();
                let idle = self.peers.iter().filter(|(_, peer)| peer.nothing_at.is_some_and(|at| at < epoch));
                self.to_fill.extend(idle.map(|(slot, _)| slot));
            }
            let Some(slot) = self.to_fill.pop() else { break };
            self.fill(now, slot);
        }
    }

    /// Has those asked again that rejected everything, once it is time.
    fn ask_again(&mut self, now: Instant) {
        let (peers, to_fill) = (&self.peers, &mut self.to_fill);
        self.turned_away.retain(|slot| {
            let Some(peer) = peers.get(*slot).filter(|peer| peer.is_turned_away()) else { return false };
            let due = peer.refusals_are_over(now);
            if due {
                to_fill.push(*slot);
            }
            !due
        });
    }
}

#[cfg(test)]
mod tests;
