//! Gathering an info dictionary from honest peers and from liars.

use crate::metainfo::{
    AssemblyError, AssemblyProgress, InfoHashV1, InfoHashV2, InfoHashes, METADATA_OCTETS_MAX,
    METADATA_PATIENCE, METADATA_PEERS_MAX, METADATA_PIECE_OCTETS, MetadataAssembly, PeerId, metadata_piece,
};
use std::time::Instant;

fn hashes(info: &[u8]) -> InfoHashes {
    InfoHashes { v1: Some(InfoHashV1::of(info)), v2: Some(InfoHashV2::of(info)) }
}

fn metadata(octets: usize) -> Vec<u8> {
    (0..octets).map(|at| (at / 100) as u8).collect()
}

const LONGEST: i64 = 16 * 1024 * 1024;

fn size(data: &[u8]) -> i64 {
    i64::try_from(data.len()).expect("a length")
}

/// The peer answers everything that it is asked.
fn serve(
    assembly: &mut MetadataAssembly,
    peer: PeerId,
    data: &[u8],
) -> Option<Result<AssemblyProgress, AssemblyError>> {
    let piece = assembly.poll_request(Instant::now(), peer)?;
    let octets = metadata_piece(data, piece).expect("a piece that is there");
    Some(assembly.handle_piece(peer, piece, size(data), octets))
}

#[test]
fn pieces_come_from_several_peers_in_any_order() {
    let now = Instant::now();
    let data = metadata(METADATA_PIECE_OCTETS * 2 + 7);
    let mut assembly = MetadataAssembly::new(hashes(&data));
    assert_eq!(assembly.poll_request(now, 1), None);
    for peer in [1, 2] {
        assembly.handle_length(peer, size(&data)).expect("a length");
    }
    assert_eq!((assembly.poll_request(now, 1), assembly.poll_request(now, 2)), (Some(0), Some(1)));
    assert_eq!(assembly.poll_request(now, 1), Some(2));
    assert_eq!(assembly.poll_request(now, 2), None);
    let piece = |index| metadata_piece(&data, index).expect("a piece");
    let total = size(&data);
    assert_eq!(assembly.handle_piece(1, 2, total, piece(2)), Ok(AssemblyProgress::More));
    assembly.handle_reject(1, 0);
    assert_eq!(assembly.poll_request(now, 2), Some(0));
    assert_eq!(assembly.handle_piece(2, 0, total, piece(0)), Ok(AssemblyProgress::More));
    assert_eq!(assembly.handle_piece(2, 1, total, piece(1)), Ok(AssemblyProgress::Complete(data.clone())));
}

#[test]
fn lies_about_the_length_are_refused() {
    let now = Instant::now();
    assert_eq!(usize::try_from(LONGEST), Ok(METADATA_OCTETS_MAX));
    let mut assembly = MetadataAssembly::new(hashes(b"de"));
    for length in [i64::MIN, -1, 0, LONGEST + 1, i64::MAX] {
        assert_eq!(assembly.handle_length(1, length), Err(AssemblyError::Length(length)));
    }
    assembly.handle_length(1, LONGEST).expect("the longest");
    let contradiction = AssemblyError::Contradiction { before: METADATA_OCTETS_MAX, now: 2 };
    assert_eq!(assembly.handle_length(1, 2), Err(contradiction));
    assert_eq!(assembly.poll_request(now, 1), Some(0));
    assert_eq!(assembly.handle_piece(1, 0, 2, b"de"), Err(contradiction));
    let short = AssemblyError::PieceLength { piece: 0, octets: 2 };
    assert_eq!(assembly.handle_piece(1, 0, LONGEST, b"de"), Err(short));
}

#[test]
fn what_was_not_asked_is_refused() {
    let now = Instant::now();
    let data = metadata(METADATA_PIECE_OCTETS + 1);
    let mut assembly = MetadataAssembly::new(hashes(&data));
    let total = size(&data);
    for piece in [0, 1, 2, u32::MAX] {
        assert_eq!(assembly.handle_piece(1, piece, total, b"x"), Err(AssemblyError::Unasked(piece)));
    }
    assembly.handle_length(1, total).expect("a length");
    assert_eq!(assembly.poll_request(now, 1), Some(0));
    assert_eq!(assembly.handle_piece(2, 0, total, b"x"), Err(AssemblyError::Unasked(0)));
}

