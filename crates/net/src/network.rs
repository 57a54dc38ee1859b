//! A host's view of the network: its source addresses and what stands between
//! its sockets and the wire.

use crate::batch::{BatchOptions, DatagramBatch};
use crate::held::{Held, HeldSockets};
use crate::layer::{Layer, Layers};
use crate::socks::{Association, Place, Proxy, Request};
use crate::{Datagrams, Ends, Inherited, ListenOptions, Listener, Phase, Role, Stream, Trains, within};
use event::{Reporter, SocketEvent};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};

/// Connections the system keeps ready for [`Listener::accept`].
pub(crate) const BACKLOG_MAX: i32 = 1024;
/// How long nothing comes from a proxy that carries datagrams before it is asked
/// whether it is still there.
const CONTROL_KEEPALIVE: Duration = Duration::from_mins(1);

/// Opens every socket of one host. Cheap to clone.
///
/// IPv6 sockets speak IPv6 only: whoever listens on `[::]` and means IPv4 too
/// listens on `0.0.0.0` as well.
#[derive(Debug, Clone)]
pub struct Network {
    source: Option<IpAddr>,
    reporter: Reporter,
    layers: Layers,
    held: HeldSockets,
    takes_over: bool,
    proxy: Option<Proxy>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            source: None,
            reporter: Reporter::silent(),
            layers: Layers::default(),
            held: HeldSockets::default(),
            takes_over: false,
            proxy: None,
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

    /// The same network, whose connections and datagrams leave from `source`.
    #[must_use]
    pub fn leaving_from(self, source: IpAddr) -> Self {
        Self { source: Some(source), ..self }
    }

    /// Tells `reporter` what happens on the sockets opened from here on.
    pub fn reporting(self, reporter: Reporter) -> Self {
        Self { reporter, ..self }
    }

    /// Who is told what happens on this host's sockets, and by whoever uses them.
    pub fn reporter(&self) -> &Reporter {
        &self.reporter
    }

    /// Opens all connections through a SOCKS5 proxy from here on. Datagrams pass it
    /// where it carries them ([`Self::relayed_datagrams`]); other sockets to ask
    /// with are refused. What is listened on is not changed.
    pub fn through(self, proxy: Proxy) -> Self {
        Self { proxy: Some(proxy), ..self }
    }

    /// Whether connections go through a proxy, which then also looks up the names
    /// of hosts ([`Self::connect_by_name`]).
    pub fn is_proxied(&self) -> bool {
        self.proxy.is_some()
    }

    /// Stacks a layer around every socket opened from here on; each later layer
    /// lies nearer to the wire.
    pub fn with(self, layer: impl Layer + 'static) -> Self {
        Self { layers: self.layers.with(Arc::new(layer)), ..self }
    }

    /// Uses the sockets that were handed over to this process before it opens any
    /// of its own.
    pub fn inheriting(self, inherited: Inherited) -> Self {
        self.held.keep(inherited);
        self
    }

    /// The same, for a plan of what shall be open: where this host listens on an
    /// address already, whoever asks for it shares the socket, since its owner
    /// stops when the plan is carried out. That no two services want one address is
    /// for the configuration to check. An address that the system chose is not
    /// shared.
    #[must_use]
    pub fn taking_over(&self) -> Self {
        Self { takes_over: true, ..self.clone() }
    }

    /// The address outgoing connections leave from, where one is set.
    pub fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// Listens for TCP connections.
    pub fn listen(&self, options: &ListenOptions) -> io::Result<Listener> {
        let address = options.address;
        let held = if let Some(held) = self.held.at(Type::STREAM, address, !self.takes_over).pop() {
            held
        } else {
            let bound = bind_listener(address);
            let explain = |error| self.held.explain(Type::STREAM, address, error);
            self.held.add(Type::STREAM, address, bound.map_err(explain)?)?
        };
        self.listener(held.duplicate()?.into(), Some(held), options)
    }

    /// Takes over a listening socket that somebody else opened, such as
    /// systemd's (socket activation); `options.address` is not read.
    pub fn adopt_listener(
        &self,
        listener: std::net::TcpListener,
        options: &ListenOptions,
    ) -> io::Result<Listener> {
        self.listener(listener, None, options)
    }

    fn listener(
        &self,
        listener: std::net::TcpListener,
        held: Option<Arc<Held>>,
        options: &ListenOptions,
    ) -> io::Result<Listener> {
        listener.set_nonblocking(true)?;
        let tcp = tokio::net::TcpListener::from_std(listener)?;
        Ok(Listener::new(tcp, held, options, self.reporter.clone(), self.layers.clone()))
    }

