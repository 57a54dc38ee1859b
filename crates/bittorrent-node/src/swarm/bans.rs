//! Addresses that sent wrong octets and may not come again.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

/// Addresses that are remembered; beyond, the one banned longest ago may try again.
/// Each cost its owner a whole piece's worth of blocks, and a new address.
const BANNED_MAX: usize = 10_000;

/// The banned addresses of one torrent.
#[derive(Debug, Default)]
pub(super) struct Bans {
    addresses: BTreeSet<IpAddr>,
    /// The same, the one banned longest ago first.
    order: VecDeque<IpAddr>,
}

impl Bans {
    /// Bans an address, if it is not yet.
    pub(super) fn insert(&mut self, address: IpAddr) {
        if !self.addresses.insert(address) {
            return;
        }
        self.order.push_back(address);
        if self.order.len() > BANNED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.addresses.remove(&oldest);
        }
    }

    /// Whether an address is banned.
    pub(super) fn contains(&self, address: &IpAddr) -> bool {
        self.addresses.contains(address)
    }

    /// All, the one banned longest ago first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &IpAddr> {
        self.order.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn only_so_many_are_remembered() {
        let address = |number: usize| IpAddr::from(Ipv4Addr::from(number as u32));
        let mut bans = Bans::default();
        for number in 0..BANNED_MAX {
            bans.insert(address(number));
            bans.insert(address(number));
        }
        assert!(bans.contains(&address(0)));
        bans.insert(address(BANNED_MAX));
        assert!(!bans.contains(&address(0)) && bans.contains(&address(1)));
        assert!(bans.contains(&address(BANNED_MAX)) && bans.iter().count() == BANNED_MAX);
    }
}
