//! Who learns of whom.

use rand::RngExt;
use rand_chacha::ChaCha12Rng;

/// The hosts that are there.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    present: Vec<u32>,
}

impl Tracker {
    /// A host announces itself and learns of up to `count` others, at random.
    pub(super) fn join(&mut self, host: u32, count: usize, rng: &mut ChaCha12Rng) -> Vec<u32> {
        let mut others = Vec::new();
        if count >= self.present.len() {
            others.clone_from(&self.present);
        } else {
            // Floyd's choice of `count` out of all.
            for last in self.present.len() - count..self.present.len() {
                let drawn = self.present[rng.random_range(0..=last)];
                others.push(if others.contains(&drawn) { self.present[last] } else { drawn });
            }
        }
        self.present.push(host);
        others
    }

    /// A host says that it goes.
    pub(super) fn leave(&mut self, host: u32) {
        self.present.retain(|present| *present != host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use std::collections::BTreeSet;

    #[test]
    fn others_are_distinct_and_all_come_up() {
        let mut rng = ChaCha12Rng::seed_from_u64(1);
        let mut tracker = Tracker::default();
        let mut seen = BTreeSet::new();
        for host in 0..300 {
            let others = tracker.join(host, 20, &mut rng);
            let distinct: BTreeSet<u32> = others.iter().copied().collect();
            assert_eq!(distinct.len(), others.len());
            assert_eq!(others.len(), 20.min(host as usize));
            assert!(!distinct.contains(&host));
            seen.extend(distinct);
        }
        // Whoever joins last is learned of by nobody yet: some fifteen are not.
        assert!((270..300).contains(&seen.len()), "{}", seen.len());
        tracker.leave(7);
        assert!(!tracker.join(1_000, 1_000, &mut rng).contains(&7));
    }
}
