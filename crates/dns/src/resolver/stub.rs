//! The stub resolver's side: reading what it asks, writing what it is told.

use super::{Question, Response};
use crate::{Name, Record, RecordData};
use bytes::Bytes;
use domain::base::iana::{Class, Opcode, OptRcode, Rcode, Rtype};
use domain::base::message_builder::AdditionalBuilder;
use domain::base::{CharStr, Message, MessageBuilder, StaticCompressor, ToName, Ttl};
use domain::rdata::Hinfo;

/// The least UDP payload every client takes (RFC 1035 section 4.2.1).
const PLAIN_PAYLOAD_OCTETS: u16 = 512;
/// The most octets of a reply over UDP, whatever the client says it takes.
const PAYLOAD_OCTETS_MAX: u16 = 1_232;

/// A query of a stub resolver.
#[derive(Debug, Clone)]
pub struct StubQuery {
    /// The message id.
    pub id: u16,
    /// What it asks; the letters' case as it came.
    pub question: Question,
    /// Whether recursion is desired.
    pub recursion_desired: bool,
    /// The class asked for.
    class: Class,
    checking_disabled: bool,
    /// With EDNS: the UDP payload the client takes.
    payload_octets: Option<u16>,
}

/// What a query that cannot be answered gets.
#[derive(Debug)]
pub enum Unanswerable {
    /// Nothing: it is no query.
    Ignore,
    /// This reply.
    Reply(Vec<u8>),
}

/// Reads a query.
pub fn read(octets: &[u8]) -> Result<StubQuery, Unanswerable> {
    let message = Message::from_octets(octets).map_err(|_| Unanswerable::Ignore)?;
    let header = message.header();
    if header.qr() {
        return Err(Unanswerable::Ignore);
    }
    let refuse = |rcode| Unanswerable::Reply(bare(octets, rcode));
    if header.opcode() != Opcode::QUERY {
        return Err(refuse(Rcode::NOTIMP));
    }
    let question = message.sole_question().map_err(|_| refuse(Rcode::FORMERR))?;
    // Every record must be readable, or the OPT record may hide behind a broken one.
    let counts = message.header_counts();
    let additional = message.additional().map_err(|_| refuse(Rcode::FORMERR))?;
    let opts = additional
        .into_iter()
        .try_fold(0, |opts, record| record.map(|record| opts + usize::from(record.rtype() == Rtype::OPT)));
    if counts.ancount() > 0 || counts.nscount() > 0 || opts.is_err() || opts.is_ok_and(|opts| opts > 1) {
        return Err(refuse(Rcode::FORMERR));
    }
    let opt = message.opt();
    let query = StubQuery {
        id: header.id(),
        question: Question { name: question.qname().to_name::<Bytes>(), rtype: question.qtype() },
        recursion_desired: header.rd(),
        class: question.qclass(),
        checking_disabled: header.cd(),
        payload_octets: opt.as_ref().map(domain::base::opt::OptRecord::udp_payload_size),
    };
    if opt.is_some_and(|opt| opt.version() != 0) {
        return Err(Unanswerable::Reply(query.error(OptRcode::BADVERS)));
    }
    Ok(query)
}

/// A reply to a query that could not be read: its header, no sections.
fn bare(octets: &[u8], rcode: Rcode) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    if let Ok(message) = Message::from_octets(octets) {
        let asked = message.header();
        let header = builder.header_mut();
        header.set_id(asked.id());
        header.set_opcode(asked.opcode());
        header.set_rd(asked.rd());
    }
    builder.header_mut().set_qr(true);
    builder.header_mut().set_ra(true);
    builder.header_mut().set_rcode(rcode);
    builder.finish()
}

