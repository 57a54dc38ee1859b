//! The space of 160 bits in which nodes, torrents and items lie (BEP 5,
//! "Overview").

use rand_core::Rng;
use sha1::{Digest, Sha1};
use std::fmt;

/// Octets of an id.
pub const ID_OCTETS: usize = 20;

/// Bits of an id.
pub const ID_BITS: usize = ID_OCTETS * 8;

/// A place in the space: a node's id, a torrent's info-hash or an item's target
/// (BEP 5, BEP 44).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id([u8; ID_OCTETS]);

/// How far two ids are apart: their XOR, compared as an unsigned integer
/// (BEP 5, "Overview").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distance([u8; ID_OCTETS]);

impl Id {
    /// The id with these octets.
    pub const fn new(octets: [u8; ID_OCTETS]) -> Self {
        Self(octets)
    }

    /// The id with these octets; `None` unless there are exactly
    /// [`ID_OCTETS`].
    pub fn from_slice(octets: &[u8]) -> Option<Self> {
        octets.try_into().ok().map(Self)
    }

    /// The id with these 40 hexadecimal digits.
    pub fn from_hex(digits: &str) -> Option<Self> {
        super::hex::decode(digits).map(Self)
    }

    /// The SHA-1 hash of the concatenated parts.
    pub fn hash(parts: &[&[u8]]) -> Self {
        let mut hash = Sha1::new();
        for part in parts {
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// Any id, each as likely.
    pub fn random(rng: &mut impl Rng) -> Self {
        let mut octets = [0; ID_OCTETS];
        rng.fill_bytes(&mut octets);
        Self(octets)
    }

    /// Its octets.
    pub const fn octets(&self) -> &[u8; ID_OCTETS] {
        &self.0
    }

    /// How far it is from `other`.
    pub fn distance(&self, other: &Id) -> Distance {
        let mut octets = self.0;
        for (octet, other) in octets.iter_mut().zip(other.0) {
            *octet ^= other;
        }
        Distance(octets)
    }

    /// How many bits both begin with, 0 to [`ID_BITS`].
    pub fn shared_bits(&self, other: &Id) -> usize {
        let mut bits = 0;
        for octet in self.distance(other).0 {
            bits += octet.leading_zeros() as usize;
            if octet != 0 {
                break;
            }
        }
        bits
    }

    /// Any id that shares the first `bits` bits with this one and, unless
    /// `or_more`, not the next.
    pub fn random_sharing(&self, bits: usize, or_more: bool, rng: &mut impl Rng) -> Self {
        let mut id = Self::random(rng);
        for (at, (octet, own)) in id.0.iter_mut().zip(self.0).enumerate() {
            let before = at * 8;
            // The bits of this octet that are ours.
            let ours = bits.saturating_sub(before).min(8);
            let mask = u8::MAX.checked_shl(8 - ours as u32).unwrap_or(0);
            *octet = (own & mask) | (*octet & !mask);
            if !or_more && (before..before + 8).contains(&bits) {
                let next = 0x80 >> (bits - before);
                *octet = (*octet & !next) | (!own & next);
            }
        }
        id
    }
}

impl From<[u8; ID_OCTETS]> for Id {
    fn from(octets: [u8; ID_OCTETS]) -> Self {
        Self(octets)
    }
}

impl AsRef<[u8]> for Id {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn hexadecimal_digits_are_read_and_written() {
        let digits = "4a533d47ec9c7d95b1ad75f576cffc641853b750";
        assert_eq!(Id::from_hex(digits).expect("40 digits").to_string(), digits);
        assert_eq!(Id::from_hex(&digits[1..]), None);
        assert_eq!(Id::from_hex("gg533d47ec9c7d95b1ad75f576cffc641853b750"), None);
        assert_eq!(Id::from_slice(&[0; 19]), None);
    }

    proptest! {
        #[test]
        fn a_shared_prefix_is_as_long_as_asked(own: [u8; 20], bits in 0usize..160, seed: u64) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let own = Id::new(own);
            prop_assert_eq!(own.shared_bits(&own.random_sharing(bits, false, &mut rng)), bits);
            prop_assert!(own.shared_bits(&own.random_sharing(bits, true, &mut rng)) >= bits);
            prop_assert_eq!(own.random_sharing(160, true, &mut rng), own);
        }

        #[test]
        fn distance_is_a_metric(one: [u8; 20], other: [u8; 20], third: [u8; 20]) {
            let (one, other, third) = (Id::new(one), Id::new(other), Id::new(third));
            prop_assert_eq!(one.distance(&other), other.distance(&one));
            prop_assert_eq!(one == other, one.distance(&other) == one.distance(&one));
            // The longer prefix is the smaller distance.
            if one.shared_bits(&other) > one.shared_bits(&third) {
                prop_assert!(one.distance(&other) < one.distance(&third));
            }
        }
    }
}
