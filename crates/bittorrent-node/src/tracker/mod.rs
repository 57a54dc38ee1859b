//! The tracker: announces and scrapes over UDP (BEP 15) and HTTP (BEP 3), both
//! from one store.

mod config;
mod http;
mod stats;
mod store;
mod tell;
#[cfg(test)]
mod tests;
mod udp;

pub use config::{AccessKind, Config, ConfigError};
pub use stats::Stats;
pub use store::Sizes;

use arc_swap::ArcSwap;
use bittorrent::tracker::swarm::{Access, Policy, Slot4, Slot6};
use bittorrent::tracker::udp::ConnectionIds;
use event::{Reporter, SocketEvent};
use net::batch::DatagramBatch;
use net::{ListenBounds, ListenOptions, Network, Shutdown};
use stats::Counters;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use store::Store;

/// How often a part of the torrents is looked through for peers that are over.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// In so many parts.
const SWEEP_PARTS: usize = 45;
/// How long connection ids are given under one secret.
const SECRET_LIFETIME: Duration = Duration::from_mins(30);
/// Shards for each thread where there are several, so that two seldom want the
/// same. More would leave fewer announces of a batch to each, whose memory can be
/// fetched at the same time.
const SHARDS_PER_THREAD: usize = 2;
/// Said of torrents that the access list does not permit.
const NOT_SERVED: &str = "this torrent is not served here";

/// Why the tracker did not start, or did not take a configuration.
#[derive(Debug, thiserror::Error)]
pub enum TrackerError {
    /// A socket could not be opened.
    #[error("cannot listen on {address}: {source}; choose another address or stop what listens there")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// A running tracker. Clones speak of the same one.
#[derive(Debug, Clone)]
pub struct Tracker {
    shared: Arc<Shared>,
    udp: Arc<[SocketAddr]>,
    http: Arc<[SocketAddr]>,
}

/// What all parts of the tracker see.
#[derive(Debug)]
struct Shared {
    store: Store,
    access: ArcSwap<Access>,
    connections: ArcSwap<ConnectionIds>,
    policy: Policy,
    counters: Counters,
    reporter: Reporter,
    shutdown: Shutdown,
    started: Instant,
    proxies: HashSet<IpAddr>,
    scrape_torrents_max: usize,
    idle_seconds_max: u64,
}

impl Tracker {
    /// Opens the sockets and serves until `shutdown` is requested. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// When a socket cannot be opened, or the configuration is wrong.
    pub fn start(
        config: &Config,
        network: Network,
        reporter: Reporter,
        shutdown: Shutdown,
    ) -> Result<Self, TrackerError> {
        let (policy, access) = (config.policy()?, config.access()?);
        let threads = match config.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let mut batches = Vec::new();
        let mut udp = Vec::new();
        for &address in &config.udp_listen {
            let failed = |source| TrackerError::Listen { address, source };
            let sockets = network.datagram_batches(&udp::options(address, threads)).map_err(failed)?;
            let address = sockets.first().map_or(address, DatagramBatch::local_addr);
            udp.push(address);
            reporter.tell(SocketEvent::Listening { service: "tracker".to_owned(), address });
            batches.extend(sockets.into_iter().map(|batch| (address, batch)));
        }
        let bounds = ListenBounds::new(config.connections_max, config.connections_per_address_max);
        let mut listeners = Vec::new();
        let mut http = Vec::new();
        for &address in &config.http_listen {
            let failed = |source| TrackerError::Listen { address, source };
            let listener =
                network.listen(&ListenOptions { address, bounds: bounds.clone() }).map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            http.push(address);
            reporter.tell(SocketEvent::Listening { service: "tracker".to_owned(), address });
            listeners.push(listener);
        }
        let started = Instant::now();
        let shards = if threads == 1 { 1 } else { threads * SHARDS_PER_THREAD };
        let shared = Arc::new(Shared {
            store: Store::new(shards, config.limits(shards), started),
            access: ArcSwap::from_pointee(access),
            connections: ArcSwap::from_pointee(ConnectionIds::new(rand::random(), started)),
            policy,
            counters: Counters::default(),
            reporter,
            shutdown: shutdown.clone(),
            started,
            proxies: config.proxies.iter().map(IpAddr::to_canonical).collect(),
            scrape_torrents_max: config.scrape_torrents_max.max(1),
            idle_seconds_max: config.idle_seconds_max.max(1),
        });
        for (address, batch) in batches {
            let (shared, hold) = (shared.clone(), shutdown.hold());
            thread::Builder::new()
                .name("tracker-udp".to_owned())
                .spawn(move || {
                    if address.is_ipv4() {
                        udp::serve::<Slot4>(&shared, batch);
                    } else {
                        udp::serve::<Slot6>(&shared, batch);
                    }
                    drop(hold);
                })
                .map_err(|source| TrackerError::Listen { address, source })?;
        }
        for listener in listeners {
            shutdown.spawn(http::accept(shared.clone(), listener));
        }
        shutdown.spawn(keep(shared.clone()));
        Ok(Self { shared, udp: udp.into(), http: http.into() })
    }

    /// Takes over another access list; all else stays until the next start.
    ///
    /// # Errors
    /// When the list is wrong; then all stays as it was.
    pub fn reload(&self, config: &Config) -> Result<(), TrackerError> {
        self.shared.access.store(Arc::new(config.access()?));
        Ok(())
    }

    /// Where it listens over UDP, in the order of the configuration.
    pub fn udp_addrs(&self) -> &[SocketAddr] {
        &self.udp
    }

    /// Where it listens over HTTP, in the order of the configuration.
    pub fn http_addrs(&self) -> &[SocketAddr] {
        &self.http
    }

    /// What it has done and what it holds.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }
}

impl Shared {
    fn stats(&self) -> Stats {
        self.counters.read(self.store.sizes(), self.started.elapsed().as_secs())
    }
}

/// Forgets peers that are over and changes the secret, until the shutdown is
/// requested.
async fn keep(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    let mut secret_since = Instant::now();
    loop {
        tokio::select! {
            () = shared.shutdown.requested() => return,
            _ = ticks.tick() => {}
        }
        let now = Instant::now();
        shared.store.sweep(now, SWEEP_PARTS);
        if now.saturating_duration_since(secret_since) >= SECRET_LIFETIME {
            secret_since = now;
            let mut connections = (**shared.connections.load()).clone();
            connections.rotate(rand::random());
            shared.connections.store(Arc::new(connections));
        }
    }
}
