//! The recursive resolver as a state machine without I/O (RFC 1034 section
//! 5.3.3): questions, datagrams, time and randomness come in; queries and
//! answers go out.
//!
//! Whoever drives it hands in what happens (`handle_…`) and then drains what is
//! to be done (`poll_…`). It never reads a clock: every call is told the time.
//!
//! - `accept`: what of a reply is believed, and what it says
//! - `iterate`: one question's way to its answer
//! - `descend`: where to begin: the deepest zone known that a name is in
//! - `side_quest`: the addresses of servers that came without glue
//! - `heed`: what a reply, or its absence, means for the iteration
//! - `cut`: the servers of one zone, as an iteration works through them
//! - `servers`: which server is quick, slow, lame
//! - `exchange`: one query and the reply it waits for
//! - `waiting`: one iteration for all who ask the same
//! - `special`: names never asked about
//! - `stub`: the stub resolver's side: its query, its reply

mod accept;
mod config;
mod cut;
mod descend;
mod exchange;
mod heed;
mod iterate;
mod servers;
mod side_quest;
mod special;
mod step;
pub mod stub;
mod waiting;

pub use accept::{Fit, Reply, fit, read};
pub use config::{Config, FixedZone, Limits, RootHint, iana_root_hints};
pub use exchange::{ExchangeId, Transmit, Transport, UDP_PAYLOAD_OCTETS};
pub use step::{Happening, Step};

use crate::cache::{Bounded, Cache, Found};
use crate::{Name, Record, ResolveError};
use domain::base::iana::{Rcode, Rtype};
use exchange::Exchanges;
use iterate::{Iteration, IterationId};
use rand_core::Rng;
use servers::Servers;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;
use waiting::{Asker, Waiting};

/// Steps kept for whoever polls them; more are counted and dropped.
const STEPS_MAX: usize = 4_096;
/// Memory for failures remembered (RFC 9520).
const FAILURES_OCTETS_MAX: usize = 1 << 20;

/// A name and the type of records looked for, in class IN.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// The name.
    pub name: Name,
    /// The type.
    pub rtype: Rtype,
}

impl std::fmt::Display for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name.fmt_with_dot(), self.rtype)
    }
}

/// Names whoever asked, so that the answer finds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AskerId(pub u64);

/// What a question's answer is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// NOERROR or NXDOMAIN.
    pub rcode: Rcode,
    /// The chain of aliases, then the RRset asked for.
    pub answer: Vec<Record>,
    /// For a negative answer the zone's SOA record, where one is known.
    pub authority: Vec<Record>,
}

/// An answer for one asker.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Who asked.
    pub asker: AskerId,
    /// What was asked.
    pub question: Question,
    /// What was found.
    pub result: Result<Response, ResolveError>,
    /// Whether no server had to be asked.
    pub from_cache: bool,
}

/// Things that happen later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Exchange(ExchangeId),
    Iteration(IterationId),
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Questions of clients.
    pub questions: u64,
    /// Of these, answered from the cache.
    pub cache_hits: u64,
    /// Of these, that joined others who ask the same.
    pub joined: u64,
    /// Queries sent.
    pub queries: u64,
    /// Of these, without reply in time.
    pub timeouts: u64,
    /// Datagrams that fit no query.
    pub mismatches: u64,
    /// Steps dropped because nobody polled them.
    pub steps_dropped: u64,
}

/// The resolver.
#[derive(Debug)]
pub struct Resolver<R> {
    config: Config,
    rng: R,
    cache: Cache,
    servers: Servers,
    exchanges: Exchanges,
    iterations: HashMap<IterationId, Iteration>,
    next_iteration: u64,
    waiting: Waiting,
    failures: Bounded<Question, (Instant, ResolveError)>,
    timers: BTreeSet<(Instant, Timer)>,
    /// Iterations that can go on.
    ready: VecDeque<IterationId>,
    answers: VecDeque<Answer>,
    steps: Option<VecDeque<Step>>,
    /// When the root servers were asked for, last.
    primed: Option<Instant>,
    counters: Counters,
}

