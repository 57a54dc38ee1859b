//! The traits that SQLite (now) and PostgreSQL (later) give.

use crate::StorageError;
use crate::blobs::Pin;
use bytes::Bytes;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The longest key, in octets.
pub const KEY_OCTETS_MAX: usize = 2048;

/// The longest value, in octets. Larger octets are content, not values.
pub const VALUE_OCTETS_MAX: usize = 16 * 1024 * 1024;

/// An ordered table of byte keys and values, by name. Names are lower-case
/// letters and underscores. A table exists from its first `put`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Table(pub &'static str);

/// The address of content: its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentId(pub [u8; 32]);

impl ContentId {
    /// Reads the form that `Display` writes: 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut id = [0; 32];
        for (octet, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = pair else { return None };
            let value = |digit: u8| char::from(digit).to_digit(16);
            *octet = (value(*high)? * 16 + value(*low)?) as u8;
        }
        Some(ContentId(id))
    }
}

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
/// already, small content travels with the transaction. While a `Prepared`
/// (or a closure that owns it) lives, its blob is not collected.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Its address.
    pub id: ContentId,
    /// Its size in octets.
    pub size: u64,
    /// Where the octets are.
    pub(crate) body: Body,
}

/// Where prepared octets are.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// Small enough to lie in a table.
    Inline(Bytes),
    /// In the blob store, held there by the pin.
    Blob(#[allow(dead_code, reason = "held for its Drop")] Arc<Pin>),
}

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Takes note of one key and value of a scan, and says whether to go on.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// One atomic change, or one consistent view. Within it, reads see its own
/// writes. A closure may be run again (another database may ask for a retry),
/// so it must have no effect outside of the transaction other than by
/// [`Transaction::after_commit`].
///
/// In a view ([`crate::Storage::read`]) every change is refused.
pub trait Transaction {
    /// The value at `key`.
    fn get(&mut self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError>;

    /// Sets the value at `key`. Bounds: [`KEY_OCTETS_MAX`], [`VALUE_OCTETS_MAX`].
    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StorageError>;

    /// Deletes `key`; not an error where there is none.
    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), StorageError>;

    /// Visits keys in `from..to` in ascending order until `visit` breaks. An
    /// empty `to` means up to the last key.
    fn scan(
        &mut self,
        table: Table,
        from: &[u8],
        to: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), StorageError>;

    /// The last key and value in `from..to`. An empty `to` means up to the
    /// last key.
    fn last(&mut self, table: Table, from: &[u8], to: &[u8]) -> Result<Option<Pair>, StorageError>;

    /// Adds one reference to prepared content, storing it with the first.
    fn keep(&mut self, content: &Prepared) -> Result<(), StorageError>;

    /// Adds one reference to content already kept.
    fn keep_again(&mut self, id: ContentId) -> Result<(), StorageError>;

    /// Takes one reference away; with the last one the content goes.
    fn release(&mut self, id: ContentId) -> Result<(), StorageError>;

    /// Runs `action` once this change is durable, before its caller is
    /// answered; never, if it is rolled back. It runs on the writer's thread,
    /// so it must be quick and must not block: wake somebody, set a channel.
    fn after_commit(&mut self, action: Box<dyn FnOnce() + Send>);
}
