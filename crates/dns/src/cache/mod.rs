//! The resolver's cache: RRsets and negative answers as wire bytes, bounded in
//! octets, each with a rank of trust (RFC 2181 section 5.4.1) and a time after
//! which it is never given again.
//!
//! Delegations (the NS RRset in a referral) have entries of their own, which
//! only a referral from the parent writes: data from the child zone can
//! neither replace nor prolong them ("ghost domains").

mod bounded;
mod wire;

pub(crate) use bounded::Bounded;

use crate::{Name, Record, RecordData};
use bytes::Bytes;
use domain::base::iana::Rtype;
use domain::base::{ToName, Ttl};
use std::time::{Duration, Instant};

/// How far data is trusted, least first (RFC 2181 section 5.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Glue and other additional data: to find servers with, never to answer with.
    Additional,
    /// The authority section of a referral, which the parent is not authoritative for.
    Referral,
    /// The answer section of a reply without authority.
    Answer,
    /// The authority section of an authoritative reply.
    AuthoritativeAuthority,
    /// The answer section of an authoritative reply.
    AuthoritativeAnswer,
}

impl Rank {
    /// The least rank that a question is answered with.
    pub const ANSWERING: Rank = Rank::Answer;
}

/// The cache's bounds.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Everything the cache holds, its own bookkeeping included.
    pub octets_max: usize,
    /// No RRset is kept longer.
    pub ttl_seconds_max: u32,
    /// No negative answer is kept longer (RFC 2308 section 5 advises one to three hours).
    pub negative_ttl_seconds_max: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { octets_max: 64 << 20, ttl_seconds_max: 86_400, negative_ttl_seconds_max: 3_600 }
    }
}

/// What the cache knows about a name and type. TTLs are what is left of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The RRset asked for.
    Rrset(Vec<Record>),
    /// The name is an alias: its CNAME record.
    Alias(Record),
    /// The name has no records of the type; the zone's SOA record.
    NoData(Record),
    /// The name does not exist; the zone's SOA record.
    NameError(Record),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    name: Name,
    part: Part,
}

/// What of a name an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    /// The RRset of a type, or that there is none.
    Rrset(Rtype),
    /// That the name does not exist.
    Existence,
    /// The NS RRset its parent zone refers to.
    Delegation,
}

#[derive(Debug)]
struct Entry {
    rank: Rank,
    expires: Instant,
    data: Data,
}

#[derive(Debug)]
enum Data {
    /// The RRset's record data, see [`wire`].
    Rrset(Bytes),
    /// Negative: the owner of the SOA record and its data.
    Absent { apex: Name, soa: Bytes },
}

impl Data {
    fn octets(&self) -> usize {
        match self {
            Data::Rrset(rdata) => rdata.len(),
            Data::Absent { apex, soa } => apex.len() + soa.len(),
        }
    }
}

/// The cache.
#[derive(Debug)]
pub struct Cache {
    entries: Bounded<Key, Entry>,
    bounds: Bounds,
}

impl Cache {
    /// An empty cache.
    pub fn new(bounds: Bounds) -> Self {
        Self { entries: Bounded::new(bounds.octets_max), bounds }
    }

