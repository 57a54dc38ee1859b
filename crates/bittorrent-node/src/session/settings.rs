//! What users of a session set: for all torrents, and for one. The names are those
//! of Transmission's RPC, under which they are kept, too.

use crate::schedule::Schedule;
use bittorrent::torrent::SeedingGoal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::time::Duration;

/// Octets of a kilobyte in rates, as Transmission counts.
pub const KILOBYTE: u64 = 1_000;
/// Torrents that may be active at once, whatever is set.
const QUEUE_MAX: usize = 10_000;
/// Labels of one torrent.
const LABELS_MAX: usize = 100;
/// Octets of a label or a group's name.
const LABEL_OCTETS_MAX: usize = 256;
/// The largest limit of a rate, in kilobytes a second.
const RATE_MAX: u64 = 1 << 40;

/// What is set for all torrents of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct SessionSettings {
    /// While the alternative limits hold: kilobytes a second from peers.
    pub alt_speed_down: u64,
    /// Whether the alternative limits hold now.
    pub alt_speed_enabled: bool,
    /// When they begin by themselves, in minutes after midnight.
    pub alt_speed_time_begin: u32,
    /// On which days: 1 is Sunday, 2 Monday, 4 Tuesday and so on, added up.
    pub alt_speed_time_day: u8,
    /// Whether they begin and end by themselves.
    pub alt_speed_time_enabled: bool,
    /// When they end by themselves, in minutes after midnight.
    pub alt_speed_time_end: u32,
    /// Kilobytes a second to peers.
    pub alt_speed_up: u64,
    /// Whether the IP filter is heeded.
    pub blocklist_enabled: bool,
    /// Where the IP filter comes from: a file of this machine, or http(s).
    pub blocklist_url: String,
    /// Trackers for each public torrent that is added, one a line.
    pub default_trackers: String,
    /// Where files lie, unless it is said otherwise.
    pub download_dir: PathBuf,
    /// Whether only so many torrents download at once.
    pub download_queue_enabled: bool,
    /// How many.
    pub download_queue_size: usize,
    /// Minutes after which a seed that nobody wants anything of stops.
    pub idle_seeding_limit: u64,
    /// Whether it does.
    pub idle_seeding_limit_enabled: bool,
    /// Connections of all torrents together.
    pub peer_limit_global: usize,
    /// Connections of a torrent for which nothing else is set.
    pub peer_limit_per_torrent: usize,
    /// Whether torrents that do nothing take no place in the queue.
    pub queue_stalled_enabled: bool,
    /// After so many minutes.
    pub queue_stalled_minutes: u64,
    /// Whether only so many torrents seed at once.
    pub seed_queue_enabled: bool,
    /// How many.
    pub seed_queue_size: usize,
    /// The share ratio at which a seed has done enough.
    #[serde(rename = "seedRatioLimit")]
    pub seed_ratio_limit: f64,
    /// Whether it has.
    #[serde(rename = "seedRatioLimited")]
    pub seed_ratio_limited: bool,
    /// Whether torrents that are added get their pieces in order.
    #[serde(rename = "sequential_download")]
    pub sequential_download: bool,
    /// Kilobytes a second from peers, all torrents together.
    pub speed_limit_down: u64,
    /// Whether that holds.
    pub speed_limit_down_enabled: bool,
    /// Kilobytes a second to peers, all torrents together.
    pub speed_limit_up: u64,
    /// Whether that holds.
    pub speed_limit_up_enabled: bool,
    /// Whether torrents that are added begin at once.
    pub start_added_torrents: bool,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            alt_speed_down: 50,
            alt_speed_enabled: false,
            alt_speed_time_begin: 9 * 60,
            alt_speed_time_day: 127,
            alt_speed_time_enabled: false,
            alt_speed_time_end: 17 * 60,
            alt_speed_up: 50,
            blocklist_enabled: false,
            blocklist_url: String::new(),
            default_trackers: String::new(),
            download_dir: PathBuf::from("."),
            download_queue_enabled: true,
            download_queue_size: 5,
            idle_seeding_limit: 30,
            idle_seeding_limit_enabled: false,
            peer_limit_global: 500,
            peer_limit_per_torrent: 100,
            queue_stalled_enabled: true,
            queue_stalled_minutes: 30,
            seed_queue_enabled: false,
            seed_queue_size: 10,
            seed_ratio_limit: 2.0,
            seed_ratio_limited: false,
            sequential_download: false,
            speed_limit_down: 100,
            speed_limit_down_enabled: false,
            speed_limit_up: 100,
            speed_limit_up_enabled: false,
            start_added_torrents: true,
        }
    }
}

impl SessionSettings {
    /// When the alternative limits hold by themselves.
    pub(crate) fn schedule(&self) -> Option<Schedule> {
        self.alt_speed_time_enabled.then_some(Schedule {
            begin_minutes: self.alt_speed_time_begin,
            end_minutes: self.alt_speed_time_end,
            days: self.alt_speed_time_day,
        })
    }

