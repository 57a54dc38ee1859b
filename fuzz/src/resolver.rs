//! What a resolver is told by the servers it asks.

use crate::dns::assert_well_formed;
use bytes::Bytes;
use dns::cache::Bounds;
use dns::resolver::{
    AskerId, Config, FixedZone, Question, Resolver, Response, RootHint, Transport, read, stub,
};
use domain::base::Message;
use domain::base::iana::Rtype;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Octets of the cache under test.
const CACHE_OCTETS_MAX: usize = 16 * 1024;
/// The zone whose servers are hostile.
const ZONE: &str = "example.test";

/// The query that the answers are for.
const STUB_QUERY: &[u8] =
    b"\x00\x09\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x03www\x07example\x04test\x00\x00\x01\x00\x01\
    \x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";

/// Replies of hostile servers of `example.test` to a resolver. The input is a
/// series of messages, each behind an octet of flags and two of its length: with
/// flag 1 its id, and with flag 2 its question too, become those of the query;
/// with flag 4 it comes from somebody else; with flag 8 the server is silent.
pub fn dns_upstream(input: &[u8]) {
    let _ = read(&Bytes::copy_from_slice(input));
    let server = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 53), 53));
    let hint = SocketAddr::from((Ipv4Addr::new(198, 51, 100, 1), 53));
    let name = |text: &str| dns::master::name(text).expect("a name");
    let config = Config {
        root_hints: vec![RootHint { name: name("a.root"), addresses: vec![hint] }],
        prime: false,
        zones: vec![FixedZone { apex: name(ZONE), servers: vec![server], recursive: false }],
        cache: Bounds { octets_max: CACHE_OCTETS_MAX, ..Bounds::default() },
        ..Config::default()
    };
    let queries_max = config.limits.queries_max as usize;
    let mut resolver = Resolver::new(config, ChaCha8Rng::seed_from_u64(1));
    resolver.tell_steps(true);
    let mut now = Instant::now();
    let mut replies = Replies { rest: input };
    let questions =
        [("www.example.test", Rtype::A), ("example.test", Rtype::MX), ("a.sub.example.test", Rtype::AAAA)];
    for (asker, (asked, rtype)) in questions.into_iter().enumerate() {
        let question = Question { name: name(asked), rtype };
        resolver.handle_question(now, question.clone(), AskerId(asker as u64));
        let mut sent = 0;
        let answer = loop {
            while let Some(transmit) = resolver.poll_transmit() {
                sent += 1;
                assert!(sent <= queries_max, "more than {queries_max} queries for one question");
                assert_well_formed(&transmit.octets);
                // The rest of the Internet is away.
                if transmit.to == hint {
                    resolver.handle_unreachable(now, transmit.exchange);
                    continue;
                }
                while let Some((flags, mut message)) = replies.next() {
                    if flags & 8 != 0 {
                        break;
                    }
                    fit(flags, &transmit.octets, &mut message);
                    let from = if flags & 4 == 0 { transmit.to } else { hint };
                    resolver.handle_message(now, transmit.exchange, from, &message);
                    if from == transmit.to || transmit.transport == Transport::Tcp {
                        break;
                    }
                }
            }
            assert!(resolver.in_flight() <= queries_max);
            assert!(resolver.cache().octets() <= CACHE_OCTETS_MAX, "the cache outgrew its bound");
            while resolver.poll_step().is_some() {}
            while resolver.poll_closed().is_some() {}
            if let Some(answer) = resolver.poll_answer() {
                break answer;
            }
            now = resolver.poll_timeout().expect("an open question has a timer").max(now);
            resolver.handle_timeout(now);
        };
        assert_eq!(answer.asker, AskerId(asker as u64));
        assert_eq!(answer.question, question);
        if let Ok(response) = answer.result {
            assert_tellable(&response);
        }
        now += Duration::from_millis(1);
    }
    assert_bailiwick(&mut resolver, now);
}

/// Replies that the input holds.
struct Replies<'a> {
    rest: &'a [u8],
}

impl Replies<'_> {
    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let (&[flags, l1, l2], rest) = self.rest.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([l1, l2])).min(rest.len());
        let (message, rest) = rest.split_at(length);
        self.rest = rest;
        Some((flags, message.to_vec()))
    }
}

/// Makes a message a reply to the query, as far as the flags say.
fn fit(flags: u8, query: &[u8], message: &mut Vec<u8>) {
    if !matches!(flags & 3, 1..=3) || message.len() < 12 {
        return;
    }
    message[..2].copy_from_slice(&query[..2]);
    if flags & 2 == 0 {
        return;
    }
    let end = |octets: &[u8]| {
        let parsed = Message::from_octets(octets).ok()?;
        parsed.sole_question().ok()?;
        parsed.answer().ok().map(|answer| answer.pos())
    };
    if let (Some(ours), Some(theirs)) = (end(query), end(message)) {
        message.splice(12..theirs, query[12..ours].iter().copied());
    }
}

/// What is found can be told to a stub resolver.
fn assert_tellable(response: &Response) {
    let query = stub::read(STUB_QUERY).expect("a query");
    for octets_max in [512, 1_232, 65_535] {
        let reply = query.response(response, octets_max);
        assert!(reply.len() <= octets_max);
        assert_well_formed(&reply);
    }
}

/// Servers of `example.test` are not believed about anything outside of it
/// (RFC 5452 section 6).
fn assert_bailiwick<R: rand_chacha::rand_core::Rng>(resolver: &mut Resolver<R>, now: Instant) {
    for outside in [".", "test", "bank.test", "www.bank.test", "a.root"] {
        for rtype in [Rtype::A, Rtype::NS, Rtype::MX] {
            let question = Question { name: dns::master::name(outside).expect("a name"), rtype };
            resolver.handle_question(now, question, AskerId(99));
            if let Some(answer) = resolver.poll_answer() {
                let believed = answer.from_cache && answer.result.is_ok();
                assert!(!believed, "poisoned: {outside} {rtype}: {:?}", answer.result);
            }
        }
    }
}
