//! What a node has in one family.

use super::config::{Config, Status};
use super::saved::{SAVED_CONTACTS_MAX, SavedSide};
use crate::dht::contact::{Contact, Family, is_usable};
use crate::dht::id::Id;
use crate::dht::lookup::{Ask, ENTRANCES_MAX};
use crate::dht::routing::{Standing, Table};
use crate::dht::security::id_for;
use crate::dht::votes::Votes;
use rand_core::CryptoRng;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Nodes that wait to be pinged.
pub(super) const PINGS_WAITING_MAX: usize = 256;

/// Pings on their way at once.
pub(super) const PINGS_MAX: usize = 8;

/// After a start without success, the next is tried this much later, then
/// twice as late, up to the second.
pub(super) const BOOTSTRAP_DELAYS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(5));

/// How long an id is kept at least.
pub(super) const REKEY_INTERVAL: Duration = Duration::from_mins(10);

/// One family's table and what belongs to it.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) table: Table,
    pub(super) votes: Votes,
    /// Nodes known before the start, to begin with.
    pub(super) known: Vec<Contact>,
    /// Addresses to begin with.
    pub(super) entrances: Vec<SocketAddr>,
    waiting: VecDeque<Ask>,
    pub(super) pings: usize,
    /// The next attempt to find our neighbours, and the delay after it.
    pub(super) bootstrap_at: Instant,
    pub(super) bootstrap_delay: Duration,
    /// Whether a search of our own is under way.
    pub(super) searching: bool,
    pub(super) ready: bool,
    /// Whether nobody was good for a while.
    pub(super) lost: bool,
    rekeyed: Option<Instant>,
}

impl Side {
    pub(super) fn new(
        now: Instant,
        family: Family,
        config: &Config,
        saved: Option<SavedSide>,
        rng: &mut impl CryptoRng,
    ) -> Self {
        let is_ours = |ip: &&IpAddr| ip.is_ipv4() == (family == Family::V4);
        let saved = saved.unwrap_or_default();
        let own = match (saved.id, config.external.iter().find(is_ours)) {
            (Some(id), _) => id,
            (None, Some(ip)) => id_for(ip, rng),
            (None, None) => Id::random(rng),
        };
        let mut known = saved.contacts;
        known.retain(|contact| is_usable(&contact.address) && Family::of(&contact.address) == family);
        let entrances = config.routers.iter().filter(|router| Family::of(router) == family).copied();
        Self {
            table: Table::new(now, own),
            votes: Votes::default(),
            known,
            entrances: entrances.collect(),
            waiting: VecDeque::new(),
            pings: 0,
            bootstrap_at: now,
            bootstrap_delay: BOOTSTRAP_DELAYS.0,
            searching: false,
            ready: false,
            lost: false,
            rekeyed: None,
        }
    }

    /// A node to begin with, which may get into the table.
    pub(super) fn add_known(&mut self, address: SocketAddr) {
        self.verify(Ask { address, id: None });
        self.add_entrance(address);
    }

    /// An address to begin searches at while few nodes are known.
    pub(super) fn add_entrance(&mut self, address: SocketAddr) {
        if self.entrances.len() < ENTRANCES_MAX && !self.entrances.contains(&address) {
            self.entrances.push(address);
        }
    }

    /// Lets a node be pinged when its turn comes.
    pub(super) fn verify(&mut self, ask: Ask) {
        let waits = self.waiting.iter().any(|waiting| waiting.address == ask.address);
        if !waits && self.waiting.len() < PINGS_WAITING_MAX {
            self.waiting.push_back(ask);
        }
    }

    /// Lets all nodes be pinged once somebody is there again after nobody was:
    /// the fault was not theirs.
    pub(super) fn recover(&mut self, now: Instant) {
        let nobody = self.table.count(now, Standing::Good) == 0;
        if std::mem::replace(&mut self.lost, nobody) && !nobody {
            for Contact { id, address } in self.table.contacts() {
                self.verify(Ask { address, id: Some(id) });
            }
        }
    }

    /// The next node to ping.
    pub(super) fn next_ping(&mut self) -> Option<Ask> {
        if self.pings >= PINGS_MAX {
            return None;
        }
        let ask = self.waiting.pop_front()?;
        self.pings += 1;
        Some(ask)
    }

    /// A new id, where ours does not fit `address` and is not too young.
    pub(super) fn rekey(&mut self, now: Instant, address: &IpAddr, rng: &mut impl CryptoRng) -> Option<Id> {
        let young = |at: Instant| now.saturating_duration_since(at) < REKEY_INTERVAL;
        if crate::dht::security::id_fits(&self.table.own(), address) || self.rekeyed.is_some_and(young) {
            return None;
        }
        let id = id_for(address, rng);
        self.table.rekey(now, id);
        self.rekeyed = Some(now);
        self.bootstrap_at = now;
        Some(id)
    }

    pub(super) fn status(&self, now: Instant) -> Status {
        Status {
            id: self.table.own(),
            external: self.votes.address(),
            nodes: self.table.len(),
            good: self.table.count(now, Standing::Good),
        }
    }

    /// Before anybody replied, what was saved before is still all we know.
    pub(super) fn save(&self) -> SavedSide {
        let mut contacts = self.table.contacts();
        if contacts.is_empty() {
            contacts.clone_from(&self.known);
        }
        // The nearest buckets come last and are the fewest.
        let surplus = contacts.len().saturating_sub(SAVED_CONTACTS_MAX);
        contacts.drain(..surplus);
        SavedSide { id: Some(self.table.own()), contacts }
    }
}
