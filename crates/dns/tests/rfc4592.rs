//! The example zone of RFC 4592 section 2.2.1 with the answers of section 2.2.1
//! and 3.3.1, and the queries of RFC 1034 section 6.2 in its spirit.

use dns::answer::{Answerer, PAYLOAD_OCTETS_DEFAULT, Query, Transport};
use dns::zone::Zones;
use domain::base::iana::{Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name, ParsedName};
use domain::rdata::ZoneRecordData;
use std::str::FromStr;
use std::sync::Arc;

const WILDCARDS: &str = r#"
$ORIGIN example.
example.                 3600 IN  SOA   ns.example.com. root 1 3600 900 604800 600
example.                 3600     NS    ns.example.com.
example.                 3600     NS    ns.example.net.
*.example.               3600     TXT   "this is a wildcard"
*.example.               3600     MX    10 host1.example.
sub.*.example.           3600     TXT   "this is not a wildcard"
host1.example.           3600     A     192.0.2.1
_ssh._tcp.host1.example. 3600     SRV   0 0 22 host1
_ssh._tcp.host2.example. 3600     SRV   0 0 22 host2
subdel.example.          3600     NS    ns.example.com.
subdel.example.          3600     NS    ns.example.net.
"#;

const ALIASES: &str = r"
$ORIGIN alias.test.
$TTL 60
@        SOA ns root 1 3600 900 604800 30
@        NS  ns
ns       A   192.0.2.1
www      CNAME web
web      A   192.0.2.2
dead     CNAME nowhere
loop     CNAME pool
pool     CNAME loop
out      CNAME www.elsewhere.test.
cross    CNAME host1.example.
below    CNAME x.child
child    NS  ns.child
child    DS  12345 8 2 0000000000000000000000000000000000000000000000000000000000000000
ns.child A   192.0.2.3
*.wild   CNAME web
";

/// Rcode, authoritative, and one line a record of each section.
#[derive(Debug, PartialEq)]
struct Answer {
    rcode: Rcode,
    authoritative: bool,
    truncated: bool,
    sections: [Vec<String>; 3],
}

fn zones() -> Zones {
    let mut zones = Zones::new(42);
    for (apex, text) in [("example", WILDCARDS), ("alias.test", ALIASES)] {
        let apex = dns::master::name(apex).unwrap();
        let (zone, _) = dns::master::load(text, &apex, zones.seed()).unwrap();
        zones.insert(Arc::new(zone));
    }
    zones
}

fn ask(name: &str, rtype: Rtype) -> Answer {
    ask_over(name, rtype, Transport::Stream)
}

fn ask_over(name: &str, rtype: Rtype, transport: Transport) -> Answer {
    let zones = zones();
    let mut builder = MessageBuilder::new_vec().question();
    builder.push((Name::<Vec<u8>>::from_str(name).unwrap(), rtype)).unwrap();
    let message = builder.finish();
    let mut query = Query::default();
    let verdict = query.read(&message);
    let mut reply = vec![0; 65_535];
    let written = Answerer::new(PAYLOAD_OCTETS_DEFAULT)
        .answer(&zones, &message, &query, verdict, transport, &mut reply)
        .unwrap();
    reply.truncate(written.length);
    read(reply)
}

fn read(reply: Vec<u8>) -> Answer {
    let message = Message::from_octets(reply).unwrap();
    let header = message.header();
    let mut sections = [vec![], vec![], vec![]];
    let (_, answer, authority, additional) = message.sections().unwrap();
    for (section, lines) in [answer, authority, additional].into_iter().zip(&mut sections) {
        for record in section {
            let record = record.unwrap();
            let line = record.to_record::<ZoneRecordData<_, ParsedName<_>>>().unwrap().unwrap();
            lines.push(format!("{} {} {}", line.owner(), line.rtype(), line.data()));
        }
        lines.sort();
    }
    Answer { rcode: header.rcode(), authoritative: header.aa(), truncated: header.tc(), sections }
}

fn soa(answer: &Answer) -> bool {
    matches!(&answer.sections[1][..], [only] if only.contains(" SOA "))
}

#[test]
fn names_the_wildcard_stands_for() {
    let mx = ask("host3.example.", Rtype::MX);
    assert_eq!(mx.rcode, Rcode::NOERROR);
    assert_eq!(mx.sections[0], ["host3.example MX 10 host1.example."]);
    assert_eq!(mx.sections[2], ["host1.example A 192.0.2.1"]);
    let a = ask("host3.example.", Rtype::A);
    assert!(a.rcode == Rcode::NOERROR && a.sections[0].is_empty() && soa(&a), "{a:?}");
    let deep = ask("foo.bar.example.", Rtype::TXT);
    assert_eq!(deep.sections[0].len(), 1, "{deep:?}");
    assert!(deep.sections[0][0].starts_with("foo.bar.example TXT"), "{deep:?}");
}