impl StubQuery {
    /// What can be said without resolving: what is not done for anybody.
    pub fn answer_at_once(&self) -> Option<Vec<u8>> {
        if self.class != Class::IN || !self.recursion_desired {
            // What others have asked before is nobody's business.
            return Some(self.error(OptRcode::REFUSED));
        }
        match self.question.rtype {
            Rtype::ANY => {
                // RFC 8482 section 4.2.
                let text = |text: &'static [u8]| CharStr::from_octets(Bytes::from_static(text)).ok();
                let data = RecordData::Hinfo(Hinfo::new(text(b"RFC8482")?, text(b"")?));
                let record = Record::new(self.question.name.clone(), Class::IN, Ttl::from_secs(3_600), data);
                let answer = vec![record];
                Some(self.response(
                    &Response { rcode: Rcode::NOERROR, answer, authority: Vec::new() },
                    u16::MAX.into(),
                ))
            }
            Rtype::AXFR | Rtype::IXFR => Some(self.error(OptRcode::REFUSED)),
            Rtype::OPT | Rtype::TSIG | Rtype::TKEY | Rtype::MAILA | Rtype::MAILB => {
                Some(self.error(OptRcode::NOTIMP))
            }
            _ => None,
        }
    }

    /// The most octets of a reply over UDP.
    pub fn datagram_octets_max(&self) -> usize {
        self.payload_octets.unwrap_or(0).clamp(PLAIN_PAYLOAD_OCTETS, PAYLOAD_OCTETS_MAX).into()
    }

    /// A reply without records.
    pub fn error(&self, rcode: OptRcode) -> Vec<u8> {
        self.write(rcode, &[], &[], u16::MAX.into()).unwrap_or_default()
    }

    /// The reply with what was found, in at most `octets_max`. What does not
    /// fit is left out whole, and TC says so (RFC 2181 section 9).
    pub fn response(&self, response: &Response, octets_max: usize) -> Vec<u8> {
        let rcode = OptRcode::from_rcode(response.rcode);
        self.write(rcode, &response.answer, &response.authority, octets_max)
            .or_else(|| self.truncated(rcode))
            .unwrap_or_else(|| self.error(OptRcode::SERVFAIL))
    }

    fn start(
        &self,
        rcode: OptRcode,
    ) -> Option<domain::base::message_builder::QuestionBuilder<StaticCompressor<Vec<u8>>>> {
        let mut builder = MessageBuilder::from_target(StaticCompressor::new(Vec::with_capacity(512))).ok()?;
        let header = builder.header_mut();
        header.set_id(self.id);
        header.set_qr(true);
        header.set_rd(self.recursion_desired);
        header.set_cd(self.checking_disabled);
        header.set_ra(true);
        header.set_rcode(rcode.rcode());
        let mut builder = builder.question();
        let name: &Name = &self.question.name;
        builder.push((name, self.question.rtype, self.class)).ok()?;
        Some(builder)
    }

    fn write(
        &self,
        rcode: OptRcode,
        answer: &[Record],
        authority: &[Record],
        octets_max: usize,
    ) -> Option<Vec<u8>> {
        let mut builder = self.start(rcode)?;
        builder.set_push_limit(octets_max);
        let mut builder = builder.answer();
        for record in answer {
            builder.push(record).ok()?;
        }
        let mut builder = builder.authority();
        for record in authority {
            builder.push(record).ok()?;
        }
        self.finish(builder.additional(), rcode)
    }

    fn truncated(&self, rcode: OptRcode) -> Option<Vec<u8>> {
        let mut builder = self.start(rcode)?;
        builder.header_mut().set_tc(true);
        self.finish(builder.additional(), rcode)
    }

    fn finish(
        &self,
        mut builder: AdditionalBuilder<StaticCompressor<Vec<u8>>>,
        rcode: OptRcode,
    ) -> Option<Vec<u8>> {
        if self.payload_octets.is_some() {
            builder
                .opt(|opt| {
                    opt.set_udp_payload_size(PAYLOAD_OCTETS_MAX);
                    opt.set_rcode(rcode);
                    Ok(())
                })
                .ok()?;
        }
        Some(builder.finish().into_target())
    }
}
