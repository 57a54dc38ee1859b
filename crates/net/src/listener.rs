//! Accepts TCP connections within its bounds.

use crate::layer::Layers;
use crate::{Ends, Role, Stream};
use event::{Reporter, SocketEvent};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Rest after the system ran out of descriptors or memory, so that connections
/// in progress can end.
const REST_MS: u64 = 100;

/// How a listener is bound and bounded.
#[derive(Debug, Clone)]
pub struct ListenOptions {
    /// Where to listen; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Connections open at once; further ones wait in the backlog.
    pub connections_max: usize,
    /// Connections open at once from one IPv4 address or one IPv6 /64; further
    /// ones are closed.
    pub connections_per_address_max: usize,
}

impl ListenOptions {
    /// Usual bounds: 1,000 connections, 50 from one address.
    pub fn at(address: SocketAddr) -> Self {
        Self { address, connections_max: 1_000, connections_per_address_max: 50 }
    }
}

/// Accepts TCP connections within its bounds.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    places: Arc<Semaphore>,
    crowd: Arc<Crowd>,
    reporter: Reporter,
    layers: Layers,
}

impl Listener {
    pub(crate) fn new(tcp: TcpListener, options: &ListenOptions, reporter: Reporter, layers: Layers) -> Self {
        let places = options.connections_max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            tcp,
            places: Arc::new(Semaphore::new(places)),
            crowd: Arc::new(Crowd {
                connections_per_address_max: options.connections_per_address_max.max(1),
                open: Mutex::default(),
            }),
            reporter,
            layers,
        }
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// How many connections are open now.
    pub fn connections(&self) -> usize {
        self.crowd.lock().values().sum()
    }

    /// The next connection; waits while `connections_max` are open. A place is
    /// free again when the [`Stream`] is dropped.
    ///
    /// Errors of one connection do not end the listener, and neither does a
    /// machine that is out of descriptors for a while; an error here means that
    /// listening is over. May be dropped while it waits.
    pub async fn accept(&self) -> io::Result<Stream> {
        let place = match self.places.clone().acquire_owned().await {
            Ok(place) => place,
            Err(closed) => return Err(io::Error::other(closed)),
        };
        loop {
            let (tcp, peer) = match self.tcp.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    recover(error).await?;
                    continue;
                }
            };
            let Some(neighbour) = self.crowd.enter(peer.ip()) else {
                self.reporter.tell(SocketEvent::LimitReached { peer, limit: "connections_per_address_max" });
                continue;
            };
            // The peer may be gone again already; that is no error of ours.
            let Ok(local) = tcp.local_addr() else { continue };
            let ends = Ends { local, peer, role: Role::Server };
            let place = Place { _neighbour: neighbour, _permit: place };
            return Ok(Stream::new(tcp, ends, &self.layers, Some(place)));
        }
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

/// How many connections are open from each address.
#[derive(Debug)]
struct Crowd {
    connections_per_address_max: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl Crowd {
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Neighbour> {
        let address = neighbourhood(address);
        let mut open = self.lock();
        let count = open.entry(address).or_default();
        if *count >= self.connections_per_address_max {
            return None;
        }
        *count += 1;
        Some(Neighbour { crowd: self.clone(), address })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, usize>> {
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

/// The place one accepted connection takes, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _neighbour: Neighbour,
    _permit: OwnedSemaphorePermit,
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
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}
