//! A BitTorrent peer's octets: handshake, messages, those of extensions, and
//! the datagrams of local service discovery.

use bittorrent::lsd::{self, Announce};
use bittorrent::wire::extension::{
    ExtendedHandshake, Extension, ExtensionMessage, Holepunch, NamedIds, PeerIds, PexReceiver, PexSender,
    Relay, Target, relay,
};
use bittorrent::wire::{
    Bitfield, Block, Feature, Frame, FrameError, Framer, Handshake, HandshakeReader, Limits, Message, PeerId,
    Reserved, Session, Settings, Violation, peer_priority, piece_header,
};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The sizes of the pieces in which octets arrive.
const CHUNKS: [usize; 4] = [1, 7, 61, usize::MAX];
/// Small, so that they are met.
const LIMITS: Limits = Limits { message_octets_max: 600, bitfield_octets_max: 2, block_octets_max: 300 };
/// Pieces of the torrent, and octets of each.
const PIECES: u32 = 10;
const PIECE_OCTETS: u32 = 0x8000;

/// What a peer sends.
pub fn bittorrent_wire(input: &[u8]) {
    let first = read(input, CHUNKS[0], true);
    for chunk in CHUNKS {
        for direct in [false, true] {
            assert_eq!(read(input, chunk, direct), first, "the pieces in which octets arrive change nothing");
        }
    }
    for known in [false, true] {
        judge(&first, known);
    }
    handshake(input);
    for id in 0..=Extension::ALL.len() as u8 + 1 {
        extension(id, input);
    }
    if let Ok(announce) = Announce::decode(input) {
        let datagram = announce.encode(lsd::GROUP_V6).expect("what is read keeps to the bounds");
        assert_eq!(Announce::decode(&datagram), Ok(announce));
    }
    if let Ok(bitfield) = Bitfield::from_octets(input, (8 * input.len()) as u32) {
        let mut octets = Vec::new();
        bitfield.encode_to(&mut octets);
        assert_eq!(octets, input);
        assert_eq!(bitfield.iter().count() as u32, bitfield.count_ones());
    }
}

/// What was found in a stream.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// Written again.
    Message(Vec<u8>),
    Block(Block, Vec<u8>),
    Unknown(u8, usize),
    Error(FrameError),
}

/// Reads a stream in pieces; `direct`: blocks not through the framer's buffer.
fn read(input: &[u8], chunk: usize, direct: bool) -> Vec<Found> {
    let mut framer = Framer::new(LIMITS);
    let mut found = Vec::new();
    let mut block: Option<(Block, Vec<u8>)> = None;
    for mut octets in input.chunks(chunk) {
        loop {
            if let Some((_, content)) = &mut block {
                let mut place = vec![0; framer.block_left()];
                let taken = framer.take_block(&mut place);
                content.extend_from_slice(&place[..taken]);
                let passing = if direct { framer.block_left().min(octets.len()) } else { 0 };
                content.extend_from_slice(&octets[..passing]);
                framer.block_read(passing);
                octets = &octets[passing..];
            }
            if framer.block_left() == 0
                && let Some((header, content)) = block.take()
            {
                assert_eq!(content.len(), header.length as usize);
                found.push(Found::Block(header, content));
            }
            match framer.next() {
                Err(error) => {
                    found.push(Found::Error(error));
                    return found;
                }
                Ok(Some(Frame::Message(message))) => found.push(Found::Message(written(&message))),
                Ok(Some(Frame::Block(header))) => {
                    assert!((1..=LIMITS.block_octets_max).contains(&(header.length as usize)));
                    block = Some((header, Vec::new()));
                }
                Ok(Some(Frame::Unknown { id, octets })) => found.push(Found::Unknown(id, octets)),
                Ok(None) if octets.is_empty() => break,
                Ok(None) => {
                    let room = framer.room();
                    let length = room.len().min(octets.len());
                    assert!(length > 0, "there is always room");
                    room[..length].copy_from_slice(&octets[..length]);
                    framer.filled(length);
                    octets = &octets[length..];
                }
            }
        }
    }
    found
}

fn written(message: &Message<'_>) -> Vec<u8> {
    let mut octets = Vec::new();
    message.encode_to(&mut octets);
    let (length, body) = octets.split_first_chunk().expect("a length");
    assert_eq!(u32::from_be_bytes(*length) as usize, body.len());
    assert!(body.len() <= LIMITS.message_octets_max);
    assert_eq!(Message::decode(body).as_ref(), Ok(message), "what is written reads the same");
    octets
}

