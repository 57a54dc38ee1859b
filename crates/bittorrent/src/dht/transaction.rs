//! Queries on their way and when they are given up.

use super::contact::Contact;
use super::id::Id;
use rand_core::Rng;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Queries on their way at once.
pub(super) const TRANSACTIONS_MAX: usize = 2_048;

/// When a reply counts as slow: somebody else is asked meanwhile.
pub(super) const SLOW_AFTER: Duration = Duration::from_secs(1);

/// How much later a query is given up.
pub(super) const LOST_AFTER_SLOW: Duration = Duration::from_secs(4);

/// A query that waits for its reply.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transaction<P> {
    /// Whom it was sent to.
    pub(super) to: SocketAddr,
    /// Who is said to be there.
    pub(super) id: Option<Id>,
    /// What it is for.
    pub(super) purpose: P,
}

/// What became late.
#[derive(Debug, Clone, Copy)]
pub(super) enum Late<P> {
    /// It may still come.
    Slow(Transaction<P>),
    /// It is given up.
    Lost(Transaction<P>),
}

/// All queries on their way. Their ids are random: who does not see our
/// queries cannot forge replies.
#[derive(Debug)]
pub(super) struct Transactions<P> {
    open: HashMap<[u8; 4], Open<P>>,
    /// When which one becomes slow or is lost.
    timers: BTreeSet<(Instant, [u8; 4])>,
}

#[derive(Debug)]
struct Open<P> {
    transaction: Transaction<P>,
    /// Its next timer.
    next: Instant,
    slow: bool,
}

impl<P> Transaction<P> {
    /// The node asked, where its id is known.
    pub(super) fn contact(&self) -> Option<Contact> {
        self.id.map(|id| Contact { id, address: self.to })
    }
}

impl<P: Copy> Transactions<P> {
    pub(super) fn new() -> Self {
        Self { open: HashMap::new(), timers: BTreeSet::new() }
    }

    /// Begins one; `None` if there are [`TRANSACTIONS_MAX`].
    pub(super) fn begin(
        &mut self,
        now: Instant,
        transaction: Transaction<P>,
        rng: &mut impl Rng,
    ) -> Option<[u8; 4]> {
        if self.open.len() >= TRANSACTIONS_MAX {
            return None;
        }
        let mut name = rng.next_u32().to_be_bytes();
        while self.open.contains_key(&name) {
            name = rng.next_u32().to_be_bytes();
        }
        let next = now + SLOW_AFTER;
        self.open.insert(name, Open { transaction, next, slow: false });
        self.timers.insert((next, name));
        Some(name)
    }

    /// Ends the one that a reply from `from` belongs to.
    pub(super) fn end(&mut self, name: &[u8], from: SocketAddr) -> Option<Transaction<P>> {
        let name: [u8; 4] = name.try_into().ok()?;
        if self.open.get(&name)?.transaction.to != from {
            return None;
        }
        let open = self.open.remove(&name)?;
        self.timers.remove(&(open.next, name));
        Some(open.transaction)
    }

    /// When something becomes late.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The next one that is late by now.
    pub(super) fn late(&mut self, now: Instant) -> Option<Late<P>> {
        let (at, name) = *self.timers.first()?;
        if at > now {
            return None;
        }
        self.timers.pop_first();
        let open = self.open.get_mut(&name)?;
        let transaction = open.transaction;
        if open.slow {
            self.open.remove(&name);
            return Some(Late::Lost(transaction));
        }
        (open.slow, open.next) = (true, at + LOST_AFTER_SLOW);
        self.timers.insert((open.next, name));
        Some(Late::Slow(transaction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn to(port: u16) -> Transaction<u16> {
        Transaction { to: SocketAddr::from(([192, 0, 2, 1], port)), id: None, purpose: port }
    }

    #[test]
    fn a_query_is_slow_once_and_then_lost() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let start = Instant::now();
        let mut transactions = Transactions::new();
        transactions.begin(start, to(1), &mut rng).expect("room");
        let name = transactions.begin(start, to(2), &mut rng).expect("room");
        assert!(transactions.late(start).is_none());
        assert_eq!(transactions.next_timeout(), Some(start + SLOW_AFTER));
        let slow = start + SLOW_AFTER;
        assert!(matches!(transactions.late(slow), Some(Late::Slow(_))));
        assert!(matches!(transactions.late(slow), Some(Late::Slow(_))));
        assert!(transactions.late(slow).is_none());
        assert_eq!(transactions.end(&name, to(2).to).map(|ended| ended.purpose), Some(2));
        assert!(
            matches!(transactions.late(slow + LOST_AFTER_SLOW), Some(Late::Lost(lost)) if lost.purpose == 1)
        );
        assert!(transactions.late(slow + LOST_AFTER_SLOW * 9).is_none());
        assert_eq!((transactions.open.len(), transactions.next_timeout()), (0, None));
    }

    #[test]
    fn only_who_was_asked_can_reply_and_once() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut transactions = Transactions::new();
        let name = transactions.begin(Instant::now(), to(1), &mut rng).expect("room");
        assert!(transactions.end(&name, to(2).to).is_none());
        assert!(transactions.end(&name[..3], to(1).to).is_none());
        assert!(transactions.end(&name, to(1).to).is_some());
        assert!(transactions.end(&name, to(1).to).is_none());
    }

    #[test]
    fn queries_on_their_way_are_bounded() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let now = Instant::now();
        let mut transactions = Transactions::new();
        let begun = (0..3_000).filter_map(|port| transactions.begin(now, to(port), &mut rng)).count();
        assert_eq!(begun, TRANSACTIONS_MAX);
        assert_eq!(transactions.timers.len(), TRANSACTIONS_MAX);
    }
}
