//! The rules of one torrent, as peers see them.

mod bans;
mod download;
mod hostile;
mod picking;
mod serving;
mod web_seeds;

use super::*;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use std::time::Duration;

/// A torrent of pieces of two blocks, and the time.
struct Rig {
    torrent: Torrent,
    now: Instant,
    sent: Vec<(u32, Send)>,
    events: Vec<Event>,
}

const PIECE_OCTETS: u32 = 2 * BLOCK_OCTETS;

fn set(len: u32, pieces: &[u32]) -> PieceSet {
    let mut set = PieceSet::empty(len);
    for piece in pieces {
        set.insert(*piece);
    }
    set
}

fn octets(piece: u32, block: u32) -> Octets {
    Octets { piece, begin: block * BLOCK_OCTETS, octets: BLOCK_OCTETS }
}

impl Rig {
    fn new(pieces: u32, have: &[u32], settings: Settings, seed: u64) -> Self {
        let now = Instant::now();
        let lengths = PieceLengths::uniform(u64::from(pieces) * u64::from(PIECE_OCTETS), PIECE_OCTETS)
            .expect("a torrent");
        let rng = ChaCha12Rng::seed_from_u64(seed);
        let torrent = Torrent::new(now, lengths, &set(pieces, have), settings, rng);
        Self { torrent, now, sent: Vec::new(), events: Vec::new() }
    }

    fn leecher(pieces: u32) -> Self {
        Self::new(pieces, &[], Settings::default(), 1)
    }

    fn seed(pieces: u32, settings: Settings) -> Self {
        Self::new(pieces, &(0..pieces).collect::<Vec<_>>(), settings, 1)
    }

    /// A peer joins with these pieces.
    fn join(&mut self, key: u32, pieces: &[u32]) {
        let count = self.torrent.lengths().count();
        self.torrent.add_peer(self.now, PeerKey(key), PeerFacts::default()).expect("a new peer");
        let bitfield = set(count, pieces).to_bitfield();
        self.torrent.handle_bitfield(self.now, PeerKey(key), &bitfield).expect("well formed");
        self.drain();
    }

    /// A peer joins and serves us.
    fn join_open(&mut self, key: u32, pieces: &[u32]) {
        self.join(key, pieces);
        self.torrent.handle_unchoke(self.now, PeerKey(key));
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(event) = self.torrent.poll_event() {
            self.events.push(event);
        }
        while let Some((key, send)) = self.torrent.poll_send(self.now) {
            self.sent.push((key.0, send));
        }
    }

    /// Lets time pass, second by second.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += Duration::from_secs(1);
            self.torrent.handle_timeout(self.now);
            self.drain();
        }
    }

    /// What was sent to a peer since it was looked last.
    fn sent_to(&mut self, key: u32) -> Vec<Send> {
        self.drain();
        let (to, rest) = std::mem::take(&mut self.sent).into_iter().partition(|(to, _)| *to == key);
        self.sent = rest;
        let to: Vec<(u32, Send)> = to;
        to.into_iter().map(|(_, send)| send).collect()
    }

    fn requests_to(&mut self, key: u32) -> Vec<Octets> {
        let requests = self.sent_to(key).into_iter();
        requests
            .filter_map(|send| if let Send::Request(octets) = send { Some(octets) } else { None })
            .collect()
    }

    fn block(&mut self, key: u32, octets: Octets) -> BlockUse {
        let fate = self.torrent.handle_block(self.now, PeerKey(key), octets);
        self.drain();
        fate
    }

    /// A block comes; if it ends a piece, the piece is good.
    fn good_block(&mut self, key: u32, octets: Octets) {
        assert_eq!(self.block(key, octets), BlockUse::Wanted);
        if self.events.contains(&Event::PieceReady { piece: octets.piece, digests: false }) {
            self.events.retain(|event| !matches!(event, Event::PieceReady { .. }));
            self.torrent.handle_piece_checked(self.now, octets.piece, true, &[]);
            self.drain();
        }
    }

    /// The same for a piece of which a version was bad.
    fn good_block_of_bad_piece(&mut self, key: u32, octets: Octets) {
        assert_eq!(self.block(key, octets), BlockUse::Wanted);
        if self.take_events().contains(&Event::PieceReady { piece: octets.piece, digests: true }) {
            self.torrent.handle_piece_checked(self.now, octets.piece, true, &[[0; 20]; 2]);
            self.drain();
        }
    }

    fn take_events(&mut self) -> Vec<Event> {
        self.drain();
        std::mem::take(&mut self.events)
    }
}
