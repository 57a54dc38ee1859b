//! Which of two connections all peers of a swarm hold to be worth more.

use std::net::{IpAddr, SocketAddr};

/// The canonical priority of a connection between two peers (BEP 40): the same
/// whoever computes it, the higher the better. An address of IPv4 mapped into
/// IPv6 counts as what it is; IPv4 with IPv6 has no rule and is as IPv6.
pub fn peer_priority(one: SocketAddr, other: SocketAddr) -> u32 {
    match (one.ip().to_canonical(), other.ip().to_canonical()) {
        (a, b) if a == b => sorted_checksum(&one.port().to_be_bytes(), &other.port().to_be_bytes()),
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let (a, b) = (a.octets(), b.octets());
            sorted_checksum(&masked(a, &a, &b, 2), &masked(b, &a, &b, 2))
        }
        (a, b) => {
            let (a, b) = (mapped(a), mapped(b));
            sorted_checksum(&masked(a, &a, &b, 6), &masked(b, &a, &b, 6))
        }
    }
}

fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// The address under the mask: `whole` octets as they are and all others but for
/// the bits of 0x55. The more octets both addresses have in common at their
/// beginning, the more stay whole: one more than they have in common.
fn masked<const N: usize>(address: [u8; N], a: &[u8; N], b: &[u8; N], whole: usize) -> [u8; N] {
    let common = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let whole = if common < whole { whole } else { common + 1 };
    let mut masked = address;
    for octet in masked.iter_mut().skip(whole) {
        *octet &= 0x55;
    }
    masked
}

fn sorted_checksum(one: &[u8], other: &[u8]) -> u32 {
    let (first, second) = if one <= other { (one, other) } else { (other, one) };
    !first.iter().chain(second).copied().fold(u32::MAX, crc32c_step)
}

/// CRC-32C, the polynomial of Castagnoli, reflected. So few octets need no
/// table.
fn crc32c_step(checksum: u32, octet: u8) -> u32 {
    (0..8).fold(checksum ^ u32::from(octet), |checksum, _| {
        checksum >> 1 ^ if checksum & 1 == 1 { 0x82f6_3b78 } else { 0 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn priority(one: &str, other: &str) -> u32 {
        let address = |text: &str| SocketAddr::new(text.parse().expect("an address"), 6_881);
        peer_priority(address(one), address(other))
    }

    fn checksum(octets: &[u8]) -> u32 {
        !octets.iter().copied().fold(u32::MAX, crc32c_step)
    }

    #[test]
    fn the_vectors_of_bep_40_hold() {
        assert_eq!(priority("123.213.32.10", "98.76.54.32"), 0xec2d_7224);
        assert_eq!(priority("123.213.32.10", "123.213.32.234"), 0x9956_8189);
        assert_eq!(priority("98.76.54.32", "123.213.32.10"), 0xec2d_7224);
        // The checksum itself, as every list of them has it.
        assert_eq!(checksum(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn masks_widen_with_what_addresses_have_in_common() {
        let of = |octets: [u8; 8]| checksum(&octets);
        assert_eq!(priority("10.1.255.255", "10.2.255.254"), of([10, 1, 0x55, 0x55, 10, 2, 0x55, 0x54]));
        assert_eq!(priority("10.1.3.255", "10.1.2.254"), of([10, 1, 2, 0x54, 10, 1, 3, 0x55]));
        assert_eq!(priority("10.1.3.255", "10.1.3.254"), of([10, 1, 3, 254, 10, 1, 3, 255]));
        let ports =
            |a, b| peer_priority(SocketAddr::from(([1, 2, 3, 4], a)), SocketAddr::from(([1, 2, 3, 4], b)));
        assert_eq!(ports(0x0102, 0x0001), checksum(&[0, 1, 1, 2]));

        let six = |one: &str, other: &str, expected: [&str; 2]| {
            let octets =
                expected.map(|text| text.parse::<std::net::Ipv6Addr>().expect("an address").octets());
            assert_eq!(priority(one, other), checksum(&octets.concat()), "{one} {other}");
        };
        six("2001:db8:1::ffff", "2001:db8:2::ffff", ["2001:db8:1::5555", "2001:db8:2::5555"]);
        six("2001:db8:1:ff00::ff", "2001:db8:1:fe00::ff", ["2001:db8:1:fe00::55", "2001:db8:1:ff00::55"]);
        six("2001:db8:1:1f::ff", "2001:db8:1:1e::fe", ["2001:db8:1:1e::54", "2001:db8:1:1f::55"]);
        six("2001:db8::ff", "2001:db8::fe", ["2001:db8::fe", "2001:db8::ff"]);
    }

    #[test]
    fn mapped_addresses_are_those_they_map() {
        assert_eq!(priority("::ffff:123.213.32.10", "98.76.54.32"), 0xec2d_7224);
        assert_eq!(priority("::ffff:1.2.3.4", "1.2.3.4"), checksum(&[0x1a, 0xe1, 0x1a, 0xe1]));
    }

    proptest! {
        #[test]
        fn both_ends_agree(one: [u8; 16], other: [u8; 16], ports: (u16, u16), four: bool) {
            let address = |octets: [u8; 16], port| match (four, octets.first_chunk::<4>()) {
                (true, Some(octets)) => SocketAddr::from((*octets, port)),
                _ => SocketAddr::from((octets, port)),
            };
            let (one, other) = (address(one, ports.0), address(other, ports.1));
            prop_assert_eq!(peer_priority(one, other), peer_priority(other, one));
        }
    }
}
