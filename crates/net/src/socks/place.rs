//! Places as SOCKS5 writes them, and the datagrams that carry one before their
//! octets (RFC 1928 sections 5 and 7).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Octets of a host's name at most: its length is told in one.
pub(super) const NAME_OCTETS_MAX: usize = 255;
/// Octets of the head of a datagram whose place is an IPv4 address.
const HEAD_OCTETS_V4: usize = 10;

/// Where something leads to or comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// An address.
    Address(SocketAddr),
    /// A host's name, which the proxy looks up, and a port.
    Name(&'a str, u16),
}

impl<'a> Place<'a> {
    /// A host by its name, or by its address where the name is one.
    pub fn of(host: &'a str, port: u16) -> Self {
        match host.parse() {
            Ok(ip) => Self::Address(SocketAddr::new(ip, port)),
            Err(_) => Self::Name(host, port),
        }
    }

    /// Appends its kind, address and port.
    ///
    /// # Errors
    /// When a name is empty or longer than 255 octets.
    pub(super) fn write(self, out: &mut Vec<u8>) -> io::Result<()> {
        let port = match self {
            Self::Address(address) => {
                match address.ip() {
                    IpAddr::V4(ip) => {
                        out.push(1);
                        out.extend_from_slice(&ip.octets());
                    }
                    IpAddr::V6(ip) => {
                        out.push(4);
                        out.extend_from_slice(&ip.octets());
                    }
                }
                address.port()
            }
            Self::Name(name, port) => {
                if name.is_empty() || name.len() > NAME_OCTETS_MAX {
                    let why = format!("{name:?} is no host name");
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
                }
                out.extend_from_slice(&[3, name.len() as u8]);
                out.extend_from_slice(name.as_bytes());
                port
            }
        };
        out.extend_from_slice(&port.to_be_bytes());
        Ok(())
    }

    /// Reads kind, address and port; gives what follows, too.
    pub(super) fn read(octets: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (kind, rest) = octets.split_first()?;
        let (host, rest) = match kind {
            1 => {
                let (ip, rest) = rest.split_first_chunk::<4>()?;
                (Ok(IpAddr::from(Ipv4Addr::from(*ip))), rest)
            }
            3 => {
                let (length, rest) = rest.split_first()?;
                let (name, rest) = rest.split_at_checked(usize::from(*length))?;
                (Err(std::str::from_utf8(name).ok().filter(|name| !name.is_empty())?), rest)
            }
            4 => {
                let (ip, rest) = rest.split_first_chunk::<16>()?;
                (Ok(IpAddr::from(Ipv6Addr::from(*ip))), rest)
            }
            _ => return None,
        };
        let (port, rest) = rest.split_first_chunk()?;
        let port = u16::from_be_bytes(*port);
        let place = match host {
            Ok(ip) => Self::Address(SocketAddr::new(ip, port)),
            Err(name) => Self::Name(name, port),
        };
        Some((place, rest))
    }
}

/// A datagram on its way between us and a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayedDatagram<'a> {
    /// To whom it goes on, or from whom it came.
    pub place: Place<'a>,
    /// What it carries.
    pub octets: &'a [u8],
}

impl<'a> RelayedDatagram<'a> {
    /// Octets before those that it carries, where the place is an address.
    pub const HEAD_OCTETS_MAX: usize = 22;

    /// Reads one. `None` where it is none, or a fragment, which nobody sends and
    /// nobody need put together (RFC 1928 section 7).
    pub fn read(datagram: &'a [u8]) -> Option<Self> {
        let ([_, _, 0], rest) = datagram.split_first_chunk()? else { return None };
        let (place, octets) = Place::read(rest)?;
        Some(Self { place, octets })
    }

    /// The datagram as the proxy takes it.
    ///
    /// # Errors
    /// When a name is empty or longer than 255 octets.
    pub fn to_octets(&self) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(Self::HEAD_OCTETS_MAX + self.octets.len());
        out.extend_from_slice(&[0, 0, 0]);
        self.place.write(&mut out)?;
        out.extend_from_slice(self.octets);
        Ok(out)
    }

    /// How much longer a datagram to an address gets.
    pub(crate) fn head_octets(to: SocketAddr) -> usize {
        if to.is_ipv4() { HEAD_OCTETS_V4 } else { Self::HEAD_OCTETS_MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_written_as_they_are_read() {
        let v4: SocketAddr = "192.0.2.1:6881".parse().expect("an address");
        let v6: SocketAddr = "[2001:db8::1]:80".parse().expect("an address");
        for place in [Place::Address(v4), Place::Address(v6), Place::Name("t.test", 53)] {
            let datagram = RelayedDatagram { place, octets: b"abc" };
            let octets = datagram.to_octets().expect("a place");
            assert_eq!(RelayedDatagram::read(&octets), Some(datagram));
            if let Place::Address(address) = place {
                assert_eq!(octets.len(), RelayedDatagram::head_octets(address) + 3);
            }
            for end in 0..octets.len() - 3 {
                assert_eq!(RelayedDatagram::read(&octets[..end]), None, "{end}");
            }
        }
        let first = RelayedDatagram { place: Place::Address(v4), octets: b"a" }.to_octets().expect("a place");
        assert_eq!(first, [0, 0, 0, 1, 192, 0, 2, 1, 0x1a, 0xe1, b'a']);
    }

    #[test]
    fn fragments_and_nonsense_are_none() {
        for wrong in [
            &[0, 0, 1, 1, 1, 2, 3, 4, 0, 9, 0][..],
            &[0, 0, 0, 2, 1, 2, 3, 4, 0, 9],
            &[0, 0, 0, 3, 0, 0, 9],
            &[0, 0, 0, 3, 2, 0xff, 0xff, 0, 9],
            &[0, 0, 0, 3, 255, b'a', 0, 9],
            &[],
        ] {
            assert_eq!(RelayedDatagram::read(wrong), None, "{wrong:?}");
        }
        let long = "x".repeat(NAME_OCTETS_MAX + 1);
        for name in ["", &long] {
            assert!(RelayedDatagram { place: Place::Name(name, 1), octets: &[] }.to_octets().is_err());
        }
    }
}
