//! From the hash of an info-hash to the place of its torrent: open addressing
//! with linear probing, eight octets an entry.

/// Entries of the smallest index.
const ENTRIES_MIN: usize = 16;

/// An index of places; the torrents themselves lie elsewhere.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Tag in the upper half, place + 1 in the lower; 0 where nothing is. The
    /// length is a power of two, or 0 at the beginning.
    entries: Box<[u64]>,
    used: usize,
}

impl Index {
    /// The address that a look-up of `tag` reads first.
    #[inline]
    pub(super) fn address(&self, tag: u32) -> *const u8 {
        let at = tag as usize & self.entries.len().wrapping_sub(1);
        self.entries.as_ptr().wrapping_add(at).cast()
    }

    /// The first place with this tag that `is_it`.
    #[inline]
    pub(super) fn find(&self, tag: u32, is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        self.position(tag, is_it).map(|at| place_of(self.entries[at]))
    }

    /// Where the entry of this tag stands whose place `is_it`.
    #[inline]
    fn position(&self, tag: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<usize> {
        if self.entries.is_empty() {
            return None;
        }
        let mask = self.entries.len() - 1;
        let mut at = tag as usize & mask;
        loop {
            // At most three quarters are used: there is an end.
            let entry = self.entries[at];
            if entry == 0 {
                return None;
            }
            if (entry >> 32) as u32 == tag && is_it(place_of(entry)) {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds an entry, which must not be there.
    pub(super) fn insert(&mut self, tag: u32, place: u32) {
        if (self.used + 1) * 4 > self.entries.len() * 3 {
            self.resize((self.entries.len() * 2).max(ENTRIES_MIN));
        }
        self.put(entry(tag, place));
        self.used += 1;
    }

    fn put(&mut self, entry: u64) {
        let mask = self.entries.len() - 1;
        let mut at = (entry >> 32) as usize & mask;
        while self.entries[at] != 0 {
            at = (at + 1) & mask;
        }
        self.entries[at] = entry;
    }

    fn resize(&mut self, length: usize) {
        let before = std::mem::replace(&mut self.entries, vec![0; length].into());
        for entry in before {
            if entry != 0 {
                self.put(entry);
            }
        }
    }

    /// Removes the entry of this tag and place, if it is there.
    pub(super) fn remove(&mut self, tag: u32, place: u32) {
        let Some(mut hole) = self.position(tag, |there| there == place) else { return };
        let mask = self.entries.len() - 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let entry = self.entries[at];
            if entry == 0 {
                break;
            }
            // What was pushed away from its place comes back as near as it can.
            let home = (entry >> 32) as usize & mask;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.entries[hole] = entry;
                hole = at;
            }
        }
        self.entries[hole] = 0;
        self.used -= 1;
        // Memory that a flood took is given back.
        if self.entries.len() > ENTRIES_MIN && self.used * 8 < self.entries.len() {
            self.resize(self.entries.len() / 2);
        }
    }

    /// A torrent moved.
    pub(super) fn moved(&mut self, tag: u32, from: u32, to: u32) {
        if let Some(at) = self.position(tag, |there| there == from) {
            self.entries[at] = entry(tag, to);
        }
    }
}

#[inline]
fn entry(tag: u32, place: u32) -> u64 {
    (u64::from(tag) << 32) | (u64::from(place) + 1)
}

#[inline]
fn place_of(entry: u64) -> u32 {
    (entry as u32).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_is_as_good_as_a_map(steps in proptest::collection::vec((any::<bool>(), 0_u32..64), 0..400)) {
            let mut index = Index::default();
            let mut model = BTreeMap::new();
            // Few tags, so that many collide.
            let tag = |place: u32| [0, 1, 15, 16, 17, 0xffff_ffff, 31, 0x1_0000][place as usize % 8];
            for (add, place) in steps {
                if add {
                    if model.insert(place, tag(place)).is_none() {
                        index.insert(tag(place), place);
                    }
                } else {
                    model.remove(&place);
                    index.remove(tag(place), place);
                }
                for place in 0..64 {
                    let found = index.find(tag(place), |there| there == place);
                    prop_assert_eq!(found.is_some(), model.contains_key(&place));
                }
                prop_assert_eq!(index.used, model.len());
            }
        }
    }

    #[test]
    fn memory_is_given_back() {
        let mut index = Index::default();
        for place in 0..10_000_u32 {
            index.insert(place.wrapping_mul(0x9E37_79B9), place);
        }
        let largest = index.entries.len();
        for place in 0..10_000_u32 {
            index.remove(place.wrapping_mul(0x9E37_79B9), place);
        }
        assert!(largest >= 10_000 && index.entries.len() <= 2 * ENTRIES_MIN, "{}", index.entries.len());
    }
}
