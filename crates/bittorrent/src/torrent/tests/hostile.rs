//! Peers that break the rules.

use super::*;
use proptest::prelude::*;

const ODD: [Octets; 5] = [
    Octets { piece: 0, begin: 0, octets: 0 },
    Octets { piece: 0, begin: 1, octets: BLOCK_OCTETS },
    Octets { piece: 0, begin: u32::MAX, octets: u32::MAX },
    Octets { piece: u32::MAX, begin: 0, octets: BLOCK_OCTETS },
    Octets { piece: 1, begin: BLOCK_OCTETS, octets: 2 * BLOCK_OCTETS },
];

fn disconnects(rig: &mut Rig) -> usize {
    let fault = |event: &Event| matches!(event, Event::Disconnect { reason: Reason::Faults, .. });
    rig.take_events().iter().filter(|event| fault(event)).count()
}

#[test]
fn a_flood_without_sense_ends_in_a_disconnect_told_once() {
    type Flood = fn(&mut Rig, u32);
    let floods: [(&str, Flood); 6] = [
        ("have", |rig, at| rig.torrent.handle_have(rig.now, PeerKey(1), 4 + at)),
        ("dont have", |rig, at| rig.torrent.handle_dont_have(rig.now, PeerKey(1), 4 + at)),
        ("suggest", |rig, at| rig.torrent.handle_suggest(rig.now, PeerKey(1), 4 + at)),
        ("request", |rig, at| rig.torrent.handle_request(rig.now, PeerKey(1), ODD[at as usize % 5])),
        ("odd block", |rig, at| {
            assert_eq!(
                rig.torrent.handle_block(rig.now, PeerKey(1), ODD[at as usize % 5]),
                BlockUse::Unrequested
            );
        }),
        ("block", |rig, _| {
            assert_eq!(rig.torrent.handle_block(rig.now, PeerKey(1), octets(0, 0)), BlockUse::Duplicate);
        }),
    ];
    for (name, flood) in floods {
        let mut rig = Rig::new(4, &[0], Settings::default(), 1);
        rig.join(1, &[]);
        rig.torrent.handle_interested(rig.now, PeerKey(1));
        for at in 0..FAULTS_MAX {
            flood(&mut rig, at);
            rig.drain();
        }
        assert_eq!(disconnects(&mut rig), 0, "{name}: {FAULTS_MAX} faults may happen");
        for at in 0..100 {
            flood(&mut rig, at);
            rig.drain();
        }
        assert_eq!(disconnects(&mut rig), 1, "{name}");
    }
}

#[test]
fn hints_are_bounded_the_newest_stay() {
    let mut rig = Rig::leecher(1_000);
    rig.join(1, &(0..1_000).collect::<Vec<_>>());
    for piece in 0..1_000 {
        rig.torrent.handle_allowed_fast(rig.now, PeerKey(1), piece);
        rig.torrent.handle_suggest(rig.now, PeerKey(1), piece);
    }
    let peer = rig.torrent.peers.iter().next().expect("a peer").1;
    assert_eq!((peer.allowed.len(), peer.suggested.len()), (HINTS_MAX, HINTS_MAX));
    assert_eq!(peer.suggested.last(), Some(&999));
}

#[test]
fn a_flood_of_requests_is_queued_up_to_the_bound() {
    let mut rig = Rig::new(1_000, &(0..999).collect::<Vec<_>>(), Settings::default(), 1);
    rig.join(1, &[]);
    rig.torrent.handle_interested(rig.now, PeerKey(1));
    rig.sent_to(1);
    for piece in 0..999 {
        rig.torrent.handle_request(rig.now, PeerKey(1), octets(piece, 0));
    }
    let rejected = rig.sent_to(1).into_iter().filter(|send| matches!(send, Send::Reject(_))).count();
    assert_eq!(rejected, 999 - REQUESTS_QUEUED_MAX);
}

#[test]
fn who_rejects_everything_is_left_alone_for_a_while() {
    let mut rig = Rig::leecher(1_000);
    rig.join_open(1, &(0..1_000).collect::<Vec<_>>());
    let mut asked = 0;
    for _ in 0..10_000 {
        for request in rig.requests_to(1) {
            asked += 1;
            rig.torrent.handle_reject(rig.now, PeerKey(1), request);
        }
    }
    assert!(asked <= 2 * HINTS_MAX + 4, "{asked}");
    rig.pass(6);
    assert!(!rig.requests_to(1).is_empty(), "it gets another chance");
}

