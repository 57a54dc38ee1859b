//! The `[http]` section of the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The status page and the metrics, over HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen, e.g. `["127.0.0.1:8080"]`. Keep it on loopback: the page
    /// has no login yet. Empty: no HTTP service.
    pub listen: Vec<SocketAddr>,
    /// Where to listen for everybody, e.g. `["192.0.2.1:80"]`: the published
    /// torrents and their files, and nothing else.
    pub listen_public: Vec<SocketAddr>,
}
