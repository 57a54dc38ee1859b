//! What a peer may say, and when.

use super::*;
use crate::wire::BitfieldError;

const HANDSHAKE: Handshake =
    Handshake { reserved: Reserved([0; 8]), info_hash: [7; 20], peer_id: PeerId([1; 20]) };
const BLOCK: Block = Block { piece: 9, begin: 0x4000, length: 0x4000 };
const RANGE: HashRange =
    HashRange { pieces_root: [9; 32], base_layer: 0, index: 4, length: 4, proof_layers: 3 };

fn peer(features: &[Feature]) -> Handshake {
    Handshake { reserved: Reserved::of(features), peer_id: PeerId([2; 20]), ..HANDSHAKE }
}

fn ours(features: &[Feature]) -> Handshake {
    Handshake { peer_id: PeerId([1; 20]), ..peer(features) }
}

fn session(now: Instant, features: &[Feature]) -> Session {
    let mut session = Session::new(now, ours(&[Feature::Fast, Feature::Extensions]), Settings::default());
    session.handle_handshake(now, &peer(features)).expect("a peer");
    session.set_pieces(10, 0x8000);
    session
}

#[test]
fn a_handshake_must_be_of_the_peer_and_torrent_looked_for() {
    let now = Instant::now();
    let expected = Settings { expected_peer: Some(PeerId([2; 20])), ..Settings::default() };
    let check =
        |settings, peer: Handshake| Session::new(now, ours(&[]), settings).handle_handshake(now, &peer);
    assert_eq!(check(expected, peer(&[])), Ok(()));
    assert_eq!(check(expected, Handshake { info_hash: [8; 20], ..peer(&[]) }), Err(Violation::OtherTorrent));
    assert_eq!(
        check(expected, Handshake { peer_id: PeerId([3; 20]), ..peer(&[]) }),
        Err(Violation::OtherPeer)
    );
    assert_eq!(check(Settings::default(), ours(&[])), Err(Violation::Ourselves));
    let mut session = session(now, &[]);
    assert_eq!(session.handle_handshake(now, &peer(&[])), Err(Violation::OutOfOrder));
    let mut early = Session::new(now, ours(&[]), Settings::default());
    assert_eq!(early.handle_message(now, &Message::KeepAlive), Err(Violation::OutOfOrder));
    assert_eq!(early.handle_block(now, &BLOCK), Err(Violation::OutOfOrder));
}

#[test]
fn a_hybrid_torrent_may_be_upgraded_if_we_say_so() {
    let now = Instant::now();
    let settings = Settings { upgrade: Some([8; 20]), ..Settings::default() };
    let answer = Handshake { info_hash: [8; 20], ..peer(&[]) };
    let mut session = Session::new(now, ours(&[Feature::V2Upgrade]), settings);
    assert_eq!(session.handle_handshake(now, &answer), Ok(()));
    assert!(session.is_upgraded());
    let mut session = Session::new(now, ours(&[]), settings);
    assert_eq!(session.handle_handshake(now, &answer), Err(Violation::OtherTorrent));
}

#[test]
fn messages_of_extensions_need_both_sides() {
    let now = Instant::now();
    let fast = [
        Message::HaveAll,
        Message::HaveNone,
        Message::Suggest(1),
        Message::AllowedFast(1),
        Message::Reject(BLOCK),
    ];
    for message in &fast {
        let mut without = session(now, &[Feature::Extensions]);
        assert_eq!(without.handle_message(now, message), Err(Violation::NotNegotiated(Feature::Fast)));
        assert_eq!(session(now, &[Feature::Fast]).handle_message(now, message), Ok(()));
    }
    let extended = Message::Extended { id: 0, payload: b"de" };
    assert_eq!(
        session(now, &[Feature::Fast]).handle_message(now, &extended),
        Err(Violation::NotNegotiated(Feature::Extensions))
    );
    assert_eq!(session(now, &[Feature::Extensions]).handle_message(now, &extended), Ok(()));
    // We did not say that we have a DHT.
    assert!(!session(now, &[Feature::Dht]).has(Feature::Dht));
    let hashes = Message::HashRequest(RANGE);
    assert_eq!(session(now, &[]).handle_message(now, &hashes), Err(Violation::NoMerkleTree));
    let mut v2 = session(now, &[]);
    v2.settings.merkle_tree = true;
    assert_eq!(v2.handle_message(now, &hashes), Ok(()));
    for (count, allowed) in [(3, false), (4, true), (7, true), (8, false)] {
        let hashes = vec![0; 32 * count];
        let verdict = v2.handle_message(now, &Message::Hashes { range: RANGE, hashes: &hashes });
        assert_eq!(verdict.is_ok(), allowed, "{count} hashes");
    }
    for wrong in [
        HashRange { length: 1, ..RANGE },
        HashRange { length: 3, index: 0, ..RANGE },
        HashRange { index: 2, ..RANGE },
        HashRange { length: 1_024, index: 0, ..RANGE },
        HashRange { proof_layers: u32::MAX, ..RANGE },
    ] {
        let message = Message::HashRequest(wrong);
        assert_eq!(v2.handle_message(now, &message), Err(Violation::NoSuchHashes(wrong)));
    }
}

