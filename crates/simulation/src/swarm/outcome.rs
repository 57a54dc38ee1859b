//! What came of a run.

use std::time::Duration;

/// What came of a run, by host as in the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// When each host had everything; seeds at once, `None`: never.
    pub completed: Vec<Option<Duration>>,
    /// Octets of blocks each host sent.
    pub sent_octets: Vec<u64>,
    /// Octets of blocks each host received.
    pub received_octets: Vec<u64>,
    /// Octets of blocks each host received that it had already.
    pub wasted_octets: Vec<u64>,
    /// How many hosts banned each host.
    pub banned_by: Vec<u32>,
    /// When every piece had a copy beside the seeds, at hosts that send.
    pub one_copy: Option<Duration>,
    /// Simulated time at the end.
    pub ended: Duration,
    /// Blocks that arrived.
    pub blocks: u64,
    /// Of everything that arrived, in order: equal for equal runs.
    pub digest: u64,
}

impl Outcome {
    /// When the last host had everything; `None` when one never did.
    pub fn last_completed(&self) -> Option<Duration> {
        self.completed.iter().copied().collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// The time at which this share (0 to 1) of the hosts that took any time was
    /// complete; `None` when so many never were.
    pub fn completed_share(&self, share: f64) -> Option<Duration> {
        let late = |time: &&Option<Duration>| **time != Some(Duration::ZERO);
        let mut times: Vec<Duration> =
            self.completed.iter().filter(late).map(|time| time.unwrap_or(Duration::MAX)).collect();
        times.sort_unstable();
        let at = (times.len() as f64 * share).ceil() as usize;
        times.get(at.saturating_sub(1)).copied().filter(|time| *time != Duration::MAX)
    }

    /// Jain's index of what leechers got by the second: 1 when all got the same,
    /// 1/n when one got everything.
    pub fn fairness(&self) -> f64 {
        let late = self.completed.iter().filter(|time| **time != Some(Duration::ZERO));
        let rates: Vec<f64> = late.map(|time| time.map_or(0.0, |time| 1.0 / time.as_secs_f64())).collect();
        let (sum, squares) =
            rates.iter().fold((0.0, 0.0), |(sum, squares), rate| (sum + rate, squares + rate * rate));
        if squares == 0.0 { 1.0 } else { sum * sum / (rates.len() as f64 * squares) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_fairness_count_leechers_only() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let mut outcome = Outcome {
            completed: vec![seconds(0), seconds(10), seconds(10), seconds(20)],
            sent_octets: vec![],
            received_octets: vec![],
            wasted_octets: vec![],
            banned_by: vec![],
            one_copy: None,
            ended: Duration::ZERO,
            blocks: 0,
            digest: 0,
        };
        assert_eq!((outcome.last_completed(), outcome.completed_share(0.5)), (seconds(20), seconds(10)));
        assert!((outcome.fairness() - 0.0625 / (3.0 * 0.0225)).abs() < 1e-9);
        outcome.completed[3] = None;
        assert_eq!((outcome.last_completed(), outcome.completed_share(1.0)), (None, None));
        assert_eq!(outcome.completed_share(0.6), seconds(10));
    }
}
