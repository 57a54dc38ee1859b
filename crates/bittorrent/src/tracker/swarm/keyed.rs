//! A keyed hash of info-hashes and peers, so that nobody can choose some that
//! collide.

/// Octets of info-hash.
const INFO_HASH_OCTETS: usize = 20;

/// The keys of the hashes of one tracker: quick folded multiplication, not a
/// cipher. Nothing that it gives is ever sent.
#[derive(Debug, Clone, Copy)]
pub struct Keyed {
    first: u64,
    second: u64,
}

/// The hash of an info-hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InfoHashValue(pub(super) u64);

impl Keyed {
    /// Keys from 128 random bits.
    pub fn new(first: u64, second: u64) -> Self {
        // A multiplier of few bits would mix little.
        Self { first, second: second | 0x8000_0000_8000_0001 }
    }

    /// The hash of an info-hash.
    #[inline]
    pub fn info_hash(&self, info_hash: &[u8; INFO_HASH_OCTETS]) -> InfoHashValue {
        let word = |at: usize| {
            let mut octets = [0; 8];
            octets.copy_from_slice(&info_hash[at..at + 8]);
            u64::from_ne_bytes(octets)
        };
        let state = fold(word(0) ^ self.first, self.second);
        let state = fold(state ^ word(8), self.second);
        // The last four octets overlap with some before.
        InfoHashValue(fold(state ^ word(12), self.second))
    }

    /// The hash of a peer.
    #[inline]
    pub(super) fn words(&self, words: [u64; 2]) -> u64 {
        let state = fold(words[0] ^ self.first, self.second);
        fold(state ^ words[1], self.second)
    }
}

impl InfoHashValue {
    /// Which of `shards` the torrent belongs to, evenly spread; from bits that
    /// [`super::Swarms`] does not use.
    #[inline]
    pub fn shard(self, shards: usize) -> usize {
        ((self.0 >> 32).wrapping_mul(shards as u64) >> 32) as usize
    }

    /// What the index within the shard is made of.
    #[inline]
    pub(super) fn tag(self) -> u32 {
        self.0 as u32
    }
}

/// Multiplies to 128 bits and folds them.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_counts_and_shards_are_even() {
        let keyed = Keyed::new(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210);
        let zero = keyed.info_hash(&[0; 20]);
        for at in 0..20 {
            let mut info_hash = [0; 20];
            info_hash[at] = 1;
            assert_ne!(keyed.info_hash(&info_hash).tag(), zero.tag(), "octet {at}");
        }
        let mut counts = [0_u32; 5];
        for n in 0..50_000_u32 {
            let mut info_hash = [0; 20];
            info_hash[16..].copy_from_slice(&n.to_be_bytes());
            counts[keyed.info_hash(&info_hash).shard(5)] += 1;
        }
        assert!(counts.iter().all(|count| (9_000..11_000).contains(count)), "{counts:?}");
    }

    #[test]
    fn other_keys_give_other_hashes() {
        let (one, other) = (Keyed::new(1, 2), Keyed::new(3, 2));
        assert_ne!(one.info_hash(&[7; 20]), other.info_hash(&[7; 20]));
    }
}
