//! RC4's keystream made ahead by another thread, for the directions of connections
//! that carry much.
//!
//! RC4 takes more of a processor than all else that an encrypted transfer needs, and
//! all connections of an engine live on one thread. What it encrypts with does not
//! depend on what is encrypted: while a direction is quick, its keystream is made on
//! a thread of the [`Pool`], some runs ahead, and here only applied. Where none is
//! ready the thread that needs it makes it.

use crate::content::{Pool, Turn};
use bittorrent::encryption::Cipher;
use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Octets of keystream made at once.
const RUN_OCTETS: usize = 32 * 1024;
/// Runs ready for one direction, at most.
const RUNS_MAX: usize = 16;
/// Directions at once whose keystream is made ahead: in all 9 MiB of it, with the
/// run that is applied and the one that is being made.
const DIRECTIONS_MAX: usize = 16;
/// After so many octets it is looked how quick a direction is.
const LOOK_OCTETS: usize = 8 * 1024 * 1024;
/// They came in no more than this time: keystream is made ahead.
const QUICK: Duration = Duration::from_millis(250);
/// They took more than this time: it is not, any more.
const SLOW: Duration = Duration::from_secs(1);

/// Those who make keystream ahead. Clones speak of the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Makers {
    pool: Pool,
    /// How many more directions there may be.
    places: Rc<Cell<usize>>,
}

impl Makers {
    /// On the threads of `pool`; nobody where there is only one processor.
    pub(crate) fn new(pool: Pool) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let places = if processors > 1 { DIRECTIONS_MAX } else { 0 };
        Self { pool, places: Rc::new(Cell::new(places)) }
    }
}

/// One direction of an encrypted connection.
#[derive(Debug)]
pub(crate) struct Keystream {
    makers: Makers,
    /// What stands where the direction does, unless it is made ahead.
    cipher: Cipher,
    ahead: Option<Ahead>,
    /// Octets since the last look at how quick it is.
    octets: usize,
    looked: Instant,
}

impl Keystream {
    /// Goes on where `cipher` stands.
    pub(crate) fn new(cipher: Cipher, makers: Makers) -> Self {
        Self { makers, cipher, ahead: None, octets: 0, looked: Instant::now() }
    }

    /// Encrypts or decrypts the octets that come next, where they are.
    pub(crate) fn apply(&mut self, octets: &mut [u8]) {
        self.octets += octets.len();
        if self.octets >= LOOK_OCTETS {
            let now = Instant::now();
            self.look(now.duration_since(self.looked));
            (self.octets, self.looked) = (0, now);
        }
        let rest = match &mut self.ahead {
            None => octets,
            Some(ahead) => ahead.apply(octets),
        };
        if !rest.is_empty() {
            if let Some(ahead) = self.ahead.take() {
                self.cipher = ahead.end();
            }
            self.cipher.apply(rest);
        }
    }

    /// The last [`LOOK_OCTETS`] took so long.
    fn look(&mut self, took: Duration) {
        match &mut self.ahead {
            Some(ahead) if took > SLOW => ahead.stop(),
            Some(_) => {}
            None if took <= QUICK && !self.cipher.is_plain() => {
                self.ahead = Ahead::begin(&self.cipher, &self.makers);
            }
            None => {}
        }
    }
}

/// A direction whose keystream is made ahead.
#[derive(Debug)]
struct Ahead {
    line: Arc<Line>,
    makers: Makers,
    /// What is applied now, and how much of it was.
    run: Vec<u8>,
    used: usize,
    /// No more is made: what is ready is used up.
    is_over: bool,
}

/// What both threads know.
#[derive(Debug)]
struct Line {
    /// Behind all runs. Who holds it may ask for `runs`, not the other way round.
    cipher: Mutex<Cipher>,
    runs: Mutex<Runs>,
}

