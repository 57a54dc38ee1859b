//! Whose requests are served.

use super::*;

fn interested(rig: &mut Rig, key: u32) {
    rig.torrent.handle_interested(rig.now, PeerKey(key));
    rig.drain();
}

fn ask(rig: &mut Rig, key: u32, octets: Octets) -> Vec<Send> {
    rig.torrent.handle_request(rig.now, PeerKey(key), octets);
    rig.sent_to(key)
}

#[test]
fn four_and_one_more_are_unchoked_at_once_others_wait() {
    let mut rig = Rig::new(4, &[0], Settings::default(), 1);
    for key in 0..9 {
        rig.join(key, &[]);
        interested(&mut rig, key);
    }
    let open: Vec<u32> = (0..9).filter(|key| rig.sent_to(*key).contains(&Send::Unchoke)).collect();
    assert_eq!(open.len(), 5);
    // A slot that becomes vacant is given away.
    rig.torrent.remove_peer(rig.now, PeerKey(open[0]));
    let next = (0..9).filter(|key| rig.sent_to(*key).contains(&Send::Unchoke)).count();
    assert_eq!(next, 1);
}

#[test]
fn those_who_send_keep_their_slots_and_free_riders_lose_theirs() {
    let mut rig = Rig::new(400, &[0], Settings::default(), 2);
    let all: Vec<u32> = (0..400).collect();
    for key in 0..12 {
        rig.join_open(key, if key < 4 { &all } else { &[] });
        interested(&mut rig, key);
    }
    for _ in 0..30 {
        for key in 0..4 {
            for request in rig.requests_to(key).into_iter().take(2) {
                rig.good_block(key, request);
            }
        }
        rig.pass(1);
    }
    let open: Vec<u32> =
        rig.torrent.peers(rig.now).filter(|peer| !peer.am_choking).map(|peer| peer.key.0).collect();
    assert!((0..4).all(|key| open.contains(&key)), "{open:?}");
    assert_eq!(open.len(), 5, "and the optimistic unchoke");
    assert_eq!(rig.torrent.peers(rig.now).filter(|peer| peer.optimistic).count(), 1);
}

#[test]
fn requests_are_served_in_turn_and_rejected_once_choked() {
    let mut rig = Rig::new(40, &(0..20).collect::<Vec<_>>(), Settings::default(), 1);
    rig.join(1, &[]);
    rig.sent_to(1);
    assert_eq!(ask(&mut rig, 1, octets(0, 0)), [Send::Reject(octets(0, 0))], "choked");
    interested(&mut rig, 1);
    assert!(rig.sent_to(1).contains(&Send::Unchoke));
    assert_eq!(ask(&mut rig, 1, octets(0, 0)), [Send::Serve(octets(0, 0))]);
    assert_eq!(ask(&mut rig, 1, octets(0, 1)), [Send::Serve(octets(0, 1))]);
    assert_eq!(ask(&mut rig, 1, octets(1, 0)), [], "two are under way");
    assert_eq!(ask(&mut rig, 1, octets(1, 1)), []);
    rig.torrent.handle_block_sent(rig.now, PeerKey(1), octets(0, 0), true);
    assert_eq!(rig.sent_to(1), [Send::Serve(octets(1, 0))]);
    rig.torrent.handle_cancel(rig.now, PeerKey(1), octets(1, 1));
    assert_eq!(rig.sent_to(1), [Send::Reject(octets(1, 1))], "a cancel is answered (BEP 6)");
    assert_eq!(ask(&mut rig, 1, octets(30, 0)), [Send::Reject(octets(30, 0))], "not here");
    assert_eq!(ask(&mut rig, 1, octets(2, 0)), []);
    rig.torrent.set_paused(rig.now, true);
    assert_eq!(rig.sent_to(1), [Send::Choke, Send::Reject(octets(2, 0))]);
    assert_eq!(rig.torrent.totals().sent_octets, u64::from(BLOCK_OCTETS));
}

#[test]
fn the_allowed_fast_set_is_served_while_choked() {
    let mut rig = Rig::new(9, &(0..8).collect::<Vec<_>>(), Settings::default(), 1);
    let facts = PeerFacts { allowed_fast: vec![3], ..PeerFacts::default() };
    rig.torrent.add_peer(rig.now, PeerKey(1), facts).expect("a new peer");
    assert!(rig.sent_to(1).contains(&Send::AllowedFast { piece: 3 }));
    assert_eq!(ask(&mut rig, 1, octets(3, 0)), [Send::Serve(octets(3, 0))]);
    assert_eq!(ask(&mut rig, 1, octets(4, 0)), [Send::Reject(octets(4, 0))]);
}

