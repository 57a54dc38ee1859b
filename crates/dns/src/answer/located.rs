//! Look-ups ahead of their answers: while one waits for memory, the others'
//! requests are on their way too.

use super::{Answerer, Query};
use crate::zone::{Found, Home, Node, Zone, Zones, key};
use domain::base::iana::Class;

/// Octets that come from memory together.
const LINE_OCTETS: usize = 64;
/// Lines of a name's card that are read ahead: what most answers need.
const LINES: usize = 2;

/// A query whose zone and place in the zone's table are known.
#[derive(Debug, Clone, Copy)]
pub struct Located<'a> {
    pub(crate) zone: &'a Zone,
    hash: u64,
    /// What the table has at this hash, not compared yet.
    likely: Option<&'a Node>,
}

impl<'a> Located<'a> {
    /// Finds the zone and the place in its table; `None` where the answer is an
    /// error. `prefetch` starts to fetch the line at an address, without waiting.
    #[inline]
    pub fn find(zones: &'a Zones, query: &Query, prefetch: impl Fn(*const u8)) -> Option<Self> {
        if query.class != Class::IN {
            return None;
        }
        let Home::Served(zone) = Answerer::home(zones, query) else { return None };
        let hash = key::hash(zones.seed(), query.name.octets());
        prefetch(zone.table().place_of(hash));
        Some(Self { zone, hash, likely: None })
    }

    /// Starts to fetch, for all that were found before, what answering them will
    /// read: the names' cards.
    #[inline]
    pub fn fetch(all: &mut [Option<Located<'a>>], prefetch: impl Fn(*const u8)) {
        for located in all.iter_mut().flatten() {
            located.likely = located.zone.table().with_hash(located.hash).next();
            if let Some(node) = located.likely {
                let memory = node.card().memory();
                for line in 0..LINES {
                    prefetch(memory.as_ptr().wrapping_add(line * LINE_OCTETS));
                }
            }
        }
    }

    /// What the name of the query it was found for means in its zone.
    #[inline]
    pub(crate) fn found(&self, query: &Query) -> Found<'a> {
        match self.likely {
            Some(node) if key::same(node.key(), query.name.octets()) => self.zone.found(node),
            _ => self.zone.find_hashed(self.hash, &query.name),
        }
    }
}