#[derive(Debug, Default)]
struct Runs {
    ready: VecDeque<Vec<u8>>,
    /// Were used up.
    spare: Vec<Vec<u8>>,
    /// The pool has the line in its hands.
    is_taken: bool,
    /// No more are to be made.
    is_over: bool,
}

impl Ahead {
    /// Where there is a place left.
    fn begin(cipher: &Cipher, makers: &Makers) -> Option<Self> {
        let places = makers.places.get().checked_sub(1)?;
        makers.places.set(places);
        let line = Line { cipher: Mutex::new(cipher.clone()), runs: Mutex::default() };
        let ahead =
            Self { line: Arc::new(line), makers: makers.clone(), run: Vec::new(), used: 0, is_over: false };
        ahead.ask();
        Some(ahead)
    }

    /// Applies what was made to the next octets. Gives those for which there is
    /// nothing more, after [`Self::stop`].
    fn apply<'a>(&mut self, octets: &'a mut [u8]) -> &'a mut [u8] {
        let mut rest = octets;
        while !rest.is_empty() {
            if self.used >= self.run.len() && !self.next_run() {
                break;
            }
            let key = self.run.get(self.used..).unwrap_or_default();
            let (now, later) = rest.split_at_mut(rest.len().min(key.len()));
            for (octet, key) in now.iter_mut().zip(key) {
                *octet ^= *key;
            }
            self.used += now.len();
            rest = later;
        }
        rest
    }

    /// Takes the next run, made here if need be; whether there is one.
    fn next_run(&mut self) -> bool {
        let used = std::mem::take(&mut self.run);
        self.used = 0;
        let mut runs = self.line.runs();
        if !used.is_empty() {
            runs.spare.push(used);
        }
        let mut run = runs.ready.pop_front();
        if run.is_none() && !self.is_over {
            // The run that is being made is the next one: it is waited for, which
            // takes no longer than to make it.
            drop(runs);
            let mut cipher = self.line.cipher();
            runs = self.line.runs();
            run = runs.ready.pop_front();
            if run.is_none() {
                let mut made = runs.spare.pop().unwrap_or_default();
                drop(runs);
                make(&mut cipher, &mut made);
                run = Some(made);
                runs = self.line.runs();
            }
        }
        let is_low = runs.ready.len() <= RUNS_MAX / 2;
        drop(runs);
        if is_low && !self.is_over {
            self.ask();
        }
        self.run = run.unwrap_or_default();
        !self.run.is_empty()
    }

    /// Has runs made, until there are [`RUNS_MAX`].
    fn ask(&self) {
        if !std::mem::replace(&mut self.line.runs().is_taken, true) {
            self.makers.pool.take(self.line.clone());
        }
    }

    /// What is ready is the last of it. A run that is being made is ready afterwards.
    fn stop(&mut self) {
        let _cipher = self.line.cipher();
        self.line.runs().is_over = true;
        self.is_over = true;
    }

    /// The cipher, which stands where the direction does when, after
    /// [`Self::stop`], all that was ready is used up.
    fn end(self) -> Cipher {
        self.line.cipher().clone()
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.line.runs().is_over = true;
        self.makers.places.set(self.makers.places.get() + 1);
    }
}

impl Line {
    fn cipher(&self) -> MutexGuard<'_, Cipher> {
        self.cipher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn for Line {
    fn turn(&self) -> bool {
        let mut cipher = self.cipher();
        let mut run = {
            let mut runs = self.runs();
            runs.is_taken = !runs.is_over && runs.ready.len() < RUNS_MAX;
            if !runs.is_taken {
                return false;
            }
            runs.spare.pop().unwrap_or_default()
        };
        make(&mut cipher, &mut run);
        let mut runs = self.runs();
        runs.ready.push_back(run);
        runs.is_taken = !runs.is_over && runs.ready.len() < RUNS_MAX;
        runs.is_taken
    }
}

/// The next run: what zeros are encrypted to.
fn make(cipher: &mut Cipher, run: &mut Vec<u8>) {
    run.clear();
    run.resize(RUN_OCTETS, 0);
    cipher.apply(run);
}

#[cfg(test)]
mod tests {
    use super::*;
    use bittorrent::encryption::{Initiator, Policy, Receiver, ServedKeys};
    use rand::{RngExt as _, SeedableRng as _};

