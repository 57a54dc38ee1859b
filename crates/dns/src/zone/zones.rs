//! The zones a server serves, and which of them a name belongs to.

use super::key::{self, Key};
use super::{Zone, table::Named, table::Table};
use std::sync::Arc;

/// Labels of the deepest apex that can be served.
pub const DEPTH_MAX: usize = key::NAME_LABELS_MAX;

/// All zones in one version. A change of one makes a new value; readers keep
/// theirs.
#[derive(Debug, Clone)]
pub struct Zones {
    table: Table<Arc<Entry>>,
    /// Bit n is set when an apex has n labels.
    depths: u128,
}

#[derive(Debug)]
struct Entry {
    apex: Box<[u8]>,
    /// `None` while a secondary has not got the zone, or it has expired.
    zone: Option<Arc<Zone>>,
}

impl Named for Arc<Entry> {
    fn key(&self) -> &[u8] {
        &self.apex
    }
}

/// The zone a name belongs to.
#[derive(Debug, Clone, Copy)]
pub enum Home<'a> {
    /// It is served.
    Served(&'a Arc<Zone>),
    /// It should be served here, but there is no valid version of it.
    Unavailable,
    /// It is not served here.
    Elsewhere,
}

impl Zones {
    /// No zones.
    pub fn new(seed: u64) -> Self {
        Self { table: Table::new(seed, 0), depths: 0 }
    }

    /// The seed of the hashes of zones served here.
    pub fn seed(&self) -> u64 {
        self.table.seed()
    }

    /// Serves this version of a zone.
    pub fn insert(&mut self, zone: Arc<Zone>) {
        self.put(Entry { apex: zone.key().into(), zone: Some(zone) });
    }

    /// Has a zone answered with SERVFAIL until a version of it comes.
    pub fn insert_unavailable(&mut self, apex: &[u8]) {
        self.put(Entry { apex: apex.to_ascii_lowercase().into(), zone: None });
    }

    fn put(&mut self, entry: Entry) {
        self.depths |= 1 << key::label_count(&entry.apex);
        self.table.insert(Arc::new(entry));
        if self.table.is_crowded() {
            self.table = self.table.laid_out_anew();
        }
    }

    /// Serves a zone no longer.
    pub fn remove(&mut self, apex: &[u8]) {
        self.table.remove(&apex.to_ascii_lowercase());
        self.depths = self.table.iter().fold(0, |depths, entry| depths | 1 << key::label_count(&entry.apex));
    }

    /// The zone with this apex (lower-cased wire format), when it is served.
    pub fn get(&self, apex: &[u8]) -> Option<&Arc<Zone>> {
        self.table.get(apex)?.zone.as_ref()
    }

    /// All zones that are served.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.table.iter().filter_map(|entry| entry.zone.as_ref())
    }

    /// The zone with the longest apex that `name` ends in, of apexes of at most
    /// `depth` labels.
    #[inline]
    pub fn home(&self, name: &Key, depth: usize) -> Home<'_> {
        let mut candidates = self.depths_to(depth.min(name.labels()));
        while candidates != 0 {
            let labels = 127 - candidates.leading_zeros() as usize;
            if let Some(entry) = self.table.get(name.suffix(labels)) {
                return entry.zone.as_ref().map_or(Home::Unavailable, Home::Served);
            }
            candidates &= !(1 << labels);
        }
        Home::Elsewhere
    }

    /// Whether `zone`, which is served here, is quickly seen to be the one that
    /// `name` belongs to. False says nothing.
    #[inline]
    pub(crate) fn is_home(&self, zone: &Zone, name: &Key) -> bool {
        let candidates = self.depths_to(name.labels());
        let deepest = 127_u32.wrapping_sub(candidates.leading_zeros()) as usize;
        candidates != 0 && key::same(name.suffix(deepest), zone.key())
    }

    /// The depths of apexes, as far as `depth`.
    #[inline]
    fn depths_to(&self, depth: usize) -> u128 {
        self.depths & (u128::MAX >> (127 - depth.min(DEPTH_MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deeper_apex_is_never_overlooked() {
        let name = |text: &str| crate::master::name(text).unwrap();
        let soa = [&b"\0\0"[..], &[0; 20]].concat();
        let zone = |apex: &str| {
            let rtype = domain::base::iana::Rtype::SOA;
            let soa = super::super::WireRecord { owner: name(apex), rtype, ttl: 1, data: soa.clone().into() };
            Arc::new(Zone::new(name(apex), 1, [soa]).unwrap())
        };
        let mut zones = Zones::new(1);
        let above = zone("test");
        zones.insert(above.clone());
        let key = Key::from_wire(b"\x01x\x01a\x04test\x00").unwrap();
        assert!(zones.is_home(&above, &key));
        assert!(!zones.is_home(&zone("tess"), &key));
        zones.insert(zone("a.test"));
        assert!(!zones.is_home(&above, &key));
        assert!(zones.is_home(&above, &Key::from_wire(b"\x04test\x00").unwrap()));
        assert!(!zones.is_home(&above, &Key::from_wire(b"\x00").unwrap()));
    }

    #[test]
    fn the_longest_apex_wins() {
        let mut zones = Zones::new(1);
        let key = |wire: &[u8]| Key::from_wire(wire).unwrap();
        assert!(matches!(zones.home(&key(b"\x00"), DEPTH_MAX), Home::Elsewhere));
        zones.insert_unavailable(b"\x04Test\x00");
        assert!(matches!(zones.home(&key(b"\x01a\x04test\x00"), DEPTH_MAX), Home::Unavailable));
        assert!(matches!(zones.home(&key(b"\x04test\x00"), 0), Home::Elsewhere));
        assert!(matches!(zones.home(&key(b"\x04tess\x00"), DEPTH_MAX), Home::Elsewhere));
        zones.remove(b"\x04teSt\x00");
        assert!(matches!(zones.home(&key(b"\x01a\x04test\x00"), DEPTH_MAX), Home::Elsewhere));
    }
}
