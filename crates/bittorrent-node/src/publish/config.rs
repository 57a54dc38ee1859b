//! The `[torrents]` section of the configuration.

use crate::control::Rates;
use crate::engine::Limits;
use crate::rules::Rules;
use crate::schedule::{Schedule, TimedRates};
use bittorrent::encryption::Policy;
use bittorrent::metainfo::{PIECE_OCTETS_MAX, Version};
use bittorrent::tracker::announcer::TrackerUrl;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Octets of the shortest piece.
const PIECE_OCTETS_MIN: u32 = 16 * 1024;
/// Trackers of one folder beside our own.
const TRACKERS_MAX: usize = 50;
/// Times with other limits.
const LIMITS_AT_MAX: usize = 50;
/// Nodes by which the hash table is entered.
const DHT_ROUTERS_MAX: usize = 20;

/// Files that are given away by BitTorrent and over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where peers connect to, over TCP and uTP, e.g. `["0.0.0.0:6881",
    /// "[::]:6881"]`. With port 0 the system chooses one. Empty: nothing is
    /// published.
    pub listen: Vec<SocketAddr>,
    /// The name or address in the addresses of our tracker and web server that
    /// torrents carry, e.g. `files.example.org`. Unset: the addresses they listen
    /// on; the domain where they listen on all.
    pub public_name: Option<String>,
    /// The folders that are published.
    pub publish: Vec<Folder>,
    /// Torrents published at once; further ones are left out.
    #[schemars(range(min = 1, max = 100_000))]
    pub torrents_max: usize,
    /// Seconds that a file must stay as it is before it is read: it may be growing
    /// still.
    #[schemars(range(min = 0, max = 86_400))]
    pub settle_seconds: u64,
    /// Octets of blocks in memory.
    #[schemars(range(min = 1_048_576, max = 68_719_476_736_u64))]
    pub memory_octets_max: usize,
    /// Octets a second to peers, all torrents together; 0: no limit. HTTP is not
    /// counted.
    #[schemars(range(min = 0, max = 1_099_511_627_776_u64))]
    pub upload_octets_per_second_max: u64,
    /// Connections of one torrent at once.
    #[schemars(range(min = 1, max = 10_000))]
    pub connections_per_torrent_max: usize,
    /// Connections on their way to peers at once, so that routers with small tables
    /// bear us.
    #[schemars(range(min = 1, max = 10_000))]
    pub half_open_max: usize,
    /// A list of addresses not to speak with: ipfilter.dat, .p2p or CIDR lines. It is
    /// read when the configuration is; a relative one is taken from the data folder.
    pub ip_filter: Option<PathBuf>,
    /// Other limits at some times; the first holds whose time it is.
    pub limits_at: Vec<LimitAt>,
    /// Whom seeds serve.
    pub rules: Rules,
    /// What is encrypted between peers: nothing (`disabled`), what peers ask for
    /// (`allowed`), all where peers can (`preferred`), or all (`required`).
    pub encryption: Encryption,
    /// Nodes by which the distributed hash table is entered, `HOST:PORT`, e.g.
    /// `["dht.libtorrent.org:25401", "router.bittorrent.com:6881"]`: peers find what
    /// is not private there, too, without any tracker. Empty: it is not used.
    pub dht_routers: Vec<String>,
    /// Groups in which peers in the local network find each other (BEP 14), usually
    /// `["239.192.152.143:6771", "[ff15::efc0:988f]:6771"]`. Empty: they are not told.
    pub lsd_groups: Vec<SocketAddr>,
    /// Where the router is looked for that is asked to hand connections on to us
    /// (UPnP), usually `"239.255.255.250:1900"`. Unset: none is asked.
    pub gateway: Option<SocketAddr>,
}

/// Other limits at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitAt {
    /// When, where this machine is, e.g. `"mon-fri 08:00-18:00"`, `"sat,sun
    /// 22:00-06:00"`, or without days: each day.
    pub when: String,
    /// Octets a second to peers, all torrents together; unset or 0: no limit.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_099_511_627_776_u64))]
    pub upload_octets_per_second_max: Option<u64>,
}

