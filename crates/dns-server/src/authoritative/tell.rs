//! Telling single queries and responses, when somebody wants to know.

use bytes::Bytes;
use dns::answer::Query;
use domain::base::iana::{Rcode, Rtype};
use domain::base::zonefile_fmt::{DisplayKind, ZonefileFmt};
use domain::base::{Message, ParsedName, ToName};
use domain::rdata::AllRecordData;
use event::{DnsEvent, Reporter, ResponseKind};
use std::net::SocketAddr;

/// Records told of one response.
const RECORDS_MAX: usize = 8;

/// Tells a query and the response to it.
pub(super) fn exchange(
    reporter: &Reporter,
    peer: SocketAddr,
    local: SocketAddr,
    query: &Query,
    response: &[u8],
) {
    let Ok(message) = Message::from_octets(Bytes::copy_from_slice(response)) else { return };
    let header = message.header();
    let question = format!("{} {}", dns::zone::key::display(query.name.octets()), query.rtype);
    reporter.tell(DnsEvent::Query {
        from: peer,
        to: local,
        id: header.id(),
        question: question.clone(),
        recursive: header.rd(),
    });
    reporter.tell(DnsEvent::Response {
        from: local,
        to: peer,
        id: header.id(),
        question,
        kind: kind(&message),
        records: records(&message),
    });
}

/// Tells a dynamic update and what became of it.
pub(super) fn update(reporter: &Reporter, peer: SocketAddr, local: SocketAddr, request: &[u8], rcode: Rcode) {
    let Ok(message) = Message::from_octets(Bytes::copy_from_slice(request)) else { return };
    let zone = message.first_question().map(|question| format!("{}", question.qname().fmt_with_dot()));
    let zone = zone.unwrap_or_default();
    reporter.tell(DnsEvent::UpdateRequest {
        from: peer,
        to: local,
        zone: zone.clone(),
        records: records(&message),
    });
    reporter.tell(DnsEvent::UpdateReply { from: local, to: peer, zone, rcode: rcode.to_string() });
}

fn kind(message: &Message<Bytes>) -> ResponseKind {
    let counts = message.header_counts();
    match message.header().rcode() {
        Rcode::NXDOMAIN => ResponseKind::NameError,
        Rcode::NOERROR if counts.ancount() > 0 => ResponseKind::Answer,
        Rcode::NOERROR if !message.header().aa() && counts.nscount() > 0 => ResponseKind::Referral,
        Rcode::NOERROR => ResponseKind::NoData,
        _ => ResponseKind::Failure,
    }
}

fn records(message: &Message<Bytes>) -> Vec<String> {
    let records = message.iter().filter_map(Result::ok).filter(|(record, _)| record.rtype() != Rtype::OPT);
    records
        .filter_map(|(record, _)| {
            record.into_record::<AllRecordData<Bytes, ParsedName<Bytes>>>().ok().flatten()
        })
        .map(|record| record.display_zonefile(DisplayKind::Simple).to_string())
        .take(RECORDS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    //! How much is told.
    use super::*;
    use domain::base::iana::Class;
    use domain::base::{MessageBuilder, Name, Ttl};
    use domain::rdata::A;

    #[test]
    fn only_the_first_records_of_a_response_are_told() {
        let mut builder = MessageBuilder::new_vec().answer();
        for last in 0..=RECORDS_MAX as u8 {
            let data = A::from_octets(192, 0, 2, last);
            builder.push((Name::root_vec(), Class::IN, Ttl::from_secs(60), data)).unwrap();
        }
        let told = records(&Message::from_octets(builder.finish().into()).unwrap());
        assert_eq!(told.len(), RECORDS_MAX);
        assert!(told[0].ends_with("192.0.2.0"), "{told:?}");
    }
}
