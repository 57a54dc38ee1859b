//! The peer wire protocol (BEP 3 and what was added since): what two peers say
//! to one another over a connection.
//!
//! A connection begins with a [`Handshake`] of either side, read by a
//! [`HandshakeReader`]. Messages follow. A [`Framer`] finds them in the octets as
//! they arrive; it copies nothing of a block, which the reader receives straight
//! into the place where it is to lie. A [`Message`] reads and writes each of
//! them, [`extension`] those of the extension protocol (BEP 10). A [`Session`]
//! judges what the peer may say when, and keeps the time.
//!
//! What to request and whom to unchoke is no matter of this module.

mod allowed_fast;
mod bitfield;
mod client_name;
pub mod extension;
mod framer;
mod handshake;
mod message;
mod peer_id;
mod peer_priority;
mod session;
mod violation;

pub use allowed_fast::{ALLOWED_FAST_MAX, allowed_fast};
pub use bitfield::{Bitfield, BitfieldError};
pub use framer::{Frame, FrameError, Framer, Limits};
pub use handshake::{Feature, HANDSHAKE_OCTETS, Handshake, HandshakeError, HandshakeReader, Reserved};
pub use message::{
    BLOCK_OCTETS, Block, HASHES_MAX, HashRange, Message, MessageError, PIECE_HEADER_OCTETS,
    REQUEST_OCTETS_MAX, piece_header,
};
pub use peer_id::PeerId;
pub use peer_priority::peer_priority;
pub use session::{Flags, Session, Settings, Timeout};
pub use violation::Violation;
