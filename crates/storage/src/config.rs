//! The `[storage]` section of the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where state is kept, and the bounds of what waits for the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What keeps the tables.
    pub backend: Backend,
    /// Content (a message's octets) up to this size lies in a table and
    /// travels with the transaction; larger content becomes a blob of its own.
    pub content_inline_octets_max: u64,
    /// The largest content that is stored at all, in octets.
    pub content_octets_max: u64,
    /// Changes that may wait for the writer; who comes later waits with its
    /// peer held back.
    pub writes_waiting_max: usize,
    /// Changes gathered into one durable commit.
    pub batch_writes_max: usize,
    /// Views that are read at the same time; who comes later waits.
    pub readers_max: usize,
}

/// What keeps the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// SQLite, in a file of the data folder.
    Sqlite,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            backend: Backend::Sqlite,
            content_inline_octets_max: 64 * 1024,
            content_octets_max: 256 * 1024 * 1024,
            writes_waiting_max: 1024,
            batch_writes_max: 256,
            readers_max: 4,
        }
    }
}
