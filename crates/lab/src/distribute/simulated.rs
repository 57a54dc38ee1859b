//! One distribution in simulated time.

use super::figures::Architecture;
use super::plan::{DELAY, Rates, rules};
use simulation::swarm::{HostPlan, Plan, run};

/// Seconds until the last of `count` has all; `None` if one never has. The same seed
/// gives the same time.
pub(super) fn seconds(rates: Rates, architecture: Architecture, count: usize, seed: u64) -> Option<f64> {
    let clients = vec![HostPlan::leecher(rates.peer_up).with_down(rates.down); count];
    let mut plan = match architecture {
        Architecture::ClientServer => Plan::client_server(seed, rates.pieces, rates.server_up, clients),
        Architecture::PeerToPeer => {
            let hosts = std::iter::once(HostPlan::seed(rates.server_up)).chain(clients);
            Plan::new(seed, rates.pieces, hosts.collect())
        }
    };
    plan.piece_octets = rates.piece_octets;
    plan.delay = DELAY;
    plan.settings = rules(architecture, count);
    Some(run(&plan).last_completed()?.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: Rates = Rates {
        pieces: 64,
        piece_octets: 32 * 1024,
        server_up: 2_000_000,
        peer_up: 200_000,
        down: 2_000_000,
    };

    #[test]
    fn the_same_seed_gives_the_same_time_and_another_another() {
        let of = |seed| seconds(RATES, Architecture::PeerToPeer, 6, seed).expect("all are complete");
        assert_eq!(of(3).to_bits(), of(3).to_bits());
        assert_ne!(of(3).to_bits(), of(4).to_bits());
    }

    #[test]
    fn both_are_near_their_bounds() {
        let octets = f64::from(RATES.pieces) * f64::from(RATES.piece_octets);
        let of = |architecture| seconds(RATES, architecture, 10, 1).expect("all are complete");
        let server = of(Architecture::ClientServer) / (10.0 * octets / 2e6);
        assert!((1.0..1.1).contains(&server), "{server:.3} of the bound");
        let peers = of(Architecture::PeerToPeer) / (10.0 * octets / 4e6);
        assert!((1.0..1.3).contains(&peers), "{peers:.3} of the bound");
    }
}
