//! Answering queries from zones (RFC 1034 section 4.3.2): the way every query
//! takes that needs nothing but the zones' current version.

mod chain;
mod located;
mod query;
mod write;

pub use chain::CNAME_CHAIN_MAX;
pub use located::Located;
pub use query::{ADDITIONAL_MAX, Edns, Query, Verdict};
pub use write::{MESSAGE_OCTETS_MAX, PAYLOAD_OCTETS_DEFAULT, PLAIN_OCTETS_MAX, Reply};

use crate::zone::{DEPTH_MAX, Found, Home, Rendered, Zone, Zones, key};
use domain::base::iana::{Class, OptRcode, Rtype};
use write::Frame;

/// What a query came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A datagram; replies are bounded by what the client takes and by
    /// `payload_octets_max`.
    Datagram,
    /// A connection; replies have up to 65,535 octets.
    Stream,
}

/// Answers queries, one after the other. Each thread has its own.
#[derive(Debug, Clone)]
pub struct Answerer {
    payload: u16,
    turn: usize,
}

impl Answerer {
    /// Datagrams have at most `payload_octets_max`, at least 512, octets.
    pub fn new(payload_octets_max: u16) -> Self {
        Self { payload: payload_octets_max.max(PLAIN_OCTETS_MAX as u16), turn: 0 }
    }

    /// Writes the reply to a message whose `verdict` is [`Verdict::Answer`] or
    /// [`Verdict::Error`]. `None` where there is no reply, or `reply` is too
    /// small for any.
    pub fn answer(
        &mut self,
        zones: &Zones,
        message: &[u8],
        query: &Query,
        verdict: Verdict,
        transport: Transport,
        reply: &mut [u8],
    ) -> Option<Reply> {
        match verdict {
            Verdict::Answer => self.respond(zones, message, query, transport, reply),
            Verdict::Error(rcode) => self.error(message, query, rcode, reply),
            Verdict::Defer | Verdict::Drop => None,
        }
    }

    /// Writes a reply with an error code and no records.
    pub fn error(&self, message: &[u8], query: &Query, rcode: OptRcode, reply: &mut [u8]) -> Option<Reply> {
        write::error(message, query, rcode, self.payload, reply)
    }

    /// The zone a query belongs to. The DS of a zone is its parent's
    /// (RFC 4035 section 3.1.4.1), where that is served here too.
    #[inline]
    pub fn home<'a>(zones: &'a Zones, query: &Query) -> Home<'a> {
        if query.rtype == Rtype::DS
            && let Some(above) = query.name.labels().checked_sub(1)
            && let home @ Home::Served(_) = zones.home(&query.name, above)
        {
            return home;
        }
        zones.home(&query.name, DEPTH_MAX)
    }

    fn respond(
        &mut self,
        zones: &Zones,
        message: &[u8],
        query: &Query,
        transport: Transport,
        reply: &mut [u8],
    ) -> Option<Reply> {
        if !matches!(query.class, Class::IN | Class::ANY) {
            return self.error(message, query, OptRcode::REFUSED, reply);
        }
        match Self::home(zones, query) {
            Home::Served(zone) => {
                let hash = key::hash(zones.seed(), query.name.octets());
                let found = zone.find_hashed(hash, &query.name);
                self.respond_from(zones, zone, found, message, query, transport, reply)
            }
            Home::Unavailable => self.error(message, query, OptRcode::SERVFAIL, reply),
            Home::Elsewhere => self.error(message, query, OptRcode::REFUSED, reply),
        }
    }

    /// Writes the reply to a query that was located before in the same `zones`.
    pub fn answer_located(
        &mut self,
        zones: &Zones,
        located: &Located<'_>,
        message: &[u8],
        query: &Query,
        transport: Transport,
        reply: &mut [u8],
    ) -> Option<Reply> {
        let found = located.found(query);
        self.respond_from(zones, located.zone, found, message, query, transport, reply)
    }

    #[expect(clippy::too_many_arguments, reason = "the hot path hands over what it has found already")]
    #[inline]
    fn respond_from(
        &mut self,
        zones: &Zones,
        zone: &Zone,
        found: Found<'_>,
        message: &[u8],
        query: &Query,
        transport: Transport,
        reply: &mut [u8],
    ) -> Option<Reply> {
        self.turn = self.turn.wrapping_add(1);
        let octets_max = match (transport, query.edns) {
            (Transport::Stream, _) => MESSAGE_OCTETS_MAX,
            (Transport::Datagram, Some(edns)) => {
                usize::from(edns.payload.min(self.payload)).max(PLAIN_OCTETS_MAX)
            }
            (Transport::Datagram, None) => PLAIN_OCTETS_MAX,
        };
        let frame = Frame { octets_max, payload: self.payload, turn: self.turn };
        let write = |body, rcode, reply| write::response(message, query, body, rcode, frame, reply);
        match found {
            Found::Exact(node) | Found::Wildcard(node) => {
                if let Some(body) = node.card().answer(query.rtype) {
                    return write(body, OptRcode::NOERROR, reply);
                }
                if query.rtype == Rtype::ANY {
                    let body = chain::any(query, node, transport == Transport::Stream);
                    return write(
                        body.as_ref().map_or(zone.negative(), Rendered::body),
                        OptRcode::NOERROR,
                        reply,
                    );
                }
                if node.rrset(Rtype::CNAME).is_some() {
                    let (body, rcode) = chain::follow(zones, query, node);
                    return write(body.body(), rcode, reply);
                }
                write(zone.negative(), OptRcode::NOERROR, reply)
            }
            Found::Cut(node) => {
                if query.rtype == Rtype::DS && *node.key() == *query.name.octets() {
                    return write(
                        node.card().answer(Rtype::DS).unwrap_or(zone.negative()),
                        OptRcode::NOERROR,
                        reply,
                    );
                }
                write(node.card().referral().unwrap_or(zone.negative()), OptRcode::NOERROR, reply)
            }
            Found::Nothing => write(zone.negative(), OptRcode::NXDOMAIN, reply),
        }
    }
}
