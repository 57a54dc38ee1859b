//! A map bounded in octets, with CLOCK eviction: what was read since the hand
//! last passed gets a second chance.

use std::collections::HashMap;
use std::hash::Hash;

/// Octets one slot costs besides its key and value: the index entry and the slot.
const SLOT_OCTETS: usize = 96;

/// A map that never holds more than `octets_max`.
#[derive(Debug)]
pub(crate) struct Bounded<K, V> {
    index: HashMap<K, usize>,
    slots: Vec<Option<Slot<K, V>>>,
    free: Vec<usize>,
    hand: usize,
    octets: usize,
    octets_max: usize,
}

#[derive(Debug)]
struct Slot<K, V> {
    key: K,
    value: V,
    octets: usize,
    used: bool,
}

impl<K: Hash + Eq + Clone, V> Bounded<K, V> {
    /// An empty map that holds at most `octets_max`.
    pub(crate) fn new(octets_max: usize) -> Self {
        Self { index: HashMap::new(), slots: Vec::new(), free: Vec::new(), hand: 0, octets: 0, octets_max }
    }

    /// Another bound from here on; entries leave until the rest is within it.
    pub(crate) fn set_octets_max(&mut self, octets_max: usize) {
        self.octets_max = octets_max;
        while self.octets > self.octets_max {
            self.evict_one();
        }
    }

    /// Octets held now.
    pub(crate) fn octets(&self) -> usize {
        self.octets
    }

    /// Entries held now.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Reads an entry, which earns it a second chance.
    pub(crate) fn get(&mut self, key: &K) -> Option<&mut V> {
        let slot = self.slots.get_mut(*self.index.get(key)?)?.as_mut()?;
        slot.used = true;
        Some(&mut slot.value)
    }

    /// Reads an entry without counting it as use.
    pub(crate) fn peek(&self, key: &K) -> Option<&V> {
        Some(&self.slots.get(*self.index.get(key)?)?.as_ref()?.value)
    }

    /// Puts an entry in the place of an older one of the same key; others leave
    /// until it fits. `octets` is what key and value take. An entry larger than
    /// the whole map is not kept.
    pub(crate) fn insert(&mut self, key: K, value: V, octets: usize) {
        self.remove(&key);
        let octets = octets + SLOT_OCTETS;
        if octets > self.octets_max {
            return;
        }
        while self.octets + octets > self.octets_max {
            self.evict_one();
        }
        self.octets += octets;
        let slot = Some(Slot { key: key.clone(), value, octets, used: false });
        let place = if let Some(place) = self.free.pop() {
            self.slots[place] = slot;
            place
        } else {
            self.slots.push(slot);
            self.slots.len() - 1
        };
        self.index.insert(key, place);
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let place = self.index.remove(key)?;
        self.vacate(place)
    }

    fn vacate(&mut self, place: usize) -> Option<V> {
        let slot = self.slots.get_mut(place)?.take()?;
        self.octets -= slot.octets;
        self.free.push(place);
        Some(slot.value)
    }

    /// Moves the hand to the next entry that was not read since it last passed,
    /// and takes that one out.
    fn evict_one(&mut self) {
        while !self.index.is_empty() {
            self.hand = (self.hand + 1) % self.slots.len();
            let Some(slot) = &mut self.slots[self.hand] else { continue };
            if slot.used {
                slot.used = false;
                continue;
            }
            self.index.remove(&slot.key);
            self.vacate(self.hand);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_exceeds_its_octets_and_keeps_what_is_read() {
        let octets_max = 10 * (SLOT_OCTETS + 10);
        let mut map = Bounded::new(octets_max);
        for key in 0..1_000_u32 {
            map.insert(key, key, 10);
            assert!(map.octets() <= octets_max);
            assert!(map.get(&0).is_some(), "what is read all the time stays");
        }
        assert_eq!(map.len(), 10);
    }

    #[test]
    fn a_smaller_bound_holds_at_once() {
        let mut map = Bounded::new(10 * (SLOT_OCTETS + 10));
        for key in 0..10_u32 {
            map.insert(key, key, 10);
        }
        assert!(map.get(&0).is_some());
        map.set_octets_max(3 * (SLOT_OCTETS + 10));
        assert_eq!(map.len(), 3);
        assert!(map.peek(&0).is_some(), "what was read last stays");
        map.set_octets_max(0);
        assert_eq!((map.len(), map.octets()), (0, 0));
    }

    #[test]
    fn an_entry_larger_than_the_map_is_not_kept() {
        let mut map = Bounded::new(100);
        map.insert(1, (), 101);
        assert_eq!(map.len(), 0);
        assert_eq!(map.octets(), 0);
    }

    #[test]
    fn replacing_and_removing_give_the_octets_back() {
        let mut map = Bounded::new(10_000);
        map.insert(1, 'a', 100);
        map.insert(1, 'b', 200);
        assert_eq!(map.octets(), 200 + SLOT_OCTETS);
        assert_eq!(map.remove(&1), Some('b'));
        assert_eq!(map.octets(), 0);
    }
}
