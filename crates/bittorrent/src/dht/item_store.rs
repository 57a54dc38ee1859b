//! Items that others stored with us (BEP 44).

use super::id::Id;
use super::item::Item;
use super::krpc::{ErrorReply, code};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Items that are kept; each takes at most about 1.3 KiB.
pub const ITEMS_MAX: usize = 2_000;

/// How long an item is kept after it was last put (BEP 44, "Expiration").
pub const ITEM_LIFETIME: Duration = Duration::from_hours(2);

/// Why an item was not stored (BEP 44, "Errors").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StoreError {
    /// Another version is there than the one to be replaced.
    #[error("the stored sequence number is {stored}: read the item and try again")]
    CasMismatch {
        /// Its sequence number.
        stored: i64,
    },
    /// A newer version is there, or another value with the same number.
    #[error("the sequence number is not greater than the stored {stored}")]
    OldSequence {
        /// Its sequence number.
        stored: i64,
    },
    /// The store is full of items that lie nearer to us.
    #[error("the store is full")]
    Full,
}

impl From<StoreError> for ErrorReply {
    fn from(error: StoreError) -> Self {
        let code = match error {
            StoreError::CasMismatch { .. } => code::CAS_MISMATCH,
            StoreError::OldSequence { .. } => code::OLD_SEQUENCE,
            StoreError::Full => code::SERVER,
        };
        Self { code, text: error.to_string() }
    }
}

/// What is stored.
#[derive(Debug, Clone, Default)]
pub struct ItemStore {
    items: HashMap<Id, Stored>,
}

#[derive(Debug, Clone)]
struct Stored {
    item: Item,
    put: Instant,
}

impl ItemStore {
    /// Nothing is stored.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many items are stored.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The item under `target`.
    pub fn get(&self, now: Instant, target: &Id) -> Option<&Item> {
        let stored = self.items.get(target)?;
        (now.saturating_duration_since(stored.put) < ITEM_LIFETIME).then_some(&stored.item)
    }

    /// Stores an item, or keeps the same one for longer. `cas` is the sequence
    /// number to be replaced. A full store gives up the item that lies
    /// farthest from `own`, and refuses one farther still.
    pub fn put(&mut self, now: Instant, own: &Id, item: Item, cas: Option<i64>) -> Result<(), StoreError> {
        let target = item.target();
        if let (Item::Mutable(new), Some(Item::Mutable(old))) = (&item, self.get(now, &target)) {
            let stored = old.sequence();
            if cas.is_some_and(|cas| cas != stored) {
                return Err(StoreError::CasMismatch { stored });
            }
            let same = new.sequence() == stored && new.value() == old.value();
            if new.sequence() <= stored && !same {
                return Err(StoreError::OldSequence { stored });
            }
        }
        if !self.items.contains_key(&target) {
            self.make_room(now, own, &target)?;
        }
        self.items.insert(target, Stored { item, put: now });
        Ok(())
    }

    fn make_room(&mut self, now: Instant, own: &Id, target: &Id) -> Result<(), StoreError> {
        if self.items.len() < ITEMS_MAX {
            return Ok(());
        }
        self.expire(now);
        if self.items.len() < ITEMS_MAX {
            return Ok(());
        }
        match self.items.keys().max_by_key(|stored| own.distance(stored)).copied() {
            Some(farthest) if own.distance(&farthest) > own.distance(target) => {
                self.items.remove(&farthest);
                Ok(())
            }
            _ => Err(StoreError::Full),
        }
    }

    /// Forgets items that were not put for [`ITEM_LIFETIME`].
    pub fn expire(&mut self, now: Instant) {
        self.items.retain(|_, stored| now.saturating_duration_since(stored.put) < ITEM_LIFETIME);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dht::item::{MutableItem, SecretKey, Value};

    const OWN: Id = Id::new([0; 20]);

    fn value(number: i64) -> Value {
        Value::encode(&number.into()).expect("a value")
    }

    fn mutable(sequence: i64, number: i64) -> Item {
        let secret = SecretKey::from_seed(&[1; 32]);
        Item::Mutable(MutableItem::sign(&secret, b"", sequence, value(number)).expect("an item"))
    }

    #[test]
    fn a_newer_version_replaces_an_older_one_only() {
        let now = Instant::now();
        let mut store = ItemStore::new();
        let target = mutable(5, 1).target();
        assert_eq!(store.put(now, &OWN, mutable(5, 1), Some(77)), Ok(()), "no item: cas is of no account");
        assert_eq!(store.put(now, &OWN, mutable(4, 1), None), Err(StoreError::OldSequence { stored: 5 }));
        assert_eq!(store.put(now, &OWN, mutable(5, 2), None), Err(StoreError::OldSequence { stored: 5 }));
        assert_eq!(store.put(now, &OWN, mutable(6, 2), Some(4)), Err(StoreError::CasMismatch { stored: 5 }));
        assert_eq!(store.get(now, &target), Some(&mutable(5, 1)));
        assert_eq!(store.put(now, &OWN, mutable(6, 2), Some(5)), Ok(()));
        assert_eq!(store.get(now, &target).and_then(Item::sequence), Some(6));
    }

    #[test]
    fn an_item_is_kept_for_two_hours_after_it_was_put_last() {
        let start = Instant::now();
        let mut store = ItemStore::new();
        let target = mutable(1, 1).target();
        store.put(start, &OWN, mutable(1, 1), None).expect("stored");
        let later = start + ITEM_LIFETIME / 2;
        store.put(later, &OWN, mutable(1, 1), None).expect("the same again");
        assert!(store.get(start + ITEM_LIFETIME, &target).is_some());
        let end = later + ITEM_LIFETIME;
        assert_eq!(store.get(end, &target), None);
        assert_eq!(store.put(end, &OWN, mutable(0, 9), None), Ok(()), "an expired version does not count");
        store.expire(end + ITEM_LIFETIME);
        assert!(store.is_empty());
    }

    #[test]
    fn a_full_store_keeps_what_is_near() {
        let now = Instant::now();
        let mut store = ItemStore::new();
        let mut items: Vec<Item> = (0..=ITEMS_MAX)
            .map(|number| Item::Immutable(value(i64::try_from(number).expect("small"))))
            .collect();
        items.sort_by_key(|item| OWN.distance(&item.target()));
        let (nearest, farthest) = (items.remove(0), items[ITEMS_MAX - 1].clone());
        for item in items.iter().take(ITEMS_MAX) {
            store.put(now, &OWN, item.clone(), None).expect("room");
        }
        assert_eq!(store.put(now, &OWN, nearest.clone(), None), Ok(()));
        assert_eq!(store.len(), ITEMS_MAX);
        assert_eq!(store.get(now, &farthest.target()), None);
        assert_eq!(store.put(now, &OWN, farthest, None), Err(StoreError::Full));
        assert!(store.get(now, &nearest.target()).is_some());
    }
}
