//! What a service listens on, and the change to something else while its
//! connections go on.
//!
//! A reload first plans: it opens what is wanted and not open yet, which may
//! fail, or shares it with another service of the host that gives it up
//! ([`Network::taking_over`]). Only when all services of a host have planned it
//! carries the plans out, which cannot fail.

use crate::{ListenBounds, ListenError, ListenOptions, Listener, Network, Shutdown};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a service listens on. `K` tells its listeners apart, e.g. by what they
/// are for.
#[derive(Debug, Clone)]
pub struct Doors<K>(Vec<Door<K>>);

/// One open listener.
#[derive(Debug, Clone)]
struct Door<K> {
    kind: K,
    /// The address that was asked for, perhaps with port 0.
    asked: SocketAddr,
    /// The address it got.
    local: SocketAddr,
    closing: Shutdown,
}

/// A listener that was opened for a plan.
#[derive(Debug)]
pub struct Opened<K, S> {
    /// What it is for.
    pub kind: K,
    /// The socket.
    pub socket: S,
    /// Where it listens.
    pub local: SocketAddr,
    /// Requested when it shall accept no more; connections it has accepted go on.
    pub closing: Shutdown,
}

/// What shall be open. Dropped without being carried out, it closes again what
/// was opened for it.
#[derive(Debug)]
#[must_use = "it changes nothing until it is carried out"]
pub struct Plan<K, S> {
    doors: Doors<K>,
    opened: Vec<Opened<K, S>>,
    gone: Vec<Shutdown>,
}

impl<K: Copy + PartialEq> Doors<K> {
    /// No listener yet.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Opens, with `open`, what is `wanted` and not open; what is open and not
    /// wanted closes when the plan is carried out. Each listener's end is a child
    /// of `shutdown`.
    ///
    /// # Errors
    /// The first of `open`; then nothing has changed.
    pub fn plan<S, E>(
        &self,
        wanted: impl IntoIterator<Item = (K, SocketAddr)>,
        shutdown: &Shutdown,
        mut open: impl FnMut(K, SocketAddr) -> Result<(S, SocketAddr), E>,
    ) -> Result<Plan<K, S>, E> {
        let mut left = self.0.clone();
        let mut plan = Plan { doors: Doors::none(), opened: Vec::new(), gone: Vec::new() };
        for (kind, asked) in wanted {
            let there = left.iter().position(|door| door.kind == kind && door.asked == asked);
            if let Some(at) = there {
                plan.doors.0.push(left.remove(at));
                continue;
            }
            let (socket, local) = open(kind, asked)?;
            let closing = shutdown.child();
            plan.doors.0.push(Door { kind, asked, local, closing: closing.clone() });
            plan.opened.push(Opened { kind, socket, local, closing });
        }
        plan.gone = left.into_iter().map(|door| door.closing).collect();
        Ok(plan)
    }
}

impl<K: Copy> Doors<K> {
    /// What is open, and where.
    pub fn addresses(&self) -> Vec<(K, SocketAddr)> {
        self.0.iter().map(|door| (door.kind, door.local)).collect()
    }
}

impl<K: Copy, S> Plan<K, S> {
    /// What will be open, and where, in the order it was wanted.
    pub fn addresses(&self) -> Vec<(K, SocketAddr)> {
        self.doors.addresses()
    }

    /// Closes what is not wanted any more. Returns what is open from here on, and
    /// the new listeners, which now are to be served.
    pub fn carry_out(self) -> (Doors<K>, Vec<Opened<K, S>>) {
        self.gone.iter().for_each(Shutdown::request);
        (self.doors, self.opened)
    }
}

/// The TCP listeners of one service.
#[derive(Debug)]
pub struct Listeners<K> {
    network: Network,
    shutdown: Shutdown,
    /// What a listener's service is called.
    name: fn(K) -> &'static str,
    bounds: ListenBounds,
    doors: Mutex<Doors<K>>,
}

impl<K: Copy + PartialEq> Listeners<K> {
    /// No listener yet.
    pub fn none(network: Network, shutdown: Shutdown, name: fn(K) -> &'static str) -> Self {
        Self { network, shutdown, name, bounds: ListenBounds::new(1, 1), doors: Mutex::new(Doors::none()) }
    }

