//! Zone transfer (RFC 5936), its announcement (RFC 1996) and when a secondary
//! asks for it (RFC 1035 section 3.3.13).

mod incoming;
mod message;
mod outgoing;
mod refresh;

pub use incoming::{Incoming, Progress, RECORDS_MAX, TransferError};
pub use message::{Kind, header_reply, notified_serial, notify, query, requested_serial, soa_of_answer};
pub use outgoing::{MESSAGE_OCTETS, Outgoing};
pub use refresh::{Action, Refresh};
