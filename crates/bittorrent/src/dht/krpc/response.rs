//! Responses. What they hold depends on the query, which only the asker knows:
//! one type has all of it.

use super::args::TOKEN_OCTETS_MAX;
use super::octets_of;
use crate::bencode::{Dictionary, Item, Value};
use crate::dht::contact::{self, Contact, Family};
use crate::dht::id::{ID_OCTETS, Id};
use std::net::SocketAddr;

/// Nodes of one family that are read of a response; BEP 5 sends 8.
pub const CONTACTS_READ_MAX: usize = 16;

/// Peers that are read of a response.
pub const VALUES_READ_MAX: usize = 200;

/// Info-hashes that are read of a response to `sample_infohashes`.
pub const SAMPLES_READ_MAX: usize = 64;

/// Octets of a filter that estimates a swarm's size (BEP 33).
pub const FILTER_OCTETS: usize = 256;

/// What a node replies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// Who replies; `None` only before it is filled in.
    pub id: Option<Id>,
    /// `nodes`: IPv4 nodes (BEP 5).
    pub nodes: Option<Vec<Contact>>,
    /// `nodes6`: IPv6 nodes (BEP 32).
    pub nodes6: Option<Vec<Contact>>,
    /// `token`: to be handed back when something is stored at this node.
    pub token: Option<Vec<u8>>,
    /// `values`: peers (BEP 5); may be of both families (BEP 32).
    pub values: Vec<SocketAddr>,
    /// `v`: a bencoded value as it came (BEP 44), not yet checked.
    pub value: Option<Vec<u8>>,
    /// `k`: the key of a mutable item (BEP 44).
    pub key: Option<[u8; 32]>,
    /// `sig`: its signature (BEP 44), not yet checked.
    pub signature: Option<[u8; 64]>,
    /// `seq`: its sequence number (BEP 44).
    pub sequence: Option<i64>,
    /// `BFsd`: the filter of seeds (BEP 33).
    pub seeds: Option<Box<[u8; FILTER_OCTETS]>>,
    /// `BFpe`: the filter of peers that are no seeds (BEP 33).
    pub peers: Option<Box<[u8; FILTER_OCTETS]>>,
    /// The torrents of `sample_infohashes` (BEP 51).
    pub samples: Option<Samples>,
}

/// Some of the torrents a node knows peers of (BEP 51).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Samples {
    /// Some of their info-hashes.
    pub info_hashes: Vec<Id>,
    /// How many there are in all.
    pub count: u32,
    /// In how many seconds another question would find others, 0 to 21,600.
    pub interval_seconds: u32,
}

impl Response {
    /// `None` where there is no id.
    pub(super) fn read(values: &Dictionary<'_>) -> Option<Self> {
        let id = Id::from_slice(values.bytes(b"id")?)?;
        let contacts = |key: &[u8], family| {
            values.bytes(key).map(|octets| contact::read_contacts(octets, family, CONTACTS_READ_MAX))
        };
        let filter = |key: &[u8]| {
            let octets: [u8; FILTER_OCTETS] = values.bytes(key)?.try_into().ok()?;
            Some(Box::new(octets))
        };
        let peers = values.list(b"values").unwrap_or_default().iter().take(VALUES_READ_MAX);
        Some(Self {
            id: Some(id),
            nodes: contacts(b"nodes", Family::V4),
            nodes6: contacts(b"nodes6", Family::V6),
            token: values.bytes(b"token").filter(|token| token.len() <= TOKEN_OCTETS_MAX).map(<[u8]>::to_vec),
            values: peers
                .filter_map(Value::bytes)
                .filter_map(contact::read_address)
                .filter(contact::is_usable)
                .collect(),
            value: values.get(b"v").map(octets_of),
            key: values.bytes(b"k").and_then(|key| key.try_into().ok()),
            signature: values.bytes(b"sig").and_then(|signature| signature.try_into().ok()),
            sequence: values.integer(b"seq"),
            seeds: filter(b"BFsd"),
            peers: filter(b"BFpe"),
            samples: Samples::read(values),
        })
    }

    pub(super) fn values(&self) -> Item {
        let mut entries = Vec::new();
        entries.extend(self.id.map(|id| ("id", Item::from(id.as_ref()))));
        for (key, nodes, family) in [("nodes", &self.nodes, Family::V4), ("nodes6", &self.nodes6, Family::V6)]
        {
            entries.extend(nodes.as_ref().map(|nodes| (key, contact::write_contacts(nodes, family).into())));
        }
        entries.extend(self.token.as_ref().map(|token| ("token", token.clone().into())));
        if !self.values.is_empty() {
            let address = |address| {
                let mut octets = Vec::new();
                contact::write_address(address, &mut octets);
                Item::from(octets)
            };
            entries.push(("values", Item::List(self.values.iter().map(address).collect())));
        }
        entries.extend(self.value.as_ref().map(|value| ("v", Item::Encoded(value.clone()))));
        entries.extend(self.key.as_ref().map(|key| ("k", key.as_slice().into())));
        entries.extend(self.signature.as_ref().map(|signature| ("sig", signature.as_slice().into())));
        entries.extend(self.sequence.map(|sequence| ("seq", sequence.into())));
        entries.extend(self.seeds.as_ref().map(|filter| ("BFsd", filter.as_slice().into())));
        entries.extend(self.peers.as_ref().map(|filter| ("BFpe", filter.as_slice().into())));
        if let Some(samples) = &self.samples {
            entries.push((
                "samples",
                Item::from(samples.info_hashes.iter().flat_map(Id::octets).copied().collect::<Vec<u8>>()),
            ));
            entries.push(("num", i64::from(samples.count).into()));
            entries.push(("interval", i64::from(samples.interval_seconds).into()));
        }
        Item::dictionary(entries)
    }
}

impl Samples {
    fn read(values: &Dictionary<'_>) -> Option<Self> {
        let octets = values.bytes(b"samples")?;
        let number = |key: &[u8]| u32::try_from(values.integer(key).unwrap_or(0).max(0)).unwrap_or(u32::MAX);
        Some(Self {
            info_hashes: octets
                .chunks_exact(ID_OCTETS)
                .take(SAMPLES_READ_MAX)
                .filter_map(Id::from_slice)
                .collect(),
            count: number(b"num"),
            interval_seconds: number(b"interval").min(21_600),
        })
    }
}
