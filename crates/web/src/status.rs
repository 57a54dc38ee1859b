//! What runs where, as the page, the command line and scripts read it.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What runs where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The domain, e.g. `utopia.test`; absent for a whole lab.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// All services, each once for each address.
    pub services: Vec<Service>,
    /// Lines to copy into a terminal.
    #[serde(default)]
    pub try_lines: Vec<TryLine>,
}

/// One service on one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// `dns`, `resolver`, `smtp`, `submission`, `submissions`, `imap`, `imaps` or
    /// `http`.
    pub name: String,
    /// `udp` or `tcp`.
    pub transport: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// The host it runs on, in the lab.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// A line to copy into a terminal, or a setting to copy into a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TryLine {
    /// What it does.
    pub what: String,
    /// The line.
    pub line: String,
}
