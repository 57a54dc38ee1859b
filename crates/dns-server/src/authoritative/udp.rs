//! Queries in datagrams: one thread a socket, a batch at a time. All queries of
//! a batch are read and what their look-ups touch is being fetched before the
//! first is answered, so that the memory works on all of them at once.

use super::Shared;
use super::deferred::Request;
use dns::answer::{Answerer, Located, Query, Transport, Verdict};
use domain::base::iana::OptRcode;
use event::{Detail, DnsEvent};
use net::Shutdown;
use net::batch::{DatagramBatch, LateReplies};
use std::io;
use std::sync::Arc;

/// Datagrams answered at once.
pub(super) const DATAGRAMS_MAX: usize = 64;

/// Batches answered after the socket takes no more: more than the system keeps.
const LAST_BATCHES_MAX: usize = 1_024;

/// Answers until `closing` is requested.
pub(super) fn serve(
    shared: &Arc<Shared>,
    closing: &Shutdown,
    mut batch: DatagramBatch,
    late: &Arc<LateReplies>,
) {
    if let Err(error) = Desk::new(shared, late).serve(closing, &mut batch) {
        shared.reporter.tell(DnsEvent::Refused {
            peer: batch.local_addr(),
            reason: format!("the UDP socket failed: {error}"),
        });
    }
}

/// What one thread answers with.
struct Desk<'a> {
    shared: &'a Arc<Shared>,
    late: &'a Arc<LateReplies>,
    payload_octets_max: u16,
    answerer: Answerer,
    queries: Vec<Query>,
    verdicts: [Verdict; DATAGRAMS_MAX],
}

impl<'a> Desk<'a> {
    fn new(shared: &'a Arc<Shared>, late: &'a Arc<LateReplies>) -> Self {
        let payload_octets_max = shared.settings.load().payload_octets_max;
        let answerer = Answerer::new(payload_octets_max);
        let queries = vec![Query::default(); DATAGRAMS_MAX];
        let verdicts = [Verdict::Drop; DATAGRAMS_MAX];
        Self { shared, late, payload_octets_max, answerer, queries, verdicts }
    }

    fn serve(&mut self, closing: &Shutdown, batch: &mut DatagramBatch) -> io::Result<()> {
        while !closing.is_requested() {
            match batch.receive_now()? {
                0 => batch.wait()?,
                count => self.reply(batch, count),
            }
        }
        // What waits is answered still: here, or by who has taken the socket over.
        if batch.retire()? {
            for _ in 0..LAST_BATCHES_MAX {
                match batch.receive_now()? {
                    0 => break,
                    count => self.reply(batch, count),
                }
            }
        }
        Ok(())
    }

    fn reply(&mut self, batch: &mut DatagramBatch, count: usize) {
        let count = count.min(DATAGRAMS_MAX);
        let wanted = self.shared.settings.load().payload_octets_max;
        if wanted != self.payload_octets_max {
            self.payload_octets_max = wanted;
            self.answerer = Answerer::new(wanted);
        }
        let (queries, verdicts) = (&mut self.queries[..count], &mut self.verdicts[..count]);
        answer(self.shared, self.late, &mut self.answerer, batch, queries, verdicts);
        // What the system could not send is lost as on a wire; the client asks again.
        let _ = batch.send();
    }
}

fn answer(
    shared: &Arc<Shared>,
    late: &Arc<LateReplies>,
    answerer: &mut Answerer,
    batch: &mut DatagramBatch,
    queries: &mut [Query],
    verdicts: &mut [Verdict],
) {
    let zones = shared.zones.load();
    let mut located = [const { None }; DATAGRAMS_MAX];
    let mut near = None;
    for (index, (query, verdict)) in queries.iter_mut().zip(verdicts.iter_mut()).enumerate() {
        *verdict = query.read(batch.datagram(index).octets);
        if *verdict == Verdict::Answer {
            located[index] = Located::find(&zones, query, near.as_ref(), net::prefetch);
            near = located[index].or(near);
        }
    }
    Located::fetch(&mut located[..queries.len()], net::prefetch);

    let (mut answered, mut name_errors, mut truncated, mut refused) = (0, 0, 0, 0);
    for (index, (query, verdict)) in queries.iter().zip(verdicts.iter()).enumerate() {
        let (incoming, mut reply) = batch.exchange(index);
        let written = match (verdict, &located[index]) {
            (Verdict::Answer, Some(located)) => answerer.answer_located(
                &zones,
                located,
                incoming.octets,
                query,
                Transport::Datagram,
                reply.buffer(),
            ),
            (Verdict::Defer, _) => {
                shared.defer(Request::datagram(&incoming), late);
                continue;
            }
            _ => {
                answerer.answer(&zones, incoming.octets, query, *verdict, Transport::Datagram, reply.buffer())
            }
        };
        match written {
            Some(written) => {
                reply.set_len(written.length);
                answered += 1;
                truncated += u32::from(written.truncated);
                name_errors += u32::from(written.rcode == OptRcode::NXDOMAIN);
                refused += u32::from(!matches!(written.rcode, OptRcode::NOERROR | OptRcode::NXDOMAIN));
                if shared.reporter.wants(Detail::Message) {
                    let octets = &reply.buffer()[..written.length];
                    super::tell::exchange(&shared.reporter, incoming.peer(), incoming.local(), query, octets);
                }
            }
            None => refused += 1,
        }
    }
    shared.reporter.tell_with(Detail::Summary, || DnsEvent::Answered {
        queries: answered,
        name_errors,
        truncated,
        refused,
    });
}
