//! What happens to mail.

use crate::{Detail, Event};
use std::fmt;
use std::net::SocketAddr;

/// Something that happened in an MTA, MSA, MDA or message store.
#[derive(Debug, Clone)]
pub enum MailEvent {
    /// An SMTP server received a command line (never the argument of AUTH).
    Command {
        /// The client.
        from: SocketAddr,
        /// The server.
        to: SocketAddr,
        /// The line, without CRLF.
        line: String,
    },
    /// An SMTP server sent a reply.
    Reply {
        /// The server.
        from: SocketAddr,
        /// The client.
        to: SocketAddr,
        /// The reply, its lines joined by ` / `.
        line: String,
    },
    /// An SMTP server received the message itself.
    Data {
        /// The client.
        from: SocketAddr,
        /// The server.
        to: SocketAddr,
        /// Its size.
        octets: u64,
        /// Header and body, shortened to the first few lines.
        lines: Vec<String>,
    },
    /// An IMAP server received a command (never LOGIN's or AUTHENTICATE's argument).
    ImapCommand {
        /// The client.
        from: SocketAddr,
        /// The server.
        to: SocketAddr,
        /// The line.
        line: String,
    },
    /// An IMAP server sent a response line.
    ImapResponse {
        /// The server.
        from: SocketAddr,
        /// The client.
        to: SocketAddr,
        /// The line, shortened.
        line: String,
    },
    /// A message was accepted and is durable.
    Accepted {
        /// The queue's id of the message.
        id: String,
        /// Its size.
        octets: u64,
        /// How many recipients.
        recipients: usize,
        /// SPF, DKIM and DMARC in the words of RFC 8601, or `submission`.
        authentication: String,
    },
    /// A message lies in a mailbox.
    Delivered {
        /// The queue's id of the message.
        id: String,
    },
    /// A message was handed to the next MTA.
    Relayed {
        /// The queue's id of the message.
        id: String,
        /// The MTA that took it.
        server: SocketAddr,
        /// Whether the connection was encrypted.
        tls: bool,
    },
    /// A message waits for another try.
    Deferred {
        /// The queue's id of the message.
        id: String,
        /// The next try, in seconds from now.
        retry_seconds: u64,
        /// Why, in words.
        reason: String,
    },
    /// A message could not be delivered; its sender was told by a DSN.
    Bounced {
        /// The queue's id of the message.
        id: String,
        /// Why, in words.
        reason: String,
    },
    /// A login succeeded or failed.
    Login {
        /// The client.
        peer: SocketAddr,
        /// The service: `imap` or `submission`.
        service: &'static str,
        /// Whether it succeeded.
        success: bool,
    },
    /// A command or message was refused.
    Refused {
        /// The client.
        peer: SocketAddr,
        /// Why, in words.
        reason: String,
    },
}

impl MailEvent {
    /// How fine this event is.
    pub fn detail(&self) -> Detail {
        match self {
            MailEvent::Command { .. }
            | MailEvent::Reply { .. }
            | MailEvent::Data { .. }
            | MailEvent::ImapCommand { .. }
            | MailEvent::ImapResponse { .. } => Detail::Message,
            _ => Detail::Summary,
        }
    }
}

impl From<MailEvent> for Event {
    fn from(event: MailEvent) -> Self {
        Event::Mail(event)
    }
}

impl fmt::Display for MailEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MailEvent::Command { line, .. }
            | MailEvent::Reply { line, .. }
            | MailEvent::ImapCommand { line, .. }
            | MailEvent::ImapResponse { line, .. } => f.write_str(line),
            MailEvent::Data { octets, .. } => write!(f, "message of {octets} octets"),
            MailEvent::Accepted { id, octets, recipients, authentication } => {
                write!(f, "message {id} accepted, {octets} octets, {recipients} recipients, {authentication}")
            }
            MailEvent::Delivered { id } => write!(f, "message {id} delivered"),
            MailEvent::Relayed { id, server, tls } => {
                write!(
                    f,
                    "message {id} relayed to {server} {}",
                    if *tls { "over TLS" } else { "in the clear" }
                )
            }
            MailEvent::Deferred { id, retry_seconds, reason } => {
                write!(f, "message {id} deferred for {retry_seconds} s: {reason}")
            }
            MailEvent::Bounced { id, reason } => write!(f, "message {id} bounced: {reason}"),
            MailEvent::Login { peer, service, success } => {
                write!(f, "{service} login from {peer} {}", if *success { "succeeded" } else { "failed" })
            }
            MailEvent::Refused { peer, reason } => write!(f, "refused {peer}: {reason}"),
        }
    }
}
