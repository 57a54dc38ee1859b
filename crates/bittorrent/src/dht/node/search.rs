//! One search in one family, step by step.

use super::operation::OperationId;
use super::{Node, Purpose};
use crate::dht::contact::{Contact, Family};
use crate::dht::id::Id;
use crate::dht::krpc::{Method, Response, Want};
use crate::dht::lookup::{Ask, Lookup};
use crate::dht::routing::K;
use crate::dht::security::id_fits;
use crate::dht::transaction::Transaction;
use rand_core::CryptoRng;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Instant;

/// Names a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SearchId(pub(super) u64);

/// A search, and the storing at its end.
#[derive(Debug)]
pub(super) struct Search {
    /// Whom it is for; `None` for our own table.
    pub(super) operation: Option<OperationId>,
    pub(super) family: Family,
    pub(super) lookup: Lookup,
    /// Nodes that were slow to reply.
    slow: HashSet<SocketAddr>,
    /// Nodes that hold a version of the item to be replaced.
    pub(super) holders: HashSet<Id>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Searching,
    /// So many nodes have not said yet whether they store it.
    Storing(usize),
}

impl<R: CryptoRng> Node<R> {
    /// Begins a search with the nearest nodes we know.
    pub(super) fn begin_search(
        &mut self,
        now: Instant,
        family: Family,
        target: Id,
        operation: Option<OperationId>,
    ) -> Option<SearchId> {
        let side = self.side(family)?;
        let mut lookup = Lookup::new(target, side.table.own());
        let nearest = side.table.closest(now, &target, 2 * K, true);
        for contact in &nearest {
            lookup.add(*contact);
        }
        if nearest.len() < K {
            // After an outage of our own, those who seem gone may be there.
            side.table.contacts().iter().for_each(|contact| lookup.add(*contact));
            side.known.iter().for_each(|contact| lookup.add(*contact));
            side.entrances.iter().for_each(|address| lookup.add_entrance(*address));
        }
        let id = SearchId(self.fresh_number());
        let stage = Stage::Searching;
        let (slow, holders) = (HashSet::new(), HashSet::new());
        self.searches.insert(id, Search { operation, family, lookup, slow, holders, stage });
        Some(id)
    }

    /// Asks whom it is time to ask; ends the search when it is over.
    pub(super) fn drive(&mut self, now: Instant, id: SearchId) {
        loop {
            let Some(search) = self.searches.get_mut(&id) else { return };
            if search.stage != Stage::Searching {
                return;
            }
            let Some(ask) = search.lookup.next_ask() else {
                if search.lookup.is_finished() {
                    self.handle_found(now, id);
                }
                return;
            };
            let (operation, target) = (search.operation, search.lookup.target());
            let method = match operation.and_then(|operation| self.operations.get(&operation)) {
                Some(operation) => operation.method(),
                None => Method::FindNode { target, want: self.want() },
            };
            let transaction = Transaction { to: ask.address, id: ask.id, purpose: Purpose::Search(id) };
            if !self.ask(now, transaction, method)
                && let Some(search) = self.searches.get_mut(&id)
            {
                search.lookup.failed(ask, false);
            }
        }
    }

    /// For our own tables nodes of both families are of use (BEP 32,
    /// "Bootstrapping").
    fn want(&self) -> Want {
        if self.config.v4 && self.config.v6 { Want::BOTH } else { Want::default() }
    }

    /// A node has replied to a search.
    pub(super) fn handle_search_reply(
        &mut self,
        now: Instant,
        id: SearchId,
        transaction: &Transaction<Purpose>,
        contact: Contact,
        response: Response,
    ) {
        let enforce = self.config.enforce_ids;
        let Some(search) = self.searches.get_mut(&id) else { return };
        let slow = search.slow.remove(&contact.address);
        let counts = !enforce || id_fits(&contact.id, &contact.address.ip());
        let ask = Ask { address: transaction.to, id: transaction.id };
        search.lookup.replied(ask, contact, response.token.clone(), counts, slow);
        let (same, other) = match search.family {
            Family::V4 => (&response.nodes, &response.nodes6),
            Family::V6 => (&response.nodes6, &response.nodes),
        };
        search.lookup.add_named(same.as_deref().unwrap_or_default());
        if response.sequence.is_some() {
            search.holders.insert(contact.id);
        }
        let (operation, family) = (search.operation, search.family);
        match operation {
            Some(operation) => self.handle_content(operation, &response),
            None => self.handle_others(now, family, other.as_deref().unwrap_or_default()),
        }
        self.drive(now, id);
    }

    /// Nodes of the other family that our own searches hear of.
    fn handle_others(&mut self, now: Instant, family: Family, contacts: &[Contact]) {
        let other = if family == Family::V4 { Family::V6 } else { Family::V4 };
        if let Some(side) = self.side_mut(other) {
            for contact in contacts.iter().take(K) {
                if side.table.len() < 4 * K && side.table.queried(now, contact) {
                    side.verify(Ask { address: contact.address, id: Some(contact.id) });
                }
            }
            self.send_pings(now, other);
        }
    }

    /// A node is slow to reply to a search.
    pub(super) fn handle_search_slow(&mut self, now: Instant, id: SearchId, address: SocketAddr) {
        if let Some(search) = self.searches.get_mut(&id) {
            search.slow.insert(address);
            search.lookup.slow();
        }
        self.drive(now, id);
    }

    /// A node did not reply to a search, or with an error.
    pub(super) fn handle_search_failed(&mut self, now: Instant, id: SearchId, asked: &Transaction<Purpose>) {
        if let Some(search) = self.searches.get_mut(&id) {
            let slow = search.slow.remove(&asked.to);
            search.lookup.failed(Ask { address: asked.to, id: asked.id }, slow);
        }
        self.drive(now, id);
    }

    /// The nearest nodes are known: stores what is to be stored there.
    fn handle_found(&mut self, now: Instant, id: SearchId) {
        let Some(search) = self.searches.get_mut(&id) else { return };
        let operation = search.operation.and_then(|operation| self.operations.get(&operation));
        let mut stores = Vec::new();
        if let Some(operation) = operation {
            for (contact, token) in search.lookup.stores(K) {
                let holds = search.holders.contains(&contact.id);
                stores.extend(operation.store(token, holds).map(|method| (contact, method)));
            }
        }
        search.stage = Stage::Storing(stores.len());
        if stores.is_empty() {
            self.end_search(now, id);
            return;
        }
        for (Contact { id: node, address: to }, method) in stores {
            let transaction = Transaction { to, id: Some(node), purpose: Purpose::Store(id) };
            if !self.ask(now, transaction, method) {
                self.handle_stored(now, id, false);
            }
        }
    }

    /// A node has stored something, or has not.
    pub(super) fn handle_stored(&mut self, now: Instant, id: SearchId, stored: bool) {
        let Some(search) = self.searches.get_mut(&id) else { return };
        let Stage::Storing(waiting) = &mut search.stage else { return };
        *waiting = waiting.saturating_sub(1);
        let (last, operation) = (*waiting == 0, search.operation);
        if let Some(operation) = operation.and_then(|operation| self.operations.get_mut(&operation)) {
            operation.count_stored(stored);
        }
        if last {
            self.end_search(now, id);
        }
    }

    fn end_search(&mut self, now: Instant, id: SearchId) {
        let Some(search) = self.searches.remove(&id) else { return };
        match search.operation {
            Some(operation) => self.end_part(operation, search.lookup.replies()),
            None => self.end_own_search(now, search.family),
        }
    }
}
