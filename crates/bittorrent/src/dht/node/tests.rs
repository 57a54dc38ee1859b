//! One node and what it is told: answers, bounds, and what it does by itself.

use super::*;
use crate::bencode;
use crate::dht::contact::Contact;
use crate::dht::item::{MutableItem, SecretKey, Value};
use crate::dht::krpc::{GetPeers, Method, PutArgs, PutSignature, REPLY_OCTETS_MAX, Response, Want, code};
use crate::dht::security::id_fits;
use crate::dht::source_limit::SourceLimit;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::time::Duration;

type TestNode = Node<ChaCha8Rng>;

const ASKER: Id = Id::new([0xaa; 20]);

fn unlimited() -> SourceLimit {
    SourceLimit { queries_per_second: u32::MAX, burst_queries: u32::MAX, sources_max: 10 }
}

fn node_with(config: Config) -> (TestNode, Instant) {
    let now = Instant::now();
    (Node::new(now, config, None, ChaCha8Rng::seed_from_u64(7)), now)
}

fn node() -> (TestNode, Instant) {
    node_with(Config { v6: true, source_limit: unlimited(), ..Config::default() })
}

fn at(number: u32) -> SocketAddr {
    SocketAddr::from((std::net::Ipv4Addr::from((20 << 24) + (number << 8)), 6_881))
}

fn six(number: u16) -> SocketAddr {
    SocketAddr::from((std::net::Ipv6Addr::new(0x2a00, number, 0, 0, 0, 0, 0, 1), 6_881))
}

fn sent(node: &mut TestNode) -> Vec<(SocketAddr, Message, usize)> {
    let all = std::iter::from_fn(|| node.poll_transmit());
    all.map(|one| (one.to, Message::read(&one.octets).expect("a message"), one.octets.len())).collect()
}

/// What the node replies to a query.
fn ask(node: &mut TestNode, now: Instant, from: SocketAddr, method: Method) -> Body {
    let query = Message::new(*b"tt", Body::Query(Query { id: ASKER, method }));
    node.handle_datagram(now, from, &query.encode());
    let reply = sent(node).into_iter().find(|(to, message, _)| *to == from && message.transaction == b"tt");
    let (_, message, octets) = reply.expect("a reply");
    assert_eq!(message.your_address, Some(from), "BEP 42: every reply tells the asker's address");
    let is_item = matches!(&message.body, Body::Response(response) if response.value.is_some());
    assert!(is_item || octets <= REPLY_OCTETS_MAX, "{octets} octets");
    message.body
}

fn response(body: Body) -> Response {
    match body {
        Body::Response(response) => *response,
        other => panic!("{other:?}"),
    }
}

fn error(body: Body) -> i64 {
    match body {
        Body::Error(error) => error.code,
        other => panic!("{other:?}"),
    }
}

/// Lets the node know `contact`, which replies to its ping.
fn befriend(node: &mut TestNode, now: Instant, contact: Contact) {
    node.add_node(now, contact.address);
    for (to, message, _) in sent(node) {
        if to == contact.address {
            let body = Response { id: Some(contact.id), ..Response::default() };
            let reply = Message::new(message.transaction, Body::Response(Box::new(body)));
            node.handle_datagram(now, to, &reply.encode());
        }
    }
}

fn friends(node: &mut TestNode, now: Instant, count: u32) -> Vec<Contact> {
    let mut rng = ChaCha8Rng::seed_from_u64(99);
    let contacts: Vec<Contact> =
        (0..count).map(|number| Contact { id: Id::random(&mut rng), address: at(number) }).collect();
    for contact in &contacts {
        befriend(node, now, *contact);
    }
    contacts
}

fn get_peers(info_hash: Id) -> Method {
    Method::GetPeers(GetPeers { info_hash, want: Want::default(), no_seed: false, scrape: false })
}

