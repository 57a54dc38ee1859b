//! One question's way from the root, or the deepest zone known, to its answer
//! (RFC 1034 section 5.3.3).

use super::cut::Cut;
use super::exchange::{Exchange, ExchangeId, Transport, mix_case};
use super::step::{Happening, Step};
use super::waiting::Asker;
use super::{Answer, Limits, Question, Resolver, Response, Timer};
use crate::cache::Found;
use crate::{Name, Record, RecordData, ResolveError};
use domain::base::iana::{Rcode, Rtype};
use rand_core::Rng;
use std::net::SocketAddr;
use std::time::Instant;

/// Names asked for label by label before the whole name is (RFC 9156 section 2.3).
const MINIMISED_MAX: u8 = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct IterationId(pub(super) u64);

/// One question being worked on.
#[derive(Debug)]
pub(super) struct Iteration {
    pub(super) question: Question,
    /// The name looked for now: the question's, or where its aliases lead.
    pub(super) name: Name,
    /// The aliases that led there.
    pub(super) chain: Vec<Record>,
    /// The servers asked now.
    pub(super) cut: Option<Cut>,
    pub(super) exchange: Option<ExchangeId>,
    /// Side quests whose end is waited for.
    pub(super) waits_for: Vec<IterationId>,
    /// Who lent the queries for this side quest and gets the rest back.
    pub(super) lender: Option<IterationId>,
    pub(super) queries_left: u32,
    pub(super) depth: usize,
    pub(super) deadline: Instant,
    /// Labels of `name` that servers need to know so far, the root's included.
    pub(super) labels_told: usize,
    /// Queries with part of the name so far; beyond the bound all is told.
    pub(super) minimised: u8,
    /// Whether a stale delegation was dropped already.
    pub(super) went_back: bool,
    /// What went wrong last.
    pub(super) failure: Option<ResolveError>,
}

impl Iteration {
    pub(super) fn new(question: Question, now: Instant, limits: &Limits) -> Self {
        Self {
            name: question.name.clone(),
            question,
            chain: Vec::new(),
            cut: None,
            exchange: None,
            waits_for: Vec::new(),
            lender: None,
            queries_left: limits.queries_max,
            depth: 0,
            deadline: now + limits.patience,
            labels_told: 0,
            minimised: 0,
            went_back: false,
            failure: None,
        }
    }

    /// Goes on with another name, where an alias leads.
    pub(super) fn go_on_with(&mut self, name: Name) {
        self.name = name;
        self.cut = None;
        self.labels_told = 0;
        self.minimised = 0;
    }

    /// Tells servers the whole name from now on.
    pub(super) fn stop_minimising(&mut self) {
        self.minimised = MINIMISED_MAX;
    }

    pub(super) fn limit(&self, limit: &'static str) -> ResolveError {
        ResolveError::LimitReached { name: self.question.name.to_string(), limit }
    }
}

/// What an iteration does next.
enum Next {
    Ask(SocketAddr),
    LookUp(Vec<Name>),
    Wait,
    NobodyLeft,
}

impl<R: Rng> Resolver<R> {
    pub(super) fn begin(&mut self, iteration: Iteration, asker: Asker) -> IterationId {
        let id = IterationId(self.next_iteration);
        self.next_iteration += 1;
        self.waiting.begin(iteration.question.clone(), id, asker);
        self.timers.insert((iteration.deadline, Timer::Iteration(id)));
        self.iterations.insert(id, iteration);
        self.ready.push_back(id);
        id
    }

    pub(super) fn advance_ready(&mut self, now: Instant) {
        while let Some(id) = self.ready.pop_front() {
            self.advance(now, id);
        }
    }

