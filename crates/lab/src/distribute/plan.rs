//! What is distributed, over which links, to how many.

use super::counts::Counts;
use super::figures::Architecture;
use crate::LabError;
use bittorrent::torrent::{Settings as Rules, Slots};
use simulation::swarm::{client_server_seconds, peer_to_peer_seconds};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// The file, in octets: a few pieces at least, and what is made in no time.
const FILE_OCTETS_MIN: u64 = 256 * 1024;
const FILE_OCTETS_MAX: u64 = 256 * 1024 * 1024;
/// Octets a second of a link.
const RATE_MIN: u64 = 8_000;
const RATE_MAX: u64 = 125_000_000;
/// Pieces of a file, about: fewer could not be distributed evenly.
const PIECES: u64 = 256;
/// Octets of a piece: one block at least.
const PIECE_OCTETS_MIN: u64 = 16 * 1024;
/// The lecture's rules run so many times faster: a film takes hours, this seconds.
const FASTER: u32 = 5;
/// From host to host in one direction.
pub(super) const DELAY: Duration = Duration::from_millis(10);

/// What is distributed, over which links, to how many.
#[derive(Debug, Clone)]
pub struct DistributePlan {
    /// F, in octets, 256 KiB to 256 MiB; it is filled up to whole pieces.
    pub file_octets: u64,
    /// us, the uplink of the server, which is also the seed's; octets a second.
    pub server_up: u64,
    /// ui, the uplink of each peer; octets a second.
    pub peer_up: u64,
    /// dmin, the downlink of each client and peer; octets a second.
    pub down: u64,
    /// For which N the formulas are told.
    pub formula: Counts,
    /// For which N it is simulated, at most [`DistributePlan::SIMULATION_MAX`].
    pub simulation: Counts,
    /// For which N real nodes do it, at most [`DistributePlan::REAL_MAX`].
    pub real: Counts,
    /// Decides what is random in the simulation, and what is in the file.
    pub seed: u64,
    /// Where each host gets a folder of its own.
    pub folder: PathBuf,
    /// Where the picture is written.
    pub svg: Option<PathBuf>,
}

/// The file and the links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rates {
    pub(super) pieces: u32,
    pub(super) piece_octets: u32,
    pub(super) server_up: u64,
    pub(super) peer_up: u64,
    pub(super) down: u64,
}

impl DistributePlan {
    /// The largest N that is simulated.
    pub const SIMULATION_MAX: usize = 200;
    /// The largest N of real nodes, which share one processor.
    pub const REAL_MAX: usize = 40;

    /// Refuses what cannot be carried out.
    pub(super) fn check(&self) -> Result<(), LabError> {
        let wrong = |text: String| Err(LabError::Plan(text));
        if !(FILE_OCTETS_MIN..=FILE_OCTETS_MAX).contains(&self.file_octets) {
            let octets = self.file_octets;
            return wrong(format!(
                "--file-size {octets}: write between {FILE_OCTETS_MIN} and {FILE_OCTETS_MAX} octets"
            ));
        }
        let rates =
            [("--server-uplink", self.server_up), ("--uplink", self.peer_up), ("--downlink", self.down)];
        for (option, rate) in rates {
            if !(RATE_MIN..=RATE_MAX).contains(&rate) {
                return wrong(format!(
                    "{option} {rate}: write between {RATE_MIN} and {RATE_MAX} octets a second"
                ));
            }
        }
        for (option, counts, max) in
            [("--simulation", &self.simulation, Self::SIMULATION_MAX), ("--real", &self.real, Self::REAL_MAX)]
        {
            if counts.max() > max {
                return wrong(format!("{option} {counts}: {max} at most can take part"));
            }
        }
        if self.rows().is_empty() {
            return wrong(
                "there is no N in any list: name some with --formula, e.g. --formula 1,10,30".to_owned(),
            );
        }
        Ok(())
    }

    /// The file in whole pieces, and the links.
    pub(super) fn rates(&self) -> Rates {
        let piece_octets = (self.file_octets / PIECES).max(PIECE_OCTETS_MIN).next_power_of_two();
        Rates {
            pieces: self.file_octets.div_ceil(piece_octets) as u32,
            piece_octets: piece_octets as u32,
            server_up: self.server_up,
            peer_up: self.peer_up,
            down: self.down,
        }
    }

    /// F, filled up to whole pieces.
    pub(super) fn octets(&self) -> u64 {
        let rates = self.rates();
        u64::from(rates.pieces) * u64::from(rates.piece_octets)
    }

    /// F/u: the lecture's hour.
    pub(super) fn peer_seconds(&self) -> f64 {
        self.octets() as f64 / self.peer_up as f64
    }

