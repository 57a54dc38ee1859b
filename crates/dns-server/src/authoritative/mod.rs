//! The authoritative server: queries over UDP and TCP answered from the current
//! version of the zones.

mod config;
mod deferred;
mod tcp;
mod tell;
mod udp;

pub use config::{Config, Kind, KeyConfig, Remote, ZoneConfig};

use arc_swap::ArcSwap;
use deferred::Request;
use dns::zone::Zones;
use event::{DnsEvent, Reporter};
use net::batch::BatchOptions;
use net::{ListenOptions, Network, Shutdown};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use storage::Storage;
use tokio::sync::mpsc;

/// Requests over UDP that wait to be handled; further ones are dropped, and
/// their clients ask again.
const DEFERRED_MAX: usize = 1_024;

/// Why the server did not start, or did not take a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A socket could not be opened.
    #[error("cannot listen on {address}: {source}; choose another address or stop what listens there")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A zone's configuration is wrong.
    #[error("zone {zone}: {reason}")]
    Zone {
        /// The zone.
        zone: String,
        /// What is wrong and what to do about it.
        reason: String,
    },
    /// A key's configuration is wrong.
    #[error("key {key}: {reason}")]
    Key {
        /// The key.
        key: String,
        /// What is wrong and what to do about it.
        reason: String,
    },
    /// Stored zones could not be read.
    #[error(transparent)]
    Storage(#[from] storage::StorageError),
}

/// A running authoritative server. Clones speak of the same one.
#[derive(Debug, Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

/// What all parts of the server see.
#[derive(Debug)]
struct Shared {
    zones: ArcSwap<Zones>,
    network: Network,
    reporter: Reporter,
    shutdown: Shutdown,
    local: Vec<SocketAddr>,
    payload_octets_max: u16,
    idle_seconds_max: u64,
    deferred: mpsc::Sender<Request>,
}

impl Shared {
    fn defer(&self, request: Request) {
        if let Err(mpsc::error::TrySendError::Full(request)) = self.deferred.try_send(request) {
            self.reporter.tell(DnsEvent::Refused {
                peer: request.peer,
                reason: format!("{DEFERRED_MAX} requests are waiting already"),
            });
        }
    }
}

impl Server {
    /// Loads the zones, opens the sockets and serves until `shutdown` is
    /// requested. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When a socket cannot be opened, or a zone or key is wrong.
    pub async fn start(
        config: &Config,
        network: Network,
        storage: Storage,
        reporter: Reporter,
        shutdown: Shutdown,
    ) -> Result<Self, ServerError> {
        let _ = storage;
        let mut zones = Zones::new(rand::random());
        for zone in &config.zones {
            let error = |reason: String| ServerError::Zone { zone: zone.name.clone(), reason };
            let apex = dns::master::name(&zone.name)
                .ok_or_else(|| error("this is no domain name; write one like example.org".to_owned()))?;
            let text = match (&zone.text, &zone.file) {
                (Some(text), _) => text.clone(),
                (None, Some(file)) => storage::files::read_text(file, dns::master::FILE_OCTETS_MAX as u64)?.unwrap_or_default(),
                (None, None) => continue,
            };
            let (loaded, _) = dns::master::load(&text, &apex, zones.seed())
                .map_err(|findings| error(findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")))?;
            reporter.tell(DnsEvent::ZoneLoaded {
                zone: zone.name.clone(),
                serial: loaded.soa().serial,
                records: loaded.records(),
            });
            zones.insert(Arc::new(loaded));
        }
        let threads = if config.threads == 0 { thread::available_parallelism().map_or(1, usize::from) } else { config.threads };
        let mut batches = Vec::new();
        let mut listeners = Vec::new();
        for &address in &config.listen {
            let failed = |source| ServerError::Listen { address, source };
            let listener = network
                .listen(&ListenOptions {
                    address,
                    connections_max: config.connections_max,
                    connections_per_address_max: config.connections_per_address_max,
                })
                .map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            let options = BatchOptions { sockets: threads, datagrams_max: udp::DATAGRAMS_MAX, ..BatchOptions::at(address) };
            batches.extend(network.datagram_batches(&options).map_err(failed)?);
            listeners.push((address, listener));
        }
        let (deferred, mut waiting) = mpsc::channel(DEFERRED_MAX);
        let shared = Arc::new(Shared {
            zones: ArcSwap::from_pointee(zones),
            network,
            reporter,
            shutdown: shutdown.clone(),
            local: listeners.iter().map(|(address, _)| *address).collect(),
            payload_octets_max: config.payload_octets_max.clamp(512, 4096),
            idle_seconds_max: config.idle_seconds_max.max(1),
            deferred,
        });
        for batch in batches {
            let (shared, hold) = (shared.clone(), shutdown.hold());
            thread::Builder::new()
                .name("dns-udp".to_owned())
                .spawn(move || {
                    udp::serve(&shared, batch);
                    drop(hold);
                })
                .map_err(|source| ServerError::Listen { address: ([0, 0, 0, 0], 0).into(), source })?;
        }
        for (_, listener) in listeners {
            shutdown.spawn(tcp::accept(shared.clone(), listener));
        }
        tokio::spawn(async move { while waiting.recv().await.is_some() {} });
        Ok(Self { shared })
    }

    /// Where it listens, over UDP and TCP alike.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.shared.local
    }
}
