//! Info-hashes: what names a torrent.

use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The SHA-1 of the info dictionary (BEP 3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InfoHashV1(pub [u8; 20]);

/// The SHA-256 of the info dictionary (BEP 52).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InfoHashV2(pub [u8; 32]);

/// The names of one torrent: a hybrid has both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct InfoHashes {
    /// Where it is (also) a v1 torrent.
    pub v1: Option<InfoHashV1>,
    /// Where it is (also) a v2 torrent.
    pub v2: Option<InfoHashV2>,
}

/// Why a text is no info-hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an info-hash has 40 hexadecimal or 32 base32 digits (v1), or 64 hexadecimal ones (v2)")]
pub struct InfoHashError;

impl InfoHashV1 {
    /// The hash of an info dictionary.
    pub fn of(info: &[u8]) -> Self {
        Self(Sha1::digest(info).into())
    }
}

impl InfoHashV2 {
    /// The hash of an info dictionary.
    pub fn of(info: &[u8]) -> Self {
        Self(Sha256::digest(info).into())
    }

    /// Its first 20 octets, which stand for it where there is room for a v1 hash
    /// alone: in handshakes, in announces and in the DHT (BEP 52).
    pub fn truncated(&self) -> InfoHashV1 {
        let mut first = [0; 20];
        first.copy_from_slice(&self.0[..20]);
        InfoHashV1(first)
    }
}

impl InfoHashes {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.v1.is_none() && self.v2.is_none()
    }

    /// The 20 octets by which peers and trackers know it: that of v1, then that of
    /// v2, cut short. A hybrid has two swarms.
    pub fn wire(&self) -> impl Iterator<Item = InfoHashV1> {
        self.v1.into_iter().chain(self.v2.map(|hash| hash.truncated()))
    }

    /// Whether `info` is the info dictionary of that name. All hashes that are
    /// known must be right, and there must be one.
    pub fn fits(&self, info: &[u8]) -> bool {
        !self.is_empty()
            && self.v1.is_none_or(|hash| hash == InfoHashV1::of(info))
            && self.v2.is_none_or(|hash| hash == InfoHashV2::of(info))
    }
}

/// Writes octets in lower-case hexadecimal digits.
pub(super) fn write_hex(octets: &[u8], out: &mut impl fmt::Write) -> fmt::Result {
    octets.iter().try_for_each(|octet| write!(out, "{octet:02x}"))
}

/// Octets from hexadecimal digits of either case.
pub(super) fn read_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |at: usize| char::from(*text.as_bytes().get(at)?).to_digit(16);
    if text.len() != 2 * N {
        return None;
    }
    let mut octets = [0; N];
    for (at, octet) in octets.iter_mut().enumerate() {
        *octet = u8::try_from(digit(2 * at)? << 4 | digit(2 * at + 1)?).ok()?;
    }
    Some(octets)
}

/// 20 octets from the 32 digits of base32 (RFC 4648 section 6) of either case.
fn read_base32(text: &str) -> Option<[u8; 20]> {
    if text.len() != 32 {
        return None;
    }
    let mut octets = Vec::with_capacity(20);
    let (mut bits, mut count) = (0u32, 0);
    for digit in text.bytes() {
        let value = match digit.to_ascii_uppercase() {
            letter @ b'A'..=b'Z' => letter - b'A',
            figure @ b'2'..=b'7' => figure - b'2' + 26,
            _ => return None,
        };
        bits = (bits << 5 | u32::from(value)) & 0xfff;
        count += 5;
        if count >= 8 {
            count -= 8;
            octets.push((bits >> count & 0xff) as u8);
        }
    }
    octets.try_into().ok()
}

impl FromStr for InfoHashV1 {
    type Err = InfoHashError;

    fn from_str(text: &str) -> Result<Self, InfoHashError> {
        read_hex(text).or_else(|| read_base32(text)).map(Self).ok_or(InfoHashError)
    }
}

impl FromStr for InfoHashV2 {
    type Err = InfoHashError;

    fn from_str(text: &str) -> Result<Self, InfoHashError> {
        read_hex(text).map(Self).ok_or(InfoHashError)
    }
}

impl fmt::Display for InfoHashV1 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, formatter)
    }
}

impl fmt::Display for InfoHashV2 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, formatter)
    }
}

impl fmt::Debug for InfoHashV1 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Debug for InfoHashV2 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_hashes() {
        assert_eq!(InfoHashV1::of(b"abc").to_string(), "a9993e364706816aba3e25717850c26c9cd0d89d");
        let v2 = InfoHashV2::of(b"abc");
        assert_eq!(v2.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(v2.truncated().to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a3");
    }

    #[test]
    fn both_spellings_are_read_and_others_refused() {
        // RFC 4648: base32 of twenty octets has no padding.
        let hash: InfoHashV1 = "MFRGCYTBMJQWEYLCMFRGCYTBMJQWEYLC".parse().expect("base32");
        assert_eq!(&hash.0, b"abababababababababab");
        assert_eq!("mfrgcytbmjqweylcmfrgcytbmjqweylc".parse(), Ok(hash));
        assert_eq!(hash.to_string().to_uppercase().parse(), Ok(hash));
        for wrong in ["", "ab", "MFRGCYTBMJQWEYLCMFRGCYTBMJQWEYL1", &"g".repeat(40), &"é".repeat(20)] {
            assert_eq!(wrong.parse::<InfoHashV1>(), Err(InfoHashError), "{wrong}");
        }
        assert_eq!("ab".repeat(20).parse::<InfoHashV2>(), Err(InfoHashError));
    }

    #[test]
    fn an_info_dictionary_must_fit_every_hash_that_is_known() {
        let right = InfoHashes { v1: Some(InfoHashV1::of(b"de")), v2: Some(InfoHashV2::of(b"de")) };
        assert!(right.fits(b"de"));
        assert!(!right.fits(b"d"));
        assert!(!InfoHashes { v1: Some(InfoHashV1::of(b"x")), ..right }.fits(b"de"));
        assert!(!InfoHashes::default().fits(b"de"));
        assert_eq!(right.wire().count(), 2);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(v1: [u8; 20], v2: [u8; 32]) {
            prop_assert_eq!(InfoHashV1(v1).to_string().parse(), Ok(InfoHashV1(v1)));
            prop_assert_eq!(InfoHashV2(v2).to_string().parse(), Ok(InfoHashV2(v2)));
        }
    }
}
