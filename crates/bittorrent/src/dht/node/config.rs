//! What a node is told at its start, and what it tells.

use crate::dht::bloom::FilterSums;
use crate::dht::contact::Family;
use crate::dht::id::Id;
use crate::dht::item::{Item, PublicKey};
use crate::dht::source_limit::SourceLimit;
use std::net::{IpAddr, SocketAddr};
use thiserror::Error;

/// How a node is to behave.
#[derive(Debug, Clone)]
pub struct Config {
    /// Take part in the IPv4 network.
    pub v4: bool,
    /// Take part in the IPv6 network (BEP 32).
    pub v6: bool,
    /// Ask only, never answer (BEP 43): for who cannot be reached.
    pub read_only: bool,
    /// Two letters and two octets that tell program and version (BEP 5, "KRPC
    /// Protocol").
    pub version: Option<[u8; 4]>,
    /// Count and store at only those nodes whose id fits their address (BEP 42,
    /// "Enforcement"). Without it they are only preferred.
    pub enforce_ids: bool,
    /// Well-known nodes to begin at. They get no place in the table, so that
    /// they are not burdened further (BEP 5).
    pub routers: Vec<SocketAddr>,
    /// External addresses that are known beforehand, at most one of a family.
    pub external: Vec<IpAddr>,
    /// What each address may ask us.
    pub source_limit: SourceLimit,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            v4: true,
            v6: false,
            read_only: false,
            version: None,
            enforce_ids: false,
            routers: Vec::new(),
            external: Vec::new(),
            source_limit: SourceLimit::default(),
        }
    }
}

/// A datagram to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// What.
    pub octets: Vec<u8>,
}

/// Names what somebody asked of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OperationId(pub u64);

/// Too much is asked of this node at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{operations_max} lookups of the distributed hash table are under way")]
pub struct Busy {
    /// How many may be.
    pub operations_max: usize,
}

/// Which item is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// The one with this hash.
    Immutable(Id),
    /// The newest with this key and salt.
    Mutable {
        /// Who signs it.
        key: PublicKey,
        /// Which of the signer's items.
        salt: Vec<u8>,
    },
}

impl Wanted {
    /// Where it lies.
    pub fn target(&self) -> Id {
        match self {
            Wanted::Immutable(target) => *target,
            Wanted::Mutable { key, salt } => key.target(salt),
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Peers were found; each address is told once for an operation.
    Peers {
        /// Who asked for them.
        operation: OperationId,
        /// Where they are.
        peers: Vec<SocketAddr>,
    },
    /// An operation is over.
    Finished {
        /// Which.
        operation: OperationId,
        /// What came of it.
        outcome: Outcome,
    },
    /// The first nodes of a family are known.
    Ready {
        /// Which family.
        family: Family,
        /// How many nodes.
        nodes: usize,
    },
    /// Others agree on the address they see us at (BEP 42).
    External {
        /// The address.
        address: IpAddr,
        /// Our new id, where the old one did not fit the address.
        new_id: Option<Id>,
    },
}

/// What came of an operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Of a search for peers.
    Peers(PeersFound),
    /// Of an announcement.
    Announced {
        /// The peers found on the way.
        found: PeersFound,
        /// Nodes that took it.
        stored: usize,
        /// Nodes that did not.
        refused: usize,
    },
    /// Of a search for an item: it, if it was found.
    Item(Option<Item>),
    /// Of storing an item.
    Put {
        /// Nodes that took it.
        stored: usize,
        /// Nodes that did not.
        refused: usize,
        /// The newest sequence number found, where it is not less than ours
        /// and not of the same item: another has written meanwhile, and ours
        /// is stored nowhere.
        newer: Option<i64>,
    },
}

/// What a search for peers found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PeersFound {
    /// How many peers, each counted once.
    pub peers: usize,
    /// Nodes that replied.
    pub nodes: usize,
    /// About how many seeds and peers there are in all, if that was asked
    /// for (BEP 33).
    pub sums: Option<FilterSums>,
}

/// How a node is doing in one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Its id there.
    pub id: Id,
    /// Where others see it, as far as they agree.
    pub external: Option<IpAddr>,
    /// Nodes in the table.
    pub nodes: usize,
    /// Those that are good.
    pub good: usize,
}
