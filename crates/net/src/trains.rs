//! UDP for bulk: trains of datagrams, cut and joined by the system, so that one
//! system call carries up to 64 KiB of them.
//!
//! What is sent is gathered from where it lies (a header here, a payload there),
//! and what arrives is handed out as it lies in the buffer it was received into.
//! Datagrams are not fragmented unless they say so, whatever the system believes
//! about the path: a transport that looks for the path's MTU stands above.
//!
//! Where the [`Network`](crate::Network) has layers, or a proxy carries them on,
//! datagrams take the longer way, one by one.

mod arrivals;
mod wire;

use crate::layer::Layers;
use crate::socks::RelayedDatagram;
use crate::{Datagrams, message};
pub use arrivals::{Arrival, Arrivals};
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use wire::Wire;

/// Datagrams in one train at most (UDP_MAX_SEGMENTS of Linux 4.18).
pub const TRAIN_DATAGRAMS_MAX: usize = 64;
/// Octets in one train at most: the largest datagram of IPv4, and within that of
/// IPv6.
pub const TRAIN_OCTETS_MAX: usize = 65_507;
/// Parts of one train at most, as the system takes them (UIO_MAXIOV).
pub const TRAIN_PARTS_MAX: usize = 1_024;

/// Datagrams to one receiver. All are of one size but the last, which may be
/// shorter; none of the parts belongs to two of them.
#[derive(Debug, Clone, Copy)]
pub struct Train<'a> {
    /// To whom.
    pub to: SocketAddr,
    /// Our address it leaves from, where the socket is bound to all of them.
    pub from: Option<IpAddr>,
    /// What they carry, in order.
    pub parts: &'a [IoSlice<'a>],
    /// How large each of them is but the last.
    pub datagram_octets: usize,
    /// Whether they may be fragmented on their way.
    pub fragmentable: bool,
}

/// A datagram socket for bulk. All methods take `&self`; one task should receive.
#[derive(Debug)]
pub struct Trains {
    kind: Kind,
    local: SocketAddr,
}

#[derive(Debug)]
enum Kind {
    Direct(Wire),
    OneByOne(Datagrams),
}

impl Trains {
    pub(crate) fn new(
        socket: std::net::UdpSocket,
        receive_buffer_octets: usize,
        layers: Layers,
    ) -> io::Result<Self> {
        let local = socket.local_addr()?;
        // The system gives at most what net.core.rmem_max allows.
        socket2::SockRef::from(&socket).set_recv_buffer_size(receive_buffer_octets)?;
        message::forbid_fragments(socket.as_fd(), local.is_ipv4(), true)?;
        let kind = if layers.is_empty() {
            Kind::Direct(Wire::new(socket, local)?)
        } else {
            Kind::OneByOne(Datagrams::new(socket, None, layers)?)
        };
        Ok(Self { kind, local })
    }

    /// All of them by a socket that sends one at a time.
    pub(crate) fn one_by_one(datagrams: Datagrams, receive_buffer_octets: usize) -> io::Result<Self> {
        socket2::SockRef::from(&datagrams).set_recv_buffer_size(receive_buffer_octets)?;
        Ok(Self { local: datagrams.bound(), kind: Kind::OneByOne(datagrams) })
    }

    /// Whether a proxy carries them on, to any address of either family.
    pub fn is_relayed(&self) -> bool {
        matches!(&self.kind, Kind::OneByOne(datagrams) if datagrams.is_relayed())
    }

    /// Where it is bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Waits for datagrams and takes those that are there, as many as `arrivals`
    /// has room for. May be dropped while it waits without losing any.
    pub async fn receive(&self, arrivals: &mut Arrivals) -> io::Result<()> {
        match &self.kind {
            Kind::Direct(wire) => wire.receive(arrivals).await,
            Kind::OneByOne(datagrams) => arrivals.take_one(datagrams, self.local).await,
        }
    }

    /// Sends trains. What the system cannot send (its receiver unreachable, too
    /// large for the link) is lost, as on a wire.
    ///
    /// # Errors
    /// When the socket itself fails.
    pub async fn send(&self, trains: &[Train<'_>]) -> io::Result<()> {
        match &self.kind {
            Kind::Direct(wire) => wire.send(trains).await,
            Kind::OneByOne(datagrams) => {
                for train in trains {
                    for parts in train.datagrams() {
                        let octets: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
                        let from = train.from.unwrap_or_else(|| self.local.ip());
                        datagrams.send_from(&octets, SocketAddr::new(from, 0), train.to).await.ok();
                    }
                }
                Ok(())
            }
        }
    }

    /// Sends one datagram.
    pub async fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        let parts = [IoSlice::new(datagram)];
        let datagram_octets = datagram.len().max(1);
        self.send(&[Train { to, from: None, parts: &parts, datagram_octets, fragmentable: true }]).await
    }

    /// The largest datagram (its payload, in octets) that the first link of the
    /// way to `to` carries; the path may carry less. Nothing is sent.
    ///
    /// # Errors
    /// When there is no way to it.
    pub fn link_datagram_octets(&self, to: SocketAddr) -> io::Result<usize> {
        match &self.kind {
            Kind::OneByOne(datagrams) if datagrams.is_relayed() => {
                let relay = datagrams.next_hop(to).ok_or(io::ErrorKind::NotConnected)?;
                Ok(self.link_octets(relay)?.saturating_sub(RelayedDatagram::head_octets(to)))
            }
            _ => self.link_octets(to),
        }
    }

    fn link_octets(&self, to: SocketAddr) -> io::Result<usize> {
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let bound = if self.local.ip().is_unspecified() {
            std::net::UdpSocket::bind(any)?
        } else {
            std::net::UdpSocket::bind(SocketAddr::new(self.local.ip(), 0))?
        };
        bound.connect(to)?;
        let (level, name, headers) = if to.is_ipv4() {
            (libc::IPPROTO_IP, libc::IP_MTU, 28)
        } else {
            (libc::IPPROTO_IPV6, libc::IPV6_MTU, 48)
        };
        let mtu = message::option(bound.as_fd(), level, name)?;
        Ok(usize::try_from(mtu).unwrap_or(0).saturating_sub(headers).min(TRAIN_OCTETS_MAX))
    }
}

impl<'a> Train<'a> {
    /// The parts of each datagram.
    fn datagrams(&self) -> impl Iterator<Item = &'a [IoSlice<'a>]> {
        let (size, mut rest) = (self.datagram_octets, self.parts);
        std::iter::from_fn(move || {
            let mut octets = 0;
            let count = rest
                .iter()
                .take_while(|part| {
                    let fits = octets < size;
                    octets += part.len();
                    fits
                })
                .count();
            let (datagram, after) = rest.split_at_checked(count)?;
            rest = after;
            (!datagram.is_empty()).then_some(datagram)
        })
    }

    /// How many octets there are in all.
    fn octets(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_train_is_cut_between_its_parts() {
        let parts: Vec<_> = [&b"ab"[..], b"cde", b"fghij", b"k"].into_iter().map(IoSlice::new).collect();
        let to = "127.0.0.1:1".parse().expect("an address");
        let train = Train { to, from: None, parts: &parts, datagram_octets: 5, fragmentable: false };
        let counts: Vec<_> = train.datagrams().map(<[_]>::len).collect();
        assert_eq!((counts, train.octets()), (vec![2, 1, 1], 11));
    }
}
