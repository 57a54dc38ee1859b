//! The service as a part of a host: with an engine of its own for what users add.

use super::{Config, Prepared, Rpc, RpcError};
use crate::dht::PUBLIC_ROUTERS;
use crate::engine::{Engine, EngineError, Limits, Settings};
use crate::lsd::LsdSettings;
use crate::names::Names;
use crate::port_mapping::PortMapping;
use crate::session::{Session, SessionError};
use crate::transport::Protocols;
use crate::{DhtSettings, Discovery};
use net::{Network, Shutdown};
use std::net::SocketAddr;
use std::path::Path;

/// Octets of blocks in memory.
const MEMORY_OCTETS_MAX: usize = 64 * 1024 * 1024;

/// Why the service of a host did not start.
#[derive(Debug, thiserror::Error)]
pub enum StandingError {
    /// It cannot listen, or its configuration is wrong.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The engine did not start.
    #[error("rpc: {0}")]
    Engine(#[from] EngineError),
    /// The session cannot be opened.
    #[error("rpc: {0}")]
    Session(#[from] SessionError),
}

/// Remote control as a part of a host. Ends with the host, or when it is dropped.
#[derive(Debug)]
pub struct Standing {
    rpc: Rpc,
    engine: Engine,
    shutdown: Shutdown,
}

impl Standing {
    /// Starts the engine and opens the session of the folder `data`, which goes on as
    /// it was. Clients are answered from [`Self::carry_out`] on.
    ///
    /// # Errors
    /// When an address cannot be listened on, or the disk fails.
    pub async fn start(
        config: &Config,
        data: &Path,
        network: &Network,
        names: &Names,
        shutdown: &Shutdown,
    ) -> Result<Self, StandingError> {
        let shutdown = shutdown.child();
        let inside = config.peers_listen.iter().all(|address| address.ip().is_loopback());
        let routers = if inside { Vec::new() } else { PUBLIC_ROUTERS.map(str::to_owned).to_vec() };
        let settings = Settings {
            listen: config.peers_listen.clone(),
            data: data.to_owned(),
            memory_octets_max: MEMORY_OCTETS_MAX,
            encryption: config.encryption.into(),
            protocols: Protocols::default(),
            discovery: Discovery {
                dht: Some(DhtSettings { routers, ..DhtSettings::default() }),
                lsd: (!config.lsd_groups.is_empty()).then(|| LsdSettings::at(&config.lsd_groups)),
            },
            limits: Limits::default(),
            names: names.clone(),
        };
        let engine = Engine::start(settings, network.clone(), shutdown.clone()).await?;
        if let Some(mapping) = config.gateway.and_then(|search| PortMapping::start(&engine, search)) {
            let ends = shutdown.clone();
            shutdown.spawn(async move {
                ends.requested().await;
                mapping.end().await;
            });
        }
        let (of_engine, network_of, names_of) = (engine.clone(), network.clone(), names.clone());
        let (folder, rules) = (&config.folder, config.rules.clone());
        let session = Session::open(of_engine, network_of, names_of, data, folder, rules).await?;
        let rpc = Rpc::new(session, network.clone(), names.clone(), shutdown.clone(), None);
        Ok(Self { rpc, engine, shutdown })
    }

    /// As [`Rpc::prepare`].
    ///
    /// # Errors
    /// When a socket cannot be opened, or the configuration is wrong.
    pub fn prepare(&self, config: &Config) -> Result<Prepared, RpcError> {
        self.rpc.prepare(config)
    }

    /// As [`Rpc::carry_out`].
    pub fn carry_out(&self, prepared: Prepared) {
        self.rpc.carry_out(prepared);
    }

    /// Where clients are answered.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.rpc.addresses()
    }

    /// Where peers connect to.
    pub fn peer_addresses(&self) -> Vec<SocketAddr> {
        self.engine.addresses().to_vec()
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.shutdown.request();
    }
}