    /// The limits of rates that hold now.
    pub(crate) fn rates(&self) -> crate::Rates {
        let limit = |enabled: bool, kilobytes: u64| enabled.then_some(kilobytes * KILOBYTE);
        if self.alt_speed_enabled {
            crate::Rates {
                download: limit(true, self.alt_speed_down),
                upload: limit(true, self.alt_speed_up),
            }
        } else {
            crate::Rates {
                download: limit(self.speed_limit_down_enabled, self.speed_limit_down),
                upload: limit(self.speed_limit_up_enabled, self.speed_limit_up),
            }
        }
    }

    /// What is wrong with it, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (name, minutes) in [
            ("alt-speed-time-begin", self.alt_speed_time_begin),
            ("alt-speed-time-end", self.alt_speed_time_end),
        ] {
            if minutes >= 24 * 60 {
                return Err(format!("{name} {minutes}: a day has minutes 0 to 1439"));
            }
        }
        for (name, rate) in [
            ("alt-speed-down", self.alt_speed_down),
            ("alt-speed-up", self.alt_speed_up),
            ("speed-limit-down", self.speed_limit_down),
            ("speed-limit-up", self.speed_limit_up),
        ] {
            check_rate(name, rate)?;
        }
        for (name, size) in
            [("download-queue-size", self.download_queue_size), ("seed-queue-size", self.seed_queue_size)]
        {
            if size > QUEUE_MAX {
                return Err(format!("{name} {size}: at most {QUEUE_MAX}"));
            }
        }
        check_ratio(self.seed_ratio_limit)?;
        if self.download_dir.is_absolute() {
            Ok(())
        } else {
            Err("download-dir: write a path that begins with /".to_owned())
        }
    }
}

fn check_rate(name: &str, rate: u64) -> Result<(), String> {
    if rate <= RATE_MAX { Ok(()) } else { Err(format!("{name} {rate}: at most {RATE_MAX}")) }
}

fn check_ratio(ratio: f64) -> Result<(), String> {
    if ratio.is_finite() && ratio >= 0.0 {
        Ok(())
    } else {
        Err("seedRatioLimit: a number from 0 on".to_owned())
    }
}

/// What is set for one torrent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TorrentSettings {
    /// Kept for who asks; all torrents share alike.
    pub bandwidth_priority: i64,
    /// Kilobytes a second from peers.
    pub download_limit: u64,
    /// Whether that holds.
    pub download_limited: bool,
    /// Kept for who asks.
    pub group: String,
    /// Kept for who asks: the session's limits hold for all.
    pub honors_session_limits: bool,
    /// Words of the user.
    pub labels: Vec<String>,
    /// Connections at once.
    #[serde(rename = "peer-limit")]
    pub peer_limit: usize,
    /// Minutes after which it stops when nobody wants anything of it.
    pub seed_idle_limit: u64,
    /// 0: as the session says, 1: as here, 2: never.
    pub seed_idle_mode: u8,
    /// The share ratio at which it has done enough.
    pub seed_ratio_limit: f64,
    /// 0: as the session says, 1: as here, 2: never.
    pub seed_ratio_mode: u8,
    /// Pieces in their order.
    #[serde(rename = "sequential_download")]
    pub sequential_download: bool,
    /// Kilobytes a second to peers.
    pub upload_limit: u64,
    /// Whether that holds.
    pub upload_limited: bool,
}

impl Default for TorrentSettings {
    fn default() -> Self {
        Self {
            bandwidth_priority: 0,
            download_limit: 100,
            download_limited: false,
            group: String::new(),
            honors_session_limits: true,
            labels: Vec::new(),
            peer_limit: 100,
            seed_idle_limit: 30,
            seed_idle_mode: 0,
            seed_ratio_limit: 2.0,
            seed_ratio_mode: 0,
            sequential_download: false,
            upload_limit: 100,
            upload_limited: false,
        }
    }
}

impl TorrentSettings {
    pub(crate) fn rates(&self) -> crate::Rates {
        crate::Rates {
            download: self.download_limited.then_some(self.download_limit * KILOBYTE),
            upload: self.upload_limited.then_some(self.upload_limit * KILOBYTE),
        }
    }

