//! Streams of messages, cut in all ways and received in all ways.

use super::*;
use crate::wire::message::HashRange;
use crate::wire::piece_header;
use proptest::prelude::*;

const LIMITS: Limits =
    Limits { message_octets_max: 3_000, bitfield_octets_max: 2_500, block_octets_max: 16 * 1024 };

/// What came out, with all that was borrowed copied.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// A message, written again.
    Message(Vec<u8>),
    /// A block and its octets.
    Block(Block, Vec<u8>),
    Unknown(u8, usize),
    Error(FrameError),
}

/// How the reader works.
#[derive(Debug, Clone, Copy)]
enum Reader {
    /// Everything is pushed, blocks are taken.
    Push,
    /// Everything is received into the room, blocks are taken.
    Room,
    /// Blocks are received where they are to lie, the rest into the room.
    Direct,
}

/// Reads a stream whose octets arrive in pieces of these lengths.
fn read(octets: &[u8], cuts: &[usize], reader: Reader) -> Vec<Seen> {
    let mut framer = Framer::new(LIMITS);
    let mut seen = Vec::new();
    let mut block: Option<(Block, Vec<u8>)> = None;
    let mut cuts = cuts.iter().copied().cycle();
    let mut rest = octets;
    loop {
        loop {
            if framer.block_left() > 0 {
                let (_, content) = block.as_mut().expect("announced");
                let mut place = vec![0; framer.block_left()];
                let taken = framer.take_block(&mut place);
                content.extend_from_slice(&place[..taken]);
            }
            if framer.block_left() == 0
                && let Some((header, content)) = block.take()
            {
                seen.push(Seen::Block(header, content));
            }
            match framer.next() {
                Ok(None) => break,
                Ok(Some(Frame::Message(message))) => {
                    let mut octets = Vec::new();
                    message.encode_to(&mut octets);
                    seen.push(Seen::Message(octets));
                }
                Ok(Some(Frame::Block(header))) => block = Some((header, Vec::new())),
                Ok(Some(Frame::Unknown { id, octets })) => seen.push(Seen::Unknown(id, octets)),
                Err(error) => {
                    seen.push(Seen::Error(error));
                    return seen;
                }
            }
        }
        assert!(framer.buffer.len() <= 2 * 4_000 + BUFFER_OCTETS, "{} octets", framer.buffer.len());
        if rest.is_empty() {
            return seen;
        }
        let mut piece = rest;
        piece.split_off(cuts.next().unwrap_or(1).min(piece.len())..).unwrap_or_default();
        match reader {
            Reader::Push => {
                framer.push(piece);
                rest = &rest[piece.len()..];
            }
            Reader::Room => {
                let room = framer.room();
                assert!(!room.is_empty());
                let length = room.len().min(piece.len());
                room[..length].copy_from_slice(&piece[..length]);
                framer.filled(length);
                rest = &rest[length..];
            }
            Reader::Direct => {
                let direct = framer.block_left().min(piece.len());
                if let Some((_, content)) = &mut block {
                    content.extend_from_slice(&piece[..direct]);
                }
                framer.block_read(direct);
                let room = framer.room();
                let length = room.len().min(piece.len() - direct);
                room[..length].copy_from_slice(&piece[direct..direct + length]);
                framer.filled(length);
                rest = &rest[direct + length..];
            }
        }
    }
}

fn written(message: Message<'_>) -> Vec<u8> {
    let mut octets = Vec::new();
    message.encode_to(&mut octets);
    octets
}

const RANGE: HashRange =
    HashRange { pieces_root: [9; 32], base_layer: 0, index: 4, length: 2, proof_layers: 3 };