    /// Other bounds from here on; what is beyond them leaves.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.entries.set_octets_max(bounds.octets_max);
        self.bounds = bounds;
    }

    /// Octets held, at most [`Bounds::octets_max`].
    pub fn octets(&self) -> usize {
        self.entries.octets()
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is known about `name` and `rtype` and may be told to a client.
    pub fn find(&mut self, now: Instant, name: &Name, rtype: Rtype) -> Option<Found> {
        if let Some((apex, soa, ttl)) = self.absence(now, name, Part::Existence) {
            return Some(Found::NameError(wire::record(apex, Rtype::SOA, ttl, &soa)?));
        }
        if let Some((apex, soa, ttl)) = self.absence(now, name, Part::Rrset(rtype)) {
            return Some(Found::NoData(wire::record(apex, Rtype::SOA, ttl, &soa)?));
        }
        if let Some(records) = self.rrset(now, name, rtype, Rank::ANSWERING) {
            return Some(Found::Rrset(records));
        }
        if rtype == Rtype::CNAME {
            return None;
        }
        let alias = self.rrset(now, name, Rtype::CNAME, Rank::ANSWERING)?;
        alias.into_iter().next().map(Found::Alias)
    }

    /// The RRset, if it is known at `least` rank.
    pub fn rrset(&mut self, now: Instant, name: &Name, rtype: Rtype, least: Rank) -> Option<Vec<Record>> {
        self.records(now, name, Part::Rrset(rtype), rtype, least)
    }

    /// The NS RRset that the parent zone of `name` refers to.
    pub fn delegation(&mut self, now: Instant, name: &Name) -> Option<Vec<Record>> {
        self.records(now, name, Part::Delegation, Rtype::NS, Rank::Additional)
    }

    /// Keeps one RRset: records of one owner and type. Fresh data of a higher
    /// rank is not replaced. A TTL of 0 is not kept (RFC 1035 section 3.2.1).
    pub fn store_rrset(&mut self, now: Instant, rank: Rank, records: &[Record]) {
        if let Some(first) = records.first() {
            self.store_records(now, rank, Part::Rrset(first.rtype()), records);
        }
    }

    /// Keeps the NS RRset of a referral.
    pub fn store_delegation(&mut self, now: Instant, records: &[Record]) {
        self.store_records(now, Rank::Referral, Part::Delegation, records);
    }

    /// Forgets the delegation of `name`: none of its servers helped.
    pub fn forget_delegation(&mut self, name: &Name) {
        self.entries.remove(&Key { name: name.clone(), part: Part::Delegation });
    }

    /// Keeps that `name` has no records of `rtype`, for the time the SOA record
    /// allows (RFC 2308 section 5: the lesser of its TTL and its MINIMUM).
    pub fn store_no_data(&mut self, now: Instant, name: &Name, rtype: Rtype, soa: &Record) {
        self.store_absence(now, name, Part::Rrset(rtype), soa);
    }

    /// Keeps that `name` does not exist.
    pub fn store_name_error(&mut self, now: Instant, name: &Name, soa: &Record) {
        self.store_absence(now, name, Part::Existence, soa);
    }

    fn records(
        &mut self,
        now: Instant,
        name: &Name,
        part: Part,
        rtype: Rtype,
        least: Rank,
    ) -> Option<Vec<Record>> {
        let entry = self.fresh(now, &Key { name: name.clone(), part })?;
        let ttl = ttl_left(now, entry.expires);
        match &entry.data {
            Data::Rrset(rdata) if entry.rank >= least => wire::records(name, rtype, ttl, rdata),
            _ => None,
        }
    }

    fn absence(&mut self, now: Instant, name: &Name, part: Part) -> Option<(Name, Bytes, Ttl)> {
        let entry = self.fresh(now, &Key { name: name.clone(), part })?;
        let ttl = ttl_left(now, entry.expires);
        match &entry.data {
            Data::Absent { apex, soa } => Some((apex.clone(), soa.clone(), ttl)),
            Data::Rrset(_) => None,
        }
    }

    /// The entry, unless it has expired; an expired one is taken out.
    fn fresh(&mut self, now: Instant, key: &Key) -> Option<&Entry> {
        let expired = self.entries.peek(key).is_some_and(|entry| ttl_left(now, entry.expires).as_secs() == 0);
        if expired {
            self.entries.remove(key);
            return None;
        }
        self.entries.get(key).map(|entry| &*entry)
    }

    fn store_records(&mut self, now: Instant, rank: Rank, part: Part, records: &[Record]) {
        let Some(first) = records.first() else { return };
        let ttl = records.iter().map(|record| sane_ttl(record.ttl())).min().unwrap_or(0);
        let Some(rdata) = wire::rdata(records) else { return };
        let ttl = ttl.min(self.bounds.ttl_seconds_max);
        if rank >= Rank::ANSWERING {
            self.entries.remove(&Key { name: first.owner().clone(), part: Part::Existence });
        }
        self.store(now, first.owner(), part, rank, ttl, Data::Rrset(rdata));
    }

    fn store_absence(&mut self, now: Instant, name: &Name, part: Part, soa: &Record) {
        let RecordData::Soa(data) = soa.data() else { return };
        let ttl = sane_ttl(soa.ttl()).min(sane_ttl(data.minimum())).min(self.bounds.negative_ttl_seconds_max);
        let Some(rdata) = wire::rdata(std::slice::from_ref(soa)) else { return };
        let data = Data::Absent { apex: owned(soa.owner()), soa: rdata };
        self.store(now, name, part, Rank::AuthoritativeAuthority, ttl, data);
    }

    fn store(&mut self, now: Instant, name: &Name, part: Part, rank: Rank, ttl: u32, data: Data) {
        let key = Key { name: owned(name), part };
        if self.fresh(now, &key).is_some_and(|present| present.rank > rank) {
            return;
        }
        if ttl == 0 {
            self.entries.remove(&key);
            return;
        }
        let octets = key.name.len() + data.octets() + size_of::<Key>() + size_of::<Entry>();
        let expires = now + Duration::from_secs(u64::from(ttl));
        self.entries.insert(key, Entry { rank, expires, data }, octets);
    }
}

/// Whole seconds left, rounded down: what is told never outlives the entry.
fn ttl_left(now: Instant, expires: Instant) -> Ttl {
    Ttl::from_secs(expires.saturating_duration_since(now).as_secs() as u32)
}

/// A TTL with its most significant bit set means 0 (RFC 2181 section 8).
fn sane_ttl(ttl: Ttl) -> u32 {
    if ttl.as_secs() > i32::MAX as u32 { 0 } else { ttl.as_secs() }
}

/// The name in bytes of its own, so that an entry does not keep the message it
/// came in alive.
fn owned(name: &Name) -> Name {
    name.to_name::<Bytes>()
}
