//! How large a datagram the path carries: found by sending larger ones (RFC
//! 8899), with octets of the connection in them as BEP 29 has no padding.
//!
//! A packet keeps its number and its octets for ever, so a probe that was lost
//! is sent again as it is, and may then be fragmented on its way.

use std::net::IpAddr;
use std::time::{Duration, Instant};

/// What every path is taken to carry (RFC 8899 section 5.1.2: BASE_PLPMTU).
pub const DATAGRAM_OCTETS_BASE: usize = 1_200;
/// An Ethernet frame; receivers of other makes have buffers of that size.
const FRAME_OCTETS: usize = 1_500;
/// The search ends when the bounds are this near.
const NEAR_OCTETS: usize = 32;
/// When to search again above what was found (RFC 8899 section 5.1.1:
/// PMTU_RAISE_TIMER is 600 s).
const RAISE_INTERVAL: Duration = Duration::from_mins(10);

/// The largest datagram that goes into an Ethernet frame towards `peer`.
pub fn frame_datagram_octets(peer: IpAddr) -> usize {
    FRAME_OCTETS - if is_ipv4(peer) { 28 } else { 48 }
}

fn is_ipv4(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => address.to_ipv4_mapped().is_some(),
    }
}

/// The search for one path.
#[derive(Debug)]
pub(super) struct PathMtu {
    /// The largest size that is known to pass.
    confirmed: usize,
    /// Nothing above is tried.
    ceiling: usize,
    /// The ceiling when the search begins.
    limit: usize,
    probing: Option<usize>,
    /// Searches again at this time.
    raise_at: Option<Instant>,
}

impl PathMtu {
    /// A path that may carry `limit_octets` at most.
    pub(super) fn new(limit_octets: usize) -> Self {
        let confirmed = DATAGRAM_OCTETS_BASE.min(limit_octets);
        Self { confirmed, ceiling: limit_octets, limit: limit_octets, probing: None, raise_at: None }
    }

    /// The path may carry so much, as is known now: searches anew.
    pub(super) fn set_limit(&mut self, limit_octets: usize) {
        if limit_octets != self.limit {
            (self.limit, self.ceiling) = (limit_octets, limit_octets);
            self.confirmed = self.confirmed.min(limit_octets).max(DATAGRAM_OCTETS_BASE.min(limit_octets));
        }
    }

    /// How large datagrams are.
    pub(super) fn datagram_octets(&self) -> usize {
        self.confirmed
    }

    /// How large a probe shall be, if it is time for one.
    pub(super) fn poll_probe(&mut self, now: Instant) -> Option<usize> {
        if self.probing.is_some() {
            return None;
        }
        if self.raise_at.is_some_and(|at| at <= now) {
            self.raise_at = None;
            self.ceiling = self.limit;
        }
        if self.ceiling < self.confirmed + NEAR_OCTETS
            && (self.ceiling <= self.confirmed || self.ceiling != self.limit)
        {
            return None;
        }
        // Most paths carry all of it; only then is a search worth its losses.
        Some(if self.ceiling == self.limit { self.limit } else { self.confirmed.midpoint(self.ceiling) })
    }

    /// A probe of this size is under way.
    pub(super) fn probe_sent(&mut self, octets: usize) {
        self.probing = Some(octets);
    }

    /// The probe under way arrived.
    pub(super) fn probe_acknowledged(&mut self) {
        if let Some(octets) = self.probing.take() {
            self.confirmed = self.confirmed.max(octets);
        }
    }

    /// The probe under way was lost.
    pub(super) fn probe_lost(&mut self, now: Instant) {
        if let Some(octets) = self.probing.take() {
            self.ceiling = octets.saturating_sub(1).max(self.confirmed);
            self.raise_at.get_or_insert(now + RAISE_INTERVAL);
        }
    }

    /// Packets of the confirmed size stopped to pass: begins again from below
    /// (RFC 8899 section 4.3: black hole).
    pub(super) fn black_hole(&mut self, now: Instant) {
        if self.confirmed > DATAGRAM_OCTETS_BASE {
            self.ceiling = self.confirmed - 1;
            self.confirmed = DATAGRAM_OCTETS_BASE;
            self.probing = None;
            self.raise_at = Some(now + RAISE_INTERVAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Searches on a path that carries `carries`; how many probes were lost.
    fn search(mtu: &mut PathMtu, now: Instant, carries: usize) -> usize {
        let mut lost = 0;
        while let Some(octets) = mtu.poll_probe(now) {
            mtu.probe_sent(octets);
            assert_eq!(mtu.poll_probe(now), None, "one probe at a time");
            if octets <= carries {
                mtu.probe_acknowledged();
            } else {
                mtu.probe_lost(now);
                lost += 1;
            }
            assert!(lost < 20, "the search does not end");
        }
        lost
    }

    proptest! {
        #[test]
        fn the_search_ends_near_what_the_path_carries(limit in 600usize..65_508, carries in 1_200usize..65_508) {
            let mut mtu = PathMtu::new(limit);
            search(&mut mtu, Instant::now(), carries);
            let best = limit.min(carries);
            prop_assert!(mtu.datagram_octets() <= best && best - mtu.datagram_octets() <= NEAR_OCTETS);
        }
    }

    #[test]
    fn the_whole_is_tried_first_and_again_later() {
        let now = Instant::now();
        let mut mtu = PathMtu::new(1_472);
        assert_eq!(mtu.poll_probe(now), Some(1_472));
        assert!(search(&mut mtu, now, 1_400) > 0);
        let found = mtu.datagram_octets();
        assert!((1_368..=1_400).contains(&found));
        assert_eq!(mtu.poll_probe(now + RAISE_INTERVAL), Some(1_472));
        search(&mut mtu, now + RAISE_INTERVAL, 1_472);
        assert_eq!(mtu.datagram_octets(), 1_472);
        mtu.black_hole(now);
        assert_eq!(mtu.datagram_octets(), DATAGRAM_OCTETS_BASE);
        search(&mut mtu, now, 1_300);
        assert!(mtu.datagram_octets() <= 1_300);
    }

    #[test]
    fn frames_hold_less_of_ipv6() {
        assert_eq!(frame_datagram_octets([127, 0, 0, 1].into()), 1_472);
        assert_eq!(frame_datagram_octets(std::net::Ipv6Addr::LOCALHOST.into()), 1_452);
    }
}