    /// Goes on until a reply or a side quest is waited for, or the end is reached.
    fn advance(&mut self, now: Instant, id: IterationId) {
        loop {
            let Some(iteration) = self.iterations.get(&id) else { return };
            if iteration.exchange.is_some() {
                return;
            }
            let (name, rtype) = (iteration.name.clone(), iteration.question.rtype);
            match self.cache.find(now, &name, rtype) {
                Some(Found::Rrset(records)) => return self.succeed(now, id, Rcode::NOERROR, records, None),
                Some(Found::NoData(soa)) => {
                    return self.succeed(now, id, Rcode::NOERROR, Vec::new(), Some(soa));
                }
                Some(Found::NameError(soa)) => {
                    return self.succeed(now, id, Rcode::NXDOMAIN, Vec::new(), Some(soa));
                }
                Some(Found::Alias(cname)) => {
                    let RecordData::Cname(data) = cname.data() else { return };
                    let target = data.cname().clone();
                    if !self.follow_alias(now, id, vec![cname], target) {
                        return;
                    }
                    continue;
                }
                None => {}
            }
            if iteration.cut.is_none() {
                let cut = self.find_cut(now, &name, rtype);
                if let Some(iteration) = self.iterations.get_mut(&id) {
                    iteration.cut = Some(cut);
                }
            }
            match self.next(now, id) {
                Next::Ask(server) => return self.ask(now, id, server, Transport::Udp),
                Next::Wait => return,
                Next::LookUp(names) => {
                    let mut waits = false;
                    for name in names {
                        waits |= self.side_quest(now, id, name);
                    }
                    if waits {
                        return;
                    }
                }
                Next::NobodyLeft => {
                    let Some(iteration) = self.iterations.get_mut(&id) else { return };
                    let stale = iteration.cut.as_ref().is_some_and(|cut| cut.cached) && !iteration.went_back;
                    if !stale {
                        return self.fail_for_want_of_servers(now, id);
                    }
                    // The delegation in the cache may be out of date: once more, from above.
                    iteration.went_back = true;
                    if let Some(cut) = iteration.cut.take() {
                        self.cache.forget_delegation(&cut.zone);
                    }
                }
            }
        }
    }

    /// Goes on where an alias leads; false when that was one too many.
    pub(super) fn follow_alias(
        &mut self,
        now: Instant,
        id: IterationId,
        chain: Vec<Record>,
        target: Name,
    ) -> bool {
        let Some(iteration) = self.iterations.get_mut(&id) else { return false };
        iteration.chain.extend(chain);
        let looped = iteration.chain.iter().any(|record| record.owner() == &target);
        if looped || iteration.chain.len() > self.config.limits.aliases_max {
            let failure = iteration.limit("aliases_max");
            self.fail(now, id, failure);
            return false;
        }
        iteration.go_on_with(target);
        true
    }

    fn next(&mut self, now: Instant, id: IterationId) -> Next {
        let tries_max = self.config.limits.tries_per_address_max;
        let side_quests_max = self.config.limits.side_quests_per_zone_max;
        let Some(iteration) = self.iterations.get_mut(&id) else { return Next::Wait };
        let Some(cut) = &mut iteration.cut else { return Next::NobodyLeft };
        let candidates: Vec<(SocketAddr, u8)> = cut
            .servers
            .iter()
            .flat_map(|server| &server.addresses)
            .filter(|a| !a.useless && a.tries < tries_max && !self.servers.is_lame(now, a.socket, &cut.zone))
            .map(|address| (address.socket, address.tries))
            .collect();
        if let Some(server) = self.servers.choose(now, &mut self.rng, &candidates) {
            return Next::Ask(server);
        }
        if !iteration.waits_for.is_empty() {
            return Next::Wait;
        }
        // Two at a time, so that a referral cannot make us ask for many names at once.
        let mut names = Vec::new();
        for server in &mut cut.servers {
            if names.len() == 2 || cut.side_quests >= side_quests_max {
                break;
            }
            if let (Some(name), false, true) = (&server.name, server.looked_up, server.addresses.is_empty()) {
                server.looked_up = true;
                cut.side_quests += 1;
                names.push(name.clone());
            }
        }
        if names.is_empty() { Next::NobodyLeft } else { Next::LookUp(names) }
    }

    /// Sends the query to `server`.
    pub(super) fn ask(&mut self, now: Instant, id: IterationId, server: SocketAddr, transport: Transport) {
        let Some(iteration) = self.iterations.get_mut(&id) else { return };
        let Some(cut) = &mut iteration.cut else { return };
        if iteration.queries_left == 0 {
            let failure = iteration.limit("queries_max");
            return self.fail(now, id, failure);
        }
        iteration.queries_left -= 1;
        if transport == Transport::Udp {
            cut.address_mut(server).for_each(|address| address.tries += 1);
        }
        // Only as many labels as the server needs to refer us further (RFC 9156).
        let labels = iteration.name.label_count();
        let told = iteration.labels_told.max(cut.zone.label_count()) + 1;
        let minimise = self.config.qname_minimisation
            && !cut.recursive
            && iteration.minimised < MINIMISED_MAX
            && told < labels;
        let (name, rtype) = if minimise {
            iteration.minimised += 1;
            let part = iteration.name.iter_suffixes().nth(labels - told);
            (part.unwrap_or_else(|| iteration.name.clone()), Rtype::A)
        } else {
            (iteration.name.clone(), iteration.question.rtype)
        };
        let name = if self.config.mixed_case { mix_case(&name, &mut self.rng) } else { name };
        let patience = match transport {
            Transport::Udp => self.servers.timeout(now, server),
            Transport::Tcp => self.config.limits.tcp_patience,
        };
        let exchange = Exchange {
            iteration: id,
            to: server,
            transport,
            id: self.rng.next_u32() as u16,
            name,
            rtype,
            minimised: minimise,
            edns: !self.servers.is_plain(now, server),
            recursive: cut.recursive,
            sent: now,
            deadline: now + patience,
            mismatches: 0,
        };
        let told = exchange.clone();
        let deadline = exchange.deadline;
        let Some(exchange) = self.exchanges.open(exchange) else { return };
        iteration.exchange = Some(exchange);
        self.timers.insert((deadline, Timer::Exchange(exchange)));
        self.counters.queries += 1;
        self.tell_exchange(id, &told, Happening::Sent);
    }

