//! Packets as they would have stood on the wire: IPv4 (RFC 791) or IPv6 (RFC
//! 8200) around UDP (RFC 768) or TCP (RFC 9293), with lengths and checksums.

use std::net::{IpAddr, SocketAddr};

const TCP: u8 = 6;
const UDP: u8 = 17;
const HOP_LIMIT: u8 = 64;
const TCP_HEADER_OCTETS: usize = 20;
const UDP_HEADER_OCTETS: usize = 8;
const WINDOW: u16 = u16::MAX;

/// What fits into one segment, however large the read was.
pub(crate) const SEGMENT_OCTETS_MAX: usize = 16_384;

/// Flags of a TCP segment (RFC 9293 section 3.1).
pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

/// What stands in a TCP header beside the ports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    pub(crate) flags: u8,
}

/// A UDP datagram in its IP packet.
pub(crate) fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let length = UDP_HEADER_OCTETS + payload.len();
    let mut packet = ip(from.ip(), to.ip(), UDP, length);
    let start = packet.len();
    packet.extend(from.port().to_be_bytes());
    packet.extend(to.port().to_be_bytes());
    packet.extend((length as u16).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(payload);
    let sum = match checksum(pseudo_header(from.ip(), to.ip(), UDP, length), &packet[start..]) {
        // Zero would say that there is none.
        0 => u16::MAX,
        sum => sum,
    };
    packet[start + 6..start + 8].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// A TCP segment in its IP packet.
pub(crate) fn tcp(from: SocketAddr, to: SocketAddr, segment: Segment, payload: &[u8]) -> Vec<u8> {
    let length = TCP_HEADER_OCTETS + payload.len();
    let mut packet = ip(from.ip(), to.ip(), TCP, length);
    let start = packet.len();
    packet.extend(from.port().to_be_bytes());
    packet.extend(to.port().to_be_bytes());
    packet.extend(segment.sequence.to_be_bytes());
    packet.extend(segment.acknowledgement.to_be_bytes());
    packet.push((TCP_HEADER_OCTETS as u8 / 4) << 4);
    packet.push(segment.flags);
    packet.extend(WINDOW.to_be_bytes());
    packet.extend([0, 0, 0, 0]);
    packet.extend(payload);
    let sum = checksum(pseudo_header(from.ip(), to.ip(), TCP, length), &packet[start..]);
    packet[start + 16..start + 18].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// The IP header of a packet that carries `length` octets.
fn ip(from: IpAddr, to: IpAddr, protocol: u8, length: usize) -> Vec<u8> {
    let mut header = Vec::with_capacity(40 + length);
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            header.extend([0x45, 0]);
            header.extend(((20 + length) as u16).to_be_bytes());
            // Identification 0, don't fragment (RFC 6864 section 4).
            header.extend([0, 0, 0x40, 0, HOP_LIMIT, protocol, 0, 0]);
            header.extend(from.octets());
            header.extend(to.octets());
            let sum = checksum(0, &header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        _ => {
            header.extend([0x60, 0, 0, 0]);
            header.extend((length as u16).to_be_bytes());
            header.extend([protocol, HOP_LIMIT]);
            header.extend(six(from));
            header.extend(six(to));
        }
    }
    header
}

fn six(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// What TCP and UDP sum up beside themselves (RFC 9293 section 3.1, RFC 8200
/// section 8.1).
fn pseudo_header(from: IpAddr, to: IpAddr, protocol: u8, length: usize) -> u32 {
    let addresses = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => sum(&from.octets()) + sum(&to.octets()),
        _ => sum(&six(from)) + sum(&six(to)),
    };
    addresses + u32::from(protocol) + length as u32
}

/// The Internet checksum (RFC 1071).
fn checksum(start: u32, octets: &[u8]) -> u16 {
    let mut total = start + sum(octets);
    while total > 0xFFFF {
        total = (total & 0xFFFF) + (total >> 16);
    }
    !(total as u16)
}

/// Big-endian pairs, added up; at most 64 KiB, so that nothing overflows.
fn sum(octets: &[u8]) -> u32 {
    octets
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => u32::from(u16::from_be_bytes([high, low])),
            [high] => u32::from(high) << 8,
            _ => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 1071 section 3.
    #[test]
    fn adds_up_as_in_rfc_1071() {
        assert_eq!(checksum(0, &[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    /// A header summed over its own checksum gives zero.
    #[test]
    fn sums_to_zero_over_what_it_wrote() {
        let (from, to) = ("127.0.0.1:53".parse().unwrap(), "127.0.0.2:5353".parse().unwrap());
        let packet = udp(from, to, b"odd");
        assert_eq!(checksum(0, &packet[..20]), 0);
        assert_eq!(checksum(pseudo_header(from.ip(), to.ip(), UDP, 11), &packet[20..]), 0);
        let (from, to) = ("[::1]:25".parse().unwrap(), "[::1]:40000".parse().unwrap());
        let segment = Segment { sequence: 1, acknowledgement: 2, flags: ACK };
        let packet = tcp(from, to, segment, b"EHLO");
        assert_eq!(checksum(pseudo_header(from.ip(), to.ip(), TCP, 24), &packet[40..]), 0);
    }
}
