//! What happened, typed: the one stream that logs, metrics, the console and
//! the lab's ladder diagrams read.
//!
//! A service holds a [`Reporter`] and tells each thing once. Whoever wants to
//! know is an [`Observer`] of the [`Stream`]. Telling costs one atomic load
//! when nobody asked for that [`Detail`].
//!
//! Where two hosts of one process talk to each other, each message is told by
//! the **server** side only (received and sent), the client tells only what the
//! server cannot know: that it gave up waiting, or tried again.

mod bittorrent;
mod dns;
mod host;
pub mod log;
mod mail;
pub mod metrics;
mod socket;

pub use bittorrent::BittorrentEvent;
pub use dns::{DnsEvent, ResponseKind};
pub use host::HostEvent;
pub use mail::MailEvent;
pub use socket::SocketEvent;

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, RwLock};
use std::time::SystemTime;

/// Something that happened on one host.
#[derive(Debug, Clone)]
pub struct Told {
    /// When it was told, by the clock of the machine.
    pub at: SystemTime,
    /// The host's name, e.g. `ns1.utopia.test`.
    pub host: Arc<str>,
    /// What happened.
    pub event: Event,
}

/// What happened, by trade.
#[derive(Debug, Clone)]
pub enum Event {
    /// Names.
    Dns(DnsEvent),
    /// Mail.
    Mail(MailEvent),
    /// Torrents.
    Bittorrent(BittorrentEvent),
    /// Connections and datagrams, whatever they carry.
    Socket(SocketEvent),
    /// A host's services and settings.
    Host(HostEvent),
}

impl Event {
    /// How fine this event is.
    pub fn detail(&self) -> Detail {
        match self {
            Event::Dns(event) => event.detail(),
            Event::Mail(event) => event.detail(),
            Event::Bittorrent(event) => event.detail(),
            Event::Socket(event) => event.detail(),
            Event::Host(event) => event.detail(),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Dns(event) => event.fmt(f),
            Event::Mail(event) => event.fmt(f),
            Event::Bittorrent(event) => event.fmt(f),
            Event::Socket(event) => event.fmt(f),
            Event::Host(event) => event.fmt(f),
        }
    }
}

/// How fine an event is, and how fine an observer wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Detail {
    /// What an operator wants to read in a log.
    Summary = 1,
    /// Every protocol message. Names and addresses of people appear here only.
    Message = 2,
}

/// Somebody who wants to know. Called on the teller's thread: it must be quick
/// and must not block.
pub trait Observer: Send + Sync {
    /// The finest detail this observer wants.
    fn detail(&self) -> Detail;
    /// Takes note of one event.
    fn observe(&self, told: &Told);
}

/// The stream of everything that happened in this process.
#[derive(Clone, Default)]
pub struct Stream {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The finest `Detail` any observer wants, 0 while there is none.
    finest: AtomicU8,
    observers: RwLock<Vec<Arc<dyn Observer>>>,
}

impl Stream {
    /// A stream nobody observes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an observer, for the rest of the stream's life.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        let mut observers = self.shared.observers.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.shared.finest.fetch_max(observer.detail() as u8, Ordering::Relaxed);
        observers.push(observer);
    }

    /// The voice of one host.
    pub fn reporter(&self, host: &str) -> Reporter {
        Reporter { stream: self.clone(), host: host.into() }
    }
}

/// Tells what happened on one host. Cheap to clone.
#[derive(Clone)]
pub struct Reporter {
    stream: Stream,
    host: Arc<str>,
}

impl Reporter {
    /// A reporter whose stream nobody observes, for tests and tools.
    pub fn silent() -> Self {
        Stream::new().reporter("")
    }

    /// The host this reporter speaks for.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether anybody wants events of this detail: ask before building one on
    /// a hot path.
    pub fn wants(&self, detail: Detail) -> bool {
        self.stream.shared.finest.load(Ordering::Relaxed) >= detail as u8
    }

    /// Tells one event to all observers that want its detail.
    pub fn tell(&self, event: impl Into<Event>) {
        let event = event.into();
        let detail = event.detail();
        if !self.wants(detail) {
            return;
        }
        let told = Told { at: SystemTime::now(), host: self.host.clone(), event };
        let observers =
            self.stream.shared.observers.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        for observer in observers.iter().filter(|o| o.detail() >= detail) {
            observer.observe(&told);
        }
    }

    /// Tells an event that costs something to build, only if somebody wants it.
    pub fn tell_with<E: Into<Event>>(&self, detail: Detail, event: impl FnOnce() -> E) {
        if self.wants(detail) {
            self.tell(event());
        }
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reporter({})", self.host)
    }
}
