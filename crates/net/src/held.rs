//! The sockets on which a host listens: so that one service takes an address over
//! from another without closing it, and socket activation's are used again.

use crate::Inherited;
use socket2::{Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// One socket on which somebody listens, through duplicates of it. Closed when
/// its last holder is gone.
#[derive(Debug)]
pub(crate) struct Held {
    socket: Socket,
    retired: AtomicBool,
}

impl Held {
    /// Another descriptor of the same socket.
    pub(crate) fn duplicate(&self) -> io::Result<Socket> {
        self.socket.try_clone()
    }

    /// Where it is bound.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        let local = self.socket.local_addr()?;
        local.as_socket().ok_or_else(|| io::Error::other("a socket without an address and a port"))
    }

    /// Says that nothing new comes to it any more: nobody shall take it over.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }
}

/// Whether somebody else goes on with the same socket: what waits on it is theirs.
pub(crate) fn is_shared(held: Option<&Arc<Held>>) -> bool {
    held.is_some_and(|held| Arc::strong_count(held) > 1)
}

/// All of one host. Clones speak of the same ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeldSockets(Arc<Mutex<Vec<Entry>>>);

#[derive(Debug)]
struct Entry {
    transport: Type,
    local: SocketAddr,
    /// Whether its address was asked for, in place of chosen by the system: only
    /// such a one may be asked for again.
    asked: bool,
    socket: Weak<Held>,
    /// One that was handed over to this process stays open to its end.
    kept: Option<Arc<Held>>,
}

impl HeldSockets {
    /// Holds the sockets that were handed over to this process.
    pub(crate) fn keep(&self, inherited: Inherited) {
        for (transport, local, socket) in inherited.into_sockets() {
            let held = Arc::new(Held { socket, retired: AtomicBool::new(false) });
            let socket = Arc::downgrade(&held);
            self.lock().push(Entry { transport, local, asked: true, socket, kept: Some(held) });
        }
    }

    /// Those that are open at just this address, which may be taken over: their
    /// owner stops when what was planned is carried out. With `inherited_only`
    /// just those that nobody in this process opened.
    pub(crate) fn at(&self, transport: Type, address: SocketAddr, inherited_only: bool) -> Vec<Arc<Held>> {
        let entries = self.lock();
        let here = entries.iter().filter(|entry| {
            let free = entry.kept.is_some() || !inherited_only;
            entry.transport == transport && entry.local == address && entry.asked && free
        });
        let open = here.filter_map(|entry| entry.socket.upgrade());
        open.filter(|held| !held.retired.load(Ordering::Relaxed)).collect()
    }

    /// Remembers a socket that was opened for `asked`.
    pub(crate) fn add(&self, transport: Type, asked: SocketAddr, socket: Socket) -> io::Result<Arc<Held>> {
        let held = Arc::new(Held { socket, retired: AtomicBool::new(false) });
        let local = held.local_addr()?;
        let mut entries = self.lock();
        entries.retain(|entry| entry.socket.strong_count() > 0);
        let (asked, socket) = (asked.port() != 0, Arc::downgrade(&held));
        entries.push(Entry { transport, local, asked, socket, kept: None });
        Ok(held)
    }

    /// Where this process itself listens, if that is why nobody can listen on
    /// `address`.
    fn overlapping(&self, transport: Type, address: SocketAddr) -> Option<SocketAddr> {
        let overlaps = |entry: &&Entry| {
            let (ours, theirs) = (entry.local.ip(), address.ip());
            let same = ours == theirs || ours.is_unspecified() || theirs.is_unspecified();
            same && ours.is_ipv4() == theirs.is_ipv4()
                && entry.local.port() == address.port()
                && entry.transport == transport
                && entry.socket.strong_count() > 0
        };
        self.lock().iter().find(overlaps).map(|entry| entry.local)
    }

    /// Says so where an address is in use by this process itself.
    pub(crate) fn explain(&self, transport: Type, address: SocketAddr, error: io::Error) -> io::Error {
        match self.overlapping(transport, address) {
            Some(held) if error.kind() == io::ErrorKind::AddrInUse => {
                io::Error::new(io::ErrorKind::AddrInUse, HeldHere { held })
            }
            _ => error,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An address is in use by this process itself.
#[derive(Debug, thiserror::Error)]
#[error(
    "this program itself listens on {held} until it has another configuration; \
     reload first without either of the two, then with the new one, or restart"
)]
pub(crate) struct HeldHere {
    held: SocketAddr,
}
