//! Look-ups ahead of their answers: while one waits for memory, the others'
//! requests are on their way too.

use super::{Answerer, Query};
use crate::zone::{Found, Home, Node, Zone, Zones, key};
use domain::base::iana::Class;
use std::hint::black_box;

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
    /// error.
    #[inline]
    pub fn find(zones: &'a Zones, query: &Query) -> Option<Self> {
        if query.class != Class::IN {
            return None;
        }
        let Home::Served(zone) = Answerer::home(zones, query) else { return None };
        Some(Self { zone, hash: key::hash(zones.seed(), query.name.octets()), likely: None })
    }

    /// Reads ahead, one step for all look-ups and then the next, what answering
    /// them will read: loads that do not depend on each other overlap.
    pub fn fetch(all: &mut [Option<Located<'a>>]) {
        let mut sum = 0_usize;
        for located in all.iter().flatten() {
            sum = sum.wrapping_add(located.zone.table().touch(located.hash));
        }
        black_box(sum);
        for located in all.iter_mut().flatten() {
            located.likely = located.zone.table().with_hash(located.hash).next();
        }
        let mut sum = 0_usize;
        for node in all.iter().flatten().filter_map(|located| located.likely) {
            for line in node.card().memory().iter().step_by(LINE_OCTETS).take(LINES) {
                sum = sum.wrapping_add(usize::from(*line));
            }
        }
        black_box(sum);
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
