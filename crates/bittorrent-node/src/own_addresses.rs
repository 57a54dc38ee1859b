//! Our own addresses as others see them, and what a connection with a peer is
//! worth because of them (BEP 40).

use bittorrent::wire::peer_priority;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One address of each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnAddresses {
    v4: SocketAddr,
    v6: SocketAddr,
}

impl OwnAddresses {
    /// Those that are listened on. Where that is any address, others are made up
    /// until the right ones are known: what is worth more is at least not the same
    /// for all.
    pub(crate) fn new(listen: &[SocketAddr]) -> Self {
        let mut own = Self {
            v4: SocketAddr::new(Ipv4Addr::from_bits(rand::random()).into(), 0),
            v6: SocketAddr::new(Ipv6Addr::from_bits(rand::random()).into(), 0),
        };
        for address in listen.iter().filter(|address| !address.ip().is_unspecified()) {
            *own.of(address.ip()) = *address;
        }
        own
    }

    /// Others see us there.
    pub(crate) fn set(&mut self, seen: IpAddr) {
        self.of(seen).set_ip(seen);
    }

    /// We listen at this port.
    pub(crate) fn set_port(&mut self, port: u16) {
        self.v4.set_port(port);
        self.v6.set_port(port);
    }

    fn of(&mut self, ip: IpAddr) -> &mut SocketAddr {
        if ip.is_ipv4() { &mut self.v4 } else { &mut self.v6 }
    }

    /// What a connection with a peer is worth: the more, the higher.
    pub(crate) fn priority(&self, peer: SocketAddr) -> u32 {
        peer_priority(if peer.is_ipv4() { self.v4 } else { self.v6 }, peer)
    }

    /// Who of `peers` makes room for a newcomer: the one of the lowest priority, if
    /// that is lower than the newcomer's.
    pub(crate) fn weakest<K: Ord>(
        &self,
        peers: impl Iterator<Item = (K, SocketAddr)>,
        newcomer: SocketAddr,
    ) -> Option<K> {
        let (lowest, key) = peers.map(|(key, address)| (self.priority(address), key)).min()?;
        (lowest < self.priority(newcomer)).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_takes_the_place_of_the_weakest_only() {
        let at =
            |number: u32| SocketAddr::new(Ipv4Addr::from_bits(0x6200_0000 + number * 0x10_0000).into(), 1);
        let own = OwnAddresses::new(&["123.213.32.10:6881".parse().expect("an address")]);
        let mut all: Vec<u32> = (0..20).collect();
        all.sort_by_key(|number| own.priority(at(*number)));
        let (strongest, weakest) = (all.pop().expect("one"), all.remove(0));
        let peers = || all.iter().map(|number| (*number, at(*number)));
        assert_eq!(own.weakest(peers(), at(strongest)), all.first().copied());
        assert_eq!(own.weakest(peers(), at(weakest)), None);
        assert_eq!(own.weakest(std::iter::empty::<(u32, SocketAddr)>(), at(strongest)), None);
    }

    #[test]
    fn what_is_listened_on_counts_until_others_tell() {
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let peer = at("98.76.54.32:6881");
        let mut own = OwnAddresses::new(&[at("123.213.32.10:6881"), at("[::]:6881")]);
        // The vector of BEP 40.
        assert_eq!(own.priority(peer), 0xec2d_7224);
        own.set(at("10.0.0.1:1").ip());
        assert_ne!(own.priority(peer), 0xec2d_7224);
        own.set(at("123.213.32.10:1").ip());
        own.set(at("[2001:db8::1]:1").ip());
        assert_eq!(own.priority(peer), 0xec2d_7224);
    }
}
