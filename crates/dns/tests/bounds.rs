//! Bounds of master files and of answers, each gone beyond.

use dns::answer::{Answerer, CNAME_CHAIN_MAX, PAYLOAD_OCTETS_DEFAULT, Query, Transport};
use dns::master::{self, FILE_OCTETS_MAX, FINDINGS_MAX};
use dns::zone::Zones;
use domain::base::iana::{Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name, ParsedName};
use domain::rdata::ZoneRecordData;
use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::Arc;

const SOA: &str = "$TTL 60\n@ SOA ns root 1 3600 900 604800 30\n@ NS ns\nns A 192.0.2.1\n";

/// The octets of the answer over TCP to a question about the zone `test`.
fn ask(zone: &str, name: &str, rtype: Rtype) -> Vec<u8> {
    let mut zones = Zones::new(42);
    let loaded = master::load(zone, &master::name("test").unwrap(), zones.seed());
    zones.insert(Arc::new(loaded.unwrap_or_else(|findings| panic!("{findings:?}")).0));
    let mut builder = MessageBuilder::new_vec().question();
    builder.push((Name::<Vec<u8>>::from_str(name).unwrap(), rtype)).unwrap();
    let message = builder.finish();
    let mut query = Query::default();
    let verdict = query.read(&message);
    let mut reply = vec![0; 65_535];
    let written = Answerer::new(PAYLOAD_OCTETS_DEFAULT)
        .answer(&zones, &message, &query, verdict, Transport::Stream, &mut reply)
        .unwrap();
    reply.truncate(written.length);
    reply
}

/// The answer section, each record as its owner and its data.
fn answers(reply: &[u8]) -> Vec<(String, String)> {
    let message = Message::from_octets(reply).unwrap();
    assert_eq!(message.header().rcode(), Rcode::NOERROR);
    let records = message.answer().unwrap().map(|record| {
        let record = record.unwrap().to_record::<ZoneRecordData<_, ParsedName<_>>>().unwrap().unwrap();
        (record.owner().to_string(), record.data().to_string())
    });
    records.collect()
}

#[test]
fn a_master_file_that_is_too_large_is_not_read() {
    // Of zeros, which the system need not keep in memory.
    let text = String::from_utf8(vec![0; FILE_OCTETS_MAX + 1]).unwrap();
    let (records, findings) = master::read(&text, &master::name("test").unwrap());
    assert!(records.is_empty());
    assert!(findings[0].problem.contains("larger than"), "{findings:?}");
}

#[test]
fn only_the_first_faults_of_a_master_file_are_told() {
    let origin = master::name("test").unwrap();
    let mut text = SOA.to_owned();
    for number in 0..=FINDINGS_MAX {
        writeln!(text, "elsewhere{number}.example. A 192.0.2.1").unwrap();
    }
    let last = text.lines().count();
    for findings in [master::check(&text, &origin), master::load(&text, &origin, 1).unwrap_err()] {
        assert_eq!(findings.len(), FINDINGS_MAX);
        assert_eq!(findings.last().unwrap().line, Some(last - 1), "the first of them, in their order");
    }
}

#[test]
fn a_chain_of_aliases_is_followed_only_so_far() {
    let mut zone = SOA.to_owned();
    for number in 0..CNAME_CHAIN_MAX {
        writeln!(zone, "a{number} CNAME a{}", number + 1).unwrap();
    }
    writeln!(zone, "a{CNAME_CHAIN_MAX} A 192.0.2.7").unwrap();
    // The longest chain that is followed to its end, and one alias more.
    let whole = answers(&ask(&zone, "a1.test", Rtype::A));
    assert_eq!((whole.len(), &*whole.last().unwrap().1), (CNAME_CHAIN_MAX, "192.0.2.7"));
    let part = answers(&ask(&zone, "a0.test", Rtype::A));
    assert_eq!(part.len(), CNAME_CHAIN_MAX);
    assert_eq!(part.last().unwrap().1, format!("a{CNAME_CHAIN_MAX}.test."), "the client follows the rest");
}

#[test]
fn names_beyond_what_compression_remembers_and_reaches_are_whole() {
    // More names than are remembered, then names far behind the last octet that
    // a pointer reaches, all of them with ends in common.
    let long = "x".repeat(60);
    let names: Vec<String> =
        (0..600).map(|number| format!("n{number}.{long}.d{}.test.", number % 100)).collect();
    let mut zone = SOA.to_owned();
    for (number, name) in names.iter().enumerate() {
        writeln!(zone, "mail MX {number} {name}").unwrap();
    }
    let reply = ask(&zone, "mail.test", Rtype::MX);
    assert!(reply.len() > 2 * 0x4000, "{} octets", reply.len());
    let mut expected: Vec<String> =
        names.iter().enumerate().map(|(number, name)| format!("{number} {name}")).collect();
    let mut found: Vec<String> = answers(&reply).into_iter().map(|(_, data)| data).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}
