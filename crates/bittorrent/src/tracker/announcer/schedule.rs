//! When a tracker wants to be asked again.

use crate::tracker::{http, udp};
use std::time::Duration;

/// The shortest interval that is kept to, whatever a tracker says.
const INTERVAL_MIN: Duration = Duration::from_mins(1);
/// The longest.
const INTERVAL_MAX: Duration = Duration::from_hours(24);
/// The interval where a tracker says none.
const INTERVAL_USUAL: Duration = Duration::from_mins(30);

/// What a tracker's reply says of the next announce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The regular interval.
    pub(super) interval: Duration,
    /// The least interval.
    pub(super) min_interval: Duration,
    /// To be sent back.
    pub(super) tracker_id: Option<Vec<u8>>,
}

impl Schedule {
    /// Of intervals in seconds, within what is sensible; 0 means that it does not
    /// say.
    pub fn new(interval_seconds: u32, min_interval_seconds: Option<u32>) -> Self {
        let interval = match interval_seconds {
            0 => INTERVAL_USUAL,
            seconds => Duration::from_secs(seconds.into()).clamp(INTERVAL_MIN, INTERVAL_MAX),
        };
        let min_interval = min_interval_seconds.map_or(INTERVAL_MIN, |seconds| {
            Duration::from_secs(seconds.into()).clamp(INTERVAL_MIN, interval)
        });
        Self { interval, min_interval, tracker_id: None }
    }

    /// How long after an announce the next one comes by itself.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Of a reply over HTTP.
    pub fn of_http(reply: &http::AnnounceReply) -> Self {
        let schedule = Self::new(reply.interval_seconds, reply.min_interval_seconds);
        Self { tracker_id: reply.tracker_id.clone(), ..schedule }
    }

    /// Of a reply over UDP; `None` when it is none to an announce.
    pub fn of_udp(reply: &udp::Reply<'_>) -> Option<Self> {
        match reply {
            udp::Reply::Announce { interval_seconds, .. } => Some(Self::new(*interval_seconds, None)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_stay_within_what_is_sensible() {
        let of = |interval, min| {
            let schedule = Schedule::new(interval, min);
            (schedule.interval.as_secs(), schedule.min_interval.as_secs())
        };
        assert_eq!(of(1_800, Some(900)), (1_800, 900));
        assert_eq!(of(0, None), (1_800, 60));
        assert_eq!(of(1, Some(0)), (60, 60));
        assert_eq!(of(u32::MAX, Some(u32::MAX)), (86_400, 86_400));
        assert_eq!(of(600, Some(1_800)), (600, 600));
    }
}