/// A session takes what the framer found, with the torrent known or not.
fn judge(found: &[Found], known: bool) {
    let now = Instant::now();
    let reserved = Reserved::of(&[Feature::Fast, Feature::Extensions, Feature::Dht]);
    let ours = Handshake { reserved, info_hash: [1; 20], peer_id: PeerId([1; 20]) };
    let mut session = Session::new(now, ours, Settings { merkle_tree: true, ..Settings::default() });
    session.handle_handshake(now, &Handshake { peer_id: PeerId([2; 20]), ..ours }).expect("a peer");
    if known {
        session.set_pieces(PIECES, PIECE_OCTETS);
    }
    for one in found {
        let verdict = match one {
            Found::Message(octets) => {
                let message = Message::decode(&octets[4..]).expect("read before");
                let verdict = session.handle_message(now, &message);
                if let (Message::Extended { id, payload }, Ok(())) = (&message, &verdict) {
                    extension(*id, payload);
                }
                if let (Message::Request(block), true, Ok(())) = (&message, known, &verdict) {
                    assert!(block.piece < PIECES && block.begin + block.length <= PIECE_OCTETS);
                }
                verdict
            }
            Found::Block(block, _) => {
                let header = piece_header(block);
                assert!(matches!(
                    Message::decode(&header[4..]),
                    Ok(Message::Piece { piece, begin, .. }) if piece == block.piece && begin == block.begin
                ));
                session.handle_block(now, block)
            }
            Found::Unknown(..) => Ok(()),
            Found::Error(error) => Err(Violation::from(*error)),
        };
        if let Err(violation) = verdict {
            assert!(!violation.to_string().is_empty());
        }
    }
    assert!(session.poll_timeout() > now);
}

fn handshake(input: &[u8]) {
    let outcome = |chunk| {
        let mut reader = HandshakeReader::default();
        let mut taken = 0;
        for octets in input.chunks(chunk) {
            match reader.handle_input(octets) {
                Err(error) => return Err(error),
                Ok(length) => taken += length,
            }
        }
        Ok((taken, reader.info_hash(), reader.handshake()))
    };
    let first = outcome(CHUNKS[0]);
    for chunk in CHUNKS {
        assert_eq!(outcome(chunk), first, "the pieces in which octets arrive change nothing");
    }
    if let Ok((taken, _, Some(handshake))) = first {
        assert_eq!(handshake.encode()[..], input[..taken]);
        assert!(handshake.peer_id.client_name().is_none_or(|name| name.len() < 40));
    }
    if let Some(id) = input.first_chunk() {
        let _ = PeerId(*id).client_name();
    }
}

fn extension(id: u8, payload: &[u8]) {
    let Ok(message) = ExtensionMessage::decode(id, payload) else { return };
    let own = NamedIds::own(&Extension::ALL);
    let mut ids = PeerIds::default();
    ids.update(&ExtendedHandshake { ids: own, ..ExtendedHandshake::default() });
    let mut octets = Vec::new();
    if message.encode_to(&ids, &mut octets) {
        let Ok(Message::Extended { id, payload }) = Message::decode(&octets[4..]) else {
            panic!("no extended message: {octets:?}")
        };
        let again = ExtensionMessage::decode(id, payload);
        assert_eq!(again.as_ref(), Ok(&message), "what is written reads the same");
    }
    let us: SocketAddr = ([192, 0, 2, 1], 6_881).into();
    match message {
        ExtensionMessage::Pex(message) => {
            let now = Instant::now();
            let mut receiver = PexReceiver::new(now);
            let taken = receiver.handle_message(now, &message).expect("the first");
            assert!(taken.len() <= message.added.len());
            for contact in &taken {
                assert_eq!(peer_priority(us, contact.address), peer_priority(contact.address, us));
            }
            let again = receiver.handle_message(now, &message).expect("the second");
            let new = again.iter().all(|contact| message.dropped.contains(&contact.address));
            assert!(new, "nothing is taken twice");
            let mut sender = PexSender::new(now, None);
            for minute in 0..6 {
                sender.poll(now + Duration::from_mins(minute), taken.iter().copied());
            }
            assert_eq!(sender.poll(now + Duration::from_mins(6), taken), None, "all was told");
        }
        ExtensionMessage::Holepunch(message @ Holepunch::Rendezvous(wanted)) => {
            let relayed = relay(&message, us, true, Target::Connected { holepunch: true });
            assert!(match relayed {
                Relay::Introduce { to_initiator, to_target } =>
                    to_initiator == Holepunch::Connect(wanted) && to_target == Holepunch::Connect(us),
                Relay::Refuse(Holepunch::Error(address, _)) => address == wanted,
                _ => false,
            });
        }
        _ => {}
    }
}
