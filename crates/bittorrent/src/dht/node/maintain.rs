//! What a node does without being asked: finds its neighbours, refreshes its
//! table, forgets what is old, puts the owner's items again.

use super::config::{Busy, Event};
use super::operation::Task;
use super::side::BOOTSTRAP_DELAYS;
use super::{Node, Purpose};
use crate::dht::contact::{Contact, Family};
use crate::dht::id::Id;
use crate::dht::item::Item;
use crate::dht::krpc::Method;
use crate::dht::lookup::Ask;
use crate::dht::routing::{FRESH, K, Standing};
use crate::dht::transaction::Transaction;
use rand_core::CryptoRng;
use std::time::{Duration, Instant};

/// How often it looks whether there is something to do.
const TICK: Duration = Duration::from_secs(5);

/// How often what is old is forgotten.
pub(super) const EXPIRE_INTERVAL: Duration = Duration::from_mins(1);

/// How often an item is put again (BEP 44, "Expiration").
pub const REPUBLISH_INTERVAL: Duration = Duration::from_hours(1);

/// Items that are put again and again.
pub const KEPT_MAX: usize = 1_000;

/// Items that are put again at one tick.
const REPUBLISHED_MAX: usize = 4;

/// An item of the owner's.
#[derive(Debug)]
pub(super) struct Kept {
    item: Item,
    due: Instant,
}

impl<R: CryptoRng> Node<R> {
    /// Puts an item again every hour until [`Node::forget_item`], the first
    /// time in an hour; a newer version takes the older one's place. This does
    /// not need the key: whoever likes an item can keep it alive.
    ///
    /// # Errors
    /// When there are [`KEPT_MAX`] items.
    pub fn keep_item(&mut self, now: Instant, item: Item) -> Result<(), Busy> {
        self.forget_item(&item.target());
        if self.kept.len() >= KEPT_MAX {
            return Err(Busy { operations_max: KEPT_MAX });
        }
        self.kept.push(Kept { item, due: now + REPUBLISH_INTERVAL });
        Ok(())
    }

    /// Lets an item expire.
    pub fn forget_item(&mut self, target: &Id) {
        self.kept.retain(|kept| kept.item.target() != *target);
    }

    pub(super) fn maintain(&mut self, now: Instant) {
        if now < self.maintain_at {
            return;
        }
        self.maintain_at = now + TICK;
        for family in Family::BOTH {
            self.search_own(now, family);
            if let Some(side) = self.side_mut(family) {
                side.recover(now);
                if let Some(Contact { id, address }) = side.table.most_doubtful(now) {
                    side.verify(Ask { address, id: Some(id) });
                }
            }
            self.send_pings(now, family);
        }
        self.republish(now);
        if now >= self.expire_at {
            self.expire_at = now + EXPIRE_INTERVAL;
            self.peers.expire(now);
            self.items.expire(now);
        }
    }

    /// Begins a search for our own table where one is due.
    fn search_own(&mut self, now: Instant, family: Family) {
        let side = match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        };
        let Some(side) = side.as_mut().filter(|side| !side.searching) else { return };
        let target = if now >= side.bootstrap_at {
            // Others may come back, so this goes on, ever more rarely.
            side.bootstrap_at = now + side.bootstrap_delay;
            side.bootstrap_delay = (side.bootstrap_delay * 2).min(BOOTSTRAP_DELAYS.1);
            side.table.own()
        } else if let Some(target) = side.table.refresh(now, &mut self.rng) {
            target
        } else {
            return;
        };
        if side.table.is_empty() && side.known.is_empty() && side.entrances.is_empty() {
            return;
        }
        side.searching = true;
        if let Some(search) = self.begin_search(now, family, target, None) {
            self.drive(now, search);
        }
    }

    /// A search for our own table is over.
    pub(super) fn end_own_search(&mut self, now: Instant, family: Family) {
        let Some(side) = self.side_mut(family) else { return };
        side.searching = false;
        let nodes = side.table.count(now, Standing::Good);
        if nodes >= K {
            // Enough are known: only the table's own refreshing goes on.
            (side.bootstrap_at, side.bootstrap_delay) = (now + FRESH, BOOTSTRAP_DELAYS.0);
        }
        if nodes > 0 && !side.ready {
            side.ready = true;
            // What is far from us is hardly known yet.
            side.table.refresh_sparse(now);
            self.maintain_at = now;
            self.tell(Event::Ready { family, nodes });
        }
    }

    /// Pings who waits for it.
    pub(super) fn send_pings(&mut self, now: Instant, family: Family) {
        while let Some(ask) = self.side_mut(family).and_then(super::side::Side::next_ping) {
            let transaction = Transaction { to: ask.address, id: ask.id, purpose: Purpose::Verify(family) };
            if !self.ask(now, transaction, Method::Ping)
                && let Some(side) = self.side_mut(family)
            {
                side.pings = side.pings.saturating_sub(1);
            }
        }
    }

    fn republish(&mut self, now: Instant) {
        for _ in 0..REPUBLISHED_MAX {
            let Some(kept) = self.kept.iter_mut().find(|kept| now >= kept.due) else { return };
            kept.due = now + REPUBLISH_INTERVAL;
            let item = kept.item.clone();
            // Where too much is under way, it is put an hour later.
            let _ = self.begin_quietly(now, Task::Put { item, cas: None, newer: None });
        }
    }
}
