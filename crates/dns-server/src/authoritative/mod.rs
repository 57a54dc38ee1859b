//! The authoritative server: queries over UDP and TCP answered from the current
//! version of the zones.

mod announce;
mod config;
mod deferred;
mod keeper;
mod load;
mod secondary;
mod settings;
mod store;
mod tcp;
mod tell;
#[cfg(test)]
mod tests;
mod udp;

pub use config::{Config, KeyConfig, Kind, Remote, ZoneConfig};

use arc_swap::ArcSwap;
use deferred::Request;
use dns::update::Update;
use dns::zone::Zones;
use event::{DnsEvent, Reporter};
pub(crate) use keeper::UpdateFailure;
use keeper::{Command, Job, Keeper};
use net::batch::{BatchOptions, LateReplies};
use net::{ListenOptions, Network, Shutdown};
use secondary::Notified;
use settings::Settings;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};
use storage::Storage;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Requests over UDP that are handled at once beside plain queries; further ones
/// are dropped, and their clients ask again.
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
    settings: ArcSwap<Settings>,
    keeper: mpsc::Sender<Command>,
    /// Where NOTIFYs for each secondary zone go.
    secondaries: Mutex<HashMap<Box<[u8]>, mpsc::Sender<Notified>>>,
    deferred: Arc<Semaphore>,
    runtime: Handle,
    network: Network,
    storage: Storage,
    reporter: Reporter,
    shutdown: Shutdown,
    local: Vec<SocketAddr>,
    /// Of the hashes of all zones.
    seed: u64,
    payload_octets_max: u16,
    idle_seconds_max: u64,
}

impl Shared {
    /// Has a request handled that cannot be answered at once.
    fn defer(self: &Arc<Self>, request: Request, late: &Arc<LateReplies>) {
        match self.deferred.clone().try_acquire_owned() {
            Ok(place) => {
                let (shared, late) = (self.clone(), late.clone());
                self.runtime.spawn(async move {
                    deferred::handle_datagram(&shared, request, &late).await;
                    drop(place);
                });
            }
            Err(_) => self.refuse(request.peer, format!("{DEFERRED_MAX} requests are being handled already")),
        }
    }

    fn refuse(&self, peer: SocketAddr, reason: String) {
        self.reporter.tell(DnsEvent::Refused { peer, reason });
    }

    /// A primary announced a new version of a zone.
    fn notified(&self, apex: &[u8], serial: Notified) {
        let secondaries = self.secondaries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(secondary) = secondaries.get(apex) {
            // When its queue is full it has been told enough.
            let _ = secondary.try_send(serial);
        }
    }

    /// Starts the secondaries of a configuration in the place of those before.
    fn keep_secondaries(self: &Arc<Self>) {
        let settings = self.settings.load_full();
        let zones = self.zones.load_full();
        let mut secondaries = HashMap::new();
        for zone in settings.zones.values().filter(|zone| !zone.is_primary()) {
            let (notify, notifies) = mpsc::channel(secondary::NOTIFIES_MAX);
            let stored = zones.get(&zone.key).map(|zone| zone.soa());
            tokio::spawn(secondary::keep(self.clone(), zone.clone(), stored, notifies));
            secondaries.insert(zone.key.clone(), notify);
        }
        *self.secondaries.lock().unwrap_or_else(PoisonError::into_inner) = secondaries;
    }
}

/// Seconds since 1970, by which signatures are made and checked.
fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
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
        let settings = Settings::read(config)?;
        let seed = rand::random();
        let loaded = load::load(&settings, &storage, seed).await?;
        let threads = match config.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
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
            let options = BatchOptions {
                sockets: threads,
                datagrams_max: udp::DATAGRAMS_MAX,
                ..BatchOptions::at(address)
            };
            for batch in network.datagram_batches(&options).map_err(failed)? {
                let late = batch.late_replies().map_err(failed)?;
                batches.push((address, batch, Arc::new(late)));
            }
            listeners.push((address, listener));
        }
        let (keeper, commands) = mpsc::channel(keeper::COMMANDS_MAX);
        let shared = Arc::new(Shared {
            zones: ArcSwap::from_pointee(Zones::new(seed)),
            settings: ArcSwap::from_pointee(settings),
            keeper,
            secondaries: Mutex::default(),
            deferred: Arc::new(Semaphore::new(DEFERRED_MAX)),
            runtime: Handle::current(),
            network,
            storage,
            reporter,
            shutdown: shutdown.clone(),
            local: listeners.iter().map(|(address, _)| *address).collect(),
            seed,
            payload_octets_max: config.payload_octets_max.clamp(512, 4_096),
            idle_seconds_max: config.idle_seconds_max.max(1),
        });
        let keeper = Keeper::new(shared.clone(), loaded);
        shutdown.spawn(keeper.run(commands));
        shared.keep_secondaries();
        for (address, batch, late) in batches {
            let (shared, hold) = (shared.clone(), shutdown.hold());
            thread::Builder::new()
                .name("dns-udp".to_owned())
                .spawn(move || {
                    udp::serve(&shared, batch, &late);
                    drop(hold);
                })
                .map_err(|source| ServerError::Listen { address, source })?;
        }
        for (_, listener) in listeners {
            shutdown.spawn(tcp::accept(shared.clone(), listener));
        }
        Ok(Self { shared })
    }

    /// Takes over the zones and keys of another configuration without dropping
    /// a query. Addresses and bounds stay as they are until the next start.
    ///
    /// # Errors
    /// When a zone or key is wrong; then all stays as it was.
    pub async fn reload(&self, config: &Config) -> Result<(), ServerError> {
        let settings = Settings::read(config)?;
        let loaded = load::load(&settings, &self.shared.storage, self.shared.seed).await?;
        let (reply, done) = oneshot::channel();
        let command = Command::Configure(Arc::new(settings), loaded, reply);
        if self.shared.keeper.send(command).await.is_ok() && done.await.is_ok() {
            self.shared.keep_secondaries();
        }
        Ok(())
    }

    /// Where it listens, over UDP and TCP alike.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.shared.local
    }

    /// The version of the zones that is served now.
    pub fn zones(&self) -> Arc<Zones> {
        self.shared.zones.load_full()
    }

    /// Applies an update of a service of this host; `Ok` once it is durable and
    /// served.
    pub(crate) async fn update(&self, update: Update, by: &str) -> Result<(), UpdateFailure> {
        let stopping = || UpdateFailure::Storage("the server is stopping".to_owned());
        let primary = self
            .shared
            .settings
            .load()
            .zones
            .get(update.zone().octets())
            .is_some_and(|zone| zone.is_primary());
        if !primary {
            return Err(UpdateFailure::Refused(domain::base::iana::Rcode::NOTAUTH));
        }
        let (reply, applied) = oneshot::channel();
        let command = Command::Update(Box::new(Job { update, by: by.to_owned(), reply }));
        self.shared.keeper.send(command).await.map_err(|_| stopping())?;
        applied.await.unwrap_or_else(|_| Err(stopping()))
    }
}
