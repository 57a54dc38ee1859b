//! The messages of BEP 5 octet by octet, what is refused, and what is read back.

use super::*;
use crate::dht::contact::{self, Contact};
use crate::dht::id::Id;
use proptest::prelude::*;

fn id(text: &str) -> Id {
    Id::from_slice(text.as_bytes()).expect("20 octets")
}

fn asks(method: Method) -> Message {
    Message::new(*b"aa", Body::Query(Query { id: id("abcdefghij0123456789"), method }))
}

fn replies(response: Response) -> Message {
    Message::new(*b"aa", Body::Response(Box::new(response)))
}

#[test]
fn the_packets_of_bep_5_are_written_and_read() {
    let target = id("mnopqrstuvwxyz123456");
    let want = Want::default();
    let peers = [&b"axje.u"[..], b"idhtnm"];
    let pairs = [
        (asks(Method::Ping), "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"),
        (
            replies(Response { id: Some(target), ..Response::default() }),
            "d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re",
        ),
        (
            asks(Method::FindNode { target, want }),
            "d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa1:y1:qe",
        ),
        (
            asks(Method::GetPeers(GetPeers { info_hash: target, want, no_seed: false, scrape: false })),
            "d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe",
        ),
        (
            replies(Response {
                id: Some(id("abcdefghij0123456789")),
                token: Some(b"aoeusnth".to_vec()),
                values: peers.iter().filter_map(|peer| contact::read_address(peer)).collect(),
                ..Response::default()
            }),
            "d1:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re",
        ),
        (
            asks(Method::AnnouncePeer {
                info_hash: target,
                port: Some(6881),
                token: b"aoeusnth".to_vec(),
                seed: false,
            }),
            "d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti6881e5:token8:aoeusnthe\
             1:q13:announce_peer1:t2:aa1:y1:qe",
        ),
        (
            Message::new(*b"aa", Body::Error(ErrorReply::new(code::GENERIC, "A Generic Error Ocurred"))),
            "d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee",
        ),
    ];
    for (message, octets) in pairs {
        assert_eq!(String::from_utf8_lossy(&message.encode()), octets);
        assert_eq!(Message::read(octets.as_bytes()).expect("a message"), message);
    }
}

#[test]
fn an_implied_port_outweighs_the_port() {
    let octets = "d1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:mnopqrstuvwxyz1234564:porti6881e\
                  5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe";
    let message = Message::read(octets.as_bytes()).expect("a message");
    let Body::Query(Query { method: Method::AnnouncePeer { port, .. }, .. }) = message.body else {
        panic!("{message:?}");
    };
    assert_eq!(port, None);
}

#[test]
fn extensions_of_the_top_level_are_read_in_any_order() {
    let octets = b"d1:y1:q1:t1:x2:roi1e1:v4:LT\x01\x022:ip6:\xc0\x00\x02\x01\x1a\xe11:q4:ping1:ad2:id20:abcdefghij0123456789ee";
    let message = Message::read(octets).expect("a message");
    assert!(message.read_only);
    assert_eq!(message.version, Some(*b"LT\x01\x02"));
    assert_eq!(message.your_address, Some("192.0.2.1:6881".parse().expect("an address")));
    assert_eq!(Message::read(&message.encode()).expect("again"), message);
}

#[test]
fn a_mutable_put_is_read_with_its_very_value() {
    let octets = [
        b"d1:ad3:casi1e2:id20:abcdefghij01234567891:k32:".to_vec(),
        vec![b'k'; 32],
        b"4:salt1:n3:seqi2e3:sig64:".to_vec(),
        vec![b's'; 64],
        b"5:token1:t1:vd1:bi1e1:ai2eee1:q3:put1:t2:aa1:y1:qe".to_vec(),
    ]
    .concat();
    let message = Message::read(&octets).expect("a message");
    let Body::Query(Query { method: Method::Put(put), .. }) = &message.body else { panic!("{message:?}") };
    assert_eq!(put.value, b"d1:bi1e1:ai2ee", "unsorted as it came: to be refused later");
    assert_eq!(put.cas, Some(1));
    assert_eq!(put.signature.as_ref().map(|signature| signature.sequence), Some(2));
    assert_eq!(message.encode(), octets);
}

fn refused(octets: &str) -> String {
    Message::read(octets.as_bytes()).expect_err("refused").to_string()
}

#[test]
fn a_malformed_query_tells_what_to_reply() {
    let cases = [
        ("d1:q4:ping1:t2:aa1:y1:qe", "missing 'a'"),
        ("d1:ad2:id20:abcdefghij0123456789e1:t2:aa1:y1:qe", "missing 'q'"),
        ("d1:ade1:q4:ping1:t2:aa1:y1:qe", "missing 'id'"),
        ("d1:ad2:id2:xye1:q4:ping1:t2:aa1:y1:qe", "'id' is not 20 octets long"),
        ("d1:ad2:id20:abcdefghij0123456789e1:q9:find_node1:t2:aa1:y1:qe", "missing 'target'"),
        ("d1:ad2:id20:abcdefghij01234567891:v1:xe1:q3:put1:t2:aa1:y1:qe", "missing 'token'"),
        ("d1:ad2:id20:abcdefghij01234567891:k1:x1:v1:xe1:q3:put1:t2:aa1:y1:qe", "'k' is not 32 octets long"),
    ];
    for (octets, text) in cases {
        let Err(ReadError::BadQuery { transaction, reply }) = Message::read(octets.as_bytes()) else {
            panic!("{octets} is read");
        };
        assert_eq!(transaction, b"aa");
        assert_eq!(reply, ErrorReply::new(code::PROTOCOL, text));
    }
    for port in ["i0e", "i65536e", "i-1e", "1:x"] {
        let octets = format!(
            "d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:port{port}5:token1:te\
             1:q13:announce_peer1:t2:aa1:y1:qe"
        );
        assert!(refused(&octets).contains("port"), "{octets}");
    }
}

