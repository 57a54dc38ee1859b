//! A zone as it is served: an immutable version in which every answer lies
//! rendered. A [`Draft`] makes the next version of it.

mod body;
mod draft;
pub mod key;
mod rrset;
mod table;
mod zones;

pub use body::{Body, HEADER_OCTETS, RRSET_OCTETS_MAX};
pub(crate) use body::{Owner, Renderer, Section};
pub use draft::{Draft, DraftError};
pub use key::Key;
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
    negative: Body,
    names: Table<Node>,
    referrers: Table<Referrers>,
    records: usize,
}

/// A name of a zone and all that is known of it.
#[derive(Debug)]
pub struct Node {
    pub(crate) key: Box<[u8]>,
    pub(crate) owner: Name,
    pub(crate) place: Place,
    /// Whether a wildcard stands below it.
    pub(crate) has_wildcard: bool,
    /// Names directly below it.
    pub(crate) children: u32,
    /// In ascending order of type.
    pub(crate) rrsets: Arc<[Rrset]>,
    /// Rendered answers, in the order of `rrsets` where there is one.
    pub(crate) answers: Box<[(Rtype, Body)]>,
    /// The rendered referral, for a delegation point.
    pub(crate) referral: Option<Body>,
}

/// Where a name stands in its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the authoritative data.
    Authoritative,
    /// At a delegation (RFC 1034 section 4.2.1).
    Cut,
    /// Below a delegation: glue and the like.
    Below,
}

/// Which names' answers carry the addresses of a host.
#[derive(Debug)]
pub(crate) struct Referrers {
    pub(crate) host: Box<[u8]>,
    pub(crate) owners: Box<[Box<[u8]>]>,
}

impl Named for Referrers {
    fn key(&self) -> &[u8] {
        &self.host
    }
}

impl Named for Node {
    #[inline]
    fn key(&self) -> &[u8] {
        &self.key
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
    /// The name, its case as written.
    pub fn owner(&self) -> &Name {
        &self.owner
    }

    /// Its RRsets, in ascending order of type.
    pub fn rrsets(&self) -> &[Rrset] {
        &self.rrsets
    }

    /// Its RRset of one type.
    pub fn rrset(&self, rtype: Rtype) -> Option<&Rrset> {
        self.rrsets.iter().find(|rrset| rrset.rtype == rtype)
    }

    /// The rendered answer for a type.
    #[inline]
    pub(crate) fn answer(&self, rtype: Rtype) -> Option<&Body> {
        self.answers.iter().find(|(known, _)| *known == rtype).map(|(_, body)| body)
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

    pub(crate) fn negative(&self) -> &Body {
        &self.negative
    }

    pub(crate) fn table(&self) -> &Table<Node> {
        &self.names
    }

    /// A name that exists in the zone, by its lower-cased wire format.
    pub fn node(&self, name: &[u8]) -> Option<&Node> {
        self.names.get(name).map(AsRef::as_ref)
    }

    /// All names in no order, shared, for who outlives this version.
    pub(crate) fn shared_nodes(&self) -> Vec<Arc<Node>> {
        self.names.iter().cloned().collect()
    }

    /// All names in no order.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.names.iter().map(AsRef::as_ref)
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
            Some(node) => match node.place {
                Place::Authoritative => Found::Exact(node),
                Place::Cut => Found::Cut(node),
                Place::Below => self.cut_above(&node.key),
            },
            None => self.find_missing(name),
        }
    }

    /// The closest encloser decides for a name that does not exist. Ancestors of
    /// names exist (RFC 8020), so it is found by halving.
    fn find_missing(&self, name: &Key) -> Found<'_> {
        let (mut exists, mut missing) = (key::label_count(&self.key), name.labels());
        let mut encloser = self.node(&self.key);
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
        match encloser.place {
            Place::Cut => Found::Cut(encloser),
            Place::Below => self.cut_above(&encloser.key),
            Place::Authoritative if encloser.has_wildcard => {
                let mut buffer = [0; 256];
                match key::wildcard(&encloser.key, &mut buffer).and_then(|name| self.node(name)) {
                    Some(node) if node.place == Place::Authoritative => Found::Wildcard(node),
                    _ => Found::Nothing,
                }
            }
            Place::Authoritative => Found::Nothing,
        }
    }

    fn cut_above(&self, name: &[u8]) -> Found<'_> {
        let mut ancestors = std::iter::successors(key::parent(name), |rest| key::parent(rest));
        ancestors
            .find_map(|ancestor| self.node(ancestor).filter(|node| node.place == Place::Cut))
            .map_or(Found::Nothing, Found::Cut)
    }
}

fn records_of(node: &Node, wanted: impl Fn(Rtype) -> bool) -> impl Iterator<Item = WireRecord> {
    node.rrsets.iter().filter(move |rrset| wanted(rrset.rtype)).flat_map(|rrset| {
        rrset.data.iter().map(|data| WireRecord {
            owner: node.owner.clone(),
            rtype: rrset.rtype,
            ttl: rrset.ttl,
            data: data.clone(),
        })
    })
}
