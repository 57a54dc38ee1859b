//! The traits that SQLite (now) and PostgreSQL (later) give.

use crate::StorageError;
use bytes::Bytes;
use std::fmt;
use std::ops::ControlFlow;

/// An ordered table of byte keys and values, by name. Names are lower-case
/// letters and underscores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Table(pub &'static str);

/// The address of content: its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentId(pub [u8; 32]);

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Content ready to be kept: large content lies durably in the blob store
/// already, small content travels with the transaction.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Its address.
    pub id: ContentId,
    /// Its size in octets.
    pub size: u64,
    /// The octets, while they are small enough to lie in a table.
    pub(crate) inline: Option<Bytes>,
}

/// One atomic change, or one consistent view. Within it, reads see its own
/// writes. A closure may be run again (another database may ask for a retry),
/// so it must have no effect outside of the transaction.
pub trait Transaction {
    /// The value at `key`.
    fn get(&mut self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError>;

    /// Sets the value at `key`.
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StorageError>;

    /// Deletes `key`; not an error where there is none.
    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), StorageError>;

    /// Visits keys in `from..to` in ascending order until `visit` breaks.
    fn scan(
        &mut self,
        table: Table,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StorageError>;

    /// The last key and value in `from..to`.
    fn last(
        &mut self,
        table: Table,
        from: &[u8],
        to: &[u8],
    ) -> Result<Option<(Vec<u8>, Vec<u8>)>, StorageError>;

    /// Adds one reference to prepared content, storing it with the first.
    fn keep(&mut self, content: &Prepared) -> Result<(), StorageError>;

    /// Adds one reference to content already kept.
    fn keep_again(&mut self, id: ContentId) -> Result<(), StorageError>;

    /// Takes one reference away; with the last one the content goes.
    fn release(&mut self, id: ContentId) -> Result<(), StorageError>;
}
