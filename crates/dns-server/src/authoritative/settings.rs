//! The configuration as the server uses it: names read, keys loaded.

use super::ServerError;
use super::config::{Config, Kind, Remote, ZoneConfig};
use dns::Name;
use dns::tsig::{self, Key, KeyError, Keys};
use domain::tsig::KeyName;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Octets of the largest secret file.
pub(super) const SECRET_OCTETS_MAX: u64 = 4_096;

/// All zones and keys of a configuration, and the bounds of replies.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) zones: HashMap<Box<[u8]>, Arc<ZoneSettings>>,
    pub(super) keys: Keys,
    pub(super) payload_octets_max: u16,
    pub(super) idle: Duration,
}

/// One zone of the configuration.
#[derive(Debug)]
pub(super) struct ZoneSettings {
    pub(super) apex: Name,
    pub(super) key: Box<[u8]>,
    pub(super) config: ZoneConfig,
    pub(super) primaries: Vec<Peer>,
    pub(super) notify: Vec<Peer>,
    allow_transfer: Vec<Access>,
    allow_update: Vec<KeyName>,
}

/// Another server and the key for what is sent to it.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) key: Option<Arc<Key>>,
}

#[derive(Debug)]
enum Access {
    Network(IpAddr, u8),
    Key(Box<KeyName>),
}

impl Settings {
    pub(super) fn read(config: &Config) -> Result<Self, ServerError> {
        let mut settings = Self {
            payload_octets_max: config.payload_octets_max,
            idle: Duration::from_secs(config.idle_seconds_max),
            ..Self::default()
        };
        let mut by_name = HashMap::new();
        for key in &config.keys {
            let error = |reason: String| ServerError::Key { key: key.name.clone(), reason };
            let secret =
                storage::files::read_secret(&key.secret_file, SECRET_OCTETS_MAX)?.ok_or_else(|| {
                    let file = key.secret_file.display();
                    error(format!(
                        "there is no file {file}; write the secret there, e.g. with `openssl rand -base64 32`"
                    ))
                })?;
            let read = tsig::key(&key.name, &key.algorithm, &secret).map_err(|reason| match reason {
                KeyError::Secret | KeyError::Short(_) => {
                    error(format!("{}: {reason}", key.secret_file.display()))
                }
                reason => error(reason.to_string()),
            })?;
            settings.keys.insert((read.name().clone(), read.algorithm()), read.clone());
            by_name.insert(read.name().clone(), read);
        }
        for zone in &config.zones {
            let read = ZoneSettings::read(zone, &by_name)?;
            if settings.zones.insert(read.key.clone(), Arc::new(read)).is_some() {
                let reason = "the zone is configured twice; keep one".to_owned();
                return Err(ServerError::Zone { zone: zone.name.clone(), reason });
            }
        }
        Ok(settings)
    }
}

type KeysByName = HashMap<KeyName, Arc<Key>>;

impl ZoneSettings {
    fn read(config: &ZoneConfig, keys: &KeysByName) -> Result<Self, ServerError> {
        let error = |reason: String| ServerError::Zone { zone: config.name.clone(), reason };
        let apex = dns::master::name(&config.name).ok_or_else(|| ServerError::Zone {
            zone: format!("{:?}", config.name),
            reason: "this is no domain name; write one like example.org".to_owned(),
        })?;
        let key_named = |name: &str| {
            tsig::key_name(name).and_then(|name| keys.get(&name)).cloned().ok_or_else(|| {
                error(format!("there is no key `{name}`; add it to the keys, with its secret_file"))
            })
        };
        let peers = |remotes: &[Remote]| {
            let peer = |remote: &Remote| {
                let key = remote.key.as_deref().map(key_named).transpose()?;
                Ok(Peer { address: remote.address, key })
            };
            remotes.iter().map(peer).collect::<Result<Vec<_>, ServerError>>()
        };
        let access = |text: &String| match text.strip_prefix("key:") {
            Some(name) => Ok(Access::Key(Box::new(key_named(name)?.name().clone()))),
            None => network(text).ok_or_else(|| {
                error(format!(
                    "`{text}` is no address, network or key; write 192.0.2.1, 192.0.2.0/24 or key:NAME"
                ))
            }),
        };
        if config.kind == Kind::Secondary && config.primaries.is_empty() {
            return Err(error("a secondary needs a server to get the zone from; set primaries".to_owned()));
        }
        if config.kind == Kind::Primary && config.file.is_none() && config.text.is_none() {
            return Err(error("a primary needs a master file; set file".to_owned()));
        }
        Ok(Self {
            key: apex.as_slice().to_ascii_lowercase().into(),
            primaries: peers(&config.primaries)?,
            notify: peers(&config.notify)?,
            allow_transfer: config.allow_transfer.iter().map(access).collect::<Result<_, _>>()?,
            allow_update: config
                .allow_update
                .iter()
                .map(|name| Ok(key_named(name)?.name().clone()))
                .collect::<Result<_, ServerError>>()?,
            config: config.clone(),
            apex,
        })
    }

