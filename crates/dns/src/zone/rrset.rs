//! Records as a zone keeps them: RRsets whose data is uncompressed wire format.

use crate::{Name, Record, RecordData};
use bytes::Bytes;
use domain::base::iana::{Class, Rtype};
use domain::base::name::FlattenInto;
use domain::base::rdata::ComposeRecordData;
use domain::base::{ParseRecordData, Ttl};
use domain::dep::octseq::Parser;
use std::ops::Range;

/// One resource record of class IN in wire form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireRecord {
    /// The owner, its case as written.
    pub owner: Name,
    /// The type.
    pub rtype: Rtype,
    /// Seconds it may be cached.
    pub ttl: u32,
    /// The data, names in it uncompressed.
    pub data: Box<[u8]>,
}

impl WireRecord {
    /// The wire form of a record.
    pub fn from_record(record: &Record) -> Self {
        Self {
            owner: record.owner().clone(),
            rtype: record.rtype(),
            ttl: record.ttl().as_secs(),
            data: compose(record.data()),
        }
    }

    /// The record as `domain` types, for display; `None` when its data is not
    /// that of its type.
    pub fn to_record(&self) -> Option<Record> {
        let octets = Bytes::copy_from_slice(&self.data);
        let mut parser = Parser::from_ref(&octets);
        let data = domain::rdata::ZoneRecordData::<Bytes, domain::base::ParsedName<Bytes>>::parse_rdata(
            self.rtype,
            &mut parser,
        )
        .ok()??;
        if parser.remaining() > 0 {
            return None;
        }
        let data: RecordData = data.try_flatten_into().ok()?;
        Some(Record::new(self.owner.clone(), Class::IN, Ttl::from_secs(self.ttl), data))
    }
}

impl std::fmt::Display for WireRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.to_record() {
            Some(record) => write!(
                f,
                "{}",
                domain::base::zonefile_fmt::ZonefileFmt::display_zonefile(
                    &record,
                    domain::base::zonefile_fmt::DisplayKind::Simple,
                )
            ),
            None => write!(f, "{}. {} IN {} \\# {}", self.owner, self.ttl, self.rtype, self.data.len()),
        }
    }
}

/// Uncompressed wire format of record data.
pub fn compose(data: &impl ComposeRecordData) -> Box<[u8]> {
    let mut octets = Vec::new();
    // Writing to a vector cannot fail.
    let _ = data.compose_rdata(&mut octets);
    octets.into()
}

/// The records of one owner and type (RFC 2181 section 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rrset {
    /// The type.
    pub rtype: Rtype,
    /// Seconds it may be cached, the same for all records.
    pub ttl: u32,
    /// The data of each record, no two alike.
    pub data: Vec<Box<[u8]>>,
}

impl Rrset {
    /// The names in the data of its records that stand for hosts whose addresses
    /// belong into the additional section (RFC 1035 section 3.3, RFC 2782).
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &[u8]> {
        let wanted = matches!(self.rtype, Rtype::NS | Rtype::MX | Rtype::SRV);
        self.data
            .iter()
            .filter(move |_| wanted)
            .filter_map(|data| data.get(Embedded::of(self.rtype).prefix..))
    }
}

/// Where names stand in the data of a type, as far as compression and equality
/// depend on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Embedded {
    /// Octets before the first name.
    pub(crate) prefix: usize,
    /// How many names follow.
    pub(crate) names: usize,
    /// Whether they may be compressed (RFC 3597 section 4).
    pub(crate) compressed: bool,
}

impl Embedded {
    pub(crate) fn of(rtype: Rtype) -> Self {
        let (prefix, names, compressed) = match rtype {
            Rtype::NS
            | Rtype::CNAME
            | Rtype::PTR
            | Rtype::MB
            | Rtype::MD
            | Rtype::MF
            | Rtype::MG
            | Rtype::MR => (0, 1, true),
            Rtype::MX => (2, 1, true),
            Rtype::SOA | Rtype::MINFO => (0, 2, true),
            Rtype::SRV => (6, 1, false),
            Rtype::DNAME => (0, 1, false),
            Rtype::RP => (0, 2, false),
            Rtype::AFSDB | Rtype::KX | Rtype::RT => (2, 1, false),
            _ => (0, 0, false),
        };
        Self { prefix, names, compressed }
    }

    /// The names' places in `data`.
    pub(crate) fn ranges(self, data: &[u8]) -> impl Iterator<Item = Range<usize>> {
        let mut at = self.prefix;
        (0..self.names).map_while(move |_| {
            let start = at;
            loop {
                let length = *data.get(at)? as usize;
                at += length + 1;
                if length == 0 {
                    return Some(start..at);
                }
            }
        })
    }
}

/// Whether two records of a type have the same data; names in it compare
/// without regard to case (RFC 2136 section 1.1.1).
pub fn same_data(rtype: Rtype, a: &[u8], b: &[u8]) -> bool {
    if a == b {
        return true;
    }
    let names = Embedded::of(rtype);
    a.len() == b.len() && names.names > 0 && canonical(names, a) == canonical(names, b)
}

fn canonical(names: Embedded, data: &[u8]) -> Vec<u8> {
    let mut copy = data.to_vec();
    for range in names.ranges(data) {
        if let Some(name) = copy.get_mut(range) {
            name.make_ascii_lowercase();
        }
    }
    copy
}

/// What a server reads in the data of a SOA record (RFC 1035 section 3.3.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Soa {
    /// The version of the zone.
    pub serial: u32,
    /// Seconds until a secondary asks again.
    pub refresh: u32,
    /// Seconds until it asks again after a failure.
    pub retry: u32,
    /// Seconds after which it stops serving.
    pub expire: u32,
    /// The bound on the TTL of negative answers (RFC 2308 section 4).
    pub minimum: u32,
}

impl Soa {
    /// Octets of the five numbers at the end of the data.
    const NUMBERS_OCTETS: usize = 20;

    /// Reads it from the data of a record; `None` when that is malformed.
    pub fn from_data(data: &[u8]) -> Option<Self> {
        let end = Embedded::of(Rtype::SOA).ranges(data).nth(1)?.end;
        let numbers = data.get(end..)?;
        if numbers.len() != Self::NUMBERS_OCTETS {
            return None;
        }
        let number =
            |at: usize| u32::from_be_bytes([numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]]);
        Some(Self {
            serial: number(0),
            refresh: number(4),
            retry: number(8),
            expire: number(12),
            minimum: number(16),
        })
    }

    /// The data of a SOA record with another serial.
    pub fn with_serial(data: &[u8], serial: u32) -> Box<[u8]> {
        let mut copy: Box<[u8]> = data.into();
        let at = copy.len().saturating_sub(Self::NUMBERS_OCTETS);
        if let Some(place) = copy.get_mut(at..at + 4) {
            place.copy_from_slice(&serial.to_be_bytes());
        }
        copy
    }
}

/// Whether serial `a` is newer than `b` (RFC 1982 section 3.2).
pub fn serial_is_newer(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 0x8000_0000
}
