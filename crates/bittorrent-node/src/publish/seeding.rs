//! The engine that gives published torrents to peers, and what it is started with.

use super::Parts;
use super::config::Config;
use crate::discovery::{DhtSettings, Discovery};
use crate::engine::{Engine, EngineError, Limits, Settings};
use crate::lsd::LsdSettings;
use crate::port_mapping::PortMapping;
use crate::transport::Protocols;
use bittorrent::ip_filter::IpFilter;
use net::Network;
use std::net::SocketAddr;
use std::sync::Arc;

/// A running engine, which a router may hand connections on to.
#[derive(Debug)]
pub(super) struct Seeding {
    engine: Engine,
    mapping: Option<PortMapping>,
}

impl Seeding {
    /// Listens for peers.
    ///
    /// # Errors
    /// When an address cannot be listened on.
    pub(super) async fn start(parts: &Parts, config: &Config) -> Result<Self, EngineError> {
        let routers = config.dht_routers.clone();
        let dht = (!routers.is_empty()).then(|| DhtSettings { routers, ..DhtSettings::default() });
        let lsd = (!config.lsd_groups.is_empty()).then(|| LsdSettings::at(&config.lsd_groups));
        let settings = Settings {
            listen: config.listen.clone(),
            data: parts.data.clone(),
            memory_octets_max: config.memory_octets_max,
            encryption: config.encryption.into(),
            protocols: Protocols::default(),
            discovery: Discovery { dht, lsd },
            limits: config.limits(),
            names: parts.names.clone(),
        };
        let network = from_listened(&parts.network, &config.listen);
        let engine = Engine::start(settings, network, parts.shutdown.child()).await?;
        let mapping = config.gateway.and_then(|search| PortMapping::start(&engine, search));
        Ok(Self { engine, mapping })
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Works within these limits from here on, and speaks with nobody on the list.
    pub(super) async fn limit(&self, limits: Limits, filter: &Arc<IpFilter>) {
        // An engine that has ended has no limits.
        let _ = self.engine.set_limits(limits).await;
        let _ = self.engine.set_ip_filter(filter.clone()).await;
    }

    /// Has the router forget us, and ends all connections.
    pub(super) async fn stop(self) {
        if let Some(mapping) = self.mapping {
            mapping.end().await;
        }
        self.engine.stop().await;
    }
}

/// What of a configuration takes another engine.
pub(super) fn engine_part(config: &Config) -> impl PartialEq + use<> {
    let Config { listen, encryption, dht_routers, lsd_groups, gateway, .. } = config.clone();
    let bounds = (config.memory_octets_max, config.connections_per_torrent_max);
    let bounds = (bounds, config.rules.clone());
    (listen, bounds, encryption, dht_routers, lsd_groups, gateway)
}

/// Peers and trackers must see the address that can be reached.
fn from_listened(network: &Network, listen: &[SocketAddr]) -> Network {
    match listen.first().map(SocketAddr::ip) {
        Some(ip) if network.source().is_none() && !ip.is_unspecified() => network.clone().leaving_from(ip),
        _ => network.clone(),
    }
}
