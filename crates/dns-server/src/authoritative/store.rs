//! Zones in storage: a snapshot of each in pieces, and the journal of what
//! changed since.

use dns::Name;
use dns::journal::{self, Entry, JournalError};
use dns::zone::{Draft, Soa, Zone};
use std::ops::ControlFlow;
use std::sync::Arc;
use storage::{Storage, StorageError, Table, Transaction};

/// What is stored of each zone: its apex to a [`Head`].
const ZONES: Table = Table("dns_zones");
/// Apex, generation and number of the piece to records.
const SNAPSHOTS: Table = Table("dns_snapshots");
/// Apex and number to a journal entry.
pub(super) const JOURNAL: Table = Table("dns_journal");
/// Apex of a secondary's zone to when a primary last confirmed it, in seconds
/// since 1970.
const REFRESHED: Table = Table("dns_refreshed");

/// Octets of a piece of a snapshot.
const PIECE_OCTETS: usize = 256 * 1024;
/// Octets of a stored record, about.
const RECORD_OCTETS: u64 = 48;
/// Octets the journal of a zone may have before a snapshot replaces it, unless
/// the zone is larger.
pub(super) const JOURNAL_OCTETS_MAX: u64 = 1024 * 1024;

/// What is stored of a zone beside its records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// Which snapshot counts.
    generation: u64,
    /// Octets of that snapshot, about.
    snapshot_octets: u64,
    /// Hash of the master file's text the zone began with; 0 for a secondary.
    pub(super) file_hash: u64,
    /// Number of the next journal entry.
    next: u64,
    /// Octets of the journal since the snapshot.
    journal_octets: u64,
}

impl Head {
    fn encode(self) -> Vec<u8> {
        [self.generation, self.snapshot_octets, self.file_hash, self.next, self.journal_octets]
            .into_iter()
            .flat_map(u64::to_be_bytes)
            .collect()
    }

    fn decode(octets: &[u8]) -> Option<Self> {
        let mut numbers =
            octets.chunks_exact(8).filter_map(|chunk| Some(u64::from_be_bytes(chunk.try_into().ok()?)));
        Some(Self {
            generation: numbers.next()?,
            snapshot_octets: numbers.next()?,
            file_hash: numbers.next()?,
            next: numbers.next()?,
            journal_octets: numbers.next()?,
        })
    }

    /// What is stored is not the beginning of what is served: the next change
    /// writes a snapshot.
    pub(super) fn outdated(self) -> Self {
        Self { journal_octets: u64::MAX, ..self }
    }

    /// Whether the journal has grown so long that a snapshot shall replace it.
    fn is_long(&self) -> bool {
        self.journal_octets > JOURNAL_OCTETS_MAX.max(self.snapshot_octets / 2)
    }
}

/// A zone as it was stored.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) zone: Zone,
    pub(super) head: Head,
}

/// Why a stored zone cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the stored zone cannot be used: {0}")]
    Journal(#[from] JournalError),
}

/// Reads a zone and the journal that follows it.
pub(super) async fn load(storage: &Storage, apex: &Name, seed: u64) -> Result<Option<Stored>, LoadError> {
    let key = apex.as_slice().to_ascii_lowercase();
    let read = storage
        .read(move |transaction| {
            let Some(head) = transaction.get(ZONES, &key)?.as_deref().and_then(Head::decode) else {
                return Ok::<_, StorageError>(None);
            };
            let mut pieces = Vec::new();
            let first = [&key[..], &head.generation.to_be_bytes()].concat();
            collect(transaction, SNAPSHOTS, &first, &mut pieces)?;
            let mut entries = Vec::new();
            collect(transaction, JOURNAL, &key, &mut entries)?;
            Ok(Some((head, pieces, entries)))
        })
        .await?;
    let Some((head, pieces, entries)) = read else { return Ok(None) };
    let mut draft = Draft::empty(apex.clone(), seed);
    for piece in pieces {
        for record in journal::decode_snapshot(&piece)? {
            draft.add(record).map_err(JournalError::from)?;
        }
    }
    for entry in entries {
        Entry::decode(&entry)?.apply(&mut draft)?;
    }
    Ok(Some(Stored { zone: draft.finish().map_err(JournalError::from)?, head }))
}

fn collect(
    transaction: &mut dyn Transaction,
    table: Table,
    prefix: &[u8],
    into: &mut Vec<Vec<u8>>,
) -> Result<(), StorageError> {
    let (from, to) = range(prefix);
    transaction.scan(table, &from, &to, &mut |_, value| {
        into.push(value.to_vec());
        ControlFlow::Continue(())
    })
}

