//! The threads that may wait for a disk: a few for all torrents of an engine, so
//! that hundreds of torrents are no hundreds of threads.
//!
//! All torrents that have something to do take turns; each may have several at
//! once. Keystream is made here, too.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Threads of one pool: enough that some may wait for a slow disk.
const THREADS_MAX: usize = 8;
/// How long a thread waits for something to do before it ends.
const IDLE: Duration = Duration::from_secs(5);

/// Whoever has something to do.
pub(crate) trait Turn: Send + Sync + fmt::Debug {
    /// Does one thing. Whether there is more to do: then this turn comes again;
    /// otherwise a turn is to be asked of [`Pool::take`] when there is.
    fn turn(&self) -> bool;
}

/// Some threads. Clones speak of the same ones, which end by themselves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pool(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Who waits for a turn. Bounded by the number of torrents, and the turns of each.
    waiting: VecDeque<Arc<dyn Turn>>,
    threads: usize,
    /// Threads that wait for something to do.
    idle: usize,
}

impl Pool {
    /// Gives turns to `one`, which has something to do. Who is given several has as
    /// many threads at once. Where the system has no thread left, the caller does it.
    pub(crate) fn take(&self, one: Arc<dyn Turn>) {
        let mut state = self.0.lock();
        state.waiting.push_back(one);
        // Whoever is idle may have been woken for another already.
        if state.idle < state.waiting.len() && state.threads < THREADS_MAX {
            let shared = self.0.clone();
            let started =
                thread::Builder::new().name("torrent-work".to_owned()).spawn(move || Thread(shared).run());
            match started {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    tracing::warn!(%error, "no thread for the disk: torrents wait for it");
                    let waiting = std::mem::take(&mut state.waiting);
                    drop(state);
                    for one in waiting {
                        while one.turn() {}
                    }
                    return;
                }
                Err(_) => {}
            }
        }
        drop(state);
        self.0.more.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread; also one that panics is counted no more.
struct Thread(Arc<Shared>);

impl Drop for Thread {
    fn drop(&mut self) {
        self.0.lock().threads -= 1;
    }
}

impl Thread {
    fn run(&self) {
        let mut state = self.0.lock();
        loop {
            if let Some(one) = state.waiting.pop_front() {
                drop(state);
                let more = one.turn();
                state = self.0.lock();
                if more {
                    state.waiting.push_back(one);
                }
                continue;
            }
            state.idle += 1;
            let woken = self.0.more.wait_timeout_while(state, IDLE, |state| state.waiting.is_empty());
            let (after, wait) = woken.unwrap_or_else(PoisonError::into_inner);
            state = after;
            state.idle -= 1;
            if wait.timed_out() && state.waiting.is_empty() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    /// Says its name at each turn.
    #[derive(Debug)]
    struct Sayer {
        name: usize,
        turns: AtomicUsize,
        inside: AtomicUsize,
        say: Mutex<mpsc::Sender<usize>>,
    }

    impl Turn for Sayer {
        fn turn(&self) -> bool {
            assert_eq!(self.inside.fetch_add(1, Ordering::SeqCst), 0, "two threads at one torrent");
            self.say.lock().expect("a sender").send(self.name).expect("somebody listens");
            thread::yield_now();
            self.inside.fetch_sub(1, Ordering::SeqCst);
            self.turns.fetch_sub(1, Ordering::SeqCst) > 1
        }
    }

    fn sayer(name: usize, turns: usize, say: &mpsc::Sender<usize>) -> Arc<Sayer> {
        let (turns, inside) = (AtomicUsize::new(turns), AtomicUsize::new(0));
        Arc::new(Sayer { name, turns, inside, say: Mutex::new(say.clone()) })
    }

    #[test]
    fn many_torrents_share_few_threads() {
        let pool = Pool::default();
        let (say, said) = mpsc::channel();
        for name in 0..500 {
            pool.take(sayer(name, 20, &say));
            assert!(pool.0.lock().threads <= THREADS_MAX);
        }
        let mut counts = vec![0; 500];
        for name in said.iter().take(500 * 20) {
            counts[name] += 1;
        }
        assert!(counts.iter().all(|count| *count == 20));
    }

    #[test]
    fn who_has_much_to_do_holds_up_nobody() {
        let pool = Pool::default();
        let (say, said) = mpsc::channel();
        // More of them than there are threads.
        for name in 0..2 * THREADS_MAX {
            pool.take(sayer(name, 1_000_000, &say));
        }
        pool.take(sayer(usize::MAX, 1, &say));
        assert!(said.iter().take(100_000).any(|name| name == usize::MAX));
    }
}
