//! Interest, requests, and the endgame.

use super::*;

#[test]
fn interest_follows_what_a_peer_has() {
    let mut rig = Rig::new(4, &[0], Settings::default(), 1);
    rig.join(7, &[0]);
    assert_eq!(rig.sent_to(7).len(), 1, "a bitfield, no interest");
    rig.torrent.handle_have(rig.now, PeerKey(7), 2);
    assert_eq!(rig.sent_to(7), [Send::Interested]);
    rig.torrent.handle_have(rig.now, PeerKey(7), 2);
    assert_eq!(rig.sent_to(7), []);
    rig.torrent.handle_unchoke(rig.now, PeerKey(7));
    assert_eq!(rig.requests_to(7), [octets(2, 0), octets(2, 1)]);
    rig.good_block(7, octets(2, 0));
    rig.good_block(7, octets(2, 1));
    assert_eq!(rig.sent_to(7), [Send::Have { piece: 2 }, Send::NotInterested]);
    rig.torrent.handle_have(rig.now, PeerKey(7), 3);
    rig.torrent.handle_dont_have(rig.now, PeerKey(7), 3);
    let sent = rig.sent_to(7);
    assert_eq!((sent.first(), sent.last()), (Some(&Send::Interested), Some(&Send::NotInterested)));
}

#[test]
fn what_a_choke_or_a_leave_ends_is_asked_of_others() {
    let settings = Settings { requests_min: 1, requests_max: 1, ..Settings::default() };
    let mut rig = Rig::new(1, &[], settings, 1);
    rig.join_open(1, &[0]);
    rig.join_open(2, &[0]);
    let (one, two) = (rig.requests_to(1), rig.requests_to(2));
    assert_eq!((&one[..], &two[..]), (&[octets(0, 0)][..], &[octets(0, 1)][..]));
    rig.torrent.handle_choke(rig.now, PeerKey(1));
    assert!(rig.torrent.peers(rig.now).all(|peer| peer.requests == 1), "it will be rejected or served");
    rig.torrent.handle_reject(rig.now, PeerKey(1), one[0]);
    rig.good_block(2, two[0]);
    assert_eq!(rig.requests_to(2), one);
    rig.torrent.remove_peer(rig.now, PeerKey(2));
    rig.torrent.handle_unchoke(rig.now, PeerKey(1));
    assert_eq!(rig.requests_to(1), one);
}

#[test]
fn allowed_fast_pieces_are_asked_for_while_choked() {
    let mut rig = Rig::leecher(9);
    rig.join(1, &(0..9).collect::<Vec<_>>());
    assert_eq!(rig.requests_to(1), []);
    rig.torrent.handle_allowed_fast(rig.now, PeerKey(1), 6);
    assert_eq!(rig.requests_to(1), [octets(6, 0), octets(6, 1)]);
    // A rejection while choked takes the permission back.
    rig.torrent.handle_reject(rig.now, PeerKey(1), octets(6, 0));
    assert_eq!(rig.requests_to(1), []);
}

#[test]
fn a_rejected_piece_is_not_asked_for_again_at_once() {
    let settings = Settings { requests_min: 1, requests_max: 1, ..Settings::default() };
    let mut rig = Rig::new(2, &[], settings, 1);
    rig.join_open(1, &[0, 1]);
    let first = rig.requests_to(1)[0];
    rig.torrent.handle_reject(rig.now, PeerKey(1), first);
    let second = rig.requests_to(1)[0];
    assert_ne!(first.piece, second.piece);
    rig.torrent.handle_reject(rig.now, PeerKey(1), second);
    assert_eq!(rig.requests_to(1), []);
    rig.pass(6);
    assert_eq!(rig.requests_to(1).len(), 1, "after {REFUSED_SPAN:?}");
}

/// A seed that had something better to send may have sent it: whoever rejected all it
/// was asked for is not idle until the next look at the peers.
#[test]
fn a_peer_that_rejected_everything_is_asked_again_soon() {
    let mut rig = Rig::leecher(40);
    rig.join_open(1, &[0, 1]);
    for request in rig.requests_to(1) {
        rig.torrent.handle_reject(rig.now, PeerKey(1), request);
    }
    assert!(rig.requests_to(1).is_empty(), "not at once");
    rig.join_open(2, &(2..40).collect::<Vec<_>>());
    let others = rig.requests_to(2);
    rig.now += Duration::from_millis(20);
    rig.good_block(2, others[0]);
    assert!(rig.requests_to(1).is_empty(), "nor a moment later");
    rig.now += Duration::from_millis(40);
    rig.good_block(2, others[1]);
    assert!(!rig.requests_to(1).is_empty(), "but when another's block comes");
}

