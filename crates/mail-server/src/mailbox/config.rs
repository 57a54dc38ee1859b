//! The `[mailboxes]` section of the configuration: what one account may use.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one account may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Octets of all messages of an account; copies cost none.
    #[schemars(range(min = 1, max = 1_125_899_906_842_624_u64))]
    pub account_octets_max: u64,
    /// Messages in all mailboxes of an account, copies counted.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub account_messages_max: u64,
    /// Mailboxes of an account.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub account_mailboxes_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            account_octets_max: 16 * 1024 * 1024 * 1024,
            account_messages_max: 2_000_000,
            account_mailboxes_max: 4096,
        }
    }
}