/// All keys that begin with `prefix`: what follows it are numbers of at most 12
/// octets that never are all ones.
fn range(prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    (prefix.to_vec(), [prefix, &[0xFF; 16]].concat())
}

/// A change of a zone that waits to be written.
#[derive(Debug)]
pub(super) struct Write {
    key: Box<[u8]>,
    change: Change,
    head: Head,
}

#[derive(Debug)]
enum Change {
    Entry(u64, Vec<u8>),
    Snapshot(Arc<Zone>),
}

impl Write {
    /// A journal entry, or a snapshot where none is stored yet or the journal is
    /// long. `zone` is the version after the change.
    pub(super) fn entry(zone: &Arc<Zone>, head: Option<Head>, file_hash: u64, entry: &Entry) -> Self {
        match head {
            Some(head) if !head.is_long() => {
                let octets = entry.encode();
                let next = Head {
                    next: head.next + 1,
                    journal_octets: head.journal_octets + octets.len() as u64,
                    ..head
                };
                Self { key: zone.key().into(), change: Change::Entry(head.next, octets), head: next }
            }
            _ => Self::snapshot(zone, head, file_hash),
        }
    }

    /// The whole zone, in the place of all that is stored of it.
    pub(super) fn snapshot(zone: &Arc<Zone>, head: Option<Head>, file_hash: u64) -> Self {
        let old = head.unwrap_or_default();
        let head = Head {
            generation: old.generation + 1,
            snapshot_octets: zone.records() as u64 * RECORD_OCTETS,
            file_hash,
            next: old.next,
            journal_octets: 0,
        };
        Self { key: zone.key().into(), change: Change::Snapshot(zone.clone()), head }
    }

    /// What is stored once this is written.
    pub(super) fn head(&self) -> Head {
        self.head
    }

    fn apply(&self, transaction: &mut dyn Transaction) -> Result<(), StorageError> {
        let head = self.head;
        match &self.change {
            Change::Entry(number, octets) => {
                transaction.put(JOURNAL, &[&self.key[..], &number.to_be_bytes()].concat(), octets)?;
            }
            Change::Snapshot(zone) => {
                clear(transaction, JOURNAL, &self.key)?;
                clear(transaction, SNAPSHOTS, &self.key)?;
                for (number, piece) in journal::encode_snapshot(zone.iter(), PIECE_OCTETS).enumerate() {
                    let key = [&self.key[..], &head.generation.to_be_bytes(), &(number as u32).to_be_bytes()]
                        .concat();
                    transaction.put(SNAPSHOTS, &key, &piece)?;
                }
            }
        }
        transaction.put(ZONES, &self.key, &head.encode())
    }
}

fn clear(transaction: &mut dyn Transaction, table: Table, prefix: &[u8]) -> Result<(), StorageError> {
    let (from, to) = range(prefix);
    let mut keys = Vec::new();
    transaction.scan(table, &from, &to, &mut |key, _| {
        keys.push(key.to_vec());
        ControlFlow::Continue(())
    })?;
    keys.iter().try_for_each(|key| transaction.delete(table, key))
}

/// Writes all changes as one; durable when this returns `Ok`.
pub(super) async fn write(storage: &Storage, writes: Vec<Write>) -> Result<(), StorageError> {
    storage.write(move |transaction| writes.iter().try_for_each(|write| write.apply(transaction))).await
}

/// Remembers when a secondary's zone was last confirmed by a primary.
pub(super) async fn note_refreshed(
    storage: &Storage,
    key: &[u8],
    at_seconds: u64,
) -> Result<(), StorageError> {
    let key = key.to_vec();
    storage.write(move |transaction| transaction.put(REFRESHED, &key, &at_seconds.to_be_bytes())).await
}

/// When that was, in seconds since 1970.
pub(super) async fn refreshed(storage: &Storage, key: &[u8]) -> Result<Option<u64>, StorageError> {
    let key = key.to_vec();
    let stored = storage.read(move |transaction| transaction.get(REFRESHED, &key)).await?;
    Ok(stored.and_then(|octets| octets.try_into().ok()).map(u64::from_be_bytes))
}

/// Whether a stored SOA is older than that of a master file (RFC 1982).
pub(super) fn file_is_newer(file: Soa, stored: Soa) -> bool {
    dns::zone::serial_is_newer(file.serial, stored.serial)
}
