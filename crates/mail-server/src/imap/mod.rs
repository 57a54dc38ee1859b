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
use connection::Room;
use event::{Reporter, SocketEvent};
use mail::imap::view::Changed;
use net::{ListenOptions, Listener, Network, Shutdown};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// The address; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Under TLS from the first octet (RFC 8314), or by STARTTLS.
    pub implicit_tls: bool,
}

/// Why the service could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen for IMAP on {address}: {error}; take another address or end who has it")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
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

/// Listens on all of `endpoints` and serves clients until `shutdown`. Returns
/// where it listens, in the order of `endpoints`.
///
/// # Errors
/// [`StartError::Listen`] for the first address that cannot be listened on; then
/// nothing was started.
#[expect(clippy::too_many_arguments, reason = "a service is told everything it stands on")]
pub fn start(
    config: Config,
    network: &Network,
    endpoints: &[Endpoint],
    tls: Arc<rustls::ServerConfig>,
    accounts: Accounts,
    mailboxes: Mailboxes,
    reporter: Reporter,
    shutdown: Shutdown,
) -> Result<Vec<SocketAddr>, StartError> {
    let mut listeners = Vec::with_capacity(endpoints.len());
    let mut addresses = Vec::with_capacity(endpoints.len());
    for endpoint in endpoints {
        let options = ListenOptions {
            address: endpoint.address,
            connections_max: config.connections_max,
            connections_per_address_max: config.connections_per_address_max,
        };
        let failed = |error| StartError::Listen { address: endpoint.address, error };
        let listener = network.listen(&options).map_err(failed)?;
        addresses.push(listener.local_addr().map_err(failed)?);
        listeners.push((listener, endpoint.implicit_tls));
    }
    serve(config, listeners, tls, accounts, mailboxes, reporter, shutdown);
    Ok(addresses)
}

/// Serves clients on listeners that somebody else opened (such as systemd), each
/// with whether it is under TLS from the first octet, until `shutdown`.
pub fn serve(
    config: Config,
    listeners: Vec<(Listener, bool)>,
    tls: Arc<rustls::ServerConfig>,
    accounts: Accounts,
    mailboxes: Mailboxes,
    reporter: Reporter,
    shutdown: Shutdown,
) {
    let room = Room::new(config.appends_octets_max);
    let service = Arc::new(Service { config, tls, accounts, mailboxes, reporter, shutdown, room });
    for (listener, implicit_tls) in listeners {
        let name = if implicit_tls { "imaps" } else { "imap" };
        if let Ok(address) = listener.local_addr() {
            service.reporter.tell(SocketEvent::Listening { service: name.to_owned(), address });
        }
        service.shutdown.spawn(accept(service.clone(), listener, implicit_tls));
    }
}

async fn accept(service: Arc<Service>, listener: Listener, implicit_tls: bool) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = service.shutdown.requested() => return,
        };
        match accepted {
            Ok(stream) => {
                service.shutdown.spawn(client::serve(service.clone(), stream, implicit_tls));
            }
            Err(error) => {
                tracing::error!(%error, "IMAP stopped listening");
                return;
            }
        }
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