impl<R: Rng> Resolver<R> {
    /// A resolver that knows nothing yet but its configuration.
    pub fn new(config: Config, rng: R) -> Self {
        Self {
            cache: Cache::new(config.cache.clone()),
            servers: Servers::new(),
            exchanges: Exchanges::default(),
            iterations: HashMap::new(),
            next_iteration: 0,
            waiting: Waiting::default(),
            failures: Bounded::new(FAILURES_OCTETS_MAX),
            timers: BTreeSet::new(),
            ready: VecDeque::new(),
            answers: VecDeque::new(),
            steps: None,
            primed: None,
            counters: Counters::default(),
            config,
            rng,
        }
    }

    /// Works by other settings from here on; questions under way go on. What is
    /// cached stays within its new bound, unless it is learnt from elsewhere now.
    pub fn configure(&mut self, config: Config) {
        if self.config.learns_like(&config) {
            self.cache.set_bounds(config.cache.clone());
        } else {
            self.cache = Cache::new(config.cache.clone());
            self.failures = Bounded::new(FAILURES_OCTETS_MAX);
            self.servers = Servers::new();
            self.primed = None;
        }
        self.config = config;
    }

    /// Whether to tell each step through [`Resolver::poll_step`].
    pub fn tell_steps(&mut self, tell: bool) {
        match (tell, &self.steps) {
            (true, None) => self.steps = Some(VecDeque::new()),
            (true, Some(_)) => {}
            (false, _) => self.steps = None,
        }
    }

    /// What is remembered.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Counts since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Questions worked on now.
    pub fn under_way(&self) -> usize {
        self.waiting.len()
    }

    /// Queries that wait for a reply now.
    pub fn in_flight(&self) -> usize {
        self.exchanges.len()
    }

    /// Somebody asks. The answer comes through [`Resolver::poll_answer`], at
    /// once if the cache has it.
    pub fn handle_question(&mut self, now: Instant, question: Question, asker: AskerId) {
        self.counters.questions += 1;
        if let Some(result) = self.known(now, &question) {
            self.counters.cache_hits += 1;
            self.answers.push_back(Answer { asker, question, result, from_cache: true });
            return;
        }
        let full = |limit| ResolveError::LimitReached { name: question.name.to_string(), limit };
        if let Some(iteration) = self.waiting.iteration(&question) {
            if self.waiting.join(iteration, Asker::Client(asker), self.config.limits.askers_per_iteration_max)
            {
                self.counters.joined += 1;
            } else {
                let result = Err(full("askers_per_iteration_max"));
                self.answers.push_back(Answer { asker, question, result, from_cache: false });
            }
            return;
        }
        if self.iterations.len() >= self.config.limits.iterations_max {
            let result = Err(full("iterations_max"));
            self.answers.push_back(Answer { asker, question, result, from_cache: false });
            return;
        }
        let iteration = Iteration::new(question, now, &self.config.limits);
        self.begin(iteration, Asker::Client(asker));
        self.advance_ready(now);
    }

    /// Octets came from `from` to the socket of `exchange`, without the length
    /// that precedes them over TCP.
    pub fn handle_message(&mut self, now: Instant, exchange: ExchangeId, from: SocketAddr, octets: &[u8]) {
        self.heed_octets(now, exchange, from, octets);
        self.advance_ready(now);
    }

    /// The exchange's server cannot be reached: the connection was refused or
    /// broke, or sending failed.
    pub fn handle_unreachable(&mut self, now: Instant, exchange: ExchangeId) {
        self.heed_silence(now, exchange, true);
        self.advance_ready(now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(at, timer)) = self.timers.first() {
            if at > now {
                break;
            }
            self.timers.pop_first();
            match timer {
                Timer::Exchange(exchange) => self.heed_silence(now, exchange, false),
                Timer::Iteration(iteration) => self.give_up(now, iteration),
            }
        }
        self.advance_ready(now);
    }

