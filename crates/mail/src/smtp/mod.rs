//! SMTP (RFC 5321) without I/O: commands, replies, the server's session, the
//! client's session, and the message between DATA and its final dot.
//!
//! Both sessions take octets with `receive` and say what comes next with
//! `poll`; octets to send wait in `take_output`.

mod client;
mod command;
mod data;
mod limits;
mod reply;
mod server;

pub use client::{Client, ClientError, ClientStep, Message, Offers, Outcome, StartTls};
pub use command::{Body, Command, CommandError, MailParameters};
pub use data::{DataDecoder, DataError, stuff_dots};
pub use limits::{Limits, timeout};
pub use reply::{EnhancedCode, Reply, ReplyError, ReplyParser};
pub use server::{Answer, Envelope, Exchange, Mechanism, Role, Session, Settings, Step};
