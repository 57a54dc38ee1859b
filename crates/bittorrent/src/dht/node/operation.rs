//! What the owner asks for: searches in one or both families, and what they
//! bring.

pub(super) use super::config::OperationId;
use super::config::{Busy, Event, Outcome, PeersFound, Wanted};
use super::{EVENTS_MAX, Family, Node};
use crate::dht::bloom::{Filter, FilterSums};
use crate::dht::id::Id;
use crate::dht::item::{Item, MutableItem, Value};
use crate::dht::krpc::{GetPeers, Method, PutArgs, PutSignature, Response, Want};
use rand_core::CryptoRng;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Instant;

/// Operations at once.
pub const OPERATIONS_MAX: usize = 256;

/// Peers that one operation tells of.
pub const PEERS_FOUND_MAX: usize = 5_000;

/// What is wanted of a search for peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeersWanted {
    /// Rather peers that are no seeds (BEP 33): for who is a seed.
    pub no_seed: bool,
    /// Also about how many there are (BEP 33).
    pub scrape: bool,
}

/// What is announced at the end of a search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Announce {
    pub(super) port: Option<u16>,
    pub(super) seed: bool,
}

#[derive(Debug)]
pub(super) enum Task {
    Peers { info_hash: Id, wanted: PeersWanted, announce: Option<Announce> },
    Get { wanted: Wanted, best: Option<MutableItem> },
    Put { item: Item, cas: Option<i64>, newer: Option<i64> },
}

/// Something the owner asked for.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) task: Task,
    /// Whether its end is nobody's business: an item put again.
    quiet: bool,
    /// Searches under way.
    open: usize,
    found: HashSet<SocketAddr>,
    sums: FilterSums,
    nodes: usize,
    stored: usize,
    refused: usize,
}

impl Task {
    fn target(&self) -> Id {
        match self {
            Task::Peers { info_hash, .. } => *info_hash,
            Task::Get { wanted, .. } => wanted.target(),
            Task::Put { item, .. } => item.target(),
        }
    }
}

impl Operation {
    /// What its searches ask.
    pub(super) fn method(&self) -> Method {
        let want = Want::default();
        match &self.task {
            Task::Peers { info_hash, wanted: PeersWanted { no_seed, scrape }, .. } => {
                Method::GetPeers(GetPeers { info_hash: *info_hash, want, no_seed: *no_seed, scrape: *scrape })
            }
            Task::Get { .. } | Task::Put { .. } => {
                Method::Get { target: self.task.target(), newer_than: None, want }
            }
        }
    }

    /// What is said at the end to each of the nearest nodes.
    pub(super) fn store(&self, token: &[u8], holds: bool) -> Option<Method> {
        let token = token.to_vec();
        match &self.task {
            Task::Peers { info_hash, announce, .. } => announce.map(|Announce { port, seed }| {
                Method::AnnouncePeer { info_hash: *info_hash, port, token, seed }
            }),
            // Where another has written meanwhile, nobody shall hold ours.
            Task::Get { .. } | Task::Put { newer: Some(_), .. } => None,
            Task::Put { item, cas, newer: None } => {
                let signature = match item {
                    Item::Immutable(_) => None,
                    Item::Mutable(item) => Some(PutSignature {
                        key: item.key().0,
                        salt: item.salt().to_vec(),
                        sequence: item.sequence(),
                        signature: *item.signature(),
                    }),
                };
                // BEP 44, "CAS": not to who holds none.
                let cas = cas.filter(|_| holds && signature.is_some());
                let value = item.value().octets().to_vec();
                Some(Method::Put(Box::new(PutArgs { token, value, signature, cas })))
            }
        }
    }

    pub(super) fn count_stored(&mut self, stored: bool) {
        if stored { self.stored += 1 } else { self.refused += 1 }
    }

    /// The peers of a response that are new.
    fn new_peers(&mut self, response: &Response) -> Vec<SocketAddr> {
        let mut fresh = Vec::new();
        for peer in &response.values {
            if self.found.len() < PEERS_FOUND_MAX && self.found.insert(*peer) {
                fresh.push(*peer);
            }
        }
        fresh
    }

    /// Puts the filters of a response together with those of others; the peers
    /// of who knows no filters are counted as such (BEP 33, "Handling legacy
    /// responses").
    fn count(&mut self, response: &Response) {
        if let (Some(seeds), Some(peers)) = (&response.seeds, &response.peers) {
            self.sums.seeds.merge(&Filter::new(seeds.clone()));
            self.sums.peers.merge(&Filter::new(peers.clone()));
        } else {
            response.values.iter().for_each(|peer| self.sums.peers.insert(&peer.ip()));
        }
    }

