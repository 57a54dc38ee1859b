//! A zone as it is served: an immutable version in which every answer lies
//! rendered. A [`Draft`] makes the next version of it.

mod body;
mod card;
mod draft;
pub mod key;
mod renderer;
mod rrset;
mod table;
mod zones;

pub use body::HEADER_OCTETS;
pub(crate) use body::{Body, Rendered};
use card::{Card, Place};
pub use draft::{Draft, DraftError};
pub use key::Key;
pub use renderer::RRSET_OCTETS_MAX;
pub(crate) use renderer::{Owner, Renderer, Section};
pub use rrset::{Rrset, Soa, WireRecord, compose, same_data, serial_is_newer};
pub use zones::{DEPTH_MAX, Home, Zones};

use crate::Name;
use domain::base::iana::Rtype;
use std::sync::Arc;
use table::{Named, Table};

/// One version of a zone. Never changes; cheap to share.
#[derive(Debug)]
pub struct Zone {
    apex: Name,
    key: Box<[u8]>,
    soa: Soa,
    /// The SOA record in the authority section, for NXDOMAIN and no data.
    negative: Rendered,
    names: Table<Node>,
    /// The node of the apex: what most names that do not exist are below.
    top: Option<Node>,
    referrers: Table<Arc<Referrers>>,
    records: usize,
}

/// A name of a zone and all that is known of it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Node {
    card: Card,
    details: Arc<Details>,
}

/// What is known of a name beside what most questions ask.
#[derive(Debug)]
pub(crate) struct Details {
    pub(crate) owner: Name,
    /// Whether a wildcard stands below it.
    pub(crate) has_wildcard: bool,
    /// Names directly below it.
    pub(crate) children: u32,
    /// In ascending order of type.
    pub(crate) rrsets: Box<[Rrset]>,
}

/// Which names' answers carry the addresses of a host.
#[derive(Debug)]
pub(crate) struct Referrers {
    pub(crate) host: Box<[u8]>,
    pub(crate) owners: Box<[Box<[u8]>]>,
}

impl Named for Arc<Referrers> {
    fn key(&self) -> &[u8] {
        &self.host
    }
}

impl Named for Node {
    #[inline]
    fn key(&self) -> &[u8] {
        self.card.name()
    }
}

