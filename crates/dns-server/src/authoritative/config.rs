//! The `[dns]` section of the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// The authoritative name server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen over UDP and TCP, e.g. `["127.0.0.1:5300"]`. With port 0
    /// the system chooses one, the same for both. Empty: no authoritative server.
    pub listen: Vec<SocketAddr>,
    /// Threads that answer over UDP, for each address; 0 is one a core.
    #[schemars(range(min = 0, max = 256))]
    pub threads: usize,
    /// Octets of the largest reply over UDP, 512 to 4096; longer ones are had
    /// over TCP.
    #[schemars(range(min = 512, max = 4_096))]
    pub payload_octets_max: u16,
    /// TCP connections open at once; further ones wait.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_max: usize,
    /// TCP connections open at once from one address; further ones are closed.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_address_max: usize,
    /// Seconds a TCP connection may be idle (RFC 7766 section 6.2.3).
    #[schemars(range(min = 1, max = 3_600))]
    pub idle_seconds_max: u64,
    /// The zones.
    pub zones: Vec<ZoneConfig>,
    /// TSIG keys for transfers and updates (RFC 8945).
    pub keys: Vec<KeyConfig>,
}

/// One zone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ZoneConfig {
    /// The apex, e.g. `example.org`.
    pub name: String,
    /// Whether changes are made here or come from another server.
    pub kind: Kind,
    /// The master file of a primary. After updates the stored zone counts, until
    /// the file is edited and its serial is newer than the served one.
    pub file: Option<PathBuf>,
    /// The master file's text itself, in place of `file`.
    pub text: Option<String>,
    /// The servers a secondary gets the zone from, tried in this order.
    pub primaries: Vec<Remote>,
    /// Servers that are told of changes (NOTIFY, RFC 1996).
    pub notify: Vec<Remote>,
    /// Who may transfer the zone: addresses (`192.0.2.1`), networks
    /// (`192.0.2.0/24`) or keys (`key:NAME`). Nobody, unless listed.
    pub allow_transfer: Vec<String>,
    /// Names of keys that may update the zone (RFC 2136).
    pub allow_update: Vec<String>,
}

/// Where a zone's changes come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// From its master file and from updates.
    #[default]
    Primary,
    /// From another server, by transfer.
    Secondary,
}

/// Another server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    /// Its address and port, e.g. `192.0.2.1:53`.
    pub address: SocketAddr,
    /// The name of the key that signs what is sent to it.
    #[serde(default)]
    pub key: Option<String>,
}

/// A TSIG key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// Its name, the same on both sides.
    pub name: String,
    /// `hmac-sha256`, `hmac-sha384`, `hmac-sha512` or `hmac-sha1`.
    #[serde(default = "default_algorithm")]
    pub algorithm: String,
    /// The file with the secret in base64, readable by its owner only.
    pub secret_file: PathBuf,
}

fn default_algorithm() -> String {
    "hmac-sha256".to_owned()
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            threads: 0,
            payload_octets_max: dns::answer::PAYLOAD_OCTETS_DEFAULT,
            connections_max: 1_000,
            connections_per_address_max: 50,
            idle_seconds_max: 10,
            zones: Vec::new(),
            keys: Vec::new(),
        }
    }
}
