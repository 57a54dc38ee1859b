//! Accepts TCP connections within its bounds.

mod accepted;

pub use accepted::Accepted;

use crate::held::{self, Held, HeldHere};
use crate::layer::Layers;
use crate::network::BACKLOG_MAX;
use crate::{Ends, Role, Shutdown, Stream};
use event::{Reporter, SocketEvent};
use socket2::SockRef;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Rest after the system ran out of descriptors or memory, so that connections
/// in progress can end.
const REST_MS: u64 = 100;

/// How a listener is bound and bounded.
#[derive(Debug, Clone)]
pub struct ListenOptions {
    /// Where to listen; port 0 lets the system choose.
    pub address: SocketAddr,
    /// How many connections it lets in.
    pub bounds: ListenBounds,
}

impl ListenOptions {
    /// Usual bounds: 1,000 connections, 50 from one address.
    pub fn at(address: SocketAddr) -> Self {
        Self { address, bounds: ListenBounds::new(1_000, 50) }
    }
}

/// A service cannot listen where it shall.
#[derive(Debug, thiserror::Error)]
#[error("{service} cannot listen on {address}: {source}{}", remedy(.source))]
pub struct ListenError {
    /// The service.
    pub service: &'static str,
    /// Where.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

/// What to do where listening fails, unless the error says so itself.
fn remedy(error: &io::Error) -> &'static str {
    if matches!(error.get_ref(), Some(inner) if inner.is::<HeldHere>()) {
        return "";
    }
    match error.raw_os_error() {
        Some(libc::EADDRINUSE) => "; choose another address or stop what listens there",
        Some(libc::EADDRNOTAVAIL) => "; choose an address of this machine",
        Some(libc::EACCES | libc::EPERM) => {
            "; choose a port above 1023, or let this program have it (CAP_NET_BIND_SERVICE, or a socket of systemd)"
        }
        Some(libc::EMFILE | libc::ENFILE) => {
            "; raise the limit of open files (ulimit -n), or ask for fewer threads"
        }
        Some(libc::ENOBUFS | libc::ENOMEM) => {
            "; the machine is out of memory: make room, or ask for fewer threads"
        }
        _ => "; choose another address",
    }
}

/// How many connections each listener of a service lets in. Clones speak of the
/// same bounds, which may change while the listeners listen.
#[derive(Debug, Clone)]
pub struct ListenBounds(Arc<BoundsState>);

#[derive(Debug)]
struct BoundsState {
    connections_max: AtomicUsize,
    connections_per_address_max: AtomicUsize,
    changed: Notify,
}

impl ListenBounds {
    /// `connections_max` connections open at once, of which further ones wait in
    /// the backlog; `connections_per_address_max` open at once from one IPv4
    /// address or one IPv6 /64, of which further ones are closed. At least 1 each.
    pub fn new(connections_max: usize, connections_per_address_max: usize) -> Self {
        Self(Arc::new(BoundsState {
            connections_max: connections_max.max(1).into(),
            connections_per_address_max: connections_per_address_max.max(1).into(),
            changed: Notify::new(),
        }))
    }

    /// Other bounds from here on. Connections that are open stay open.
    pub fn set(&self, connections_max: usize, connections_per_address_max: usize) {
        self.0.connections_max.store(connections_max.max(1), Ordering::Relaxed);
        self.0.connections_per_address_max.store(connections_per_address_max.max(1), Ordering::Relaxed);
        self.0.changed.notify_waiters();
    }
}

/// Accepts TCP connections within its bounds.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    held: Option<Arc<Held>>,
    gate: Gate,
}

/// Whom a listener lets in.
#[derive(Debug)]
struct Gate {
    bounds: ListenBounds,
    crowd: Arc<Crowd>,
    reporter: Reporter,
    layers: Layers,
    /// Where it listens, unless at all addresses.
    local: Option<SocketAddr>,
}

impl Listener {
    pub(crate) fn new(
        tcp: TcpListener,
        held: Option<Arc<Held>>,
        options: &ListenOptions,
        reporter: Reporter,
        layers: Layers,
    ) -> Self {
        let local = tcp.local_addr().ok().filter(|local| !local.ip().is_unspecified());
        let gate = Gate { bounds: options.bounds.clone(), crowd: Arc::default(), reporter, layers, local };
        Self { tcp, held, gate }
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// How many connections are open now.
    pub fn connections(&self) -> usize {
        self.gate.crowd.lock().by_address.values().sum()
    }

    /// The next connection; waits while `connections_max` are open. A place is
    /// free again when the [`Stream`] is dropped.
    ///
    /// Errors of one connection do not end the listener, and neither does a
    /// machine that is out of descriptors for a while; an error here means that
    /// listening is over. May be dropped while it waits.
    pub async fn accept(&self) -> io::Result<Stream> {
        let mut place = self.gate.place().await;
        loop {
            let (tcp, peer) = match self.tcp.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    recover(error).await?;
                    continue;
                }
            };
            place = match self.gate.admit(tcp, peer, place) {
                Ok(stream) => return Ok(stream),
                Err(place) => place,
            };
        }
    }

    /// Hands every connection to `take` until `closing` is requested. Then, unless
    /// another service has taken the socket over, those that wait already, which
    /// their clients believe to be open; further ones are refused.
    pub async fn each(self, closing: Shutdown, mut take: impl FnMut(Stream)) {
        loop {
            let accepted = tokio::select! {
                // First, so that nothing is taken from who has taken over.
                biased;
                () = closing.requested() => break,
                accepted = self.accept() => accepted,
            };
            match accepted {
                Ok(stream) => take(stream),
                Err(error) => {
                    let address = self.local_addr().ok();
                    tracing::error!(%error, ?address, "listening is over");
                    return;
                }
            }
        }
        if held::is_shared(self.held.as_ref()) {
            return;
        }
        let Self { tcp, held, gate } = self;
        let waiting = backlog(&tcp);
        drop((tcp, held));
        for (tcp, peer) in waiting {
            let place = gate.place().await;
            if let Ok(stream) = gate.admit(tcp, peer, place) {
                take(stream);
            }
        }
    }
}

