//! What of a reply is believed, and what it says.
//!
//! A reply fits when it comes from the server asked, to the socket the query
//! left from, with its id and question (RFC 5452 section 9.1). Of a reply that
//! fits, only records within the zone asked are believed ("bailiwick").

use crate::{Name, Record, RecordData};
use bytes::Bytes;
use domain::base::iana::{Class, Opcode, OptRcode, Rcode, Rtype};
use domain::base::name::FlattenInto;
use domain::base::{Message, ParsedName};
use domain::rdata::ZoneRecordData;

/// A reply with its records in memory of their own.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its response code, with the part that EDNS adds.
    pub rcode: OptRcode,
    /// AA: the server is an authority for the name.
    pub authoritative: bool,
    /// RA: the server resolves recursively.
    pub recursion_available: bool,
    /// The answer section.
    pub answer: Vec<Record>,
    /// The authority section.
    pub authority: Vec<Record>,
    /// The additional section, without OPT and TSIG.
    pub additional: Vec<Record>,
}

/// Whether octets are the reply to a query.
#[derive(Debug, PartialEq, Eq)]
pub enum Fit {
    /// They are.
    Fits,
    /// They are, cut short: ask over TCP.
    Truncated,
    /// They answer something else: somebody guesses, or a late duplicate.
    Mismatch,
}

/// Compares id and question. With `exact_case` the letters' case counts.
pub fn fit(octets: &[u8], id: u16, name: &Name, rtype: Rtype, exact_case: bool) -> Fit {
    let Ok(message) = Message::from_octets(octets) else { return Fit::Mismatch };
    let header = message.header();
    if !header.qr() || header.id() != id || header.opcode() != Opcode::QUERY {
        return Fit::Mismatch;
    }
    // A server that does not understand a query may leave the question out.
    let understood = !matches!(header.rcode(), Rcode::FORMERR | Rcode::NOTIMP);
    if message.header_counts().qdcount() == 0 && !understood {
        return Fit::Fits;
    }
    let Ok(question) = message.sole_question() else { return Fit::Mismatch };
    let same_name =
        question.qname() == name && (!exact_case || question.qname().to_string() == name.to_string());
    if !same_name || question.qtype() != rtype || question.qclass() != Class::IN {
        return Fit::Mismatch;
    }
    if header.tc() { Fit::Truncated } else { Fit::Fits }
}

/// Reads a reply. Records of other classes than IN, and of types that only
/// concern the transport, are left out.
pub fn read(octets: &Bytes) -> Option<Reply> {
    let message = Message::from_octets(octets.clone()).ok()?;
    let (_, answer, authority, additional) = message.sections().ok()?;
    Some(Reply {
        rcode: message.opt_rcode(),
        authoritative: message.header().aa(),
        recursion_available: message.header().ra(),
        answer: records(answer)?,
        authority: records(authority)?,
        additional: records(additional)?,
    })
}

fn records(section: domain::base::message::RecordSection<'_, Bytes>) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    for record in section {
        let record = record.ok()?;
        if record.class() != Class::IN || matches!(record.rtype(), Rtype::OPT | Rtype::TSIG | Rtype::SIG) {
            continue;
        }
        let record = record.into_record::<ZoneRecordData<Bytes, ParsedName<Bytes>>>().ok()??;
        records.push(record.try_flatten_into().ok()?);
    }
    Some(records)
}

/// What a reply says to a question.
#[derive(Debug)]
pub(super) enum Says {
    /// The RRset, at the end of a possibly empty chain of aliases.
    Answer { chain: Vec<Record>, rrset: Vec<Record> },
    /// A chain of aliases that ends outside of what this server may say.
    Alias { chain: Vec<Record>, target: Name },
    /// The name at the end of the chain does not exist.
    NameError { chain: Vec<Record>, soa: Option<Record> },
    /// The name at the end of the chain has no such records.
    NoData { chain: Vec<Record>, soa: Option<Record> },
    /// A zone below has name servers of its own.
    Referral { zone: Name, servers: Vec<Record>, glue: Vec<Record> },
    /// The server answers with an error code.
    Error(OptRcode),
    /// The server is not one for the zone (it refers upwards or to itself, or
    /// answers without authority).
    Lame,
}