#[test]
fn nodes_of_the_families_wanted_are_named() {
    let (mut node, now) = node();
    friends(&mut node, now, 30);
    let own = Contact { id: Id::new([6; 20]), address: six(1) };
    befriend(&mut node, now, own);
    let target = Id::new([9; 20]);
    let mut find = |from, want| response(ask(&mut node, now, from, Method::FindNode { target, want }));
    let four = find(at(500), Want::default());
    assert_eq!((four.nodes.map(|nodes| nodes.len()), four.nodes6), (Some(8), None));
    let six_only = find(six(500), Want::default());
    assert_eq!((six_only.nodes, six_only.nodes6), (None, Some(vec![own])));
    let both = find(at(500), Want::BOTH);
    assert!(both.nodes.is_some() && both.nodes6.is_some());
    // A method of another time is served as well as can be.
    let name = "sprout".to_owned();
    let other = Method::Other { name: name.clone(), target: Some(target), want: Want::default() };
    assert!(response(ask(&mut node, now, at(501), other)).nodes.is_some());
    let other = Method::Other { name, target: None, want: Want::default() };
    assert_eq!(error(ask(&mut node, now, at(501), other)), code::METHOD_UNKNOWN);
}

#[test]
fn a_peer_is_announced_with_a_token_of_its_own_address_only() {
    let (mut node, now) = node();
    let info_hash = Id::new([1; 20]);
    let first = response(ask(&mut node, now, at(1), get_peers(info_hash)));
    let token = first.token.expect("a token");
    assert_eq!(first.values, []);
    let announce =
        |token: &[u8], port| Method::AnnouncePeer { info_hash, port, token: token.to_vec(), seed: false };
    assert_eq!(error(ask(&mut node, now, at(2), announce(&token, Some(5)))), code::PROTOCOL);
    assert_eq!(error(ask(&mut node, now, at(1), announce(b"", Some(5)))), code::PROTOCOL);
    response(ask(&mut node, now, at(1), announce(&token, Some(5))));
    response(ask(&mut node, now, at(1), announce(&token, None)));
    let mut values = response(ask(&mut node, now, at(2), get_peers(info_hash))).values;
    values.sort_unstable();
    assert_eq!(values, [SocketAddr::new(at(1).ip(), 5), at(1)]);
    assert_eq!(response(ask(&mut node, now, six(2), get_peers(info_hash))).values, [], "the other family");
    let late = now + Duration::from_mins(11);
    assert_eq!(error(ask(&mut node, late, at(1), announce(&token, Some(5)))), code::PROTOCOL);
    let sample = Method::SampleInfohashes { target: info_hash, want: Want::default() };
    let samples = response(ask(&mut node, now, at(3), sample)).samples.expect("samples");
    assert_eq!((samples.info_hashes, samples.count), (vec![info_hash], 1));
}

#[test]
fn replies_stay_small_whatever_is_known() {
    let (mut node, now) = node();
    friends(&mut node, now, 60);
    for number in 1..30 {
        befriend(&mut node, now, Contact { id: Id::new([number as u8; 20]), address: six(number) });
    }
    let info_hash = Id::new([1; 20]);
    let own = Id::new([0; 20]);
    for number in 0..900 {
        node.peers.announce(now, &own, info_hash, at(number), number % 2 == 0);
        node.peers.announce(now, &own, info_hash, six(number as u16), false);
    }
    for from in [at(600), six(600)] {
        for (want, scrape) in
            [(Want::default(), false), (Want::BOTH, false), (Want::BOTH, true), (Want::default(), true)]
        {
            let get = Method::GetPeers(GetPeers { info_hash, want, no_seed: false, scrape });
            let reply = response(ask(&mut node, now, from, get));
            assert_eq!(reply.seeds.is_some(), scrape);
            assert!(scrape || reply.values.len() > 12, "{}", reply.values.len());
            assert!(reply.values.iter().all(|peer| peer.is_ipv4() == from.is_ipv4()));
        }
    }
}

