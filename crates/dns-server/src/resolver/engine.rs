//! The task that owns the rules: questions and messages go in, replies and
//! queries go out.

use super::stubs::Ends;
use super::upstream::{Arrival, Upstream};
use dns::resolver::stub::StubQuery;
use dns::resolver::{Answer, AskerId, Config, Happening, Question, Resolver, Response, Step};
use dns::{Record, ResolveError};
use domain::base::iana::{OptRcode, Rcode};
use event::{Detail, DnsEvent, Reporter, ResponseKind};
use net::{Datagrams, Shutdown};
use rand::rngs::StdRng;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// Records told in one event; the rest is counted.
const RECORDS_TOLD_MAX: usize = 8;

/// Somebody's question.
#[derive(Debug)]
pub(super) enum Asked {
    /// A stub resolver's.
    Stub { query: StubQuery, ends: Ends, sink: Sink },
    /// One of this host's own services'.
    Service { question: Question, reply: oneshot::Sender<Result<Response, ResolveError>> },
}

/// Where a stub's reply goes.
#[derive(Debug)]
pub(super) enum Sink {
    Datagrams(Arc<Datagrams>),
    Stream(mpsc::Sender<Vec<u8>>),
}

/// The owner of the rules.
#[derive(Debug)]
pub(super) struct Engine {
    resolver: Resolver<StdRng>,
    upstream: Upstream,
    questions: mpsc::Receiver<Asked>,
    /// Configurations to take over.
    configured: mpsc::Receiver<Config>,
    /// Who asked; at most as many as the rules' bounds let wait.
    askers: HashMap<AskerId, Asked>,
    next: u64,
    reporter: Reporter,
}

impl Engine {
    pub(super) fn new(
        resolver: Resolver<StdRng>,
        upstream: Upstream,
        questions: mpsc::Receiver<Asked>,
        configured: mpsc::Receiver<Config>,
        reporter: Reporter,
    ) -> Self {
        Self { resolver, upstream, questions, configured, askers: HashMap::new(), next: 0, reporter }
    }

    pub(super) async fn run(mut self, shutdown: Shutdown) {
        loop {
            let deadline = self.resolver.poll_timeout();
            let timeout = async move {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.requested() => return,
                asked = self.questions.recv() => match asked {
                    Some(asked) => self.take(asked),
                    None => return,
                },
                Some(config) = self.configured.recv() => self.resolver.configure(config),
                Some(arrival) = self.upstream.arrival() => match arrival {
                    Arrival::Message { exchange, from, octets } => {
                        self.resolver.handle_message(Instant::now(), exchange, from, &octets);
                    }
                    Arrival::Unreachable { exchange } => {
                        self.resolver.handle_unreachable(Instant::now(), exchange);
                    }
                },
                () = timeout => self.resolver.handle_timeout(Instant::now()),
            }
            self.carry_out().await;
        }
    }

    fn take(&mut self, asked: Asked) {
        self.resolver.tell_steps(self.reporter.wants(Detail::Message));
        let question = match &asked {
            Asked::Stub { query, .. } => query.question.clone(),
            Asked::Service { question, .. } => question.clone(),
        };
        let asker = AskerId(self.next);
        self.next += 1;
        self.askers.insert(asker, asked);
        self.resolver.handle_question(Instant::now(), question, asker);
    }

    /// Does what the rules want done.
    async fn carry_out(&mut self) {
        while let Some(exchange) = self.resolver.poll_closed() {
            self.upstream.end(exchange);
        }
        while let Some(transmit) = self.resolver.poll_transmit() {
            self.upstream.begin(transmit);
        }
        while let Some(step) = self.resolver.poll_step() {
            self.tell_step(&step);
        }
        while let Some(answer) = self.resolver.poll_answer() {
            match self.askers.remove(&answer.asker) {
                Some(Asked::Stub { query, ends, sink }) => self.reply(&query, ends, sink, &answer).await,
                Some(Asked::Service { reply, .. }) => {
                    self.tell_cache_hit(&answer);
                    let _ = reply.send(answer.result);
                }
                None => {}
            }
        }
    }

