//! The IMAP service: connections, logins, and the mailboxes behind
//! `mail::imap`'s rules. Port 143 with STARTTLS, port 993 under TLS from the
//! first octet; nobody logs in in the clear.

mod client;
mod config;
mod connection;
mod error;
mod fetch;
mod login;
mod mailboxes;
mod messages;

pub use config::Config;

use crate::accounts::Accounts;
use crate::mailbox::{Mailboxes, Message, Uids};
use arc_swap::ArcSwapOption;
use connection::Room;
use event::Reporter;
use mail::imap::view::Changed;
use net::{ListenError, Listener, Listeners, Network, Plan, Shutdown};
use std::net::SocketAddr;
use std::sync::Arc;

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// STARTTLS, port 143.
    Imap,
    /// TLS from the first octet (RFC 8314), port 993.
    Imaps,
}

impl Face {
    /// What `utopia status` calls it.
    pub fn service(self) -> &'static str {
        match self {
            Face::Imap => "imap",
            Face::Imaps => "imaps",
        }
    }
}

/// What every client of the service needs.
struct Service {
    config: Config,
    tls: Arc<rustls::ServerConfig>,
    accounts: Accounts,
    mailboxes: Mailboxes,
    reporter: Reporter,
    shutdown: Shutdown,
    room: Room,
}

/// What ends a wait in IDLE.
enum IdleEnd {
    Changed,
    Incoming(connection::Incoming),
}

/// What the service stands on as long as it runs.
pub struct Parts {
    /// Opens its listeners.
    pub network: Network,
    /// The host's certificate and key.
    pub tls: Arc<rustls::ServerConfig>,
    /// Who may log in.
    pub accounts: Accounts,
    /// What they read.
    pub mailboxes: Mailboxes,
    /// Tells what happens.
    pub reporter: Reporter,
    /// Ends it.
    pub shutdown: Shutdown,
}

/// The IMAP service of a host.
pub struct Server {
    parts: Parts,
    listeners: Listeners<Face>,
    /// What clients that come now are served with.
    current: Arc<ArcSwapOption<Service>>,
}

/// A new configuration for which everything is ready.
pub struct Prepared {
    config: Config,
    plan: Plan<Face, Listener>,
}

impl Server {
    /// A service that does not listen yet.
    pub fn new(parts: Parts) -> Self {
        let listeners = Listeners::none(parts.network.clone(), parts.shutdown.clone(), Face::service);
        Self { parts, listeners, current: Arc::default() }
    }

    /// Opens what the configuration needs and is not open yet.
    ///
    /// # Errors
    /// When an address cannot be listened on; then all stays as it is.
    pub fn prepare(&self, config: Config) -> Result<Prepared, ListenError> {
        let plan = self.listeners.plan(config.endpoints())?;
        Ok(Prepared { config, plan })
    }

    /// Serves with the new configuration from here on; clients that are connected
    /// stay with the one they came under.
    pub fn carry_out(&self, prepared: Prepared) {
        let Prepared { config, plan } = prepared;
        let (connections_max, per_address_max) = (config.connections_max, config.connections_per_address_max);
        let parts = &self.parts;
        let before = self.current.load_full();
        let room = before.filter(|before| before.config.appends_octets_max == config.appends_octets_max);
        let room = room.map_or_else(|| Room::new(config.appends_octets_max), |before| before.room.clone());
        self.current.store(Some(Arc::new(Service {
            config,
            tls: parts.tls.clone(),
            accounts: parts.accounts.clone(),
            mailboxes: parts.mailboxes.clone(),
            reporter: parts.reporter.clone(),
            shutdown: parts.shutdown.clone(),
            room,
        })));
        for new in self.listeners.carry_out(plan, connections_max, per_address_max) {
            let implicit_tls = new.kind == Face::Imaps;
            let (current, shutdown) = (self.current.clone(), parts.shutdown.clone());
            parts.shutdown.spawn(new.socket.each(new.closing, move |stream| {
                if let Some(service) = current.load_full() {
                    shutdown.spawn(client::serve(service, stream, implicit_tls));
                }
            }));
        }
    }

    /// What listens where.
    pub fn addresses(&self) -> Vec<(Face, SocketAddr)> {
        self.listeners.doors()
    }
}

/// Ascending UIDs as ranges.
fn ranges(uids: &[u32]) -> Uids {
    let mut ranges: Uids = Vec::new();
    for uid in uids {
        match ranges.last_mut() {
            Some(last) if last.end().checked_add(1) == Some(*uid) => *last = *last.start()..=*uid,
            _ => ranges.push(*uid..=*uid),
        }
    }
    ranges
}

/// Ranges as a sequence set.
fn written(uids: &Uids) -> String {
    let one = |range: &std::ops::RangeInclusive<u32>| match (range.start(), range.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}:{last}"),
    };
    uids.iter().map(one).collect::<Vec<_>>().join(",")
}

/// What the view needs of a message.
fn changed(message: &Message) -> Changed {
    Changed {
        uid: message.uid,
        mod_seq: message.modseq,
        flags: message.flags.names().map(str::to_owned).collect(),
    }
}

#[cfg(test)]
mod tests;