#[test]
fn items_are_stored_and_refused_with_the_codes_of_bep_44() {
    let (mut node, now) = node();
    let secret = SecretKey::from_seed(&[3; 32]);
    let value = |text: &str| Value::encode(&bencode::Item::from(text)).expect("a value");
    let signed =
        |sequence, text| MutableItem::sign(&secret, b"salt", sequence, value(text)).expect("an item");
    let target = Item::Mutable(signed(1, "x")).target();
    let get = Method::Get { target, newer_than: None, want: Want::default() };
    let empty = response(ask(&mut node, now, at(1), get.clone()));
    assert!(empty.value.is_none() && empty.nodes.is_some());
    let token = empty.token.expect("a token");
    let put = |item: &MutableItem, cas| PutArgs {
        token: token.clone(),
        value: item.value().octets().to_vec(),
        signature: Some(PutSignature {
            key: item.key().0,
            salt: item.salt().to_vec(),
            sequence: item.sequence(),
            signature: *item.signature(),
        }),
        cas,
    };
    let mut tell = |args: PutArgs| ask(&mut node, now, at(1), Method::Put(Box::new(args)));
    assert_eq!(error(tell(PutArgs { token: vec![0; 8], ..put(&signed(5, "five"), None) })), code::PROTOCOL);
    response(tell(put(&signed(5, "five"), None)));
    assert_eq!(error(tell(put(&signed(4, "four"), None))), code::OLD_SEQUENCE);
    assert_eq!(error(tell(put(&signed(6, "six"), Some(4)))), code::CAS_MISMATCH);
    let mut forged = put(&signed(7, "seven"), None);
    forged.value = b"5:forge".to_vec();
    assert_eq!(error(tell(forged)), code::BAD_SIGNATURE);
    let unsorted = PutArgs { value: b"d1:bi1e1:ai1ee".to_vec(), ..put(&signed(7, "seven"), None) };
    assert_eq!(error(tell(unsorted)), code::PROTOCOL);
    let long =
        PutArgs { value: [b"1000:".to_vec(), vec![b'x'; 1_000]].concat(), ..put(&signed(7, "seven"), None) };
    assert_eq!(error(tell(long)), code::VALUE_TOO_BIG);
    let held = response(ask(&mut node, now, at(2), get));
    assert_eq!((held.sequence, held.value.as_deref()), (Some(5), Some(&b"4:five"[..])));
    assert_eq!(held.signature, Some(*signed(5, "five").signature()));
    for (than, given) in [(4, true), (5, false)] {
        let get = Method::Get { target, newer_than: Some(than), want: Want::default() };
        let held = response(ask(&mut node, now, at(2), get));
        assert_eq!((held.sequence, held.value.is_some(), held.key.is_some()), (Some(5), given, given));
    }
}

#[test]
fn too_long_a_salt_has_its_own_code() {
    let (mut node, now) = node();
    let signature = PutSignature { key: [1; 32], salt: vec![0; 65], sequence: 1, signature: [0; 64] };
    let target = Id::hash(&[&signature.key, &signature.salt]);
    let get = Method::Get { target, newer_than: None, want: Want::default() };
    let token = response(ask(&mut node, now, at(1), get)).token.expect("a token");
    let put = PutArgs { token, value: b"1:x".to_vec(), signature: Some(signature), cas: None };
    assert_eq!(error(ask(&mut node, now, at(1), Method::Put(Box::new(put)))), code::SALT_TOO_BIG);
}

#[test]
fn a_malformed_query_is_answered_and_anything_else_is_not() {
    let (mut node, now) = node();
    node.handle_datagram(now, at(1), b"d1:ad2:id2:xye1:q4:ping1:t2:aa1:y1:qe");
    let replies = sent(&mut node);
    assert!(
        matches!(&replies[..], [(_, Message { body: Body::Error(error), .. }, _)] if error.code == code::PROTOCOL)
    );
    for octets in [&b""[..], b"d", b"de", b"d1:t2:aa1:y1:re", b"d1:eli201e1:xe1:t2:aa1:y1:ee", &[b'd'; 4_000]]
    {
        node.handle_datagram(now, at(1), octets);
    }
    let response =
        Message::new(*b"aaaa", Body::Response(Box::new(Response { id: Some(ASKER), ..Response::default() })));
    node.handle_datagram(now, at(1), &response.encode());
    assert_eq!(sent(&mut node), []);
    assert_eq!(node.status(now, Family::V4).expect("a node").nodes, 0, "a response nobody asked for");
}