    fn outcome(self) -> Outcome {
        let sums = match self.task {
            Task::Peers { wanted: PeersWanted { scrape: true, .. }, .. } => Some(self.sums),
            _ => None,
        };
        let found = PeersFound { peers: self.found.len(), nodes: self.nodes, sums };
        let (stored, refused) = (self.stored, self.refused);
        match self.task {
            Task::Peers { announce: None, .. } => Outcome::Peers(found),
            Task::Peers { .. } => Outcome::Announced { found, stored, refused },
            Task::Get { best, .. } => Outcome::Item(best.map(Item::Mutable)),
            Task::Put { newer, .. } => Outcome::Put { stored, refused, newer },
        }
    }
}

/// The mutable item in a response to a search for `target`'s owner, if it is
/// one and newer than `than`.
fn newer_item(response: &Response, wanted: &Wanted, than: Option<i64>) -> Option<MutableItem> {
    let Wanted::Mutable { key, salt } = wanted else { return None };
    let sequence = response.sequence.filter(|sequence| than.is_none_or(|than| *sequence > than))?;
    let signed = response.key.filter(|signer| signer == &key.0).and(response.signature)?;
    let value = Value::new(response.value.clone()?).ok()?;
    MutableItem::verify(*key, salt, sequence, value, signed).ok()
}

impl<R: CryptoRng> Node<R> {
    /// Begins a search in each family.
    pub(super) fn begin(&mut self, now: Instant, task: Task) -> Result<OperationId, Busy> {
        self.begin_as(now, task, false)
    }

    /// Begins one whose end is not told.
    pub(super) fn begin_quietly(&mut self, now: Instant, task: Task) -> Result<OperationId, Busy> {
        self.begin_as(now, task, true)
    }

    fn begin_as(&mut self, now: Instant, task: Task, quiet: bool) -> Result<OperationId, Busy> {
        if self.operations.len() >= OPERATIONS_MAX || self.events.len() >= EVENTS_MAX {
            return Err(Busy { operations_max: OPERATIONS_MAX });
        }
        let id = OperationId(self.fresh_number());
        let target = task.target();
        let operation = Operation {
            task,
            quiet,
            open: 1,
            found: HashSet::new(),
            sums: FilterSums::default(),
            nodes: 0,
            stored: 0,
            refused: 0,
        };
        self.operations.insert(id, operation);
        self.look_here(now, id, &target);
        for family in Family::BOTH {
            if !self.operations.contains_key(&id) {
                // It was here.
                return Ok(id);
            }
            if let Some(search) = self.begin_search(now, family, target, Some(id)) {
                if let Some(operation) = self.operations.get_mut(&id) {
                    operation.open += 1;
                }
                self.drive(now, search);
            }
        }
        // The one that kept it open until both had begun.
        self.end_part(id, 0);
        Ok(id)
    }

    /// What others stored with us: in a small network nobody else may have it.
    fn look_here(&mut self, now: Instant, id: OperationId, target: &Id) {
        let mut here = Response::default();
        for family in Family::BOTH {
            let peers = self.peers.pick(now, target, family, false, PEERS_FOUND_MAX, &mut self.rng);
            here.values.extend(peers);
        }
        if let Some(item) = self.items.get(now, target) {
            here.hold(item);
        }
        self.handle_content(id, &here);
    }

    /// Takes what a node sent in reply to an operation's search.
    pub(super) fn handle_content(&mut self, id: OperationId, response: &Response) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        match &mut operation.task {
            Task::Peers { wanted, .. } => {
                if wanted.scrape {
                    operation.count(response);
                }
                let peers = operation.new_peers(response);
                if !peers.is_empty() && !operation.quiet {
                    self.tell(Event::Peers { operation: id, peers });
                }
            }
            Task::Get { wanted: Wanted::Immutable(target), .. } => {
                let value = response.value.clone().and_then(|value| Value::new(value).ok());
                let found = value.map(Item::Immutable).filter(|item| item.target() == *target);
                if found.is_some() {
                    self.cancel(id);
                    self.tell(Event::Finished { operation: id, outcome: Outcome::Item(found) });
                }
            }
            Task::Get { wanted, best } => {
                let than = best.as_ref().map(MutableItem::sequence);
                if let Some(item) = newer_item(response, wanted, than) {
                    *best = Some(item);
                }
            }
            Task::Put { item: Item::Mutable(ours), newer, .. } => {
                // The same number with another value hinders us as well.
                let than = newer.unwrap_or(ours.sequence() - 1);
                let wanted = Wanted::Mutable { key: ours.key(), salt: ours.salt().to_vec() };
                if let Some(item) =
                    newer_item(response, &wanted, Some(than)).filter(|item| item.value() != ours.value())
                {
                    *newer = Some(item.sequence());
                }
            }
            Task::Put { item: Item::Immutable(_), .. } => {}
        }
    }

    /// One of an operation's searches is over.
    pub(super) fn end_part(&mut self, id: OperationId, nodes: usize) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        operation.open = operation.open.saturating_sub(1);
        operation.nodes += nodes;
        if operation.open > 0 {
            return;
        }
        if let Some(operation) = self.operations.remove(&id)
            && !operation.quiet
        {
            self.tell(Event::Finished { operation: id, outcome: operation.outcome() });
        }
    }
}
