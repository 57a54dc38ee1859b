//! What a resolver does on its way, told step by step.

use super::{Question, Transport};
use crate::{Name, Record};
use domain::base::iana::OptRcode;
use std::net::SocketAddr;
use std::time::Duration;

/// One thing that happened between the resolver and a server.
#[derive(Debug, Clone)]
pub struct Step {
    /// The server.
    pub server: SocketAddr,
    /// Its name, where one is known.
    pub server_name: Option<Name>,
    /// The zone it was asked as a server of.
    pub zone: Name,
    /// What it was asked; with QNAME minimisation not all that is looked for.
    pub question: Question,
    /// Over UDP or TCP.
    pub transport: Transport,
    /// What happened.
    pub what: Happening,
}

/// What happened in a [`Step`].
#[derive(Debug, Clone)]
pub enum Happening {
    /// The query was sent.
    Sent,
    /// A reply came.
    Received {
        /// What it says.
        kind: event::ResponseKind,
        /// Its response code.
        rcode: OptRcode,
        /// The records it was read for: answer, NS RRset and glue, or SOA.
        records: Vec<Record>,
        /// Since the query was sent.
        elapsed: Duration,
    },
    /// The reply was cut short; the question goes over TCP.
    Truncated {
        /// Since the query was sent.
        elapsed: Duration,
    },
    /// The server did not answer in time.
    TimedOut {
        /// How long was waited.
        elapsed: Duration,
    },
    /// The server could not be reached at all.
    Unreachable,
    /// The server answers, but not for this zone.
    Lame,
    /// The reply could not be read.
    Malformed,
    /// Something came that is no reply to the query: a late one, or somebody guesses.
    Mismatch {
        /// Where it came from.
        from: SocketAddr,
    },
}