#[test]
fn who_asks_is_pinged_before_it_gets_into_the_table() {
    let (mut node, now) = node();
    let query = |read_only| {
        let message = Message::new(*b"tt", Body::Query(Query { id: ASKER, method: Method::Ping }));
        Message { read_only, ..message }.encode()
    };
    node.handle_datagram(now, at(1), &query(true));
    assert_eq!(sent(&mut node).len(), 1, "BEP 43: a read-only node is not pinged");
    node.handle_datagram(now, at(1), &query(false));
    let pings: Vec<_> = sent(&mut node)
        .into_iter()
        .filter(|(_, message, _)| matches!(message.body, Body::Query(_)))
        .collect();
    assert_eq!(pings.len(), 1);
    assert_eq!(node.status(now, Family::V4).expect("a node").nodes, 0);
    befriend(&mut node, now, Contact { id: ASKER, address: at(2) });
    assert_eq!(node.status(now, Family::V4).expect("a node").nodes, 1);
}

#[test]
fn a_read_only_node_asks_and_never_answers() {
    let (mut node, now) = node_with(Config { read_only: true, ..Config::default() });
    let query = Message::new(*b"tt", Body::Query(Query { id: ASKER, method: Method::Ping }));
    node.handle_datagram(now, at(1), &query.encode());
    node.handle_datagram(now, at(1), b"d1:ade1:q4:ping1:t2:aa1:y1:qe");
    assert_eq!(sent(&mut node), []);
    node.add_node(now, at(1));
    assert!(sent(&mut node).iter().all(|(_, message, _)| message.read_only));
}

#[test]
fn a_forged_reply_is_not_believed() {
    let (mut node, now) = node();
    node.add_node(now, at(1));
    let (_, ping, _) = sent(&mut node).remove(0);
    let reply = |transaction: Vec<u8>| {
        let body = Response { id: Some(ASKER), ..Response::default() };
        Message::new(transaction, Body::Response(Box::new(body))).encode()
    };
    node.handle_datagram(now, at(2), &reply(ping.transaction.clone()));
    let mut other = ping.transaction.clone();
    other[0] ^= 1;
    node.handle_datagram(now, at(1), &reply(other));
    assert_eq!(node.status(now, Family::V4).expect("a node").nodes, 0);
    node.handle_datagram(now, at(1), &reply(ping.transaction));
    assert_eq!(node.status(now, Family::V4).expect("a node").nodes, 1);
}

#[test]
fn a_new_id_follows_when_several_agree_on_another_address() {
    let (mut node, now) = node();
    let before = node.status(now, Family::V4).expect("a node").id;
    let seen: SocketAddr = "77.7.7.7:1".parse().expect("an address");
    for number in 0..6 {
        node.add_node(now, at(number));
        for (to, message, _) in sent(&mut node) {
            let body = Response { id: Some(Id::new([number as u8 + 1; 20])), ..Response::default() };
            let reply = Message {
                your_address: Some(seen),
                ..Message::new(message.transaction, Body::Response(Box::new(body)))
            };
            node.handle_datagram(now, to, &reply.encode());
        }
    }
    let status = node.status(now, Family::V4).expect("a node");
    assert_ne!(status.id, before);
    assert_eq!(status.external, Some(seen.ip()));
    assert!(id_fits(&status.id, &seen.ip()));
    let told = std::iter::from_fn(|| node.poll_event());
    assert!(
        told.into_iter()
            .any(|event| event == Event::External { address: seen.ip(), new_id: Some(status.id) })
    );
    assert!(status.nodes >= 5, "the nodes stay: {}", status.nodes);
}