    /// Whether changes are made here.
    pub(super) fn is_primary(&self) -> bool {
        self.config.kind == Kind::Primary
    }

    /// Whether this peer, or who has this key, may transfer the zone.
    pub(super) fn may_transfer(&self, peer: IpAddr, key: Option<&Key>) -> bool {
        self.allow_transfer.iter().any(|access| match access {
            Access::Network(network, prefix) => is_in(peer, *network, *prefix),
            Access::Key(name) => key.is_some_and(|key| *key.name() == **name),
        })
    }

    /// Whether who has this key may update the zone.
    pub(super) fn may_update(&self, key: Option<&Key>) -> bool {
        key.is_some_and(|key| self.allow_update.iter().any(|name| key.name() == name))
    }

    /// Whether NOTIFY from this address, or signed with this key, is heeded
    /// (RFC 1996 section 3.10).
    pub(super) fn is_primary_server(&self, peer: IpAddr, key: Option<&Key>) -> bool {
        self.primaries.iter().any(|primary| match &primary.key {
            Some(ours) => key.is_some_and(|key| key.name() == ours.name()) || primary.address.ip() == peer,
            None => primary.address.ip() == peer,
        })
    }
}

fn network(text: &str) -> Option<Access> {
    let (address, prefix) =
        text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let address = address.parse::<IpAddr>().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.map_or(Some(longest), |prefix| prefix.parse().ok())?;
    (prefix <= longest).then_some(Access::Network(address, prefix))
}

fn is_in(peer: IpAddr, network: IpAddr, prefix: u8) -> bool {
    match (peer.to_canonical(), network) {
        (IpAddr::V4(peer), IpAddr::V4(network)) => {
            u32::from(peer).checked_shr(32 - u32::from(prefix)).unwrap_or(0)
                == u32::from(network).checked_shr(32 - u32::from(prefix)).unwrap_or(0)
        }
        (IpAddr::V6(peer), IpAddr::V6(network)) => {
            u128::from(peer).checked_shr(128 - u32::from(prefix)).unwrap_or(0)
                == u128::from(network).checked_shr(128 - u32::from(prefix)).unwrap_or(0)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let allows = |text: &str, peer: &str| match network(text) {
            Some(Access::Network(network, prefix)) => is_in(peer.parse().unwrap(), network, prefix),
            _ => panic!("{text}"),
        };
        assert!(allows("127.0.0.1", "127.0.0.1"));
        assert!(!allows("127.0.0.1", "127.0.0.2"));
        assert!(allows("10.0.0.0/8", "10.9.9.9"));
        assert!(!allows("10.0.0.0/8", "11.0.0.1"));
        assert!(allows("0.0.0.0/0", "203.0.113.9"));
        assert!(allows("2001:db8::/32", "2001:db8::1"));
        assert!(!allows("2001:db8::/32", "127.0.0.1"));
        assert!(allows("::/0", "::1"));
        assert!(network("10.0.0.0/33").is_none());
        assert!(network("example.org").is_none());
    }
}
