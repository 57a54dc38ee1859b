//! A running host.

use crate::services::{Ground, Services};
use crate::shared::Shared;
use crate::{Configuration, HostError, control, requests};
use dns::{Publish, Resolve};
use event::metrics::Metrics;
use event::{HostEvent, Stream};
use mail_server::accounts::Accounts;
use mail_server::mailbox::Mailboxes;
use mail_server::queue::Queue;
use net::{Network, Shutdown};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;
use storage::Storage;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use web::Status;

/// What a host is started from.
pub struct Setup {
    /// The name it reports under.
    pub name: String,
    /// Its data folder.
    pub folder: PathBuf,
    /// Its configuration.
    pub configuration: Configuration,
    /// Its view of the network.
    pub network: Network,
    /// Who is told what happens.
    pub stream: Stream,
    /// The counters its metrics page shows.
    pub metrics: Arc<Metrics>,
}

/// Takes what came of a reload: what a person should know about it, each in a
/// line; or an error, which says why all stayed as it was.
pub type ReloadOutcome = oneshot::Sender<Result<Vec<String>, String>>;

/// Reloads that may be asked for at the same time; who comes later waits.
const RELOADS_WAITING_MAX: usize = 4;

/// A running host.
pub struct Host {
    shared: Arc<Shared>,
    reloads: AsyncMutex<mpsc::Receiver<ReloadOutcome>>,
    shutdown: Shutdown,
}

impl Host {
    /// Starts all services of the configuration.
    ///
    /// # Errors
    /// When any of them cannot start; then none runs.
    pub async fn start(setup: Setup) -> Result<Self, HostError> {
        let shutdown = Shutdown::new();
        let (reload_wanted, reloads) = mpsc::channel(RELOADS_WAITING_MAX);
        match start(setup, reload_wanted, &shutdown).await {
            Ok(shared) => Ok(Self { shared, reloads: AsyncMutex::new(reloads), shutdown }),
            Err(error) => {
                shutdown.finish(Duration::from_secs(10)).await;
                Err(error)
            }
        }
    }

    /// The name it reports under.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// What runs where.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// The host's resolver.
    pub fn resolver(&self) -> Arc<dyn Resolve> {
        Arc::new(self.shared.services.resolver.clone())
    }

    /// The host's authoritative server, through which records are published.
    pub fn publisher(&self) -> Arc<dyn Publish> {
        Arc::new(self.shared.services.dns.clone())
    }

    /// The host's users.
    pub fn accounts(&self) -> &Accounts {
        &self.shared.services.accounts
    }

    /// The host's mailboxes.
    pub fn mailboxes(&self) -> &Mailboxes {
        &self.shared.services.mailboxes
    }

    /// The host's mail queue.
    pub fn queue(&self) -> &Queue {
        &self.shared.services.queue
    }

    /// Resolves when somebody asked over the control socket to read the
    /// configuration again, and waits to be told what came of it.
    pub async fn reload_requested(&self) -> ReloadOutcome {
        let wanted = self.reloads.lock().await.recv().await;
        match wanted {
            Some(outcome) => outcome,
            // The host itself keeps the other end: this does not happen.
            None => std::future::pending().await,
        }
    }

    /// Takes another configuration without dropping a connection: addresses,
    /// bounds, zones, keys, users' rights and the certificate. Connections that
    /// are open go on as they began. Only `[storage]` waits for the next start.
    /// Returns what a person should know, e.g. what was not taken over and why.
    ///
    /// # Errors
    /// When a zone, key, certificate or address is wrong or cannot be had; then
    /// all stays as it was.
    pub async fn reload(&self, configuration: Configuration) -> Result<Vec<String>, HostError> {
        let services = &self.shared.services;
        let configuration = configuration.within(services.folder());
        match services.prepare(&configuration).await {
            Ok(prepared) => {
                let mut notes = services.carry_out(prepared).await;
                let mut current = self.shared.configuration.lock().unwrap_or_else(PoisonError::into_inner);
                if current.storage != configuration.storage {
                    notes.push("what changed in [storage] holds from the next start".to_owned());
                }
                // [storage] stays as it is, so that the next reload says so again.
                let storage = std::mem::take(&mut current.storage);
                *current = Configuration { storage, ..configuration };
                self.shared.reporter.tell(HostEvent::Reloaded);
                for note in &notes {
                    tracing::warn!("{note}");
                }
                Ok(notes)
            }
            Err(error) => {
                self.shared.reporter.tell(HostEvent::ReloadFailed { reason: error.to_string() });
                Err(error)
            }
        }
    }

    /// Asks all services to stop and waits until what was promised is done, at
    /// most `patience`. Returns whether all was.
    pub async fn stop(self, patience: Duration) -> bool {
        self.shared.reporter.tell(HostEvent::Stopping);
        let finished = self.shutdown.finish(patience).await;
        self.shared.reporter.tell(HostEvent::Stopped);
        finished
    }
}

async fn start(
    setup: Setup,
    reload_wanted: mpsc::Sender<ReloadOutcome>,
    shutdown: &Shutdown,
) -> Result<Arc<Shared>, HostError> {
    let Setup { name, folder, configuration, network, stream, metrics } = setup;
    let configuration = configuration.within(&folder);
    let reporter = stream.reporter(&name);
    let network = network.reporting(reporter.clone());
    let storage = {
        let (config, folder, reporter) = (configuration.storage.clone(), folder.clone(), reporter.clone());
        tokio::task::spawn_blocking(move || Storage::open(&config, &folder, reporter))
            .await
            .map_err(std::io::Error::other)??
    };
    // Weak: the pages belong to what they show, and must not keep it for ever.
    let told = Arc::new(OnceLock::<Weak<Shared>>::new());
    let status = {
        let told = told.clone();
        // Until all is up the page is empty.
        Arc::new(move || told.get().and_then(Weak::upgrade).map(|shared| shared.status()).unwrap_or_default())
    };
    let ground = Ground { folder, network, storage, reporter: reporter.clone(), shutdown: shutdown.clone() };
    let services = Box::pin(Services::start(&configuration, ground, status, metrics)).await?;
    let configuration = Mutex::new(configuration);
    let shared = Arc::new(Shared { name, reporter, configuration, services, reload_wanted });
    let _ = told.set(Arc::downgrade(&shared));
    let answering = shared.clone();
    let answer = move |request| requests::answer(answering.clone(), request);
    control::serve(shared.services.folder(), shutdown, answer)?;
    shutdown.spawn(shared.clone().keep_certificate(shutdown.clone()));
    shared.reporter.tell(HostEvent::Ready);
    Ok(shared)
}
