//! The node: answers others, searches for its owner, keeps its tables.
//!
//! The owner hands it every datagram that is for it, calls
//! [`Node::handle_timeout`] when [`Node::poll_timeout`] says so, and after each
//! call empties [`Node::poll_transmit`] and [`Node::poll_event`].

mod answer;
mod config;
mod maintain;
mod operation;
mod reply;
mod saved;
mod search;
mod side;
#[cfg(test)]
mod tests;

use super::contact::{Family, is_usable};
use super::id::Id;
use super::item::Item;
use super::item_store::ItemStore;
use super::krpc::{Body, ErrorReply, Message, Query, ReadError};
use super::peer_store::PeerStore;
use super::source_limit::SourceLimits;
use super::token::Tokens;
use super::transaction::{Late, Transaction, Transactions};
pub use config::{Busy, Config, Event, OperationId, Outcome, PeersFound, Status, Transmit, Wanted};
pub use maintain::{KEPT_MAX, REPUBLISH_INTERVAL};
pub use operation::{OPERATIONS_MAX, PEERS_FOUND_MAX, PeersWanted};
use operation::{Operation, Task};
use rand_core::CryptoRng;
pub use saved::{SAVED_CONTACTS_MAX, SAVED_OCTETS_MAX, Saved, SavedError};
use search::{Search, SearchId};
use side::Side;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

/// Datagrams that wait to be sent; what is beyond is lost, as on any wire.
pub const TRANSMITS_MAX: usize = 4_096;

/// Events that wait to be fetched. What is beyond is not told, except the end
/// of an operation; none begins while so many wait.
pub const EVENTS_MAX: usize = 4_096;

/// Well-known nodes.
pub const ROUTERS_MAX: usize = 32;

/// What a query of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To see whether a node is there.
    Verify(Family),
    /// A step of a search.
    Search(SearchId),
    /// To store something at the end of a search.
    Store(SearchId),
}

/// A node of the distributed hash table (BEP 5). `R` gives ids, tokens and
/// transactions: it must not be predictable by others.
#[derive(Debug)]
pub struct Node<R> {
    config: Config,
    rng: R,
    v4: Option<Side>,
    v6: Option<Side>,
    transactions: Transactions<Purpose>,
    searches: HashMap<SearchId, Search>,
    operations: HashMap<OperationId, Operation>,
    next: u64,
    tokens: Tokens,
    peers: PeerStore,
    items: ItemStore,
    limits: SourceLimits,
    kept: Vec<maintain::Kept>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    maintain_at: Instant,
    expire_at: Instant,
}

impl<R: CryptoRng> Node<R> {
    /// A node that remembers what it saved before. It begins to look for its
    /// neighbours at the first timeout, which is at once.
    pub fn new(now: Instant, config: Config, saved: Option<Saved>, mut rng: R) -> Self {
        let saved = saved.unwrap_or_default();
        let mut side = |on: bool, family, saved| on.then(|| Side::new(now, family, &config, saved, &mut rng));
        let (v4, v6) = (side(config.v4, Family::V4, saved.v4), side(config.v6, Family::V6, saved.v6));
        Self {
            v4,
            v6,
            transactions: Transactions::new(),
            searches: HashMap::new(),
            operations: HashMap::new(),
            next: 0,
            tokens: Tokens::new(now, &mut rng),
            peers: PeerStore::new(),
            items: ItemStore::new(),
            limits: SourceLimits::new(now, config.source_limit),
            kept: Vec::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            maintain_at: now,
            expire_at: now + maintain::EXPIRE_INTERVAL,
            config,
            rng,
        }
    }

    /// Takes a datagram. What is no message of a node is passed over.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, octets: &[u8]) {
        if self.side(Family::of(&from)).is_none() || !is_usable(&from) {
            return;
        }
        match Message::read(octets) {
            Ok(Message { transaction, read_only, body: Body::Query(query), .. }) => {
                if self.may_answer(now, &from) {
                    let reply = self.answer(now, from, query, read_only);
                    self.reply(transaction, from, reply);
                }
            }
            Err(ReadError::BadQuery { transaction, reply }) => {
                if self.may_answer(now, &from) {
                    self.reply(transaction, from, Body::Error(reply));
                }
            }
            Ok(message) => self.handle_reply(now, from, message),
            Err(ReadError::TooLong | ReadError::Bencode(_) | ReadError::NotKrpc(_)) => {}
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(late) = self.transactions.late(now) {
            match late {
                Late::Slow(transaction) => self.handle_slow(now, transaction),
                Late::Lost(transaction) => self.handle_lost(now, transaction),
            }
        }
        self.maintain(now);
    }

    /// When [`Node::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Instant {
        self.transactions.next_timeout().map_or(self.maintain_at, |at| at.min(self.maintain_at))
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Searches for peers of a torrent.
    ///
    /// # Errors
    /// When there are [`OPERATIONS_MAX`] operations.
    pub fn lookup_peers(
        &mut self,
        now: Instant,
        info_hash: Id,
        wanted: PeersWanted,
    ) -> Result<OperationId, Busy> {
        self.begin(now, Task::Peers { info_hash, wanted, announce: None })
    }

