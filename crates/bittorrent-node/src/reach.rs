//! Reaching peers and being reached: the sockets of each address that is listened
//! on, TCP and uTP at the same port, and which of both a connection is opened over.

use crate::context::Context;
use crate::dht::{self, FarEnd, Wire, Wires};
use crate::handshake;
use crate::transport::{Carrier, Protocol, Protocols};
use crate::utp::{OtherDatagram, UtpOptions, UtpSocket};
use futures_util::future::{Either, select_ok};
use net::{Datagrams, ListenBounds, ListenError, ListenOptions, Listener, Network, Shutdown};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Connections from peers, shaking hands or open, of all torrents, over each
/// protocol.
const CONNECTIONS_MAX: usize = 2_000;
/// Connections from one address: several peers may be behind it.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 50;
/// How long a connection may take to open.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// The same over uTP where TCP was refused: somebody is there and answers at once.
const REFUSED_PATIENCE: Duration = Duration::from_secs(3);
/// How long the protocol that comes first is tried alone.
const HEAD_START: Duration = Duration::from_millis(500);
/// Ports tried where the system chooses one and it must be free for both
/// protocols.
const PORTS_TRIED_MAX: usize = 20;
/// How long a proxy may take to agree to carry datagrams.
const PROXY_PATIENCE: Duration = Duration::from_secs(5);
/// How long uTP may take to tell peers that we leave.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// The sockets of one address.
struct Door {
    address: SocketAddr,
    tcp: Option<Listener>,
    utp: Option<(UtpSocket, mpsc::Receiver<OtherDatagram>)>,
    /// For the hash table alone, where there is no uTP.
    datagrams: Option<Datagrams>,
}

/// The sockets of all addresses that are listened on.
pub(crate) struct Doors(Vec<Door>);

impl Doors {
    /// Listens at each address; with `dht`, over UDP in any case.
    pub(crate) fn open(
        network: &Network,
        addresses: &[SocketAddr],
        protocols: Protocols,
        dht: bool,
    ) -> Result<Self, ListenError> {
        let bounds = ListenBounds::new(CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX);
        let open = |address: &SocketAddr| {
            let mut tried = 0;
            loop {
                tried += 1;
                match Door::open(network, *address, protocols, dht, &bounds) {
                    Err(error)
                        if address.port() == 0
                            && tried < PORTS_TRIED_MAX
                            && error.kind() == io::ErrorKind::AddrInUse => {}
                    opened => {
                        let failed =
                            |source| ListenError { service: "bittorrent", address: *address, source };
                        return opened.map_err(failed);
                    }
                }
            }
        };
        Ok(Self(addresses.iter().map(open).collect::<Result<_, _>>()?))
    }

    /// Where they are.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().map(|door| door.address).collect()
    }

    /// Takes the connections that come, until `shutdown` is requested. Gives what
    /// the hash table speaks over: the first socket of each family.
    pub(crate) fn serve(self, context: &Rc<Context>, shutdown: &Shutdown) -> Wires {
        let mut wires = Wires::default();
        for Door { address, tcp, utp, datagrams } in self.0 {
            if let Some(listener) = tcp {
                let context = context.clone();
                let take = move |stream| {
                    tokio::task::spawn_local(handshake::receive(context.clone(), Carrier::Tcp(stream)));
                };
                tokio::task::spawn_local(listener.each(shutdown.clone(), take));
            }
            let place = if address.is_ipv4() { &mut wires.v4 } else { &mut wires.v6 };
            if let Some((socket, others)) = utp {
                serve_utp(context, socket, others, place, shutdown);
            } else if let (Some(socket), None) = (datagrams, &place) {
                let (near, far) = dht::wire();
                tokio::task::spawn_local(dht::carry(socket, far));
                *place = Some(near);
            }
        }
        wires
    }
}

/// Takes the connections that come over uTP; what else comes is carried to `place`
/// where nothing is carried there yet.
fn serve_utp(
    context: &Rc<Context>,
    socket: UtpSocket,
    others: mpsc::Receiver<OtherDatagram>,
    place: &mut Option<Wire>,
    shutdown: &Shutdown,
) {
    let socket = Rc::new(socket);
    context.utp.borrow_mut().push(socket.clone());
    tokio::task::spawn_local(take_over_utp(context.clone(), socket.clone(), shutdown.clone()));
    if place.is_none() {
        let (near, far) = dht::wire();
        tokio::task::spawn_local(share(socket, others, far));
        *place = Some(near);
    }
}