#[test]
fn the_last_blocks_are_asked_of_two_and_the_second_is_told() {
    let mut rig = Rig::leecher(1);
    rig.join_open(1, &[0]);
    assert_eq!(rig.requests_to(1).len(), 2);
    rig.join_open(2, &[0]);
    assert_eq!(rig.requests_to(2), [octets(0, 1)], "the one that would come last");
    rig.good_block(2, octets(0, 1));
    assert_eq!(rig.sent_to(1), [Send::Cancel(octets(0, 1))]);
    rig.pass(1);
    assert_eq!(rig.requests_to(2), [octets(0, 0)]);
    // It crossed the cancel.
    assert_eq!(rig.block(1, octets(0, 1)), BlockUse::Duplicate);
    rig.good_block(1, octets(0, 0));
    assert!(rig.sent_to(2).contains(&Send::Cancel(octets(0, 0))) && rig.torrent.is_finished());
    assert_eq!(rig.torrent.totals().wasted_octets, u64::from(BLOCK_OCTETS));
}

#[test]
fn an_idle_peer_takes_over_from_the_slowest() {
    let settings = Settings { requests_min: 16, random_first_pieces: 0, ..Settings::default() };
    let mut rig = Rig::new(8, &[], settings, 1);
    let all: Vec<u32> = (0..8).collect();
    rig.join_open(1, &all);
    let slow = rig.requests_to(1);
    assert_eq!(slow.len(), 16, "all that there is");
    rig.now += Duration::from_secs(5);
    rig.good_block(1, slow[0]);
    // Another comes, and is fast once it is tried.
    rig.join_open(2, &all);
    rig.pass(2);
    let mut taken = rig.requests_to(2);
    assert!(!taken.is_empty(), "it helps");
    let cancelled = rig.sent_to(1).into_iter().filter(|send| matches!(send, Send::Cancel(_))).count();
    assert!(cancelled > 0, "the slow one is told");
    while let Some(request) = taken.pop() {
        rig.now += Duration::from_millis(5);
        rig.good_block(2, request);
        taken.extend(rig.requests_to(2));
    }
    assert!(rig.torrent.missing().count() <= 1, "all but what the slow one is about to send");
}

#[test]
fn a_silent_peer_is_snubbed_after_a_minute() {
    let mut rig = Rig::leecher(4);
    rig.join_open(1, &[0, 1, 2, 3]);
    rig.pass(59);
    assert_eq!(rig.take_events(), []);
    rig.pass(22);
    assert_eq!(rig.take_events(), [Event::Snubbed { peer: PeerKey(1) }]);
    assert!(rig.torrent.peers(rig.now).all(|peer| peer.snubs && peer.requests <= 1));
    let asked = rig.requests_to(1).last().copied().expect("one at a time");
    rig.good_block(1, asked);
    assert!(rig.torrent.peers(rig.now).all(|peer| !peer.snubs && peer.requests > 1));
}

#[test]
fn a_pause_withdraws_everything_and_ends() {
    let mut rig = Rig::leecher(2);
    rig.join_open(1, &[0, 1]);
    let asked = rig.requests_to(1).len();
    rig.torrent.set_paused(rig.now, true);
    let sent = rig.sent_to(1);
    assert_eq!(sent.iter().filter(|send| matches!(send, Send::Cancel(_))).count(), asked);
    assert!(sent.contains(&Send::NotInterested));
    rig.torrent.set_paused(rig.now, false);
    let sent = rig.sent_to(1);
    assert_eq!(sent.first(), Some(&Send::Interested));
    assert_eq!(sent.iter().filter(|send| matches!(send, Send::Request(_))).count(), asked);
}

#[test]
fn a_piece_that_was_not_written_is_asked_for_again() {
    let mut rig = Rig::new(1, &[], Settings { disconnect_useless: false, ..Settings::default() }, 1);
    rig.join_open(1, &[0]);
    for request in rig.requests_to(1) {
        rig.block(1, request);
    }
    rig.torrent.handle_piece_unwritten(rig.now, 0);
    let again = rig.requests_to(1);
    assert_eq!(again.len(), 2);
    rig.block(1, again[0]);
    rig.take_events();
    rig.good_block(1, again[1]);
    assert!(rig.torrent.is_finished());
}
