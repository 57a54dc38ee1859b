//! The `[tracker]` section of the configuration.

use bittorrent::tracker::swarm::{INTERVAL_SECONDS_MAX, Limits, Policy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

/// Peers that fit in one datagram with IPv6's least payload, over IPv4 and IPv6.
pub(super) const DATAGRAM_PEERS_MAX: [usize; 2] = [200, 66];
/// Torrents on the access list.
const ACCESS_LIST_MAX: usize = 1_000_000;

/// The BitTorrent tracker: it tells peers of one another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen for the UDP protocol (BEP 15), e.g. `["0.0.0.0:6969",
    /// "[::]:6969"]`. With port 0 the system chooses one.
    pub udp_listen: Vec<SocketAddr>,
    /// Where to listen for the HTTP protocol (BEP 3): `/announce` and `/scrape`; what
    /// it does is shown at `/`, `/stats` (JSON) and `/metrics`. With port 0 the system chooses one.
    pub http_listen: Vec<SocketAddr>,
    /// Threads that answer over UDP for each address; 0: one for each processor.
    #[schemars(range(min = 0, max = 256))]
    pub threads: usize,
    /// Which torrents are served: those that this host publishes and those in
    /// `info_hashes` (`published`), only the latter (`allow`), all but those
    /// (`deny`), or all (`open`).
    pub access: AccessKind,
    /// Info-hashes for `access`, 40 hexadecimal digits each.
    pub info_hashes: Vec<String>,
    /// Seconds between the announces of a peer, at most 43,200. A peer is
    /// forgotten after two of them.
    #[schemars(range(min = 1, max = 43200))]
    pub interval_seconds: u32,
    /// Seconds a peer is told to wait at least (HTTP only).
    #[schemars(range(min = 0, max = 43200))]
    pub min_interval_seconds: u32,
    /// Up to so many seconds are added to the interval at random.
    #[schemars(range(min = 0, max = 43200))]
    pub jitter_seconds: u32,
    /// Peers told to who does not say how many.
    #[schemars(range(min = 0, max = 1000))]
    pub peers_default: u32,
    /// Peers told at most; over UDP never more than fit in one datagram.
    #[schemars(range(min = 0, max = 1000))]
    pub peers_max: u32,
    /// Torrents kept for each address family; further ones are refused.
    #[schemars(range(min = 1, max = 100000000))]
    pub torrents_max: usize,
    /// Peers kept for each address family; further ones are told of others, but
    /// others are not told of them.
    #[schemars(range(min = 1, max = 1000000000))]
    pub peers_total_max: usize,
    /// Peers kept of one torrent and address family.
    #[schemars(range(min = 1, max = 10000000))]
    pub peers_per_torrent_max: usize,
    /// Torrents in one scrape over HTTP; further ones are left out.
    #[schemars(range(min = 1, max = 1000))]
    pub scrape_torrents_max: usize,
    /// Reverse proxies, e.g. `["127.0.0.1"]`: for their connections the last
    /// address of `X-Forwarded-For` is the client's. From nobody else is it
    /// believed.
    pub proxies: Vec<IpAddr>,
    /// HTTP connections open at once; further ones wait.
    #[schemars(range(min = 1, max = 1000000))]
    pub connections_max: usize,
    /// HTTP connections open at once from one address; further ones are closed.
    #[schemars(range(min = 1, max = 1000000))]
    pub connections_per_address_max: usize,
    /// Seconds an HTTP connection may be idle.
    #[schemars(range(min = 1, max = 3600))]
    pub idle_seconds_max: u64,
}

/// What the list of info-hashes is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "lowercase")]
pub enum AccessKind {
    /// These are served, and those that this host publishes.
    #[default]
    Published,
    /// Nothing: all torrents are served.
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
            access: AccessKind::Published,
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

impl ConfigError {
    /// The key of the section that is to blame.
    pub fn key(&self) -> &'static str {
        match self {
            Self::InfoHash { .. } | Self::InfoHashes { .. } => "info_hashes",
            Self::Interval { .. } => "interval_seconds",
        }
    }
}

impl Config {
    /// Whether it can be used.
    ///
    /// # Errors
    /// What a start would fail with.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.policy()?;
        self.listed().map(drop)
    }

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

    /// The info-hashes of the access list.
    pub(super) fn listed(&self) -> Result<HashSet<[u8; 20]>, ConfigError> {
        if self.info_hashes.len() > ACCESS_LIST_MAX {
            return Err(ConfigError::InfoHashes { count: self.info_hashes.len() });
        }
        let read =
            |text: &String| info_hash(text).ok_or_else(|| ConfigError::InfoHash { text: text.clone() });
        self.info_hashes.iter().map(read).collect()
    }

    /// Threads that answer over UDP for each address.
    pub(super) fn threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
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
            let error = config.listed().expect_err("no info-hash").to_string();
            assert!(error.contains("tracker.info_hashes") && error.contains(wrong), "{error}");
        }
        for seconds in [0, INTERVAL_SECONDS_MAX + 1] {
            let config = Config { interval_seconds: seconds, ..Config::default() };
            assert_eq!(config.policy(), Err(ConfigError::Interval { seconds }));
        }
        let many = vec!["00".repeat(20); ACCESS_LIST_MAX + 1];
        let config = Config { info_hashes: many, ..Config::default() };
        assert_eq!(config.listed(), Err(ConfigError::InfoHashes { count: ACCESS_LIST_MAX + 1 }));
    }

    #[test]
    fn info_hashes_are_read() {
        let text = "0123456789abcdefABCD0123456789abcdefABCD".to_owned();
        let config = Config { access: AccessKind::Allow, info_hashes: vec![text], ..Config::default() };
        let listed = config.listed().expect("a list");
        let half = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xab, 0xcd];
        let whole: [u8; 20] = std::array::from_fn(|at| half[at % 10]);
        assert_eq!(listed, HashSet::from([whole]));
    }

    #[test]
    fn what_is_published_is_served_beside_the_list() {
        let config = Config { info_hashes: vec!["01".repeat(20)], ..Config::default() };
        let served = |kind: AccessKind| {
            let settings = Config { access: kind, ..config.clone() }.settings(&HashSet::from([[2; 20]]));
            let access = settings.expect("settings").access;
            [1, 2, 3].map(|torrent| access.permits(&[torrent; 20]))
        };
        assert_eq!(served(AccessKind::Published), [true, true, false]);
        assert_eq!(served(AccessKind::Allow), [true, false, false]);
        assert_eq!(served(AccessKind::Deny), [false, true, true]);
        assert_eq!(served(AccessKind::Open), [true; 3]);
    }
}
