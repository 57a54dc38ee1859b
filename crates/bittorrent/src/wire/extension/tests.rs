//! The extensions' messages against the examples of their specifications, and
//! their rules.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn contact(text: &str) -> PexPeer {
    PexPeer { address: address(text), flags: PexFlags::default() }
}

#[test]
fn the_handshake_of_bep_10_is_read() {
    let payload = b"d1:md11:LT_metadatai1e6:ut_pexi2ee1:pi6881e1:v13:\xc2\xb5Torrent 1.2e";
    let handshake = ExtendedHandshake::decode(payload).expect("a handshake");
    assert_eq!((handshake.port, handshake.version.as_deref()), (Some(6_881), Some("µTorrent 1.2")));
    let mut ids = PeerIds::default();
    ids.update(&handshake);
    assert_eq!((ids.get(Extension::Pex), ids.get(Extension::Metadata)), (Some(2), None));
}

#[test]
fn a_handshake_is_written_as_it_reads() {
    let handshake = ExtendedHandshake {
        ids: NamedIds::own(&Extension::ALL).without(Extension::Holepunch),
        port: Some(6_881),
        version: Some("Utopia 0.1".to_owned()),
        your_address: Some([192, 0, 2, 1].into()),
        ipv4: Some([192, 0, 2, 2].into()),
        ipv6: Some("2001:db8::1".parse().expect("an address")),
        requests_max: Some(500),
        metadata_octets: Some(31_235),
        upload_only: Some(true),
        complete_ago_seconds: Some(0),
        prefers_encryption: Some(false),
    };
    assert_eq!(ExtendedHandshake::decode(&handshake.encode()), Ok(handshake.clone()));
    let bare = ExtendedHandshake::default();
    assert_eq!(bare.encode(), b"d1:mdee");
    assert_eq!(ExtendedHandshake::decode(b"de"), Ok(bare));
}

#[test]
fn ids_of_the_peer_are_additive_and_our_own_apart() {
    let mut ids = PeerIds::default();
    let follow = |ids: &mut PeerIds, payload: &[u8]| {
        ids.update(&ExtendedHandshake::decode(payload).expect("a handshake"));
        (ids.get(Extension::Metadata), ids.get(Extension::Pex))
    };
    assert_eq!(follow(&mut ids, b"d1:md11:ut_metadatai9e6:ut_pexi3eee"), (Some(9), Some(3)));
    assert_eq!(follow(&mut ids, b"d1:md6:ut_pexi0eee"), (Some(9), None));
    assert_eq!(follow(&mut ids, b"d1:pi6881ee"), (Some(9), None));
    assert_eq!(follow(&mut ids, b"d1:md11:ut_metadatai256e6:ut_pexi-1eee"), (Some(9), None));
    for extension in Extension::ALL {
        assert_eq!(Extension::from_own_id(extension.own_id()), Some(extension));
    }
    // What goes out stands under the peer's id, what comes in under ours.
    let mut out = Vec::new();
    let message = ExtensionMessage::Metadata(MetadataMessage::Request { piece: 0 });
    assert!(message.encode_to(&ids, &mut out));
    assert_eq!(out, b"\0\0\0\x1b\x14\x09d8:msg_typei0e5:piecei0ee");
    assert!(!ExtensionMessage::DontHave(1).encode_to(&ids, &mut out) && out.len() == 31);
    assert_eq!(ExtensionMessage::decode(Extension::Metadata.own_id(), &out[6..]), Ok(message));
    assert_eq!(ExtensionMessage::decode(77, b"?"), Ok(ExtensionMessage::Unknown(77)));
}

#[test]
fn fields_that_are_wrong_count_as_absent_and_names_are_fit_to_be_shown() {
    let payload = b"d1:pi0e4:reqqi-1e6:yourip3:abc4:ipv45:abcde13:metadata_sizei0e1:ede1:v5:a\x1b[\xffbe";
    let handshake = ExtendedHandshake::decode(payload).expect("a handshake");
    let expected =
        ExtendedHandshake { version: Some("a[\u{fffd}b".to_owned()), ..ExtendedHandshake::default() };
    assert_eq!(handshake, expected);
    for letters in [&b"x"[..], b"\xff", "é".as_bytes()] {
        let long = letters.repeat(300);
        let payload = [format!("d1:v{}:", long.len()).as_bytes(), &long, b"e"].concat();
        let version = ExtendedHandshake::decode(&payload).expect("a handshake").version.expect("a name");
        assert!((90..=VERSION_OCTETS_MAX).contains(&version.len()), "{}", version.len());
    }
    assert_eq!(ExtendedHandshake::decode(b"le"), Err(ExtensionError::Field("m")));
    assert!(matches!(ExtendedHandshake::decode(b"d"), Err(ExtensionError::Bencode(_))));
}