    /// Opens what is wanted and not open yet, or takes it over from another
    /// service of this host that has it until now.
    ///
    /// # Errors
    /// When one of `wanted` cannot be listened on; then nothing has changed.
    pub fn plan(
        &self,
        wanted: impl IntoIterator<Item = (K, SocketAddr)>,
    ) -> Result<Plan<K, Listener>, ListenError> {
        self.lock().plan(wanted, &self.shutdown, |kind, address| {
            let failed = |source| ListenError { service: (self.name)(kind), address, source };
            let options = ListenOptions { address, bounds: self.bounds.clone() };
            let listener = self.network.taking_over().listen(&options).map_err(failed)?;
            let local = listener.local_addr().map_err(failed)?;
            Ok((listener, local))
        })
    }

    /// Closes what is not wanted any more, sets the bounds of
    /// [`ListenBounds::new`] for all, and returns the new listeners, which now
    /// are to be served.
    pub fn carry_out(
        &self,
        plan: Plan<K, Listener>,
        connections_max: usize,
        connections_per_address_max: usize,
    ) -> Vec<Opened<K, Listener>> {
        let (doors, opened) = plan.carry_out();
        self.bounds.set(connections_max, connections_per_address_max);
        *self.lock() = doors;
        for new in &opened {
            self.network.tell_listening((self.name)(new.kind), new.local);
        }
        opened
    }

    /// What each listener's service is called, and where it listens.
    pub fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        self.lock().addresses().into_iter().map(|(kind, address)| ((self.name)(kind), address)).collect()
    }

    /// What each listener is for, and where it listens.
    pub fn doors(&self) -> Vec<(K, SocketAddr)> {
        self.lock().addresses()
    }

    fn lock(&self) -> MutexGuard<'_, Doors<K>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// Opens nothing, but remembers what it was asked for; port 9 fails.
    fn plan(
        doors: &Doors<char>,
        wanted: &[(char, u16)],
        shutdown: &Shutdown,
    ) -> Result<Plan<char, u16>, io::ErrorKind> {
        let wanted = wanted.iter().map(|(kind, port)| (*kind, at(*port)));
        doors.plan(wanted, shutdown, |_, address| match address.port() {
            9 => Err(io::ErrorKind::AddrInUse),
            0 => Ok((0, at(40_000))),
            port => Ok((port, address)),
        })
    }

    #[test]
    fn what_is_new_opens_what_is_gone_closes_and_the_rest_stays() {
        let shutdown = Shutdown::new();
        let first = plan(&Doors::none(), &[('a', 1), ('b', 2), ('c', 0)], &shutdown).expect("open");
        let (doors, opened) = first.carry_out();
        assert_eq!(doors.addresses(), [('a', at(1)), ('b', at(2)), ('c', at(40_000))]);
        let [a, b, c] = <[_; 3]>::try_from(opened).expect("three listeners");

        let (doors, opened) =
            plan(&doors, &[('c', 0), ('b', 2), ('b', 3)], &shutdown).expect("open").carry_out();
        assert_eq!(opened.iter().map(|new| new.socket).collect::<Vec<_>>(), [3]);
        assert_eq!(doors.addresses(), [('c', at(40_000)), ('b', at(2)), ('b', at(3))]);
        assert!(a.closing.is_requested() && !b.closing.is_requested() && !c.closing.is_requested());
        assert!(!shutdown.is_requested());

        shutdown.request();
        assert!(b.closing.is_requested(), "the host's end is the end of all");
    }

    #[test]
    fn a_plan_that_fails_or_is_dropped_changes_nothing() {
        let shutdown = Shutdown::new();
        let (doors, opened) = plan(&Doors::none(), &[('a', 1)], &shutdown).expect("open").carry_out();
        assert_eq!(plan(&doors, &[('b', 2), ('b', 9)], &shutdown).err(), Some(io::ErrorKind::AddrInUse));
        drop(plan(&doors, &[], &shutdown).expect("a plan"));
        assert!(!opened[0].closing.is_requested());
        assert_eq!(doors.addresses(), [('a', at(1))]);
    }
}
