//! The rules of sharing as a person sets them: who is served, and when that is decided.

use bittorrent::torrent::{SeedPolicy, Settings, Slots};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Peers served at once, at most.
const SLOTS_MAX: u32 = 1_000;
/// Seconds between two decisions, at most.
const INTERVAL_SECONDS_MAX: u64 = 3_600;

/// Who is served, and when that is decided. The defaults are BEP 3's, but for a seed's
/// places, which grow with its uplink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Peers that are served for what they send, while a torrent is not whole.
    #[schemars(range(min = 0, max = 1_000))]
    pub slots: u32,
    /// Peers that a seed serves at least.
    #[schemars(range(min = 0, max = 1_000))]
    pub seed_slots_min: u32,
    /// Peers that a seed serves at most, whatever the least is.
    #[schemars(range(min = 0, max = 1_000))]
    pub seed_slots_max: u32,
    /// Octets a second for which a seed serves one peer more.
    #[schemars(range(min = 1, max = 4_294_967_295_u64))]
    pub seed_slot_octets_per_second: u32,
    /// Peers that are served without regard to what they send, newcomers first.
    #[schemars(range(min = 0, max = 1_000))]
    pub optimistic_slots: u32,
    /// Seconds between two decisions whom to serve.
    #[schemars(range(min = 1, max = 3_600))]
    pub choke_interval_seconds: u64,
    /// Seconds until another peer is served without regard to what it sends.
    #[schemars(range(min = 1, max = 3_600))]
    pub optimistic_interval_seconds: u64,
    /// Seconds without a block after which a peer counts as one that serves us nothing.
    #[schemars(range(min = 1, max = 3_600))]
    pub snub_seconds: u64,
    /// Whom a seed serves: who takes the most, with rotation (`upload-rate`), or each in
    /// turn (`round-robin`).
    pub seed_policy: Seeding,
}

/// Whom a seed serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Seeding {
    /// Who takes the most, with rotation.
    #[default]
    UploadRate,
    /// Each in turn.
    RoundRobin,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            slots: 4,
            seed_slots_min: 4,
            seed_slots_max: 32,
            seed_slot_octets_per_second: 128 * 1024,
            optimistic_slots: 1,
            choke_interval_seconds: 10,
            optimistic_interval_seconds: 30,
            snub_seconds: 60,
            seed_policy: Seeding::default(),
        }
    }
}

impl Rules {
    /// Whether they can be kept.
    ///
    /// # Errors
    /// The key that is to blame, and what is wrong.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        for (key, slots) in [
            ("slots", self.slots),
            ("seed_slots_min", self.seed_slots_min),
            ("seed_slots_max", self.seed_slots_max),
            ("optimistic_slots", self.optimistic_slots),
        ] {
            if slots > SLOTS_MAX {
                return Err((key, format!("{slots} peers at once are more than {SLOTS_MAX}")));
            }
        }
        if self.seed_slot_octets_per_second == 0 {
            return Err(("seed_slot_octets_per_second", "0 would have everybody served".to_owned()));
        }
        for (key, seconds) in [
            ("choke_interval_seconds", self.choke_interval_seconds),
            ("optimistic_interval_seconds", self.optimistic_interval_seconds),
            ("snub_seconds", self.snub_seconds),
        ] {
            if !(1..=INTERVAL_SECONDS_MAX).contains(&seconds) {
                return Err((key, format!("{seconds} is not between 1 and {INTERVAL_SECONDS_MAX}")));
            }
        }
        Ok(())
    }

    /// The settings of a torrent by these rules.
    pub fn settings(&self) -> Settings {
        Settings {
            slots: Slots::Fixed(self.slots),
            seed_slots: Slots::ByRate {
                octets_per_second: self.seed_slot_octets_per_second,
                min: self.seed_slots_min.min(self.seed_slots_max),
                max: self.seed_slots_max,
            },
            optimistic_slots: self.optimistic_slots,
            choke_interval: Duration::from_secs(self.choke_interval_seconds),
            optimistic_interval: Duration::from_secs(self.optimistic_interval_seconds),
            snub_after: Duration::from_secs(self.snub_seconds),
            seed_policy: match self.seed_policy {
                Seeding::UploadRate => SeedPolicy::UploadRate,
                Seeding::RoundRobin => SeedPolicy::RoundRobin,
            },
            ..Settings::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sets_is_as_the_rules_have_it() {
        assert_eq!(Rules::default().settings(), Settings::default());
        assert_eq!(Rules::default().check(), Ok(()));
        let others = Rules { slots: 9, choke_interval_seconds: 5, ..Rules::default() };
        let settings = others.settings();
        assert_eq!((settings.slots, settings.choke_interval), (Slots::Fixed(9), Duration::from_secs(5)));
    }

    #[test]
    fn rules_that_nobody_can_keep_are_named() {
        let usual = Rules::default();
        for (rules, key) in [
            (Rules { slots: 1_001, ..usual.clone() }, "slots"),
            (Rules { seed_slots_min: 1_001, ..usual.clone() }, "seed_slots_min"),
            (Rules { seed_slot_octets_per_second: 0, ..usual.clone() }, "seed_slot_octets_per_second"),
            (Rules { choke_interval_seconds: 0, ..usual.clone() }, "choke_interval_seconds"),
            (Rules { optimistic_interval_seconds: 3_601, ..usual }, "optimistic_interval_seconds"),
        ] {
            assert_eq!(rules.check().map_err(|(key, _)| key), Err(key));
        }
    }
}