    /// Tells that `service` listens on `address`.
    pub fn tell_listening(&self, service: &str, address: SocketAddr) {
        self.reporter.tell(SocketEvent::Listening { service: service.to_owned(), address });
    }

    /// Connects to `to` within `patience`.
    pub async fn connect(&self, to: SocketAddr, patience: Duration) -> io::Result<Stream> {
        if let Some(proxy) = &self.proxy {
            // Seldom, and large: it would make every connection's future large.
            let opening = Box::pin(self.by_proxy(proxy, Place::Address(to)));
            return within(patience, Phase::Connect, opening).await;
        }
        within(patience, Phase::Connect, async {
            self.layers.opening(to).await;
            let tcp = self.open(to).await?;
            let ends = Ends { local: tcp.local_addr()?, peer: to, role: Role::Client };
            Ok(Stream::new(tcp, ends, &self.layers, None))
        })
        .await
    }

    /// Connects to a host by its name, which the proxy looks up, within `patience`.
    /// The other end is then shown as the proxy's own address.
    ///
    /// # Errors
    /// When there is no proxy, or it does not get there.
    pub async fn connect_by_name(&self, host: &str, port: u16, patience: Duration) -> io::Result<Stream> {
        let proxy = self.proxy.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let to = Place::of(host, port);
        within(patience, Phase::Connect, self.by_proxy(proxy, to)).await
    }

    async fn by_proxy(&self, proxy: &Proxy, to: Place<'_>) -> io::Result<Stream> {
        let (tcp, at, _) = self.ask_proxy(proxy, Request::Connect(to)).await?;
        let peer = if let Place::Address(address) = to { address } else { at };
        let ends = Ends { local: tcp.local_addr()?, peer, role: Role::Client };
        Ok(Stream::new(tcp, ends, &self.layers, None))
    }

    /// Has the proxy carry datagrams on, as long as the connection stands, that
    /// are sent to the address.
    pub(crate) async fn associate(
        &self,
        proxy: &Proxy,
        patience: Duration,
    ) -> io::Result<(TcpStream, SocketAddr)> {
        within(patience, Phase::Connect, async {
            let (control, at, relay) = self.ask_proxy(proxy, Request::Associate).await?;
            // A proxy that dies silently is noticed.
            SockRef::from(&control).set_tcp_keepalive(&TcpKeepalive::new().with_time(CONTROL_KEEPALIVE))?;
            let mut relay = relay.unwrap_or(at);
            if relay.ip().is_unspecified() {
                relay.set_ip(at.ip());
            }
            Ok((control, relay))
        })
        .await
    }

    /// A connection to the proxy, which has just agreed, at which address that is,
    /// and what it answered.
    async fn ask_proxy(
        &self,
        proxy: &Proxy,
        request: Request<'_>,
    ) -> io::Result<(TcpStream, SocketAddr, Option<SocketAddr>)> {
        let (host, port) = proxy.place();
        let mut failure = None;
        for at in tokio::net::lookup_host((host, port)).await? {
            match self.open(at).await {
                Ok(mut tcp) => {
                    let peer =
                        if let Request::Connect(Place::Address(address)) = request { address } else { at };
                    self.layers.opening(peer).await;
                    let answer = proxy.negotiate(&mut tcp, request).await?;
                    return Ok((tcp, at, answer));
                }
                Err(error) => failure = Some(error),
            }
        }
        let why = failure.unwrap_or_else(|| io::ErrorKind::HostUnreachable.into());
        Err(io::Error::new(why.kind(), format!("the proxy {host}:{port}: {why}")))
    }

