//! The durable queue of mail for other hosts: RFC 5321 section 4.5.4.
//!
//! A message is stored once, with an entry for each destination domain. One task
//! owns the schedule ([`schedule`]); it starts a session for a destination with
//! the messages that are due ([`session`]). What a session finds out is written
//! in one transaction: delivered recipients go, refused ones go together with
//! the notification to their sender, the others wait. After a crash the
//! schedule is read again, so a message may be sent twice but is never lost.

mod accept;
mod bounce;
mod config;
mod destination;
mod record;
mod schedule;
mod session;

pub use accept::{AcceptError, NewMail};
pub use config::Config;
pub use record::QueueId;

use crate::authentication::Lookup;
use crate::directory::Directory;
use crate::mailbox::Mailboxes;
use arc_swap::ArcSwap;
use dns::Resolve;
use event::Reporter;
use mail::address::{Address, Path};
use net::{Network, Shutdown};
use record::EntryKey;
use rustls::ClientConfig;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use storage::StorageError;
use tokio::sync::mpsc;

/// What the queue stands on as long as it runs.
pub struct Parts {
    /// Opens connections to other hosts.
    pub network: Network,
    /// TLS towards servers that cannot be verified, where they offer it.
    pub tls: Arc<ClientConfig>,
    /// Finds their servers.
    pub resolver: Arc<dyn Resolve>,
    /// Where mail for this host's own users goes, and the storage.
    pub mailboxes: Mailboxes,
    /// Tells what happens.
    pub reporter: Reporter,
    /// Ends it.
    pub shutdown: Shutdown,
}

/// What a reload may change.
#[derive(Debug)]
pub struct Settings {
    /// The section of the configuration.
    pub config: Config,
    /// What this host calls itself.
    pub hostname: String,
    /// Who this host's users are.
    pub directory: Directory,
}

/// The queue of one host. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    shared: Arc<Shared>,
}

/// What the schedule and the sessions share.
struct Shared {
    settings: ArcSwap<Settings>,
    network: Network,
    tls: Arc<ClientConfig>,
    lookup: Lookup,
    mailboxes: Mailboxes,
    reporter: Reporter,
    shutdown: Shutdown,
    /// Where the schedule takes its orders. Unbounded, since a transaction's end
    /// must not wait; `entries_max` bounds what comes.
    scheduler: mpsc::UnboundedSender<Command>,
    entries: AtomicUsize,
}

impl Shared {
    /// Entries that wait or are being sent.
    fn entries(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    /// The settings as they are now.
    fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }
}

/// Orders to the task that owns the schedule.
enum Command {
    /// Try this entry at this time.
    Schedule { key: EntryKey, at_ms: u64 },
    /// This entry is done with.
    Finished { key: EntryKey },
    /// A session for this destination has ended.
    SessionEnded { domain: String },
    /// The settings have changed.
    Configured,
    /// Try all entries of a destination, or of all, now.
    RetryNow { domain: Option<String> },
}

/// One line of the queue's list.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Waiting {
    /// The message's id.
    pub id: String,
    /// Its reverse-path, `<>` for notifications.
    pub from: String,
    /// The destination domain.
    pub domain: String,
    /// Recipients left there.
    pub recipients: Vec<String>,
    /// Its size.
    pub octets: u64,
    /// When it was accepted, in seconds since 1970.
    pub arrived: u64,
    /// Tries so far.
    pub attempts: u32,
    /// The next try, in seconds since 1970.
    pub next: u64,
    /// Why the last try failed; empty before the first.
    pub reason: String,
}

/// A queue's sending, which has not begun.
#[must_use = "nothing is sent until it is started"]
pub struct Sending {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedReceiver<Command>,
    /// What it held when it was stopped, and when each of it is to be tried.
    stored: Vec<(EntryKey, u64)>,
}