/// A folder of files. Each file or folder in it becomes a torrent. What is hidden,
/// links and what cannot be read are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// Where it is; a relative one is taken from the data folder.
    pub path: PathBuf,
    /// What the page calls it.
    #[serde(default)]
    pub name: Option<String>,
    /// The folder itself becomes one torrent, not each entry of it.
    #[serde(default)]
    pub whole: bool,
    /// Which version of the protocol its torrents are for: `v1`, `v2` (BEP 52) or
    /// `hybrid`, which is both.
    #[serde(default)]
    pub format: Format,
    /// Octets of a piece, a power of two from 16 KiB; unset: chosen by size.
    #[serde(default)]
    #[schemars(range(min = 16_384, max = 268_435_456))]
    pub piece_octets: Option<u32>,
    /// Further trackers beside our own, each of a tier of its own.
    #[serde(default)]
    pub trackers: Vec<String>,
    /// Text for people, in every torrent.
    #[serde(default)]
    pub comment: Option<String>,
    /// Peers may come from the trackers only (BEP 27).
    #[serde(default)]
    pub private: bool,
}

/// A version of the protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// BEP 3.
    V1,
    /// BEP 52.
    V2,
    /// Both in one.
    #[default]
    Hybrid,
}

impl From<Format> for Version {
    fn from(format: Format) -> Self {
        match format {
            Format::V1 => Self::V1,
            Format::V2 => Self::V2,
            Format::Hybrid => Self::Hybrid,
        }
    }
}

/// What is encrypted between peers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// Nothing.
    Disabled,
    /// What peers ask for.
    #[default]
    Allowed,
    /// All where peers can.
    Preferred,
    /// All, or no connection.
    Required,
}

impl From<Encryption> for Policy {
    fn from(encryption: Encryption) -> Self {
        match encryption {
            Encryption::Disabled => Self::Disabled,
            Encryption::Allowed => Self::Allowed,
            Encryption::Preferred => Self::Preferred,
            Encryption::Required => Self::Required,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            public_name: None,
            publish: Vec::new(),
            torrents_max: 1_000,
            settle_seconds: 2,
            memory_octets_max: 24 * 1024 * 1024,
            upload_octets_per_second_max: 0,
            connections_per_torrent_max: 200,
            half_open_max: Limits::default().dialling_max,
            ip_filter: None,
            limits_at: Vec::new(),
            rules: Rules::default(),
            encryption: Encryption::default(),
            dht_routers: Vec::new(),
            lsd_groups: Vec::new(),
            gateway: None,
        }
    }
}

/// What is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ConfigError {
    /// The way to the key that is to blame, below the section.
    pub path: Vec<String>,
    /// What is wrong and what to do.
    pub reason: String,
}

impl Config {
    /// Whether it can be used.
    ///
    /// # Errors
    /// For the first key that cannot.
    pub fn check(&self) -> Result<(), ConfigError> {
        if let Some(name) = &self.public_name
            && (name.is_empty() || name.contains(['/', ' ', '@', '?', '#']))
        {
            let reason = format!("{name:?} is no name of a host; write one like files.example.org");
            return Err(ConfigError { path: vec!["public_name".to_owned()], reason });
        }
        if self.dht_routers.len() > DHT_ROUTERS_MAX {
            let reason = format!("name at most {DHT_ROUTERS_MAX}");
            return Err(ConfigError { path: vec!["dht_routers".to_owned()], reason });
        }
        let is_node = |node: &&String| {
            node.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0)
            })
        };
        if let Some(wrong) = self.dht_routers.iter().find(|node| !is_node(node)) {
            let reason = format!("{wrong:?} is no node; write HOST:PORT, e.g. router.bittorrent.com:6881");
            return Err(ConfigError { path: vec!["dht_routers".to_owned()], reason });
        }
        if let Some(wrong) = self.lsd_groups.iter().find(|group| !group.ip().is_multicast()) {
            let reason = format!("{wrong} is no group; write 239.192.152.143:6771");
            return Err(ConfigError { path: vec!["lsd_groups".to_owned()], reason });
        }
        if self.limits_at.len() > LIMITS_AT_MAX {
            let reason = format!("name at most {LIMITS_AT_MAX} times");
            return Err(ConfigError { path: vec!["limits_at".to_owned()], reason });
        }
        for (number, limit) in self.limits_at.iter().enumerate() {
            limit.when.parse::<Schedule>().map_err(|error| ConfigError {
                path: ["limits_at", &number.to_string(), "when"].map(str::to_owned).to_vec(),
                reason: error.to_string(),
            })?;
        }
        self.rules.check().map_err(|(key, reason)| ConfigError {
            path: ["rules", key].map(str::to_owned).to_vec(),
            reason,
        })?;
        for (number, folder) in self.publish.iter().enumerate() {
            folder.check().map_err(|(key, reason)| ConfigError {
                path: ["publish", &number.to_string(), key].map(str::to_owned).to_vec(),
                reason,
            })?;
        }
        Ok(())
    }
}

