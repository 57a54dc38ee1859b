//! What a node remembers between two runs (BEP 5: "The routing table should be
//! saved between invocations"), as octets.

use crate::bencode::{DecodeError, Dictionary, Item, KeyOrder, Limits, decode};
use crate::dht::contact::{self, Contact, Family};
use crate::dht::id::Id;
use thiserror::Error;

/// Nodes of a family that are saved.
pub const SAVED_CONTACTS_MAX: usize = 400;

/// Octets of what is saved, at most.
pub const SAVED_OCTETS_MAX: usize = 2 * SAVED_CONTACTS_MAX * 38 + 200;

const LIMITS: Limits = Limits { depth_max: 2, values_max: 100, key_order: KeyOrder::Sorted };

/// Why octets are nothing that was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SavedError {
    /// More than [`SAVED_OCTETS_MAX`].
    #[error("more than {SAVED_OCTETS_MAX} octets")]
    TooLong,
    /// Not bencoded.
    #[error(transparent)]
    Bencode(#[from] DecodeError),
    /// Bencoded, but something else.
    #[error("not a saved table of the distributed hash table")]
    Other,
}

/// The ids and nodes of both families.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Saved {
    pub(super) v4: Option<SavedSide>,
    pub(super) v6: Option<SavedSide>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SavedSide {
    pub(super) id: Option<Id>,
    pub(super) contacts: Vec<Contact>,
}

impl Saved {
    /// Its octets, at most [`SAVED_OCTETS_MAX`].
    pub fn encode(&self) -> Vec<u8> {
        let side = |name, family, side: &Option<SavedSide>| {
            let side = side.as_ref()?;
            let mut entries = vec![("nodes", Item::from(contact::write_contacts(&side.contacts, family)))];
            entries.extend(side.id.map(|id| ("id", Item::from(id.as_ref()))));
            Some((name, Item::dictionary(entries)))
        };
        let sides = [side("v4", Family::V4, &self.v4), side("v6", Family::V6, &self.v6)];
        Item::dictionary(sides.into_iter().flatten()).encode()
    }

    /// Reads what [`Saved::encode`] wrote.
    pub fn read(octets: &[u8]) -> Result<Self, SavedError> {
        if octets.len() > SAVED_OCTETS_MAX {
            return Err(SavedError::TooLong);
        }
        let value = decode(octets, &LIMITS)?;
        let saved = value.dictionary().ok_or(SavedError::Other)?;
        let side = |name: &[u8], family| saved.dictionary(name).map(|side| SavedSide::read(side, family));
        Ok(Self { v4: side(b"v4", Family::V4), v6: side(b"v6", Family::V6) })
    }

    /// How many nodes it names.
    pub fn contacts(&self) -> usize {
        let count = |side: &Option<SavedSide>| side.as_ref().map_or(0, |side| side.contacts.len());
        count(&self.v4) + count(&self.v6)
    }
}

impl SavedSide {
    fn read(side: &Dictionary<'_>, family: Family) -> Self {
        let nodes = side.bytes(b"nodes").unwrap_or_default();
        Self {
            id: side.bytes(b"id").and_then(Id::from_slice),
            contacts: contact::read_contacts(nodes, family, SAVED_CONTACTS_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_reads_the_same() {
        let four = Contact { id: Id::new([4; 20]), address: "192.0.2.1:4".parse().expect("an address") };
        let six = Contact { id: Id::new([6; 20]), address: "[2001:db8::6]:6".parse().expect("an address") };
        let saved = Saved {
            v4: Some(SavedSide { id: Some(Id::new([1; 20])), contacts: vec![four; SAVED_CONTACTS_MAX] }),
            v6: Some(SavedSide { id: None, contacts: vec![six; SAVED_CONTACTS_MAX] }),
        };
        let octets = saved.encode();
        assert!(octets.len() <= SAVED_OCTETS_MAX);
        assert_eq!(Saved::read(&octets), Ok(saved));
        assert_eq!(Saved::read(b"de"), Ok(Saved::default()));
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(Saved::read(b"le"), Err(SavedError::Other));
        assert!(matches!(Saved::read(b"d"), Err(SavedError::Bencode(_))));
        assert_eq!(Saved::read(&vec![b'l'; SAVED_OCTETS_MAX + 1]), Err(SavedError::TooLong));
        let many = vec![b'x'; (SAVED_CONTACTS_MAX + 9) * 26];
        let octets = Item::dictionary([("v4", Item::dictionary([("nodes", many.into())]))]).encode();
        assert_eq!(Saved::read(&octets).expect("read").contacts(), SAVED_CONTACTS_MAX);
    }
}