fn all_messages() -> Vec<Message<'static>> {
    let block = Block { piece: 1, begin: 0x4000, length: 0x4000 };
    vec![
        Message::KeepAlive,
        Message::Choke,
        Message::Unchoke,
        Message::Interested,
        Message::NotInterested,
        Message::Have(7),
        Message::Bitfield(b"\xf0"),
        Message::Request(block),
        Message::Piece { piece: 1, begin: 0x4000, octets: b"block" },
        Message::Cancel(block),
        Message::Port(6_881),
        Message::Suggest(8),
        Message::HaveAll,
        Message::HaveNone,
        Message::Reject(block),
        Message::AllowedFast(9),
        Message::Extended { id: 3, payload: b"de" },
        Message::HashRequest(RANGE),
        Message::Hashes { range: RANGE, hashes: &[5; 64] },
        Message::HashReject(RANGE),
    ]
}

#[test]
fn messages_have_the_octets_of_the_specifications() {
    assert_eq!(written(Message::KeepAlive), [0; 4]);
    assert_eq!(written(Message::Have(258)), [0, 0, 0, 5, 4, 0, 0, 1, 2]);
    let block = Block { piece: 1, begin: 2, length: 3 };
    assert_eq!(written(Message::Request(block)), [0, 0, 0, 13, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]);
    assert_eq!(written(Message::Port(0x1ae1)), [0, 0, 0, 3, 9, 0x1a, 0xe1]);
    assert_eq!(written(Message::HaveAll), [0, 0, 0, 1, 0x0e]);
    assert_eq!(written(Message::Extended { id: 0, payload: b"de" }), *b"\0\0\0\x04\x14\0de");
    assert_eq!(written(Message::HashRequest(RANGE))[..6], [0, 0, 0, 49, 21, 9]);
    let piece = written(Message::Piece { piece: 1, begin: 2, octets: &[8; 3] });
    assert_eq!(piece, [&piece_header(&block)[..], &[8; 3]].concat());
}

#[test]
fn all_messages_read_as_they_were_written_in_any_pieces() {
    let octets: Vec<u8> = all_messages().into_iter().flat_map(written).collect();
    for message in all_messages() {
        assert_eq!(Message::decode(&written(message)[4..]), Ok(message));
    }
    let expected: Vec<Seen> = all_messages()
        .into_iter()
        .map(|message| match message {
            Message::Piece { piece, begin, octets } => {
                Seen::Block(Block { piece, begin, length: octets.len() as u32 }, octets.to_vec())
            }
            message => Seen::Message(written(message)),
        })
        .collect();
    for reader in [Reader::Push, Reader::Room, Reader::Direct] {
        for cut in 1..octets.len() {
            assert_eq!(read(&octets, &[cut], reader), expected, "{reader:?} {cut}");
        }
    }
}

#[test]
fn every_message_has_its_bound() {
    let error = |octets: &[u8]| match read(octets, &[7], Reader::Room).pop() {
        Some(Seen::Error(error)) => error,
        other => panic!("{other:?}"),
    };
    let header = |length: u32, id: u8| [&length.to_be_bytes()[..], &[id]].concat();
    for (id, least, most) in [(5, 1, 2_501), (7, 10, 16_393), (20, 2, 3_000), (22, 49, 3_000), (99, 1, 3_000)]
    {
        let too_long = FrameError::TooLong { id, octets: most + 1, octets_max: most };
        assert_eq!(error(&header(most as u32 + 1, id)), too_long);
        assert_eq!(
            error(&header(u32::MAX, id)),
            FrameError::TooLong { id, octets: u32::MAX as usize, octets_max: most }
        );
        if least > 1 {
            let short = MessageError::Length { id, octets: least - 1 };
            assert_eq!(error(&header(least as u32 - 1, id)), short.into());
        }
        assert!(read(&header(most as u32, id), &[7], Reader::Room).len() <= 1);
    }
    for (id, length) in
        [(0, 1), (3, 1), (4, 5), (6, 13), (8, 13), (9, 3), (13, 5), (14, 1), (16, 13), (17, 5)]
    {
        for wrong in [length + 1, u32::MAX] {
            let wrong_length = MessageError::Length { id, octets: wrong as usize };
            assert_eq!(error(&header(wrong, id)), wrong_length.into());
        }
    }
    assert_eq!(error(&header(50, 22)[..].repeat(11)), MessageError::Length { id: 22, octets: 50 }.into());
}