    /// Two ciphers that stand at the same place.
    fn pair() -> (Cipher, Cipher) {
        let mut random = rand::rng();
        let mut served = ServedKeys::default();
        served.insert([7; 20]);
        let mut initiator = Initiator::new([7; 20], Policy::Required.provided(), &[], &mut random);
        let mut receiver = Receiver::new(Policy::Required, &mut random);
        loop {
            while let Some(octets) = initiator.poll_output() {
                receiver.handle_input(&octets, &served).expect("a handshake");
            }
            while let Some(octets) = receiver.poll_output() {
                initiator.handle_input(&octets).expect("a handshake");
            }
            if let Some(one) = initiator.poll_established() {
                return (one.send, receiver.poll_established().expect("its end").receive);
            }
        }
    }

    fn makers() -> Makers {
        Makers { pool: Pool::default(), places: Rc::new(Cell::new(DIRECTIONS_MAX)) }
    }

    #[test]
    fn what_is_made_ahead_is_what_the_cipher_makes_through_begins_and_ends() {
        let mut random = rand::rngs::StdRng::seed_from_u64(3);
        let (one, mut other) = pair();
        let mut keystream = Keystream::new(one, makers());
        let (mut quick, mut ended) = (0, 0);
        for _ in 0..2_000 {
            match random.random_range(0..40) {
                0 => keystream.look(QUICK),
                1 => keystream.look(SLOW + Duration::from_millis(1)),
                _ => {}
            }
            let before = keystream.ahead.is_some();
            let mut octets = vec![5; random.random_range(0..2 * RUN_OCTETS)];
            keystream.apply(&mut octets);
            quick += usize::from(keystream.ahead.is_some());
            ended += usize::from(before && keystream.ahead.is_none());
            other.apply(&mut octets);
            assert!(octets.iter().all(|octet| *octet == 5));
        }
        assert!(quick > 100 && ended > 2, "{quick} {ended}");
    }

    #[test]
    fn so_much_is_ready_and_no_more() {
        let (one, _) = pair();
        let mut keystream = Keystream::new(one, makers());
        keystream.look(QUICK);
        for _ in 0..4 * RUNS_MAX {
            keystream.apply(&mut vec![0; RUN_OCTETS]);
            let line = keystream.ahead.as_ref().expect("it is made ahead").line.clone();
            // Beside the pool, for as long as there is more to do.
            while line.turn() {}
            let runs = line.runs();
            assert!(runs.ready.len() <= RUNS_MAX && runs.ready.len() + runs.spare.len() <= RUNS_MAX + 2);
        }
    }

    #[test]
    fn so_many_directions_and_no_more() {
        let makers = makers();
        let (cipher, _) = pair();
        let begin = || {
            let mut keystream = Keystream::new(cipher.clone(), makers.clone());
            keystream.look(QUICK);
            keystream
        };
        let mut all: Vec<_> = (0..DIRECTIONS_MAX).map(|_| begin()).collect();
        assert!(all.iter().all(|keystream| keystream.ahead.is_some()));
        assert!(begin().ahead.is_none());
        all.pop();
        assert!(begin().ahead.is_some());
    }

    #[test]
    fn slow_and_plain_directions_are_left_alone() {
        let (cipher, _) = pair();
        let mut slow = Keystream::new(cipher, makers());
        slow.look(QUICK + Duration::from_millis(1));
        let mut plain = Keystream::new(Cipher::plain(), makers());
        plain.look(QUICK);
        assert!(slow.ahead.is_none() && plain.ahead.is_none());
    }
}
