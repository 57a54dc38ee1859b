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
use dns::Resolve;
use event::Reporter;
use net::{Listener, Shutdown};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

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

/// What the service works with.
pub struct Parts {
    /// What this host calls itself.
    pub hostname: String,
    /// Its certificate and key.
    pub tls: Arc<rustls::ServerConfig>,
    /// Who this host's users are.
    pub directory: Directory,
    /// Their passwords.
    pub accounts: Accounts,
    /// Their mailboxes.
    pub mailboxes: Mailboxes,
    /// Takes responsibility for messages.
    pub queue: Queue,
    /// Signs what users send.
    pub signer: Arc<DkimSigner>,
    /// Looks up what authenticates senders.
    pub resolver: Arc<dyn Resolve>,
    /// Tells what happens.
    pub reporter: Reporter,
    /// Ends it.
    pub shutdown: Shutdown,
}

/// What all sessions share.
struct Service {
    config: Config,
    hostname: String,
    tls: Arc<rustls::ServerConfig>,
    directory: Directory,
    accounts: Accounts,
    mailboxes: Mailboxes,
    queue: Queue,
    signer: Arc<DkimSigner>,
    authentication: Authentication,
    reporter: Reporter,
    shutdown: Shutdown,
    /// Octets of the messages that are being received.
    receiving: AtomicUsize,
}

/// Serves every listener until the host stops.
pub fn start(config: Config, parts: Parts, listeners: Vec<(Face, Listener)>) -> io::Result<()> {
    let authentication = Authentication::new(parts.resolver, &parts.hostname).map_err(io::Error::other)?;
    let service = Arc::new(Service {
        config,
        hostname: parts.hostname,
        tls: parts.tls,
        directory: parts.directory,
        accounts: parts.accounts,
        mailboxes: parts.mailboxes,
        queue: parts.queue,
        signer: parts.signer,
        authentication,
        reporter: parts.reporter,
        shutdown: parts.shutdown,
        receiving: AtomicUsize::new(0),
    });
    for (face, listener) in listeners {
        let shutdown = service.shutdown.clone();
        shutdown.spawn(listen(service.clone(), face, listener));
    }
    Ok(())
}

async fn listen(service: Arc<Service>, face: Face, listener: Listener) {
    loop {
        let stream = tokio::select! {
            () = service.shutdown.requested() => return,
            accepted = listener.accept() => accepted,
        };
        match stream {
            Ok(stream) => {
                service.shutdown.spawn(session::serve(service.clone(), face, stream));
            }
            Err(error) => {
                // E.g. too many open files: let some be closed.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
