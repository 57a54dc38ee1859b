//! The `[tracker]` section of the configuration.

use bittorrent::tracker::swarm::{Access, INTERVAL_SECONDS_MAX, Limits, Policy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

/// Peers that fit in one datagram with IPv6's least payload, over IPv4 and IPv6.
pub(super) const DATAGRAM_PEERS_MAX: [usize; 2] = [200, 66];
/// Torrents on the access list.
const ACCESS_LIST_MAX: usize = 1_000_000;

/// The BitTorrent tracker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen for the UDP protocol (BEP 15), e.g. `["0.0.0.0:6969",
    /// "[::]:6969"]`. With port 0 the system chooses one.
    pub udp_listen: Vec<SocketAddr>,
    /// Where to listen for the HTTP protocol (BEP 3): `/announce`, `/scrape` and
    /// `/stats`. With port 0 the system chooses one.
    pub http_listen: Vec<SocketAddr>,
    /// Threads that answer over UDP for each address; 0: one for each processor.
    pub threads: usize,
    /// Which torrents are served: all (`open`), only those in `info_hashes`
    /// (`allow`), or all but those (`deny`).
    pub access: AccessKind,
    /// Info-hashes for `access`, 40 hexadecimal digits each.
    pub info_hashes: Vec<String>,
    /// Seconds between the announces of a peer, at most 43,200. A peer is
    /// forgotten after two of them.
    pub interval_seconds: u32,
    /// Seconds a peer is told to wait at least (HTTP only).
    pub min_interval_seconds: u32,
    /// Up to so many seconds are added to the interval at random.
    pub jitter_seconds: u32,
    /// Peers told to who does not say how many.
    pub peers_default: u32,
    /// Peers told at most; over UDP never more than fit in one datagram.
    pub peers_max: u32,
    /// Torrents kept for each address family; further ones are refused.
    pub torrents_max: usize,
    /// Peers kept for each address family; further ones are told of others, but
    /// others are not told of them.
    pub peers_total_max: usize,
    /// Peers kept of one torrent and address family.
    pub peers_per_torrent_max: usize,
    /// Torrents in one scrape over HTTP; further ones are left out.
    pub scrape_torrents_max: usize,
    /// Reverse proxies, e.g. `["127.0.0.1"]`: for their connections the last
    /// address of `X-Forwarded-For` is the client's. From nobody else is it
    /// believed.
    pub proxies: Vec<IpAddr>,
    /// HTTP connections open at once; further ones wait.
    pub connections_max: usize,
    /// HTTP connections open at once from one address; further ones are closed.
    pub connections_per_address_max: usize,
    /// Seconds an HTTP connection may be idle.
    pub idle_seconds_max: u64,
}

/// What the list of info-hashes is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "lowercase")]
pub enum AccessKind {
    /// Nothing: all torrents are served.
    #[default]
    Open,
    /// Only these are served.
    Allow,
    /// All but these are served.
    Deny,
}

impl Default for Config {
    fn default() -> Self {
        let policy = Policy::default();
        Self {
            udp_listen: Vec::new(),
            http_listen: Vec::new(),
            threads: 0,
            access: AccessKind::Open,
            info_hashes: Vec::new(),
            interval_seconds: policy.interval_seconds,
            min_interval_seconds: policy.min_interval_seconds,
            jitter_seconds: policy.jitter_seconds,
            peers_default: policy.peers_default,
            peers_max: policy.peers_max,
            torrents_max: 1_000_000,
            peers_total_max: 4_000_000,
            peers_per_torrent_max: 20_000,
            scrape_torrents_max: 74,
            proxies: Vec::new(),
            connections_max: 1_000,
            connections_per_address_max: 50,
            idle_seconds_max: 20,
        }
    }
}

/// What is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No info-hash.
    #[error("tracker.info_hashes: {text:?} is no info-hash; write 40 hexadecimal digits")]
    InfoHash {
        /// What stands there.
        text: String,
    },
    /// Too many info-hashes.
    #[error("tracker.info_hashes: {count} are more than {ACCESS_LIST_MAX}")]
    InfoHashes {
        /// How many.
        count: usize,
    },
    /// An interval that cannot be.
    #[error("tracker.interval_seconds: {seconds} is not between 1 and {INTERVAL_SECONDS_MAX}")]
    Interval {
        /// What stands there.
        seconds: u32,
    },
}

impl Config {
    /// The rules' own form of the intervals.
    pub(super) fn policy(&self) -> Result<Policy, ConfigError> {
        if !(1..=INTERVAL_SECONDS_MAX).contains(&self.interval_seconds) {
            return Err(ConfigError::Interval { seconds: self.interval_seconds });
        }
        Ok(Policy {
            interval_seconds: self.interval_seconds,
            min_interval_seconds: self.min_interval_seconds.min(self.interval_seconds),
            jitter_seconds: self.jitter_seconds,
            peers_default: self.peers_default,
            peers_max: self.peers_max,
        })
    }

    /// The rules' own form of the access list.
    pub(super) fn access(&self) -> Result<Access, ConfigError> {
        if self.info_hashes.len() > ACCESS_LIST_MAX {
            return Err(ConfigError::InfoHashes { count: self.info_hashes.len() });
        }
        let read =
            |text: &String| info_hash(text).ok_or_else(|| ConfigError::InfoHash { text: text.clone() });
        let list: HashSet<[u8; 20]> = self.info_hashes.iter().map(read).collect::<Result<_, _>>()?;
        Ok(match self.access {
            AccessKind::Open => Access::Open,
            AccessKind::Allow => Access::Allow(list),
            AccessKind::Deny => Access::Deny(list),
        })
    }

    /// What each of `shards` may hold.
    pub(super) fn limits(&self, shards: usize) -> Limits {
        Limits {
            torrents_max: self.torrents_max.div_ceil(shards),
            peers_max: self.peers_total_max.div_ceil(shards),
            peers_per_torrent_max: self.peers_per_torrent_max,
        }
    }
}

fn info_hash(text: &str) -> Option<[u8; 20]> {
    let digits: &[u8; 40] = text.as_bytes().try_into().ok()?;
    let mut octets = [0; 20];
    for (octet, [high, low]) in octets.iter_mut().zip(digits.as_chunks().0) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *octet = (digit(*high)? << 4 | digit(*low)?) as u8;
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_settings_are_named() {
        for wrong in ["", "00", "zz00000000000000000000000000000000000000"] {
            let config = Config { info_hashes: vec![wrong.to_owned()], ..Config::default() };
            let error = config.access().expect_err("no info-hash").to_string();
            assert!(error.contains("tracker.info_hashes") && error.contains(wrong), "{error}");
        }
        for seconds in [0, INTERVAL_SECONDS_MAX + 1] {
            let config = Config { interval_seconds: seconds, ..Config::default() };
            assert_eq!(config.policy(), Err(ConfigError::Interval { seconds }));
        }
        let many = vec!["00".repeat(20); ACCESS_LIST_MAX + 1];
        let config = Config { info_hashes: many, ..Config::default() };
        assert_eq!(config.access(), Err(ConfigError::InfoHashes { count: ACCESS_LIST_MAX + 1 }));
    }

    #[test]
    fn info_hashes_are_read() {
        let text = "0123456789abcdefABCD0123456789abcdefABCD".to_owned();
        let config = Config { access: AccessKind::Allow, info_hashes: vec![text], ..Config::default() };
        let access = config.access().expect("a list");
        let half = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xab, 0xcd];
        let whole: [u8; 20] = std::array::from_fn(|at| half[at % 10]);
        assert!(access.permits(&whole) && !access.permits(&[0; 20]));
    }
}
