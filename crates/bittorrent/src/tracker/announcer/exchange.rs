//! One announce or scrape over UDP: the connection first, then the request,
//! each repeated after 15·2ⁿ seconds (BEP 15, "Time outs").

use crate::tracker::Family;
use crate::tracker::udp::{Announce, Reply, Request, Scrape};
use rand_core::Rng;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The first timeout; the n-th is 2ⁿ times as long.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Repetitions of one request: BEP 15 goes to n = 8, of 3,840 seconds.
const REPETITIONS_MAX: u32 = 8;
/// How long a client may use a connection id (BEP 15).
const CONNECTION_LIFETIME: Duration = Duration::from_mins(1);
/// Trackers whose connection ids are remembered.
const CONNECTIONS_MAX: usize = 1_024;

/// Connection ids that may still be used, for all torrents of one socket.
#[derive(Debug, Default)]
pub struct ConnectionCache {
    pub(super) ids: BTreeMap<SocketAddr, (u64, Instant)>,
}

impl ConnectionCache {
    fn get(&self, now: Instant, tracker: SocketAddr) -> Option<u64> {
        let (id, until) = self.ids.get(&tracker)?;
        (now < *until).then_some(*id)
    }

    pub(super) fn put(&mut self, now: Instant, tracker: SocketAddr, id: u64) {
        if self.ids.len() >= CONNECTIONS_MAX {
            self.ids.retain(|_, (_, until)| now < *until);
        }
        if self.ids.len() < CONNECTIONS_MAX || self.ids.contains_key(&tracker) {
            self.ids.insert(tracker, (id, now + CONNECTION_LIFETIME));
        }
    }

    fn forget(&mut self, tracker: SocketAddr) {
        self.ids.remove(&tracker);
    }
}

/// What is asked, without connection and transaction.
#[derive(Debug, Clone)]
enum Question {
    Announce { announce: Box<Announce<'static>>, options: Vec<u8> },
    Scrape(Vec<u8>),
}

/// How far an exchange is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Asking { connection_id: u64, cached: bool },
    Over,
}

/// What a datagram or a timeout did.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// Nothing to be told; there may be something to transmit.
    Continues,
    /// The answer is here, an error included; the exchange is over.
    Answered(Reply<'a>),
    /// The tracker does not answer; the exchange is over.
    TimedOut,
}

/// One announce or scrape over UDP.
#[derive(Debug)]
pub struct Exchange {
    tracker: SocketAddr,
    question: Question,
    phase: Phase,
    transaction_id: u32,
    repetitions: u32,
    repetitions_max: u32,
    /// Whether the request is to be sent now.
    pending: bool,
    deadline: Instant,
}

impl Exchange {
    /// An announce, whose connection and transaction ids and options are filled
    /// in; `url_data` is the path and query of the tracker's URL (BEP 41).
    /// After `repetitions_max` (at most 8) it gives up; where other trackers
    /// wait to be asked, few are good.
    pub fn announce(
        now: Instant,
        tracker: SocketAddr,
        announce: Announce<'static>,
        url_data: &[u8],
        repetitions_max: u32,
        cache: &ConnectionCache,
        rng: &mut impl Rng,
    ) -> Self {
        let mut options = Vec::new();
        crate::tracker::udp::write_url_data(url_data, &mut options);
        let question = Question::Announce { announce: Box::new(announce), options };
        Self::new(now, tracker, question, repetitions_max, cache, rng)
    }

    /// A scrape of these torrents, at most 74.
    pub fn scrape(
        now: Instant,
        tracker: SocketAddr,
        info_hashes: &[[u8; 20]],
        repetitions_max: u32,
        cache: &ConnectionCache,
        rng: &mut impl Rng,
    ) -> Self {
        Self::new(now, tracker, Question::Scrape(info_hashes.concat()), repetitions_max, cache, rng)
    }

    fn new(
        now: Instant,
        tracker: SocketAddr,
        question: Question,
        repetitions_max: u32,
        cache: &ConnectionCache,
        rng: &mut impl Rng,
    ) -> Self {
        let phase = match cache.get(now, tracker) {
            Some(connection_id) => Phase::Asking { connection_id, cached: true },
            None => Phase::Connecting,
        };
        Self {
            tracker,
            question,
            phase,
            transaction_id: rng.next_u32(),
            repetitions: 0,
            repetitions_max: repetitions_max.min(REPETITIONS_MAX),
            pending: true,
            deadline: now + TIMEOUT,
        }
    }

