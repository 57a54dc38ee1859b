//! IMAP4rev1 (RFC 3501) and the parts of IMAP4rev2 (RFC 9051) and of the
//! extensions named by [`session::Session::capabilities`]: rules without I/O.
//!
//! Octets go into the [`framer`], commands come out and are read by [`command`];
//! the [`session`] says whether a command may be given now; the [`view`] of the
//! selected mailbox turns message numbers into UIDs and changes into untagged
//! responses; [`fetch_response`], [`search_match`] and [`response`] write what
//! goes back.

pub mod command;
pub mod fetch;
pub mod fetch_response;
pub mod framer;
pub mod list;
pub mod mailbox_name;
pub mod response;
mod scanner;
pub mod search;
pub mod search_match;
pub mod sequence;
pub mod session;
mod structure;
pub mod view;

pub use scanner::Fault;
