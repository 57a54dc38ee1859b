//! Lists of addresses that are not spoken with, as pages give them away.

use bittorrent::ip_filter::{IpFilter, RANGES_MAX};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A list: read, it blocks what one of its lines alone blocks.
pub fn ip_filter(input: &[u8]) {
    let Ok((filter, summary)) = IpFilter::read(input) else { return };
    let lines = input.split(|octet| *octet == b'\n').count();
    assert!(summary.entries + summary.unreadable <= lines);
    assert_eq!(summary.unreadable > 0, summary.first_unreadable.is_some());
    assert!(filter.len() <= summary.entries && filter.len() <= RANGES_MAX);
    let (head, _) = input.as_chunks::<16>();
    for octets in head.iter().take(20) {
        let bits = u128::from_be_bytes(*octets);
        for address in [IpAddr::V4(Ipv4Addr::from_bits(bits as u32)), IpAddr::V6(Ipv6Addr::from_bits(bits))] {
            let alone = |line: &[u8]| IpFilter::read(line).is_ok_and(|(filter, _)| filter.blocks(address));
            let by_a_line = input.split(|octet| *octet == b'\n').any(alone);
            assert_eq!(filter.blocks(address), by_a_line, "{address}");
        }
    }
}
