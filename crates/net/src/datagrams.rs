//! UDP for clients and ordinary services; the batched socket of the hot path
//! stands beside it.

use crate::delay::DelayQueue;
use crate::held::{self, Held};
use crate::layer::Layers;
use crate::message::{self, Taken};
use crate::socks::{Association, Place};
use crate::{Direction, Passing};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::Notify;

/// A datagram socket. All methods take `&self`: any number of tasks may send
/// and receive on one socket.
#[derive(Debug)]
pub struct Datagrams {
    udp: Arc<UdpSocket>,
    held: Option<Arc<Held>>,
    /// Where it is bound.
    local: SocketAddr,
    /// The proxy that carries them on.
    association: Option<Association>,
    layers: Layers,
    incoming: Mutex<DelayQueue<Parcel>>,
    /// Wakes receivers when a datagram was put into `incoming`.
    arrived: Notify,
    outgoing: Arc<Mutex<DelayQueue<Parcel>>>,
}

/// What [`Datagrams::receive`] tells of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// How much of the buffer it fills.
    pub octets: usize,
    /// Who sent it.
    pub peer: SocketAddr,
    /// Our address it was sent to, even where the socket is bound to all of
    /// them: the reply should leave from there ([`Datagrams::send_from`]).
    pub local: SocketAddr,
    /// Whether it was longer than the buffer and lost its end.
    pub truncated: bool,
}

/// A datagram that waits to be due.
#[derive(Debug)]
struct Parcel {
    octets: Box<[u8]>,
    local: SocketAddr,
    peer: SocketAddr,
    truncated: bool,
}

impl Datagrams {
    pub(crate) fn new(
        socket: std::net::UdpSocket,
        held: Option<Arc<Held>>,
        layers: Layers,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?;
        if local.ip().is_unspecified() {
            message::enable_destination(socket.as_fd(), local.is_ipv4())?;
        }
        Ok(Self {
            udp: Arc::new(UdpSocket::from_std(socket)?),
            held,
            local,
            association: None,
            layers,
            incoming: Mutex::default(),
            arrived: Notify::new(),
            outgoing: Arc::default(),
        })
    }

    /// One whose datagrams a proxy carries on.
    pub(crate) fn relayed(
        socket: std::net::UdpSocket,
        association: Association,
        layers: Layers,
    ) -> io::Result<Self> {
        Ok(Self { association: Some(association), ..Self::new(socket, None, layers)? })
    }

    /// Whether a proxy carries its datagrams on.
    pub fn is_relayed(&self) -> bool {
        self.association.is_some()
    }

    /// Where the system sends its datagrams to `to`: there, or to the proxy that
    /// carries them on; `None` while it does not.
    pub(crate) fn next_hop(&self, to: SocketAddr) -> Option<SocketAddr> {
        self.association.as_ref().map_or(Some(to), Association::relay)
    }

    /// Where it is bound.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    /// Where it is bound, as it was when it was made.
    pub(crate) fn bound(&self) -> SocketAddr {
        self.local
    }