    async fn reply(&self, query: &StubQuery, ends: Ends, sink: Sink, answer: &Answer) {
        self.tell_cache_hit(answer);
        self.tell_response(query, ends, answer);
        let octets_max = match &sink {
            Sink::Datagrams(_) => query.datagram_octets_max(),
            Sink::Stream(_) => u16::MAX.into(),
        };
        let octets = match &answer.result {
            Ok(response) => query.response(response, octets_max),
            Err(failure) => {
                tracing::debug!(%failure, client = %ends.client, "SERVFAIL");
                query.error(OptRcode::SERVFAIL)
            }
        };
        match sink {
            Sink::Datagrams(socket) => {
                if let Err(error) = socket.send_from(&octets, ends.local, ends.client).await {
                    tracing::debug!(%error, client = %ends.client, "reply not sent");
                }
            }
            Sink::Stream(replies) => {
                let _ = replies.try_send(octets);
            }
        }
    }

    fn tell_cache_hit(&self, answer: &Answer) {
        if !answer.from_cache {
            return;
        }
        self.reporter.tell_with(Detail::Message, || {
            let records =
                answer.result.iter().flat_map(|response| response.answer.iter().chain(&response.authority));
            let ttl_seconds = records.map(|record| record.ttl().as_secs()).min().unwrap_or(0);
            DnsEvent::CacheHit { question: answer.question.to_string(), ttl_seconds }
        });
    }

    fn tell_response(&self, query: &StubQuery, ends: Ends, answer: &Answer) {
        self.reporter.tell_with(Detail::Message, || {
            let (kind, records) = match &answer.result {
                Ok(response) if response.rcode == Rcode::NXDOMAIN => {
                    (ResponseKind::NameError, &response.answer)
                }
                Ok(response) if response.answer.is_empty() => (ResponseKind::NoData, &response.answer),
                Ok(response) => (ResponseKind::Answer, &response.answer),
                Err(_) => (ResponseKind::Failure, &Vec::new()),
            };
            DnsEvent::Response {
                from: ends.local,
                to: ends.client,
                id: query.id,
                question: answer.question.to_string(),
                kind,
                records: outline(records),
            }
        });
    }

    fn tell_step(&self, step: &Step) {
        match &step.what {
            Happening::TimedOut { .. } | Happening::Unreachable => self
                .reporter
                .tell(DnsEvent::TimedOut { server: step.server, question: step.question.to_string() }),
            _ => tracing::trace!(?step, "resolving"),
        }
    }
}

/// The first records, one line each.
fn outline(records: &[Record]) -> Vec<String> {
    let mut lines: Vec<String> = records.iter().take(RECORDS_TOLD_MAX).map(ToString::to_string).collect();
    if records.len() > RECORDS_TOLD_MAX {
        lines.push(format!("and {} more", records.len() - RECORDS_TOLD_MAX));
    }
    lines
}

#[cfg(test)]
mod tests {
    //! How much is told.
    use super::*;
    use domain::base::Ttl;
    use domain::base::iana::Class;
    use domain::rdata::A;

    #[test]
    fn further_records_are_counted() {
        let records: Vec<Record> = (0..RECORDS_TOLD_MAX as u8 + 5)
            .map(|last| {
                let data = A::from_octets(192, 0, 2, last).into();
                Record::new(dns::Name::root_bytes(), Class::IN, Ttl::from_secs(60), data)
            })
            .collect();
        let lines = outline(&records);
        assert_eq!((lines.len(), &*lines[RECORDS_TOLD_MAX]), (RECORDS_TOLD_MAX + 1, "and 5 more"));
        assert_eq!(outline(&records[..RECORDS_TOLD_MAX]).len(), RECORDS_TOLD_MAX);
    }
}
