//! Web seeds over HTTP (BEP 17, 19): what the rules ask of one is gathered into
//! few requests, and their answers are cut into blocks, which go the way of those
//! from peers.

mod fetch;
mod filler;
mod line;
mod task;

pub(crate) use task::run;

use bittorrent::torrent::{Octets, PeerKey};
use bittorrent::web_seed::WebSeed;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::Notify;

/// Connections to one web seed at once: while one brings the last of what was
/// asked, the other asks for more.
const CONNECTIONS_MAX: usize = 2;
/// Blocks that one connection gets at a time: 16 MiB.
const RUN_BLOCKS_MAX: usize = 1_024;

/// Why a web seed is asked no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// We need it no more.
    Ours,
    /// It is in trouble: later, and not before `after`.
    Later { why: String, after: Option<Duration> },
    /// It has not a file (with BEP 17: what it is asked for at all).
    Lacks { file: Option<usize>, why: String },
}

/// What one web seed is asked for.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) seed: WebSeed,
    pub(crate) key: PeerKey,
    /// Blocks that no connection has taken yet, in the order in which they were
    /// asked for. Bounded by the rules, which ask for so many at a time.
    waiting: RefCell<VecDeque<Octets>>,
    /// Blocks that a connection gets.
    under_way: RefCell<Vec<Octets>>,
    stir: Notify,
    closing: Cell<bool>,
    closed: Notify,
    /// Octets of blocks that came.
    received: Cell<u64>,
    /// It sends whole files only: one connection is enough.
    knows_no_ranges: Cell<bool>,
}

impl Desk {
    pub(crate) fn new(seed: WebSeed, key: PeerKey) -> Self {
        Self {
            seed,
            key,
            waiting: RefCell::default(),
            under_way: RefCell::default(),
            stir: Notify::new(),
            closing: Cell::new(false),
            closed: Notify::new(),
            received: Cell::new(0),
            knows_no_ranges: Cell::new(false),
        }
    }

    /// A block is wanted.
    pub(crate) fn ask(&self, octets: Octets) {
        self.waiting.borrow_mut().push_back(octets);
        self.stir.notify_one();
    }

    /// A block is wanted no more.
    pub(crate) fn cancel(&self, octets: Octets) {
        self.waiting.borrow_mut().retain(|waiting| *waiting != octets);
        self.under_way.borrow_mut().retain(|coming| *coming != octets);
    }

    /// Ends it.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.closed.notify_one();
    }

    /// Octets of blocks that came.
    pub(crate) fn received_octets(&self) -> u64 {
        self.received.get()
    }

    async fn closed(&self) {
        while !self.closing.get() {
            self.closed.notified().await;
        }
    }

    /// The next blocks for a connection: those in front that follow one another.
    /// `ends` says where a piece ends.
    fn take_run(&self, ends: impl Fn(&Octets) -> bool) -> Vec<Octets> {
        let mut waiting = self.waiting.borrow_mut();
        let mut run: Vec<Octets> = Vec::new();
        while let Some(next) = waiting.front().copied() {
            let follows = run.last().is_none_or(|last| {
                (next.piece == last.piece && next.begin == last.begin + last.octets)
                    || (next.piece == last.piece + 1 && next.begin == 0 && ends(last))
            });
            if !follows || run.len() >= RUN_BLOCKS_MAX {
                break;
            }
            run.push(next);
            waiting.pop_front();
        }
        if !waiting.is_empty() {
            // For the other connection.
            self.stir.notify_one();
        }
        self.under_way.borrow_mut().extend(&run);
        run
    }

    /// Whether any of these blocks is still wanted.
    fn wants_any(&self, blocks: &[Octets]) -> bool {
        let under_way = self.under_way.borrow();
        blocks.iter().any(|block| under_way.contains(block))
    }

    /// A block came. Whether it is still wanted.
    fn arrive(&self, octets: Octets) -> bool {
        let mut under_way = self.under_way.borrow_mut();
        let Some(at) = under_way.iter().position(|block| *block == octets) else { return false };
        under_way.swap_remove(at);
        self.received.set(self.received.get() + u64::from(octets.octets));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: u32 = 16 * 1024;

    fn block(piece: u32, block: u32) -> Octets {
        Octets { piece, begin: block * BLOCK, octets: BLOCK }
    }

    fn ends(octets: &Octets) -> bool {
        octets.begin == BLOCK
    }

    #[test]
    fn blocks_that_follow_one_another_are_a_run_and_it_is_bounded() {
        let desk = Desk::new(WebSeed::Files("http://w.test/".into()), PeerKey(1));
        let asked = [block(3, 1), block(4, 0), block(4, 1), block(6, 0), block(6, 1), block(7, 1)];
        for octets in asked {
            desk.ask(octets);
        }
        assert_eq!(desk.take_run(ends), asked[..3]);
        desk.cancel(asked[4]);
        assert_eq!(desk.take_run(ends), asked[3..4]);
        assert_eq!(desk.take_run(ends), asked[5..]);
        assert_eq!(desk.take_run(ends), []);
        desk.cancel(asked[1]);
        assert!(desk.wants_any(&asked[1..3]) && !desk.wants_any(&asked[1..2]));
        assert!(desk.arrive(asked[2]) && !desk.arrive(asked[2]) && !desk.arrive(asked[1]));
        assert_eq!(desk.received_octets(), u64::from(BLOCK));
        for number in 0..2 * RUN_BLOCKS_MAX as u32 {
            desk.ask(block(number / 2, number % 2));
        }
        assert_eq!(desk.take_run(ends).len(), RUN_BLOCKS_MAX);
    }
}
