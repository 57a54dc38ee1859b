//! The pieces that a peer may have even while it is choked.

use sha1::{Digest, Sha1};
use std::net::Ipv4Addr;

/// Pieces of the largest set that is computed; BEP 6 proposes 10.
pub const ALLOWED_FAST_MAX: usize = 32;

/// The allowed fast set of the peer at `address`, in the order of its making
/// (BEP 6, "allowed fast set generation"): `size` pieces, at most
/// [`ALLOWED_FAST_MAX`] and no more than there are. There is no rule for IPv6.
pub fn allowed_fast(address: Ipv4Addr, info_hash: &[u8; 20], pieces: u32, size: usize) -> Vec<u32> {
    let size = size.min(ALLOWED_FAST_MAX);
    if pieces as usize <= size {
        return (0..pieces).collect();
    }
    let [a, b, c, _] = address.octets();
    let mut sha1 = Sha1::new();
    sha1.update([a, b, c, 0]);
    sha1.update(info_hash);
    let mut set = Vec::with_capacity(size);
    // Of 33 pieces the last of 32 is hit once in 17 draws; it ends soon.
    while set.len() < size {
        let hash: [u8; 20] = sha1.finalize().into();
        let (numbers, _) = hash.as_chunks::<4>();
        for number in numbers {
            let piece = u32::from_be_bytes(*number) % pieces;
            if set.len() < size && !set.contains(&piece) {
                set.push(piece);
            }
        }
        sha1 = Sha1::new();
        sha1.update(hash);
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEVEN: [u32; 7] = [1059, 431, 808, 1217, 287, 376, 1188];

    #[test]
    fn the_sets_of_bep_6_are_made() {
        let set = |address: [u8; 4], size| allowed_fast(address.into(), &[0xaa; 20], 1_313, size);
        assert_eq!(set([80, 4, 4, 200], 7), SEVEN);
        assert_eq!(set([80, 4, 4, 200], 9), [&SEVEN[..], &[353, 508]].concat());
        assert_eq!(set([80, 4, 4, 1], 7), SEVEN, "a network of 256 addresses has one set");
        assert_ne!(set([80, 4, 5, 1], 7), SEVEN);
    }

    #[test]
    fn sets_are_bounded_by_the_pieces_and_by_their_size() {
        let set = |pieces, size| allowed_fast([1, 2, 3, 4].into(), &[7; 20], pieces, size);
        assert_eq!(set(0, 10), []);
        assert_eq!(set(3, 10), [0, 1, 2]);
        let mut large = set(33, usize::MAX);
        assert_eq!(large.len(), ALLOWED_FAST_MAX);
        large.sort_unstable();
        large.dedup();
        assert_eq!(large.len(), ALLOWED_FAST_MAX);
    }
}
