//! One query and the reply it waits for.

use super::iterate::IterationId;
use crate::Name;
use bytes::Bytes;
use domain::base::iana::{Class, Rtype};
use domain::base::{MessageBuilder, Question};
use rand_core::Rng;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

/// The UDP payload we can take without fragments (the size agreed on for DNS
/// flag day 2020).
pub const UDP_PAYLOAD_OCTETS: u16 = 1_232;

/// Names one exchange. The service gives each exchange over UDP a socket of its
/// own with a random port, and hands in what arrives there under this id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId(pub u64);

/// How a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// One datagram.
    Udp,
    /// A connection; the service adds and takes away the two octets of length
    /// (RFC 1035 section 4.2.2).
    Tcp,
}

/// A query to be sent from a socket that nothing else uses.
#[derive(Debug, Clone)]
pub struct Transmit {
    /// The exchange it begins.
    pub exchange: ExchangeId,
    /// The server.
    pub to: SocketAddr,
    /// Over UDP or TCP.
    pub transport: Transport,
    /// The message.
    pub octets: Bytes,
}

/// A query on its way.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    pub(super) iteration: IterationId,
    pub(super) to: SocketAddr,
    pub(super) transport: Transport,
    pub(super) id: u16,
    /// The name as sent, its letters' case included.
    pub(super) name: Name,
    pub(super) rtype: Rtype,
    /// Whether the name is only part of the one looked for (RFC 9156).
    pub(super) minimised: bool,
    pub(super) edns: bool,
    pub(super) recursive: bool,
    pub(super) sent: Instant,
    pub(super) deadline: Instant,
    /// Replies that did not fit.
    pub(super) mismatches: u32,
}

impl Exchange {
    /// The query's octets.
    pub(super) fn query(&self) -> Option<Bytes> {
        let mut builder = MessageBuilder::new_vec();
        builder.header_mut().set_id(self.id);
        builder.header_mut().set_rd(self.recursive);
        let mut question = builder.question();
        question.push(Question::new(&self.name, self.rtype, Class::IN)).ok()?;
        let mut additional = question.additional();
        if self.edns {
            additional
                .opt(|opt| {
                    opt.set_udp_payload_size(UDP_PAYLOAD_OCTETS);
                    Ok(())
                })
                .ok()?;
        }
        Some(Bytes::from(additional.finish()))
    }
}

/// All queries on their way, and what the service is to do about them.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    open: HashMap<ExchangeId, Exchange>,
    next: u64,
    /// Queries to send. At most one for each iteration.
    pub(super) transmits: VecDeque<Transmit>,
    /// Exchanges that are over: their sockets can be closed.
    pub(super) closed: VecDeque<ExchangeId>,
}

impl Exchanges {
    /// Begins an exchange.
    pub(super) fn open(&mut self, exchange: Exchange) -> Option<ExchangeId> {
        let octets = exchange.query()?;
        let id = ExchangeId(self.next);
        self.next += 1;
        self.transmits.push_back(Transmit {
            exchange: id,
            to: exchange.to,
            transport: exchange.transport,
            octets,
        });
        self.open.insert(id, exchange);
        Some(id)
    }

    pub(super) fn get_mut(&mut self, id: ExchangeId) -> Option<&mut Exchange> {
        self.open.get_mut(&id)
    }

    /// Ends an exchange.
    pub(super) fn close(&mut self, id: ExchangeId) -> Option<Exchange> {
        let exchange = self.open.remove(&id)?;
        self.transmits.retain(|transmit| transmit.exchange != id);
        self.closed.push_back(id);
        Some(exchange)
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }
}

/// The name with the case of each letter chosen at random.
pub(super) fn mix_case(name: &Name, rng: &mut impl Rng) -> Name {
    let mut octets = name.as_slice().to_vec();
    for octet in &mut octets {
        // Length octets are below 64, so they are no letters.
        if octet.is_ascii_alphabetic() && rng.next_u32() & 1 == 1 {
            *octet ^= 0x20;
        }
    }
    Name::from_octets(Bytes::from(octets)).unwrap_or_else(|_| name.clone())
}
