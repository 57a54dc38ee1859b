//! Look-ups ahead of their answers: while one waits for memory, the others'
//! requests are on their way too.

use super::{Answerer, Query};
use crate::zone::{Found, Home, Node, Zone, Zones, key};
use domain::base::iana::{Class, Rtype};
use std::sync::Arc;

/// Octets that come from memory together.
const LINE_OCTETS: usize = 64;

/// A query whose zone and place in the zone's table are known.
#[derive(Debug, Clone, Copy)]
pub struct Located<'a> {
    pub(crate) zone: &'a Arc<Zone>,
    hash: u64,
    likely: Likely<'a>,
}

/// What a zone's table has at a hash.
#[derive(Debug, Clone, Copy)]
enum Likely<'a> {
    /// Nobody has looked yet.
    Unknown,
    /// No name: the one asked for does not exist.
    Nothing,
    /// This name, not compared yet.
    Node(&'a Node),
}

impl<'a> Located<'a> {
    /// Finds the zone and the place in its table; `None` where the answer is an
    /// error. `near` was found before in the same `zones`: many questions in a
    /// row are about the same zone. `prefetch` starts to fetch the line at an
    /// address, without waiting.
    #[inline]
    pub fn find(
        zones: &'a Zones,
        query: &Query,
        near: Option<&Self>,
        prefetch: impl Fn(*const u8),
    ) -> Option<Self> {
        if query.class != Class::IN {
            return None;
        }
        let zone = match near {
            Some(near) if query.rtype != Rtype::DS && zones.is_home(near.zone, &query.name) => near.zone,
            _ => match Answerer::home(zones, query) {
                Home::Served(zone) => zone,
                Home::Unavailable | Home::Elsewhere => return None,
            },
        };
        let hash = key::hash(zones.seed(), query.name.octets());
        prefetch(zone.table().place_of(hash));
        Some(Self { zone, hash, likely: Likely::Unknown })
    }

    /// Starts to fetch, for all that were found before, what answering them will
    /// read: the names' cards.
    #[inline]
    pub fn fetch(all: &mut [Option<Located<'a>>], prefetch: impl Fn(*const u8)) {
        for located in all.iter_mut().flatten() {
            let Some(node) = located.zone.table().with_hash(located.hash).next() else {
                located.likely = Likely::Nothing;
                continue;
            };
            located.likely = Likely::Node(node);
            // Most cards lie on one or two lines.
            let memory = node.card().memory();
            prefetch(memory.as_ptr());
            prefetch(memory.as_ptr().wrapping_add(memory.len().saturating_sub(1).min(LINE_OCTETS)));
        }
    }

    /// What the name of the query it was found for means in its zone.
    #[inline]
    pub(crate) fn found(&self, query: &Query) -> Found<'a> {
        match self.likely {
            Likely::Node(node) if key::same(node.key(), query.name.octets()) => self.zone.found(node),
            Likely::Nothing => self.zone.find_missing(&query.name),
            // In the second case another name has the same hash.
            Likely::Unknown | Likely::Node(_) => self.zone.find_hashed(self.hash, &query.name),
        }
    }
}
