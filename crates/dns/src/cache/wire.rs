//! Record data as the cache keeps it: for each record its length (two octets)
//! and its data, uncompressed.

use crate::{Name, Record, RecordData};
use bytes::Bytes;
use domain::base::iana::{Class, Rtype};
use domain::base::name::FlattenInto;
use domain::base::rdata::{ComposeRecordData, ParseRecordData};
use domain::base::{ParsedName, Ttl};
use domain::dep::octseq::Parser;
use domain::rdata::ZoneRecordData;

/// The data of all records, one after the other.
pub(super) fn rdata(records: &[Record]) -> Option<Bytes> {
    let mut octets = Vec::new();
    for record in records {
        record.data().compose_len_rdata(&mut octets).ok()?;
    }
    Some(Bytes::from(octets))
}

/// The records again.
pub(super) fn records(owner: &Name, rtype: Rtype, ttl: Ttl, octets: &Bytes) -> Option<Vec<Record>> {
    let mut parser = Parser::from_ref(octets);
    let mut records = Vec::new();
    while parser.remaining() > 0 {
        let length = parser.parse_u16_be().ok()?;
        let mut data = parser.parse_parser(length.into()).ok()?;
        let parsed = ZoneRecordData::<Bytes, ParsedName<Bytes>>::parse_rdata(rtype, &mut data).ok()??;
        let data: RecordData = parsed.try_flatten_into().ok()?;
        records.push(Record::new(owner.clone(), Class::IN, ttl, data));
    }
    Some(records)
}

/// The first record again.
pub(super) fn record(owner: Name, rtype: Rtype, ttl: Ttl, octets: &Bytes) -> Option<Record> {
    records(&owner, rtype, ttl, octets)?.into_iter().next()
}
