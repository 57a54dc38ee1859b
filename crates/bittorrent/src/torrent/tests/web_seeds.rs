//! Web seeds: peers that have all and are asked for long runs.

use super::*;

impl Rig {
    /// A web seed joins and serves us.
    fn join_web_seed(&mut self, key: u32) {
        let facts = PeerFacts { web_seed: true, upload_only: true, ..PeerFacts::default() };
        self.torrent.add_peer(self.now, PeerKey(key), facts).expect("a new peer");
        self.torrent.handle_have_all(self.now, PeerKey(key));
        self.torrent.handle_unchoke(self.now, PeerKey(key));
        self.drain();
    }
}

/// The pieces of requests, each once, in their order.
fn pieces(requests: &[Octets]) -> Vec<u32> {
    let mut pieces: Vec<u32> = requests.iter().map(|octets| octets.piece).collect();
    pieces.dedup();
    pieces
}

#[test]
fn a_web_seed_is_asked_for_many_blocks_that_follow_one_another() {
    let mut rig = Rig::leecher(200);
    rig.join_web_seed(1);
    let first = rig.requests_to(1);
    assert_eq!(first.len(), 64, "a mebibyte");
    assert_eq!(pieces(&first), (0..32).collect::<Vec<_>>());
    for octets in &first[..31] {
        rig.good_block(1, *octets);
        rig.now += Duration::from_millis(100);
    }
    assert_eq!(rig.requests_to(1), [], "not one by one");
    rig.good_block(1, first[31]);
    let next = rig.requests_to(1);
    assert_eq!(next.len(), 32);
    assert_eq!(pieces(&next), (32..48).collect::<Vec<_>>());
    assert_eq!((rig.torrent.seeds(), rig.torrent.copies(0)), (0, 0), "it makes no piece less rare");
}

#[test]
fn a_web_seed_fills_the_longest_gap_and_the_second_one_shares_it() {
    let mut rig = Rig::new(1_000, &[100, 150, 700], Settings::default(), 1);
    rig.join_web_seed(1);
    assert_eq!(pieces(&rig.requests_to(1)), (151..183).collect::<Vec<_>>());
    rig.join_web_seed(2);
    assert_eq!(pieces(&rig.requests_to(2)), (441..473).collect::<Vec<_>>(), "the middle of what is left");
}

#[test]
fn what_a_player_needs_goes_before_runs() {
    let mut rig = Rig::leecher(500);
    for (seconds, piece) in [(1, 400), (2, 401), (3, 7)] {
        let at = rig.now + Duration::from_secs(seconds);
        assert!(rig.torrent.set_deadline(rig.now, piece, Some(at)));
    }
    rig.join_web_seed(1);
    assert_eq!(pieces(&rig.requests_to(1))[..3], [400, 401, 7]);
}

#[test]
fn a_web_seed_that_rests_is_asked_for_nothing_and_one_that_lies_is_banned() {
    let mut rig = Rig::leecher(40);
    rig.join_web_seed(1);
    let asked = rig.requests_to(1);
    rig.torrent.handle_choke(rig.now, PeerKey(1));
    for octets in &asked {
        rig.torrent.handle_reject(rig.now, PeerKey(1), *octets);
    }
    assert_eq!(rig.requests_to(1), []);
    rig.torrent.handle_unchoke(rig.now, PeerKey(1));
    let again = rig.requests_to(1);
    assert_eq!(again.len(), 64);
    for octets in &again[..2] {
        rig.block(1, *octets);
    }
    rig.torrent.handle_piece_checked(rig.now, again[0].piece, false, &[[1; 20], [2; 20]]);
    assert!(rig.take_events().contains(&Event::Ban { peer: PeerKey(1), piece: again[0].piece }));
    assert_eq!(rig.requests_to(1), []);
}
