//! The `[smtp]` section of the configuration.

use mail::smtp::Limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How mail is taken from other hosts and from users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Octets of a message; announced with SIZE.
    pub message_octets_max: usize,
    /// Octets of a line of a message.
    pub text_line_octets_max: usize,
    /// Recipients of a message; at least 100 (RFC 5321 section 4.5.3.1.8).
    pub recipients_max: usize,
    /// Messages in one session.
    pub messages_per_session_max: usize,
    /// Commands of one session that may meet an error.
    pub errors_max: usize,
    /// Seconds to wait for a command, or for more of a message (RFC 5321 section
    /// 4.5.3.2.7).
    pub command_seconds_max: u64,
    /// Seconds a TLS handshake may take.
    pub handshake_seconds_max: u64,
    /// Whether users may send with their own address only, in MAIL FROM and in
    /// the From field.
    pub own_address_only: bool,
    /// Whether a message is refused, or put into Junk, where the DMARC policy of
    /// its author's domain asks for it.
    pub enforce_dmarc: bool,
}

impl Default for Config {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            message_octets_max: limits.message_octets_max,
            text_line_octets_max: limits.text_line_octets_max,
            recipients_max: limits.recipients_max,
            messages_per_session_max: limits.messages_max,
            errors_max: limits.errors_max,
            command_seconds_max: 300,
            handshake_seconds_max: 30,
            own_address_only: true,
            enforce_dmarc: true,
        }
    }
}

impl Config {
    pub(super) fn limits(&self) -> Limits {
        Limits {
            message_octets_max: self.message_octets_max,
            text_line_octets_max: self.text_line_octets_max,
            recipients_max: self.recipients_max,
            messages_max: self.messages_per_session_max,
            errors_max: self.errors_max,
            ..Limits::default()
        }
    }
}