#[test]
fn a_peer_that_does_not_exist_is_answered_nothing() {
    let mut rig = Rig::leecher(4);
    rig.torrent.handle_unchoke(rig.now, PeerKey(9));
    assert_eq!(rig.block(9, octets(0, 0)), BlockUse::Unrequested);
    rig.torrent.remove_peer(rig.now, PeerKey(9));
    rig.torrent.handle_piece_checked(rig.now, 0, true, &[]);
    rig.torrent.handle_piece_checked(rig.now, u32::MAX, false, &[]);
    assert!(rig.torrent.have().is_empty() && rig.take_events().is_empty());
    rig.join(1, &[]);
    assert_eq!(
        rig.torrent.add_peer(rig.now, PeerKey(1), PeerFacts::default()),
        Err(AddPeerError::InUse(PeerKey(1)))
    );
    assert!(rig.torrent.handle_bitfield(rig.now, PeerKey(1), &[0xff]).is_err());
}

/// Anything a peer or the service can do.
fn act(rig: &mut Rig, what: u8, key: u32, piece: u32, block: u32, asked: &mut Vec<(u32, Octets)>) {
    let (now, peer, octets) = (rig.now, PeerKey(key), octets(piece, block));
    let torrent = &mut rig.torrent;
    match what {
        0 => drop(torrent.add_peer(
            now,
            peer,
            PeerFacts { fast: key.is_multiple_of(2), ..PeerFacts::default() },
        )),
        1 => torrent.remove_peer(now, peer),
        2 => torrent.handle_have(now, peer, piece),
        3 => torrent.handle_have_all(now, peer),
        4 => torrent.handle_dont_have(now, peer, piece),
        5 => torrent.handle_choke(now, peer),
        6 | 7 => torrent.handle_unchoke(now, peer),
        8 => torrent.handle_interested(now, peer),
        9 => torrent.handle_not_interested(now, peer),
        10 => torrent.handle_request(now, peer, octets),
        11 => torrent.handle_reject(now, peer, octets),
        12 => torrent.handle_allowed_fast(now, peer, piece),
        13 => drop(torrent.handle_block(now, peer, octets)),
        14 => {
            torrent.set_priorities(now, [(piece, if block == 0 { Priority::Skip } else { Priority::High })]);
        }
        15 => drop(torrent.set_deadline(now, piece, (block == 0).then_some(now))),
        16 => torrent.handle_piece_unwritten(now, piece),
        17 => torrent.set_paused(now, block == 0),
        18 => rig.pass(u64::from(piece)),
        _ => {
            if !asked.is_empty() {
                let (key, octets) = asked.swap_remove(piece as usize % asked.len());
                torrent.handle_block(now, PeerKey(key), octets);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever happens: no panic, no block is asked of more peers than may be,
    /// what is missing is what is neither here nor skipped, and in the end an
    /// honest seed completes it.
    #[test]
    fn nothing_brings_it_out_of_order(
        steps in prop::collection::vec((0_u8..26, 0_u32..5, 0_u32..7, 0_u32..3, any::<bool>()), 1..250),
    ) {
        let mut rig = Rig::leecher(6);
        let mut asked = Vec::new();
        for (what, key, piece, block, good) in steps {
            act(&mut rig, what, key, piece, block, &mut asked);
            rig.drain();
            for event in std::mem::take(&mut rig.events) {
                if let Event::PieceReady { piece, .. } = event {
                    rig.torrent.handle_piece_checked(rig.now, piece, good, &[[7; 20]; 2]);
                }
            }
            for (key, send) in std::mem::take(&mut rig.sent) {
                if let Send::Request(octets) = send {
                    asked.push((key, octets));
                }
            }
            for piece in 0..6 {
                let wanted = rig.torrent.priority(piece) != Priority::Skip;
                prop_assert_eq!(rig.torrent.missing().contains(piece), wanted && !rig.torrent.have().contains(piece));
            }
            let requests: usize = rig.torrent.peers(rig.now).map(|peer| peer.requests).sum();
            prop_assert!(requests <= 12 * COPIES_MAX, "{}", requests);
        }
        rig.torrent.set_paused(rig.now, false);
        rig.torrent.set_priorities(rig.now, (0..6).map(|piece| (piece, Priority::Normal)));
        rig.join_open(99, &[0, 1, 2, 3, 4, 5]);
        for _ in 0..200 {
            for request in rig.requests_to(99) {
                rig.block(99, request);
            }
            for event in rig.take_events() {
                if let Event::PieceReady { piece, .. } = event {
                    rig.torrent.handle_piece_checked(rig.now, piece, true, &[[7; 20]; 2]);
                }
            }
            rig.pass(1);
        }
        prop_assert!(rig.torrent.have().is_full(), "{:?}", rig.torrent.missing());
    }
}