#[test]
fn what_is_under_way_is_bounded() {
    let (mut node, now) = node();
    friends(&mut node, now, 200);
    let mut begun = 0;
    for number in 0..OPERATIONS_MAX + 50 {
        let info_hash = Id::hash(&[&number.to_be_bytes()]);
        begun += usize::from(node.lookup_peers(now, info_hash, PeersWanted::default()).is_ok());
    }
    assert_eq!(begun, OPERATIONS_MAX);
    assert_eq!(node.get_item(now, Wanted::Immutable(ASKER)), Err(Busy { operations_max: OPERATIONS_MAX }));
    // Nobody fetches what is to be sent.
    for number in 0..10_000 {
        let query = Message::new(*b"tt", Body::Query(Query { id: ASKER, method: Method::Ping }));
        node.handle_datagram(now, at(number % 500), &query.encode());
    }
    assert_eq!(node.transmits.len(), TRANSMITS_MAX);
    // All of them end, though nobody replies.
    let mut now = now;
    let mut ended = 0;
    for _ in 0..100_000 {
        now = node.poll_timeout().max(now);
        node.handle_timeout(now);
        sent(&mut node);
        while let Some(event) = node.poll_event() {
            ended += usize::from(matches!(event, Event::Finished { .. }));
        }
        if ended == OPERATIONS_MAX {
            break;
        }
    }
    assert_eq!(ended, OPERATIONS_MAX);
    assert!(node.operations.is_empty());
    assert!(node.searches.len() <= 2, "only our own");
}

#[test]
fn events_nobody_fetches_are_bounded_but_for_the_ends() {
    let (mut node, now) = node();
    let operation = OperationId(1);
    for _ in 0..EVENTS_MAX + 100 {
        node.tell(Event::Peers { operation, peers: vec![at(1)] });
    }
    assert_eq!(node.events.len(), EVENTS_MAX);
    node.tell(Event::Finished { operation, outcome: Outcome::Item(None) });
    assert_eq!(node.events.len(), EVENTS_MAX + 1);
    assert!(node.get_item(now, Wanted::Immutable(ASKER)).is_err(), "first what is there is to be fetched");
}

#[test]
fn peers_of_one_operation_are_told_once_and_bounded() {
    let (mut node, now) = node();
    let friend = friends(&mut node, now, 1).remove(0);
    let operation = node.lookup_peers(now, ASKER, PeersWanted::default()).expect("room");
    let mut told = 0;
    for round in 0..80 {
        let values: Vec<SocketAddr> = (0..100).map(|number| at(round * 100 + number)).collect();
        let response = Response { id: Some(friend.id), values, ..Response::default() };
        node.handle_content(operation, &response);
        node.handle_content(operation, &response);
    }
    while let Some(event) = node.poll_event() {
        if let Event::Peers { peers, .. } = event {
            told += peers.len();
        }
    }
    assert_eq!(told, PEERS_FOUND_MAX);
}

#[test]
fn an_operation_in_an_empty_network_ends_at_once() {
    let (mut node, now) = node_with(Config::default());
    let operation = node.announce(now, ASKER, None, false).expect("room");
    let outcome = Outcome::Announced { found: PeersFound::default(), stored: 0, refused: 0 };
    assert_eq!(node.poll_event(), Some(Event::Finished { operation, outcome }));
}

#[test]
fn what_others_stored_with_us_is_found_here() {
    let (mut node, now) = node();
    let token = response(ask(&mut node, now, at(1), get_peers(ASKER))).token.expect("a token");
    let announce = Method::AnnouncePeer { info_hash: ASKER, port: Some(9), token, seed: false };
    response(ask(&mut node, now, at(1), announce));
    let operation = node.lookup_peers(now, ASKER, PeersWanted::default()).expect("room");
    let peers = vec![SocketAddr::new(at(1).ip(), 9)];
    assert_eq!(node.poll_event(), Some(Event::Peers { operation, peers }));
    let item = Item::Immutable(Value::new(b"1:x".to_vec()).expect("a value"));
    node.items.put(now, &ASKER, item.clone(), None).expect("stored");
    while node.poll_event().is_some() {}
    let operation = node.get_item(now, Wanted::Immutable(item.target())).expect("room");
    assert_eq!(node.poll_event(), Some(Event::Finished { operation, outcome: Outcome::Item(Some(item)) }));
    assert_eq!(node.poll_event(), None);
    assert!(node.operations.is_empty());
}

