//! The router in front of this host, where it speaks UPnP (Internet Gateway Device):
//! it can be asked to hand connections on to us. The library opens its own sockets
//! for that, as this crate may.

use igd_next::aio::tokio::{Tokio, search_gateway};
use igd_next::{AddPortError, PortMappingProtocol, SearchOptions};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;

/// Where routers are asked whether they are there (UPnP Device Architecture 1.1,
/// section 1.3).
pub const GATEWAY_SEARCH: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(239, 255, 255, 250)), 1_900);
/// How long a router may take to tell that it is there.
const SEARCH_PATIENCE: Duration = Duration::from_secs(5);
/// What stands in the router's list.
const DESCRIPTION: &str = "Utopia";

/// What a port is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MappedProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A router that can be asked.
#[derive(Debug, Clone)]
pub struct Gateway {
    router: igd_next::aio::Gateway<Tokio>,
    /// By which address we are in its network.
    own: IpAddr,
}

impl From<MappedProtocol> for PortMappingProtocol {
    fn from(protocol: MappedProtocol) -> Self {
        match protocol {
            MappedProtocol::Tcp => PortMappingProtocol::TCP,
            MappedProtocol::Udp => PortMappingProtocol::UDP,
        }
    }
}

impl Gateway {
    /// Finds the router by asking at `search` ([`GATEWAY_SEARCH`] is all of them)
    /// from `source`.
    ///
    /// # Errors
    /// When none answers.
    pub async fn find(search: SocketAddr, source: IpAddr) -> io::Result<Self> {
        let mut options = SearchOptions::default();
        options.bind_addr = SocketAddr::new(source, 0);
        options.broadcast_address = search;
        options.timeout = Some(SEARCH_PATIENCE);
        if !search.ip().is_multicast() {
            // Somebody named it: it may be this machine, too.
            options.allowed_gateway_ips = vec![search.ip()];
        }
        let router = search_gateway(options).await.map_err(io::Error::other)?;
        // The way to it tells which of our addresses it knows us by; nothing is sent.
        let socket = UdpSocket::bind(SocketAddr::new(source, 0)).await?;
        socket.connect(router.addr).await?;
        Ok(Self { router, own: socket.local_addr()?.ip() })
    }

    /// Where the router is.
    pub fn address(&self) -> SocketAddr {
        self.router.addr
    }

    /// The address it has towards the Internet.
    ///
    /// # Errors
    /// When it does not tell.
    pub async fn external_ip(&self) -> io::Result<IpAddr> {
        self.router.get_external_ip().await.map_err(io::Error::other)
    }

    /// Has it hand on to our `port` what comes to a port of its own for `lease`: the
    /// same, or another where that is somebody else's. Gives that port.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn map(&self, protocol: MappedProtocol, port: u16, lease: Duration) -> io::Result<u16> {
        let own = SocketAddr::new(self.own, port);
        let seconds = u32::try_from(lease.as_secs()).unwrap_or(u32::MAX);
        let router = &self.router;
        match router.add_port(protocol.into(), port, own, seconds, DESCRIPTION).await {
            Ok(()) => Ok(port),
            // It knows none that end by themselves: ours is taken back at the end.
            Err(AddPortError::OnlyPermanentLeasesSupported) => {
                let added = router.add_port(protocol.into(), port, own, 0, DESCRIPTION).await;
                added.map(|()| port).map_err(io::Error::other)
            }
            Err(AddPortError::PortInUse) => {
                let added = router.add_any_port(protocol.into(), own, seconds, DESCRIPTION).await;
                added.map_err(io::Error::other)
            }
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// Takes back what [`Self::map`] gave.
    ///
    /// # Errors
    /// When it does not know of it.
    pub async fn unmap(&self, protocol: MappedProtocol, external_port: u16) -> io::Result<()> {
        self.router.remove_port(protocol.into(), external_port).await.map_err(io::Error::other)
    }
}