#[test]
fn a_claimed_length_takes_no_memory() {
    let mut framer = Framer::new(Limits::UNKNOWN_PIECES);
    framer.push(&[&262_145_u32.to_be_bytes()[..], &[5]].concat());
    for _ in 0..10 {
        assert_eq!(framer.next(), Ok(None));
        let room = framer.room().len();
        assert!(room <= BUFFER_OCTETS, "{room}");
    }
    let mut received = 5;
    while received < 262_149 {
        assert_eq!(framer.next(), Ok(None));
        let length = framer.room().len().min(262_149 - received);
        framer.filled(length);
        received += length;
        assert!(framer.buffer.len() <= (2 * received).max(BUFFER_OCTETS), "{}", framer.buffer.len());
    }
    assert!(
        matches!(framer.next(), Ok(Some(Frame::Message(Message::Bitfield(octets)))) if octets.len() == 262_144)
    );
    framer.room();
    assert_eq!(framer.buffer.len(), BUFFER_OCTETS, "what a large message took is given back");
}

#[test]
fn a_block_that_nobody_wants_is_passed_over() {
    let mut octets = written(Message::Piece { piece: 0, begin: 0, octets: &[4; 5_000] });
    octets.extend(written(Message::Unchoke));
    let mut framer = Framer::new(LIMITS);
    for piece in octets.chunks(700) {
        framer.push(piece);
        match framer.next() {
            Ok(Some(Frame::Block(block))) => {
                assert_eq!(block.length, 5_000);
                framer.skip_block();
                assert_eq!(framer.next(), Ok(None));
            }
            Ok(Some(Frame::Message(message))) => return assert_eq!(message, Message::Unchoke),
            other => assert_eq!(other, Ok(None)),
        }
    }
    panic!("no unchoke");
}

#[test]
fn a_guessing_reader_receives_blocks_in_place() {
    // Three blocks in a row, received by one system call into a header, a place,
    // a header, a place and so on.
    let mut framer = Framer::new(Limits::of_pieces(3));
    for piece in 0..3 {
        let block = Block { piece, begin: 0, length: BLOCK_OCTETS };
        framer.push(&piece_header(&block));
        assert_eq!(framer.next(), Ok(Some(Frame::Block(block))));
        assert_eq!(framer.take_block(&mut [0; 99]), 0, "nothing is copied");
        framer.block_read(BLOCK_OCTETS as usize);
        assert_eq!(framer.block_left(), 0);
        assert_eq!(framer.next(), Ok(None));
    }
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::collection::vec(
        prop_oneof![
            4 => (0..all_messages().len()).prop_map(|at| written(all_messages()[at])),
            2 => (0usize..2_500).prop_map(|length| written(Message::Bitfield(&vec![1; length]))),
            2 => (1usize..2_998).prop_map(|length| written(Message::Extended { id: 1, payload: &vec![2; length] })),
            4 => (1usize..16_384).prop_map(|length| written(Message::Piece { piece: 3, begin: 4, octets: &vec![3; length] })),
            2 => (1u32..3_000).prop_map(|length| [&length.to_be_bytes()[..], &[200], &vec![4; length as usize - 1]].concat()),
            1 => prop::collection::vec(any::<u8>(), 1..30),
        ],
        0..12,
    );
    piece.prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_outcome_does_not_depend_on_how_octets_are_cut(
        octets in stream(),
        cuts in prop::collection::vec(prop_oneof![1usize..5, 1usize..100, 1usize..20_000], 1..20),
    ) {
        let whole = read(&octets, &[usize::MAX], Reader::Room);
        for reader in [Reader::Push, Reader::Room, Reader::Direct] {
            prop_assert_eq!(&read(&octets, &cuts.iter().map(|cut| (*cut).min(3_900)).collect::<Vec<_>>(), reader), &whole);
        }
    }
}
