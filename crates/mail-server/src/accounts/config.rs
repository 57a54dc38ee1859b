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
    /// Rounds of PBKDF2 of the keys for SCRAM-SHA-256; at least 4096. More make
    /// a stolen data folder harder to use, and each login slower for the client.
    /// Applies to passwords set from now on.
    #[schemars(range(min = 4_096, max = 10_000_000))]
    pub scram_iterations: u32,
    /// Passwords hashed at the same time; each takes 19 MiB of memory.
    #[schemars(range(min = 1, max = 256))]
    pub hashes_max: usize,
    /// Passwords that may wait to be hashed; who comes later is told to try again.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub hashes_waiting_max: usize,
    /// Failed logins from one address (one /64 of IPv6) before it is slowed down.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub failures_per_peer_max: u32,
    /// Failed logins to one account, from everywhere, before it is slowed down.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub failures_per_account_max: u32,
    /// Seconds after which one failure is forgotten.
    #[schemars(range(min = 1, max = 2_592_000))]
    pub failure_forgotten_seconds: u32,
    /// Names and addresses whose failures are remembered.
    #[schemars(range(min = 3, max = 100_000_000))]
    pub failures_remembered_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            postmaster: None,
            scram_iterations: 50_000,
            hashes_max: 2,
            hashes_waiting_max: 64,
            failures_per_peer_max: 20,
            failures_per_account_max: 100,
            failure_forgotten_seconds: 30,
            failures_remembered_max: 10_000,
        }
    }
}