#[test]
fn without_the_fast_extension_nothing_is_rejected() {
    let mut rig = Rig::new(9, &(0..8).collect::<Vec<_>>(), Settings::default(), 1);
    let facts = PeerFacts { fast: false, allowed_fast: vec![3], ..PeerFacts::default() };
    rig.torrent.add_peer(rig.now, PeerKey(1), facts).expect("a new peer");
    assert_eq!(rig.sent_to(1), [Send::Bitfield(vec![0b1111_1111, 0])]);
    assert_eq!(ask(&mut rig, 1, octets(3, 0)), []);
}

#[test]
fn a_seed_gives_each_novel_piece_to_one_peer() {
    let mut rig = Rig::seed(40, Settings::default());
    for key in [1, 2] {
        rig.join(key, &[]);
        interested(&mut rig, key);
        rig.sent_to(key);
    }
    assert_eq!(ask(&mut rig, 1, octets(5, 0)), [Send::Serve(octets(5, 0))]);
    let answer = ask(&mut rig, 2, octets(5, 0));
    assert!(
        matches!(answer[..], [Send::Suggest { piece }, Send::Reject(_)] if piece != 5),
        "it is sent on to another: {answer:?}"
    );
    assert_eq!(ask(&mut rig, 2, octets(6, 0)), [Send::Serve(octets(6, 0))]);
    // Once the copy is announced, the piece is its owner's to pass on.
    rig.torrent.handle_have(rig.now, PeerKey(1), 5);
    assert!(ask(&mut rig, 2, octets(5, 1)).contains(&Send::Reject(octets(5, 1))));
    // Nothing is turned down any more when everything has a copy.
    for piece in 0..40 {
        rig.torrent.handle_have(rig.now, PeerKey(1), piece);
    }
    rig.torrent.handle_block_sent(rig.now, PeerKey(2), octets(6, 0), true);
    assert_eq!(ask(&mut rig, 2, octets(5, 0)), [Send::Serve(octets(5, 0))]);
}

#[test]
fn a_peer_that_insists_is_served_in_the_end() {
    let mut rig = Rig::seed(400, Settings::default());
    rig.join(1, &[]);
    rig.join(2, &[7]);
    interested(&mut rig, 1);
    rig.sent_to(1);
    let served =
        |rig: &mut Rig| (0..100).any(|_| ask(rig, 1, octets(7, 0)).contains(&Send::Serve(octets(7, 0))));
    assert!(!served(&mut rig), "a slow seed has others to serve meanwhile");
    rig.pass(31);
    assert!(served(&mut rig), "it takes nothing else");
    rig.torrent.handle_block_sent(rig.now, PeerKey(1), octets(7, 0), true);
    assert!((0..11).any(|_| served(&mut rig)), "nor is the count without bound");
}

/// A part of the torrent is all it wants, and others want the rest.
#[test]
fn who_wants_nothing_novel_is_served_soon_and_from_then_on() {
    let mut rig = Rig::seed(400, Settings::default());
    rig.join(1, &[]);
    rig.join(2, &[7, 8]);
    interested(&mut rig, 1);
    rig.sent_to(1);
    let served = |rig: &mut Rig, wanted: Octets| {
        let served = ask(rig, 1, wanted).contains(&Send::Serve(wanted));
        if served {
            rig.torrent.handle_block_sent(rig.now, PeerKey(1), wanted, true);
        }
        served
    };
    assert!(!served(&mut rig, octets(7, 0)) && !served(&mut rig, octets(7, 0)));
    rig.pass(3);
    assert!(served(&mut rig, octets(7, 0)));
    assert!(served(&mut rig, octets(8, 0)), "nor does the next one wait");
    // Who takes what is novel after all is sent on to others again.
    assert!(served(&mut rig, octets(9, 0)) && !served(&mut rig, octets(8, 1)));
}

#[test]
fn what_only_a_peer_had_that_left_is_novel_again() {
    let mut rig = Rig::seed(400, Settings::default());
    rig.join(1, &[]);
    rig.join(2, &[7, 8]);
    rig.join(3, &[8]);
    interested(&mut rig, 1);
    rig.sent_to(1);
    let served =
        |rig: &mut Rig, piece| ask(rig, 1, octets(piece, 0)).contains(&Send::Serve(octets(piece, 0)));
    assert!(!served(&mut rig, 7));
    rig.torrent.remove_peer(rig.now, PeerKey(2));
    assert!(served(&mut rig, 7) && !served(&mut rig, 8));
    rig.torrent.handle_dont_have(rig.now, PeerKey(3), 8);
    assert!(served(&mut rig, 8));
}

