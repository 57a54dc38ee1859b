//! The authoritative server: queries over UDP and TCP answered from the current
//! version of the zones.

mod announce;
mod config;
mod deferred;
mod keeper;
mod listen;
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
pub use load::check;

use arc_swap::ArcSwap;
use deferred::Request;
use dns::update::Update;
use dns::zone::Zones;
use event::{DnsEvent, Reporter};
pub(crate) use keeper::UpdateFailure;
use keeper::{Command, Job, Keeper, Loaded};
use listen::{Change, Listening};
use net::batch::LateReplies;
use net::{ListenError, Network, Shutdown};
use secondary::Notified;
use settings::Settings;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use storage::Storage;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

/// Requests over UDP that are handled at once beside plain queries; further ones
/// are dropped, and their clients ask again.
const DEFERRED_MAX: usize = 1_024;

/// Why the server did not start, or did not take a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A socket could not be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
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

/// A new configuration for which everything is ready.
#[derive(Debug)]
pub struct Prepared {
    settings: Settings,
    loaded: Vec<Loaded>,
    change: Change,
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
    listening: Listening,
    /// Of the hashes of all zones.
    seed: u64,
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
        let seed = rand::random();
        let (keeper, commands) = mpsc::channel(keeper::COMMANDS_MAX);
        let shared = Arc::new(Shared {
            zones: ArcSwap::from_pointee(Zones::new(seed)),
            settings: ArcSwap::default(),
            keeper,
            secondaries: Mutex::default(),
            deferred: Arc::new(Semaphore::new(DEFERRED_MAX)),
            listening: Listening::nowhere(network.clone(), shutdown.clone()),
            runtime: Handle::current(),
            network,
            storage,
            reporter,
            shutdown: shutdown.clone(),
            seed,
        });
        let server = Self { shared };
        let prepared = server.prepare(config).await?;
        shutdown.spawn(Keeper::new(server.shared.clone()).run(commands));
        for note in server.carry_out(prepared).await {
            tracing::warn!("{note}");
        }
        Ok(server)
    }

    /// Reads the zones and keys of a configuration, and opens what it needs and
    /// is not open yet.
    ///
    /// # Errors
    /// When a zone or key is wrong or a socket cannot be opened; then all stays
    /// as it is.
    pub async fn prepare(&self, config: &Config) -> Result<Prepared, ServerError> {
        let settings = Settings::read(config)?;
        let loaded = load::load(&settings, &self.shared.storage, self.shared.seed).await?;
        let change = self.shared.listening.plan(config)?;
        Ok(Prepared { settings, loaded, change })
    }

    /// Serves by the new configuration from here on, without dropping a query.
    /// Returns what a person should know, such as zones whose edited file is not
    /// served.
    pub async fn carry_out(&self, prepared: Prepared) -> Vec<String> {
        let Prepared { settings, loaded, change } = prepared;
        let command = |reply| Command::Configure(Arc::new(settings), loaded, reply);
        if let Some(notes) = net::ask(&self.shared.keeper, command).await {
            self.shared.keep_secondaries();
            self.shared.listening.carry_out(change, &self.shared);
            return notes;
        }
        Vec::new()
    }

    /// Where it listens, over UDP and TCP alike.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.shared.listening.addresses()
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
        let command = |reply| Command::Update(Box::new(Job { update, by: by.to_owned(), reply }));
        net::ask(&self.shared.keeper, command).await.unwrap_or_else(|| Err(stopping()))
    }
}