#[test]
fn the_messages_of_bep_9_are_read_and_written() {
    let request = MetadataMessage::Request { piece: 0 };
    assert_eq!(request.encode(), b"d8:msg_typei0e5:piecei0ee");
    assert_eq!(MetadataMessage::Reject { piece: 0 }.encode(), b"d8:msg_typei2e5:piecei0ee");
    let octets = [7; 34_256 - 2 * 16_384];
    let data = MetadataMessage::Data { piece: 2, total_octets: 34_256, octets: &octets };
    let encoded = data.encode();
    assert!(encoded.starts_with(b"d8:msg_typei1e5:piecei2e10:total_sizei34256ee\x07"));
    for message in [request, data, MetadataMessage::Reject { piece: 9 }] {
        assert_eq!(MetadataMessage::decode(&message.encode()), Ok(message));
    }
    assert_eq!(MetadataMessage::decode(b"d8:msg_typei7ee"), Ok(MetadataMessage::Unknown));
    let refused = |octets: &[u8]| MetadataMessage::decode(octets).expect_err("refused");
    assert_eq!(refused(&encoded[..encoded.len() - 1]), ExtensionError::Field("piece"));
    assert_eq!(refused(&[&encoded[..], b"x"].concat()), ExtensionError::Field("piece"));
    assert_eq!(
        refused(b"d8:msg_typei1e5:piecei3e10:total_sizei34256ee"),
        ExtensionError::Field("total_size")
    );
    assert_eq!(
        refused(b"d8:msg_typei1e5:piecei0e10:total_sizei33554433ee"),
        ExtensionError::Field("total_size")
    );
    assert_eq!(refused(b"d8:msg_typei0e5:piecei-1ee"), ExtensionError::Field("piece"));
    assert_eq!(refused(b"d5:piecei0ee"), ExtensionError::Field("msg_type"));
    assert_eq!(refused(b"i1e"), ExtensionError::Field("msg_type"));
    assert_eq!([0, 1, 16_384, 16_385].map(metadata_pieces), [None, Some(1), Some(1), Some(2)]);
    assert_eq!(metadata_pieces(METADATA_OCTETS_MAX + 1), None);
}

#[test]
fn contacts_are_read_and_written_in_compact_form() {
    let flags = PexFlags { prefers_encryption: true, reachable: true, ..PexFlags::default() };
    let message = PexMessage {
        added: vec![PexPeer { flags, ..contact("192.0.2.1:258") }, contact("[2001:db8::1]:6881")],
        dropped: vec![address("192.0.2.3:3"), address("[2001:db8::2]:4")],
    };
    let encoded = message.encode();
    assert!(encoded.starts_with(b"d5:added6:\xc0\x00\x02\x01\x01\x027:added.f1:\x116:added618:\x20\x01"));
    assert_eq!(PexMessage::decode(&encoded), Ok(message));
    assert_eq!(PexMessage::default().encode(), b"d5:added0:e");
    for bits in 0..32 {
        assert_eq!(PexFlags::from_bits(bits | 0xe0).bits(), bits);
    }
    // Half a contact and flags of nobody do not count.
    let odd = PexMessage::decode(b"d5:added8:\x01\x02\x03\x04\x05\x06\x07\x087:added.f3:\x02\x02\x02e")
        .expect("read");
    assert_eq!((odd.added.len(), odd.added[0].flags.bits()), (1, 2));
    let many = |name: &str, count: usize| {
        let text = format!("d{}:{name}{}:", name.len(), 6 * count);
        PexMessage::decode(&[text.as_bytes(), &vec![1; 6 * count], b"e"].concat())
    };
    for name in ["added", "dropped"] {
        assert!(many(name, PEX_CONTACTS_MAX).is_ok());
        assert_eq!(many(name, PEX_CONTACTS_MAX + 1), Err(ExtensionError::TooManyContacts(201)));
    }
}

