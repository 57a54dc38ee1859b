//! How zones and their changes lie in storage: a journal entry is what RFC 1995
//! calls a difference sequence; a snapshot is all records in pieces.

use crate::Name;
use crate::zone::{Draft, DraftError, WireRecord};
use bytes::Bytes;
use domain::base::iana::Rtype;

/// The form that is written.
const VERSION: u8 = 1;

/// One change of a zone from one serial to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The serial before.
    pub from: u32,
    /// The serial after.
    pub to: u32,
    /// Records that went, the old SOA among them.
    pub removed: Vec<WireRecord>,
    /// Records that came, the new SOA among them.
    pub added: Vec<WireRecord>,
}

/// Why stored octets cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// They are not what was written.
    #[error("a stored record is damaged")]
    Damaged,
    /// A newer program wrote them.
    #[error("they were written in version {0}, this program reads version {VERSION}; run the newer one")]
    Version(u8),
    /// An entry does not follow the one before.
    #[error("the journal goes on from serial {expected}, the zone is at {found}")]
    Gap {
        /// Where the entry begins.
        expected: u32,
        /// Where the zone is.
        found: u32,
    },
    /// The records make no zone.
    #[error(transparent)]
    Draft(#[from] DraftError),
}

impl Entry {
    /// The octets to store.
    pub fn encode(&self) -> Vec<u8> {
        let mut octets = vec![VERSION];
        octets.extend_from_slice(&self.from.to_be_bytes());
        octets.extend_from_slice(&self.to.to_be_bytes());
        octets.extend_from_slice(&(self.removed.len() as u32).to_be_bytes());
        self.removed.iter().chain(&self.added).for_each(|record| encode_record(record, &mut octets));
        octets
    }

    /// Reads stored octets.
    pub fn decode(octets: &[u8]) -> Result<Self, JournalError> {
        let mut reader = Reader::new(octets)?;
        let (from, to, count) = (reader.u32()?, reader.u32()?, reader.u32()? as usize);
        let mut records = Vec::new();
        while !reader.rest.is_empty() {
            records.push(reader.record()?);
        }
        if count > records.len() {
            return Err(JournalError::Damaged);
        }
        let added = records.split_off(count);
        Ok(Self { from, to, removed: records, added })
    }

    /// Applies the change to a draft that stands where it begins.
    pub fn apply(self, draft: &mut Draft) -> Result<(), JournalError> {
        let found = draft.soa().map_or(0, |soa| soa.serial);
        if found != self.from {
            return Err(JournalError::Gap { expected: self.from, found });
        }
        for record in self.removed {
            draft.delete_record(&record.owner.as_slice().to_ascii_lowercase(), record.rtype, &record.data);
        }
        for record in self.added {
            draft.add(record)?;
        }
        Ok(())
    }
}

/// All records in pieces of about `piece_octets`.
pub fn encode_snapshot(
    records: impl IntoIterator<Item = WireRecord>,
    piece_octets: usize,
) -> impl Iterator<Item = Vec<u8>> {
    let mut records = records.into_iter().peekable();
    std::iter::from_fn(move || {
        records.peek()?;
        let mut piece = vec![VERSION];
        while piece.len() < piece_octets
            && let Some(record) = records.next()
        {
            encode_record(&record, &mut piece);
        }
        Some(piece)
    })
}

/// The records of one piece.
pub fn decode_snapshot(piece: &[u8]) -> Result<Vec<WireRecord>, JournalError> {
    let mut reader = Reader::new(piece)?;
    let mut records = Vec::new();
    while !reader.rest.is_empty() {
        records.push(reader.record()?);
    }
    Ok(records)
}

fn encode_record(record: &WireRecord, octets: &mut Vec<u8>) {
    octets.extend_from_slice(record.owner.as_slice());
    octets.extend_from_slice(&record.rtype.to_int().to_be_bytes());
    octets.extend_from_slice(&record.ttl.to_be_bytes());
    octets.extend_from_slice(&(record.data.len() as u16).to_be_bytes());
    octets.extend_from_slice(&record.data);
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(octets: &'a [u8]) -> Result<Self, JournalError> {
        match octets.split_first() {
            Some((&VERSION, rest)) => Ok(Self { rest }),
            Some((&version, _)) => Err(JournalError::Version(version)),
            None => Err(JournalError::Damaged),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], JournalError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(JournalError::Damaged)?;
        self.rest = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, JournalError> {
        Ok(u16::from_be_bytes(self.take(2)?.try_into().map_err(|_| JournalError::Damaged)?))
    }

    fn u32(&mut self) -> Result<u32, JournalError> {
        Ok(u32::from_be_bytes(self.take(4)?.try_into().map_err(|_| JournalError::Damaged)?))
    }

    fn record(&mut self) -> Result<WireRecord, JournalError> {
        let mut length = 0;
        loop {
            match *self.rest.get(length).ok_or(JournalError::Damaged)? as usize {
                0 => break,
                label => length += label + 1,
            }
        }
        let owner = Name::from_octets(Bytes::copy_from_slice(self.take(length + 1)?))
            .map_err(|_| JournalError::Damaged)?;
        let rtype = Rtype::from_int(self.u16()?);
        let ttl = self.u32()?;
        let length = self.u16()? as usize;
        Ok(WireRecord { owner, rtype, ttl, data: self.take(length)?.into() })
    }
}
