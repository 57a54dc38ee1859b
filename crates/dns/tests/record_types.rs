//! Record types whose data the server only carries: what a master file says
//! comes back octet for octet, with nothing in it compressed.

use dns::answer::{Answerer, PAYLOAD_OCTETS_DEFAULT, Query, Transport};
use dns::zone::Zones;
use domain::base::iana::Rtype;
use domain::base::rdata::UnknownRecordData;
use domain::base::{Message, MessageBuilder, Name};
use std::str::FromStr;
use std::sync::Arc;

const ZONE: &str = r#"
$ORIGIN types.test.
$TTL 60
@             SOA   ns root 1 3600 900 604800 30
@             NS    ns
ns            A     192.0.2.1
ns            AAAA  2001:db8::1
@             CAA   0 issue "ca.types.test"
_imaps._tcp   SRV   0 1 993 ns
_25._tcp.ns   TLSA  3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
@             HTTPS 1 . alpn=h2
_x            SVCB  0 ns
"#;

/// The data of the records that answer the question.
fn ask(name: &str, rtype: Rtype) -> Vec<Vec<u8>> {
    let apex = dns::master::name("types.test").unwrap();
    let mut zones = Zones::new(7);
    let (zone, findings) = dns::master::load(ZONE, &apex, zones.seed()).unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    zones.insert(Arc::new(zone));
    let mut builder = MessageBuilder::new_vec().question();
    builder.push((Name::<Vec<u8>>::from_str(name).unwrap(), rtype)).unwrap();
    let message = builder.finish();
    let mut query = Query::default();
    let verdict = query.read(&message);
    let mut reply = vec![0; 4_096];
    let written = Answerer::new(PAYLOAD_OCTETS_DEFAULT)
        .answer(&zones, &message, &query, verdict, Transport::Stream, &mut reply)
        .unwrap();
    reply.truncate(written.length);
    let message = Message::from_octets(&reply[..]).unwrap();
    let records = message.answer().unwrap().limit_to::<UnknownRecordData<&[u8]>>().map(Result::unwrap);
    records.filter(|record| record.rtype() == rtype).map(|record| record.data().data().to_vec()).collect()
}

/// `ns.types.test.` in wire form.
const NS: &[u8] = b"\x02ns\x05types\x04test\x00";

#[test]
fn addresses_of_both_families() {
    assert_eq!(ask("ns.types.test.", Rtype::A), [[192, 0, 2, 1]]);
    let ipv6: std::net::Ipv6Addr = "2001:db8::1".parse().unwrap();
    assert_eq!(ask("ns.types.test.", Rtype::AAAA), [ipv6.octets()]);
}

/// RFC 8659 section 4.1.
#[test]
fn caa() {
    assert_eq!(ask("types.test.", Rtype::CAA), [b"\x00\x05issueca.types.test"]);
}

/// RFC 2782: the target is not compressed.
#[test]
fn srv() {
    assert_eq!(ask("_imaps._tcp.types.test.", Rtype::SRV), [[&[0, 0, 0, 1, 3, 225], NS].concat()]);
}

/// RFC 6698 section 2.1.
#[test]
fn tlsa() {
    let data = ask("_25._tcp.ns.types.test.", Rtype::TLSA);
    assert_eq!((data.len(), data[0].len(), &data[0][..5]), (1, 35, &[3, 1, 1, 0x01, 0x23][..]));
}

/// RFC 9460 section 2.2: the target is not compressed.
#[test]
fn svcb_and_https() {
    assert_eq!(ask("types.test.", Rtype::HTTPS), [b"\x00\x01\x00\x00\x01\x00\x03\x02h2"]);
    assert_eq!(ask("_x.types.test.", Rtype::SVCB), [[&[0, 0], NS].concat()]);
}
