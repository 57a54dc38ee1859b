//! uTP over a socket (BEP 29): streams that yield to other traffic.
//!
//! A [`UtpSocket`] is one UDP socket with any number of connections, and with
//! whatever else comes to its port. One task owns all of their state; a
//! [`UtpStream`] and that task hand octets to each other and share a few counters,
//! no lock. Octets are copied once on either side, between the caller's buffer
//! and the one that the system reads from or writes to.

mod alarm;
mod credit;
mod engine;
mod outgoing;
mod socket;
mod stream;

pub use bittorrent::utp::{CloseReason, Config, Measured};
pub use socket::{OtherDatagram, UtpOptions, UtpSocket};
pub use stream::UtpStream;
