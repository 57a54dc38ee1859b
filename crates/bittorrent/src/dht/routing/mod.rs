//! The routing table: nodes known to reply, the more of them the nearer they
//! are to our own id (BEP 5, "Routing Table").
//!
//! Only who has replied to us gets in. One node for each address, and few for
//! each network: who wants to surround somebody needs many networks.

mod bucket;
#[cfg(test)]
mod tests;

use super::contact::{Contact, Holder, is_local};
use super::id::{ID_BITS, Id};
use super::security::id_fits;
pub use bucket::Standing;
use bucket::{Bucket, Entry};
use rand_core::Rng;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Nodes of a bucket (K).
pub const K: usize = 8;

/// Nodes that wait for a place in a bucket.
pub const SPARE_MAX: usize = 8;

/// Nodes of one network (24 bits of IPv4, 48 of IPv6) in one bucket.
pub const NETWORK_NODES_MAX: usize = 2;

/// How long a node counts as good after it was heard of, and a bucket as fresh
/// after it changed.
pub const FRESH: Duration = Duration::from_mins(15);

/// Failures in a row that make a node bad.
pub const FAILURES_MAX: u8 = 2;

/// What came of a node that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// It is new in the table.
    Added,
    /// It was there already.
    Known,
    /// It waits for a place. If a node's standing is questionable, that one is
    /// to be pinged: it may have to make room.
    Waits(Option<Contact>),
    /// It is not wanted: our own id, somebody else's id, or too many nodes of
    /// its address or network.
    Refused,
}

/// The nodes of one family.
#[derive(Debug, Clone)]
pub struct Table {
    own: Id,
    /// The bucket at `i` holds ids that share exactly `i` bits with ours; the
    /// last one all that share more.
    buckets: Vec<Bucket>,
}

impl Table {
    /// An empty table around our own id.
    pub fn new(now: Instant, own: Id) -> Self {
        Self { own, buckets: vec![Bucket::new(now)] }
    }

    /// Our own id.
    pub fn own(&self) -> Id {
        self.own
    }

