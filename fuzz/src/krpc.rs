//! The distributed hash table: messages, items, links to mutable torrents, the
//! table that was saved, and a node that gets any message.

use bittorrent::dht::contact::is_usable;
use bittorrent::dht::item::{SALT_OCTETS_MAX, VALUE_OCTETS_MAX};
use bittorrent::dht::krpc::{
    Body, CONTACTS_READ_MAX, DATAGRAM_OCTETS_MAX, Message, Method, REPLY_OCTETS_MAX, ReadError,
    SAMPLES_READ_MAX, VALUES_READ_MAX,
};
use bittorrent::dht::{
    Config, Event, Id, Item, MutableItem, Node, PublicKey, SAVED_OCTETS_MAX, Saved, SecretKey, TorrentKey,
    TorrentPointer, Value, Wanted,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Whom the node under test knows.
const FRIEND: ([u8; 4], u16) = ([192, 0, 2, 1], 6_881);
/// Rounds of questions and answers.
const ROUNDS: usize = 4;
/// Datagrams of one round that are answered.
const ANSWERED_MAX: usize = 16;

/// What a node got or kept.
pub fn krpc(input: &[u8]) {
    let message = Message::read(input);
    match &message {
        Ok(message) => check(message),
        Err(ReadError::BadQuery { transaction, reply }) => {
            let reply = Message::new(transaction.clone(), Body::Error(reply.clone()));
            assert_eq!(Message::read(&reply.encode()), Ok(reply));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    node(input, message.ok());
    item(input);
    if let Ok(saved) = Saved::read(input) {
        let written = saved.encode();
        assert!(written.len() <= SAVED_OCTETS_MAX);
        assert_eq!(Saved::read(&written), Ok(saved));
    }
    if let Ok(link) = std::str::from_utf8(input)
        && let Ok(key) = link.parse::<TorrentKey>()
    {
        assert!(key.salt.len() <= SALT_OCTETS_MAX);
        assert_eq!(key.to_string().parse(), Ok(key));
    }
}

fn check(message: &Message) {
    let written = message.encode();
    // What a message leaves out is written, which may take more room.
    if written.len() <= DATAGRAM_OCTETS_MAX {
        assert_eq!(Message::read(&written).as_ref(), Ok(message), "what is written reads the same");
    }
    match &message.body {
        Body::Response(response) => {
            for nodes in [&response.nodes, &response.nodes6].into_iter().flatten() {
                assert!(nodes.len() <= CONTACTS_READ_MAX);
                assert!(nodes.iter().all(|node| is_usable(&node.address)));
            }
            assert!(response.values.len() <= VALUES_READ_MAX && response.values.iter().all(is_usable));
            if let Some(samples) = &response.samples {
                assert!(samples.info_hashes.len() <= SAMPLES_READ_MAX && samples.interval_seconds <= 21_600);
            }
        }
        Body::Query(query) => {
            if let Method::Put(put) = &query.method
                && let Ok(item) = Item::from_put(put.value.clone(), put.signature.as_ref())
            {
                assert_eq!(item.value().octets(), put.value);
                assert_eq!(item.sequence().is_some(), put.signature.is_some());
            }
        }
        Body::Error(error) => assert!(error.text.len() <= 200),
    }
}

fn item(input: &[u8]) {
    let Ok(value) = Value::new(input.to_vec()) else { return };
    assert!(value.octets() == input && input.len() <= VALUE_OCTETS_MAX && value.read().is_ok());
    if let Some(pointer) = TorrentPointer::read(&value) {
        let written = pointer.value().expect("a value");
        assert_eq!(TorrentPointer::read(&written), Some(pointer));
    }
    let salt = &input[..input.len().min(SALT_OCTETS_MAX)];
    let item = MutableItem::sign(&secret(), salt, 1, value.clone()).expect("an item");
    let verified =
        |sequence| MutableItem::verify(item.key(), salt, sequence, value.clone(), *item.signature());
    assert!(verified(1).as_ref() == Ok(&item) && verified(2).is_err());
}

fn secret() -> SecretKey {
    SecretKey::from_seed(&[5; 32])
}

/// A node that looks for everything gets the datagram: as it is, from a friend
/// and a stranger, and as the answer to each of its own questions.
fn node(input: &[u8], message: Option<Message>) {
    let mut now = Instant::now();
    let friend: SocketAddr = FRIEND.into();
    let config = Config { v6: true, routers: vec![friend], ..Config::default() };
    let mut node = Node::new(now, config, Saved::read(input).ok(), ChaCha8Rng::seed_from_u64(3));
    node.handle_timeout(now);
    let id = Id::new([9; 20]);
    let wanted = Wanted::Mutable { key: PublicKey([7; 32]), salt: Vec::new() };
    let put = Item::Immutable(Value::new(b"1:x".to_vec()).expect("a value"));
    for begun in [
        node.announce(now, id, None, true),
        node.get_item(now, Wanted::Immutable(id)),
        node.get_item(now, wanted),
        node.put_item(now, put, None),
    ] {
        begun.expect("few are under way");
    }
    let strangers: [SocketAddr; 3] =
        [friend, ([198, 51, 100, 9], 4_000).into(), ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 9], 4_000).into()];
    for from in strangers {
        node.handle_datagram(now, from, input);
    }
    for _ in 0..ROUNDS {
        let mut asked = Vec::new();
        while let Some(transmit) = node.poll_transmit() {
            let sent = Message::read(&transmit.octets).expect("what a node sends can be read");
            let has_item = matches!(&sent.body, Body::Response(response) if response.value.is_some());
            assert!(has_item || transmit.octets.len() <= REPLY_OCTETS_MAX + 400, "{}", transmit.octets.len());
            if matches!(sent.body, Body::Query(_)) {
                asked.push((transmit.to, sent.transaction));
            }
        }
        if let Some(message) = &message {
            for (from, transaction) in asked.into_iter().take(ANSWERED_MAX) {
                let answer = Message { transaction, ..message.clone() };
                node.handle_datagram(now, from, &answer.encode());
            }
        }
        now += Duration::from_secs(1);
        node.handle_timeout(now);
        assert!(node.poll_timeout() > now, "time goes on");
    }
    while let Some(event) = node.poll_event() {
        if let Event::Peers { peers, .. } = event {
            assert!(peers.iter().all(is_usable));
        }
    }
    let saved = node.save();
    assert_eq!(Saved::read(&saved.encode()).map(|saved| saved.contacts()), Ok(saved.contacts()));
}
