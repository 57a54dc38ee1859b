//! Which piece is asked for.

use super::*;
use proptest::prelude::*;

/// One request at a time, so that each choice is seen.
fn one_at_a_time() -> Settings {
    Settings { requests_min: 1, requests_max: 1, random_first_pieces: 0, ..Settings::default() }
}

/// Downloads everything from peer 0; gives the pieces in their order.
fn order(rig: &mut Rig, mut check: impl FnMut(&Rig, u32)) -> Vec<u32> {
    let mut order = Vec::new();
    while let Some(request) = rig.requests_to(0).first().copied() {
        if order.last() != Some(&request.piece) {
            check(rig, request.piece);
            order.push(request.piece);
        }
        rig.good_block(0, request);
    }
    order
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever others have and whatever is wanted: the next piece is one that a
    /// sort of all missing ones by priority and copies could put first.
    #[test]
    fn the_rarest_of_the_highest_priority_is_next(
        holdings in prop::collection::vec(prop::collection::vec(any::<bool>(), 24), 1..7),
        priorities in prop::collection::vec(0_u8..4, 24),
        seed in any::<u64>(),
    ) {
        let all: Vec<u32> = (0..24).collect();
        let mut rig = Rig::new(24, &[], one_at_a_time(), seed);
        let priority = |piece: u32| {
            [Priority::Skip, Priority::Low, Priority::Normal, Priority::High][priorities[piece as usize] as usize]
        };
        rig.torrent.set_priorities(rig.now, all.iter().map(|piece| (*piece, priority(*piece))));
        for (key, held) in holdings.iter().enumerate() {
            let pieces: Vec<u32> = all.iter().copied().filter(|piece| held[*piece as usize]).collect();
            rig.join(key as u32 + 1, &pieces);
        }
        rig.join_open(0, &all);
        let order = order(&mut rig, |rig, piece| {
            let rank = |piece: u32| (std::cmp::Reverse(priority(piece)), rig.torrent.copies(piece));
            let least = rig.torrent.missing().iter().map(rank).min();
            assert_eq!(Some(rank(piece)), least, "piece {piece}");
        });
        prop_assert_eq!(order.len(), all.iter().filter(|piece| priority(**piece) != Priority::Skip).count());
        prop_assert!(rig.torrent.is_finished());
    }
}

#[test]
fn equally_rare_pieces_come_in_random_order() {
    let mut firsts: Vec<u32> = (0..200)
        .map(|seed| {
            let mut rig = Rig::new(20, &[], one_at_a_time(), seed);
            rig.join_open(0, &(0..20).collect::<Vec<_>>());
            rig.requests_to(0)[0].piece
        })
        .collect();
    firsts.sort_unstable();
    firsts.dedup();
    assert_eq!(firsts.len(), 20, "each piece is some seed's first");
}

#[test]
fn the_first_piece_is_random_then_the_rarest() {
    let mut seen = [0_u32; 10];
    for seed in 0..200 {
        let settings = Settings { random_first_pieces: 1, ..one_at_a_time() };
        let mut rig = Rig::new(10, &[], settings, seed);
        rig.join(1, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        rig.join_open(0, &(0..10).collect::<Vec<_>>());
        let order = order(&mut rig, |_, _| {});
        seen[order[0] as usize] += 1;
        assert!(order[0] == 0 || order[1] == 0, "the rarest is second at the latest: {order:?}");
    }
    assert!(seen.iter().all(|count| *count > 5), "{seen:?}");
}

#[test]
fn what_is_begun_is_finished_before_equally_rare_pieces_are_begun() {
    let mut rig = Rig::new(8, &[], one_at_a_time(), 3);
    let all: Vec<u32> = (0..8).collect();
    rig.join_open(0, &all);
    rig.join_open(1, &all);
    let (one, two) = (rig.requests_to(0)[0], rig.requests_to(1)[0]);
    assert_eq!(one.piece, two.piece);
    assert_ne!(one.begin, two.begin);
    // A piece that is rarer goes before the rest of one that is begun.
    let mut rig = Rig::new(8, &[], one_at_a_time(), 3);
    rig.join_open(1, &[3]);
    rig.join_open(0, &[3, 5]);
    assert_eq!(rig.requests_to(0)[0].piece, 5);
}

#[test]
fn in_sequence_pieces_come_in_their_order() {
    let settings = Settings { sequential: true, ..one_at_a_time() };
    let mut rig = Rig::new(12, &[2], settings, 4);
    rig.join(1, &[0, 1, 3]);
    rig.join_open(0, &(0..12).collect::<Vec<_>>());
    assert_eq!(order(&mut rig, |_, _| {}), [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
}

#[test]
fn deadlines_go_before_everything_the_nearest_first() {
    let mut rig = Rig::new(12, &[], one_at_a_time(), 4);
    let at = |seconds| Some(rig.now + Duration::from_secs(seconds));
    let (now, soon, later) = (rig.now, at(5), at(50));
    assert!(rig.torrent.set_deadline(now, 9, later) && rig.torrent.set_deadline(now, 4, soon));
    rig.join_open(0, &(0..12).collect::<Vec<_>>());
    let first = rig.requests_to(0)[0];
    assert_eq!(first.piece, 4);
    // A jump of the player in the middle of a piece.
    assert!(rig.torrent.set_deadline(now, 7, Some(now)));
    rig.good_block(0, first);
    assert_eq!(order(&mut rig, |_, _| {})[..3], [7, 4, 9]);
}

#[test]
fn a_suggested_piece_goes_before_others_that_are_not_begun() {
    let mut rig = Rig::new(50, &[], one_at_a_time(), 4);
    rig.join(0, &(0..50).collect::<Vec<_>>());
    rig.torrent.handle_suggest(rig.now, PeerKey(0), 33);
    rig.torrent.handle_unchoke(rig.now, PeerKey(0));
    assert_eq!(rig.requests_to(0)[0].piece, 33);
}

#[test]
fn without_some_pieces_a_torrent_is_finished_but_not_complete() {
    let mut rig = Rig::new(3, &[], Settings { disconnect_useless: false, ..Settings::default() }, 1);
    rig.torrent.set_priorities(rig.now, [(1, Priority::Skip), (7, Priority::High)]);
    rig.join_open(0, &[0, 1, 2]);
    for request in rig.requests_to(0) {
        assert_ne!(request.piece, 1);
        rig.good_block(0, request);
    }
    let events = rig.take_events();
    assert!(events.contains(&Event::Finished) && !events.contains(&Event::Completed), "{events:?}");
    // Wanted after all.
    rig.torrent.set_priorities(rig.now, [(1, Priority::Low)]);
    let requests = rig.requests_to(0);
    assert_eq!(requests, [octets(1, 0), octets(1, 1)]);
    for request in requests {
        rig.good_block(0, request);
    }
    assert!(rig.take_events().contains(&Event::Completed));
}
