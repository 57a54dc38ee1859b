//! The lecture's bounds: how long the distribution of a file takes at least.

use super::plan::Plan;

/// Seconds in which a server with an uplink of `server_up` octets a second can
/// send `file_octets` to `clients` of which the slowest receives `down_min`:
/// max{NF/us, F/dmin}.
pub fn client_server_seconds(file_octets: f64, clients: usize, server_up: f64, down_min: f64) -> f64 {
    (clients as f64 * file_octets / server_up).max(file_octets / down_min)
}

/// The same when the clients are peers that send too, `peers_up` together:
/// max{F/us, F/dmin, NF/(us+Σui)}.
pub fn peer_to_peer_seconds(
    file_octets: f64,
    peers: usize,
    seed_up: f64,
    down_min: f64,
    peers_up: f64,
) -> f64 {
    (file_octets / seed_up).max(file_octets / down_min).max(peers as f64 * file_octets / (seed_up + peers_up))
}

impl Plan {
    /// The bound for this plan: that of peers if any leecher sends, that of a
    /// server else.
    pub fn bound_seconds(&self) -> f64 {
        let octets = f64::from(self.pieces) * f64::from(self.piece_octets);
        let rate = |rate: Option<u64>| rate.map_or(f64::INFINITY, |rate| rate as f64);
        let (mut seeds_up, mut peers_up, mut peers, mut down_min) = (0.0, 0.0, 0, f64::INFINITY);
        for host in &self.hosts {
            if host.is_seed {
                seeds_up += rate(host.up);
            } else {
                peers += 1;
                peers_up += if host.sends() { rate(host.up) } else { 0.0 };
                down_min = rate(host.down).min(down_min);
            }
        }
        if peers_up > 0.0 {
            peer_to_peer_seconds(octets, peers, seeds_up, down_min, peers_up)
        } else {
            client_server_seconds(octets, peers, seeds_up, down_min)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_the_lectures() {
        // The lecture's plot: u is a client's uplink, F/u one hour, us = 10u.
        for (count, client_server, peers) in [(10, 1.0, 0.5), (30, 3.0, 0.75)] {
            let server = client_server_seconds(1.0, count, 10.0, 10.0);
            assert!((server - client_server).abs() < 1e-9, "{server}");
            let shared = peer_to_peer_seconds(1.0, count, 10.0, 10.0, count as f64);
            assert!((shared - peers).abs() < 1e-9, "{shared}");
        }
        assert!((peer_to_peer_seconds(8.0, 2, 1.0, 9.0, 99.0) - 8.0).abs() < 1e-9, "a slow seed");
        assert!((peer_to_peer_seconds(8.0, 2, 9.0, 0.5, 99.0) - 16.0).abs() < 1e-9, "a slow downlink");
    }
}