#[test]
fn a_liar_among_several_is_found_by_asking_one_at_a_time() {
    let now = Instant::now();
    let data = metadata(METADATA_PIECE_OCTETS * 3);
    let lie: Vec<u8> = data.iter().map(|octet| !octet).collect();
    let mut assembly = MetadataAssembly::new(hashes(&data));
    for peer in [1, 2] {
        assembly.handle_length(peer, size(&data)).expect("a length");
    }
    assert_eq!(serve(&mut assembly, 1, &lie), Some(Ok(AssemblyProgress::More)));
    assert_eq!(serve(&mut assembly, 2, &data), Some(Ok(AssemblyProgress::More)));
    assert_eq!(serve(&mut assembly, 2, &data), Some(Ok(AssemblyProgress::Restarted)));
    // From now on one peer sends all: the liar first.
    assert_eq!(serve(&mut assembly, 1, &lie), Some(Ok(AssemblyProgress::More)));
    assert_eq!(assembly.poll_request(now, 2), None);
    serve(&mut assembly, 1, &lie);
    assert_eq!(serve(&mut assembly, 1, &lie), Some(Err(AssemblyError::Wrong)));
    assert_eq!(assembly.poll_request(now, 1), None);
    serve(&mut assembly, 2, &data);
    serve(&mut assembly, 2, &data);
    assert_eq!(serve(&mut assembly, 2, &data), Some(Ok(AssemblyProgress::Complete(data.clone()))));
}

#[test]
fn the_length_that_most_peers_say_is_tried() {
    let now = Instant::now();
    let data = metadata(METADATA_PIECE_OCTETS + 5);
    let mut assembly = MetadataAssembly::new(hashes(&data));
    assembly.handle_length(1, 10).expect("a length");
    assembly.handle_length(2, size(&data)).expect("a length");
    assert_eq!(assembly.poll_request(now, 2), None);
    assembly.handle_length(3, size(&data)).expect("a length");
    assert_eq!(assembly.poll_request(now, 1), None);
    serve(&mut assembly, 2, &data);
    assert_eq!(serve(&mut assembly, 3, &data), Some(Ok(AssemblyProgress::Complete(data.clone()))));
}

#[test]
fn a_liar_that_is_silent_gives_way_to_the_others() {
    let now = Instant::now();
    let data = metadata(100);
    let mut assembly = MetadataAssembly::new(hashes(&data));
    assembly.handle_length(1, 10).expect("a length");
    assembly.handle_length(2, size(&data)).expect("a length");
    assert_eq!(assembly.poll_request(now, 1), Some(0));
    assembly.handle_gone(1);
    assert_eq!(serve(&mut assembly, 2, &data), Some(Ok(AssemblyProgress::Complete(data.clone()))));
}

#[test]
fn liars_that_stay_and_send_nothing_give_way_in_time() {
    let data = metadata(METADATA_PIECE_OCTETS + 5);
    let mut now = Instant::now();
    let mut assembly = MetadataAssembly::new(hashes(&data));
    // Three say the same wrong length, one the right one and is silent, too.
    for peer in 1..=3 {
        assembly.handle_length(peer, LONGEST).expect("a length");
    }
    for peer in 4..=5 {
        assembly.handle_length(peer, size(&data)).expect("a length");
    }
    assert!((1..=3).all(|peer| assembly.poll_request(now, peer).is_some()));
    assert_eq!(assembly.poll_request(now, 5), None);
    assembly.handle_timeout(now + METADATA_PATIENCE / 2);
    assert_eq!(assembly.poll_request(now, 5), None);
    now += METADATA_PATIENCE;
    assembly.handle_timeout(now);
    assert_eq!((assembly.poll_request(now, 4), assembly.poll_request(now, 1)), (Some(0), None));
    // Nothing that a liar says brings it back before.
    assert_eq!(assembly.handle_piece(1, 0, LONGEST, b"x"), Err(AssemblyError::Unasked(0)));
    assert_eq!((assembly.handle_length(1, LONGEST), assembly.poll_request(now, 1)), (Ok(()), None));
    assert_eq!(serve(&mut assembly, 5, &data), Some(Ok(AssemblyProgress::More)));
    assert_eq!(assembly.poll_request(now, 5), None);
    now += METADATA_PATIENCE;
    assembly.handle_timeout(now);
    assert_eq!(serve(&mut assembly, 5, &data), Some(Ok(AssemblyProgress::Complete(data.clone()))));
}

#[test]
fn who_rejects_or_is_slow_is_asked_again_when_nobody_else_is_left() {
    let data = metadata(100);
    let mut now = Instant::now();
    let mut assembly = MetadataAssembly::new(hashes(&data));
    for peer in [1, 2] {
        assembly.handle_length(peer, size(&data)).expect("a length");
    }
    assert_eq!(assembly.poll_request(now, 1), Some(0));
    assembly.handle_reject(1, 0);
    assert_eq!((assembly.poll_request(now, 1), assembly.poll_request(now, 2)), (None, Some(0)));
    now += METADATA_PATIENCE;
    assembly.handle_timeout(now);
    assert_eq!(serve(&mut assembly, 1, &data), Some(Ok(AssemblyProgress::Complete(data.clone()))));
}

#[test]
fn peers_beyond_the_bound_are_not_remembered() {
    let mut assembly = MetadataAssembly::new(hashes(b"de"));
    for peer in 0..METADATA_PEERS_MAX as u64 {
        assembly.handle_length(peer, 2).expect("room");
    }
    assert_eq!(assembly.handle_length(u64::MAX, 2), Err(AssemblyError::Enough));
    assembly.handle_gone(0);
    assert_eq!(assembly.handle_length(u64::MAX, 2), Ok(()));
}