    /// Opens a connection as the system does.
    async fn open(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(source) = self.source_towards(to) {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        socket.connect(to).await
    }

    /// A datagram socket bound to `address`; port 0 lets the system choose one
    /// at random.
    pub fn datagrams(&self, address: SocketAddr) -> io::Result<Datagrams> {
        if address.port() == 0 {
            return self.adopt_datagrams(bind_datagrams(address, false)?.into());
        }
        let held = match self.held.at(Type::DGRAM, address, !self.takes_over).into_iter().next() {
            Some(held) => held,
            None => self.bind_held(address, false)?,
        };
        Datagrams::new(held.duplicate()?.into(), Some(held), self.layers.clone())
    }

    fn bind_held(&self, address: SocketAddr, shared: bool) -> io::Result<Arc<Held>> {
        let bound = bind_datagrams(address, shared);
        let explain = |error| self.held.explain(Type::DGRAM, address, error);
        self.held.add(Type::DGRAM, address, bound.map_err(explain)?)
    }

    /// A datagram socket on a random port of this host, to ask `to`.
    pub fn datagrams_towards(&self, to: SocketAddr) -> io::Result<Datagrams> {
        if self.proxy.is_some() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "UDP does not pass the proxy"));
        }
        self.datagrams(SocketAddr::new(self.source_or_any(to), 0))
    }

    /// A datagram socket whose datagrams the proxy carries on, to any address of
    /// either family; it is asked within `patience`.
    ///
    /// # Errors
    /// When there is no proxy, or it carries no datagrams.
    pub async fn relayed_datagrams(&self, patience: Duration) -> io::Result<Datagrams> {
        let proxy = self.proxy.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let (control, relay) = self.associate(proxy, patience).await?;
        let socket = bind_datagrams(SocketAddr::new(self.source_or_any(relay), 0), false)?;
        let association = Association::keep(self.clone(), proxy.clone(), control, relay);
        Datagrams::relayed(socket.into(), association, self.layers.clone())
    }

    /// The same for bulk, with as large a buffer as in [`Self::trains`].
    ///
    /// # Errors
    /// As [`Self::relayed_datagrams`].
    pub async fn relayed_trains(
        &self,
        patience: Duration,
        receive_buffer_octets: usize,
    ) -> io::Result<Trains> {
        Trains::one_by_one(self.relayed_datagrams(patience).await?, receive_buffer_octets)
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
        Datagrams::new(socket, None, self.layers.clone())
    }

    /// A datagram socket for bulk bound to `address`, for which the system keeps
    /// up to `receive_buffer_octets` while nobody receives; its own limit
    /// (`net.core.rmem_max`) holds.
    pub fn trains(&self, address: SocketAddr, receive_buffer_octets: usize) -> io::Result<Trains> {
        let socket = match self.held.at(Type::DGRAM, address, true).into_iter().next() {
            Some(inherited) => inherited.duplicate()?.into(),
            None => bind_datagrams(address, false)?.into(),
        };
        Trains::new(socket, receive_buffer_octets, self.layers.clone())
    }

    /// `options.sockets` datagram sockets for the hot path that share one
    /// address (SO_REUSEPORT), one for each thread; with port 0 all get the
    /// same one.
    pub fn datagram_batches(&self, options: &BatchOptions) -> io::Result<Vec<DatagramBatch>> {
        let count = options.sockets.max(1);
        let mut address = options.address;
        let mut sockets = self.held.at(Type::DGRAM, address, !self.takes_over);
        sockets.truncate(count);
        let there = sockets.len();
        while let missing = count - sockets.len()
            && missing > 0
        {
            match self.bind_held(address, true) {
                Ok(held) => {
                    address = held.local_addr()?;
                    sockets.push(held);
                }
                // One that was bound to be alone, or by somebody with more rights:
                // the threads share it.
                Err(_) if there > 0 => sockets.push(sockets[(count - missing) % there].clone()),
                Err(error) => return Err(error),
            }
        }
        let batch = |held: Arc<Held>| {
            DatagramBatch::new(held.duplicate()?.into(), Some(held), options, self.layers.clone())
        };
        sockets.into_iter().map(batch).collect()
    }

    /// Takes over a bound datagram socket that somebody else opened, for the
    /// hot path; `options.address` and `options.sockets` are not read.
    pub fn adopt_datagram_batch(
        &self,
        socket: std::net::UdpSocket,
        options: &BatchOptions,
    ) -> io::Result<DatagramBatch> {
        DatagramBatch::new(socket, None, options, self.layers.clone())
    }

    fn source_towards(&self, to: SocketAddr) -> Option<IpAddr> {
        self.source.filter(|source| source.is_ipv4() == to.is_ipv4())
    }

    fn source_or_any(&self, to: SocketAddr) -> IpAddr {
        self.source_towards(to).unwrap_or(match to {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        })
    }
}

/// The addresses of `HOST:PORT` as the machine's own resolver knows them, for
/// commands a person types; services ask `dns::Resolve`.
pub async fn system_addresses(target: &str) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host(target).await?.collect())
}

fn bind_listener(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG_MAX)?;
    Ok(socket)
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
