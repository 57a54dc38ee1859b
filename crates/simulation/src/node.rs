//! What a host in the simulation does: the verbs of a state machine without I/O.

use std::net::SocketAddr;
use std::time::Instant;

/// One end of a stream, named by the simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// A host: it is handed what arrives and the time, and polled for what it does.
pub trait Node {
    /// A datagram from `from` arrived at our address `to`.
    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, octets: &[u8]);

    /// Something happened on a stream.
    fn handle_stream(&mut self, now: Instant, stream: StreamId, event: StreamEvent) {
        let _ = (now, stream, event);
    }

    /// The time [`Node::poll_timeout`] named has come.
    fn handle_timeout(&mut self, now: Instant);

    /// The next thing to send, until there is nothing more.
    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit>;

    /// When the node wants to be woken.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Whether the node accepts streams at its address `to`.
    fn accepts(&self, to: SocketAddr) -> bool {
        let _ = to;
        false
    }
}

/// What a node does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transmit {
    /// Sends a datagram.
    Datagram {
        /// One of the node's addresses, with any port.
        from: SocketAddr,
        /// To whom.
        to: SocketAddr,
        /// What it carries.
        octets: Vec<u8>,
    },
    /// Opens a stream; the node hears of it as [`StreamEvent::Opened`] with the
    /// same `from` and `to`, or as [`StreamEvent::Refused`].
    Open {
        /// One of the node's addresses, with a port of its choice.
        from: SocketAddr,
        /// To whom.
        to: SocketAddr,
    },
    /// Sends octets on a stream.
    Send {
        /// Our end.
        stream: StreamId,
        /// What to send.
        octets: Vec<u8>,
    },
    /// Says that no more octets follow.
    Close {
        /// Our end.
        stream: StreamId,
    },
}

/// What happens on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEvent {
    /// It is open.
    Opened {
        /// Our address.
        local: SocketAddr,
        /// The other side's.
        peer: SocketAddr,
    },
    /// Nobody accepted it.
    Refused {
        /// Our address.
        local: SocketAddr,
        /// Where we wanted to.
        peer: SocketAddr,
    },
    /// Octets arrived, in order.
    Octets(Vec<u8>),
    /// The other side sends no more.
    Closed,
    /// The path was broken for too long; the stream is gone.
    Broken,
}
