//! How `get` and `seed` share: how fast, with how many, and whom they serve.

use bittorrent_node::session::{KILOBYTE, SessionSettings};
use bittorrent_node::{Engine, Limits, Rates, Rules, Schedule, Seeding, TimedRates};
use std::time::Duration;

/// How often it is looked whether other limits hold.
const LOOK_INTERVAL: Duration = Duration::from_secs(15);

/// Limits, and the rules of sharing.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SharingArguments {
    /// Octets a second from peers at most; 500K and 2M are multiples of 1024
    #[arg(long, help_heading = "Limits and rules", value_name = "OCTETS", value_parser = amount)]
    download_limit: Option<u64>,
    /// Octets a second to peers at most
    #[arg(long, help_heading = "Limits and rules", value_name = "OCTETS", value_parser = amount)]
    upload_limit: Option<u64>,
    /// Other limits at a time, e.g. "mon-fri 08:00-18:00 down=500K up=50K"; may be given several times, the first holds whose time it is
    #[arg(long, help_heading = "Limits and rules", value_name = "TIME LIMITS", value_parser = timed, conflicts_with = "rpc")]
    limit_at: Vec<TimedRates>,
    /// Connections at once
    #[arg(long, help_heading = "Limits and rules", value_name = "NUMBER", default_value_t = 100)]
    pub(super) connections_max: usize,
    /// Connections on their way to peers at once
    #[arg(long, help_heading = "Limits and rules", value_name = "NUMBER", default_value_t = Limits::default().dialling_max)]
    half_open_max: usize,
    /// Octets of blocks in memory
    #[arg(long, help_heading = "Limits and rules", value_name = "OCTETS", default_value = "24M", value_parser = amount)]
    memory: u64,
    /// Peers that are served for what they send, while not all is here
    #[arg(long, help_heading = "Limits and rules", value_name = "NUMBER", default_value_t = Rules::default().slots)]
    slots: u32,
    /// Peers that a seed serves: at least, and at most as its uplink allows
    #[arg(long, help_heading = "Limits and rules", value_name = "MIN-MAX", default_value = "4-32", value_parser = range)]
    seed_slots: (u32, u32),
    /// Peers that are served without regard to what they send, newcomers first
    #[arg(long, help_heading = "Limits and rules", value_name = "NUMBER", default_value_t = Rules::default().optimistic_slots)]
    optimistic_slots: u32,
    /// Seconds between two decisions whom to serve
    #[arg(long, help_heading = "Limits and rules", value_name = "SECONDS", default_value_t = Rules::default().choke_interval_seconds)]
    choke_interval: u64,
    /// Seconds until another peer is served without regard to what it sends
    #[arg(long, help_heading = "Limits and rules", value_name = "SECONDS", default_value_t = Rules::default().optimistic_interval_seconds)]
    optimistic_interval: u64,
    /// Whom a seed serves: who takes the most, with rotation, or each in turn
    #[arg(long, help_heading = "Limits and rules", value_name = "upload-rate|round-robin", default_value = "upload-rate", value_parser = policy)]
    seed_policy: Seeding,
}

impl SharingArguments {
    /// The rules of sharing.
    pub(super) fn rules(&self) -> Result<Rules, String> {
        let rules = Rules {
            slots: self.slots,
            seed_slots_min: self.seed_slots.0,
            seed_slots_max: self.seed_slots.1,
            optimistic_slots: self.optimistic_slots,
            choke_interval_seconds: self.choke_interval,
            optimistic_interval_seconds: self.optimistic_interval,
            seed_policy: self.seed_policy,
            ..Rules::default()
        };
        if rules.seed_slots_min > rules.seed_slots_max {
            return Err(format!(
                "--seed-slots {}-{}: the least is more than the most",
                rules.seed_slots_min, rules.seed_slots_max
            ));
        }
        let argument = |key: &str| match key {
            "seed_slots_min" | "seed_slots_max" => "seed-slots".to_owned(),
            key => key.trim_end_matches("_seconds").replace('_', "-"),
        };
        rules.check().map_err(|(key, reason)| format!("--{}: {reason}", argument(key)))?;
        Ok(rules)
    }

    /// Octets of blocks in memory.
    pub(super) fn memory_octets_max(&self) -> usize {
        usize::try_from(self.memory).unwrap_or(usize::MAX)
    }

    /// The limits that hold now.
    pub(super) fn limits(&self) -> Limits {
        let usual = Rates { download: self.download_limit, upload: self.upload_limit };
        Limits {
            rates: TimedRates::now(&self.limit_at, usual),
            connections_max: self.connections_max.max(Limits::default().connections_max),
            dialling_max: self.half_open_max,
        }
    }

