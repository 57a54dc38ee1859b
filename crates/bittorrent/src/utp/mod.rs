//! uTP: a stream over datagrams that yields to other traffic (BEP 29), with
//! LEDBAT as its congestion control (RFC 6817).
//!
//! An [`Endpoint`] is all that happens on one socket. It is handed datagrams
//! and the time, and polled for datagrams, events and the time it wants to be
//! woken. Octets are never copied on their way: what is written is handed out
//! again as the payload of packets, to be gathered by the system behind their
//! headers, and what arrived is handed to the reader as a part of the datagram.
//!
//! Packets that arrived together are acknowledged together, so the caller should
//! first hand over all datagrams that are there, and only then poll.

mod congestion;
mod connection;
mod delay;
mod endpoint;
mod exercise;
mod mtu;
mod packet;
mod payload;
mod receive;
mod rtt;
mod send;
mod sequence;
#[cfg(test)]
mod tests;

pub use congestion::TARGET;
pub use connection::{CloseReason, Path};
pub use endpoint::{Config, ConnectError, ConnectionId, Endpoint, Event, Measured, Transmit};
pub use exercise::exercise;
pub use mtu::{DATAGRAM_OCTETS_BASE, frame_datagram_octets};
pub use packet::{
    EXTENSIONS_MAX, Extensions, HEADER_OCTETS, HEADER_ROOM_OCTETS, Header, Kind, Packet, PacketError,
    SELECTIVE_ACK_OCTETS_MAX, SelectiveAck, is_utp,
};
pub use payload::Payload;
pub use receive::WAITING_PACKETS_MAX;
pub use rtt::{TIMEOUT_MAX, TIMEOUT_MIN};
pub use send::PACKETS_MAX;
pub use sequence::Seq;
