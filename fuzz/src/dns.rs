//! A name server's side of DNS: queries, updates, signatures and transfers.

use dns::answer::{Answerer, Located, MESSAGE_OCTETS_MAX, PLAIN_OCTETS_MAX, Query, Transport, Verdict};
use dns::resolver::{Response, stub};
use dns::transfer::{Incoming, Outgoing, header_reply, notified_serial, soa_of_answer};
use dns::tsig::{self, Verified};
use dns::update::Update;
use dns::zone::{Draft, Zone, Zones, serial_is_newer};
use domain::base::iana::{Rcode, Rtype};
use domain::base::{Message, ParsedName};
use domain::rdata::AllRecordData;
use std::sync::{Arc, LazyLock};

/// The payload size of the server under test.
const PAYLOAD_OCTETS_MAX: u16 = 1_232;
/// The moment at which the corpus was signed.
const NOW_SECONDS: u64 = 1_700_000_000;
/// The corpus is signed with it.
const SECRET: &str = "Y29ycHVzIGNvcnB1cyBjb3JwdXM=";

/// The zone that is asked, updated and transferred.
const ZONE: &str = "\
$TTL 3600
@ SOA ns1 hostmaster 2024010101 7200 3600 1209600 300
@ NS ns1
@ NS ns2.sub
@ MX 10 mail
@ TXT \"v=spf1 mx -all\"
@ CAA 0 issue \"ca.test\"
ns1 A 192.0.2.1
ns1 AAAA 2001:db8::1
mail A 192.0.2.25
mail A 192.0.2.26
mail A 192.0.2.27
www CNAME web
web A 192.0.2.80
loop1 CNAME loop2
loop2 CNAME loop1
away CNAME host.elsewhere.test.
*.wild TXT \"any\"
*.wild MX 5 mail
a.b.c.deep A 192.0.2.4
sub NS ns1.sub
sub NS ns2.sub
sub DS 12345 8 2 49FD46E6C4B45C55D4AC69CBD3CD34AC1AFE51DE3B4B3B4A0F4A0A0B0C0D0E0F
ns1.sub A 192.0.2.53
ns2.sub A 192.0.2.54
_sip._udp SRV 1 2 5060 mail
big TXT \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"
big TXT \"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"
big TXT \"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\"
big TXT \"dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd\"
big TXT \"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\"
";

struct Server {
    zone: Arc<Zone>,
    zones: Zones,
    keys: tsig::Keys,
}

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let apex = dns::master::name("example.test").expect("a name");
    let (zone, _) = dns::master::load(ZONE, &apex, 7).expect("a zone");
    let zone = Arc::new(zone);
    let mut zones = Zones::new(7);
    zones.insert(zone.clone());
    zones.insert_unavailable(b"\x06broken\x04test\x00");
    let key = tsig::key("transfer.test", "hmac-sha256", SECRET).expect("a key");
    let keys = tsig::Keys::from([((key.name().clone(), key.algorithm()), key)]);
    Server { zone, zones, keys }
});

/// A message that a name server receives: as a query, as a query of a stub
/// resolver, signed, as an update, and as a part of a transfer.
pub fn dns_message(input: &[u8]) {
    authoritative(input);
    stub_query(input);
    signed(input);
    update(input);
    transfer(input);
}

/// Asserts that octets are one message, nothing missing and nothing left over.
/// Gives the number of its records.
pub(crate) fn assert_well_formed(octets: &[u8]) -> usize {
    let message = Message::from_octets(octets).expect("a header");
    let mut records = 0;
    let mut questions = message.question();
    for question in questions.by_ref() {
        question.expect("a question");
    }
    let mut section = questions.answer().expect("an answer section");
    loop {
        for record in section.by_ref() {
            let record = record.expect("a record");
            records += 1;
            let data = record.to_record::<AllRecordData<&[u8], ParsedName<&[u8]>>>().expect("record data");
            data.expect("record data of any type");
        }
        match section.next_section().expect("a section") {
            Some(next) => section = next,
            None => break,
        }
    }
    // The end of the last record is that of the message.
    let mut additional = message.additional().expect("an additional section");
    additional.by_ref().for_each(drop);
    assert_eq!(additional.pos(), octets.len(), "octets after the message");
    records
}

fn authoritative(input: &[u8]) {
    let Server { zones, .. } = &*SERVER;
    let mut query = Query::default();
    let verdict = query.read(input);
    let mut buffer = vec![0xAA; MESSAGE_OCTETS_MAX];
    for transport in [Transport::Datagram, Transport::Stream] {
        let mut answerer = Answerer::new(PAYLOAD_OCTETS_MAX);
        let Some(reply) = answerer.answer(zones, input, &query, verdict, transport, &mut buffer) else {
            assert!(!matches!(verdict, Verdict::Answer | Verdict::Error(_)), "no reply to {query:?}");
            continue;
        };
        let octets = &buffer[..reply.length];
        assert_well_formed(octets);
        assert_eq!(octets[..2], input[..2], "another id");
        assert!(octets[2] & 0x80 != 0, "no response");
        let question = octets[12..].len().min(query.question_end - 12);
        assert_eq!(octets[12..12 + question], input[12..12 + question], "another question");
        let message = Message::from_octets(octets).expect("a header");
        assert_eq!(message.opt_rcode(), reply.rcode);
        assert_eq!(message.header().tc(), reply.truncated);
        let octets_max = match (transport, query.edns) {
            (Transport::Stream, _) => MESSAGE_OCTETS_MAX,
            (_, None) => PLAIN_OCTETS_MAX,
            (_, Some(edns)) => usize::from(edns.payload.min(PAYLOAD_OCTETS_MAX)).max(PLAIN_OCTETS_MAX),
        };
        assert!(octets.len() <= octets_max, "{} octets of {octets_max}", octets.len());
        if let (Verdict::Answer, Some(located)) = (verdict, Located::find(zones, &query, None, |_| {})) {
            let mut located = [Some(located), Located::find(zones, &query, Some(&located), |_| {})];
            Located::fetch(&mut located, |_| {});
            let [Some(_), Some(located)] = located else { panic!("both found") };
            let mut again = vec![0x55; MESSAGE_OCTETS_MAX];
            let twin = Answerer::new(PAYLOAD_OCTETS_MAX)
                .answer_located(zones, &located, input, &query, transport, &mut again)
                .expect("a reply");
            assert_eq!(octets, &again[..twin.length], "both ways of answering agree");
        }
    }
}

