//! One packet of uTP: a checked view of octets from outside, and the header we
//! write (BEP 29 "header format").

use super::sequence::Seq;
use thiserror::Error;

/// The header without extensions, in octets.
pub const HEADER_OCTETS: usize = 20;
/// Extensions read in one packet; a longer chain is refused, so that a datagram
/// full of them costs nothing.
pub const EXTENSIONS_MAX: usize = 16;
/// Octets of the longest selective ack: the length is one octet, and a multiple
/// of four (BEP 29 "selective ACK").
pub const SELECTIVE_ACK_OCTETS_MAX: usize = 252;
/// What we write at most before a payload: header and the selective ack.
pub const HEADER_ROOM_OCTETS: usize = HEADER_OCTETS + 2 + SELECTIVE_ACK_OCTETS_MAX;

const VERSION: u8 = 1;
const EXTENSION_NONE: u8 = 0;
const EXTENSION_SELECTIVE_ACK: u8 = 1;
/// Our own extension of SYN and its answer: two octets, the largest datagram the
/// sender can receive. Others skip what they do not know (BEP 29 "extension");
/// without it nobody is sent more than an Ethernet frame holds, because
/// receivers with a buffer of 1,500 octets cut longer datagrams and take the
/// rest for the whole.
const EXTENSION_DATAGRAM_OCTETS: u8 = 0x75;

/// What a packet is for (BEP 29 "type").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ST_DATA: carries octets of the connection.
    Data,
    /// ST_FIN: the last packet of its sender.
    Fin,
    /// ST_STATE: an acknowledgement; has no sequence number of its own.
    State,
    /// ST_RESET: the connection is gone.
    Reset,
    /// ST_SYN: opens a connection.
    Syn,
}

/// The fixed header (BEP 29).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the packet is for.
    pub kind: Kind,
    /// Which connection it belongs to, as its receiver knows it.
    pub connection_id: u16,
    /// The sender's clock, in microseconds; wraps.
    pub timestamp_microseconds: u32,
    /// How long the last packet of the other side took by both clocks, in
    /// microseconds; 0 when none came yet.
    pub timestamp_difference_microseconds: u32,
    /// Octets the sender has room for.
    pub window_octets: u32,
    /// The packet's number; of a State, the number the next one will have.
    pub seq_nr: Seq,
    /// The last packet that arrived in order.
    pub ack_nr: Seq,
}

/// A packet that arrived; borrows from its octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The fixed header.
    pub header: Header,
    /// Bits of the packets that arrived out of order, the first for `ack_nr + 2`.
    pub selective_ack: Option<SelectiveAck<'a>>,
    /// The largest datagram its sender can receive, where it says so.
    pub datagram_octets_max: Option<u16>,
    /// What it carries.
    pub payload: &'a [u8],
}

/// The bit mask of a selective ack (BEP 29).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelectiveAck<'a>(&'a [u8]);

/// What is written in front of a payload beside the fixed header.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extensions<'a> {
    /// The bit mask, a multiple of four octets, at most
    /// [`SELECTIVE_ACK_OCTETS_MAX`]; left out when empty.
    pub selective_ack: &'a [u8],
    /// The largest datagram we can receive.
    pub datagram_octets_max: Option<u16>,
}

/// Why octets are no packet of uTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PacketError {
    /// Shorter than a header.
    #[error("{0} octets are less than a header of uTP")]
    Short(usize),
    /// Another version of the protocol, or another protocol.
    #[error("version {0} of uTP is unknown")]
    Version(u8),
    /// A type that does not exist.
    #[error("type {0} of uTP is unknown")]
    Type(u8),
    /// The chain of extensions leaves the packet.
    #[error("extension {number} ends beyond the packet")]
    ExtensionEnd {
        /// Which one, from 0.
        number: usize,
    },
    /// More than [`EXTENSIONS_MAX`].
    #[error("more than {EXTENSIONS_MAX} extensions")]
    TooManyExtensions,
}

/// Whether the first octet may begin a packet of uTP: where DHT and trackers
/// share the port, theirs begin with `d` and with zeros.
pub fn is_utp(octets: &[u8]) -> bool {
    octets.len() >= HEADER_OCTETS
        && octets.first().is_some_and(|first| first & 0x0F == VERSION && first >> 4 <= 4)
}

