//! What address others see us at (BEP 42, "Bootstrapping"): no single node is
//! trusted, they vote.

use super::contact::Holder;
use std::collections::VecDeque;
use std::net::IpAddr;

/// Votes that are remembered: the latest of each voter.
pub const VOTES_MAX: usize = 32;

/// Voters who must agree.
pub const VOTERS_MIN: usize = 5;

/// The latest votes on one address of ours.
#[derive(Debug, Clone, Default)]
pub struct Votes {
    /// Who said what, oldest first, each voter once.
    votes: VecDeque<(Holder, IpAddr)>,
    decided: Option<IpAddr>,
}

impl Votes {
    /// The address most agreed on, once enough did.
    pub fn address(&self) -> Option<IpAddr> {
        self.decided
    }

    /// Counts the vote of the node at `voter`, who sees us at `seen`. Gives the
    /// address where the vote changes what is decided: at least
    /// [`VOTERS_MIN`] agree, and more than half of all.
    pub fn vote(&mut self, voter: &IpAddr, seen: IpAddr) -> Option<IpAddr> {
        let holder = Holder::of(voter);
        self.votes.retain(|(other, _)| *other != holder);
        self.votes.push_back((holder, seen));
        if self.votes.len() > VOTES_MAX {
            self.votes.pop_front();
        }
        let agree = self.votes.iter().filter(|(_, said)| *said == seen).count();
        if self.decided == Some(seen) || agree < VOTERS_MIN || agree * 2 <= self.votes.len() {
            return None;
        }
        self.decided = Some(seen);
        self.decided
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(network: u8, host: u8) -> IpAddr {
        [192, 0, network, host].into()
    }

    #[test]
    fn several_must_agree_and_one_votes_once() {
        let mut votes = Votes::default();
        for _ in 0..50 {
            assert_eq!(votes.vote(&ip(2, 1), ip(9, 9)), None);
        }
        for voter in 2..5 {
            assert_eq!(votes.vote(&ip(2, voter), ip(9, 9)), None);
        }
        assert_eq!(votes.vote(&ip(2, 5), ip(9, 9)), Some(ip(9, 9)));
        assert_eq!(votes.vote(&ip(2, 6), ip(9, 9)), None, "nothing new");
        // A minority does not change it, a majority does.
        for voter in 10..16 {
            assert_eq!(votes.vote(&ip(2, voter), ip(8, 8)), None);
        }
        assert_eq!(votes.address(), Some(ip(9, 9)));
        assert_eq!(votes.vote(&ip(2, 16), ip(8, 8)), Some(ip(8, 8)));
    }

    #[test]
    fn votes_are_bounded() {
        let mut votes = Votes::default();
        for voter in 0..200 {
            votes.vote(&ip(2, voter), ip(3, voter));
        }
        assert_eq!(votes.votes.len(), VOTES_MAX);
        assert_eq!(votes.address(), None);
    }
}