#[test]
fn what_is_no_message_is_refused() {
    assert_eq!(refused("le"), "no KRPC message: not a dictionary");
    assert_eq!(refused("de"), "no KRPC message: no transaction");
    assert_eq!(refused("d1:t2:aae"), "no KRPC message: neither query nor response nor error");
    assert_eq!(refused("d1:t2:aa1:y1:re"), "no KRPC message: a response without 'r'");
    assert_eq!(refused("d1:rde1:t2:aa1:y1:re"), "no KRPC message: a response without 'id'");
    assert_eq!(
        refused(&format!("d1:t33:{}1:y1:re", "x".repeat(33))),
        "no KRPC message: a transaction of too many octets"
    );
    assert_eq!(refused(&"x".repeat(2_049)), "a datagram of more than 2048 octets");
    assert!(refused(&format!("d1:xl{}e1:t2:aa1:y1:ee", "0:".repeat(999))).starts_with("too many values"));
    assert!(
        refused(&format!("{}{}", "l".repeat(17), "e".repeat(17))).starts_with("values nested too deeply")
    );
}

#[test]
fn lists_of_a_response_are_bounded() {
    let contact =
        Contact { id: id("mnopqrstuvwxyz123456"), address: "192.0.2.1:9".parse().expect("an address") };
    let response = Response {
        id: Some(contact.id),
        nodes: Some(vec![contact; CONTACTS_READ_MAX + 9]),
        values: vec![contact.address; 120],
        ..Response::default()
    };
    let Body::Response(read) = Message::read(&replies(response).encode()).expect("a message").body else {
        panic!("no response");
    };
    assert_eq!(read.nodes.map(|nodes| nodes.len()), Some(CONTACTS_READ_MAX));
    assert_eq!(read.values.len(), 120);
    let samples =
        Samples { info_hashes: vec![contact.id; SAMPLES_READ_MAX + 1], count: 7, interval_seconds: 50_000 };
    let response = Response { id: Some(contact.id), samples: Some(samples), ..Response::default() };
    let Body::Response(read) = Message::read(&replies(response).encode()).expect("a message").body else {
        panic!("no response");
    };
    let samples = read.samples.expect("samples");
    assert_eq!(
        (samples.info_hashes.len(), samples.count, samples.interval_seconds),
        (SAMPLES_READ_MAX, 7, 21_600)
    );
}

proptest! {
    #[test]
    fn what_is_read_is_written_and_read_the_same(
        head in prop_oneof![Just("d1:ad2:id20:abcdefghij0123456789"), Just("d1:rd2:id20:abcdefghij0123456789")],
        fields in prop::collection::vec(prop_oneof![
            Just("6:target20:mnopqrstuvwxyz123456"), Just("9:info_hash20:mnopqrstuvwxyz123456"),
            Just("5:token4:abcd"), Just("4:porti80e"), Just("1:vd1:ai1ee"), Just("3:seqi-5e"), Just("3:casi5e"),
            Just("5:nodes26:abcdefghij0123456789abcdef"), Just("6:valuesl6:abcdef6:ghijkle"), Just("4:wantl2:n6e"),
            Just("4:seedi1e"), Just("6:noseedi1e"), Just("6:scrapei1e"), Just("7:samples20:mnopqrstuvwxyz123456"),
        ], 0..6),
        tail in prop_oneof![
            Just("e1:q4:ping"), Just("e1:q9:get_peers"), Just("e1:q13:announce_peer"), Just("e1:q3:get"),
            Just("e1:q3:put"), Just("e1:q5:other"), Just("e"), Just("e1:q17:sample_infohashes"), Just("e1:q9:find_node"),
        ],
    ) {
        let kind = if head.starts_with("d1:a") { "q" } else { "r" };
        let octets = format!("{head}{}{tail}1:t1:x1:y1:{kind}e", fields.concat());
        if let Ok(message) = Message::read(octets.as_bytes()) {
            prop_assert_eq!(Message::read(&message.encode()).expect("written by us"), message);
        }
    }

    #[test]
    fn whatever_is_read_is_written_and_read_the_same(
        seed in 0usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let seeds = [
            "d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz1234564:wantl2:n42:n6ee1:q9:find_node1:t2:aa1:v4:ABCD1:y1:qe",
            "d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti6881e5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe",
            "d2:ip6:abcdef1:rd2:id20:abcdefghij01234567895:nodes26:abcdefghij0123456789abcdef5:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re",
            "d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee",
        ];
        let mut octets = seeds[seed].as_bytes().to_vec();
        for (place, octet) in changes {
            let place = place.index(octets.len());
            octets[place] = octet;
        }
        if let Ok(message) = Message::read(&octets) {
            prop_assert_eq!(Message::read(&message.encode()).expect("written by us"), message);
        }
    }

    #[test]
    fn no_octets_make_the_reader_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Message::read(&octets);
    }
}
