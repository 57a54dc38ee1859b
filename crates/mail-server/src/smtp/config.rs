//! The `[smtp]` section of the configuration.

use super::Face;
use mail::smtp::Limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// How mail is taken from other hosts and from users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where mail from other hosts is taken (MX), e.g. `["192.0.2.25:25"]`.
    pub listen: Vec<SocketAddr>,
    /// Where users send mail after STARTTLS and a login, usually port 587.
    pub listen_submission: Vec<SocketAddr>,
    /// Where users send mail under TLS from the first octet, usually port 465.
    pub listen_submissions: Vec<SocketAddr>,
    /// What this host calls itself in SMTP; `mail.` and the domain unless given.
    pub hostname: Option<String>,
    /// Domains whose mail ends here beside the host's own.
    pub more_domains: Vec<String>,
    /// Keys with which users' mail is signed (DKIM, RFC 6376).
    pub dkim: Vec<DkimConfig>,
    /// Connections open at once, for each address; further ones wait.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_max: usize,
    /// Connections open at once from one address; further ones are closed.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_address_max: usize,
    /// Octets of a message; announced with SIZE.
    #[schemars(range(min = 65_536, max = 2_147_483_648_u64))]
    pub message_octets_max: usize,
    /// Octets of all messages that are being received at the same time; beyond
    /// them clients are told to come back (421).
    #[schemars(range(min = 65_536, max = 1_099_511_627_776_u64))]
    pub receiving_octets_max: usize,
    /// Octets of a line of a message.
    #[schemars(range(min = 1_000, max = 16_777_216))]
    pub text_line_octets_max: usize,
    /// Recipients of a message; at least 100 (RFC 5321 section 4.5.3.1.8).
    #[schemars(range(min = 100, max = 100_000))]
    pub recipients_max: usize,
    /// Messages in one session.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub messages_per_session_max: usize,
    /// Commands of one session that may meet an error.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub errors_max: usize,
    /// Seconds to wait for a command, or for more of a message (RFC 5321 section
    /// 4.5.3.2.7).
    #[schemars(range(min = 1, max = 86_400))]
    pub command_seconds_max: u64,
    /// Seconds a session may take in all, however busy it is.
    #[schemars(range(min = 1, max = 604_800))]
    pub session_seconds_max: u64,
    /// Seconds a TLS handshake may take.
    #[schemars(range(min = 1, max = 3_600))]
    pub handshake_seconds_max: u64,
    /// Whether users may send with their own address only, in MAIL FROM and in
    /// the From field.
    pub own_address_only: bool,
    /// Whether a message is refused, or put into Junk, where the DMARC policy of
    /// its author's domain asks for it.
    pub enforce_dmarc: bool,
    /// Whether a message is put off (451) while the DMARC policy of its author's
    /// domain cannot be looked up; otherwise it is taken, with `dmarc=temperror`
    /// in its Authentication-Results.
    pub defer_without_dmarc: bool,
}

/// A DKIM key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DkimConfig {
    /// The selector: the public key stands at `selector._domainkey` in the zone.
    pub selector: String,
    /// The file with the private key as PEM, mode 0600.
    pub key_file: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            listen: Vec::new(),
            listen_submission: Vec::new(),
            listen_submissions: Vec::new(),
            hostname: None,
            more_domains: Vec::new(),
            dkim: Vec::new(),
            connections_max: 1_000,
            connections_per_address_max: 50,
            message_octets_max: limits.message_octets_max,
            receiving_octets_max: 1024 * 1024 * 1024,
            text_line_octets_max: limits.text_line_octets_max,
            recipients_max: limits.recipients_max,
            messages_per_session_max: limits.messages_max,
            errors_max: limits.errors_max,
            command_seconds_max: 300,
            session_seconds_max: 4 * 3600,
            handshake_seconds_max: 30,
            own_address_only: true,
            enforce_dmarc: true,
            defer_without_dmarc: false,
        }
    }
}

impl Config {
    /// Every address with what it is for.
    pub fn endpoints(&self) -> impl Iterator<Item = (Face, SocketAddr)> {
        let faces = [
            (Face::Exchange, &self.listen),
            (Face::Submission, &self.listen_submission),
            (Face::Submissions, &self.listen_submissions),
        ];
        faces.into_iter().flat_map(|(face, addresses)| addresses.iter().map(move |address| (face, *address)))
    }

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
