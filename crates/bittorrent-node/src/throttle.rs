//! Limits of rates, and whose turn it is where several want what one allows.
//!
//! Who finds a limit used up waits, and so does everybody after it, whether or not
//! something is allowed again by then: in each round, 50 times a second, all who
//! wait go in an order that is drawn. Otherwise the one that is served would always
//! be the first to ask again.

use bittorrent::torrent::bandwidth::{TokenBucket, allowance_of_both};
use rand::seq::SliceRandom as _;
use std::cell::{Cell, RefCell};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Time from one round to the next.
const ROUND: Duration = Duration::from_millis(20);

/// Octets that may be transferred.
#[derive(Debug)]
pub(crate) struct Limit {
    bucket: RefCell<TokenBucket>,
    /// The last round in which somebody had to wait for it.
    waited_in: Cell<u64>,
}

impl Limit {
    /// So many octets a second; no limit where there is no number.
    pub(crate) fn new(now: Instant, octets_per_second: Option<u64>) -> Self {
        Self { bucket: RefCell::new(TokenBucket::new(now, octets_per_second)), waited_in: Cell::new(0) }
    }

    /// Another number from now on.
    pub(crate) fn set_rate(&self, now: Instant, octets_per_second: Option<u64>) {
        self.bucket.borrow_mut().set_rate(now, octets_per_second);
    }

    /// Whether something may go, and nobody waits for it.
    fn is_free(&self, now: Instant, round: u64) -> bool {
        let mut bucket = self.bucket.borrow_mut();
        bucket.octets_per_second().is_none()
            || (self.waited_in.get() != round && bucket.allowance(now, 1) > 0)
    }

    /// How many of `wanted` octets may go now through this limit and another.
    pub(crate) fn allowance(&self, now: Instant, wanted: u64, other: &Limit) -> u64 {
        allowance_of_both(now, &mut self.bucket.borrow_mut(), &mut other.bucket.borrow_mut(), wanted)
    }

    /// Octets went.
    pub(crate) fn take(&self, octets: usize) {
        self.bucket.borrow_mut().take(octets as u64);
    }
}

/// Those who wait for their turn.
#[derive(Debug)]
pub(crate) struct Throttle {
    waiting: RefCell<Vec<Waker>>,
    round: Cell<u64>,
    stir: Notify,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { waiting: RefCell::default(), round: Cell::new(1), stir: Notify::new() }
    }
}

impl Throttle {
    /// Whether a task must wait for one of these limits; it is woken in the next round
    /// then.
    pub(crate) fn holds(&self, cx: &Context<'_>, now: Instant, limits: [&Limit; 2]) -> bool {
        let round = self.round.get();
        let Some(used_up) = limits.into_iter().find(|limit| !limit.is_free(now, round)) else { return false };
        used_up.waited_in.set(round);
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
            self.stir.notify_one();
        }
        true
    }

    /// Wakes those who wait, round by round.
    pub(crate) async fn keep(&self) {
        loop {
            self.stir.notified().await;
            tokio::time::sleep(ROUND).await;
            for waker in self.next_round(&mut rand::rng()) {
                waker.wake();
            }
        }
    }

    /// Those whose turn it is, in their order.
    fn next_round(&self, rng: &mut impl rand::Rng) -> Vec<Waker> {
        self.round.set(self.round.get() + 1);
        let mut waiting = self.waiting.take();
        waiting.shuffle(rng);
        waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;
    use std::collections::VecDeque;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Arc, Mutex};
    use std::task::Wake;

    const BLOCK: usize = 16_384;

    struct Peer {
        number: usize,
        woken: Mutex<Sender<usize>>,
    }

    impl Wake for Peer {
        fn wake(self: Arc<Self>) {
            self.woken.lock().expect("a sender").send(self.number).expect("somebody listens");
        }
    }

    fn peers(count: usize) -> (Vec<Waker>, Receiver<usize>) {
        let (woken, wakes) = channel();
        let peer = |number| Waker::from(Arc::new(Peer { number, woken: Mutex::new(woken.clone()) }));
        ((0..count).map(peer).collect(), wakes)
    }

    /// Four peers under one limit; the one that was served asks again at once, and
    /// once more between the rounds.
    #[test]
    fn all_under_one_limit_get_as_much() {
        let start = Instant::now();
        let (limit, own) = (Limit::new(start, Some(400_000)), Limit::new(start, None));
        let throttle = Throttle::default();
        let mut rng = StdRng::seed_from_u64(1);
        let (wakers, wakes) = peers(4);
        let mut served = [0_usize; 4];
        let mut turns: VecDeque<usize> = (0..4).collect();
        for tick in 0..6_000_u32 {
            let now = start + Duration::from_millis(5) * tick;
            turns.push_back(tick as usize % 2 * 3);
            while let Some(number) = turns.pop_front() {
                let cx = Context::from_waker(&wakers[number]);
                while !throttle.holds(&cx, now, [&limit, &own]) {
                    limit.take(BLOCK);
                    served[number] += BLOCK;
                }
            }
            if tick % 4 == 3 {
                throttle.next_round(&mut rng).into_iter().for_each(Waker::wake);
                turns.extend(wakes.try_iter());
            }
        }
        let all: usize = served.iter().sum();
        assert!((11_800_000..12_300_000).contains(&all), "30 s of 400,000: {all}");
        assert!(served.iter().all(|one| (all / 5..all / 3).contains(one)), "{served:?}");
    }

    #[test]
    fn who_waits_for_one_limit_holds_up_nobody_under_another() {
        let now = Instant::now();
        let (all, used_up, own) =
            (Limit::new(now, None), Limit::new(now, Some(0)), Limit::new(now, Some(1_000_000)));
        used_up.take(1 << 20);
        let throttle = Throttle::default();
        let (wakers, _wakes) = peers(2);
        let (one, other) = (Context::from_waker(&wakers[0]), Context::from_waker(&wakers[1]));
        for _ in 0..3 {
            assert!(throttle.holds(&one, now, [&all, &used_up]));
        }
        assert!(!throttle.holds(&other, now, [&all, &own]));
        assert_eq!(throttle.waiting.borrow().len(), 1, "once each");
    }
}