    /// Searches for peers of a torrent and tells the nodes nearest to it that
    /// we are one, at `port` or, with `None`, at the port our datagrams come
    /// from (BEP 5, `implied_port`). Others forget it within an hour.
    ///
    /// # Errors
    /// When there are [`OPERATIONS_MAX`] operations.
    pub fn announce(
        &mut self,
        now: Instant,
        info_hash: Id,
        port: Option<u16>,
        seed: bool,
    ) -> Result<OperationId, Busy> {
        let announce = Some(operation::Announce { port, seed });
        self.begin(now, Task::Peers { info_hash, wanted: PeersWanted::default(), announce })
    }

    /// Searches for an item (BEP 44).
    ///
    /// # Errors
    /// When there are [`OPERATIONS_MAX`] operations.
    pub fn get_item(&mut self, now: Instant, wanted: Wanted) -> Result<OperationId, Busy> {
        self.begin(now, Task::Get { wanted, best: None })
    }

    /// Stores an item with the nodes nearest to its target (BEP 44). With
    /// `cas`, only where the item stored has that sequence number. Others
    /// forget it after two hours.
    ///
    /// # Errors
    /// When there are [`OPERATIONS_MAX`] operations.
    pub fn put_item(&mut self, now: Instant, item: Item, cas: Option<i64>) -> Result<OperationId, Busy> {
        self.begin(now, Task::Put { item, cas, newer: None })
    }

    /// Ends an operation early; its end is not told.
    pub fn cancel(&mut self, operation: OperationId) {
        self.operations.remove(&operation);
        self.searches.retain(|_, search| search.operation != Some(operation));
    }

    /// A node that may be there: one that a peer told us of (BEP 5, "PORT") or
    /// a torrent's `nodes`. If it replies, it gets into the table.
    pub fn add_node(&mut self, now: Instant, address: SocketAddr) {
        let family = Family::of(&address);
        if let Some(side) = self.side_mut(family).filter(|_| is_usable(&address)) {
            side.add_known(address);
        }
        self.send_pings(now, family);
    }

    /// A well-known node to begin at, as in [`Config::routers`]: whose address
    /// was found only now. More than [`ROUTERS_MAX`] are passed over.
    pub fn add_router(&mut self, now: Instant, address: SocketAddr) {
        if !is_usable(&address)
            || self.config.routers.contains(&address)
            || self.config.routers.len() >= ROUTERS_MAX
        {
            return;
        }
        self.config.routers.push(address);
        if let Some(side) = self.side_mut(Family::of(&address)) {
            side.add_entrance(address);
            if !side.ready {
                side.bootstrap_at = now;
            }
            self.maintain_at = now;
        }
    }

    /// How it is doing in a family; `None` if it takes no part there.
    pub fn status(&self, now: Instant, family: Family) -> Option<Status> {
        self.side(family).map(|side| side.status(now))
    }

    /// What others stored here: torrents, peers, items.
    pub fn stored(&self) -> (usize, usize, usize) {
        (self.peers.torrents(), self.peers.peers(), self.items.len())
    }

    /// What is to be remembered until the next start.
    pub fn save(&self) -> Saved {
        Saved { v4: self.v4.as_ref().map(Side::save), v6: self.v6.as_ref().map(Side::save) }
    }

    fn side(&self, family: Family) -> Option<&Side> {
        match family {
            Family::V4 => self.v4.as_ref(),
            Family::V6 => self.v6.as_ref(),
        }
    }

    fn side_mut(&mut self, family: Family) -> Option<&mut Side> {
        match family {
            Family::V4 => self.v4.as_mut(),
            Family::V6 => self.v6.as_mut(),
        }
    }

    fn may_answer(&mut self, now: Instant, from: &SocketAddr) -> bool {
        !self.config.read_only && self.limits.allow(now, &from.ip())
    }

    fn reply(&mut self, transaction: Vec<u8>, to: SocketAddr, body: Body) {
        let your_address = Some(to);
        let version = self.config.version;
        let message = Message { transaction, version, your_address, read_only: false, body };
        self.transmit(to, message.encode());
    }

    /// Sends a query; gives whether it is on its way.
    fn ask(&mut self, now: Instant, transaction: Transaction<Purpose>, method: super::krpc::Method) -> bool {
        let Some(id) = self.side(Family::of(&transaction.to)).map(|side| side.table.own()) else {
            return false;
        };
        let Some(name) = self.transactions.begin(now, transaction, &mut self.rng) else { return false };
        let message = Message {
            version: self.config.version,
            read_only: self.config.read_only,
            ..Message::new(name, Body::Query(Query { id, method }))
        };
        self.transmit(transaction.to, message.encode());
        true
    }

    fn transmit(&mut self, to: SocketAddr, octets: Vec<u8>) {
        if self.transmits.len() < TRANSMITS_MAX {
            self.transmits.push_back(Transmit { to, octets });
        }
    }

    fn tell(&mut self, event: Event) {
        if self.events.len() < EVENTS_MAX || matches!(event, Event::Finished { .. }) {
            self.events.push_back(event);
        }
    }

    fn fresh_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl From<ErrorReply> for Body {
    fn from(error: ErrorReply) -> Self {
        Body::Error(error)
    }
}
