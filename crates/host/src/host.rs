//! A running host.

use crate::services::Services;
use crate::shared::Shared;
use crate::{Configuration, HostError, control, mail, requests};
use dns::{Publish, Resolve};
use dns_server::authoritative::Server;
use dns_server::resolver::Resolver;
use event::metrics::Metrics;
use event::{HostEvent, Stream};
use mail_server::accounts::Accounts;
use mail_server::mailbox::Mailboxes;
use mail_server::queue::Queue;
use net::{Network, Shutdown};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
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

/// Takes what came of a reload: an error says why all stayed as it was.
pub type ReloadOutcome = oneshot::Sender<Result<(), String>>;

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
        Arc::new(self.shared.resolver.clone())
    }

    /// The host's authoritative server, through which records are published.
    pub fn publisher(&self) -> Option<Arc<dyn Publish>> {
        self.shared.dns.clone().map(|server| Arc::new(server) as Arc<dyn Publish>)
    }

    /// The host's users.
    pub fn accounts(&self) -> &Accounts {
        &self.shared.accounts
    }

    /// The host's mailboxes.
    pub fn mailboxes(&self) -> &Mailboxes {
        &self.shared.mailboxes
    }

    /// The host's mail queue, where it sends mail.
    pub fn queue(&self) -> Option<&Queue> {
        self.shared.queue.as_ref()
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

    /// Takes another configuration without dropping a connection: zones, keys,
    /// users' rights and the certificate change at once; addresses to listen on
    /// and bounds at the next start.
    ///
    /// # Errors
    /// When a zone, key or certificate is wrong; a wrong zone or key leaves all
    /// as it was, a wrong certificate leaves the certificate.
    pub async fn reload(&self, configuration: Configuration) -> Result<(), HostError> {
        let configuration = configuration.within(&self.shared.folder);
        let outcome = match &self.shared.dns {
            Some(server) => server.reload(&configuration.dns).await.map_err(HostError::from),
            None => Ok(()),
        };
        let outcome = outcome.and_then(|()| self.shared.renew_certificate(&configuration));
        match outcome {
            Ok(()) => {
                *self.shared.configuration.lock().unwrap_or_else(PoisonError::into_inner) = configuration;
                self.shared.reporter.tell(HostEvent::Reloaded);
                Ok(())
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
    let mut services = Services::default();

    let storage = {
        let (config, folder, reporter) = (configuration.storage.clone(), folder.clone(), reporter.clone());
        tokio::task::spawn_blocking(move || Storage::open(&config, &folder, reporter))
            .await
            .map_err(std::io::Error::other)??
    };

    let dns = if configuration.dns.listen.is_empty() {
        None
    } else {
        let (network, reporter) = (network.clone(), reporter.clone());
        let server =
            Server::start(&configuration.dns, network, storage.clone(), reporter, shutdown.clone()).await?;
        services.add("dns", &["udp", "tcp"], server.local_addrs());
        Some(server)
    };

    let resolver =
        Resolver::start(&configuration.resolver, network.clone(), reporter.clone(), shutdown.clone())?;
    services.add("resolver", &["udp", "tcp"], resolver.addresses());

    let mailboxes = Mailboxes::new(configuration.mailboxes.clone(), storage);
    let accounts = Accounts::new(configuration.accounts.clone(), mailboxes.clone());
    let mail = mail::Mail {
        configuration: &configuration,
        folder: &folder,
        network: &network,
        accounts: &accounts,
        mailboxes: &mailboxes,
        resolver: Arc::new(resolver.clone()),
        reporter: &reporter,
        shutdown,
    };
    let mail::Started { queue, certificate } = mail.start(&mut services).await?;

    let told = Arc::new(OnceLock::<Arc<Shared>>::new());
    if !configuration.http.listen.is_empty() {
        let told = told.clone();
        // Until all is up the page is empty.
        let status = Arc::new(move || told.get().map(|shared| shared.status()).unwrap_or_default());
        let address =
            configuration.http.listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let failed = |source| HostError::Listen { service: "http", address, source };
        let addresses = web::start(&configuration.http, &network, status, metrics, &reporter, shutdown)
            .map_err(failed)?;
        services.add("http", &["tcp"], &addresses);
    }

    let shared = Arc::new(Shared {
        name,
        folder,
        reporter,
        configuration: Mutex::new(configuration),
        services: services.0,
        dns,
        resolver,
        accounts,
        mailboxes,
        queue,
        certificate,
        reload_wanted,
    });
    let _ = told.set(shared.clone());
    let answering = shared.clone();
    control::serve(&shared.folder, shutdown, move |request| requests::answer(answering.clone(), request))?;
    if shared.certificate.is_some() {
        shutdown.spawn(shared.clone().keep_certificate(shutdown.clone()));
    }
    shared.reporter.tell(HostEvent::Ready);
    Ok(shared)
}
