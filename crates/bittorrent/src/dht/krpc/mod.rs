//! The messages nodes exchange (BEP 5, "KRPC Protocol"), typed.
//!
//! Reading is tolerant: keys in any order, unknown keys, lists cut short. What
//! a query must have and has not is told with the error to reply with.

mod args;
mod message;
mod query;
mod response;
#[cfg(test)]
mod tests;
mod value;

pub use message::{
    Body, DATAGRAM_OCTETS_MAX, ErrorReply, Message, REPLY_OCTETS_MAX, ReadError, TRANSACTION_OCTETS_MAX, code,
};
pub use query::{GetPeers, Method, PutArgs, PutSignature, Query, Want};
pub use response::{CONTACTS_READ_MAX, FILTER_OCTETS, Response, SAMPLES_READ_MAX, Samples, VALUES_READ_MAX};
pub(super) use value::octets_of;
