//! The table of a zone's names: hashed, in shards that versions of the zone
//! share. A change copies the shards it touches, nothing else.

use super::key;
use std::sync::Arc;

/// Entries a shard holds on average when the table is laid out.
const SHARD_ENTRIES: usize = 64;
/// Shards of the largest table.
const SHARDS_MAX: usize = 1 << 16;

/// Something found by name, cheap to clone.
pub(crate) trait Named: Clone {
    /// Its lower-cased name in wire format.
    fn key(&self) -> &[u8];
}

/// A persistent hash table. Cloning shares all shards.
#[derive(Debug, Clone)]
pub(crate) struct Table<T> {
    shards: Vec<Shard<T>>,
    seed: u64,
    length: usize,
}

/// Open addressing with linear probing; at most three quarters full. Cloning
/// shares the slots.
#[derive(Debug)]
struct Shard<T> {
    slots: Arc<[Slot<T>]>,
    length: usize,
}

/// A hash and the item that has it. Aligned, so that the slots of a zone's names
/// do not straddle two lines of the processor's cache.
#[derive(Debug, Clone)]
#[repr(align(32))]
struct Slot<T>(Option<(u64, T)>);

impl<T> Clone for Shard<T> {
    fn clone(&self) -> Self {
        Self { slots: self.slots.clone(), length: self.length }
    }
}

impl<T: Named> Table<T> {
    /// An empty table laid out for `expected` names.
    pub(crate) fn new(seed: u64, expected: usize) -> Self {
        let shards = (expected / SHARD_ENTRIES).next_power_of_two().clamp(1, SHARDS_MAX);
        Self { shards: (0..shards).map(|_| Shard::with_slots(8)).collect(), seed, length: 0 }
    }

    /// How many names it holds.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// The seed of its hash.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// Whether the layout no longer suits the number of names.
    pub(crate) fn is_crowded(&self) -> bool {
        self.shards.len() < SHARDS_MAX && self.length > self.shards.len() * SHARD_ENTRIES * 4
    }

    /// The same names laid out anew.
    pub(crate) fn laid_out_anew(&self) -> Self {
        let mut table = Self::new(self.seed, self.length);
        for item in self.iter() {
            table.insert(item.clone());
        }
        table
    }

    fn shard_of(&self, hash: u64) -> usize {
        (hash >> 48) as usize & (self.shards.len() - 1)
    }

    /// Finds a name.
    #[inline]
    pub(crate) fn get(&self, name: &[u8]) -> Option<&T> {
        self.get_hashed(key::hash(self.seed, name), name)
    }

    /// Finds a name whose hash with this table's seed is known.
    #[inline]
    pub(crate) fn get_hashed(&self, hash: u64, name: &[u8]) -> Option<&T> {
        self.with_hash(hash).find(|item| key::same(item.key(), name))
    }

    /// The items with this hash: most likely one or none.
    #[inline]
    pub(crate) fn with_hash(&self, hash: u64) -> impl Iterator<Item = &T> {
        let shard = &self.shards[self.shard_of(hash)];
        let mask = shard.slots.len() - 1;
        let mut at = hash as usize & mask;
        std::iter::from_fn(move || {
            while let Some((found, item)) = &shard.slots[at & mask].0 {
                at += 1;
                if *found == hash {
                    return Some(item);
                }
            }
            None
        })
    }

    /// Where in memory a look-up of `hash` begins.
    #[inline]
    pub(crate) fn place_of(&self, hash: u64) -> *const u8 {
        let slots = &self.shards[self.shard_of(hash)].slots;
        std::ptr::from_ref(&slots[hash as usize & (slots.len() - 1)]).cast()
    }

    /// Adds an item, in the place of one of the same name.
    pub(crate) fn insert(&mut self, item: T) {
        let hash = key::hash(self.seed, item.key());
        let index = self.shard_of(hash);
        let shard = &mut self.shards[index];
        if (shard.length + 1) * 4 > shard.slots.len() * 3 {
            let mut larger = Shard::with_slots(shard.slots.len() * 2);
            for (hash, item) in shard.slots.iter().filter_map(|slot| slot.0.as_ref()) {
                larger.insert(*hash, item.clone());
            }
            *shard = larger;
        }
        if shard.insert(hash, item) {
            self.length += 1;
        }
    }

    /// Takes a name out.
    pub(crate) fn remove(&mut self, name: &[u8]) {
        let hash = key::hash(self.seed, name);
        let index = self.shard_of(hash);
        if self.get_hashed(hash, name).is_none() {
            return;
        }
        let old = &self.shards[index];
        let mut shard = Shard::with_slots(old.slots.len());
        for (other, item) in old.slots.iter().filter_map(|slot| slot.0.as_ref()) {
            if *other != hash || item.key() != name {
                shard.insert(*other, item.clone());
            }
        }
        self.shards[index] = shard;
        self.length -= 1;
    }

    /// All items, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.shards.iter().flat_map(|shard| shard.slots.iter().filter_map(|slot| Some(&slot.0.as_ref()?.1)))
    }
}

impl<T: Named> Shard<T> {
    fn with_slots(slots: usize) -> Self {
        Self { slots: (0..slots).map(|_| Slot(None)).collect(), length: 0 }
    }

    /// Returns whether the name is new.
    fn insert(&mut self, hash: u64, item: T) -> bool {
        let mask = self.slots.len() - 1;
        let slots = Arc::make_mut(&mut self.slots);
        let mut at = hash as usize & mask;
        loop {
            match &mut slots[at].0 {
                Some((found, old)) if *found == hash && old.key() == item.key() => {
                    *old = item;
                    return false;
                }
                Some(_) => at = (at + 1) & mask,
                free @ None => {
                    *free = Some((hash, item));
                    self.length += 1;
                    return true;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Named for Arc<Vec<u8>> {
        fn key(&self) -> &[u8] {
            self
        }
    }

    #[test]
    fn versions_are_independent() {
        let name = |n: u32| n.to_string().into_bytes();
        let mut table = Table::new(7, 16);
        for n in 0..5_000 {
            table.insert(Arc::new(name(n)));
        }
        assert!(table.is_crowded());
        let before = table.laid_out_anew();
        assert!(!before.is_crowded());
        let mut after = before.clone();
        for n in 0..2_500 {
            after.remove(&name(n));
        }
        after.insert(Arc::new(name(4_000)));
        assert_eq!((before.len(), after.len()), (5_000, 2_500));
        for n in 0..5_000 {
            assert!(before.get(&name(n)).is_some());
            assert_eq!(after.get(&name(n)).is_some(), n >= 2_500);
        }
        assert_eq!(after.iter().count(), 2_500);
    }

    #[test]
    fn the_largest_table_has_only_so_many_shards() {
        let mut table = Table::<Arc<Vec<u8>>>::new(7, SHARDS_MAX * SHARD_ENTRIES * 2);
        assert_eq!(table.shards.len(), SHARDS_MAX);
        table.insert(Arc::new(b"\x01a\x00".to_vec()));
        assert!(table.get(b"\x01a\x00").is_some());
        // However full it is, it is not laid out anew for ever.
        table.length = SHARDS_MAX * SHARD_ENTRIES * 5;
        assert!(!table.is_crowded());
    }
}
