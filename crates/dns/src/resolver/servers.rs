//! Which server to ask: the quick ones first, those that time out less and
//! less, the lame ones not at all for a while.

use crate::Name;
use crate::cache::Bounded;
use rand_core::Rng;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a server that was never asked is given, and how it ranks.
const UNKNOWN_RTT: Duration = Duration::from_millis(376);
/// No reply is waited for less than this.
const TIMEOUT_MIN: Duration = Duration::from_millis(100);
/// Nor longer than this over UDP.
const TIMEOUT_MAX: Duration = Duration::from_secs(5);
/// Servers within this much of the quickest are asked in turn at random.
const BAND: Duration = Duration::from_millis(100);
/// How long a lame server is not asked for the zone.
const LAME_FOR: Duration = Duration::from_mins(10);
/// After this long without use what was learnt about a server is forgotten.
const LEARNT_FOR: Duration = Duration::from_mins(15);
/// Memory for what is known about servers.
const SERVERS_OCTETS_MAX: usize = 4 << 20;

/// What is known about name servers.
#[derive(Debug)]
pub(super) struct Servers {
    known: Bounded<SocketAddr, Server>,
    lame: Bounded<(SocketAddr, Name), Instant>,
}

#[derive(Debug, Clone)]
struct Server {
    /// Smoothed round-trip time and its variation (RFC 6298 section 2).
    srtt: Duration,
    variation: Duration,
    /// Exchanges in a row without reply.
    timeouts: u32,
    /// Whether it failed to understand EDNS (RFC 6891 section 6.2.2).
    plain: bool,
    learnt: Instant,
}

impl Servers {
    pub(super) fn new() -> Self {
        Self { known: Bounded::new(SERVERS_OCTETS_MAX), lame: Bounded::new(SERVERS_OCTETS_MAX) }
    }

    fn server(&self, now: Instant, address: SocketAddr) -> Option<&Server> {
        self.known.peek(&address).filter(|s| now.saturating_duration_since(s.learnt) < LEARNT_FOR)
    }

    fn change(&mut self, now: Instant, address: SocketAddr, change: impl FnOnce(&mut Server)) {
        let unknown =
            Server { srtt: UNKNOWN_RTT, variation: Duration::ZERO, timeouts: 0, plain: false, learnt: now };
        let mut server = self.server(now, address).cloned().unwrap_or(unknown);
        server.learnt = now;
        change(&mut server);
        self.known.insert(address, server, size_of::<(SocketAddr, Server)>());
    }

    /// How long to wait for a reply over UDP: half as long again for each time
    /// in a row that none came.
    pub(super) fn timeout(&self, now: Instant, address: SocketAddr) -> Duration {
        let Some(server) = self.server(now, address) else { return UNKNOWN_RTT };
        let patience = server.srtt + 4 * server.variation;
        let growth = 1.5_f64.powf(f64::from(server.timeouts.min(10)));
        patience.max(TIMEOUT_MIN).mul_f64(growth).min(TIMEOUT_MAX)
    }

    /// A reply came after `rtt`.
    pub(super) fn answered(&mut self, now: Instant, address: SocketAddr, rtt: Duration) {
        let first = self.server(now, address).is_none_or(|server| server.variation.is_zero());
        self.change(now, address, |server| {
            if first {
                server.srtt = rtt;
                server.variation = (rtt / 2).max(Duration::from_millis(1));
            } else {
                server.variation = (3 * server.variation + server.srtt.abs_diff(rtt)) / 4;
                server.srtt = (7 * server.srtt + rtt) / 8;
            }
            server.timeouts = 0;
        });
    }

    /// No reply came in time.
    pub(super) fn timed_out(&mut self, now: Instant, address: SocketAddr) {
        self.change(now, address, |server| server.timeouts = server.timeouts.saturating_add(1));
    }

    /// The server does not understand EDNS.
    pub(super) fn mark_plain(&mut self, now: Instant, address: SocketAddr) {
        self.change(now, address, |server| server.plain = true);
    }

    /// Whether to ask without EDNS.
    pub(super) fn is_plain(&self, now: Instant, address: SocketAddr) -> bool {
        self.server(now, address).is_some_and(|server| server.plain)
    }

    /// The server does not know the zone it should serve.
    pub(super) fn mark_lame(&mut self, now: Instant, address: SocketAddr, zone: &Name) {
        let octets = size_of::<(SocketAddr, Name, Instant)>() + zone.len();
        let zone = domain::base::ToName::to_name(zone);
        self.lame.insert((address, zone), now + LAME_FOR, octets);
    }

    /// Whether the server is lame for the zone.
    pub(super) fn is_lame(&self, now: Instant, address: SocketAddr, zone: &Name) -> bool {
        self.lame.peek(&(address, zone.clone())).is_some_and(|until| *until > now)
    }

    /// Chooses among `candidates` (address, times asked already) one of those
    /// that promise the quickest reply; each time asked in vain halves the promise.
    pub(super) fn choose(
        &self,
        now: Instant,
        rng: &mut impl Rng,
        candidates: &[(SocketAddr, u8)],
    ) -> Option<SocketAddr> {
        let wait = |(address, tries): &(SocketAddr, u8)| self.timeout(now, *address) * (1 << (*tries).min(6));
        let quickest = candidates.iter().map(wait).min()?;
        let band: Vec<SocketAddr> =
            candidates.iter().filter(|c| wait(c) <= quickest + BAND).map(|(address, _)| *address).collect();
        let chosen = rng.next_u32() as usize % band.len().max(1);
        band.get(chosen).copied()
    }
}

#[cfg(test)]
mod tests {
    //! The bounds of what is known about servers.
    use super::*;

    fn address(number: u32) -> SocketAddr {
        SocketAddr::new(std::net::Ipv4Addr::from_bits(number).into(), 53)
    }

    #[test]
    fn no_reply_is_waited_for_longer_than_the_bound() {
        let (now, mut servers) = (Instant::now(), Servers::new());
        servers.answered(now, address(1), Duration::from_secs(3));
        for _ in 0..100 {
            servers.timed_out(now, address(1));
            servers.timed_out(now, address(2));
        }
        assert_eq!(servers.timeout(now, address(1)), TIMEOUT_MAX);
        assert_eq!(servers.timeout(now, address(2)), TIMEOUT_MAX);
    }

    #[test]
    fn only_so_much_is_known_about_servers() {
        let (now, mut servers) = (Instant::now(), Servers::new());
        let zone = Name::root_bytes();
        let count = 50_000;
        for number in 0..count {
            servers.timed_out(now, address(number));
            servers.mark_lame(now, address(number), &zone);
        }
        assert!(servers.known.octets() <= SERVERS_OCTETS_MAX && servers.known.len() < count as usize);
        assert!(servers.lame.octets() <= SERVERS_OCTETS_MAX && servers.lame.len() < count as usize);
        assert!(servers.is_lame(now, address(count - 1), &zone), "what was learnt last is known");
    }
}
