//! The `[queue]` section of the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How mail for other hosts waits, and how it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seconds until the second try; each further wait is twice as long.
    #[schemars(range(min = 1, max = 7_776_000))]
    pub retry_seconds_first: u64,
    /// The longest wait between two tries, in seconds.
    #[schemars(range(min = 1, max = 7_776_000))]
    pub retry_seconds_max: u64,
    /// Seconds a message is tried before its sender is told that it failed
    /// (RFC 5321 section 4.5.4.1: at least 4 to 5 days).
    #[schemars(range(min = 1, max = 7_776_000))]
    pub lifetime_seconds: u64,
    /// Seconds after which its sender is told that a message is late; 0 for
    /// never.
    #[schemars(range(min = 0, max = 7_776_000))]
    pub delay_warning_seconds: u64,
    /// The port of other hosts' SMTP servers.
    #[schemars(range(min = 1, max = 65_535))]
    pub remote_port: u16,
    /// Connections to other hosts at once.
    #[schemars(range(min = 1, max = 100_000))]
    pub sessions_max: usize,
    /// Connections for one destination domain at once.
    #[schemars(range(min = 1, max = 100_000))]
    pub sessions_per_destination_max: usize,
    /// Messages sent over one connection.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub messages_per_session_max: usize,
    /// Seconds to wait for a connection to one server.
    #[schemars(range(min = 1, max = 3_600))]
    pub connect_seconds_max: u64,
    /// Seconds to wait for any one reply; the times of RFC 5321 section
    /// 4.5.3.2 hold where they are shorter.
    #[schemars(range(min = 1, max = 3_600))]
    pub reply_seconds_max: u64,
    /// Messages times destination domains that may wait; beyond them new mail
    /// for other hosts gets 452.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub entries_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            retry_seconds_first: 60,
            retry_seconds_max: 4 * 3600,
            lifetime_seconds: 5 * 24 * 3600,
            delay_warning_seconds: 4 * 3600,
            remote_port: 25,
            sessions_max: 50,
            sessions_per_destination_max: 4,
            messages_per_session_max: 100,
            connect_seconds_max: 30,
            reply_seconds_max: 600,
            entries_max: 500_000,
        }
    }
}

impl Config {
    /// How long to wait after this many tries.
    pub(super) fn retry_after(&self, attempts: u32) -> Duration {
        let doubled = self.retry_seconds_first.saturating_mul(1 << attempts.saturating_sub(1).min(30));
        Duration::from_secs(doubled.min(self.retry_seconds_max))
    }
}

#[cfg(test)]
mod tests {
    //! The waits.
    use super::Config;

    #[test]
    fn waits_grow_up_to_their_bound() {
        let waits: Vec<u64> =
            (1..12).map(|attempts| Config::default().retry_after(attempts).as_secs()).collect();
        assert_eq!(waits, [60, 120, 240, 480, 960, 1920, 3840, 7680, 14400, 14400, 14400]);
        assert_eq!(Config::default().retry_after(u32::MAX).as_secs(), 14400);
    }
}