    /// When [`Resolver::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The next query to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.exchanges.transmits.pop_front()
    }

    /// The next exchange that is over: its socket can be closed.
    pub fn poll_closed(&mut self) -> Option<ExchangeId> {
        self.exchanges.closed.pop_front()
    }

    /// The next answer.
    pub fn poll_answer(&mut self) -> Option<Answer> {
        self.answers.pop_front()
    }

    /// The next step, if steps are told.
    pub fn poll_step(&mut self) -> Option<Step> {
        self.steps.as_mut()?.pop_front()
    }

    /// What can be said about a question without asking anybody.
    fn known(&mut self, now: Instant, question: &Question) -> Option<Result<Response, ResolveError>> {
        if let Some(response) = special::answer(question) {
            return Some(Ok(response));
        }
        let mut answer = Vec::new();
        let mut name = question.name.clone();
        while answer.len() <= self.config.limits.aliases_max {
            match self.cache.find(now, &name, question.rtype) {
                Some(Found::Rrset(records)) => {
                    answer.extend(records);
                    return Some(Ok(Response { rcode: Rcode::NOERROR, answer, authority: Vec::new() }));
                }
                Some(Found::NoData(soa)) => {
                    return Some(Ok(Response { rcode: Rcode::NOERROR, answer, authority: vec![soa] }));
                }
                Some(Found::NameError(soa)) => {
                    return Some(Ok(Response { rcode: Rcode::NXDOMAIN, answer, authority: vec![soa] }));
                }
                Some(Found::Alias(cname)) => {
                    let crate::RecordData::Cname(data) = cname.data() else { return None };
                    name = data.cname().clone();
                    answer.push(cname);
                }
                None => break,
            }
        }
        match self.failures.get(question) {
            Some((until, failure)) if *until > now => Some(Err(failure.clone())),
            _ => None,
        }
    }

    fn tell(&mut self, step: impl FnOnce() -> Step) {
        let Some(steps) = &mut self.steps else { return };
        if steps.len() < STEPS_MAX {
            steps.push_back(step());
        } else {
            self.counters.steps_dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    //! The bounds of what is remembered and told.
    use super::*;
    use rand_chacha::ChaCha12Rng;
    use rand_chacha::rand_core::SeedableRng as _;

    fn resolver(servers: Vec<SocketAddr>) -> Resolver<ChaCha12Rng> {
        let apex = Name::root_bytes();
        let mut config = Config {
            zones: vec![FixedZone { apex, servers, recursive: true }],
            prime: false,
            ..Config::default()
        };
        config.limits.iterations_max = usize::MAX;
        Resolver::new(config, ChaCha12Rng::seed_from_u64(1))
    }

    fn question(number: usize) -> Question {
        let name = crate::master::name(&format!("n{number}.test")).expect("a name");
        Question { name, rtype: Rtype::A }
    }

    #[test]
    fn only_so_many_failures_are_remembered() {
        let (now, mut resolver) = (Instant::now(), resolver(Vec::new()));
        let count = FAILURES_OCTETS_MAX / 128;
        for number in 0..count {
            resolver.handle_question(now, question(number), AskerId(number as u64));
            assert!(resolver.poll_answer().expect("there is no server").result.is_err());
        }
        assert!(resolver.failures.octets() <= FAILURES_OCTETS_MAX);
        assert!(resolver.failures.len() < count, "{}", resolver.failures.len());
        assert!(resolver.failures.get(&question(count - 1)).is_some(), "the last one is remembered");
    }

    #[test]
    fn only_so_many_steps_wait_for_whoever_polls_them() {
        let server = SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), 53);
        let (now, mut resolver) = (Instant::now(), resolver(vec![server]));
        resolver.tell_steps(true);
        for number in 0..STEPS_MAX + 10 {
            resolver.handle_question(now, question(number), AskerId(number as u64));
        }
        assert_eq!(resolver.counters().steps_dropped, 10);
        assert_eq!(std::iter::from_fn(|| resolver.poll_step()).count(), STEPS_MAX);
    }
}
