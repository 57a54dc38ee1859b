//! Hostile octets: to the resolver's upstream side, and to its stubs' side.

use bytes::Bytes;
use dns::Name;
use dns::resolver::stub::{self, Unanswerable};
use dns::resolver::{AskerId, Config, Question, Resolver, RootHint, read};
use domain::base::iana::{Class, Rtype};
use domain::base::{Message, MessageBuilder};
use proptest::prelude::*;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use std::net::SocketAddr;
use std::time::Instant;

fn server() -> SocketAddr {
    "192.0.2.1:53".parse().expect("an address")
}

fn resolver(seed: u64) -> Resolver<ChaCha12Rng> {
    let hint = RootHint { name: Name::root_bytes(), addresses: vec![server()] };
    let config = Config { root_hints: vec![hint], ..Config::default() };
    let mut resolver = Resolver::new(config, ChaCha12Rng::seed_from_u64(seed));
    resolver.tell_steps(true);
    resolver
}

/// Octets after a header: often pointers, small types and labels of the question.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        Just(vec![0xc0, 12]),
        (0..64_u8).prop_map(|offset| vec![0xc0, offset]),
        Just(b"\x03www\x07example\x04test\x00".to_vec()),
        (1..50_u8).prop_map(|rtype| vec![0, rtype, 0, 1, 0, 0, 1, 0]),
        any::<u8>().prop_map(|length| vec![0, length]),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whatever_a_server_sends_the_question_ends(
        seed in any::<u64>(),
        replies in prop::collection::vec((any::<[u8; 2]>(), [0..4_u16, 0..8, 0..8, 0..8], body()), 0..40),
    ) {
        let mut now = Instant::now();
        let mut resolver = resolver(seed);
        let name = Name::bytes_from_str("www.example.test.").expect("a name");
        resolver.handle_question(now, Question { name, rtype: Rtype::A }, AskerId(1));
        let mut replies = replies.into_iter();
        for _ in 0..500 {
            while let Some(transmit) = resolver.poll_transmit() {
                if let Some((flags, counts, body)) = replies.next() {
                    // The right id, and mostly the right question: what follows is hostile.
                    let mut octets = transmit.octets[..2].to_vec();
                    octets.extend([flags[0] | 0x80, flags[1] & 0xf3]);
                    octets.extend([1, counts[1], counts[2], counts[3]].iter().flat_map(|count| count.to_be_bytes()));
                    let question = Message::from_octets(&transmit.octets[..]).expect("a query");
                    let end = question.answer().expect("a question").pos();
                    octets.extend(&transmit.octets[12..end]);
                    octets.extend(body);
                    resolver.handle_message(now, transmit.exchange, transmit.to, &octets);
                }
            }
            match resolver.poll_timeout() {
                Some(at) => { now = now.max(at); resolver.handle_timeout(now); }
                None => break,
            }
        }
        prop_assert!(resolver.poll_answer().is_some(), "the question ends");
        prop_assert_eq!((resolver.under_way(), resolver.in_flight()), (0, 0));
        prop_assert!(resolver.counters().queries <= 210);
    }

}

proptest! {
    #[test]
    fn whatever_octets_are_read_without_panic(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = read(&Bytes::from(octets.clone()));
        if let Err(Unanswerable::Reply(reply)) = stub::read(&octets) {
            prop_assert!(Message::from_octets(reply).is_ok());
        }
    }

    #[test]
    fn whatever_a_stub_sends_gets_a_reply_that_fits_or_none(
        id in any::<[u8; 2]>(), flags in any::<[u8; 2]>(), counts in [0..3_u16, 0..3, 0..3, 0..3], body in body(),
    ) {
        let mut octets = [id, flags].concat();
        octets.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
        octets.extend(body);
        let reply = match stub::read(&octets) {
            Ok(query) => query.answer_at_once(),
            Err(Unanswerable::Reply(reply)) => Some(reply),
            Err(Unanswerable::Ignore) => None,
        };
        if let Some(reply) = reply {
            let message = Message::from_octets(&reply[..]).expect("a message");
            prop_assert!(message.header().qr());
            prop_assert_eq!(message.header().id(), u16::from_be_bytes(id));
            prop_assert!(reply.len() <= 1_232);
        }
    }
}

