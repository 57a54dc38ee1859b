//! The handshake (BEP 3, "peer protocol"): 68 octets from either side.

use super::PeerId;
use thiserror::Error;

/// Octets of a handshake.
pub const HANDSHAKE_OCTETS: usize = 68;

/// The length of the protocol's name, and the name.
const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";

/// Octets up to the end of the info-hash.
const INFO_HASH_END: usize = 48;

/// What a bit of the reserved octets says about a peer (BEP 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// The DHT (BEP 5): a `port` message is welcome.
    Dht,
    /// The fast extension (BEP 6).
    Fast,
    /// The extension protocol (BEP 10).
    Extensions,
    /// With the v1 info-hash of a hybrid torrent: v2 is spoken as well (BEP 52,
    /// "upgrade path").
    V2Upgrade,
}

/// The eight reserved octets.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Reserved(pub [u8; 8]);

impl Reserved {
    /// With the bits of these features.
    pub fn of(features: &[Feature]) -> Self {
        Self(features.iter().fold([0; 8], |mut bits, feature| {
            let mask = mask(*feature);
            for (octet, mask) in bits.iter_mut().zip(mask) {
                *octet |= mask;
            }
            bits
        }))
    }

    /// Whether the bit of a feature is set.
    pub fn has(self, feature: Feature) -> bool {
        self.0.iter().zip(mask(feature)).any(|(octet, mask)| octet & mask != 0)
    }
}

fn mask(feature: Feature) -> [u8; 8] {
    match feature {
        Feature::Dht => [0, 0, 0, 0, 0, 0, 0, 0x01],
        Feature::Fast => [0, 0, 0, 0, 0, 0, 0, 0x04],
        Feature::Extensions => [0, 0, 0, 0, 0, 0x10, 0, 0],
        Feature::V2Upgrade => [0, 0, 0, 0, 0, 0, 0, 0x10],
    }
}

impl std::fmt::Debug for Reserved {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Reserved({:016x})", u64::from_be_bytes(self.0))
    }
}

/// What either side says first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake {
    /// What it can do.
    pub reserved: Reserved,
    /// The torrent; of a v2 one the first 20 octets of its info-hash (BEP 52).
    pub info_hash: [u8; 20],
    /// Who it is.
    pub peer_id: PeerId,
}

impl Handshake {
    /// Its octets.
    pub fn encode(&self) -> [u8; HANDSHAKE_OCTETS] {
        let fields = [&PROTOCOL[..], &self.reserved.0, &self.info_hash, &self.peer_id.0];
        let mut octets = [0; HANDSHAKE_OCTETS];
        for (octet, field) in octets.iter_mut().zip(fields.into_iter().flatten()) {
            *octet = *field;
        }
        octets
    }
}

/// The peer speaks something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("octet {at} of the handshake is not BitTorrent's")]
pub struct HandshakeError {
    /// Where, from 0.
    pub at: usize,
}

/// Reads a handshake as it arrives.
#[derive(Debug, Clone)]
pub struct HandshakeReader {
    octets: [u8; HANDSHAKE_OCTETS],
    filled: usize,
}

impl Default for HandshakeReader {
    fn default() -> Self {
        Self { octets: [0; HANDSHAKE_OCTETS], filled: 0 }
    }
}

impl HandshakeReader {
    /// Takes octets that arrived, and says how many were the handshake's.
    ///
    /// # Errors
    /// At the first octet that is not BitTorrent's.
    pub fn handle_input(&mut self, octets: &[u8]) -> Result<usize, HandshakeError> {
        let mut taken = 0;
        for (place, octet) in self.octets.iter_mut().skip(self.filled).zip(octets) {
            *place = *octet;
            taken += 1;
        }
        self.filled += taken;
        let differs = |(octet, expected): (&u8, &u8)| octet != expected;
        let read = self.octets.iter().take(self.filled);
        match read.zip(PROTOCOL).position(differs) {
            Some(at) => Err(HandshakeError { at }),
            None => Ok(taken),
        }
    }

    /// The info-hash, which is there 20 octets before the rest: the side that
    /// accepted a connection answers as soon as it knows the torrent.
    pub fn info_hash(&self) -> Option<[u8; 20]> {
        let (known, _) = self.octets.split_first_chunk::<INFO_HASH_END>()?;
        (self.filled >= INFO_HASH_END).then(|| known.last_chunk().copied())?
    }

    /// The handshake, once it is whole.
    pub fn handshake(&self) -> Option<Handshake> {
        let reserved = self.octets.get(PROTOCOL.len()..)?.first_chunk()?;
        let peer_id = self.octets.last_chunk()?;
        let whole = self.filled == HANDSHAKE_OCTETS;
        whole.then_some(Handshake {
            reserved: Reserved(*reserved),
            info_hash: self.info_hash()?,
            peer_id: PeerId(*peer_id),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake() -> Handshake {
        Handshake {
            reserved: Reserved::of(&[Feature::Fast, Feature::Extensions, Feature::Dht]),
            info_hash: *b"abcdefghijklmnopqrst",
            peer_id: PeerId(*b"-UO0100-123456789012"),
        }
    }

    #[test]
    fn features_are_the_bits_of_bep_4() {
        assert_eq!(handshake().reserved.0, [0, 0, 0, 0, 0, 0x10, 0, 0x05]);
        assert_eq!(Reserved::of(&[Feature::V2Upgrade]).0, [0, 0, 0, 0, 0, 0, 0, 0x10]);
        let all = Reserved([0xff; 8]);
        for feature in [Feature::Dht, Feature::Fast, Feature::Extensions, Feature::V2Upgrade] {
            assert!(all.has(feature) && !Reserved::default().has(feature));
            assert!(Reserved::of(&[feature]).has(feature));
        }
        assert_eq!(format!("{:?}", handshake().reserved), "Reserved(0000000000100005)");
    }

    #[test]
    fn a_handshake_is_read_in_any_pieces_and_no_octet_beyond() {
        let mut octets = handshake().encode().to_vec();
        assert_eq!(&octets[..20], b"\x13BitTorrent protocol");
        octets.extend_from_slice(b"\0\0\0\x01\x02");
        for piece in 1..=octets.len() {
            let mut reader = HandshakeReader::default();
            let mut taken = 0;
            for piece in octets.chunks(piece) {
                let before = taken;
                taken += reader.handle_input(piece).expect("a handshake");
                assert_eq!(taken, HANDSHAKE_OCTETS.min(before + piece.len()));
                assert_eq!(reader.info_hash().is_some(), taken >= 48);
                assert_eq!(reader.handshake().is_some(), taken == 68);
            }
            assert_eq!(reader.info_hash(), Some(handshake().info_hash));
            assert_eq!(reader.handshake(), Some(handshake()));
        }
    }

    #[test]
    fn another_protocol_is_told_at_its_first_octet() {
        let octets = handshake().encode();
        for at in 0..20 {
            let mut other = octets;
            other[at] ^= 0x20;
            assert_eq!(HandshakeReader::default().handle_input(&other), Err(HandshakeError { at }));
            let mut reader = HandshakeReader::default();
            assert_eq!(reader.handle_input(&other[..at]), Ok(at));
            assert_eq!(reader.handle_input(&other[at..=at]), Err(HandshakeError { at }));
        }
    }
}
