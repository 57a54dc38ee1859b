//! The `[imap]` section of the configuration: how much a client may take.

use super::Face;
use mail::imap::framer::Limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

/// Where mail is read, and how much a client may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where users read mail after STARTTLS, usually port 143.
    pub listen: Vec<SocketAddr>,
    /// Where users read mail under TLS from the first octet, usually port 993.
    pub listen_tls: Vec<SocketAddr>,
    /// Connections open at once; further ones wait.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_max: usize,
    /// Connections open at once from one address; further ones are closed.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_address_max: usize,
    /// Octets of a command outside of its literals.
    #[schemars(range(min = 8_192, max = 16_777_216))]
    pub line_octets_max: usize,
    /// Octets of the literals of a command other than APPEND.
    #[schemars(range(min = 8_192, max = 1_073_741_824))]
    pub literal_octets_max: usize,
    /// Octets of the messages of one APPEND.
    #[schemars(range(min = 65_536, max = 2_147_483_648_u64))]
    pub append_octets_max: usize,
    /// Octets of all large messages that clients are appending at the same time;
    /// who comes too many is told to try again.
    #[schemars(range(min = 65_536, max = 1_099_511_627_776_u64))]
    pub appends_octets_max: usize,
    /// Logins that may fail before the connection is closed.
    #[schemars(range(min = 1, max = 1_000))]
    pub login_failures_max: u32,
    /// Seconds until a client has logged in.
    #[schemars(range(min = 1, max = 3_600))]
    pub login_seconds_max: u64,
    /// Minutes a client may say nothing before it is logged out; RFC 9051
    /// section 5.4 asks for 30 at least.
    #[schemars(range(min = 1, max = 10_080))]
    pub silence_minutes_max: u64,
    /// Seconds a client may take to read what it asked for.
    #[schemars(range(min = 1, max = 3_600))]
    pub write_seconds_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            listen_tls: Vec::new(),
            connections_max: 1_000,
            connections_per_address_max: 50,
            line_octets_max: 64 * 1024,
            literal_octets_max: 256 * 1024,
            append_octets_max: 50 * 1024 * 1024,
            appends_octets_max: 512 * 1024 * 1024,
            login_failures_max: 3,
            login_seconds_max: 120,
            silence_minutes_max: 30,
            write_seconds_max: 120,
        }
    }
}

/// Octets of a command, or of its literals, before the login.
const STRANGER_OCTETS_MAX: usize = 8 * 1024;

impl Config {
    /// Every address with what it is for.
    pub fn endpoints(&self) -> impl Iterator<Item = (Face, SocketAddr)> {
        let faces = [(Face::Imap, &self.listen), (Face::Imaps, &self.listen_tls)];
        faces.into_iter().flat_map(|(face, addresses)| addresses.iter().map(move |address| (face, *address)))
    }

    /// The bounds of a command.
    pub(super) fn limits(&self, logged_in: bool) -> Limits {
        if logged_in {
            return Limits {
                line_octets_max: self.line_octets_max,
                literal_octets_max: self.literal_octets_max,
                append_octets_max: self.append_octets_max,
            };
        }
        let bounded = |octets: usize| octets.min(STRANGER_OCTETS_MAX);
        Limits {
            line_octets_max: bounded(self.line_octets_max),
            literal_octets_max: bounded(self.literal_octets_max),
            append_octets_max: bounded(self.literal_octets_max),
        }
    }

    /// How long to wait for a command.
    pub(super) fn patience(&self, logged_in: bool) -> Duration {
        if logged_in {
            Duration::from_secs(self.silence_minutes_max.saturating_mul(60))
        } else {
            Duration::from_secs(self.login_seconds_max)
        }
    }
}