fn query(build: impl FnOnce(&mut MessageBuilder<Vec<u8>>), rtype: Rtype, class: Class) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_rd(true);
    build(&mut builder);
    let mut builder = builder.question();
    builder.push((Name::bytes_from_str("www.example.").expect("a name"), rtype, class)).expect("room");
    builder.finish()
}

fn rcode(octets: &[u8]) -> String {
    let reply = match stub::read(octets) {
        Ok(query) => query.answer_at_once(),
        Err(Unanswerable::Reply(reply)) => Some(reply),
        Err(Unanswerable::Ignore) => return "ignored".to_owned(),
    };
    reply.map_or("resolved".to_owned(), |reply| {
        Message::from_octets(reply).expect("a message").header().rcode().to_string()
    })
}

#[test]
fn stubs_get_the_protocols_own_errors() {
    use domain::base::iana::Opcode;
    assert_eq!(rcode(&query(|_| {}, Rtype::A, Class::IN)), "resolved");
    assert_eq!(rcode(&query(|b| b.header_mut().set_qr(true), Rtype::A, Class::IN)), "ignored");
    assert_eq!(rcode(&query(|b| b.header_mut().set_opcode(Opcode::NOTIFY), Rtype::A, Class::IN)), "NOTIMP");
    assert_eq!(rcode(&query(|b| b.header_mut().set_rd(false), Rtype::A, Class::IN)), "REFUSED");
    assert_eq!(rcode(&query(|_| {}, Rtype::A, Class::CH)), "REFUSED");
    assert_eq!(rcode(&query(|_| {}, Rtype::AXFR, Class::IN)), "REFUSED");
    assert_eq!(rcode(&query(|_| {}, Rtype::OPT, Class::IN)), "NOTIMP");
    assert_eq!(rcode(&query(|_| {}, Rtype::ANY, Class::IN)), "NOERROR");
    assert_eq!(rcode(&query(|_| {}, Rtype::A, Class::IN)[..20]), "FORMERR");
    assert_eq!(rcode(b"short"), "ignored");
}

#[test]
fn a_reply_that_does_not_fit_is_truncated() {
    let mut octets = query(|_| {}, Rtype::A, Class::IN);
    let plain = stub::read(&octets).expect("a query");
    assert_eq!(plain.datagram_octets_max(), 512);
    // With an OPT record that takes 65,535 octets: we send no fragments.
    octets[11] = 1;
    octets.extend([0, 0, 41, 0xff, 0xff, 0, 0, 0, 0, 0, 0]);
    let query = stub::read(&octets).expect("a query");
    assert_eq!(query.datagram_octets_max(), 1_232);
    let mut response = dns::resolver::Response {
        rcode: domain::base::iana::Rcode::NOERROR,
        answer: Vec::new(),
        authority: Vec::new(),
    };
    for last in 0..100 {
        let data = domain::rdata::A::new([192, 0, 2, last].into());
        let owner = Name::bytes_from_str("www.example.").expect("a name");
        response.answer.push(dns::Record::new(
            owner,
            Class::IN,
            domain::base::Ttl::from_secs(1),
            data.into(),
        ));
    }
    let reply = query.response(&response, query.datagram_octets_max());
    let message = Message::from_octets(&reply[..]).expect("a message");
    assert!(message.header().tc() && message.header_counts().ancount() == 0 && message.opt().is_some());
    let reply = query.response(&response, 65_535);
    let message = Message::from_octets(&reply[..]).expect("a message");
    assert!(!message.header().tc() && message.header_counts().ancount() == 100);
}

#[test]
fn special_names_are_not_asked_about() {
    let mut resolver = resolver(1);
    for (text, rcode, records) in [
        ("localhost.", "NOERROR", 1),
        ("app.LOCALHOST.", "NOERROR", 1),
        ("x.invalid.", "NXDOMAIN", 0),
        ("x.onion.", "NXDOMAIN", 0),
    ] {
        let name = Name::bytes_from_str(text).expect("a name");
        resolver.handle_question(Instant::now(), Question { name, rtype: Rtype::A }, AskerId(1));
        let response = resolver.poll_answer().expect("an answer").result.expect("known");
        assert_eq!(
            (response.rcode.to_string(), response.answer.len()),
            (rcode.to_owned(), records),
            "{text}"
        );
    }
    assert!(resolver.poll_transmit().is_none());
}