#[test]
fn a_peer_is_told_of_others_once_a_minute_and_never_of_itself() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut sender = PexSender::new(start, Some(address("192.0.2.9:9")));
    assert_eq!(sender.poll(start, [contact("192.0.2.9:9")]), None);
    let one = [contact("192.0.2.1:1"), contact("192.0.2.1:1"), contact("192.0.2.9:9")];
    let first = sender.poll(at(5), one).expect("something to tell");
    assert_eq!(first, PexMessage { added: vec![one[0]], dropped: vec![] });
    assert_eq!(sender.poll_timeout(), at(65));
    assert_eq!(sender.poll(at(64), []), None);
    assert_eq!(sender.poll(at(65), one), None, "nothing new");
    let last = sender.poll(at(70), []).expect("something to tell");
    assert_eq!(last, PexMessage { added: vec![], dropped: vec![address("192.0.2.1:1")] });
}

proptest! {
    #[test]
    fn what_a_peer_was_told_comes_to_be_what_is_so(
        rounds in prop::collection::vec(prop::collection::btree_set(1u16..300, 0..250), 1..12),
    ) {
        let start = Instant::now();
        let (mut sender, mut receiver) = (PexSender::new(start, None), PexReceiver::new(start));
        let mut told: BTreeSet<SocketAddr> = BTreeSet::new();
        // A contact's address differs, or it would count as one with many ports.
        let contacts = |numbers: &BTreeSet<u16>| -> Vec<PexPeer> {
            numbers.iter().map(|n| contact(&format!("10.0.{}.{}:6881", n / 200, n % 200 + 1))).collect()
        };
        let settle = std::iter::repeat_n(rounds.last().expect("a round"), 12);
        for (minute, round) in rounds.iter().chain(settle).enumerate() {
            let now = start + Duration::from_mins(minute as u64);
            let Some(message) = sender.poll(now, contacts(round)) else { continue };
            prop_assert!(message.added.len() <= PEX_SENT_MAX && message.dropped.len() <= PEX_SENT_MAX);
            let message = PexMessage::decode(&message.encode()).expect("a message");
            for address in &message.dropped {
                prop_assert!(told.remove(address), "only what was told is taken back");
                prop_assert!(message.added.iter().all(|contact| contact.address != *address));
            }
            for contact in &message.added {
                prop_assert!(told.insert(contact.address), "nothing is told twice");
            }
            receiver.handle_message(now, &message).expect("once a minute");
        }
        let so: BTreeSet<SocketAddr> =
            contacts(rounds.last().expect("a round")).iter().map(|contact| contact.address).collect();
        prop_assert_eq!(&told, &so);
        prop_assert_eq!(&receiver.known().copied().collect::<BTreeSet<_>>(), &so);
    }
}

#[test]
fn contacts_that_cannot_be_are_not_taken_and_hosts_only_once() {
    let now = Instant::now();
    let mut receiver = PexReceiver::new(now);
    let added = ["0.0.0.0:1", "192.0.2.1:0", "224.0.0.1:1", "255.255.255.255:1", "[::]:1", "[ff02::1]:1"];
    let good = ["192.0.2.2:5", "127.0.0.1:6", "[2001:db8::1]:7"];
    let twice = ["192.0.2.2:6", "192.0.2.7:7"];
    let all = added.iter().chain(&good).chain(&twice).map(|text| contact(text)).collect();
    let message = PexMessage { added: all, dropped: vec![address("192.0.2.7:7")] };
    let taken = receiver.handle_message(now, &message).expect("once");
    assert_eq!(taken, good.map(contact));
    let again = receiver.handle_message(now, &message).expect("twice");
    assert_eq!(again, [], "known already");
    // However many minutes it takes, one peer's word is kept within a bound.
    let mut later = now;
    for n in 0..20 {
        later += Duration::from_mins(1);
        let added = (0..200).map(|m| contact(&format!("10.1.{n}.{}:1", m + 1))).collect();
        receiver.handle_message(later, &PexMessage { added, dropped: vec![] }).expect("once a minute");
    }
    assert_eq!(receiver.known().count(), 1_000);
}

#[test]
fn a_flood_of_contacts_is_a_violation() {
    let now = Instant::now();
    let mut receiver = PexReceiver::new(now);
    let mut send =
        |seconds| receiver.handle_message(now + Duration::from_secs(seconds), &PexMessage::default());
    for _ in 0..4 {
        assert_eq!(send(0), Ok(vec![]));
    }
    assert_eq!(send(59), Err(PexViolation::TooOften));
    assert_eq!(send(60), Ok(vec![]));
    assert_eq!(send(61), Err(PexViolation::TooOften));
    for minute in 2..20 {
        assert_eq!(send(60 * minute), Ok(vec![]), "one a minute for ever");
    }
}