    /// When it has seeded enough, where its session says so too.
    pub(crate) fn goal(&self, session: &SessionSettings) -> SeedingGoal {
        let minutes = |minutes: u64| Duration::from_secs(minutes.saturating_mul(60));
        SeedingGoal {
            share_ratio: match self.seed_ratio_mode {
                0 => session.seed_ratio_limited.then_some(session.seed_ratio_limit),
                1 => Some(self.seed_ratio_limit),
                _ => None,
            },
            span: None,
            idle_span: match self.seed_idle_mode {
                0 => session.idle_seeding_limit_enabled.then(|| minutes(session.idle_seeding_limit)),
                1 => Some(minutes(self.seed_idle_limit)),
                _ => None,
            },
        }
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        check_rate("downloadLimit", self.download_limit)?;
        check_rate("uploadLimit", self.upload_limit)?;
        check_ratio(self.seed_ratio_limit)?;
        if self.seed_ratio_mode > 2 || self.seed_idle_mode > 2 {
            return Err("seedRatioMode and seedIdleMode: 0, 1 or 2".to_owned());
        }
        if !(-1..=1).contains(&self.bandwidth_priority) {
            return Err("bandwidthPriority: -1, 0 or 1".to_owned());
        }
        let long = |text: &String| text.len() > LABEL_OCTETS_MAX;
        if self.labels.len() > LABELS_MAX || self.labels.iter().any(long) || long(&self.group) {
            return Err(format!("at most {LABELS_MAX} labels of {LABEL_OCTETS_MAX} octets"));
        }
        if self.labels.iter().any(|label| label.is_empty() || label.contains(',')) {
            return Err("labels: words without commas".to_owned());
        }
        Ok(())
    }
}

/// A name as it is compared: Transmission's have been written `peer-limit`,
/// `peerLimit` and `peer_limit`.
pub(crate) fn plain(name: &str) -> String {
    name.chars().filter(|letter| !matches!(letter, '-' | '_')).collect::<String>().to_ascii_lowercase()
}

/// `current` with what `changes` say of its fields; other changes are passed over.
pub(crate) fn merged<T: Serialize + DeserializeOwned>(
    current: &T,
    changes: &Map<String, Value>,
) -> Result<T, String> {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(current) else {
        return Err("the settings cannot be read".to_owned());
    };
    for (name, value) in changes {
        if let Some((_, field)) = fields.iter_mut().find(|(field, _)| plain(field) == plain(name)) {
            let number = value.as_f64().filter(|number| *number >= 0.0);
            *field = match (&*field, number) {
                // Some clients divide, and write what comes out.
                (Value::Number(before), Some(number)) if !before.is_f64() && value.is_f64() => {
                    Value::from(number as u64)
                }
                _ => value.clone(),
            };
            let read = serde_json::from_value::<T>(Value::Object(fields.clone()));
            read.map_err(|error| format!("{name}: {error}"))?;
        }
    }
    serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn changes(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn changes_are_taken_in_all_spellings_and_wrong_ones_named() {
        let before = SessionSettings { download_dir: "/films".into(), ..SessionSettings::default() };
        let after = merged(
            &before,
            &changes(json!({"speed-limit-down": 7, "speed_limit_up": 8.9, "altSpeedEnabled": true,
                "seedRatioLimit": 3, "nothing-we-know": []})),
        );
        let after = after.expect("right");
        assert_eq!((after.speed_limit_down, after.speed_limit_up), (7, 8));
        assert!(after.alt_speed_enabled && (after.seed_ratio_limit - 3.0).abs() < 1e-9);
        assert!(after.check().is_ok());
        for wrong in [json!({"speed-limit-down": "x"}), json!({"speed-limit-down": -1})] {
            let error = merged(&before, &changes(wrong)).expect_err("wrong");
            assert!(error.starts_with("speed-limit-down: "), "{error}");
        }
        for wrong in [
            json!({"alt-speed-time-end": 1440}),
            json!({"seed-queue-size": QUEUE_MAX + 1}),
            json!({"speed-limit-up": RATE_MAX + 1}),
            json!({"seedRatioLimit": -1.0}),
            json!({"download-dir": "films"}),
        ] {
            let after = merged(&before, &changes(wrong.clone())).expect("the right type");
            assert!(after.check().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_torrent_s_own_limits_go_before_the_session_s() {
        let session = SessionSettings {
            seed_ratio_limited: true,
            seed_ratio_limit: 1.5,
            idle_seeding_limit_enabled: true,
            ..SessionSettings::default()
        };
        let mut torrent = TorrentSettings::default();
        assert_eq!(torrent.goal(&session).share_ratio, Some(1.5));
        assert_eq!(torrent.goal(&session).idle_span, Some(Duration::from_mins(30)));
        (torrent.seed_ratio_mode, torrent.seed_idle_mode) = (1, 2);
        assert_eq!(torrent.goal(&session).share_ratio, Some(2.0));
        assert_eq!(torrent.goal(&session).idle_span, None);
        torrent.labels = vec!["a,b".to_owned()];
        assert!(torrent.check().is_err());
        torrent.labels = vec!["a".to_owned(); LABELS_MAX + 1];
        assert!(torrent.check().is_err());
        let alternative = SessionSettings { alt_speed_enabled: true, ..session };
        assert_eq!(alternative.rates().download, Some(50_000));
    }
}
