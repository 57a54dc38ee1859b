//! A transfer as it comes in: checked message by message.

use crate::Name;
use crate::zone::{DraftError, Soa, WireRecord, Zone, compose, key};
use bytes::Bytes;
use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::name::FlattenInto;
use domain::base::{Message, ParsedName};
use domain::rdata::ZoneRecordData;

/// Records of the largest zone that is taken.
pub const RECORDS_MAX: usize = 20_000_000;

/// Why a transfer was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// The primary answered with an error.
    #[error("the primary answered {0}")]
    Refused(Rcode),
    /// A message is malformed or answers something else.
    #[error("the primary's answer is no transfer of the zone: {0}")]
    Malformed(&'static str),
    /// There is more than a secondary takes.
    #[error("the zone has more than {RECORDS_MAX} records")]
    TooLarge,
    /// The records make no zone.
    #[error(transparent)]
    Draft(#[from] DraftError),
}

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More messages follow.
    More,
    /// The zone is complete.
    Complete,
}

/// A transfer in progress.
#[derive(Debug)]
pub struct Incoming {
    apex: Name,
    key: Box<[u8]>,
    id: u16,
    records: Vec<WireRecord>,
    first: Option<Soa>,
    complete: bool,
    records_max: usize,
}

impl Incoming {
    /// Awaits the answer to the request with this id.
    pub fn new(apex: Name, id: u16) -> Self {
        let key = apex.as_slice().to_ascii_lowercase().into();
        Self { apex, key, id, records: Vec::new(), first: None, complete: false, records_max: RECORDS_MAX }
    }

    /// Takes the next message.
    pub fn handle_message(&mut self, message: &[u8]) -> Result<Progress, TransferError> {
        use TransferError::Malformed;
        let message =
            Message::from_octets(Bytes::copy_from_slice(message)).map_err(|_| Malformed("no header"))?;
        let header = message.header();
        if header.id() != self.id || !header.qr() {
            return Err(Malformed("another id"));
        }
        if header.rcode() != Rcode::NOERROR {
            return Err(TransferError::Refused(header.rcode()));
        }
        if message.question().flatten().any(|question| {
            let name: Name = question.qname().clone().flatten_into();
            !name.as_slice().eq_ignore_ascii_case(&self.key)
        }) {
            return Err(Malformed("another zone"));
        }
        for record in message.answer().map_err(|_| Malformed("no answer section"))? {
            let record = record.map_err(|_| Malformed("a malformed record"))?;
            if self.complete {
                return Err(Malformed("records after the last SOA"));
            }
            let owner: Name = record.owner().flatten_into();
            let (rtype, ttl, class) = (record.rtype(), record.ttl().as_secs(), record.class());
            let parsed = record
                .into_record::<ZoneRecordData<Bytes, ParsedName<Bytes>>>()
                .ok()
                .flatten()
                .filter(|_| class == Class::IN)
                .ok_or(Malformed("malformed record data"))?;
            self.take(WireRecord { owner, rtype, ttl, data: compose(parsed.data()) })?;
        }
        match (&self.first, self.complete) {
            (None, _) => Err(Malformed("no SOA at its beginning")),
            (_, true) => Ok(Progress::Complete),
            (_, false) => Ok(Progress::More),
        }
    }

    fn take(&mut self, record: WireRecord) -> Result<(), TransferError> {
        if record.rtype == Rtype::SOA {
            let soa = Soa::from_data(&record.data).ok_or(TransferError::Malformed("a malformed SOA"))?;
            if !record.owner.as_slice().eq_ignore_ascii_case(&self.key) {
                return Err(TransferError::Malformed("a SOA of another zone"));
            }
            match self.first {
                None => self.first = Some(soa),
                Some(first) if first.serial == soa.serial => {
                    self.complete = true;
                    return Ok(());
                }
                Some(_) => return Err(TransferError::Malformed("two versions of the zone")),
            }
        } else if self.first.is_none() {
            return Err(TransferError::Malformed("no SOA at its beginning"));
        }
        let owner = record.owner.as_slice().to_ascii_lowercase();
        if !key::is_within(&owner, &self.key) {
            return Err(
                DraftError::OutOfZone { name: key::display(&owner), zone: key::display(&self.key) }.into()
            );
        }
        if self.records.len() >= self.records_max {
            return Err(TransferError::TooLarge);
        }
        self.records.push(record);
        Ok(())
    }

    /// The zone, once the transfer is complete.
    pub fn finish(self, seed: u64) -> Result<Zone, TransferError> {
        if !self.complete {
            return Err(TransferError::Malformed("it ends before the last SOA"));
        }
        Ok(Zone::new(self.apex, seed, self.records)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::{Kind, Outgoing, query};
    use std::collections::BTreeSet;
    use std::fmt::Write as _;
    use std::sync::Arc;

    fn zone(names: usize) -> Arc<Zone> {
        let mut text = "$TTL 60\n@ SOA ns root 7 3600 900 604800 60\n@ NS ns\nns A 192.0.2.1\n".to_owned();
        for n in 0..names {
            writeln!(text, "host{n} A 192.0.2.2\nHOST{n} MX 10 host{}", n / 2).unwrap();
        }
        let apex = crate::master::name("example.test").unwrap();
        Arc::new(crate::master::load(&text, &apex, 3).unwrap().0)
    }

    fn records(zone: &Zone) -> BTreeSet<String> {
        zone.iter().map(|record| record.to_string().to_ascii_lowercase()).collect()
    }

    #[test]
    fn what_goes_out_comes_in() {
        let zone = zone(2_000);
        let request = query(Kind::Axfr, zone.apex(), 5);
        let mut outgoing = Outgoing::new(zone.clone(), &request, request.len());
        let mut incoming = Incoming::new(zone.apex().clone(), 5);
        let mut messages = 0;
        while let Some(message) = outgoing.next_message() {
            messages += 1;
            let progress = incoming.handle_message(&message).unwrap();
            if progress == Progress::Complete {
                break;
            }
        }
        assert!(messages > 5, "{messages}");
        assert_eq!(outgoing.next_message(), None);
        let copy = incoming.finish(4).unwrap();
        assert_eq!(copy.records(), 4_003);
        assert_eq!(records(&copy), records(&zone));
    }

    #[test]
    fn what_is_no_transfer_is_refused() {
        let zone = zone(3);
        let request = query(Kind::Axfr, zone.apex(), 5);
        let message = Outgoing::new(zone.clone(), &request, request.len()).next_message().unwrap();
        let start = || Incoming::new(zone.apex().clone(), 5);
        let with = |at: usize, octet: u8| {
            let mut changed = message.clone();
            changed[at] = octet;
            start().handle_message(&changed)
        };
        assert!(matches!(with(1, 6), Err(TransferError::Malformed(_))));
        assert!(matches!(with(3, 5), Err(TransferError::Refused(Rcode::REFUSED))));
        assert!(matches!(with(13, b'x'), Err(TransferError::Malformed(_))));
        let mut few = start();
        few.records_max = 5;
        assert_eq!(few.handle_message(&message), Err(TransferError::TooLarge));
        let soa = Outgoing::new(zone.clone(), &request, request.len()).soa_only();
        let mut cut = start();
        assert_eq!(cut.handle_message(&soa), Ok(Progress::More));
        assert!(cut.finish(1).is_err());
        for end in 0..message.len() {
            assert!(start().handle_message(&message[..end]).is_err(), "cut at {end}");
        }
    }
}
