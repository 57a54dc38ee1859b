//! The SMTP service: three faces of one session.
//!
//! - [`Face::Exchange`]: an MX; anybody may deliver to this host's users, and
//!   nowhere else (RFC 5321).
//! - [`Face::Submission`]: users send from here, after STARTTLS and AUTH (RFC
//!   6409).
//! - [`Face::Submissions`]: the same, under TLS from the first octet (RFC 8314).
//!
//! A message is acknowledged only after [`crate::queue::Queue::accept`] made it
//! durable.

pub mod client;
mod config;
mod header;
mod login;
mod message;
mod session;

pub use config::{Config, DkimConfig};

use crate::accounts::Accounts;
use crate::authentication::{Authentication, DkimSigner};
use crate::directory::Directory;
use crate::mailbox::Mailboxes;
use crate::queue::Queue;
use arc_swap::ArcSwapOption;
use dns::Resolve;
use event::Reporter;
use net::{ListenError, Listener, Listeners, Network, Plan, Shutdown};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Face {
    /// Mail from other hosts, port 25.
    Exchange,
    /// Mail from users, STARTTLS, port 587.
    Submission,
    /// Mail from users, TLS from the start, port 465.
    Submissions,
}

impl Face {
    /// What `utopia status` calls it.
    pub fn service(self) -> &'static str {
        match self {
            Face::Exchange => "smtp",
            Face::Submission => "submission",
            Face::Submissions => "submissions",
        }
    }
}

/// What the service stands on as long as it runs.
pub struct Parts {
    /// Opens its listeners.
    pub network: Network,
    /// The host's certificate and key.
    pub tls: Arc<rustls::ServerConfig>,
    /// Passwords of this host's users.
    pub accounts: Accounts,
    /// Their mailboxes.
    pub mailboxes: Mailboxes,
    /// Takes responsibility for messages.
    pub queue: Queue,
    /// Looks up what authenticates senders.
    pub resolver: Arc<dyn Resolve>,
    /// Tells what happens.
    pub reporter: Reporter,
    /// Ends it.
    pub shutdown: Shutdown,
}

/// What a reload may change.
pub struct Settings {
    /// The section of the configuration.
    pub config: Config,
    /// What this host calls itself.
    pub hostname: String,
    /// Who this host's users are.
    pub directory: Directory,
    /// Signs what users send.
    pub signer: DkimSigner,
}

/// The SMTP service of a host.
pub struct Server {
    parts: Parts,
    listeners: Listeners<Face>,
    /// What sessions that begin now work with.
    current: Arc<ArcSwapOption<Service>>,
    receiving: Arc<AtomicUsize>,
}

/// New settings for which everything is ready.
pub struct Prepared {
    service: Service,
    plan: Plan<Face, Listener>,
}

/// What a session works with, from its beginning to its end.
struct Service {
    config: Config,
    hostname: String,
    tls: Arc<rustls::ServerConfig>,
    directory: Directory,
    accounts: Accounts,
    mailboxes: Mailboxes,
    queue: Queue,
    signer: DkimSigner,
    authentication: Authentication,
    reporter: Reporter,
    shutdown: Shutdown,
    /// Octets of the messages that are being received in all sessions.
    receiving: Arc<AtomicUsize>,
}

impl Server {
    /// A service that does not listen yet.
    pub fn new(parts: Parts) -> Self {
        let listeners = Listeners::none(parts.network.clone(), parts.shutdown.clone(), Face::service);
        Self { parts, listeners, current: Arc::default(), receiving: Arc::default() }
    }

    /// Opens what the settings need and is not open yet.
    ///
    /// # Errors
    /// When an address cannot be listened on; then all stays as it is.
    pub fn prepare(&self, settings: Settings) -> Result<Prepared, PrepareError> {
        let Settings { config, hostname, directory, signer } = settings;
        let authentication = Authentication::new(self.parts.resolver.clone(), &hostname)
            .map_err(PrepareError::Authentication)?;
        let plan = self.listeners.plan(config.endpoints())?;
        let parts = &self.parts;
        let service = Service {
            config,
            hostname,
            tls: parts.tls.clone(),
            directory,
            accounts: parts.accounts.clone(),
            mailboxes: parts.mailboxes.clone(),
            queue: parts.queue.clone(),
            signer,
            authentication,
            reporter: parts.reporter.clone(),
            shutdown: parts.shutdown.clone(),
            receiving: self.receiving.clone(),
        };
        Ok(Prepared { service, plan })
    }

    /// Serves with the new settings from here on; sessions under way end with
    /// those they began with.
    pub fn carry_out(&self, prepared: Prepared) {
        let Prepared { service, plan } = prepared;
        let (connections_max, per_address_max) =
            (service.config.connections_max, service.config.connections_per_address_max);
        self.current.store(Some(Arc::new(service)));
        for new in self.listeners.carry_out(plan, connections_max, per_address_max) {
            let (face, current, shutdown) = (new.kind, self.current.clone(), self.parts.shutdown.clone());
            self.parts.shutdown.spawn(new.socket.each(new.closing, move |stream| {
                if let Some(service) = current.load_full() {
                    shutdown.spawn(session::serve(service, face, stream));
                }
            }));
        }
    }

    /// What listens where.
    pub fn addresses(&self) -> Vec<(Face, SocketAddr)> {
        self.listeners.doors()
    }
}

/// Why settings cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The checks of senders cannot be set up.
    #[error("senders cannot be authenticated: {0}")]
    Authentication(String),
}