/// What a name means in a zone (RFC 1034 section 4.3.2 step 3).
#[derive(Debug)]
pub enum Found<'a> {
    /// The name exists.
    Exact(&'a Node),
    /// It does not, but this wildcard stands for it (RFC 4592 section 3.3.1).
    Wildcard(&'a Node),
    /// It lies at or below this delegation.
    Cut(&'a Node),
    /// It does not exist.
    Nothing,
}

impl Node {
    pub(crate) fn new(card: Card, details: Details) -> Self {
        Self { card, details: Arc::new(details) }
    }

    /// The name, its case as written.
    pub fn owner(&self) -> &Name {
        &self.details.owner
    }

    /// The name, lower-cased.
    #[inline]
    pub fn key(&self) -> &[u8] {
        self.card.name()
    }

    /// Its RRsets, in ascending order of type.
    pub fn rrsets(&self) -> &[Rrset] {
        &self.details.rrsets
    }

    /// Its RRset of one type.
    pub fn rrset(&self, rtype: Rtype) -> Option<&Rrset> {
        self.rrsets().iter().find(|rrset| rrset.rtype == rtype)
    }

    pub(crate) fn details(&self) -> &Details {
        &self.details
    }

    #[inline]
    pub(crate) fn card(&self) -> &Card {
        &self.card
    }
}

impl Zone {
    /// A zone of these records: a master file or a transfer.
    pub fn new(
        apex: Name,
        seed: u64,
        records: impl IntoIterator<Item = WireRecord>,
    ) -> Result<Self, DraftError> {
        let mut draft = Draft::empty(apex, seed);
        for record in records {
            draft.add(record)?;
        }
        draft.finish()
    }

    /// The apex, its case as written.
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// The apex, lower-cased.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Its SOA.
    pub fn soa(&self) -> Soa {
        self.soa
    }

    /// How many records it holds.
    pub fn records(&self) -> usize {
        self.records
    }

    /// How many names it holds, empty non-terminals among them.
    pub fn names(&self) -> usize {
        self.names.len()
    }

    #[inline]
    pub(crate) fn negative(&self) -> Body<'_> {
        self.negative.body()
    }

    pub(crate) fn table(&self) -> &Table<Node> {
        &self.names
    }

    /// A name that exists in the zone, by its lower-cased wire format.
    pub fn node(&self, name: &[u8]) -> Option<&Node> {
        self.names.get(name)
    }

    /// All names in no order, shared, for who outlives this version.
    pub(crate) fn shared_nodes(&self) -> Vec<Node> {
        self.names.iter().cloned().collect()
    }

    /// All names in no order.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.names.iter()
    }

    /// All records, the SOA first, the rest in no order (RFC 5936 section 2.2).
    pub fn iter(&self) -> impl Iterator<Item = WireRecord> {
        let apex = self.node(&self.key);
        let soa = apex.into_iter().flat_map(|apex| records_of(apex, |rtype| rtype == Rtype::SOA));
        soa.chain(self.nodes().flat_map(|node| records_of(node, |rtype| rtype != Rtype::SOA)))
    }

    /// What `name`, which lies within the zone, means in it.
    pub fn find(&self, name: &Key) -> Found<'_> {
        self.find_hashed(key::hash(self.names.seed(), name.octets()), name)
    }

    #[inline]
    pub(crate) fn find_hashed(&self, hash: u64, name: &Key) -> Found<'_> {
        match self.names.get_hashed(hash, name.octets()) {
            Some(node) => self.found(node),
            None => self.find_missing(name),
        }
    }

    /// What a name that exists means.
    #[inline]
    pub(crate) fn found<'a>(&'a self, node: &'a Node) -> Found<'a> {
        match node.card.place() {
            Place::Authoritative => Found::Exact(node),
            Place::Cut => Found::Cut(node),
            Place::Below => self.cut_above(node.key()),
        }
    }

    /// The closest encloser decides for a name that does not exist. Ancestors of
    /// names exist (RFC 8020), so it is found by halving.
    #[inline]
    pub(crate) fn find_missing(&self, name: &Key) -> Found<'_> {
        let (mut exists, mut missing) = (key::label_count(&self.key), name.labels());
        let mut encloser = self.top.as_ref();
        while exists + 1 < missing {
            let middle = usize::midpoint(exists, missing);
            match self.node(name.suffix(middle)) {
                Some(node) => {
                    encloser = Some(node);
                    exists = middle;
                }
                None => missing = middle,
            }
        }
        let Some(encloser) = encloser else { return Found::Nothing };
        match encloser.card.place() {
            Place::Cut => Found::Cut(encloser),
            Place::Below => self.cut_above(encloser.key()),
            Place::Authoritative if encloser.details.has_wildcard => {
                let mut buffer = [0; 256];
                match key::wildcard(encloser.key(), &mut buffer).and_then(|name| self.node(name)) {
                    Some(node) if node.card.place() == Place::Authoritative => Found::Wildcard(node),
                    _ => Found::Nothing,
                }
            }
            Place::Authoritative => Found::Nothing,
        }
    }

    fn cut_above(&self, name: &[u8]) -> Found<'_> {
        let mut ancestors = std::iter::successors(key::parent(name), |rest| key::parent(rest));
        ancestors
            .find_map(|ancestor| self.node(ancestor).filter(|node| node.card.place() == Place::Cut))
            .map_or(Found::Nothing, Found::Cut)
    }
}

fn records_of(node: &Node, wanted: impl Fn(Rtype) -> bool) -> impl Iterator<Item = WireRecord> {
    node.rrsets().iter().filter(move |rrset| wanted(rrset.rtype)).flat_map(|rrset| {
        rrset.data.iter().map(|data| WireRecord {
            owner: node.owner().clone(),
            rtype: rrset.rtype,
            ttl: rrset.ttl,
            data: data.clone(),
        })
    })
}
