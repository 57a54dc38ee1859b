//! The bounds of a session (RFC 5321 section 4.5.3).

/// What one session may take of a server. The defaults are at least the minima
/// of RFC 5321 section 4.5.3.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a command line with its CRLF: 512, and what the extensions add
    /// (SIZE 26, BODY 17, SMTPUTF8 10, AUTH= 500).
    pub command_line_octets_max: usize,
    /// Octets of a line of an AUTH exchange with its CRLF (RFC 4954 section 4).
    pub auth_line_octets_max: usize,
    /// Octets of a text line with its CRLF. Everybody must take 1,000 (RFC 5321
    /// section 4.5.3.1.6) and should take more where possible; much mail has
    /// longer lines.
    pub text_line_octets_max: usize,
    /// Octets of a message; announced with SIZE, beyond it 552.
    pub message_octets_max: usize,
    /// Recipients of a message; beyond them 452 (RFC 5321 section 4.5.3.1.10).
    pub recipients_max: usize,
    /// Messages in one session; beyond them 421.
    pub messages_max: usize,
    /// Commands that met an error; beyond them 421.
    pub errors_max: usize,
    /// Commands since the last accepted message; beyond them 421.
    pub commands_idle_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_line_octets_max: 512 + 26 + 17 + 10 + 500,
            auth_line_octets_max: 12_288,
            text_line_octets_max: 65_536,
            message_octets_max: 50 * 1024 * 1024,
            recipients_max: 1_000,
            messages_max: 1_000,
            errors_max: 20,
            commands_idle_max: 2_000,
        }
    }
}

/// How long each side waits (RFC 5321 section 4.5.3.2).
pub mod timeout {
    use std::time::Duration;

    /// The client, for the greeting.
    pub const GREETING: Duration = Duration::from_mins(5);
    /// The client, for the reply to EHLO, MAIL, RSET and the like.
    pub const MAIL: Duration = Duration::from_mins(5);
    /// The client, for the reply to RCPT.
    pub const RCPT: Duration = Duration::from_mins(5);
    /// The client, for 354.
    pub const DATA_INITIATION: Duration = Duration::from_mins(2);
    /// The client, for each block of the message to be taken.
    pub const DATA_BLOCK: Duration = Duration::from_mins(3);
    /// The client, for the reply to the final dot: long, because giving up here
    /// makes a duplicate.
    pub const DATA_TERMINATION: Duration = Duration::from_mins(10);
    /// The server, for the next command.
    pub const SERVER_COMMAND: Duration = Duration::from_mins(5);
}
