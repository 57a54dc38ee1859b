//! Who refers to which content: counted in tables, the same way for every
//! database.

use crate::transaction::Body;
use crate::{ContentId, Prepared, StorageError, Table, Transaction};

/// Content id → [`Entry`].
const REFERENCES: Table = Table("content_references");
/// Content id → octets, while they are small enough.
const OCTETS: Table = Table("content_octets");

/// Where the octets of kept content lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the table [`OCTETS`].
    Table,
    /// In the blob store.
    Blob,
}

/// What is known of kept content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    references: u64,
    size: u64,
    pub(crate) place: Place,
}

impl Entry {
    fn encode(self) -> [u8; 17] {
        let mut out = [0; 17];
        out[0] = match self.place {
            Place::Table => 0,
            Place::Blob => 1,
        };
        out[1..9].copy_from_slice(&self.references.to_be_bytes());
        out[9..].copy_from_slice(&self.size.to_be_bytes());
        out
    }

    fn decode(octets: &[u8]) -> Option<Self> {
        let (place, rest) = octets.split_first()?;
        let (references, size) = rest.split_first_chunk::<8>()?;
        Some(Entry {
            place: match place {
                0 => Place::Table,
                1 => Place::Blob,
                _ => return None,
            },
            references: u64::from_be_bytes(*references),
            size: u64::from_be_bytes(size.try_into().ok()?),
        })
    }
}

/// The entry of kept content, `None` while nobody refers to it.
pub(crate) fn entry(transaction: &mut dyn Transaction, id: ContentId) -> Result<Option<Entry>, StorageError> {
    match transaction.get(REFERENCES, &id.0)? {
        None => Ok(None),
        Some(octets) => Entry::decode(&octets)
            .map(Some)
            .ok_or_else(|| StorageError::failed(format!("content {id}"), "its entry cannot be read")),
    }
}

/// The octets of content that lies in a table.
pub(crate) fn inline_octets(
    transaction: &mut dyn Transaction,
    id: ContentId,
) -> Result<Vec<u8>, StorageError> {
    transaction.get(OCTETS, &id.0)?.ok_or_else(|| StorageError::Missing(id.to_string()))
}

pub(crate) fn keep(transaction: &mut dyn Transaction, content: &Prepared) -> Result<(), StorageError> {
    if entry(transaction, content.id)?.is_some() {
        return keep_again(transaction, content.id);
    }
    let place = match &content.body {
        Body::Inline(octets) => {
            transaction.put(OCTETS, &content.id.0, octets)?;
            Place::Table
        }
        Body::Blob(_) => Place::Blob,
    };
    let entry = Entry { references: 1, size: content.size, place };
    transaction.put(REFERENCES, &content.id.0, &entry.encode())
}

pub(crate) fn keep_again(transaction: &mut dyn Transaction, id: ContentId) -> Result<(), StorageError> {
    let mut entry = entry(transaction, id)?.ok_or_else(|| StorageError::Missing(id.to_string()))?;
    entry.references = entry.references.saturating_add(1);
    transaction.put(REFERENCES, &id.0, &entry.encode())
}

/// Returns true when the last reference to a blob went.
pub(crate) fn release(transaction: &mut dyn Transaction, id: ContentId) -> Result<bool, StorageError> {
    let mut entry = entry(transaction, id)?.ok_or_else(|| StorageError::Missing(id.to_string()))?;
    if entry.references > 1 {
        entry.references -= 1;
        transaction.put(REFERENCES, &id.0, &entry.encode())?;
        return Ok(false);
    }
    transaction.delete(REFERENCES, &id.0)?;
    match entry.place {
        Place::Table => transaction.delete(OCTETS, &id.0).map(|()| false),
        Place::Blob => Ok(true),
    }
}