    /// Nodes in buckets.
    pub fn len(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.live.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Buckets, at most [`ID_BITS`].
    pub fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// Nodes of a standing.
    pub fn count(&self, now: Instant, standing: Standing) -> usize {
        self.entries().filter(|entry| entry.standing(now) == standing).count()
    }

    /// All nodes in buckets and waiting ones, nearest buckets last.
    pub fn contacts(&self) -> Vec<Contact> {
        self.buckets.iter().flat_map(Bucket::all).map(Entry::contact).collect()
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.buckets.iter().flat_map(|bucket| &bucket.live)
    }

    fn place(&self, id: &Id) -> usize {
        self.own.shared_bits(id).min(self.buckets.len() - 1)
    }

    fn bucket_mut(&mut self, id: &Id) -> Option<&mut Bucket> {
        let place = self.place(id);
        self.buckets.get_mut(place)
    }

    /// Puts us elsewhere (BEP 42): the nodes are distributed anew.
    pub fn rekey(&mut self, now: Instant, own: Id) {
        let old = std::mem::replace(self, Self::new(now, own));
        for entry in old.buckets.into_iter().flat_map(Bucket::into_all) {
            if entry.contact().id != own {
                self.insert(now, entry);
            }
        }
    }

    /// A node has replied to us.
    pub fn responded(&mut self, now: Instant, contact: Contact) -> Offered {
        if contact.id == self.own {
            return Offered::Refused;
        }
        let bucket = self.bucket_mut(&contact.id);
        if let Some(offered) = bucket.and_then(|bucket| bucket.responded(now, &contact)) {
            return offered;
        }
        self.forget_address(&contact.address);
        let ip = contact.address.ip();
        if !is_local(&ip) {
            let holder = Holder::of(&ip);
            let taken = |entry: &Entry| Holder::of(&entry.address().ip()) == holder;
            if self.buckets.iter().flat_map(Bucket::all).any(taken) {
                return Offered::Refused;
            }
        }
        let entry = Entry::new(now, contact, id_fits(&contact.id, &ip));
        self.insert(now, entry)
    }

    /// Who is at this address has another id now.
    fn forget_address(&mut self, address: &SocketAddr) {
        for bucket in &mut self.buckets {
            bucket.remove_address(address);
        }
    }

    fn insert(&mut self, now: Instant, entry: Entry) -> Offered {
        loop {
            let place = self.place(&entry.contact().id);
            let splits = place == self.buckets.len() - 1 && self.buckets.len() < ID_BITS;
            let Some(bucket) = self.buckets.get_mut(place) else { return Offered::Refused };
            if bucket.is_crowded(&entry) {
                return Offered::Refused;
            }
            if bucket.live.len() >= K && splits {
                self.split(now);
                continue;
            }
            return bucket.insert(now, entry);
        }
    }

    /// Splits the bucket our own id falls into.
    fn split(&mut self, now: Instant) {
        let bits = self.buckets.len() - 1;
        let Some(old) = self.buckets.pop() else { return };
        let (mut far, mut near) = (Bucket::new(now), Bucket::new(now));
        (far.changed, near.changed) = (old.changed, old.changed);
        for (entry, live) in old.into_parts() {
            let own_side = self.own.shared_bits(&entry.contact().id) > bits;
            let bucket = if own_side { &mut near } else { &mut far };
            if live { bucket.live.push(entry) } else { bucket.spare.push(entry) }
        }
        far.promote(now);
        near.promote(now);
        self.buckets.extend([far, near]);
    }

    /// A node did not reply in time, or not as itself. If it is bad now, one
    /// that waits takes its place.
    pub fn failed(&mut self, now: Instant, contact: &Contact) {
        if let Some(bucket) = self.bucket_mut(&contact.id) {
            bucket.failed(now, contact);
        }
    }

    /// A node has sent us a query. Gives whether it would be welcome if it
    /// replied to a ping.
    pub fn queried(&mut self, now: Instant, contact: &Contact) -> bool {
        if contact.id == self.own {
            return false;
        }
        let splits = self.place(&contact.id) == self.buckets.len() - 1 && self.buckets.len() < ID_BITS;
        let Some(bucket) = self.bucket_mut(&contact.id) else { return false };
        if let Some(entry) = bucket.find_mut(&contact.id) {
            if entry.address() == contact.address {
                entry.queried(now);
            }
            return false;
        }
        splits || bucket.has_room(now)
    }

    /// The `count` nodes closest to `target`: good ones, and with `doubtful`
    /// questionable ones too.
    pub fn closest(&self, now: Instant, target: &Id, count: usize, doubtful: bool) -> Vec<Contact> {
        let fits = |entry: &&Entry| match entry.standing(now) {
            Standing::Good => true,
            Standing::Questionable => doubtful,
            Standing::Bad => false,
        };
        let mut contacts: Vec<Contact> = self.entries().filter(fits).map(Entry::contact).collect();
        let distance = |contact: &Contact| target.distance(&contact.id);
        if contacts.len() > count {
            contacts.select_nth_unstable_by_key(count, distance);
            contacts.truncate(count);
        }
        contacts.sort_unstable_by_key(distance);
        contacts
    }

    /// The questionable node that was not heard of for longest: it is to be
    /// pinged, so that it becomes good or bad.
    pub fn most_doubtful(&self, now: Instant) -> Option<Contact> {
        let doubtful = self.entries().filter(|entry| entry.standing(now) == Standing::Questionable);
        doubtful.min_by_key(|entry| entry.seen()).map(Entry::contact)
    }

    /// When the next bucket is to be refreshed.
    pub fn next_refresh(&self) -> Option<Instant> {
        self.buckets.iter().map(|bucket| bucket.changed + FRESH).min()
    }

    /// An id in the range of a bucket that has not changed for [`FRESH`], to be
    /// looked up; the bucket counts as changed.
    pub fn refresh(&mut self, now: Instant, rng: &mut impl Rng) -> Option<Id> {
        let last = self.buckets.len() - 1;
        let due = |bucket: &Bucket| now.saturating_duration_since(bucket.changed) >= FRESH;
        let place = self.buckets.iter().position(due)?;
        self.buckets.get_mut(place)?.changed = now;
        Some(self.own.random_sharing(place, place == last, rng))
    }

    /// Lets all buckets that are not full be refreshed at once: after a
    /// bootstrap only our own neighbourhood is known.
    pub fn refresh_sparse(&mut self, now: Instant) {
        let past = now.checked_sub(FRESH).unwrap_or(now);
        for bucket in self.buckets.iter_mut().filter(|bucket| bucket.live.len() < K) {
            bucket.changed = past;
        }
    }
}
