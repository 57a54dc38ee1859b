//! How a swarm stood, moment by moment.

/// Moments that are kept; then every other one is given up, and further ones come
/// at twice the distance.
const SAMPLES_MAX: usize = 1_000;

/// One moment.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// Since the beginning.
    pub(crate) seconds: f64,
    /// Pieces of each host.
    pub(crate) have: Vec<u32>,
    /// Whether each host is there.
    pub(crate) present: Vec<bool>,
    /// Copies of each piece among those who are there.
    pub(crate) copies: Vec<u16>,
}

/// The moments in their order.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    samples: Vec<Sample>,
    /// Every so many-th moment is kept.
    stride: usize,
    turn: usize,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { samples: Vec::new(), stride: 1, turn: 0 }
    }
}

impl Timeline {
    pub(crate) fn add(&mut self, sample: Sample) {
        self.turn += 1;
        if self.turn < self.stride {
            return;
        }
        self.turn = 0;
        if self.samples.len() >= SAMPLES_MAX {
            let mut at = 0;
            self.samples.retain(|_| {
                at += 1;
                at % 2 == 1
            });
            self.stride *= 2;
        }
        self.samples.push(sample);
    }

    pub(crate) fn samples(&self) -> &[Sample] {
        &self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_is_kept_in_fewer_moments() {
        let mut timeline = Timeline::default();
        let last = SAMPLES_MAX * 5;
        for second in 0..=last {
            let seconds = second as f64;
            timeline.add(Sample { seconds, have: vec![], present: vec![], copies: vec![] });
            assert!(timeline.samples().len() <= SAMPLES_MAX);
        }
        let samples = timeline.samples();
        assert!(samples.len() > SAMPLES_MAX / 3, "{}", samples.len());
        assert!(samples.is_sorted_by(|one, next| one.seconds < next.seconds));
        assert!(samples.last().is_some_and(|sample| sample.seconds > last as f64 * 0.99));
    }
}
