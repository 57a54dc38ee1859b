//! What is stored of the queue: a record for each message, and one for each of
//! its destination domains.

use bytes::{Buf, Bytes};
use mail::address::{Address, Path, parse_path};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::ControlFlow;
use storage::{ContentId, Prepared, Storage, StorageError, Table, Transaction};

/// Message id → [`MessageRecord`].
const MESSAGES: Table = Table("queue_messages");
/// Message id, domain → [`EntryRecord`].
const ENTRIES: Table = Table("queue_entries");

/// The id of a message, in 250 replies, Received fields and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(u64);

impl QueueId {
    /// A new id; random, so that it tells nothing.
    pub(crate) fn new() -> Self {
        Self(rand::random())
    }

    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

/// One message for one destination domain: what is scheduled, sent and retried.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct EntryKey {
    pub(super) id: QueueId,
    pub(super) domain: String,
}

impl EntryKey {
    fn octets(&self) -> Vec<u8> {
        [&self.id.0.to_be_bytes()[..], self.domain.as_bytes()].concat()
    }

    fn read(octets: &[u8]) -> Option<Self> {
        let (id, domain) = octets.split_first_chunk::<8>()?;
        Some(Self { id: QueueId(u64::from_be_bytes(*id)), domain: String::from_utf8(domain.to_vec()).ok()? })
    }
}

/// What is the same for all destinations of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MessageRecord {
    /// The SHA-256 of its octets, in hexadecimal digits.
    content: String,
    /// Octets at its front that are not sent on: the Return-Path of local mailboxes.
    #[serde(default)]
    skipped_octets: u64,
    /// Octets that are sent on.
    pub(super) octets: u64,
    from: String,
    pub(super) smtputf8: bool,
    /// When it was accepted, in seconds since 1970.
    pub(super) arrived: u64,
}

impl MessageRecord {
    pub(super) fn new(
        content: &Prepared,
        skipped_octets: u64,
        from: &Path,
        smtputf8: bool,
        arrived: u64,
    ) -> Self {
        Self {
            content: content.id.to_string(),
            skipped_octets,
            octets: content.size.saturating_sub(skipped_octets),
            from: from.to_string(),
            smtputf8,
            arrived,
        }
    }

    fn content(&self) -> Option<ContentId> {
        ContentId::from_hex(&self.content)
    }

    /// The message as it goes to other hosts.
    pub(super) async fn load(&self, storage: &Storage) -> Result<Bytes, StorageError> {
        let missing = || StorageError::Missing(self.content.clone());
        let mut octets = storage.content(self.content().ok_or_else(missing)?).await?;
        let skipped = usize::try_from(self.skipped_octets).ok().filter(|skipped| *skipped <= octets.len());
        octets.advance(skipped.ok_or_else(missing)?);
        Ok(octets)
    }

    pub(super) fn from(&self) -> Path {
        parse_path(&self.from).map_or(Path::Null, |(path, _)| path)
    }
}

/// What is left to do for one destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EntryRecord {
    recipients: Vec<String>,
    pub(super) attempts: u32,
    /// When it is tried next, in milliseconds since 1970.
    pub(super) next_ms: u64,
    /// Why the last try failed.
    pub(super) reason: String,
    /// Whether the sender was told that it is late.
    pub(super) warned: bool,
}

impl EntryRecord {
    pub(super) fn new(recipients: &[Address], now_ms: u64) -> Self {
        let mut entry = Self {
            recipients: Vec::new(),
            attempts: 0,
            next_ms: now_ms,
            reason: String::new(),
            warned: false,
        };
        entry.set_recipients(recipients);
        entry
    }

    pub(super) fn recipients(&self) -> Vec<Address> {
        self.recipients.iter().filter_map(|recipient| recipient.parse().ok()).collect()
    }

    pub(super) fn set_recipients(&mut self, recipients: &[Address]) {
        self.recipients = recipients.iter().map(ToString::to_string).collect();
    }
}

fn read<T: serde::de::DeserializeOwned>(table: Table, value: &[u8]) -> Result<T, StorageError> {
    serde_json::from_slice(value).map_err(|error| StorageError::Failed {
        place: format!("table {}", table.0),
        reason: error.to_string(),
    })
}

fn write<T: Serialize>(table: Table, value: &T) -> Result<Vec<u8>, StorageError> {
    serde_json::to_vec(value).map_err(|error| StorageError::Failed {
        place: format!("table {}", table.0),
        reason: error.to_string(),
    })
}

pub(super) fn message(
    transaction: &mut dyn Transaction,
    id: QueueId,
) -> Result<Option<MessageRecord>, StorageError> {
    transaction.get(MESSAGES, &id.0.to_be_bytes())?.map(|value| read(MESSAGES, &value)).transpose()
}

pub(super) fn put_message(
    transaction: &mut dyn Transaction,
    id: QueueId,
    record: &MessageRecord,
) -> Result<(), StorageError> {
    transaction.put(MESSAGES, &id.0.to_be_bytes(), &write(MESSAGES, record)?)
}

pub(super) fn entry(
    transaction: &mut dyn Transaction,
    key: &EntryKey,
) -> Result<Option<EntryRecord>, StorageError> {
    transaction.get(ENTRIES, &key.octets())?.map(|value| read(ENTRIES, &value)).transpose()
}

pub(super) fn put_entry(
    transaction: &mut dyn Transaction,
    key: &EntryKey,
    record: &EntryRecord,
) -> Result<(), StorageError> {
    transaction.put(ENTRIES, &key.octets(), &write(ENTRIES, record)?)
}

/// Deletes an entry, and with a message's last one the message.
pub(super) fn delete_entry(transaction: &mut dyn Transaction, key: &EntryKey) -> Result<(), StorageError> {
    if transaction.get(ENTRIES, &key.octets())?.is_none() {
        return Ok(());
    }
    transaction.delete(ENTRIES, &key.octets())?;
    let from = key.id.0.to_be_bytes();
    let mut others = false;
    transaction.scan(ENTRIES, &from, &end_of(key.id), &mut |_, _| {
        others = true;
        ControlFlow::Break(())
    })?;
    if others {
        return Ok(());
    }
    let record = message(transaction, key.id)?;
    transaction.delete(MESSAGES, &from)?;
    match record.and_then(|record| record.content()) {
        Some(content) => transaction.release(content),
        None => Ok(()),
    }
}

/// All entries, or those of one message.
pub(super) fn entries(
    transaction: &mut dyn Transaction,
    of: Option<QueueId>,
) -> Result<Vec<(EntryKey, EntryRecord)>, StorageError> {
    let (from, to) = match of {
        Some(id) => (id.0.to_be_bytes().to_vec(), end_of(id)),
        None => (Vec::new(), Vec::new()),
    };
    let mut found = Vec::new();
    let mut failure = None;
    transaction.scan(
        ENTRIES,
        &from,
        &to,
        &mut |key, value| match (EntryKey::read(key), read(ENTRIES, value)) {
            (Some(key), Ok(record)) => {
                found.push((key, record));
                ControlFlow::Continue(())
            }
            (_, Err(error)) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
            (None, _) => ControlFlow::Continue(()),
        },
    )?;
    failure.map_or(Ok(found), Err)
}

/// The first key after all of a message's; empty, the end of the table, for the
/// last possible message.
fn end_of(id: QueueId) -> Vec<u8> {
    id.0.checked_add(1).map(|next| next.to_be_bytes().to_vec()).unwrap_or_default()
}