    /// Tells what happened in an exchange.
    pub(super) fn tell_exchange(&mut self, id: IterationId, exchange: &Exchange, what: Happening) {
        if self.steps.is_none() {
            return;
        }
        let Some(cut) = self.iterations.get(&id).and_then(|iteration| iteration.cut.as_ref()) else { return };
        let (server_name, zone) = (cut.name_of(exchange.to), cut.zone.clone());
        self.tell(|| Step {
            server: exchange.to,
            server_name,
            zone,
            question: Question { name: exchange.name.clone(), rtype: exchange.rtype },
            transport: exchange.transport,
            what,
        });
    }

    /// The end of the chain is known, and some more aliases that lead there.
    pub(super) fn succeed_after(
        &mut self,
        now: Instant,
        id: IterationId,
        rcode: Rcode,
        chain: Vec<Record>,
        records: Vec<Record>,
        soa: Option<Record>,
    ) {
        let Some(iteration) = self.iterations.get_mut(&id) else { return };
        iteration.chain.extend(chain);
        if iteration.chain.len() > self.config.limits.aliases_max {
            let failure = iteration.limit("aliases_max");
            return self.fail(now, id, failure);
        }
        self.succeed(now, id, rcode, records, soa);
    }

    /// The end of the chain is known.
    pub(super) fn succeed(
        &mut self,
        now: Instant,
        id: IterationId,
        rcode: Rcode,
        records: Vec<Record>,
        soa: Option<Record>,
    ) {
        let Some(iteration) = self.iterations.get_mut(&id) else { return };
        let mut answer = std::mem::take(&mut iteration.chain);
        answer.extend(records);
        self.end(now, id, Ok(Response { rcode, answer, authority: soa.into_iter().collect() }));
    }

    fn fail_for_want_of_servers(&mut self, now: Instant, id: IterationId) {
        let Some(iteration) = self.iterations.get(&id) else { return };
        let zone = iteration.cut.as_ref().map(|cut| cut.zone.to_string()).unwrap_or_default();
        let name = iteration.question.name.to_string();
        let failure = iteration.failure.clone().unwrap_or(ResolveError::Unreachable { name, zone });
        self.fail(now, id, failure);
    }

    /// The time for a question is over.
    pub(super) fn give_up(&mut self, now: Instant, id: IterationId) {
        self.fail_for_want_of_servers(now, id);
    }

    /// Nothing was found out; remembered for a while (RFC 9520).
    pub(super) fn fail(&mut self, now: Instant, id: IterationId, failure: ResolveError) {
        let Some(iteration) = self.iterations.get(&id) else { return };
        let question = iteration.question.clone();
        let octets = question.name.len() + size_of::<(Question, Instant, ResolveError)>() + 64;
        self.failures.insert(question, (now + self.config.limits.failure_ttl, failure.clone()), octets);
        self.end(now, id, Err(failure));
    }

    fn end(&mut self, _now: Instant, id: IterationId, result: Result<Response, ResolveError>) {
        let Some(iteration) = self.iterations.remove(&id) else { return };
        self.timers.remove(&(iteration.deadline, Timer::Iteration(id)));
        if let Some(exchange) = iteration.exchange {
            self.close(exchange);
        }
        if let Some(lender) = iteration.lender.and_then(|lender| self.iterations.get_mut(&lender)) {
            lender.queries_left += iteration.queries_left;
        }
        for asker in self.waiting.end(&iteration.question, id) {
            match asker {
                Asker::Client(asker) => {
                    let (question, result) = (iteration.question.clone(), result.clone());
                    self.answers.push_back(Answer { asker, question, result, from_cache: false });
                }
                Asker::Iteration(parent) => {
                    self.return_from_side_quest(parent, id, &iteration.question, &result);
                }
                Asker::Cache => {}
            }
        }
    }

    /// Ends an exchange and its timer.
    pub(super) fn close(&mut self, id: ExchangeId) -> Option<Exchange> {
        let exchange = self.exchanges.close(id)?;
        self.timers.remove(&(exchange.deadline, Timer::Exchange(id)));
        Some(exchange)
    }
}