impl Config {
    /// The limits that hold now.
    pub(super) fn limits(&self) -> Limits {
        let rates = |upload: u64| Rates { download: None, upload: (upload > 0).then_some(upload) };
        let timed = self.limits_at.iter().filter_map(|limit| {
            let when = limit.when.parse().ok()?;
            Some(TimedRates { when, rates: rates(limit.upload_octets_per_second_max.unwrap_or(0)) })
        });
        let timed: Vec<TimedRates> = timed.collect();
        Limits {
            rates: TimedRates::now(&timed, rates(self.upload_octets_per_second_max)),
            dialling_max: self.half_open_max,
            ..Limits::default()
        }
    }
}

impl Folder {
    /// A folder with every key but `path` left out.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            name: None,
            whole: false,
            format: Format::default(),
            piece_octets: None,
            trackers: Vec::new(),
            comment: None,
            private: false,
        }
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        if self.path.as_os_str().is_empty() {
            return Err(("path", "name a folder".to_owned()));
        }
        if self.trackers.len() > TRACKERS_MAX {
            return Err(("trackers", format!("name at most {TRACKERS_MAX} trackers")));
        }
        for url in &self.trackers {
            TrackerUrl::parse(url).map_err(|error| ("trackers", format!("{url}: {error}")))?;
        }
        match self.piece_octets {
            Some(octets)
                if !octets.is_power_of_two() || !(PIECE_OCTETS_MIN..=PIECE_OCTETS_MAX).contains(&octets) =>
            {
                Err(("piece_octets", format!("{octets} is no power of two from {PIECE_OCTETS_MIN}")))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_at_their_times() {
        let at = |when: &str, upload_octets_per_second_max: u64| LimitAt {
            when: when.to_owned(),
            upload_octets_per_second_max: Some(upload_octets_per_second_max),
        };
        let config = Config { upload_octets_per_second_max: 5, half_open_max: 7, ..Config::default() };
        let limits = config.limits();
        assert_eq!((limits.rates.upload, limits.dialling_max), (Some(5), 7));
        let always = Config { limits_at: vec![at("00:00-00:00", 3), at("00:00-00:00", 4)], ..config.clone() };
        assert_eq!((always.check(), always.limits().rates.upload), (Ok(()), Some(3)));
        let never = Config { limits_at: vec![at("mon 8-9", 3)], ..config.clone() };
        let wrong = never.check().expect_err("it is no time");
        assert_eq!(wrong.path, ["limits_at", "0", "when"]);
        let rules = Rules { choke_interval_seconds: 0, ..Rules::default() };
        let wrong = Config { rules, ..config }.check().expect_err("nobody can keep it");
        assert_eq!(wrong.path, ["rules", "choke_interval_seconds"]);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let told = |folder: Folder| {
            let config = Config { publish: vec![Folder::new("right"), folder], ..Config::default() };
            config.check().expect_err("it is wrong")
        };
        let wrong = told(Folder { trackers: vec!["ftp://a".to_owned()], ..Folder::new("x") });
        assert_eq!(wrong.path, ["publish", "1", "trackers"]);
        assert!(wrong.reason.starts_with("ftp://a: "), "{wrong}");
        let wrong =
            told(Folder { trackers: vec!["udp://a:1".to_owned(); TRACKERS_MAX + 1], ..Folder::new("x") });
        assert!(wrong.reason.contains("at most 50"), "{wrong}");
        assert_eq!(told(Folder { piece_octets: Some(20_000), ..Folder::new("x") }).path[2], "piece_octets");
        assert_eq!(told(Folder::new("")).path[2], "path");
        let config = Config { public_name: Some("a b".to_owned()), ..Config::default() };
        assert_eq!(config.check().expect_err("it is wrong").path, ["public_name"]);
        let config = Config { lsd_groups: vec![([127, 0, 0, 1], 6_771).into()], ..Config::default() };
        assert_eq!(config.check().expect_err("it is wrong").path, ["lsd_groups"]);
        let routers = |routers: Vec<String>| Config { dht_routers: routers, ..Config::default() }.check();
        for wrong in ["", "host", "host:", "host:0", ":1", "host:65536"] {
            assert_eq!(routers(vec![wrong.to_owned()]).expect_err("it is wrong").path, ["dht_routers"]);
        }
        assert!(routers(vec!["a:1".to_owned(); DHT_ROUTERS_MAX + 1]).is_err());
        assert_eq!(routers(vec!["a:1".to_owned(), "[::1]:2".to_owned()]), Ok(()));
        assert_eq!(Config::default().check(), Ok(()));
    }
}