impl<'a> Packet<'a> {
    /// Reads a packet. Unknown extensions are skipped, as BEP 29 demands.
    pub fn parse(octets: &'a [u8]) -> Result<Self, PacketError> {
        let Some((fixed, mut rest)) = octets.split_first_chunk::<HEADER_OCTETS>() else {
            return Err(PacketError::Short(octets.len()));
        };
        let header = Header::parse(fixed)?;
        let mut packet = Self { header, selective_ack: None, datagram_octets_max: None, payload: rest };
        let mut extension = fixed[1];
        let mut number = 0;
        while extension != EXTENSION_NONE {
            if number == EXTENSIONS_MAX {
                return Err(PacketError::TooManyExtensions);
            }
            let end = PacketError::ExtensionEnd { number };
            let (&[next, length], after) = rest.split_first_chunk::<2>().ok_or(end)?;
            let (content, after) = after.split_at_checked(usize::from(length)).ok_or(end)?;
            match (extension, content) {
                // BEP 29 wants a multiple of four octets; libtorrent sends any number.
                (EXTENSION_SELECTIVE_ACK, bits) => packet.selective_ack = Some(SelectiveAck(bits)),
                (EXTENSION_DATAGRAM_OCTETS, &[high, low]) => {
                    packet.datagram_octets_max = Some(u16::from_be_bytes([high, low]));
                }
                _ => {}
            }
            rest = after;
            extension = next;
            number += 1;
        }
        packet.payload = rest;
        Ok(packet)
    }
}

impl Header {
    fn parse(octets: &[u8; HEADER_OCTETS]) -> Result<Self, PacketError> {
        let [first, _, id0, id1, t0, t1, t2, t3, d0, d1, d2, d3, w0, w1, w2, w3, s0, s1, a0, a1] = *octets;
        if first & 0x0F != VERSION {
            return Err(PacketError::Version(first & 0x0F));
        }
        let kind = match first >> 4 {
            0 => Kind::Data,
            1 => Kind::Fin,
            2 => Kind::State,
            3 => Kind::Reset,
            4 => Kind::Syn,
            other => return Err(PacketError::Type(other)),
        };
        Ok(Self {
            kind,
            connection_id: u16::from_be_bytes([id0, id1]),
            timestamp_microseconds: u32::from_be_bytes([t0, t1, t2, t3]),
            timestamp_difference_microseconds: u32::from_be_bytes([d0, d1, d2, d3]),
            window_octets: u32::from_be_bytes([w0, w1, w2, w3]),
            seq_nr: Seq(u16::from_be_bytes([s0, s1])),
            ack_nr: Seq(u16::from_be_bytes([a0, a1])),
        })
    }

    /// Appends the header and its extensions.
    pub fn write(&self, extensions: Extensions<'_>, out: &mut Vec<u8>) {
        let bits = extensions.selective_ack;
        let bits = bits.get(..bits.len().min(SELECTIVE_ACK_OCTETS_MAX) / 4 * 4).unwrap_or_default();
        let datagram = extensions.datagram_octets_max.map(u16::to_be_bytes);
        let after_bits = if datagram.is_some() { EXTENSION_DATAGRAM_OCTETS } else { EXTENSION_NONE };
        let first = if bits.is_empty() { after_bits } else { EXTENSION_SELECTIVE_ACK };
        let kind = match self.kind {
            Kind::Data => 0,
            Kind::Fin => 1,
            Kind::State => 2,
            Kind::Reset => 3,
            Kind::Syn => 4,
        };
        let mut fixed = [0; HEADER_OCTETS];
        fixed[0] = kind << 4 | VERSION;
        fixed[1] = first;
        fixed[2..4].copy_from_slice(&self.connection_id.to_be_bytes());
        fixed[4..8].copy_from_slice(&self.timestamp_microseconds.to_be_bytes());
        fixed[8..12].copy_from_slice(&self.timestamp_difference_microseconds.to_be_bytes());
        fixed[12..16].copy_from_slice(&self.window_octets.to_be_bytes());
        fixed[16..18].copy_from_slice(&self.seq_nr.0.to_be_bytes());
        fixed[18..20].copy_from_slice(&self.ack_nr.0.to_be_bytes());
        out.extend_from_slice(&fixed);
        if !bits.is_empty() {
            out.extend_from_slice(&[after_bits, bits.len() as u8]);
            out.extend_from_slice(bits);
        }
        if let Some(octets) = datagram {
            out.extend_from_slice(&[EXTENSION_NONE, 2]);
            out.extend_from_slice(&octets);
        }
    }
}