fn stub_query(input: &[u8]) {
    match stub::read(input) {
        Err(stub::Unanswerable::Ignore) => {}
        Err(stub::Unanswerable::Reply(reply)) => {
            assert_well_formed(&reply);
            assert_eq!(reply[..2], input[..2], "another id");
        }
        Ok(query) => {
            if let Some(reply) = query.answer_at_once() {
                assert_well_formed(&reply);
            }
            let records = SERVER.zone.iter().filter_map(|record| record.to_record()).collect();
            let response = Response { rcode: Rcode::NOERROR, answer: records, authority: Vec::new() };
            for octets_max in [query.datagram_octets_max(), usize::from(u16::MAX)] {
                let reply = query.response(&response, octets_max);
                assert!(reply.len() <= octets_max, "{} octets of {octets_max}", reply.len());
                assert_well_formed(&reply);
                let message = Message::from_octets(&reply[..]).expect("a header");
                let question = message.sole_question().expect("the question");
                let asked: dns::Name = question.qname().to_bytes_name();
                assert_eq!(asked, query.question.name);
                assert_eq!((message.header().id(), question.qtype()), (query.id, query.question.rtype));
            }
        }
    }
}

/// A name in memory of its own.
trait ToBytesName {
    fn to_bytes_name(&self) -> dns::Name;
}

impl<T: domain::base::ToName> ToBytesName for T {
    fn to_bytes_name(&self) -> dns::Name {
        self.to_name()
    }
}

fn signed(input: &[u8]) {
    let mut message = input.to_vec();
    match tsig::verify(&SERVER.keys, &mut message, NOW_SECONDS) {
        Verified::Unsigned => {}
        Verified::Rejected(reply) => {
            if !reply.is_empty() {
                assert_well_formed(&reply);
                assert_eq!(reply[..2], input[..2], "another id");
            }
        }
        Verified::Signed(mut signer) => {
            assert!(message.len() < input.len(), "the signature stays");
            let reply = signer.sign(header_reply(&message, Rcode::NOERROR), NOW_SECONDS).expect("room");
            assert_well_formed(&reply);
            update(&message);
        }
    }
}

fn update(input: &[u8]) {
    let Server { zone, .. } = &*SERVER;
    let reply = header_reply(input, Rcode::FORMERR);
    assert!(reply.is_empty() == (input.len() < 12), "a header is enough for a reply");
    let Ok(update) = Update::read(input) else { return };
    if update.zone().octets() != zone.key() {
        return;
    }
    let mut draft = Draft::of(zone.clone());
    match update.apply(&mut draft) {
        Err(_) => assert!(draft.is_unchanged(), "a refused update changes nothing"),
        Ok(changed) => {
            let next = draft.finish().expect("a zone stays a zone");
            if changed {
                assert!(serial_is_newer(next.soa().serial, zone.soa().serial), "the serial grows");
            } else {
                assert_eq!(next.soa(), zone.soa());
            }
            let apex = next.node(next.key()).expect("the apex");
            assert!(apex.rrset(Rtype::NS).is_some_and(|rrset| !rrset.data.is_empty()), "a name server stays");
            assert_eq!(next.iter().count(), next.records());
            assert_eq!(apex.rrset(Rtype::SOA).map(|rrset| rrset.data.len()), Some(1));
            assert_transfers(Arc::new(next));
        }
    }
}

/// What goes out comes in.
pub(crate) fn assert_transfers(zone: Arc<Zone>) {
    let request = dns::transfer::query(dns::transfer::Kind::Axfr, zone.apex(), 9);
    let mut outgoing = Outgoing::new(zone.clone(), &request, request.len());
    let mut incoming = Incoming::new(zone.apex().clone(), 9);
    let mut records = 0;
    while let Some(message) = outgoing.next_message() {
        records += assert_well_formed(&message);
        incoming.handle_message(&message).expect("a transfer");
    }
    assert_eq!(records, zone.records() + 1, "the SOA comes twice");
    let copy = incoming.finish(1).expect("a zone");
    assert_eq!(copy.records(), zone.records());
}

fn transfer(input: &[u8]) {
    let _ = notified_serial(input);
    let id = input.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
    let _ = soa_of_answer(input, id);
    let mut incoming = Incoming::new(SERVER.zone.apex().clone(), id);
    if incoming.handle_message(input).is_ok()
        && let Ok(zone) = incoming.finish(1)
    {
        assert_transfers(Arc::new(zone));
    }
}
