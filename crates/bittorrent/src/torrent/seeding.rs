//! When a seed has done enough.

use super::Torrent;
use std::time::Duration;

/// Goals of a seed. The first that is reached ends it; without any it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SeedingGoal {
    /// Octets sent for each octet of the torrent.
    pub share_ratio: Option<f64>,
    /// Time as a seed.
    pub span: Option<Duration>,
    /// Time as a seed without sending.
    pub idle_span: Option<Duration>,
}

impl SeedingGoal {
    /// Whether a goal is reached. `total_octets` is the size of what is wanted:
    /// whoever made the torrent has received nothing, and shall have a ratio too.
    pub fn is_reached(&self, sent_octets: u64, total_octets: u64, seeding: Duration, idle: Duration) -> bool {
        let ratio = sent_octets as f64 / total_octets.max(1) as f64;
        self.share_ratio.is_some_and(|goal| ratio >= goal)
            || self.span.is_some_and(|goal| seeding >= goal)
            || self.idle_span.is_some_and(|goal| idle >= goal)
    }
}

impl Torrent {
    /// Changes when the seed has done enough; a goal that was reached before may
    /// be reached again.
    pub fn set_seeding_goal(&mut self, goal: SeedingGoal) {
        self.settings.seeding_goal = goal;
        self.goal_told = false;
    }

    /// Octets that earlier runs sent: a ratio is of the torrent, not of a run.
    pub fn set_sent_before(&mut self, octets: u64) {
        self.sent_before = octets;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_goal_that_is_reached_ends_it() {
        let hour = Duration::from_hours(1);
        let never = SeedingGoal::default();
        assert!(!never.is_reached(u64::MAX, 1, hour * 9_999, hour * 9_999));
        let ratio = SeedingGoal { share_ratio: Some(1.5), ..never };
        assert!(!ratio.is_reached(1_499, 1_000, hour, hour) && ratio.is_reached(1_500, 1_000, hour, hour));
        let either = SeedingGoal { span: Some(hour), ..ratio };
        assert!(either.is_reached(0, 1_000, hour, Duration::ZERO));
        let idle = SeedingGoal { idle_span: Some(hour), ..never };
        assert!(!idle.is_reached(0, 1, hour * 2, hour / 2) && idle.is_reached(0, 1, hour * 2, hour));
    }
}