    /// The lecture's bound, in seconds.
    pub(super) fn bound(&self, architecture: Architecture, count: usize) -> f64 {
        let (octets, server, down) = (self.octets() as f64, self.server_up as f64, self.down as f64);
        match architecture {
            Architecture::ClientServer => client_server_seconds(octets, count, server, down),
            Architecture::PeerToPeer => {
                peer_to_peer_seconds(octets, count, server, down, count as f64 * self.peer_up as f64)
            }
        }
    }

    /// Every N of any list, ascending.
    pub(super) fn rows(&self) -> Vec<usize> {
        let rows: BTreeSet<usize> =
            [&self.formula, &self.simulation, &self.real].into_iter().flat_map(Counts::iter).collect();
        rows.into_iter().collect()
    }
}

/// The rules by which everybody plays: in simulation and in the real run the same.
pub(super) fn rules(architecture: Architecture, count: usize) -> Rules {
    let defaults = Rules::default();
    let rules = Rules {
        choke_interval: defaults.choke_interval / FASTER,
        optimistic_interval: defaults.optimistic_interval / FASTER,
        newcomer_span: defaults.newcomer_span / FASTER,
        ..defaults
    };
    match architecture {
        Architecture::PeerToPeer => rules,
        // A copy to every client at once: none waits, none spares another.
        Architecture::ClientServer => Rules {
            seed_slots: Slots::Fixed(u32::try_from(count).unwrap_or(u32::MAX)),
            spread_first: false,
            ..rules
        },
    }
}

/// Octets a second in words.
pub(super) fn rate(octets: u64) -> String {
    if octets >= 1_000_000 {
        format!("{} MB/s", octets as f64 / 1e6)
    } else {
        format!("{} kB/s", octets as f64 / 1e3)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The lecture's figure: F/u is one hour, us = 10u, dmin = us.
    pub(crate) fn lecture() -> DistributePlan {
        let peer_up = 8_192;
        DistributePlan {
            file_octets: 3_600 * peer_up,
            server_up: 10 * peer_up,
            peer_up,
            down: 10 * peer_up,
            formula: Counts::new([1, 5, 10, 20, 30]).expect("a list"),
            simulation: Counts::default(),
            real: Counts::default(),
            seed: 1,
            folder: PathBuf::new(),
            svg: None,
        }
    }

    #[test]
    fn the_bounds_are_those_of_the_lectures_figure() {
        let plan = lecture();
        assert_eq!(plan.octets(), plan.file_octets, "whole pieces");
        assert!((plan.peer_seconds() - 3_600.0).abs() < 1e-9);
        // By hand: N/10 hours, and N/(10 + N) hours but never less than F/us = 0.1.
        for (count, server_hours, peers_hours) in
            [(1, 0.1, 0.1), (5, 0.5, 1.0 / 3.0), (10, 1.0, 0.5), (20, 2.0, 2.0 / 3.0), (30, 3.0, 0.75)]
        {
            let hours = |architecture| plan.bound(architecture, count) / 3_600.0;
            let server = hours(Architecture::ClientServer);
            assert!((server - server_hours).abs() < 1e-9, "N = {count}: {server}");
            let peers = hours(Architecture::PeerToPeer);
            assert!((peers - peers_hours).abs() < 1e-9, "N = {count}: {peers}");
        }
    }

    #[test]
    fn a_slow_downlink_is_the_bound_of_both() {
        let plan = DistributePlan { down: 8_192, ..lecture() };
        for architecture in Architecture::ALL {
            assert!((plan.bound(architecture, 5) - 3_600.0).abs() < 1e-9);
        }
    }

    #[test]
    fn what_cannot_be_carried_out_is_refused_with_its_option() {
        assert!(lecture().check().is_ok());
        let none = Counts::default();
        for (plan, expected) in [
            (DistributePlan { file_octets: 1, ..lecture() }, "--file-size 1:"),
            (DistributePlan { server_up: 0, ..lecture() }, "--server-uplink 0:"),
            (DistributePlan { peer_up: u64::MAX, ..lecture() }, "--uplink 18446744073709551615:"),
            (DistributePlan { down: 7_999, ..lecture() }, "--downlink 7999:"),
            (DistributePlan { simulation: "201".parse().expect("a list"), ..lecture() }, "--simulation 201:"),
            (DistributePlan { real: "2,41".parse().expect("a list"), ..lecture() }, "--real 2,41:"),
            (DistributePlan { formula: none, ..lecture() }, "--formula"),
        ] {
            let error = plan.check().expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn rates_are_told_in_words() {
        assert_eq!(rate(4_000_000), "4 MB/s");
        assert_eq!(rate(250_500), "250.5 kB/s");
    }
}