/// Nobody else is given the uplink that the last novel pieces need.
#[test]
fn at_the_end_of_the_spread_copies_wait_for_what_is_novel() {
    let mut rig = Rig::seed(2, Settings { serve_ahead_octets: BLOCK_OCTETS, ..Settings::default() });
    for key in [1, 2] {
        rig.join(key, &[]);
        interested(&mut rig, key);
        rig.sent_to(key);
    }
    rig.torrent.handle_have(rig.now, PeerKey(2), 1);
    assert_eq!(ask(&mut rig, 1, octets(0, 0)), [Send::Serve(octets(0, 0))]);
    // There is no room for the second half of the last novel piece, yet.
    assert_eq!(ask(&mut rig, 1, octets(0, 1)), []);
    assert_eq!(ask(&mut rig, 2, octets(0, 0)), []);
    rig.torrent.handle_block_sent(rig.now, PeerKey(1), octets(0, 0), true);
    rig.drain();
    let all = std::mem::take(&mut rig.sent);
    assert_eq!(all.first(), Some(&(1, Send::Serve(octets(0, 1)))));
    assert_eq!(all.last(), Some(&(2, Send::Serve(octets(0, 0)))), "nothing else is to be done");
}

/// Who takes the last novel piece slowly holds nobody up, unless it is slow because
/// our uplink is full.
#[test]
fn copies_go_out_beside_a_slow_taker_of_what_is_novel_where_the_uplink_has_room() {
    for full in [true, false] {
        let mut rig = Rig::seed(41, Settings { serve_ahead_octets: BLOCK_OCTETS, ..Settings::default() });
        let copied: Vec<u32> = (1..41).collect();
        for (key, pieces) in [(1, &[][..]), (2, &copied), (3, &[])] {
            rig.join(key, pieces);
            interested(&mut rig, key);
            rig.sent_to(key);
        }
        let pass = |rig: &mut Rig, pieces: std::ops::Range<u32>, blocks: usize| {
            for piece in pieces {
                rig.now += Duration::from_millis(100);
                for _ in 0..blocks {
                    rig.torrent.handle_block_sent(rig.now, PeerKey(3), octets(piece, 0), true);
                }
                rig.torrent.handle_have(rig.now, PeerKey(3), piece);
            }
        };
        pass(&mut rig, 1..21, 10);
        assert_eq!(ask(&mut rig, 1, octets(0, 0)), [Send::Serve(octets(0, 0))]);
        assert_eq!(ask(&mut rig, 1, octets(0, 1)), [], "there is no room for it");
        pass(&mut rig, 21..41, if full { 10 } else { 0 });
        let answer = ask(&mut rig, 2, octets(0, 0));
        assert_eq!(answer == [Send::Serve(octets(0, 0))], !full, "{answer:?}");
    }
}

/// The four keep their slots and ask for little: the rest is others'.
#[test]
fn a_leecher_whose_uplink_has_room_unchokes_more_and_no_more_than_is_set() {
    for (spare_slots, all) in [(0, 5), (2, 7), (8, 10)] {
        let settings = Settings { spare_slots, ..Settings::default() };
        let mut rig = Rig::new(400, &(0..300).collect::<Vec<_>>(), settings, 1);
        for key in 1..=10 {
            rig.join(key, &[350 + key]);
            interested(&mut rig, key);
        }
        let unchoked = |rig: &Rig| rig.torrent.peers(rig.now).filter(|peer| !peer.am_choking).count();
        let pass = |rig: &mut Rig, blocks: u32| {
            for step in 0..30 {
                rig.now += Duration::from_millis(100);
                for block in 0..blocks {
                    rig.torrent.handle_block_sent(rig.now, PeerKey(1), octets(step, block), true);
                }
                rig.torrent.handle_timeout(rig.now);
                rig.torrent.handle_have(rig.now, PeerKey(blocks), step);
                rig.drain();
            }
        };
        pass(&mut rig, 10);
        assert_eq!(unchoked(&rig), 5, "its uplink is full");
        pass(&mut rig, 1);
        assert_eq!(unchoked(&rig), all, "of {spare_slots}");
    }
}

#[test]
fn a_quick_seed_gives_more_slots_away_at_once() {
    let mut rig = Rig::seed(400, Settings::default());
    for key in 1..=8 {
        rig.join(key, &[]);
        interested(&mut rig, key);
    }
    let unchoked = |rig: &Rig| rig.torrent.peers(rig.now).filter(|peer| !peer.am_choking).count();
    assert_eq!(unchoked(&rig), 5, "four and the optimistic one");
    for block in 0..100 {
        rig.now += Duration::from_millis(5);
        rig.torrent.handle_block_sent(rig.now, PeerKey(1), octets(block / 2, block % 2), true);
    }
    assert_eq!(unchoked(&rig), 8);
}

