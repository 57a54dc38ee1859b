//! The randomness of one torrent, as it was handed in.

use rand_core::Rng;
use std::fmt;

/// Throws for the picker's ties and the choker's optimism.
pub(crate) struct Dice(Box<dyn Rng + Send + Sync>);

impl Dice {
    pub(crate) fn new(rng: impl Rng + Send + Sync + 'static) -> Self {
        Self(Box::new(rng))
    }

    /// A number below `bound`; 0 when there is none.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // Lemire's multiplication: the bias of at most bound / 2^64 is no matter
        // for ties.
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }
}

impl fmt::Debug for Dice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dice")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha12Rng;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn throws_stay_below_the_bound_and_reach_each_number() {
        let mut dice = Dice::new(ChaCha12Rng::seed_from_u64(1));
        let mut seen = [0; 6];
        for _ in 0..600 {
            seen[dice.below(6)] += 1;
        }
        assert!(seen.iter().all(|count| (60..140).contains(count)), "{seen:?}");
        assert_eq!((dice.below(0), dice.below(1)), (0, 0));
    }
}
