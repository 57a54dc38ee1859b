//! Node ids bound to addresses (BEP 42): who wants to sit next to a torrent
//! needs the addresses for it.

use super::contact::is_local;
use super::id::Id;
use rand_core::Rng;
use std::net::IpAddr;

/// The bits of an address that count, and so how many ids each network can
/// have.
const MASK_V4: u32 = 0x030f_3fff;
const MASK_V6: u64 = 0x0103_070f_1f3f_7fff;

/// The table of CRC32C (Castagnoli), reflected.
const CRC32C: [u32; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut rest = at as u32;
        let mut bit = 0;
        while bit < 8 {
            rest = if rest & 1 == 1 { (rest >> 1) ^ 0x82f6_3b78 } else { rest >> 1 };
            bit += 1;
        }
        table[at] = rest;
        at += 1;
    }
    table
};

/// The checksum CRC32C of RFC 3720 section 12.1.
pub fn crc32c(octets: &[u8]) -> u32 {
    !octets.iter().fold(u32::MAX, |crc, octet| {
        let at = usize::from(crc.to_le_bytes()[0] ^ octet);
        // An octet is a place in a table of 256.
        CRC32C.get(at).copied().unwrap_or(0) ^ (crc >> 8)
    })
}

/// The hash whose first 21 bits an id at `ip` begins with, for the `r` that is
/// the id's last 3 bits (BEP 42, "Node ID restriction").
fn prefix(ip: &IpAddr, r: u8) -> u32 {
    let r = r & 7;
    match ip {
        IpAddr::V4(ip) => crc32c(&((ip.to_bits() & MASK_V4) | (u32::from(r) << 29)).to_be_bytes()),
        IpAddr::V6(ip) => {
            let high = (ip.to_bits() >> 64) as u64;
            crc32c(&((high & MASK_V6) | (u64::from(r) << 61)).to_be_bytes())
        }
    }
}

/// Whether `id` may belong to a node at `ip`. Any id may at a local address.
pub fn id_fits(id: &Id, ip: &IpAddr) -> bool {
    if is_local(ip) {
        return true;
    }
    let [first, second, third, .., last] = *id.octets();
    let begins = u32::from_be_bytes([first, second, third, 0]);
    (prefix(ip, last) ^ begins) & 0xffff_f800 == 0
}

/// A new id for a node whose external address is `ip`.
pub fn id_for(ip: &IpAddr, rng: &mut impl Rng) -> Id {
    let mut octets = *Id::random(rng).octets();
    let [first, second, third, .., last] = &mut octets;
    let [high, middle, low, _] = prefix(ip, *last).to_be_bytes();
    *first = high;
    *second = middle;
    *third = (low & 0xf8) | (*third & 0x07);
    Id::new(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    /// BEP 42, "test vectors".
    const VECTORS: [(&str, &str); 5] = [
        ("124.31.75.21", "5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401"),
        ("21.75.31.124", "5a3ce9c14e7a08645677bbd1cfe7d8f956d53256"),
        ("65.23.51.170", "a5d43220bc8f112a3d426c84764f8c2a1150e616"),
        ("84.124.73.14", "1b0321dd1bb1fe518101ceef99462b947a01ff41"),
        ("43.213.53.83", "e56f6cbf5b7c4be0237986d5243b87aa6d51305a"),
    ];

    #[test]
    fn the_ids_of_bep_42_fit_their_addresses_and_no_other() {
        for (at, (ip, _)) in VECTORS.iter().enumerate() {
            let ip = ip.parse().expect("an address");
            for (other, (_, id)) in VECTORS.iter().enumerate() {
                let id = Id::from_hex(id).expect("an id");
                assert_eq!(id_fits(&id, &ip), at == other, "{ip} {id}");
            }
        }
    }

    #[test]
    fn the_checksum_is_that_of_rfc_3720() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn any_id_fits_a_local_address() {
        for ip in
            ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.31.0.1", "169.254.1.1", "::1", "fe80::1", "fd00::1"]
        {
            assert!(id_fits(&Id::new([9; 20]), &ip.parse().expect("an address")), "{ip}");
        }
        assert!(!id_fits(&Id::new([9; 20]), &"172.32.0.1".parse().expect("an address")));
    }

    proptest! {
        #[test]
        fn an_id_made_for_an_address_fits_it(ip: IpAddr, seed: u64) {
            let id = id_for(&ip, &mut ChaCha8Rng::seed_from_u64(seed));
            prop_assert!(id_fits(&id, &ip));
            let mut octets = *id.octets();
            octets[2] ^= 0x08;
            prop_assert!(is_local(&ip) || !id_fits(&Id::new(octets), &ip));
        }
    }
}
