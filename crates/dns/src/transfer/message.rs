//! The messages around a transfer: SOA queries, transfer requests, NOTIFY.

use crate::Name;
use crate::zone::{Rrset, Soa, compose};
use domain::base::UnknownRecordData;
use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::{Message, MessageBuilder, ParsedName, Ttl};
use domain::rdata::Soa as SoaData;

/// What a secondary asks its primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The SOA, to see whether the zone changed.
    Soa,
    /// The whole zone.
    Axfr,
}

/// A query of a secondary.
pub fn query(kind: Kind, zone: &Name, id: u16) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec().question();
    builder.header_mut().set_id(id);
    let rtype = match kind {
        Kind::Soa => Rtype::SOA,
        Kind::Axfr => Rtype::AXFR,
    };
    // A vector has room for a question.
    let _ = builder.push((zone, rtype));
    builder.finish()
}

/// A NOTIFY with the SOA as a hint (RFC 1996 section 3.7).
pub fn notify(zone: &Name, soa: Option<&Rrset>, id: u16) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec().question();
    let header = builder.header_mut();
    header.set_id(id);
    header.set_opcode(Opcode::NOTIFY);
    header.set_aa(true);
    let _ = builder.push((zone, Rtype::SOA));
    let mut builder = builder.answer();
    if let Some((soa, data)) = soa.and_then(|soa| Some((soa, soa.data.first()?)))
        && let Ok(data) = UnknownRecordData::from_octets(Rtype::SOA, &**data)
    {
        let _ = builder.push((zone, Class::IN, Ttl::from_secs(soa.ttl), data));
    }
    builder.finish()
}

/// The reply to a request that is only its header and question (RFC 2136
/// section 3.8, RFC 1996 section 4.7).
pub fn header_reply(request: &[u8], rcode: Rcode) -> Vec<u8> {
    let Ok(message) = Message::from_octets(request) else { return Vec::new() };
    let mut builder = MessageBuilder::new_vec().question();
    let header = builder.header_mut();
    *header = message.header();
    header.set_qr(true);
    header.set_aa(message.header().opcode() == Opcode::NOTIFY);
    header.set_tc(false);
    header.set_ra(false);
    header.set_rcode(rcode);
    for question in message.question().flatten() {
        let _ = builder.push(question);
    }
    builder.finish()
}

/// The serial a NOTIFY hints at.
pub fn notified_serial(message: &[u8]) -> Option<u32> {
    soa(message).map(|soa| soa.serial)
}

/// The serial the requester of an IXFR has (RFC 1995 section 3).
pub fn requested_serial(message: &[u8]) -> Option<u32> {
    let message = Message::from_octets(message).ok()?;
    let record = message.authority().ok()?.limit_to::<SoaData<ParsedName<_>>>().next()?.ok()?;
    Soa::from_data(&compose(record.data())).map(|soa| soa.serial)
}

/// The SOA in the answer to a SOA query, where it is authoritative (RFC 1034
/// section 4.3.5).
pub fn soa_of_answer(message: &[u8], id: u16) -> Option<Soa> {
    let header = Message::from_octets(message).ok()?.header();
    (header.id() == id && header.qr() && header.aa() && header.rcode() == Rcode::NOERROR)
        .then(|| soa(message))
        .flatten()
}

fn soa(message: &[u8]) -> Option<Soa> {
    let message = Message::from_octets(message).ok()?;
    let record = message.answer().ok()?.limit_to::<SoaData<ParsedName<_>>>().next()?.ok()?;
    Soa::from_data(&compose(record.data()))
}
