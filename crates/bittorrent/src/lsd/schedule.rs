//! When the neighbours are told of which torrents.

use super::{ANNOUNCE_SECONDS, INFO_HASHES_MAX, INTERVAL_SECONDS_MIN};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What was told on one interface, and when (BEP 14: each torrent every 5
/// minutes, no more than one datagram a minute).
#[derive(Debug, Default)]
pub struct Schedule {
    /// Only torrents that there still are.
    told: BTreeMap<[u8; 20], Instant>,
    last: Option<Instant>,
}

impl Schedule {
    /// The torrents to tell of now, at most [`INFO_HASHES_MAX`]: those that wait
    /// longest. They count as told. `torrents` are all there are.
    pub fn poll(&mut self, now: Instant, torrents: &[[u8; 20]]) -> Vec<[u8; 20]> {
        self.told.retain(|hash, _| torrents.contains(hash));
        let passed = |since: Instant, seconds| now.duration_since(since) >= Duration::from_secs(seconds);
        if self.last.is_some_and(|last| !passed(last, INTERVAL_SECONDS_MIN)) {
            return Vec::new();
        }
        let told = |hash: &[u8; 20]| self.told.get(hash).copied();
        let mut due: Vec<[u8; 20]> = torrents.to_vec();
        due.retain(|hash| told(hash).is_none_or(|told| passed(told, ANNOUNCE_SECONDS)));
        // Those never told of come first.
        due.sort_by_key(told);
        due.truncate(INFO_HASHES_MAX);
        if !due.is_empty() {
            self.last = Some(now);
            self.told.extend(due.iter().map(|hash| (*hash, now)));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_torrent_is_told_of_in_its_time_and_no_datagram_is_too_early() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut schedule = Schedule::default();
        let all: Vec<[u8; 20]> = (0..INFO_HASHES_MAX as u8 + 5).map(|number| [number; 20]).collect();
        assert_eq!(schedule.poll(at(0), &all), all[..INFO_HASHES_MAX]);
        assert!(schedule.poll(at(INTERVAL_SECONDS_MIN - 1), &all).is_empty());
        assert_eq!(schedule.poll(at(INTERVAL_SECONDS_MIN), &all), all[INFO_HASHES_MAX..]);
        assert!(schedule.poll(at(ANNOUNCE_SECONDS - 1), &all).is_empty());
        assert_eq!(schedule.poll(at(ANNOUNCE_SECONDS), &all), all[..INFO_HASHES_MAX]);
        // One that comes is told of at once where that may be; one that went is forgotten.
        let next = at(ANNOUNCE_SECONDS + INTERVAL_SECONDS_MIN);
        let new = [[200; 20], all[INFO_HASHES_MAX]];
        assert_eq!(schedule.poll(next, &new), new);
        assert_eq!(schedule.told.len(), 2);
        assert!(schedule.poll(at(10_000), &[]).is_empty());
    }
}
