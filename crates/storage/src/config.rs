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
    #[schemars(range(min = 0, max = 16_777_216))]
    pub content_inline_octets_max: u64,
    /// The largest content that is stored at all, in octets.
    #[schemars(range(min = 65_536, max = 2_147_483_648_u64))]
    pub content_octets_max: u64,
    /// Changes that may wait for the writer; who comes later waits with its
    /// peer held back.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub writes_waiting_max: usize,
    /// Changes gathered into one durable commit.
    #[schemars(range(min = 1, max = 100_000))]
    pub batch_writes_max: usize,
    /// Views that are read at the same time; who comes later waits.
    #[schemars(range(min = 1, max = 256))]
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
