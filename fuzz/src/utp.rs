//! uTP: one packet, and any packets through an endpoint.

use bittorrent::utp::{
    EXTENSIONS_MAX, Extensions, HEADER_OCTETS, HEADER_ROOM_OCTETS, Packet, SelectiveAck, exercise, is_utp,
};
use std::time::Instant;

/// Datagrams that came to a uTP socket.
pub fn utp(input: &[u8]) {
    packet(input);
    // Each behind its length and the time that passes.
    exercise(Instant::now(), input);
}

fn packet(input: &[u8]) {
    let packet = match Packet::parse(input) {
        Ok(packet) => packet,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert!(is_utp(input));
    assert!(input.ends_with(packet.payload));
    let extensions = input.len() - packet.payload.len() - HEADER_OCTETS;
    assert!(extensions <= EXTENSIONS_MAX * 257);
    let bits: Vec<bool> = packet.selective_ack.into_iter().flat_map(SelectiveAck::arrived).collect();
    assert!(bits.len() <= 255 * 8);
    // Whole groups of four octets are written again, in the order in which they came.
    let octets: Vec<u8> = bits
        .chunks(8)
        .map(|bits| bits.iter().rev().fold(0, |octet, bit| octet << 1 | u8::from(*bit)))
        .collect();
    let mut written = Vec::new();
    let extensions = Extensions { selective_ack: &octets, datagram_octets_max: packet.datagram_octets_max };
    packet.header.write(extensions, &mut written);
    assert!(written.len() <= HEADER_ROOM_OCTETS + 4);
    let again = Packet::parse(&written).expect("what is written can be read");
    assert_eq!((again.header, again.datagram_octets_max), (packet.header, packet.datagram_octets_max));
    let bits_again: Vec<bool> = again.selective_ack.into_iter().flat_map(SelectiveAck::arrived).collect();
    assert_eq!(bits_again, bits[..bits_again.len()]);
    assert_eq!(bits_again.len() / 32, (octets.len().min(252)) / 4);
}