/// Has the proxy carry the datagrams of uTP and the hash table, where either is
/// wanted. The hash table then takes part over IPv4 only, since many proxies have
/// nothing else.
///
/// # Errors
/// When the proxy does not carry datagrams.
pub(crate) async fn serve_by_proxy(
    context: &Rc<Context>,
    dht: bool,
    shutdown: &Shutdown,
) -> io::Result<Wires> {
    let mut wires = Wires::default();
    let network = &context.network;
    if context.protocols.has(Protocol::Utp) {
        let options = UtpOptions::default();
        let trains = network.relayed_trains(PROXY_PATIENCE, options.receive_buffer_octets).await?;
        let (others, taken) = mpsc::channel(dht::WAITING_MAX);
        let socket = UtpSocket::over(trains, options, Some(others));
        serve_utp(context, socket, taken, &mut wires.v4, shutdown);
    } else if dht {
        let socket = network.relayed_datagrams(PROXY_PATIENCE).await?;
        let (near, far) = dht::wire();
        tokio::task::spawn_local(dht::carry(socket, far));
        wires.v4 = Some(near);
    }
    Ok(wires)
}

/// Carries datagrams between a socket of uTP and the hash table, until that is
/// gone.
async fn share(socket: Rc<UtpSocket>, mut others: mpsc::Receiver<OtherDatagram>, mut far: FarEnd) {
    loop {
        tokio::select! {
            other = others.recv() => match other {
                // A bencoded dictionary; what is too much is lost, as on any wire.
                Some(other) if other.octets.starts_with(b"d") => {
                    let _ = far.arrivals.try_send((other.peer, other.octets));
                }
                Some(_) => {}
                None => return,
            },
            departing = far.departures.recv() => match departing {
                Some((to, datagram)) => {
                    if let Err(error) = socket.send_to(&datagram, to).await {
                        tracing::trace!(%error, %to, "sending for the hash table");
                    }
                }
                None => return,
            },
        }
    }
}

impl Door {
    fn open(
        network: &Network,
        mut address: SocketAddr,
        protocols: Protocols,
        dht: bool,
        bounds: &ListenBounds,
    ) -> io::Result<Self> {
        let mut tcp = None;
        if protocols.has(Protocol::Tcp) {
            let listener = network.listen(&ListenOptions { address, bounds: bounds.clone() })?;
            address = listener.local_addr()?;
            tcp = Some(listener);
        }
        let (mut utp, mut datagrams) = (None, None);
        // Behind a proxy nothing is sent beside it.
        let direct = !network.is_proxied();
        if direct && protocols.has(Protocol::Utp) {
            let (others, taken) = mpsc::channel(dht::WAITING_MAX);
            let socket = UtpSocket::bind(network, address, UtpOptions::default(), Some(others))?;
            address = socket.local_addr();
            utp = Some((socket, taken));
        } else if direct && dht {
            datagrams = Some(network.datagrams(address)?);
        }
        Ok(Self { address, tcp, utp, datagrams })
    }
}

/// Takes the connections that come over uTP.
async fn take_over_utp(context: Rc<Context>, socket: Rc<UtpSocket>, shutdown: Shutdown) {
    let crowd = Rc::new(RefCell::new(Crowd::default()));
    loop {
        let stream = tokio::select! {
            () = shutdown.requested() => return,
            accepted = socket.accept() => match accepted {
                Ok(stream) => stream,
                Err(error) => return tracing::error!(%error, "listening for uTP is over"),
            },
        };
        let ip = stream.peer_addr().ip();
        if !crowd.borrow_mut().enter(ip) {
            tracing::debug!(peer = %stream.peer_addr(), "too many connections over uTP");
            continue;
        }
        let (context, crowd) = (context.clone(), crowd.clone());
        tokio::task::spawn_local(async move {
            handshake::receive(context, Carrier::Utp(stream)).await;
            crowd.borrow_mut().leave(ip);
        });
    }
}

