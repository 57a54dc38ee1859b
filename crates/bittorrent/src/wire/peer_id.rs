//! The id by which a peer is known in a swarm.

use rand_core::Rng;

/// The beginning of our own ids (BEP 20): who we are, and the version 0.1.0.0.
const OURS: &[u8; 8] = b"-UO0100-";

/// A peer's id: 20 octets that it chose (BEP 3, BEP 20).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub [u8; 20]);

impl PeerId {
    /// A new id of our own: `-UO0100-` and 12 random octets.
    pub fn generate(random: &mut impl Rng) -> Self {
        let mut id = [0; 20];
        random.fill_bytes(&mut id);
        for (octet, ours) in id.iter_mut().zip(OURS) {
            *octet = *ours;
        }
        Self(id)
    }

    /// Whether it begins as ours do.
    pub(super) fn is_of_our_kind(&self) -> bool {
        self.0.starts_with(OURS)
    }
}

impl std::fmt::Debug for PeerId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "PeerId({})", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn an_id_of_ours_is_marked_and_random() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let (one, other) = (PeerId::generate(&mut random), PeerId::generate(&mut random));
        assert!(one.is_of_our_kind() && one.0.starts_with(b"-UO0100-"));
        assert_ne!(one, other);
        assert_eq!(
            format!("{:?}", PeerId(*b"-UO0100-abcdefghi\x00\xff\"")),
            r#"PeerId(-UO0100-abcdefghi\x00\xff\")"#
        );
    }
}
