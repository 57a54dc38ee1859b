//! What is distributed to how many, over which links, by which rules.

use crate::LabError;
use bittorrent::torrent::{Settings as Rules, Slots};
use simulation::swarm::peer_to_peer_seconds;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Peers beside the seed, Alice and the free rider among them.
const PEERS_MIN: usize = 6;
const PEERS_MAX: usize = 40;
/// The largest file, in octets.
const FILE_OCTETS_MAX: u64 = 256 * 1024 * 1024;
/// Octets of a piece.
pub(super) const PIECE_OCTETS: u32 = 32 * 1024;
/// The seed's uplink, in uplinks of a peer.
const SEED_TIMES: u64 = 2;
/// How often who is unchoked is decided anew in a bound: a film takes hours, this a
/// minute, so the lecture's rules run faster, and the same number of rounds is played.
const ROUNDS: f64 = 30.0;
/// How many times faster they run at most: a round must see blocks from each partner.
const FASTER_MAX: f64 = 20.0;
/// The shortest bound, in seconds.
const BOUND_MIN: f64 = 10.0;

/// What the swarm is started from.
#[derive(Clone)]
pub struct SwarmPlan {
    /// Peers beside the seed, at least 6 and at most 40.
    pub peers: usize,
    /// Octets of the file, up to 256 MiB.
    pub octets: u64,
    /// Octets a second of a peer's uplink. The seed has twice as much; every downlink
    /// has half as much again.
    pub uplink: u64,
    /// Makes the file.
    pub seed: u64,
    /// Where each host gets a folder of its own.
    pub folder: PathBuf,
    /// Where the picture of the whole run is written.
    pub picture: Option<PathBuf>,
    /// Who is told what happens.
    pub observers: Vec<Arc<dyn event::Observer>>,
    /// Where everything on the wire is written, each host an interface.
    pub capture: Option<net::Capture>,
}

impl SwarmPlan {
    /// Sixteen peers and 16 MiB: a minute and a half.
    pub fn new(folder: PathBuf, seed: u64) -> Self {
        Self {
            peers: 16,
            octets: 16 * 1024 * 1024,
            uplink: 256_000,
            seed,
            folder,
            picture: None,
            observers: Vec::new(),
            capture: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), LabError> {
        if !(PEERS_MIN..=PEERS_MAX).contains(&self.peers) {
            return Err(LabError::Plan(format!(
                "--peers {}: between {PEERS_MIN} and {PEERS_MAX} can take part",
                self.peers
            )));
        }
        let least = u64::from(PIECE_OCTETS) * 16;
        if !(least..=FILE_OCTETS_MAX).contains(&self.octets) {
            return Err(LabError::Plan(format!(
                "--file-size {}: write between {least} and {FILE_OCTETS_MAX} octets",
                self.octets
            )));
        }
        if self.uplink < 8_000 {
            return Err(LabError::Plan(format!(
                "--uplink {}: write at least 8000 octets a second",
                self.uplink
            )));
        }
        if self.bound() < BOUND_MIN {
            return Err(LabError::Plan(format!(
                "this file takes at least {:.1} s, which is too short to be seen: write a larger --file-size or a \
                 smaller --uplink, for {BOUND_MIN:.0} s at least",
                self.bound()
            )));
        }
        Ok(())
    }

    /// The lecture's bound, in seconds: max{F/us, F/dmin, NF/(us+Σui)}. The free
    /// rider adds no uplink.
    pub(super) fn bound(&self) -> f64 {
        let (octets, up) = (self.octets as f64, self.uplink as f64);
        let all_up = up * (self.peers - 1) as f64;
        peer_to_peer_seconds(octets, self.peers, self.seed_up() as f64, self.down() as f64, all_up)
    }

    /// The seed's uplink, in octets a second.
    pub(super) fn seed_up(&self) -> u64 {
        self.uplink * SEED_TIMES
    }

    /// Everybody's downlink, in octets a second: half as much again as an uplink.
    pub(super) fn down(&self) -> u64 {
        self.uplink * 3 / 2
    }

    /// The lecture's rules, sped up, with these slots.
    pub(super) fn rules(&self) -> Rules {
        let defaults = Rules::default();
        let faster = |span: Duration| span.div_f64(self.faster());
        Rules {
            slots: Slots::Fixed(self.slots()),
            choke_interval: faster(defaults.choke_interval),
            optimistic_interval: faster(defaults.optimistic_interval),
            newcomer_span: faster(defaults.newcomer_span),
            snub_after: faster(defaults.snub_after),
            ..defaults
        }
    }

    /// How many times faster the lecture's rules run.
    pub(super) fn faster(&self) -> f64 {
        (Rules::default().choke_interval.as_secs_f64() * ROUNDS / self.bound()).clamp(1.0, FASTER_MAX)
    }

    /// Peers that a leecher unchokes for what they send: four as in the lecture,
    /// less where that would be nearly all, above all while a third is away.
    pub(super) fn slots(&self) -> u32 {
        ((self.peers as u32 - 3) / 2).clamp(1, 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> SwarmPlan {
        SwarmPlan::new(PathBuf::from("unused"), 1)
    }

    #[test]
    fn the_bound_is_the_lectures() {
        // 16 F / (2u + 15u): the free rider adds no uplink.
        let seconds = 16.0 * 16.0 * 1024.0 * 1024.0 / (17.0 * 256_000.0);
        assert!((plan().bound() - seconds).abs() < 1e-9, "{}", plan().bound());
        plan().check().expect("the default can be carried out");
    }

    #[test]
    fn the_lectures_proportions_stay_however_fast_it_is() {
        for octets in [8, 16, 256] {
            let rules = SwarmPlan { octets: octets * 1024 * 1024, ..plan() }.rules();
            let (choke, optimistic) =
                (rules.choke_interval.as_secs_f64(), rules.optimistic_interval.as_secs_f64());
            assert!((optimistic - 3.0 * choke).abs() < 1e-6, "{octets}: {choke} and {optimistic}");
            assert!((0.5..=10.0).contains(&choke), "{octets}: {choke}");
        }
    }

    #[test]
    fn small_swarms_have_fewer_slots_and_no_swarm_more_than_four() {
        for (peers, slots) in [(6, 1), (8, 2), (11, 4), (16, 4), (40, 4)] {
            assert_eq!(SwarmPlan { peers, ..plan() }.slots(), slots, "{peers} peers");
        }
    }
}