#[test]
fn a_bitfield_may_come_again_but_must_fit() {
    let now = Instant::now();
    let bitfield = Message::Bitfield(&[0xff, 0xc0]);
    let mut session_of_fast = session(now, &[Feature::Fast, Feature::Extensions]);
    let said = [
        Message::Extended { id: 0, payload: b"de" },
        bitfield,
        Message::Have(3),
        bitfield,
        Message::HaveAll,
        Message::HaveNone,
    ];
    for message in &said {
        assert_eq!(session_of_fast.handle_message(now, message), Ok(()));
    }
    let refused = |octets: &[u8]| session(now, &[]).handle_message(now, &Message::Bitfield(octets));
    assert_eq!(refused(&[0xff, 0xe0]), Err(BitfieldError::SpareBit.into()));
    assert_eq!(refused(&[0xff]), Err(BitfieldError::Length { octets: 1, pieces: 10 }.into()));
}

#[test]
fn pieces_and_blocks_must_be_within_the_torrent() {
    let now = Instant::now();
    let check = |message: Message<'_>| session(now, &[Feature::Fast]).handle_message(now, &message);
    let beyond = Err(Violation::NoSuchPiece { piece: 10, pieces: 10 });
    for message in [Message::Have(10), Message::Suggest(10), Message::AllowedFast(10)] {
        assert_eq!(check(message), beyond);
    }
    let block = |begin, length| Block { piece: 9, begin, length };
    // Old clients ask for more than a block; nobody sends it.
    let long = block(0, 0x4001);
    assert_eq!(check(Message::Request(long)), Ok(()));
    assert_eq!(session(now, &[]).handle_block(now, &long), Err(Violation::NoSuchBlock(long)));
    for wrong in [block(0, 0), block(0x4001, 0x4000), block(u32::MAX, 1), block(u32::MAX, 0x4000)] {
        for message in [Message::Request(wrong), Message::Cancel(wrong), Message::Reject(wrong)] {
            assert_eq!(check(message), Err(Violation::NoSuchBlock(wrong)));
        }
        assert_eq!(session(now, &[]).handle_block(now, &wrong), Err(Violation::NoSuchBlock(wrong)));
    }
    assert_eq!(check(Message::Request(Block { piece: 10, ..BLOCK })), beyond);
    assert_eq!(check(Message::Request(BLOCK)), Ok(()));
    assert_eq!(
        check(Message::Piece { piece: 9, begin: 0, octets: &[] }),
        Err(Violation::NoSuchBlock(block(0, 0)))
    );
    // Before a magnet link's metadata is there, nobody can tell.
    let mut unknown = Session::new(now, ours(&[]), Settings::default());
    unknown.handle_handshake(now, &peer(&[])).expect("a peer");
    assert_eq!(unknown.handle_message(now, &Message::Have(u32::MAX)), Ok(()));
    assert_eq!(Violation::NoSuchBlock(block(1, 2)).to_string(), "octets 1 to 3 of piece 9 are no block");
}

#[test]
fn flags_follow_the_messages_of_both_sides() {
    let now = Instant::now();
    let mut session = session(now, &[]);
    let start = Flags { choking: true, interested: false, peer_choking: true, peer_interested: false };
    assert_eq!(session.flags(), start);
    for message in [Message::Unchoke, Message::Interested] {
        session.handle_message(now, &message).expect("allowed");
        session.message_sent(now, &message);
    }
    assert_eq!(
        session.flags(),
        Flags { choking: false, interested: true, peer_choking: false, peer_interested: true }
    );
    for message in [Message::Choke, Message::NotInterested] {
        session.handle_message(now, &message).expect("allowed");
        session.message_sent(now, &message);
    }
    assert_eq!(session.flags(), start);
}

#[test]
fn silence_is_kept_alive_and_ended() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut session = session(start, &[]);
    assert_eq!(session.poll_timeout(), at(110));
    assert_eq!(session.handle_timeout(at(109)), None);
    assert_eq!(session.handle_timeout(at(110)), Some(Timeout::KeepAlive));
    assert_eq!((session.handle_timeout(at(110)), session.poll_timeout()), (None, at(220)));
    session.message_sent(at(200), &Message::Have(1));
    assert_eq!(session.poll_timeout(), at(240));
    session.handle_octets(at(230));
    assert_eq!(session.handle_timeout(at(240)), None);
    assert_eq!(session.handle_timeout(at(310)), Some(Timeout::KeepAlive));
    assert_eq!(session.handle_timeout(at(470)), Some(Timeout::Idle));
    let mut early = Session::new(start, ours(&[]), Settings::default());
    assert_eq!((early.poll_timeout(), early.handle_timeout(at(19))), (at(20), None));
    assert_eq!(early.handle_timeout(at(20)), Some(Timeout::Handshake));
}