    /// What is set for a session, with the limits that were given here.
    pub(super) fn of_session(&self, settings: &SessionSettings) -> SessionSettings {
        let mut settings = settings.clone();
        if let Some(octets) = self.download_limit {
            settings.speed_limit_down_enabled = true;
            settings.speed_limit_down = octets.div_ceil(KILOBYTE);
        }
        if let Some(octets) = self.upload_limit {
            settings.speed_limit_up_enabled = true;
            settings.speed_limit_up = octets.div_ceil(KILOBYTE);
        }
        settings
    }

    /// Has an engine follow the times of the limits.
    pub(super) fn follow(&self, engine: &Engine) {
        if self.limit_at.is_empty() {
            return;
        }
        let (sharing, engine) = (self.clone(), engine.clone());
        tokio::spawn(async move {
            let mut before = sharing.limits();
            loop {
                tokio::time::sleep(LOOK_INTERVAL).await;
                let limits = sharing.limits();
                if std::mem::replace(&mut before, limits) != limits
                    && engine.set_limits(limits).await.is_err()
                {
                    // It ends.
                    return;
                }
            }
        });
    }
}

/// A count of octets, e.g. `300000`, `500K` or `1.5M`.
pub(super) fn amount(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no count of octets; write e.g. 300000, 500K or 1.5M");
    let (digits, unit) = match text.char_indices().last() {
        Some((at, letter)) if letter.is_ascii_alphabetic() => {
            (text.get(..at).unwrap_or_default(), letter.to_ascii_uppercase())
        }
        _ => (text, ' '),
    };
    let power = match unit {
        ' ' => 0,
        'K' => 1,
        'M' => 2,
        'G' => 3,
        'T' => 4,
        _ => return Err(wrong()),
    };
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit() || digit == b'.') {
        return Err(wrong());
    }
    let octets = digits.parse::<f64>().map_err(|_| wrong())? * 1024_f64.powi(power);
    // 2^53: beyond it neighbours are no longer told apart.
    if octets < 9e15 { Ok(octets as u64) } else { Err(wrong()) }
}

fn timed(text: &str) -> Result<TimedRates, String> {
    let mut rates = Rates::default();
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let mut limited = false;
    while let Some((name, value)) = words.last().and_then(|word| word.split_once('=')) {
        let place = match name {
            "down" => &mut rates.download,
            "up" => &mut rates.upload,
            _ => return Err(format!("{name}= is no limit; write down= or up=")),
        };
        *place = Some(amount(value)?);
        limited = true;
        words.pop();
    }
    let when: Schedule = words.join(" ").parse().map_err(|error| format!("{error}"))?;
    if limited {
        Ok(TimedRates { when, rates })
    } else {
        Err("what holds then? Add down=OCTETS, up=OCTETS or both".to_owned())
    }
}

fn range(text: &str) -> Result<(u32, u32), String> {
    let (min, max) = text.split_once('-').unwrap_or((text, text));
    match (min.parse(), max.parse()) {
        (Ok(min), Ok(max)) => Ok((min, max)),
        _ => Err(format!("{text:?} is no range; write e.g. 4-32 or 8")),
    }
}

fn policy(word: &str) -> Result<Seeding, serde::de::value::Error> {
    use serde::Deserialize;
    use serde::de::IntoDeserializer;
    Seeding::deserialize(word.into_deserializer())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_octets_are_read_as_people_write_them() {
        for (text, octets) in
            [("0", 0), ("300000", 300_000), ("500K", 512_000), ("1.5m", 1_572_864), ("2G", 2 << 30)]
        {
            assert_eq!(amount(text), Ok(octets), "{text}");
        }
        for text in ["", "K", "-1", "1e9", "5 K", "5KB", "1.2.3", "9999999T", "inf", "5é"] {
            assert!(amount(text).is_err_and(|error| error.contains("is no count of octets")), "{text}");
        }
    }

    #[test]
    fn limits_of_a_time_are_read() {
        let both = timed("mon-fri 08:00-18:00 down=500K up=50K").expect("a time");
        assert_eq!(both.rates, Rates { download: Some(512_000), upload: Some(51_200) });
        assert_eq!(both.when, "mon-fri 08:00-18:00".parse().expect("a time"));
        assert_eq!(timed("08:00-18:00 up=0").expect("a time").rates.upload, Some(0));
        for text in ["mon 08:00-18:00", "08:00 up=5", "08:00-18:00 left=5", "08:00-18:00 up=x", ""] {
            assert!(timed(text).is_err(), "{text}");
        }
        assert_eq!(range("8"), Ok((8, 8)));
        assert!(range("a-b").is_err() && policy("none").is_err());
    }
}
