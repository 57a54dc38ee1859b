//! The configuration as the tracker uses it, which may change while it runs.

use super::config::{AccessKind, Config, ConfigError};
use bittorrent::tracker::swarm::{Access, Policy};
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

/// What every request is answered by.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) policy: Policy,
    pub(super) access: Access,
    pub(super) proxies: HashSet<IpAddr>,
    pub(super) scrape_torrents_max: usize,
    pub(super) idle_seconds_max: u64,
    kind: AccessKind,
    listed: Arc<HashSet<[u8; 20]>>,
}

impl Config {
    /// The settings, where this host publishes these torrents.
    pub(super) fn settings(&self, published: &HashSet<[u8; 20]>) -> Result<Settings, ConfigError> {
        let listed = Arc::new(self.listed()?);
        Ok(Settings {
            policy: self.policy()?,
            access: access(self.access, &listed, published),
            proxies: self.proxies.iter().map(IpAddr::to_canonical).collect(),
            scrape_torrents_max: self.scrape_torrents_max.max(1),
            idle_seconds_max: self.idle_seconds_max.max(1),
            kind: self.access,
            listed,
        })
    }
}

impl Settings {
    /// The same, where this host publishes these torrents.
    pub(super) fn with_published(&self, published: &HashSet<[u8; 20]>) -> Self {
        let access = access(self.kind, &self.listed, published);
        Self { access, proxies: self.proxies.clone(), listed: self.listed.clone(), ..*self }
    }
}

fn access(kind: AccessKind, listed: &HashSet<[u8; 20]>, published: &HashSet<[u8; 20]>) -> Access {
    match kind {
        AccessKind::Open => Access::Open,
        AccessKind::Allow => Access::Allow(listed.clone()),
        AccessKind::Published => Access::Allow(listed.union(published).copied().collect()),
        AccessKind::Deny => Access::Deny(listed.clone()),
    }
}
