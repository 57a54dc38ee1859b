//! Where nodes and peers are, and the compact forms of it (BEP 5, "Contact
//! Encoding"; BEP 32).

use super::id::{ID_OCTETS, Id};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One of the two independent networks (BEP 32, "Operation").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A node: its id and where it listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Contact {
    /// Its id.
    pub id: Id,
    /// Its UDP address.
    pub address: SocketAddr,
}

impl Family {
    /// Both.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// That of an address.
    pub const fn of(address: &SocketAddr) -> Self {
        match address {
            SocketAddr::V4(_) => Self::V4,
            SocketAddr::V6(_) => Self::V6,
        }
    }

    /// Octets of a compact address: 4 or 16 and the port.
    pub const fn address_octets(self) -> usize {
        match self {
            Self::V4 => 6,
            Self::V6 => 18,
        }
    }
}

/// The compact form of an address: 6 or 18 octets.
pub fn write_address(address: &SocketAddr, out: &mut Vec<u8>) {
    match address.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&address.port().to_be_bytes());
}

/// Reads a compact address; `None` unless there are 6 or 18 octets.
pub fn read_address(octets: &[u8]) -> Option<SocketAddr> {
    let (ip, port) = octets.split_last_chunk::<2>()?;
    let ip: IpAddr = if let Ok(ip) = <[u8; 4]>::try_from(ip) {
        Ipv4Addr::from(ip).into()
    } else {
        Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?).into()
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes(*port)))
}

/// The compact form of nodes of one family, 26 or 38 octets each; those of the
/// other family are left out.
pub fn write_contacts(contacts: &[Contact], family: Family) -> Vec<u8> {
    let mut out = Vec::with_capacity(contacts.len() * (ID_OCTETS + family.address_octets()));
    for contact in contacts.iter().filter(|contact| Family::of(&contact.address) == family) {
        out.extend_from_slice(contact.id.as_ref());
        write_address(&contact.address, &mut out);
    }
    out
}

/// Reads at most `count_max` compact nodes of one family. Octets that are too
/// few for another node and addresses nobody can be at are passed over.
pub fn read_contacts(octets: &[u8], family: Family, count_max: usize) -> Vec<Contact> {
    let one = |octets: &[u8]| {
        let (id, address) = octets.split_first_chunk::<ID_OCTETS>()?;
        let address = read_address(address).filter(is_usable)?;
        Some(Contact { id: Id::new(*id), address })
    };
    octets.chunks_exact(ID_OCTETS + family.address_octets()).take(count_max).filter_map(one).collect()
}

/// Whether somebody could be at an address: not port 0, not an address that
/// means nobody or many.
pub fn is_usable(address: &SocketAddr) -> bool {
    let ip = address.ip();
    let many = match ip {
        IpAddr::V4(ip) => ip.is_broadcast(),
        // A node that is reached by IPv4 belongs into the other network.
        IpAddr::V6(ip) => ip.to_ipv4_mapped().is_some(),
    };
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !many
}

/// Whether an address is of a local network: exempt from the rules that tie
/// ids to addresses (BEP 42, "Enforcement"; for IPv6 loopback, link-local and
/// unique local addresses) and from our own bounds on nodes of one address.
pub fn is_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Whom an address counts as: an IPv4 address, or an IPv6 network of 64 bits,
/// which is what one subscriber has (BEP 42 also reads no more of it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Holder(u64);

impl Holder {
    /// Of this address.
    pub fn of(ip: &IpAddr) -> Self {
        match ip {
            // No IPv6 unicast prefix is that small.
            IpAddr::V4(ip) => Self(ip.to_bits().into()),
            IpAddr::V6(ip) => Self((ip.to_bits() >> 64) as u64),
        }
    }

    /// The network it lies in: 24 bits of IPv4, 48 of IPv6.
    pub fn network(ip: &IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self((ip.to_bits() >> 8).into()),
            IpAddr::V6(ip) => Self((ip.to_bits() >> 80) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn addresses() -> impl Strategy<Value = SocketAddr> {
        (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
    }

    #[test]
    fn cut_and_impossible_contacts_are_passed_over() {
        let good = Contact { id: Id::new([7; 20]), address: "192.0.2.1:6881".parse().expect("an address") };
        let mut octets = Vec::new();
        for address in ["192.0.2.1:0", "0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "192.0.2.1:6881"] {
            let contact = Contact { address: address.parse().expect("an address"), ..good };
            octets.extend(write_contacts(&[contact], Family::V4));
        }
        octets.extend_from_slice(&[1; 25]);
        assert_eq!(read_contacts(&octets, Family::V4, 8), [good]);
        assert_eq!(read_contacts(&octets, Family::V4, 4), []);
        assert_eq!(write_contacts(&[good], Family::V6), []);
        let mapped = Contact { address: "[::ffff:192.0.2.1]:1".parse().expect("an address"), ..good };
        assert_eq!(read_contacts(&write_contacts(&[mapped], Family::V6), Family::V6, 8), []);
    }

    #[test]
    fn holders_and_networks_group_addresses() {
        let holder = |ip: &str| Holder::of(&ip.parse().expect("an address"));
        let network = |ip: &str| Holder::network(&ip.parse().expect("an address"));
        assert_ne!(holder("192.0.2.1"), holder("192.0.2.2"));
        assert_eq!(network("192.0.2.1"), network("192.0.2.2"));
        assert_ne!(network("192.0.2.1"), network("192.0.3.1"));
        assert_eq!(holder("2001:db8:0:1::1"), holder("2001:db8:0:1:ffff::2"));
        assert_ne!(holder("2001:db8:0:1::1"), holder("2001:db8:0:2::1"));
        assert_eq!(network("2001:db8:0:1::1"), network("2001:db8:0:2::1"));
    }

    proptest! {
        #[test]
        fn compact_addresses_read_the_same(address in addresses()) {
            let mut octets = Vec::new();
            write_address(&address, &mut octets);
            prop_assert_eq!(octets.len(), Family::of(&address).address_octets());
            prop_assert_eq!(read_address(&octets), Some(address));
        }

        #[test]
        fn no_octets_are_too_odd(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            for family in Family::BOTH {
                let contacts = read_contacts(&octets, family, 3);
                prop_assert!(contacts.len() <= 3);
                prop_assert!(contacts.iter().all(|contact| Family::of(&contact.address) == family));
            }
            read_address(&octets);
        }
    }
}
