//! The `[accounts]` section of the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How logins are checked, and how guessing is slowed down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The address of the account that gets mail for postmaster, abuse and
    /// hostmaster; without it the domain's first account does.
    pub postmaster: Option<String>,
    /// Passwords hashed at the same time; each takes 19 MiB of memory.
    pub hashes_max: usize,
    /// Passwords that may wait to be hashed; who comes later is told to try again.
    pub hashes_waiting_max: usize,
    /// Failed logins from one address (one /64 of IPv6) before it is slowed down.
    pub failures_per_peer_max: u32,
    /// Failed logins to one account, from everywhere, before it is slowed down.
    pub failures_per_account_max: u32,
    /// Seconds after which one failure is forgotten.
    pub failure_forgotten_seconds: u32,
    /// Names and addresses whose failures are remembered.
    pub failures_remembered_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            postmaster: None,
            hashes_max: 2,
            hashes_waiting_max: 64,
            failures_per_peer_max: 20,
            failures_per_account_max: 100,
            failure_forgotten_seconds: 30,
            failures_remembered_max: 10_000,
        }
    }
}