#[test]
fn the_messages_of_bep_55_are_read_and_written() {
    let four = address("192.0.2.1:258");
    assert_eq!(Holepunch::Rendezvous(four).encode(), [0, 0, 192, 0, 2, 1, 1, 2, 0, 0, 0, 0]);
    let failure = Holepunch::Error(address("[2001:db8::1]:1"), HolepunchFailure::NoSupport);
    assert_eq!(failure.encode().len(), 24);
    let other = Holepunch::Error(four, HolepunchFailure::Other(9));
    for message in [Holepunch::Rendezvous(four), Holepunch::Connect(four), failure, other] {
        let encoded = message.encode();
        assert_eq!(Holepunch::decode(&encoded), Some(message));
        for end in 0..encoded.len() {
            let short = Holepunch::decode(&encoded[..end]);
            let without_code = end + 4 == encoded.len() && encoded[0] != 2;
            assert_eq!(short.is_some(), without_code, "{message:?} cut at {end}");
        }
        assert_eq!(Holepunch::decode(&[&encoded[..], &[0]].concat()), None);
    }
    assert_eq!(Holepunch::decode(&[3, 0, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0]), None);
    assert_eq!(Holepunch::decode(&[0, 2, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0]), None);
}

#[test]
fn a_relay_introduces_two_or_says_why_not() {
    let (initiator, wanted) = (address("192.0.2.1:1"), address("192.0.2.2:2"));
    let ask = |wanted, target| relay(&Holepunch::Rendezvous(wanted), initiator, true, target);
    let connected = Target::Connected { holepunch: true };
    let introduced = Relay::Introduce {
        to_initiator: Holepunch::Connect(wanted),
        to_target: Holepunch::Connect(initiator),
    };
    assert_eq!(ask(wanted, connected), introduced);
    let refused = |wanted, failure| Relay::Refuse(Holepunch::Error(wanted, failure));
    assert_eq!(ask(wanted, Target::NotConnected), refused(wanted, HolepunchFailure::NotConnected));
    assert_eq!(ask(wanted, Target::Ourselves), refused(wanted, HolepunchFailure::NoSelf));
    let mute = Target::Connected { holepunch: false };
    assert_eq!(ask(wanted, mute), refused(wanted, HolepunchFailure::NoSupport));
    for invalid in ["192.0.2.2:0", "0.0.0.0:1", "224.0.0.1:1", "[2001:db8::1]:1", "192.0.2.1:1"] {
        let invalid = address(invalid);
        assert_eq!(ask(invalid, connected), refused(invalid, HolepunchFailure::NoSuchPeer));
    }
    let unasked = relay(&Holepunch::Rendezvous(wanted), initiator, false, connected);
    assert_eq!(unasked, Relay::Ignore);
    assert_eq!(relay(&Holepunch::Connect(wanted), initiator, true, connected), Relay::Ignore);
}

#[test]
fn small_messages_have_one_length() {
    let length = |extension: Extension, octets| Err(ExtensionError::Length { extension, octets });
    let decode = |extension: Extension, payload| ExtensionMessage::decode(extension.own_id(), payload);
    assert_eq!(decode(Extension::DontHave, &[0, 0, 1, 2]), Ok(ExtensionMessage::DontHave(258)));
    assert_eq!(decode(Extension::DontHave, &[0, 0, 1]), length(Extension::DontHave, 3));
    assert_eq!(decode(Extension::UploadOnly, &[1]), Ok(ExtensionMessage::UploadOnly(true)));
    assert_eq!(decode(Extension::UploadOnly, &[]), length(Extension::UploadOnly, 0));
    assert_eq!(decode(Extension::Holepunch, &[0]), length(Extension::Holepunch, 1));
    let mut ids = PeerIds::default();
    ids.update(&ExtendedHandshake { ids: NamedIds::own(&Extension::ALL), ..ExtendedHandshake::default() });
    for message in [ExtensionMessage::DontHave(7), ExtensionMessage::UploadOnly(false)] {
        let mut out = Vec::new();
        assert!(message.encode_to(&ids, &mut out));
        assert_eq!(ExtensionMessage::decode(out[5], &out[6..]), Ok(message));
    }
}