    /// Whom it asks, over which family.
    pub fn tracker(&self) -> (SocketAddr, Family) {
        (self.tracker, Family::of(self.tracker))
    }

    /// By which the service finds the exchange a datagram is for.
    pub fn transaction_id(&self) -> u32 {
        self.transaction_id
    }

    /// The datagram to be sent now, if there is one.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.pending) {
            return None;
        }
        let transaction_id = self.transaction_id;
        let request = match (self.phase, &self.question) {
            (Phase::Over, _) => return None,
            (Phase::Connecting, _) => Request::Connect { transaction_id },
            (Phase::Asking { connection_id, .. }, Question::Announce { announce, options }) => {
                let options = crate::tracker::udp::Options(options);
                Request::Announce(Announce { connection_id, transaction_id, options, ..**announce })
            }
            (Phase::Asking { connection_id, .. }, Question::Scrape(info_hashes)) => {
                Request::Scrape(Scrape::new(connection_id, transaction_id, info_hashes))
            }
        };
        Some(request.write())
    }

    /// When [`Exchange::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.phase != Phase::Over).then_some(self.deadline)
    }

    /// Takes a datagram that came from somewhere; what is not for this exchange
    /// changes nothing.
    pub fn handle_datagram<'d>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        octets: &'d [u8],
        cache: &mut ConnectionCache,
        rng: &mut impl Rng,
    ) -> Progress<'d> {
        let Ok((transaction_id, reply)) = Reply::read(octets) else { return Progress::Continues };
        if from != self.tracker || transaction_id != self.transaction_id || self.phase == Phase::Over {
            return Progress::Continues;
        }
        match (self.phase, &self.question, &reply) {
            (Phase::Connecting, _, Reply::Connect { connection_id }) => {
                cache.put(now, self.tracker, *connection_id);
                self.ask(now, *connection_id, false, rng);
                Progress::Continues
            }
            // The id may have been forgotten over there: once more, with a new one.
            (Phase::Asking { cached: true, .. }, _, Reply::Error { .. }) => {
                cache.forget(self.tracker);
                self.connect(now, rng);
                Progress::Continues
            }
            (_, _, Reply::Error { .. })
            | (Phase::Asking { .. }, Question::Announce { .. }, Reply::Announce { .. })
            | (Phase::Asking { .. }, Question::Scrape(_), Reply::Scrape(_)) => {
                self.phase = Phase::Over;
                Progress::Answered(reply)
            }
            _ => Progress::Continues,
        }
    }

    /// The time given by [`Exchange::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant, cache: &mut ConnectionCache) -> Progress<'static> {
        if self.phase == Phase::Over || now < self.deadline {
            return Progress::Continues;
        }
        if self.repetitions >= self.repetitions_max {
            self.phase = Phase::Over;
            return Progress::TimedOut;
        }
        self.repetitions += 1;
        self.pending = true;
        self.deadline = now + TIMEOUT.saturating_mul(1 << self.repetitions);
        // A connection id is good for a minute: then another must be asked for.
        if let Phase::Asking { connection_id, .. } = self.phase
            && cache.get(now, self.tracker) != Some(connection_id)
        {
            cache.forget(self.tracker);
            self.phase = Phase::Connecting;
        }
        Progress::Continues
    }

    /// Goes on with the request itself; its repetitions are counted on.
    fn ask(&mut self, now: Instant, connection_id: u64, cached: bool, rng: &mut impl Rng) {
        self.phase = Phase::Asking { connection_id, cached };
        self.again(now, rng);
    }

    fn connect(&mut self, now: Instant, rng: &mut impl Rng) {
        self.phase = Phase::Connecting;
        self.again(now, rng);
    }

    fn again(&mut self, now: Instant, rng: &mut impl Rng) {
        self.transaction_id = rng.next_u32();
        self.pending = true;
        self.deadline = now + TIMEOUT.saturating_mul(1 << self.repetitions);
    }
}
