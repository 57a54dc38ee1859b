//! Look-ups ahead of their answers: while one waits for memory, the others'
//! requests are on their way too.

use super::{Answerer, Query};
use crate::zone::{Home, Node, Zone, Zones, key};
use domain::base::iana::Class;
use std::hint::black_box;

/// A query whose zone and place in the zone's table are known.
#[derive(Debug)]
pub struct Located<'a> {
    pub(crate) zone: &'a Zone,
    pub(crate) hash: u64,
    /// Where the table has this hash, not compared yet.
    likely: Option<&'a Node>,
}

impl<'a> Located<'a> {
    /// Finds the zone and reads the table's slot; `None` where the answer is an
    /// error.
    #[inline]
    pub fn find(zones: &'a Zones, query: &Query) -> Option<Self> {
        if query.class != Class::IN {
            return None;
        }
        let Home::Served(zone) = Answerer::home(zones, query) else { return None };
        let hash = key::hash(zones.seed(), query.name.octets());
        Some(Self { zone, hash, likely: zone.table().probe(hash) })
    }

    /// Reads ahead, one step for all look-ups and then the next, what answering
    /// them will read: loads that do not depend on each other overlap.
    pub fn fetch(all: &[Option<Located<'_>>]) {
        let nodes = || all.iter().flatten().filter_map(|located| located.likely);
        let mut sum = 0_usize;
        for node in nodes() {
            sum = sum.wrapping_add(node.answers.len());
        }
        for node in nodes() {
            let first = node.answers.first().map_or(0, |(_, body)| body.octets.len());
            sum = sum.wrapping_add(first + usize::from(node.key.first().copied().unwrap_or(0)));
        }
        for node in nodes() {
            let octet = node.answers.first().and_then(|(_, body)| body.octets.first());
            sum = sum.wrapping_add(usize::from(octet.copied().unwrap_or(0)));
        }
        black_box(sum);
    }
}