/// Reads what `reply` says to the question for `name` and `rtype`, believing
/// only what is within `zone`. Whom `recursive` servers are asked for need not
/// be authoritative.
pub(super) fn interpret(reply: Reply, zone: &Name, name: &Name, rtype: Rtype, recursive: bool) -> Says {
    let name_error = match reply.rcode {
        OptRcode::NOERROR => false,
        OptRcode::NXDOMAIN => true,
        rcode => return Says::Error(rcode),
    };
    let trusted = reply.authoritative || recursive;
    let (chain, target) = follow(&reply.answer, zone, name, rtype);
    let rrset: Vec<Record> =
        reply.answer.iter().filter(|r| r.owner() == &target && r.rtype() == rtype).cloned().collect();
    if !rrset.is_empty() && target.ends_with(zone) {
        return if trusted { Says::Answer { chain, rrset } } else { Says::Lame };
    }
    if !chain.is_empty() && !trusted {
        return Says::Lame;
    }
    let soa = reply
        .authority
        .iter()
        .find(|r| r.rtype() == Rtype::SOA && r.owner().ends_with(zone) && target.ends_with(r.owner()))
        .cloned();
    if !target.ends_with(zone) {
        return Says::Alias { chain, target };
    }
    if name_error {
        return if trusted { Says::NameError { chain, soa } } else { Says::Lame };
    }
    let servers: Vec<Record> = referral(&reply.authority, zone, &target);
    if let (Some(first), None, false) = (servers.first(), &soa, recursive) {
        if !chain.is_empty() {
            return Says::Alias { chain, target };
        }
        let child = first.owner().clone();
        let glue = glue(&reply.additional, zone, &servers);
        return Says::Referral { zone: child, servers, glue };
    }
    if chain.is_empty() {
        return if trusted { Says::NoData { chain, soa } } else { Says::Lame };
    }
    // An alias whose target's zone is also served here would have been
    // answered; without SOA the server only says where the alias points.
    if soa.is_some() { Says::NoData { chain, soa } } else { Says::Alias { chain, target } }
}

/// Follows the aliases of `name` as far as this zone may say.
fn follow(answer: &[Record], zone: &Name, name: &Name, rtype: Rtype) -> (Vec<Record>, Name) {
    let mut chain: Vec<Record> = Vec::new();
    let mut target = name.clone();
    while rtype != Rtype::CNAME && target.ends_with(zone) && chain.len() < answer.len() {
        let alias = answer.iter().find_map(|record| match record.data() {
            RecordData::Cname(cname) if record.owner() == &target => Some((record, cname.cname())),
            _ => None,
        });
        let Some((record, next)) = alias else { break };
        chain.push(record.clone());
        target = next.clone();
    }
    (chain, target)
}

/// The NS RRset of the zone below `zone` that `name` is in, if there is one.
fn referral(authority: &[Record], zone: &Name, name: &Name) -> Vec<Record> {
    let below = |record: &&Record| {
        record.rtype() == Rtype::NS
            && name.ends_with(record.owner())
            && record.owner().ends_with(zone)
            && record.owner() != zone
    };
    let Some(child) = authority.iter().find(below).map(|record| record.owner().clone()) else {
        return Vec::new();
    };
    authority.iter().filter(|r| r.rtype() == Rtype::NS && r.owner() == &child).cloned().collect()
}

/// Addresses of those servers, as far as the zone asked may say them.
fn glue(additional: &[Record], zone: &Name, servers: &[Record]) -> Vec<Record> {
    let names_server = |owner: &Name| {
        servers.iter().any(|server| matches!(server.data(), RecordData::Ns(ns) if ns.nsdname() == owner))
    };
    additional
        .iter()
        .filter(|r| matches!(r.rtype(), Rtype::A | Rtype::AAAA))
        .filter(|r| r.owner().ends_with(zone) && names_server(r.owner()))
        .cloned()
        .collect()
}