#[test]
fn the_table_is_remembered() {
    let (mut first, now) = node();
    let contacts = friends(&mut first, now, 40);
    let saved = Saved::read(&first.save().encode()).expect("saved by us");
    assert!(saved.contacts() > 16);
    let mut second = Node::new(now, Config::default(), Some(saved.clone()), ChaCha8Rng::seed_from_u64(8));
    assert_eq!(
        second.status(now, Family::V4).map(|status| status.id),
        first.status(now, Family::V4).map(|status| status.id)
    );
    second.handle_timeout(second.poll_timeout());
    let asked: Vec<SocketAddr> = sent(&mut second).iter().map(|(to, ..)| *to).collect();
    assert!(
        !asked.is_empty() && asked.iter().all(|to| contacts.iter().any(|contact| contact.address == *to))
    );
    assert_eq!(second.save().v4, saved.v4, "nobody replied: what was known stays known");
}

#[test]
fn routers_are_asked_and_get_no_place() {
    let (mut node, now) = node_with(Config { routers: vec![at(1)], ..Config::default() });
    node.handle_timeout(node.poll_timeout());
    let (to, query, _) = sent(&mut node).remove(0);
    assert_eq!(to, at(1));
    let friend = Contact { id: ASKER, address: at(2) };
    let body = Response { id: Some(Id::new([1; 20])), nodes: Some(vec![friend]), ..Response::default() };
    node.handle_datagram(now, to, &Message::new(query.transaction, Body::Response(Box::new(body))).encode());
    assert_eq!(node.status(now, Family::V4).expect("a node").nodes, 0);
    let (to, query, _) = sent(&mut node).remove(0);
    assert_eq!(to, friend.address);
    let body = Response { id: Some(friend.id), ..Response::default() };
    node.handle_datagram(now, to, &Message::new(query.transaction, Body::Response(Box::new(body))).encode());
    assert_eq!(node.poll_event(), Some(Event::Ready { family: Family::V4, nodes: 1 }));
}

#[test]
fn kept_items_are_bounded() {
    let (mut node, now) = node();
    let item = |number: usize| {
        let number = i64::try_from(number).expect("small");
        Item::Immutable(Value::encode(&number.into()).expect("a value"))
    };
    for number in 0..KEPT_MAX {
        node.keep_item(now, item(number)).expect("room");
    }
    assert_eq!(node.keep_item(now, item(KEPT_MAX)), Err(Busy { operations_max: KEPT_MAX }));
    node.keep_item(now, item(5)).expect("it is kept already");
    node.forget_item(&item(6).target());
    node.keep_item(now, item(KEPT_MAX)).expect("room");
}

#[test]
fn nodes_that_wait_for_a_ping_are_bounded() {
    let (mut node, now) = node();
    for number in 0..2_000 {
        node.add_node(now, at(number));
    }
    assert_eq!(sent(&mut node).len(), side::PINGS_MAX);
    let mut now = now;
    let mut pinged = side::PINGS_MAX;
    for _ in 0..2_000 {
        now = node.poll_timeout().max(now);
        node.handle_timeout(now);
        pinged += sent(&mut node)
            .iter()
            .filter(
                |(_, message, _)| matches!(&message.body, Body::Query(query) if query.method == Method::Ping),
            )
            .count();
    }
    assert_eq!(pinged, side::PINGS_MAX + side::PINGS_WAITING_MAX);
}

#[test]
fn any_octets_are_survived() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let (mut node, now) = node();
    friends(&mut node, now, 20);
    let seeds: Vec<Vec<u8>> = vec![
        Message::new(*b"tt", Body::Query(Query { id: ASKER, method: get_peers(ASKER) })).encode(),
        Message::new(
            *b"tttt",
            Body::Response(Box::new(Response { id: Some(ASKER), sequence: Some(1), ..Response::default() })),
        )
        .encode(),
    ];
    for _ in 0..20_000 {
        let mut octets = seeds[rng.next_u32() as usize % 2].clone();
        for _ in 0..=rng.next_u32() % 4 {
            let place = rng.next_u32() as usize % octets.len();
            octets[place] = rng.next_u32() as u8;
        }
        node.handle_datagram(now, at(rng.next_u32() % 50), &octets);
        sent(&mut node);
    }
}