#[test]
fn super_seeding_shows_one_piece_after_the_other() {
    let settings = Settings { super_seeding: true, ..Settings::default() };
    let mut rig = Rig::seed(20, settings);
    let shown = |sent: Vec<Send>| -> Vec<u32> {
        sent.into_iter()
            .filter_map(|send| if let Send::Have { piece } = send { Some(piece) } else { None })
            .collect()
    };
    rig.join(1, &[]);
    let sent = rig.sent_to(1);
    assert_eq!(sent[0], Send::HaveNone);
    let first = shown(sent);
    assert_eq!(first.len(), SHOWN_PENDING_MAX);
    rig.join(2, &[]);
    let second = shown(rig.sent_to(2));
    assert!(second.iter().all(|piece| !first.contains(piece)));
    interested(&mut rig, 1);
    rig.sent_to(1);
    assert_eq!(ask(&mut rig, 1, octets(first[0], 0)), [Send::Serve(octets(first[0], 0))]);
    assert_eq!(ask(&mut rig, 1, octets(second[0], 0)), [Send::Reject(octets(second[0], 0))]);
    rig.torrent.handle_have(rig.now, PeerKey(1), first[0]);
    assert_eq!(rig.sent_to(1), [], "it has it, nobody else");
    rig.torrent.handle_have(rig.now, PeerKey(2), first[0]);
    assert_eq!(shown(rig.sent_to(1)).len(), 1);
}

#[test]
fn two_who_have_everything_part() {
    let mut rig = Rig::seed(4, Settings::default());
    rig.join(1, &[0, 1, 2, 3]);
    rig.join(2, &[0]);
    let useless = |peer| Event::Disconnect { peer: PeerKey(peer), reason: Reason::Useless };
    assert_eq!(rig.take_events(), [useless(1)]);
    rig.torrent.handle_upload_only(rig.now, PeerKey(2), true);
    assert_eq!(rig.take_events(), [useless(2)]);
    let mut keeps = Rig::seed(4, Settings { disconnect_useless: false, ..Settings::default() });
    keeps.join(1, &[0, 1, 2, 3]);
    assert_eq!(keeps.take_events(), []);
}

#[test]
fn a_seed_that_reached_its_goal_says_so_once() {
    let goal = SeedingGoal { share_ratio: Some(0.25), ..SeedingGoal::default() };
    let mut rig = Rig::seed(4, Settings { seeding_goal: goal, ..Settings::default() });
    rig.join(1, &[]);
    interested(&mut rig, 1);
    for block in 0..2 {
        rig.pass(1);
        assert_eq!(rig.take_events(), []);
        ask(&mut rig, 1, octets(0, block));
        rig.torrent.handle_block_sent(rig.now, PeerKey(1), octets(0, block), true);
    }
    rig.pass(3);
    assert_eq!(rig.take_events(), [Event::SeedingGoalReached]);
    // What earlier runs sent counts, and a new goal is reached anew.
    rig.torrent.set_seeding_goal(SeedingGoal { share_ratio: Some(10.0), ..goal });
    rig.pass(2);
    assert_eq!(rig.take_events(), []);
    rig.torrent.set_sent_before(10 * rig.torrent.lengths().total_octets());
    rig.pass(2);
    assert_eq!(rig.take_events(), [Event::SeedingGoalReached]);
}

/// Neither a slot nor an allowed-fast piece of a peer that does not upload.
#[test]
fn who_does_not_upload_unchokes_nobody_and_serves_nothing() {
    let have: Vec<u32> = (0..4).collect();
    let mut rig = Rig::new(8, &have, Settings::default().without_upload(), 1);
    assert!(Settings::default().uploads());
    let facts = PeerFacts { fast: true, allowed_fast: have, ..PeerFacts::default() };
    rig.torrent.add_peer(rig.now, PeerKey(1), facts).expect("a new peer");
    interested(&mut rig, 1);
    rig.pass(120);
    let sent = rig.sent_to(1);
    let gives = |send: &Send| matches!(send, Send::Unchoke | Send::AllowedFast { .. });
    assert!(!sent.iter().any(gives), "{sent:?}");
    assert_eq!(ask(&mut rig, 1, octets(0, 0)), [Send::Reject(octets(0, 0))]);
}

#[test]
fn a_share_ratio_is_of_what_is_wanted_or_here() {
    let goal = SeedingGoal { share_ratio: Some(1.0), ..SeedingGoal::default() };
    for (have, enough) in [(&[0][..], 2), (&[0, 1], 4)] {
        let mut rig = Rig::new(4, have, Settings { seeding_goal: goal, ..Settings::default() }, 1);
        rig.torrent.set_priorities(rig.now, (1..4).map(|piece| (piece, Priority::Skip)));
        rig.join(1, &[]);
        interested(&mut rig, 1);
        for sent in 1..=enough {
            assert!(!rig.torrent.is_goal_reached(rig.now), "{sent} blocks of {enough}");
            rig.torrent.handle_block_sent(rig.now, PeerKey(1), octets(0, 0), true);
        }
        assert!(rig.torrent.is_goal_reached(rig.now));
    }
}
