//! Bad pieces, and who is blamed for them.

use super::*;

/// Two peers send one block each of a piece that turns out to be bad.
fn bad_piece() -> (Rig, Octets, Octets) {
    let settings = Settings { requests_min: 1, requests_max: 1, ..Settings::default() };
    let mut rig = Rig::new(1, &[], settings, 1);
    rig.join_open(1, &[0]);
    rig.join_open(2, &[0]);
    let (one, two) = (rig.requests_to(1)[0], rig.requests_to(2)[0]);
    assert_eq!(rig.block(1, one), BlockUse::Wanted);
    assert_eq!(rig.block(2, two), BlockUse::Wanted);
    assert_eq!(rig.take_events(), [Event::PieceReady { piece: 0, digests: false }]);
    rig.sent.clear();
    let mut digests = [[0; 20]; 2];
    digests[(two.begin / BLOCK_OCTETS) as usize] = [9; 20];
    rig.torrent.handle_piece_checked(rig.now, 0, false, &digests);
    rig.drain();
    (rig, one, two)
}

#[test]
fn a_bad_piece_of_two_makes_both_suspects_and_its_next_version_names_one() {
    let (mut rig, ..) = bad_piece();
    assert_eq!(rig.take_events(), []);
    assert!(rig.torrent.peers(rig.now).all(|peer| peer.suspect));
    // On parole the piece is taken whole from one of them.
    let asked = [1, 2].map(|key| rig.requests_to(key));
    assert_eq!(asked.concat().len(), 1, "{asked:?}");
    let (owner, other) = if asked[0].is_empty() { (2, 1) } else { (1, 2) };
    rig.block(owner, asked.concat()[0]);
    assert_eq!(rig.requests_to(other), []);
    let last = rig.requests_to(owner).remove(0);
    rig.block(owner, last);
    assert_eq!(rig.take_events(), [Event::PieceReady { piece: 0, digests: true }]);
    rig.torrent.handle_piece_checked(rig.now, 0, true, &[[0; 20]; 2]);
    let events = rig.take_events();
    assert!(events.contains(&Event::Ban { peer: PeerKey(2), piece: 0 }), "{events:?}");
    assert!(!events.contains(&Event::Ban { peer: PeerKey(1), piece: 0 }), "{events:?}");
    assert!(rig.torrent.peers(rig.now).all(|peer| peer.suspect != (peer.key == PeerKey(owner))));
}

#[test]
fn whoever_sent_a_bad_piece_alone_is_banned_and_asked_no_more() {
    let mut rig = Rig::leecher(3);
    rig.join_open(1, &[0, 1, 2]);
    let first = rig.requests_to(1);
    let piece = first[0].piece;
    for block in 0..2 {
        assert_eq!(rig.block(1, octets(piece, block)), BlockUse::Wanted);
    }
    rig.sent.clear();
    rig.torrent.handle_piece_checked(rig.now, piece, false, &[[1; 20]; 2]);
    assert!(rig.take_events().contains(&Event::Ban { peer: PeerKey(1), piece }));
    assert!(rig.sent_to(1).iter().all(|send| !matches!(send, Send::Request(_))));
    rig.join_open(2, &[0, 1, 2]);
    assert!(rig.requests_to(2).len() >= 4, "what it was asked for is asked of others");
    assert_eq!(rig.torrent.totals().bad_pieces, 1);
}

#[test]
fn what_the_tree_tells_of_a_bad_piece_names_the_liar_before_there_is_a_good_one() {
    let (mut rig, ..) = bad_piece();
    assert!(rig.torrent.has_suspects(0) && !rig.torrent.has_suspects(1));
    rig.torrent.handle_block_digests(rig.now, 0, 0, &[[0; 20]; 2]);
    assert_eq!(rig.take_events(), [Event::Ban { peer: PeerKey(2), piece: 0 }]);
}

#[test]
fn a_suspect_that_sends_nothing_blocks_nobody() {
    let (mut rig, ..) = bad_piece();
    rig.join_open(3, &[0]);
    assert_eq!(rig.requests_to(3), []);
    rig.pass(25);
    for _ in 0..2 {
        let next = rig.requests_to(3).remove(0);
        rig.good_block_of_bad_piece(3, next);
    }
    assert!(rig.torrent.is_finished());
}

#[test]
fn a_suspect_that_serves_us_no_more_blocks_nobody() {
    type End = fn(&mut Rig, PeerKey);
    let ends: [End; 3] = [
        |rig, key| rig.torrent.handle_choke(rig.now, key),
        |rig, key| rig.torrent.handle_dont_have(rig.now, key, 0),
        |rig, key| {
            for _ in 0..=FAULTS_MAX {
                rig.torrent.handle_have(rig.now, key, u32::MAX);
            }
        },
    ];
    for (index, end) in ends.iter().enumerate() {
        let (mut rig, ..) = bad_piece();
        let requests = rig.requests_to(1);
        let owner = if requests.is_empty() { 2 } else { 1 };
        let requests = if owner == 1 { requests } else { rig.requests_to(2) };
        rig.join_open(3, &[0]);
        // It is in the midst of it.
        for request in requests.into_iter().take(1) {
            rig.good_block_of_bad_piece(owner, request);
        }
        end(&mut rig, PeerKey(owner));
        for request in rig.requests_to(owner) {
            rig.torrent.handle_reject(rig.now, PeerKey(owner), request);
        }
        rig.pass(1);
        let asked = rig.requests_to(3).len() + rig.requests_to(3 - owner).len();
        assert!(asked > 0, "{index}");
    }
}

#[test]
fn a_suspect_that_leaves_in_the_middle_of_its_piece_blocks_nobody() {
    let (mut rig, ..) = bad_piece();
    let owner = if rig.requests_to(1).is_empty() { 2 } else { 1 };
    rig.join_open(3, &[0]);
    assert_eq!(rig.requests_to(3), [], "the piece is another's");
    rig.torrent.remove_peer(rig.now, PeerKey(owner));
    assert!(rig.requests_to(3).len() + rig.requests_to(3 - owner).len() > 0);
}
