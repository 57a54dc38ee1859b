//! One bucket: its nodes, and those that wait for a place.

use super::{FAILURES_MAX, FRESH, K, NETWORK_NODES_MAX, Offered, SPARE_MAX};
use crate::dht::contact::{Contact, Holder, is_local};
use crate::dht::id::Id;
use std::net::SocketAddr;
use std::time::Instant;

/// How well a node is known (BEP 5, "Routing Table").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It replied in the last 15 minutes, or replied once and asked us
    /// something in the last 15 minutes.
    Good,
    /// It was not heard of for longer, or failed to reply once.
    Questionable,
    /// It failed to reply several times in a row.
    Bad,
}

/// A node that has replied to us.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    contact: Contact,
    responded: Instant,
    queried: Option<Instant>,
    failures: u8,
    /// Whether its id fits its address (BEP 42).
    fits: bool,
}

impl Entry {
    pub(super) fn new(now: Instant, contact: Contact, fits: bool) -> Self {
        Self { contact, responded: now, queried: None, failures: 0, fits }
    }

    pub(super) fn contact(&self) -> Contact {
        self.contact
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.contact.address
    }

    fn responded(&mut self, now: Instant) {
        (self.responded, self.failures) = (now, 0);
    }

    pub(super) fn queried(&mut self, now: Instant) {
        self.queried = Some(now);
    }

    pub(super) fn seen(&self) -> Instant {
        self.queried.map_or(self.responded, |queried| queried.max(self.responded))
    }

    pub(super) fn standing(&self, now: Instant) -> Standing {
        if self.failures >= FAILURES_MAX {
            Standing::Bad
        } else if self.failures > 0 || now.saturating_duration_since(self.seen()) >= FRESH {
            Standing::Questionable
        } else {
            Standing::Good
        }
    }
}

/// At most [`K`] nodes and [`SPARE_MAX`] that wait.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    pub(super) live: Vec<Entry>,
    /// In order of waiting, the latest last.
    pub(super) spare: Vec<Entry>,
    pub(super) changed: Instant,
}

impl Bucket {
    pub(super) fn new(now: Instant) -> Self {
        Self { live: Vec::with_capacity(K), spare: Vec::new(), changed: now }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Entry> {
        self.live.iter().chain(&self.spare)
    }

    pub(super) fn into_all(self) -> impl Iterator<Item = Entry> {
        self.live.into_iter().chain(self.spare)
    }

    /// All nodes, and whether each has a place.
    pub(super) fn into_parts(self) -> impl Iterator<Item = (Entry, bool)> {
        let live = self.live.into_iter().map(|entry| (entry, true));
        live.chain(self.spare.into_iter().map(|entry| (entry, false)))
    }

    pub(super) fn find_mut(&mut self, id: &Id) -> Option<&mut Entry> {
        self.live.iter_mut().chain(&mut self.spare).find(|entry| entry.contact.id == *id)
    }

    /// The node of this id, or who claims to be it, has replied. `None` if it
    /// is to be taken as new.
    pub(super) fn responded(&mut self, now: Instant, contact: &Contact) -> Option<Offered> {
        let entry = self.find_mut(&contact.id)?;
        if entry.contact.address == contact.address {
            entry.responded(now);
            self.changed = now;
            return Some(Offered::Known);
        }
        // Somebody else claims its id: believed once the owner is gone.
        if entry.standing(now) != Standing::Bad {
            return Some(Offered::Refused);
        }
        self.live.retain(|entry| entry.contact.id != contact.id);
        None
    }

    pub(super) fn remove_address(&mut self, address: &SocketAddr) {
        self.live.retain(|entry| entry.contact.address != *address);
        self.spare.retain(|entry| entry.contact.address != *address);
    }

    /// Whether its network has its share of this bucket.
    pub(super) fn is_crowded(&self, entry: &Entry) -> bool {
        let ip = entry.address().ip();
        let network = Holder::network(&ip);
        let same = |other: &&Entry| Holder::network(&other.address().ip()) == network;
        !is_local(&ip) && self.all().filter(same).count() >= NETWORK_NODES_MAX
    }

    /// Whether a node more would be of use now.
    pub(super) fn has_room(&self, now: Instant) -> bool {
        self.live.len() < K
            || self.spare.len() < SPARE_MAX
            || self.live.iter().any(|entry| entry.standing(now) != Standing::Good)
    }

    pub(super) fn insert(&mut self, now: Instant, entry: Entry) -> Offered {
        if self.live.len() < K {
            self.live.push(entry);
            self.changed = now;
            return Offered::Added;
        }
        let bad = self.live.iter().position(|old| old.standing(now) == Standing::Bad);
        if let Some(bad) = bad.and_then(|at| self.live.get_mut(at)) {
            *bad = entry;
            self.changed = now;
            return Offered::Added;
        }
        // An id that fits its address is preferred to one that does not.
        let unfit = self.live.iter().position(|old| !old.fits).filter(|_| entry.fits);
        if let Some(unfit) = unfit.and_then(|at| self.live.get_mut(at)) {
            let unfit = std::mem::replace(unfit, entry);
            self.changed = now;
            self.wait(unfit);
            return Offered::Added;
        }
        self.wait(entry);
        let questionable = self.live.iter().filter(|old| old.standing(now) == Standing::Questionable);
        Offered::Waits(questionable.min_by_key(|old| old.seen()).map(Entry::contact))
    }

    fn wait(&mut self, entry: Entry) {
        if self.spare.len() >= SPARE_MAX {
            self.spare.remove(0);
        }
        self.spare.push(entry);
    }

    pub(super) fn failed(&mut self, now: Instant, contact: &Contact) {
        self.spare.retain(|entry| entry.contact != *contact);
        let Some(entry) = self.live.iter_mut().find(|entry| entry.contact == *contact) else { return };
        entry.failures = entry.failures.saturating_add(1);
        self.promote(now);
    }

    /// Gives free places and those of bad nodes to those who wait, the latest
    /// first. Bad nodes stay as long as nobody does: the fault may be ours.
    pub(super) fn promote(&mut self, now: Instant) {
        while let Some(waiting) = self.spare.pop() {
            let bad = self.live.iter().position(|entry| entry.standing(now) == Standing::Bad);
            if self.live.len() < K {
                self.live.push(waiting);
            } else if let Some(bad) = bad.and_then(|at| self.live.get_mut(at)) {
                *bad = waiting;
            } else {
                self.spare.push(waiting);
                return;
            }
            self.changed = now;
        }
    }
}