impl<'a> SelectiveAck<'a> {
    /// For each packet from `ack_nr + 2` on: whether it arrived. Within an octet
    /// the least significant bit comes first.
    pub fn arrived(self) -> impl Iterator<Item = bool> + use<'a> {
        self.0.iter().flat_map(|octet| (0..8).map(move |bit| octet >> bit & 1 == 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(kind: Kind) -> Header {
        Header {
            kind,
            connection_id: 0x784C,
            timestamp_microseconds: 0x88B0_2B8C,
            timestamp_difference_microseconds: 0x7545_7B51,
            window_octets: 0x0010_0000,
            seq_nr: Seq(0xD585),
            ack_nr: Seq(0xD47D),
        }
    }

    /// The layout drawn in BEP 29, field by field.
    #[test]
    fn writes_the_layout_of_bep_29() {
        let mut octets = Vec::new();
        header(Kind::Fin).write(Extensions::default(), &mut octets);
        let expected = [
            0x11, 0, 0x78, 0x4C, 0x88, 0xB0, 0x2B, 0x8C, 0x75, 0x45, 0x7B, 0x51, 0, 0x10, 0, 0, 0xD5, 0x85,
            0xD4, 0x7D,
        ];
        assert_eq!(octets, expected);
        let packet = Packet::parse(&octets).expect("a packet");
        assert_eq!((packet.header, packet.payload), (header(Kind::Fin), &[][..]));
    }

    /// BEP 29: the first bit is for `ack_nr + 2`, bits in reverse within octets.
    #[test]
    fn selective_acks_begin_with_the_lowest_bit() {
        let mut octets = Vec::new();
        let extensions =
            Extensions { selective_ack: &[0b0000_0101, 0, 0, 0x80], datagram_octets_max: Some(65_507) };
        header(Kind::State).write(extensions, &mut octets);
        let packet = Packet::parse(&octets).expect("a packet");
        let bits: Vec<_> = packet.selective_ack.expect("bits").arrived().collect();
        let set: Vec<_> = bits.iter().enumerate().filter(|(_, bit)| **bit).map(|(at, _)| at).collect();
        assert_eq!((bits.len(), set), (32, vec![0, 2, 31]));
        assert_eq!(packet.datagram_octets_max, Some(65_507));
    }

    #[test]
    fn unknown_extensions_are_skipped_and_chains_are_bounded() {
        let mut octets = Vec::new();
        header(Kind::Data).write(Extensions::default(), &mut octets);
        octets[1] = 2;
        // µTorrent's extension bits, libtorrent's close reason, then the payload.
        octets.extend([3, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 9]);
        octets.extend(b"payload");
        assert_eq!(Packet::parse(&octets).expect("a packet").payload, b"payload");
        octets.truncate(HEADER_OCTETS);
        octets.extend([9, 0].repeat(30_000));
        assert_eq!(Packet::parse(&octets), Err(PacketError::TooManyExtensions));
        octets.truncate(HEADER_OCTETS);
        octets.extend([0, 200, 1]);
        assert_eq!(Packet::parse(&octets), Err(PacketError::ExtensionEnd { number: 0 }));
        // libtorrent's masks are as long as they need to be.
        octets.truncate(HEADER_OCTETS);
        octets[1] = 1;
        octets.extend([0, 3, 1, 1, 1]);
        let packet = Packet::parse(&octets).expect("a packet");
        assert_eq!(packet.selective_ack.map(|ack| ack.arrived().count()), Some(24));
    }

    #[test]
    fn other_protocols_are_told_apart() {
        assert_eq!(Packet::parse(b"d1:ad2:id20:"), Err(PacketError::Short(12)));
        assert_eq!(Packet::parse(&[b'd'; 30]), Err(PacketError::Version(4)));
        assert_eq!(Packet::parse(&[0x51; 30]), Err(PacketError::Type(5)));
        assert!(!is_utp(&[b'd'; 30]) && !is_utp(&[0; 30]) && !is_utp(&[0x41; 19]) && is_utp(&[0x41; 20]));
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(packet) = Packet::parse(&octets) {
                prop_assert!(is_utp(&octets));
                prop_assert!(packet.payload.len() + HEADER_OCTETS <= octets.len());
            }
        }

        #[test]
        fn what_is_written_is_read(
            words in 0usize..70, bit: u8, datagram: Option<u16>, payload in proptest::collection::vec(any::<u8>(), 0..40)
        ) {
            let bits = vec![bit; words * 4];
            let mut octets = Vec::new();
            header(Kind::Data).write(Extensions { selective_ack: &bits, datagram_octets_max: datagram }, &mut octets);
            octets.extend(&payload);
            let packet = Packet::parse(&octets).expect("our own packet");
            prop_assert_eq!(packet.header, header(Kind::Data));
            prop_assert_eq!(packet.datagram_octets_max, datagram);
            prop_assert_eq!(packet.payload, &payload[..]);
            let expected = bits.get(..bits.len().min(SELECTIVE_ACK_OCTETS_MAX)).filter(|bits| !bits.is_empty());
            prop_assert_eq!(packet.selective_ack.map(|ack| ack.0), expected);
        }
    }
}
