//! SipHash-2-4 (Aumasson and Bernstein, 2012): a message authentication code
//! for short messages.

/// The code of `words` (little-endian) under `key`; the message's length is
/// eight octets a word.
#[inline]
pub(super) fn sip_hash_2_4<const N: usize>(key: [u64; 2], words: [u64; N]) -> u64 {
    let mut v = [
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ];
    // The last word has the length in its first octet from above, and no rest.
    for word in words.into_iter().chain([(N as u64 * 8) << 56]) {
        v[3] ^= word;
        round(&mut v);
        round(&mut v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for _ in 0..4 {
        round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

#[inline]
fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_its_authors() {
        // Key 00..0f, messages 00..(n-1): those of 0, 8 and 16 octets.
        let word = |from: u8| u64::from_le_bytes(std::array::from_fn(|at| from + at as u8));
        let key = [word(0), word(8)];
        assert_eq!(sip_hash_2_4(key, []), 0x726f_db47_dd0e_0e31);
        assert_eq!(sip_hash_2_4(key, [word(0)]), 0x93f5_f579_9a93_2462);
        assert_eq!(sip_hash_2_4(key, [word(0), word(8)]), 0x3f2a_cc7f_57c2_9bdb);
    }

    #[test]
    fn it_agrees_with_another_implementation() {
        use std::hash::Hasher as _;
        for n in 0..100_u64 {
            let words = [n.wrapping_mul(0x9E37_79B9_7F4A_7C15), !n, n << 33];
            #[expect(deprecated, reason = "the only SipHash-2-4 of the standard library")]
            let mut other = std::hash::SipHasher::new_with_keys(n, n + 1);
            for word in words {
                other.write(&word.to_le_bytes());
            }
            assert_eq!(sip_hash_2_4([n, n + 1], words), other.finish());
        }
    }
}
