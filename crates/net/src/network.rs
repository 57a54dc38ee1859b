//! A host's view of the network: its source addresses and what stands between
//! its sockets and the wire.

use crate::{Datagrams, Stream};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};

/// Opens every socket of one host. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Network {
    source: Option<IpAddr>,
}

/// How a listener is bound and bounded.
#[derive(Debug, Clone)]
pub struct ListenOptions {
    /// Where to listen; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Connections open at once; further ones wait in the backlog.
    pub connections_max: usize,
    /// Connections open at once from one address; further ones are closed.
    pub connections_per_address_max: usize,
}

impl ListenOptions {
    /// Usual bounds: 1,000 connections, 50 from one address.
    pub fn at(address: SocketAddr) -> Self {
        Self { address, connections_max: 1_000, connections_per_address_max: 50 }
    }
}

impl Network {
    /// The network as the machine has it.
    pub fn new() -> Self {
        Self::default()
    }

    /// A network whose connections and datagrams leave from `source`.
    pub fn from_source(source: IpAddr) -> Self {
        Self { source: Some(source) }
    }

    /// The address outgoing connections leave from, where one is set.
    pub fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// Listens for TCP connections.
    pub fn listen(&self, options: &ListenOptions) -> io::Result<Listener> {
        let socket = if options.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(options.address)?;
        Ok(Listener { tcp: socket.listen(1024)? })
    }

    /// Connects to `to` within `patience`.
    pub async fn connect(&self, to: SocketAddr, patience: Duration) -> io::Result<Stream> {
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(source) = self.source.filter(|source| source.is_ipv4() == to.is_ipv4()) {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        Stream::new(tokio::time::timeout(patience, socket.connect(to)).await??)
    }

    /// A datagram socket bound to `address`.
    pub fn datagrams(&self, address: SocketAddr) -> io::Result<Datagrams> {
        Datagrams::bind(address)
    }
}

/// Accepts TCP connections within its bounds.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
}

impl Listener {
    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// The next connection; waits while `connections_max` are open.
    pub async fn accept(&self) -> io::Result<Stream> {
        let (tcp, _) = self.tcp.accept().await?;
        Stream::new(tcp)
    }
}
