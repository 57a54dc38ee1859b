//! What happens to names.

use crate::{Detail, Event};
use std::fmt;
use std::net::SocketAddr;

/// What a response says, as a resolver reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseKind {
    /// The records asked for, or the CNAME chain towards them.
    Answer,
    /// Name servers of a zone closer to the name.
    Referral,
    /// The name does not exist.
    NameError,
    /// The name exists, without records of that type.
    NoData,
    /// An error code other than NXDOMAIN.
    Failure,
}

/// Something that happened in a name server or resolver. All names and record
/// data are in presentation form.
#[derive(Debug, Clone)]
pub enum DnsEvent {
    /// A zone is served in a new version.
    ZoneLoaded {
        /// The apex.
        zone: String,
        /// The SOA serial.
        serial: u32,
        /// How many records it holds.
        records: usize,
    },
    /// A batch of datagrams was answered; counters only, so that the hot path
    /// tells once a batch.
    Answered {
        /// Queries answered.
        queries: u32,
        /// Of these, with NXDOMAIN.
        name_errors: u32,
        /// Of these, truncated.
        truncated: u32,
        /// Datagrams that got an error or no reply.
        refused: u32,
    },
    /// A server received a query.
    Query {
        /// Who asked.
        from: SocketAddr,
        /// Who was asked.
        to: SocketAddr,
        /// The message id.
        id: u16,
        /// Name and type asked for, e.g. `www.utopia.test. A`.
        question: String,
        /// Whether recursion was desired.
        recursive: bool,
    },
    /// A server sent a response.
    Response {
        /// Who answered.
        from: SocketAddr,
        /// Who asked.
        to: SocketAddr,
        /// The message id.
        id: u16,
        /// Name and type asked for.
        question: String,
        /// What it says.
        kind: ResponseKind,
        /// The records it carries, one line each, shortened to the first few.
        records: Vec<String>,
    },
    /// A server received a dynamic update.
    UpdateRequest {
        /// Who asked.
        from: SocketAddr,
        /// Who was asked.
        to: SocketAddr,
        /// The zone.
        zone: String,
        /// The records of the update section, one line each, shortened to the
        /// first few.
        records: Vec<String>,
    },
    /// A server answered a dynamic update.
    UpdateReply {
        /// Who answered.
        from: SocketAddr,
        /// Who asked.
        to: SocketAddr,
        /// The zone.
        zone: String,
        /// The response code.
        rcode: String,
    },
    /// A resolver waited in vain for an upstream server.
    TimedOut {
        /// The server that did not answer.
        server: SocketAddr,
        /// Name and type asked for.
        question: String,
    },
    /// A resolver answered from its cache.
    CacheHit {
        /// Name and type asked for.
        question: String,
        /// Seconds the answer stays fresh.
        ttl_seconds: u32,
    },
    /// A dynamic update was applied and is durable.
    Updated {
        /// The zone.
        zone: String,
        /// The new serial.
        serial: u32,
        /// Who sent it: an address, or the name of the service of this host.
        by: String,
    },
    /// A zone transfer was sent to a secondary or received from a primary.
    Transferred {
        /// The zone.
        zone: String,
        /// The serial transferred.
        serial: u32,
        /// The other side.
        peer: SocketAddr,
        /// True when we were the primary.
        sent: bool,
    },
    /// NOTIFY was sent to a secondary or received from a primary.
    Notify {
        /// The zone.
        zone: String,
        /// Who sent it.
        from: SocketAddr,
        /// Who was told.
        to: SocketAddr,
    },
    /// Something was refused or went wrong; says to whom and why.
    Refused {
        /// The other side.
        peer: SocketAddr,
        /// Why, in words.
        reason: String,
    },
}

impl DnsEvent {
    /// How fine this event is.
    pub fn detail(&self) -> Detail {
        match self {
            DnsEvent::ZoneLoaded { .. }
            | DnsEvent::Answered { .. }
            | DnsEvent::Updated { .. }
            | DnsEvent::Transferred { .. }
            | DnsEvent::Notify { .. }
            | DnsEvent::Refused { .. } => Detail::Summary,
            DnsEvent::Query { .. }
            | DnsEvent::Response { .. }
            | DnsEvent::UpdateRequest { .. }
            | DnsEvent::UpdateReply { .. }
            | DnsEvent::TimedOut { .. }
            | DnsEvent::CacheHit { .. } => Detail::Message,
        }
    }
}

impl From<DnsEvent> for Event {
    fn from(event: DnsEvent) -> Self {
        Event::Dns(event)
    }
}

impl fmt::Display for DnsEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DnsEvent::ZoneLoaded { zone, serial, records } => {
                write!(f, "zone {zone} serial {serial} loaded, {records} records")
            }
            DnsEvent::Answered { queries, name_errors, truncated, refused } => {
                write!(
                    f,
                    "{queries} answered, {name_errors} NXDOMAIN, {truncated} truncated, {refused} refused"
                )
            }
            DnsEvent::Query { question, recursive, .. } => {
                write!(f, "query {question}{}", if *recursive { " (recursion desired)" } else { "" })
            }
            DnsEvent::Response { question, kind, records, .. } => {
                write!(f, "{kind} {question}")?;
                if !records.is_empty() {
                    write!(f, ": {}", records.join("; "))?;
                }
                Ok(())
            }
            DnsEvent::UpdateRequest { zone, records, .. } => {
                write!(f, "update {zone}: {}", records.join("; "))
            }
            DnsEvent::UpdateReply { zone, rcode, .. } => write!(f, "{rcode} to the update of {zone}"),
            DnsEvent::TimedOut { server, question } => write!(f, "no answer from {server} for {question}"),
            DnsEvent::CacheHit { question, ttl_seconds } => {
                write!(f, "{question} from the cache, fresh for {ttl_seconds} s")
            }
            DnsEvent::Updated { zone, serial, by } => {
                write!(f, "zone {zone} updated to serial {serial} by {by}")
            }
            DnsEvent::Transferred { zone, serial, peer, sent } => {
                write!(
                    f,
                    "zone {zone} serial {serial} transferred {} {peer}",
                    if *sent { "to" } else { "from" }
                )
            }
            DnsEvent::Notify { zone, from, to } => write!(f, "NOTIFY for {zone} from {from} to {to}"),
            DnsEvent::Refused { peer, reason } => write!(f, "refused {peer}: {reason}"),
        }
    }
}

impl fmt::Display for ResponseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ResponseKind::Answer => "answer",
            ResponseKind::Referral => "referral",
            ResponseKind::NameError => "name error",
            ResponseKind::NoData => "no data",
            ResponseKind::Failure => "failure",
        })
    }
}