/// Who is connected over uTP; the listener of TCP counts its own.
#[derive(Debug, Default)]
struct Crowd {
    all: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

impl Crowd {
    /// Whether one more from this address fits.
    fn enter(&mut self, ip: IpAddr) -> bool {
        let here = self.by_address.entry(ip).or_default();
        let fits = self.all < CONNECTIONS_MAX && *here < CONNECTIONS_PER_ADDRESS_MAX;
        if fits {
            *here += 1;
            self.all += 1;
        } else if *here == 0 {
            self.by_address.remove(&ip);
        }
        fits
    }

    fn leave(&mut self, ip: IpAddr) {
        let Some(here) = self.by_address.get_mut(&ip) else { return };
        *here -= 1;
        self.all -= 1;
        if *here == 0 {
            self.by_address.remove(&ip);
        }
    }
}

/// Opens a connection to a peer. The protocol that is preferred begins; when it
/// fails or has not got there after a moment, the other one is tried beside it.
///
/// # Errors
/// When the peer is reached over neither.
pub(crate) async fn reach(context: &Context, address: SocketAddr) -> io::Result<Carrier> {
    let mut order = context.protocols.order().iter().copied();
    let (first, second) = (order.next().unwrap_or(Protocol::Tcp), order.next());
    let Some(second) = second else { return reach_over(context, first, address).await };
    let mut opening = pin!(reach_over(context, first, address));
    let failure = tokio::select! {
        opened = &mut opening => match opened {
            Ok(carrier) => return Ok(carrier),
            Err(error) => Some(error),
        },
        () = tokio::time::sleep(HEAD_START) => None,
    };
    let other = pin!(reach_over(context, second, address));
    if let Some(failure) = failure {
        let patience = match failure.kind() {
            io::ErrorKind::ConnectionRefused => REFUSED_PATIENCE,
            _ => CONNECT_PATIENCE,
        };
        // What the preferred one says tells more.
        let opened = tokio::time::timeout(patience, other).await;
        return opened.map_err(io::Error::from).flatten().map_err(|_| failure);
    }
    let opened = select_ok([Either::Left(opening), Either::Right(other)]).await;
    opened.map(|(carrier, _)| carrier)
}

/// Opens a connection over one protocol.
///
/// # Errors
/// When the peer is not reached.
pub(crate) async fn reach_over(
    context: &Context,
    protocol: Protocol,
    address: SocketAddr,
) -> io::Result<Carrier> {
    if protocol == Protocol::Tcp {
        return context.network.connect(address, CONNECT_PATIENCE).await.map(Carrier::Tcp);
    }
    let socket = context.utp_towards(address).ok_or(io::ErrorKind::NetworkUnreachable)?;
    let opened = tokio::time::timeout(CONNECT_PATIENCE, socket.connect(address)).await;
    opened.map_err(io::Error::from)?.map(Carrier::Utp)
}

/// Ends uTP: peers hear that we leave.
pub(crate) async fn close(context: &Context) {
    let sockets = context.utp.take();
    let close = futures_util::future::join_all(sockets.iter().map(|socket| socket.close()));
    // Who does not answer finds out by itself.
    let _ = tokio::time::timeout(CLOSE_PATIENCE, close).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_come_over_utp_and_so_many_from_one_address() {
        let ip = |number: u32| IpAddr::from(std::net::Ipv4Addr::from_bits(number));
        let mut crowd = Crowd::default();
        for _ in 0..CONNECTIONS_PER_ADDRESS_MAX {
            assert!(crowd.enter(ip(1)));
        }
        assert!(!crowd.enter(ip(1)));
        crowd.leave(ip(1));
        assert!(crowd.enter(ip(1)));
        for number in 0..(CONNECTIONS_MAX - CONNECTIONS_PER_ADDRESS_MAX) as u32 {
            assert!(crowd.enter(ip(2 + number)));
        }
        assert!(!crowd.enter(ip(1 << 20)));
        assert_eq!(crowd.by_address.len(), CONNECTIONS_MAX - CONNECTIONS_PER_ADDRESS_MAX + 1);
    }
}