/// The connections that wait, at most as many as the system keeps.
fn backlog(listener: &TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let accept = |_| {
        // Asked of the system: the runtime may not know yet that one is there.
        let accepted = SockRef::from(listener).accept().ok();
        accepted.map(|(socket, peer)| {
            socket.set_nonblocking(true).ok()?;
            Some((TcpStream::from_std(socket.into()).ok()?, peer.as_socket()?))
        })
    };
    (0..BACKLOG_MAX).map_while(accept).flatten().collect()
}

impl Gate {
    /// Waits until fewer than `connections_max` are open.
    async fn place(&self) -> Place {
        loop {
            // Made before looking, so that no change in between is missed.
            let (freed, changed) = (self.crowd.freed.notified(), self.bounds.0.changed.notified());
            let connections_max = self.bounds.0.connections_max.load(Ordering::Relaxed);
            if let Some(place) = self.crowd.take_place(connections_max) {
                return place;
            }
            tokio::select! {
                () = freed => {}
                () = changed => {}
            }
        }
    }

    /// Lets a connection in; gives the place back when it may not come in.
    fn admit(&self, tcp: TcpStream, peer: SocketAddr, place: Place) -> Result<Stream, Place> {
        // The peer may be gone again already; that is no error of ours.
        let Ok(local) = tcp.local_addr() else { return Err(place) };
        let guest = self.guest(peer, place)?;
        Ok(Stream::new(tcp, Ends { local, peer, role: Role::Server }, &self.layers, Some(guest)))
    }

    fn guest(&self, peer: SocketAddr, place: Place) -> Result<Guest, Place> {
        let per_address_max = self.bounds.0.connections_per_address_max.load(Ordering::Relaxed);
        let Some(neighbour) = self.crowd.enter(peer.ip(), per_address_max) else {
            self.reporter.tell(SocketEvent::LimitReached { peer, limit: "connections_per_address_max" });
            return Err(place);
        };
        Ok(Guest { _neighbour: neighbour, _place: place })
    }
}

/// Rests where the error passes, gives it back where it is final.
async fn recover(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
            tracing::warn!(%error, "cannot accept connections for a moment; raise the limit of open files");
            tokio::time::sleep(Duration::from_millis(REST_MS)).await;
            Ok(())
        }
        Some(libc::EBADF | libc::EINVAL | libc::ENOTSOCK | libc::EOPNOTSUPP | libc::EFAULT) => Err(error),
        // accept(2): errors already pending on the new connection are given here.
        _ => Ok(()),
    }
}

/// Who is connected.
#[derive(Debug, Default)]
struct Crowd {
    open: Mutex<Open>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Open {
    /// Places taken, one perhaps by an accept that waits for its connection.
    places: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Crowd {
    fn take_place(self: &Arc<Self>, connections_max: usize) -> Option<Place> {
        let mut open = self.lock();
        if open.places >= connections_max {
            return None;
        }
        open.places += 1;
        Some(Place { crowd: self.clone() })
    }

    fn enter(self: &Arc<Self>, address: IpAddr, per_address_max: usize) -> Option<Neighbour> {
        let address = neighbourhood(address);
        let mut open = self.lock();
        let count = open.by_address.entry(address).or_default();
        if *count >= per_address_max {
            return None;
        }
        *count += 1;
        Some(Neighbour { crowd: self.clone(), address })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One IPv6 subscriber has a /64 at least.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

/// One accepted connection, counted until dropped.
#[derive(Debug)]
pub(crate) struct Guest {
    _neighbour: Neighbour,
    _place: Place,
}

/// One of `connections_max`, given back when dropped.
#[derive(Debug)]
struct Place {
    crowd: Arc<Crowd>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.lock().places -= 1;
        self.crowd.freed.notify_one();
    }
}

/// One connection from one address, counted until dropped.
#[derive(Debug)]
struct Neighbour {
    crowd: Arc<Crowd>,
    address: IpAddr,
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let mut open = self.crowd.lock();
        if let Some(count) = open.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_not_to_listen_has_its_remedy() {
        let told = |code| {
            let source = io::Error::from_raw_os_error(code);
            let address = SocketAddr::from(([192, 0, 2, 1], 53));
            ListenError { service: "dns", address, source }.to_string()
        };
        assert!(told(libc::EADDRINUSE).contains("stop what listens there"));
        assert!(
            told(libc::EMFILE)
                .ends_with("raise the limit of open files (ulimit -n), or ask for fewer threads")
        );
        assert!(told(libc::EACCES).contains("above 1023"));
        assert!(told(libc::EADDRNOTAVAIL).contains("of this machine"));
    }

    #[test]
    fn one_ipv6_subscriber_counts_as_one_address() {
        let crowd = Arc::new(Crowd::default());
        let enter = |address: &str| crowd.enter(address.parse().unwrap(), 2);
        let first = enter("2001:db8::1").unwrap();
        let _second = enter("2001:db8::ffff:2").unwrap();
        assert!(enter("2001:db8::3").is_none());
        assert!(enter("2001:db8:0:1::3").is_some());
        drop(first);
        assert!(enter("2001:db8::3").is_some());
        // Nothing is kept of who has gone.
        assert_eq!(crowd.lock().by_address.len(), 1);
    }
}
