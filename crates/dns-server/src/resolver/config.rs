//! The `[resolver]` section of the configuration.

use dns::Name;
use dns::resolver::{FixedZone, RootHint};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// The recursive resolver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen over UDP and TCP, e.g. `["127.0.0.1:5301"]`. With port 0
    /// the system chooses one, the same for both. Empty: only this host's own
    /// services are served.
    pub listen: Vec<SocketAddr>,
    /// Networks whose clients are served, e.g. `["127.0.0.0/8", "::1/128"]`;
    /// all others are refused.
    pub allow: Vec<String>,
    /// The root servers to begin with; empty: those of the Internet.
    pub root_hints: Vec<RootHintConfig>,
    /// Zones and their authoritative servers, which are asked without looking
    /// for them, e.g. `"utopia.test" = ["127.0.0.1:5300"]`.
    pub stub_zones: BTreeMap<String, Vec<SocketAddr>>,
    /// Zones and the resolvers that questions for them are forwarded to; `"."`
    /// forwards everything.
    pub forward_zones: BTreeMap<String, Vec<SocketAddr>>,
    /// The port of name servers that are found by name; 53 on the Internet.
    #[schemars(range(min = 1, max = 65_535))]
    pub upstream_port: u16,
    /// Whether name servers are asked over IPv6 as well.
    pub ipv6: bool,
    /// Whether each name server is told only as much of a name as it needs (RFC 9156).
    pub qname_minimisation: bool,
    /// Whether letters of questions change case at random, against forged replies.
    pub mixed_case: bool,
    /// Octets of memory for the cache.
    #[schemars(range(min = 65_536, max = 1_099_511_627_776_u64))]
    pub cache_octets_max: usize,
    /// Questions being resolved at once; further ones get SERVFAIL.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub questions_max: usize,
    /// TCP connections of clients open at once; further ones wait.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_max: usize,
    /// TCP connections open at once from one address; further ones are closed.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections_per_address_max: usize,
    /// Seconds a TCP connection may be idle (RFC 7766 section 6.2.3).
    #[schemars(range(min = 1, max = 3_600))]
    pub idle_seconds_max: u64,
}

/// A root server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RootHintConfig {
    /// Its name, e.g. `a.root-servers.net`.
    pub name: String,
    /// Its addresses and ports, e.g. `["198.41.0.4:53"]`.
    pub addresses: Vec<SocketAddr>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            allow: vec!["127.0.0.0/8".to_owned(), "::1/128".to_owned()],
            root_hints: Vec::new(),
            stub_zones: BTreeMap::new(),
            forward_zones: BTreeMap::new(),
            upstream_port: 53,
            ipv6: false,
            qname_minimisation: true,
            mixed_case: false,
            cache_octets_max: 64 << 20,
            questions_max: 4_096,
            connections_max: 1_000,
            connections_per_address_max: 50,
            idle_seconds_max: 10,
        }
    }
}

/// What is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No domain name.
    #[error("{key}: {name:?} is no domain name; write one like example.org")]
    Name {
        /// The key.
        key: &'static str,
        /// What stands there.
        name: String,
    },
    /// No network.
    #[error("resolver.allow: {network:?} is no network; write one like 192.0.2.0/24 or 2001:db8::/32")]
    Network {
        /// What stands there.
        network: String,
    },
    /// A zone without servers.
    #[error("{key}: {zone} has no addresses; give at least one like 192.0.2.1:53")]
    NoServers {
        /// The key.
        key: &'static str,
        /// The zone.
        zone: String,
    },
}

impl ConfigError {
    /// The key it is about.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Name { key, .. } | Self::NoServers { key, .. } => key,
            Self::Network { .. } => "resolver.allow",
        }
    }
}

impl Config {
    /// Whether a resolver would take these settings.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.allowed()?;
        self.rules().map(drop)
    }

    /// The rules' own form of these settings.
    pub fn rules(&self) -> Result<dns::resolver::Config, ConfigError> {
        let mut rules = dns::resolver::Config {
            upstream_port: self.upstream_port,
            ipv6: self.ipv6,
            qname_minimisation: self.qname_minimisation,
            mixed_case: self.mixed_case,
            ..dns::resolver::Config::default()
        };
        rules.cache.octets_max = self.cache_octets_max;
        rules.limits.iterations_max = self.questions_max;
        if !self.root_hints.is_empty() {
            let hint = |hint: &RootHintConfig| -> Result<RootHint, ConfigError> {
                let name = name("resolver.root_hints", &hint.name)?;
                Ok(RootHint { name, addresses: hint.addresses.clone() })
            };
            rules.root_hints = self.root_hints.iter().map(hint).collect::<Result<_, _>>()?;
        }
        let kinds = [
            ("resolver.stub_zones", &self.stub_zones, false),
            ("resolver.forward_zones", &self.forward_zones, true),
        ];
        for (key, zones, recursive) in kinds {
            for (zone, servers) in zones {
                if servers.is_empty() {
                    return Err(ConfigError::NoServers { key, zone: zone.clone() });
                }
                let apex = name(key, zone)?;
                rules.zones.push(FixedZone { apex, servers: servers.clone(), recursive });
            }
        }
        Ok(rules)
    }

    /// The networks served.
    pub(super) fn allowed(&self) -> Result<Vec<Prefix>, ConfigError> {
        let parse = |network: &String| {
            Prefix::parse(network).ok_or_else(|| ConfigError::Network { network: network.clone() })
        };
        self.allow.iter().map(parse).collect()
    }
}

fn name(key: &'static str, text: &str) -> Result<Name, ConfigError> {
    Name::bytes_from_str(text).map_err(|_| ConfigError::Name { key, name: text.to_owned() })
}

/// The addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix {
    address: IpAddr,
    bits: u32,
}

impl Prefix {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits): (IpAddr, Option<u32>) = match text.split_once('/') {
            Some((address, bits)) => (address.parse().ok()?, Some(bits.parse().ok()?)),
            None => (text.parse().ok()?, None),
        };
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(bits_max);
        (bits <= bits_max).then_some(Self { address, bits })
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                (ours.to_bits() ^ theirs.to_bits()).leading_zeros() >= self.bits
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                (ours.to_bits() ^ theirs.to_bits()).leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_addresses_only() {
        let contains = |network: &str, address: &str| {
            Prefix::parse(network).expect("a network").contains(address.parse().expect("an address"))
        };
        assert!(contains("127.0.0.0/8", "127.9.9.9"));
        assert!(!contains("127.0.0.0/8", "128.0.0.1"));
        assert!(contains("::1", "::1"));
        assert!(contains("127.0.0.0/8", "::ffff:127.0.0.1"));
        assert!(contains("0.0.0.0/0", "192.0.2.1"));
        assert!(!contains("0.0.0.0/0", "2001:db8::1"));
        for wrong in ["127.0.0.0/33", "::/129", "local", "127.0.0.1/-1", ""] {
            assert_eq!(Prefix::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn wrong_settings_are_named() {
        let mut config = Config::default();
        config.stub_zones.insert("a..b".to_owned(), vec!["127.0.0.1:53".parse().expect("an address")]);
        let error = config.rules().expect_err("no name").to_string();
        assert!(error.contains("resolver.stub_zones") && error.contains("a..b"), "{error}");
        let config = Config { allow: vec!["everybody".to_owned()], ..Config::default() };
        let error = config.allowed().expect_err("no network").to_string();
        assert!(error.contains("everybody"), "{error}");
    }
}
