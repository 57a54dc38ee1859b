//! Filters from which the size of a swarm is estimated (BEP 33).

use super::krpc::FILTER_OCTETS;
use sha1::{Digest, Sha1};
use std::net::IpAddr;

/// Bits of a filter (`m`).
const BITS: usize = FILTER_OCTETS * 8;

/// A set of addresses: who is in it cannot be told, how many can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Box<[u8; FILTER_OCTETS]>);

impl Default for Filter {
    fn default() -> Self {
        Self(Box::new([0; FILTER_OCTETS]))
    }
}

impl Filter {
    /// A filter as it came in a response.
    pub fn new(octets: Box<[u8; FILTER_OCTETS]>) -> Self {
        Self(octets)
    }

    /// Its octets.
    pub fn octets(&self) -> &[u8; FILTER_OCTETS] {
        &self.0
    }

    /// For a response.
    pub(super) fn into_octets(self) -> Box<[u8; FILTER_OCTETS]> {
        self.0
    }

    /// Puts an address into the set (BEP 33, "Bloom Filters").
    pub fn insert(&mut self, ip: &IpAddr) {
        let hash: [u8; 20] = match ip {
            IpAddr::V4(ip) => Sha1::digest(ip.octets()).into(),
            IpAddr::V6(ip) => Sha1::digest(ip.octets()).into(),
        };
        let [first, second, third, fourth, ..] = hash;
        for pair in [[first, second], [third, fourth]] {
            let bit = usize::from(u16::from_le_bytes(pair)) % BITS;
            if let Some(octet) = self.0.get_mut(bit / 8) {
                *octet |= 1 << (bit % 8);
            }
        }
    }

    /// Puts all of another set into this one.
    pub fn merge(&mut self, other: &Filter) {
        for (octet, more) in self.0.iter_mut().zip(other.0.iter()) {
            *octet |= more;
        }
    }

    /// About how many addresses are in the set; of no use beyond 6,000
    /// (BEP 33, "Calculating the estimate").
    pub fn estimate(&self) -> f64 {
        let bits = BITS as f64;
        let zeros: u32 = self.0.iter().map(|octet| octet.count_zeros()).sum();
        // A full filter would give infinity.
        let zeros = f64::from(zeros).clamp(1.0, bits - 1.0);
        (zeros / bits).ln() / (2.0 * (1.0 - 1.0 / bits).ln())
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|octet| *octet == 0)
    }
}

/// What many nodes know of one swarm, put together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FilterSums {
    /// Those who have all.
    pub seeds: Filter,
    /// All others.
    pub peers: Filter,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    /// BEP 33, "Test Vectors".
    const VECTOR: &str = "F6C3F5EAA07FFD91BDE89F777F26FB2BFF37BDB8FB2BBAA2FD3DDDE7BACFFF75EE7CCBAE\
        FE5EEDB1FBFAFF67F6ABFF5E43DDBCA3FD9B9FFDF4FFD3E9DFF12D1BDF59DB53DBE9FA5B\
        7FF3B8FDFCDE1AFB8BEDD7BE2F3EE71EBBBFE93BCDEEFE148246C2BC5DBFF7E7EFDCF24F\
        D8DC7ADFFD8FFFDFDDFFF7A4BBEEDF5CB95CE81FC7FCFF1FF4FFFFDFE5F7FDCBB7FD79B3\
        FA1FC77BFE07FFF905B7B7FFC7FEFEFFE0B8370BB0CD3F5B7F2BD93FEB4386CFDD6F7FD5\
        BFAF2E9EBFFFFEECD67ADBF7C67F17EFD5D75EBA6FFEBA7FFF47A91EB1BFBB53E8ABFB57\
        62ABE8FF237279BFEFBFEEF5FFC5FEBFDFE5ADFFADFEE1FB737FFFFBFD9F6AEFFEEE76B6\
        FD8F72EF";

    #[test]
    fn the_filter_of_bep_33_comes_out() {
        let mut filter = Filter::default();
        let mut half = Filter::default();
        for host in 0..=255 {
            filter.insert(&Ipv4Addr::new(192, 0, 2, host).into());
        }
        for host in 0..=0x3e7 {
            half.insert(&Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host).into());
        }
        filter.merge(&half);
        assert_eq!(super::super::hex::encode(filter.octets()).to_uppercase(), VECTOR);
        assert!((filter.estimate() - 1224.9308).abs() < 0.0001, "{}", filter.estimate());
    }

    #[test]
    fn empty_and_full_filters_have_finite_estimates() {
        assert!(Filter::default().estimate() < 1.0);
        assert!(Filter::default().is_empty());
        let full = Filter::new(Box::new([0xff; FILTER_OCTETS]));
        assert!(full.estimate().is_finite() && full.estimate() > 6_000.0);
    }
}
