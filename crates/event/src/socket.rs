//! What happens on sockets, whatever they carry.

use crate::{Detail, Event};
use std::fmt;
use std::net::SocketAddr;

/// Something that happened on a socket.
#[derive(Debug, Clone)]
pub enum SocketEvent {
    /// A service listens.
    Listening {
        /// The service's name, e.g. `smtp`.
        service: String,
        /// Where.
        address: SocketAddr,
    },
    /// A connection was turned away because a limit was reached.
    LimitReached {
        /// The client.
        peer: SocketAddr,
        /// The limit's name, e.g. `connections_per_address_max`.
        limit: &'static str,
    },
    /// A message of the lecture's echo service (`utopia socket`) arrived or left.
    Message {
        /// The sender.
        from: SocketAddr,
        /// The receiver.
        to: SocketAddr,
        /// `udp`, `tcp` or `tls`.
        transport: &'static str,
        /// What it says, or e.g. `SYN` for a connection being opened.
        text: String,
    },
}

impl SocketEvent {
    /// How fine this event is.
    pub fn detail(&self) -> Detail {
        match self {
            SocketEvent::Listening { .. } | SocketEvent::LimitReached { .. } => Detail::Summary,
            SocketEvent::Message { .. } => Detail::Message,
        }
    }
}

impl From<SocketEvent> for Event {
    fn from(event: SocketEvent) -> Self {
        Event::Socket(event)
    }
}

impl fmt::Display for SocketEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SocketEvent::Listening { service, address } => write!(f, "{service} listens on {address}"),
            SocketEvent::LimitReached { peer, limit } => write!(f, "{peer} turned away: {limit} reached"),
            SocketEvent::Message { text, .. } => f.write_str(text),
        }
    }
}