impl Sending {
    /// Sends from here on, until the queue's shutdown is requested.
    pub fn start(self) {
        let shutdown = self.shared.shutdown.clone();
        shutdown.spawn(schedule::run(self.shared, self.commands, self.stored));
    }
}

impl Queue {
    /// The queue with what it held when it was stopped. It takes mail from here
    /// on, and sends when its [`Sending`] is started, once.
    pub async fn open(settings: Settings, parts: Parts) -> Result<(Self, Sending), StorageError> {
        let (scheduler, commands) = mpsc::unbounded_channel();
        let stored = parts.mailboxes.storage().read(|transaction| record::entries(transaction, None)).await?;
        let shared = Arc::new(Shared {
            settings: ArcSwap::from_pointee(settings),
            network: parts.network,
            tls: parts.tls,
            lookup: Lookup::new(parts.resolver),
            mailboxes: parts.mailboxes,
            reporter: parts.reporter,
            shutdown: parts.shutdown,
            scheduler,
            entries: AtomicUsize::new(0),
        });
        let stored = stored.into_iter().map(|(key, entry)| (key, entry.next_ms)).collect();
        Ok((Self { shared: shared.clone() }, Sending { shared, commands, stored }))
    }

    /// Works with other settings from here on; a session under way ends with
    /// those it began with.
    pub fn configure(&self, settings: Settings) {
        self.shared.settings.store(Arc::new(settings));
        // More sessions than before may be allowed now.
        let _ = self.shared.scheduler.send(Command::Configured);
    }

    /// What waits, in the order of ids.
    pub async fn list(&self) -> Result<Vec<Waiting>, StorageError> {
        self.shared
            .mailboxes
            .storage()
            .read(|transaction| {
                let mut list = Vec::new();
                for (key, entry) in record::entries(transaction, None)? {
                    let Some(message) = record::message(transaction, key.id)? else { continue };
                    list.push(Waiting {
                        id: key.id.to_string(),
                        from: sender(&message.from()).map_or_else(|| "<>".to_owned(), Address::to_string),
                        domain: key.domain,
                        recipients: entry.recipients().iter().map(Address::to_string).collect(),
                        octets: message.octets,
                        arrived: message.arrived,
                        attempts: entry.attempts,
                        next: entry.next_ms / 1000,
                        reason: entry.reason,
                    });
                }
                Ok(list)
            })
            .await
    }

    /// Tries what waits for `domain`, or for all, now: e.g. because a server is
    /// back.
    pub fn retry_now(&self, domain: Option<&str>) {
        let _ = self.shared.scheduler.send(Command::RetryNow { domain: domain.map(str::to_lowercase) });
    }

    /// Removes a message for all its destinations, without telling its sender.
    /// Returns whether it was there. What is being sent at this moment may still
    /// arrive.
    pub async fn remove(&self, id: QueueId) -> Result<bool, StorageError> {
        let scheduler = self.shared.scheduler.clone();
        self.shared
            .mailboxes
            .storage()
            .write(move |transaction| {
                let entries = record::entries(transaction, Some(id))?;
                for (key, _) in &entries {
                    record::delete_entry(transaction, key)?;
                }
                let removed = !entries.is_empty();
                let scheduler = scheduler.clone();
                transaction.after_commit(Box::new(move || {
                    for (key, _) in entries {
                        let _ = scheduler.send(Command::Finished { key });
                    }
                }));
                Ok(removed)
            })
            .await
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Queue({} entries)", self.shared.entries())
    }
}

/// Whether a failure to deliver is to be told to somebody (RFC 5321 section 6.1).
fn sender(from: &Path) -> Option<&Address> {
    match from {
        Path::Address(address) => Some(address),
        Path::Null | Path::Postmaster => None,
    }
}

/// Milliseconds since 1970.
fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// How long until a time in milliseconds since 1970.
fn until(at_ms: u64) -> Duration {
    Duration::from_millis(at_ms.saturating_sub(unix_ms(SystemTime::now())))
}