    /// Speaks with `peer` only from here on: datagrams of others are not
    /// received, and an unreachable port shows as an error of the next call.
    pub async fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.udp.connect(peer).await
    }

    /// Sends one datagram.
    pub async fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
        if let Some(association) = &self.association {
            return self.relay(association, datagram, Place::Address(to)).await;
        }
        self.send_by_wire(datagram, to).await
    }

    /// Sends one datagram to a host by its name, which the proxy looks up.
    ///
    /// # Errors
    /// When no proxy carries datagrams on, or it cannot be sent.
    pub async fn send_to_name(&self, datagram: &[u8], host: &str, port: u16) -> io::Result<usize> {
        let association = self.association.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        self.relay(association, datagram, Place::of(host, port)).await
    }

    async fn relay(&self, association: &Association, datagram: &[u8], to: Place<'_>) -> io::Result<usize> {
        let (wrapped, relay) = association.wrap(datagram, to)?;
        self.send_by_wire(&wrapped, relay).await?;
        Ok(datagram.len())
    }

    async fn send_by_wire(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
        if self.layers.is_empty() {
            return self.udp.send_to(datagram, to).await;
        }
        self.send_through(datagram, self.local, to).await
    }

    /// Sends one datagram that leaves from `from`, one of our addresses: where
    /// the socket is bound to all of them, a reply must leave from the address
    /// that was asked. The port of `from` is not read, and all of it is not where a
    /// proxy carries datagrams on.
    pub async fn send_from(&self, datagram: &[u8], from: SocketAddr, to: SocketAddr) -> io::Result<usize> {
        if self.is_relayed() {
            return self.send_to(datagram, to).await;
        }
        if self.layers.is_empty() {
            return send_now(&self.udp, datagram, self.source(from.ip()), to).await;
        }
        self.send_through(datagram, SocketAddr::new(from.ip(), self.local.port()), to).await
    }

    /// Receives one datagram and who sent it.
    pub async fn receive_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let received = self.receive(buffer).await?;
        Ok((received.octets, received.peer))
    }

    /// Receives one datagram, who sent it and to which of our addresses. May be
    /// dropped while it waits without losing a datagram.
    pub async fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        loop {
            let received = self.receive_by_wire(buffer).await?;
            match &self.association {
                None => return Ok(received),
                Some(association) => {
                    if let Some(received) = association.unwrap(received, buffer) {
                        return Ok(received);
                    }
                }
            }
        }
    }

    async fn receive_by_wire(&self, buffer: &mut [u8]) -> io::Result<Received> {
        if self.layers.is_empty() {
            return self.take(buffer).await;
        }
        loop {
            let arrived = self.arrived.notified();
            let due = {
                let mut incoming = lock(&self.incoming);
                if let Some(parcel) = incoming.pop_due(Instant::now()) {
                    return Ok(parcel.unpack(buffer));
                }
                incoming.next_due()
            };
            tokio::select! {
                taken = self.take(buffer) => {
                    let received = taken?;
                    let now = Instant::now();
                    let octets = buffer.get(..received.octets).unwrap_or_default();
                    let passing = Passing {
                        at: now,
                        direction: Direction::Incoming,
                        from: received.peer,
                        to: received.local,
                        octets,
                    };
                    match self.layers.pass(passing) {
                        Some(due) if due <= now => return Ok(received),
                        Some(due) => {
                            let parcel = Parcel {
                                octets: octets.into(),
                                local: received.local,
                                peer: received.peer,
                                truncated: received.truncated,
                            };
                            lock(&self.incoming).push(due, parcel);
                            self.arrived.notify_waiters();
                        }
                        None => {}
                    }
                }
                () = until(due) => {}
                () = arrived => {}
            }
        }
    }

    /// A datagram that waits already, for whoever listens no more: `None` when
    /// none does, or when another service has taken the socket over, whose they
    /// are.
    pub fn receive_waiting(&self, buffer: &mut [u8]) -> Option<Received> {
        loop {
            if held::is_shared(self.held.as_ref()) {
                return None;
            }
            // Asked of the system: the runtime may not know yet that one is there.
            let received = self.received(message::receive(self.udp.as_fd(), buffer).ok()?);
            let octets = buffer.get(..received.octets).unwrap_or_default();
            let (from, to) = (received.peer, received.local);
            let direction = Direction::Incoming;
            if self.layers.pass(Passing { at: Instant::now(), direction, from, to, octets }).is_some() {
                return Some(received);
            }
        }
    }

    async fn take(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let taken: Taken = self
            .udp
            .async_io(Interest::READABLE | Interest::ERROR, || message::receive(self.udp.as_fd(), buffer))
            .await?;
        Ok(self.received(taken))
    }

    fn received(&self, taken: Taken) -> Received {
        let local = match taken.destination {
            Some(ip) => SocketAddr::new(ip, self.local.port()),
            None => self.local,
        };
        Received { octets: taken.octets, peer: taken.peer, local, truncated: taken.truncated }
    }

    async fn send_through(&self, datagram: &[u8], from: SocketAddr, to: SocketAddr) -> io::Result<usize> {
        let now = Instant::now();
        let passing = Passing { at: now, direction: Direction::Outgoing, from, to, octets: datagram };
        match self.layers.pass(passing) {
            Some(due) if due <= now => send_now(&self.udp, datagram, self.source(from.ip()), to).await,
            Some(due) => {
                let parcel = Parcel { octets: datagram.into(), local: from, peer: to, truncated: false };
                if lock(&self.outgoing).push(due, parcel) {
                    self.send_at(due);
                }
                Ok(datagram.len())
            }
            None => Ok(datagram.len()),
        }
    }

    /// Sends what is due at `due`. One short task for each held datagram, so
    /// that it still leaves when the socket is dropped meanwhile.
    fn send_at(&self, due: Instant) {
        let (udp, outgoing, bound) = (self.udp.clone(), self.outgoing.clone(), self.local);
        tokio::spawn(async move {
            tokio::time::sleep_until(due.into()).await;
            loop {
                let parcel = lock(&outgoing).pop_due(Instant::now());
                let Some(parcel) = parcel else { break };
                let source = source_of(bound, parcel.local.ip());
                // Lost on a wire: nobody is told there either.
                send_now(&udp, &parcel.octets, source, parcel.peer).await.ok();
            }
        });
    }

    fn source(&self, from: IpAddr) -> Option<IpAddr> {
        source_of(self.local, from)
    }
}

/// The source to name with a datagram: only where the socket has several.
fn source_of(bound: SocketAddr, from: IpAddr) -> Option<IpAddr> {
    (bound.ip().is_unspecified() && !from.is_unspecified()).then_some(from)
}

impl AsFd for Datagrams {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.udp.as_fd()
    }
}

async fn send_now(
    udp: &UdpSocket,
    datagram: &[u8],
    source: Option<IpAddr>,
    to: SocketAddr,
) -> io::Result<usize> {
    match source {
        Some(source) => {
            udp.async_io(Interest::WRITABLE, || message::send(udp.as_fd(), datagram, source, to)).await
        }
        None => udp.send_to(datagram, to).await,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Parcel {
    fn unpack(self, buffer: &mut [u8]) -> Received {
        let octets = self.octets.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(&self.octets) {
            *to = *from;
        }
        let truncated = self.truncated || octets < self.octets.len();
        Received { octets, peer: self.peer, local: self.local, truncated }
    }
}
