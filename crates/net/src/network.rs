//! A host's view of the network: its source addresses and what stands between
//! its sockets and the wire.

use crate::batch::{BatchOptions, DatagramBatch};
use crate::layer::{Layer, Layers};
use crate::{Datagrams, Ends, Inherited, ListenOptions, Listener, Phase, Role, Stream, Trains, within};
use event::{Reporter, SocketEvent};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpSocket;

/// Connections the system keeps ready for [`Listener::accept`].
const BACKLOG_MAX: i32 = 1024;

/// Opens every socket of one host. Cheap to clone.
///
/// IPv6 sockets speak IPv6 only: whoever listens on `[::]` and means IPv4 too
/// listens on `0.0.0.0` as well.
#[derive(Debug, Clone)]
pub struct Network {
    source: Option<IpAddr>,
    reporter: Reporter,
    layers: Layers,
    inherited: Inherited,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            source: None,
            reporter: Reporter::silent(),
            layers: Layers::default(),
            inherited: Inherited::default(),
        }
    }
}

impl Network {
    /// The network as the machine has it; tells nobody what happens.
    pub fn new() -> Self {
        Self::default()
    }

    /// A network whose connections and datagrams leave from `source`.
    pub fn from_source(source: IpAddr) -> Self {
        Self { source: Some(source), ..Self::default() }
    }

    /// Tells `reporter` what happens on the sockets opened from here on.
    pub fn reporting(self, reporter: Reporter) -> Self {
        Self { reporter, ..self }
    }

    /// Stacks a layer around every socket opened from here on; each later layer
    /// lies nearer to the wire.
    pub fn with(self, layer: impl Layer + 'static) -> Self {
        Self { layers: self.layers.with(Arc::new(layer)), ..self }
    }

    /// Takes sockets that were handed over before it opens any of its own.
    pub fn inheriting(self, inherited: Inherited) -> Self {
        Self { inherited, ..self }
    }

    /// The address outgoing connections leave from, where one is set.
    pub fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// Listens for TCP connections.
    pub fn listen(&self, options: &ListenOptions) -> io::Result<Listener> {
        if let Some(listener) = self.inherited.take_listener(options.address) {
            return self.adopt_listener(listener, options);
        }
        let socket = Socket::new(Domain::for_address(options.address), Type::STREAM, Some(Protocol::TCP))?;
        if options.address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.bind(&options.address.into())?;
        socket.listen(BACKLOG_MAX)?;
        self.adopt_listener(socket.into(), options)
    }

    /// Takes over a listening socket that somebody else opened, such as
    /// systemd's (socket activation); `options.address` is not read.
    pub fn adopt_listener(
        &self,
        listener: std::net::TcpListener,
        options: &ListenOptions,
    ) -> io::Result<Listener> {
        listener.set_nonblocking(true)?;
        let tcp = tokio::net::TcpListener::from_std(listener)?;
        Ok(Listener::new(tcp, options, self.reporter.clone(), self.layers.clone()))
    }

    /// Tells that `service` listens on `address`.
    pub fn tell_listening(&self, service: &str, address: SocketAddr) {
        self.reporter.tell(SocketEvent::Listening { service: service.to_owned(), address });
    }

    /// Connects to `to` within `patience`.
    pub async fn connect(&self, to: SocketAddr, patience: Duration) -> io::Result<Stream> {
        within(patience, Phase::Connect, async {
            self.layers.opening(to).await;
            let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            if let Some(source) = self.source_towards(to) {
                socket.bind(SocketAddr::new(source, 0))?;
            }
            let tcp = socket.connect(to).await?;
            let ends = Ends { local: tcp.local_addr()?, peer: to, role: Role::Client };
            Ok(Stream::new(tcp, ends, &self.layers, None))
        })
        .await
    }

    /// A datagram socket bound to `address`; port 0 lets the system choose one
    /// at random.
    pub fn datagrams(&self, address: SocketAddr) -> io::Result<Datagrams> {
        if let Some(socket) = self.inherited.take_datagrams(address) {
            return self.adopt_datagrams(socket);
        }
        self.adopt_datagrams(bind_datagrams(address, false)?.into())
    }

    /// A datagram socket on a random port of this host, to ask `to`.
    pub fn datagrams_towards(&self, to: SocketAddr) -> io::Result<Datagrams> {
        let source = self.source_towards(to).unwrap_or(match to {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        });
        self.datagrams(SocketAddr::new(source, 0))
    }

    /// Whether the system knows a way to `to`; nothing is sent. A host without
    /// IPv6 thus learns at once that it has none.
    pub async fn has_route(&self, to: IpAddr) -> bool {
        // Connecting a datagram socket only looks for the route; the port is of no account.
        let to = SocketAddr::new(to, 9);
        match self.datagrams_towards(to) {
            Ok(socket) => socket.connect(to).await.is_ok(),
            Err(_) => false,
        }
    }

    /// Takes over a bound datagram socket that somebody else opened.
    pub fn adopt_datagrams(&self, socket: std::net::UdpSocket) -> io::Result<Datagrams> {
        Datagrams::new(socket, self.layers.clone())
    }

    /// A datagram socket for bulk bound to `address`, for which the system keeps
    /// up to `receive_buffer_octets` while nobody receives; its own limit
    /// (`net.core.rmem_max`) holds.
    pub fn trains(&self, address: SocketAddr, receive_buffer_octets: usize) -> io::Result<Trains> {
        let socket = match self.inherited.take_datagrams(address) {
            Some(socket) => socket,
            None => bind_datagrams(address, false)?.into(),
        };
        Trains::new(socket, receive_buffer_octets, self.layers.clone())
    }

    /// `options.sockets` datagram sockets for the hot path that share one
    /// address (SO_REUSEPORT), one for each thread; with port 0 all get the
    /// same one.
    pub fn datagram_batches(&self, options: &BatchOptions) -> io::Result<Vec<DatagramBatch>> {
        let mut address = options.address;
        let mut batches = Vec::with_capacity(options.sockets);
        if let Some(socket) = self.inherited.take_datagrams(address) {
            // One socket was handed over: the threads share it.
            for _ in 0..options.sockets.max(1) {
                batches.push(self.adopt_datagram_batch(socket.try_clone()?, options)?);
            }
            return Ok(batches);
        }
        for _ in 0..options.sockets.max(1) {
            let socket = bind_datagrams(address, true)?;
            address = socket.local_addr()?.as_socket().unwrap_or(address);
            batches.push(self.adopt_datagram_batch(socket.into(), options)?);
        }
        Ok(batches)
    }

    /// Takes over a bound datagram socket that somebody else opened, for the
    /// hot path; `options.address` and `options.sockets` are not read.
    pub fn adopt_datagram_batch(
        &self,
        socket: std::net::UdpSocket,
        options: &BatchOptions,
    ) -> io::Result<DatagramBatch> {
        DatagramBatch::new(socket, options, self.layers.clone())
    }

    fn source_towards(&self, to: SocketAddr) -> Option<IpAddr> {
        self.source.filter(|source| source.is_ipv4() == to.is_ipv4())
    }
}

/// The addresses of `HOST:PORT` as the machine's own resolver knows them, for
/// commands a person types; services ask `dns::Resolve`.
pub async fn system_addresses(target: &str) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host(target).await?.collect())
}

fn bind_datagrams(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}
