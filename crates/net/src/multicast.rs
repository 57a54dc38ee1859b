//! Datagrams to all neighbours: groups of multicast, on one interface each.

use crate::{Datagrams, Network};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Routers that a datagram to a group may pass: none, so that it stays with the
/// neighbours.
const HOPS: u32 = 1;

/// A group of multicast on one interface: what is sent reaches all who joined it
/// there, also on this machine and the sender itself.
#[derive(Debug)]
pub struct Multicast {
    incoming: Datagrams,
    outgoing: Datagrams,
    group: SocketAddr,
    address: IpAddr,
}

impl Multicast {
    /// The group.
    pub fn group(&self) -> SocketAddr {
        self.group
    }

    /// Our address, which others see.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Sends a datagram to the group.
    ///
    /// # Errors
    /// When the interface is gone, or there is no way to the group.
    pub async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.outgoing.send_to(datagram, self.group).await.map(|_| ())
    }

    /// The next datagram to the group: its octets in `buffer`, and who sent it.
    ///
    /// # Errors
    /// What the system says.
    pub async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.incoming.receive_from(buffer).await
    }
}

impl Network {
    /// Joins `group` on the interface that has `address`, from which datagrams
    /// leave. Others on this machine may join it at the same port.
    ///
    /// # Errors
    /// When `address` is none of this machine, of another family than the group,
    /// or its interface does not do multicast.
    pub fn multicast(&self, group: SocketAddr, address: IpAddr) -> io::Result<Multicast> {
        let open = |bound: SocketAddr| {
            let socket = Socket::new(Domain::for_address(bound), Type::DGRAM, Some(Protocol::UDP))?;
            socket.set_reuse_address(true)?;
            socket.bind(&bound.into())?;
            Ok::<_, io::Error>(socket)
        };
        // Bound to the group it hears nothing that is sent to us alone.
        let (incoming, outgoing) = (open(group)?, open(SocketAddr::new(address, 0))?);
        match (group.ip(), address) {
            (IpAddr::V4(group), IpAddr::V4(address)) => {
                incoming.join_multicast_v4(&group, &address)?;
                incoming.set_multicast_all_v4(false)?;
                outgoing.set_multicast_if_v4(&address)?;
                outgoing.set_multicast_ttl_v4(HOPS)?;
            }
            (IpAddr::V6(group), IpAddr::V6(address)) => {
                let interface = interface_of(address)?;
                incoming.join_multicast_v6(&group, interface)?;
                incoming.set_multicast_all_v6(false)?;
                outgoing.set_multicast_if_v6(interface)?;
                outgoing.set_multicast_hops_v6(HOPS)?;
            }
            _ => {
                let words = format!("the group {group} and the address {address} are of two families");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
            }
        }
        let (incoming, outgoing) =
            (self.adopt_datagrams(incoming.into())?, self.adopt_datagrams(outgoing.into())?);
        Ok(Multicast { incoming, outgoing, group, address })
    }
}

/// The addresses of this machine from which neighbours are reached: one of each
/// family on every interface that is up and does multicast, loopback left out.
///
/// # Errors
/// What the system says.
pub fn multicast_addresses() -> io::Result<Vec<IpAddr>> {
    let wanted = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_MULTICAST;
    let mut found: Vec<(String, IpAddr)> = Vec::new();
    for interface in getifaddrs()? {
        let up = interface.flags.contains(wanted) && !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        let Some(ip) = interface.address.as_ref().and_then(ip).filter(|_| up) else { continue };
        let is_link_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        let is_known = |(name, known): &(String, IpAddr)| {
            *name == interface.interface_name && known.is_ipv4() == ip.is_ipv4()
        };
        // Where a link-local address is, only this machine knows by its number.
        if !is_link_local && !found.iter().any(is_known) {
            found.push((interface.interface_name, ip));
        }
    }
    Ok(found.into_iter().map(|(_, ip)| ip).collect())
}

fn ip(address: &nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| v4.ip().into());
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| v6.ip().into()))
}

/// The number of the interface with an address.
fn interface_of(address: Ipv6Addr) -> io::Result<u32> {
    let has = |interface: &nix::ifaddrs::InterfaceAddress| {
        interface.address.as_ref().and_then(ip) == Some(address.into())
    };
    let interface = getifaddrs()?.find(has).ok_or_else(|| {
        io::Error::new(io::ErrorKind::AddrNotAvailable, format!("no interface has the address {address}"))
    })?;
    Ok(if_nametoindex(interface.interface_name.as_str())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn group() -> SocketAddr {
        // Of the block for documentation, at a port of this process alone.
        SocketAddr::from(([233, 252, 0, 7], 20_000 + (std::process::id() % 20_000) as u16))
    }

    #[tokio::test]
    async fn all_who_joined_hear_what_one_says() {
        let network = Network::new();
        let join = |last| network.multicast(group(), IpAddr::from([127, 77, 0, last]));
        let (one, two) = (join(1).expect("joined"), join(2).expect("joined"));
        one.send(b"hello").await.expect("sent");
        for member in [&one, &two] {
            let mut buffer = [0; 16];
            let heard = tokio::time::timeout(Duration::from_secs(20), member.receive(&mut buffer));
            let (octets, from) = heard.await.expect("in time").expect("received");
            assert_eq!((&buffer[..octets], from.ip()), (&b"hello"[..], one.address()));
        }
    }

    #[tokio::test]
    async fn what_cannot_be_joined_is_refused() {
        let network = Network::new();
        assert!(network.multicast(group(), Ipv6Addr::LOCALHOST.into()).is_err());
        assert!(network.multicast(group(), IpAddr::from([192, 0, 2, 77])).is_err());
        assert!(multicast_addresses().expect("told").iter().all(|address| !address.is_loopback()));
    }
}