#[test]
fn names_the_wildcard_does_not_stand_for() {
    let existing = ask("host1.example.", Rtype::MX);
    assert!(existing.rcode == Rcode::NOERROR && existing.sections[0].is_empty() && soa(&existing));
    let literal = ask("sub.*.example.", Rtype::MX);
    assert!(literal.rcode == Rcode::NOERROR && literal.sections[0].is_empty() && soa(&literal));
    let below_existing = ask("_telnet._tcp.host1.example.", Rtype::SRV);
    assert!(below_existing.rcode == Rcode::NXDOMAIN && soa(&below_existing));
    let delegated = ask("host.subdel.example.", Rtype::A);
    assert!(!delegated.authoritative && delegated.rcode == Rcode::NOERROR);
    assert_eq!(
        delegated.sections[1],
        ["subdel.example NS ns.example.com.", "subdel.example NS ns.example.net."]
    );
    let below_wildcard = ask("ghost.*.example.", Rtype::MX);
    assert!(below_wildcard.rcode == Rcode::NXDOMAIN && soa(&below_wildcard));
    let non_terminal = ask("_tcp.host1.example.", Rtype::A);
    assert!(non_terminal.rcode == Rcode::NOERROR && soa(&non_terminal), "an empty non-terminal exists");
}

#[test]
fn the_wildcard_itself_is_a_name() {
    let wildcard = ask("*.example.", Rtype::TXT);
    assert_eq!(wildcard.sections[0].len(), 1);
    assert!(wildcard.sections[0][0].starts_with("*.example TXT"));
}

#[test]
fn aliases() {
    let chain = ask("www.alias.test.", Rtype::A);
    assert_eq!(chain.sections[0], ["web.alias.test A 192.0.2.2", "www.alias.test CNAME web.alias.test."]);
    assert_eq!(ask("www.alias.test.", Rtype::CNAME).sections[0], ["www.alias.test CNAME web.alias.test."]);
    let dead = ask("dead.alias.test.", Rtype::A);
    assert!(dead.rcode == Rcode::NXDOMAIN && dead.sections[0].len() == 1 && soa(&dead), "{dead:?}");
    assert_eq!(ask("loop.alias.test.", Rtype::A).sections[0].len(), 2);
    let out = ask("out.alias.test.", Rtype::A);
    assert!(out.rcode == Rcode::NOERROR && out.sections[0].len() == 1 && out.sections[1].is_empty());
    assert!(ask("cross.alias.test.", Rtype::A).sections[0].contains(&"host1.example A 192.0.2.1".to_owned()));
    let no_data = ask("www.alias.test.", Rtype::AAAA);
    assert!(no_data.rcode == Rcode::NOERROR && no_data.sections[0].len() == 1 && soa(&no_data));
    let wild = ask("any.thing.wild.alias.test.", Rtype::A);
    assert_eq!(
        wild.sections[0],
        ["any.thing.wild.alias.test CNAME web.alias.test.", "web.alias.test A 192.0.2.2"]
    );
    let below = ask("below.alias.test.", Rtype::A);
    assert_eq!(below.sections[1], ["child.alias.test NS ns.child.alias.test."]);
}

#[test]
fn delegations() {
    let referral = ask("a.b.child.alias.test.", Rtype::A);
    assert!(!referral.authoritative);
    assert_eq!(referral.sections[1], ["child.alias.test NS ns.child.alias.test."]);
    assert_eq!(referral.sections[2], ["ns.child.alias.test A 192.0.2.3"]);
    assert_eq!(ask("ns.child.alias.test.", Rtype::A), referral, "glue is no answer");
    let ds = ask("child.alias.test.", Rtype::DS);
    assert!(ds.authoritative && ds.sections[0].len() == 1, "{ds:?}");
    let no_ds = ask("subdel.example.", Rtype::DS);
    assert!(no_ds.authoritative && no_ds.sections[0].is_empty() && soa(&no_ds));
}

#[test]
fn negative_answers_are_cached_for_the_minimum() {
    let missing = ask("nowhere.alias.test.", Rtype::A);
    assert!(missing.rcode == Rcode::NXDOMAIN && missing.authoritative && soa(&missing));
    assert_eq!(ask("example.org.", Rtype::A).rcode, Rcode::REFUSED);
}

#[test]
fn any_is_minimal_over_udp() {
    assert_eq!(ask_over("host9.example.", Rtype::ANY, Transport::Datagram).sections[0].len(), 1);
    assert_eq!(ask_over("host9.example.", Rtype::ANY, Transport::Stream).sections[0].len(), 2);
}
