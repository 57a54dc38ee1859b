//! What a reply, or its absence, means for the iteration that waits for it.

use super::Resolver;
use super::accept::{self, Fit, Says};
use super::cut::server_names;
use super::exchange::{Exchange, ExchangeId, Transport};
use super::step::Happening;
use crate::cache::Rank;
use crate::{Name, Record, RecordData, ResolveError};
use bytes::Bytes;
use domain::base::iana::{OptRcode, Rcode, Rtype};
use event::ResponseKind;
use rand_core::Rng;
use std::net::SocketAddr;
use std::time::Instant;

impl<R: Rng> Resolver<R> {
    /// Octets came to the socket of an exchange.
    pub(super) fn heed_octets(&mut self, now: Instant, id: ExchangeId, from: SocketAddr, octets: &[u8]) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        let fit = if from == exchange.to {
            accept::fit(octets, exchange.id, &exchange.name, exchange.rtype, self.config.mixed_case)
        } else {
            Fit::Mismatch
        };
        let iteration = exchange.iteration;
        if fit == Fit::Mismatch {
            exchange.mismatches += 1;
            self.counters.mismatches += 1;
            let (exchange, guessed) =
                (exchange.clone(), exchange.mismatches > self.config.limits.mismatches_max);
            self.tell_exchange(iteration, &exchange, Happening::Mismatch { from });
            if guessed && exchange.transport == Transport::Udp {
                self.ask_again(now, id, Transport::Tcp);
            }
            return;
        }
        let elapsed = now.saturating_duration_since(exchange.sent);
        if fit == Fit::Truncated && exchange.transport == Transport::Udp {
            let exchange = exchange.clone();
            self.servers.answered(now, exchange.to, elapsed);
            self.tell_exchange(iteration, &exchange, Happening::Truncated { elapsed });
            self.ask_again(now, id, Transport::Tcp);
            return;
        }
        let Some(exchange) = self.close(id) else { return };
        if let Some(iteration) = self.iterations.get_mut(&iteration) {
            iteration.exchange = None;
        }
        if exchange.transport == Transport::Udp {
            self.servers.answered(now, exchange.to, elapsed);
        }
        if let Some(reply) = accept::read(&Bytes::copy_from_slice(octets)) {
            self.heed_reply(now, &exchange, reply);
        } else {
            self.tell_exchange(iteration, &exchange, Happening::Malformed);
            self.discard(&exchange, Rcode::FORMERR);
        }
        self.ready.push_back(iteration);
    }

    /// Asks the same server the same, in a new exchange.
    fn ask_again(&mut self, now: Instant, id: ExchangeId, transport: Transport) {
        let Some(exchange) = self.close(id) else { return };
        let Some(iteration) = self.iterations.get_mut(&exchange.iteration) else { return };
        iteration.exchange = None;
        if exchange.minimised {
            iteration.minimised = iteration.minimised.saturating_sub(1);
        }
        self.ask(now, exchange.iteration, exchange.to, transport);
    }

    /// No reply came, or none can come.
    pub(super) fn heed_silence(&mut self, now: Instant, id: ExchangeId, unreachable: bool) {
        let Some(exchange) = self.close(id) else { return };
        self.servers.timed_out(now, exchange.to);
        self.counters.timeouts += 1;
        let elapsed = now.saturating_duration_since(exchange.sent);
        let what = if unreachable { Happening::Unreachable } else { Happening::TimedOut { elapsed } };
        self.tell_exchange(exchange.iteration, &exchange, what);
        let Some(iteration) = self.iterations.get_mut(&exchange.iteration) else { return };
        iteration.exchange = None;
        if exchange.minimised {
            iteration.minimised = iteration.minimised.saturating_sub(1);
        }
        if let Some(cut) = &mut iteration.cut
            && (unreachable || exchange.transport == Transport::Tcp)
        {
            cut.address_mut(exchange.to).for_each(|address| address.useless = true);
        }
        self.ready.push_back(exchange.iteration);
    }

    /// A server's reply is of no use: others are asked.
    fn discard(&mut self, exchange: &Exchange, rcode: Rcode) {
        let Some(iteration) = self.iterations.get_mut(&exchange.iteration) else { return };
        let name = iteration.question.name.to_string();
        let Some(cut) = &mut iteration.cut else { return };
        cut.address_mut(exchange.to).for_each(|address| address.useless = true);
        iteration.failure = Some(ResolveError::Failed { name, zone: cut.zone.to_string(), rcode });
    }

    fn heed_reply(&mut self, now: Instant, exchange: &Exchange, reply: accept::Reply) {
        let id = exchange.iteration;
        let Some(cut) = self.iterations.get(&id).and_then(|iteration| iteration.cut.as_ref()) else { return };
        let (zone, recursive) = (cut.zone.clone(), cut.recursive);
        let rcode = reply.rcode;
        let rank = if reply.authoritative { Rank::AuthoritativeAnswer } else { Rank::Answer };
        let root_glue =
            (exchange.name.is_root() && exchange.rtype == Rtype::NS).then(|| reply.additional.clone());
        let says = accept::interpret(reply, &zone, &exchange.name, exchange.rtype, recursive);
        self.tell_reply(now, exchange, rcode, &says);
        match says {
            Says::Answer { chain, rrset } => {
                self.keep_chain(now, rank, &chain);
                self.cache.store_rrset(now, if chain.is_empty() { rank } else { Rank::Answer }, &rrset);
                if let Some(glue) = root_glue {
                    self.keep_root(now, &rrset, &glue);
                }
                if exchange.minimised {
                    return self.tell_more(exchange);
                }
                self.succeed_after(now, id, Rcode::NOERROR, chain, rrset, None);
            }
            Says::Alias { chain, target } => {
                self.keep_chain(now, rank, &chain);
                if exchange.minimised {
                    return self.tell_more(exchange);
                }
                self.follow_alias(now, id, chain, target);
            }
            Says::NameError { .. } if exchange.minimised => {
                // Some servers deny names that only have names below them.
                if let Some(iteration) = self.iterations.get_mut(&id) {
                    iteration.stop_minimising();
                }
            }
            Says::NoData { .. } if exchange.minimised => self.tell_more(exchange),
            Says::NameError { chain, soa } => {
                self.keep_chain(now, rank, &chain);
                if let Some(soa) = &soa {
                    self.cache.store_name_error(now, end_of(&chain, &exchange.name), soa);
                }
                self.succeed_after(now, id, Rcode::NXDOMAIN, chain, Vec::new(), soa);
            }
            Says::NoData { chain, soa } => {
                self.keep_chain(now, rank, &chain);
                if let Some(soa) = &soa {
                    self.cache.store_no_data(now, end_of(&chain, &exchange.name), exchange.rtype, soa);
                }
                self.succeed_after(now, id, Rcode::NOERROR, chain, Vec::new(), soa);
            }
            Says::Referral { zone, servers, glue } => {
                self.cache.store_delegation(now, &servers);
                self.keep_addresses(now, &glue);
                let cut = self.cut_of(now, zone, &servers, &glue, false);
                if let Some(iteration) = self.iterations.get_mut(&id) {
                    iteration.labels_told = iteration.labels_told.max(cut.zone.label_count());
                    iteration.cut = Some(cut);
                    iteration.waits_for.clear();
                }
            }
            Says::Error(rcode) => self.heed_error(now, exchange, &zone, rcode),
            Says::Lame => {
                self.call_lame(now, exchange.to, &zone);
                self.discard(exchange, Rcode::NOTAUTH);
            }
        }
    }

    fn heed_error(&mut self, now: Instant, exchange: &Exchange, zone: &Name, rcode: OptRcode) {
        let misunderstood = matches!(rcode, OptRcode::FORMERR | OptRcode::NOTIMP | OptRcode::BADVERS);
        if misunderstood && exchange.edns {
            // Once more without EDNS (RFC 6891 section 7).
            self.servers.mark_plain(now, exchange.to);
            if let Some(iteration) = self.iterations.get_mut(&exchange.iteration)
                && exchange.minimised
            {
                iteration.minimised = iteration.minimised.saturating_sub(1);
            }
            return self.ask(now, exchange.iteration, exchange.to, exchange.transport);
        }
        if exchange.minimised {
            if let Some(iteration) = self.iterations.get_mut(&exchange.iteration) {
                iteration.stop_minimising();
            }
            return;
        }
        if matches!(rcode, OptRcode::REFUSED | OptRcode::NOTAUTH) {
            self.call_lame(now, exchange.to, zone);
        }
        self.discard(exchange, rcode.rcode());
    }

    /// Does not ask a server for a zone for a while. Servers that were configured are
    /// no delegation gone wrong: they may be about to move, and are asked again.
    fn call_lame(&mut self, now: Instant, server: SocketAddr, zone: &Name) {
        if !self.config.zones.iter().any(|fixed| fixed.apex == *zone) {
            self.servers.mark_lame(now, server, zone);
        }
    }

    /// The part of the name asked for is known; the next query tells one label more.
    fn tell_more(&mut self, exchange: &Exchange) {
        if let Some(iteration) = self.iterations.get_mut(&exchange.iteration) {
            iteration.labels_told = exchange.name.label_count();
        }
    }

    fn keep_chain(&mut self, now: Instant, rank: Rank, chain: &[Record]) {
        for (place, alias) in chain.iter().enumerate() {
            // Authority covers the first owner name only (RFC 1035 section 4.1.1, AA).
            let rank = if place == 0 { rank } else { Rank::Answer };
            self.cache.store_rrset(now, rank, std::slice::from_ref(alias));
        }
    }

    /// Keeps addresses as additional data: to find servers with.
    fn keep_addresses(&mut self, now: Instant, glue: &[Record]) {
        let mut rest: Vec<&Record> = glue.iter().collect();
        while let Some(first) = rest.first().copied() {
            let same = |r: &&Record| r.owner() == first.owner() && r.rtype() == first.rtype();
            let rrset: Vec<Record> = rest.iter().copied().filter(same).cloned().collect();
            self.cache.store_rrset(now, Rank::Additional, &rrset);
            rest.retain(|record| !same(record));
        }
    }

    /// Keeps the root servers of today (RFC 8109 section 4).
    fn keep_root(&mut self, now: Instant, servers: &[Record], additional: &[Record]) {
        self.cache.store_delegation(now, servers);
        let names: Vec<&Name> = server_names(servers).collect();
        let of_servers = |r: &&Record| {
            matches!(r.rtype(), Rtype::A | Rtype::AAAA) && names.iter().any(|name| *name == r.owner())
        };
        let glue: Vec<Record> = additional.iter().filter(of_servers).cloned().collect();
        self.keep_addresses(now, &glue);
    }

    fn tell_reply(&mut self, now: Instant, exchange: &Exchange, rcode: OptRcode, says: &Says) {
        if self.steps.is_none() {
            return;
        }
        let with = |chain: &[Record], more: &[Record]| [chain, more].concat();
        let (kind, records) = match says {
            Says::Answer { chain, rrset } => (ResponseKind::Answer, with(chain, rrset)),
            Says::Alias { chain, .. } => (ResponseKind::Answer, chain.clone()),
            Says::NameError { chain, soa } => (ResponseKind::NameError, with(chain, soa.as_slice())),
            Says::NoData { chain, soa } => (ResponseKind::NoData, with(chain, soa.as_slice())),
            Says::Referral { servers, glue, .. } => (ResponseKind::Referral, with(servers, glue)),
            Says::Error(_) => (ResponseKind::Failure, Vec::new()),
            Says::Lame => return self.tell_exchange(exchange.iteration, exchange, Happening::Lame),
        };
        let elapsed = now.saturating_duration_since(exchange.sent);
        let what = Happening::Received { kind, rcode, records, elapsed };
        self.tell_exchange(exchange.iteration, exchange, what);
    }
}

/// The name at the end of a chain of aliases.
fn end_of<'a>(chain: &'a [Record], name: &'a Name) -> &'a Name {
    match chain.last().map(Record::data) {
        Some(RecordData::Cname(cname)) => cname.cname(),
        _ => name,
    }
}
