//! Addresses that sent wrong octets and may not come again.

use bittorrent::torrent::PeerKey;
use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

/// Addresses that are remembered; beyond, the one banned longest ago may try again.
/// Each cost its owner a whole piece's worth of blocks, and a new address.
const BANNED_MAX: usize = 10_000;
/// Peers that left which are remembered, the last ones: one that sent wrong octets and
/// leaves before that is found out is banned all the same.
const LEFT_MAX: usize = 1_000;

/// The banned addresses of one torrent.
#[derive(Debug, Default)]
pub(super) struct Bans {
    addresses: BTreeSet<IpAddr>,
    /// The same, the one banned longest ago first.
    order: VecDeque<IpAddr>,
    /// Where those came from who left, the last one last.
    left: VecDeque<(PeerKey, IpAddr)>,
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

    /// A peer left.
    pub(super) fn note_left(&mut self, key: PeerKey, address: IpAddr) {
        if self.left.len() == LEFT_MAX {
            self.left.pop_front();
        }
        self.left.push_back((key, address));
    }

    /// Bans one that left; gives its address.
    pub(super) fn insert_left(&mut self, key: PeerKey) -> Option<IpAddr> {
        let (_, address) = *self.left.iter().find(|(left, _)| *left == key)?;
        self.insert(address);
        Some(address)
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

    #[test]
    fn who_left_can_be_banned_for_a_while() {
        let address = IpAddr::from([127, 0, 0, 7]);
        let mut bans = Bans::default();
        bans.note_left(PeerKey(7), address);
        for number in 0..LEFT_MAX as u32 - 1 {
            bans.note_left(PeerKey(100 + number), IpAddr::from([127, 0, 0, 8]));
        }
        assert_eq!(bans.insert_left(PeerKey(9)), None);
        assert_eq!(bans.insert_left(PeerKey(7)), Some(address));
        assert!(bans.contains(&address));
        bans.note_left(PeerKey(8), address);
        assert_eq!((bans.insert_left(PeerKey(7)), bans.left.len()), (None, LEFT_MAX));
    }
}
