//! The distributed hash table as a service: peers without a tracker, small
//! items, torrents that are updated under a key (BEP 5, 44, 46).
//!
//! One task owns the rules of [`bittorrent::dht`]. Datagrams come over a
//! [`Wire`]: of a socket that is shared with uTP, or of one of its own
//! ([`Wires::open`]).

mod engine;
mod finding;
mod mutable;
mod routers;
mod wire;

use bittorrent::dht::source_limit::SourceLimit;
use bittorrent::dht::{Busy, ItemError, MutableItem, TorrentPointer};
pub use bittorrent::dht::{
    Id, Item, Outcome, PeersFound, PeersWanted, PublicKey, SecretKey, TorrentKey, Value, Wanted,
};
pub use engine::NodeStatus;
use engine::{Command, Engine};
pub use finding::Finding;
pub use mutable::{Following, KeyFileError, read_or_make_key};
use net::Shutdown;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
pub(crate) use wire::carry;
pub use wire::{FarEnd, WAITING_MAX, Wire, Wires, wire};

/// Nodes of the public network that are there for beginners, for
/// [`Options::routers`].
pub const PUBLIC_ROUTERS: [&str; 3] =
    ["router.bittorrent.com:6881", "dht.transmissionbt.com:6881", "dht.libtorrent.org:25401"];

/// Wishes that wait for the task.
const COMMANDS_MAX: usize = 256;

/// Finds the addresses of `HOST:PORT`: whoever starts the service hands over
/// its resolver.
pub type LookUp =
    Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> + Send + Sync>;

/// How the hash table is to be run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Well-known nodes to begin at, `HOST:PORT`. They get no place in the
    /// table.
    pub routers: Vec<String>,
    /// Nodes to begin with, which may get a place.
    pub nodes: Vec<SocketAddr>,
    /// Where the table is saved; `None`: nowhere.
    pub file: Option<PathBuf>,
    /// Ask only, never answer (BEP 43).
    pub read_only: bool,
    /// Rely on those nodes only whose id fits their address (BEP 42).
    pub enforce_ids: bool,
    /// The program and its version, as others are told (BEP 5, `v`).
    pub version: Option<[u8; 4]>,
    /// External addresses that are known, at most one of a family.
    pub external: Vec<IpAddr>,
    /// What each address may ask us.
    pub source_limit: SourceLimit,
}

/// Why the hash table cannot help.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DhtError {
    /// It has been stopped.
    #[error("the distributed hash table has been stopped")]
    Stopped,
    /// Too much is under way.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// What is to be stored is no item.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// No node stored it.
    #[error("no node stored the item, {refused} refused it")]
    NotStored {
        /// Nodes that did not.
        refused: usize,
    },
    /// Somebody else has stored a newer version meanwhile.
    #[error("another has stored version {sequence} of the item meanwhile")]
    Superseded {
        /// Its sequence number.
        sequence: i64,
    },
}

/// A handle; clones speak to the same task, which ends with the last of them.
#[derive(Debug, Clone)]
pub struct Dht {
    commands: mpsc::Sender<Command>,
    ready: watch::Receiver<bool>,
}

impl Dht {
    /// Starts it. Names of [`Options::routers`] are looked up by `look_up`.
    pub fn start(options: Options, wires: Wires, look_up: LookUp, shutdown: &Shutdown) -> Self {
        let (commands, taken) = mpsc::channel(COMMANDS_MAX);
        let (ready, is_ready) = watch::channel(false);
        let engine = Engine::new(&options, wires, taken, ready);
        // Stopping waits for it: it saves the table.
        shutdown.spawn(engine.run(shutdown.clone()));
        if !options.routers.is_empty() {
            let weak = commands.downgrade();
            tokio::spawn(routers::find_routers(options.routers, look_up, weak, shutdown.clone()));
        }
        Self { commands, ready: is_ready }
    }

    /// Resolves once other nodes are known, in whichever family; what is
    /// asked before finds little.
    ///
    /// # Errors
    /// When it has been stopped.
    pub async fn ready(&self) -> Result<(), DhtError> {
        let mut ready = self.ready.clone();
        ready.wait_for(|ready| *ready).await.map(|_| ()).map_err(|_| DhtError::Stopped)
    }

    /// Searches for peers of a torrent; they are told as they are found.
    ///
    /// # Errors
    /// When it has been stopped or too much is under way.
    pub async fn peers(&self, info_hash: Id, wanted: PeersWanted) -> Result<Finding, DhtError> {
        self.ask(|reply| Command::Peers { info_hash, wanted, reply }).await?
    }

    /// Tells others that we are a peer of a torrent, at `port` or, with `None`,
    /// at the port of the wire (which then takes uTP as well). The peers that
    /// are found on the way are told. To be repeated every 15 to 30 minutes.
    ///
    /// # Errors
    /// When it has been stopped or too much is under way.
    pub async fn announce(&self, info_hash: Id, port: Option<u16>, seed: bool) -> Result<Finding, DhtError> {
        self.ask(|reply| Command::Announce { info_hash, port, seed, reply }).await?
    }

    /// Searches for an item (BEP 44).
    ///
    /// # Errors
    /// When it has been stopped or too much is under way.
    pub async fn get(&self, wanted: Wanted) -> Result<Option<Item>, DhtError> {
        match self.ask(|reply| Command::Get { wanted, reply }).await?? {
            Outcome::Item(item) => Ok(item),
            _ => Ok(None),
        }
    }

    /// Stores an item; with `cas` only in place of that version. Gives how many
    /// nodes took it. Others forget it after two hours unless it is kept
    /// ([`Dht::keep`]).
    ///
    /// # Errors
    /// When no node took it, or one has a newer version; when it has been
    /// stopped or too much is under way.
    pub async fn put(&self, item: Item, cas: Option<i64>) -> Result<usize, DhtError> {
        match self.ask(|reply| Command::Put { item, cas, reply }).await?? {
            Outcome::Put { newer: Some(sequence), .. } => Err(DhtError::Superseded { sequence }),
            Outcome::Put { stored: 0, refused, .. } => Err(DhtError::NotStored { refused }),
            Outcome::Put { stored, .. } => Ok(stored),
            _ => Err(DhtError::NotStored { refused: 0 }),
        }
    }

    /// Puts an item again every hour.
    ///
    /// # Errors
    /// When too many are kept, or it has been stopped.
    pub async fn keep(&self, item: Item) -> Result<(), DhtError> {
        self.ask(|reply| Command::Keep { item, reply }).await?
    }

    /// Lets an item expire that was kept.
    ///
    /// # Errors
    /// When it has been stopped.
    pub async fn forget(&self, target: Id) -> Result<(), DhtError> {
        self.tell(Command::Forget { target }).await
    }

    /// Stores the next version of the mutable item with this key and salt, and
    /// gives it.
    ///
    /// # Errors
    /// As [`Dht::put`]: [`DhtError::Superseded`] when another writes at the
    /// same time.
    pub async fn update(&self, secret: &SecretKey, salt: &[u8], value: Value) -> Result<Item, DhtError> {
        let wanted = Wanted::Mutable { key: secret.public(), salt: salt.to_vec() };
        let current = self.get(wanted).await?.and_then(|item| item.sequence());
        let sequence = current.map_or(Some(1), |current| current.checked_add(1));
        let sequence = sequence.ok_or(DhtError::Superseded { sequence: i64::MAX })?;
        let item = Item::Mutable(MutableItem::sign(secret, salt, sequence, value)?);
        self.put(item.clone(), current).await?;
        Ok(item)
    }

    /// Publishes which torrent stands under a key now (BEP 46), and gives the
    /// item, to be kept.
    ///
    /// # Errors
    /// As [`Dht::update`].
    pub async fn publish_torrent(
        &self,
        secret: &SecretKey,
        salt: &[u8],
        info_hash: Id,
    ) -> Result<Item, DhtError> {
        self.update(secret, salt, TorrentPointer { info_hash }.value()?).await
    }

    /// The torrent that stands under a key now (BEP 46), and which version of
    /// it that is; `None` where there is none.
    ///
    /// # Errors
    /// When it has been stopped or too much is under way.
    pub async fn resolve_torrent(&self, link: &TorrentKey) -> Result<Option<(Id, i64)>, DhtError> {
        let current = self.current(link).await?;
        Ok(current.and_then(|(info_hash, item)| Some((info_hash, item.sequence()?))))
    }

    /// The same, with the item that says so.
    async fn current(&self, link: &TorrentKey) -> Result<Option<(Id, Item)>, DhtError> {
        let wanted = Wanted::Mutable { key: link.key, salt: link.salt.clone() };
        let item = self.get(wanted).await?;
        Ok(item.and_then(|item| Some((TorrentPointer::read(item.value())?.info_hash, item))))
    }

    /// A node that a peer told us of (BEP 5, "PORT").
    ///
    /// # Errors
    /// When it has been stopped.
    pub async fn add_node(&self, address: SocketAddr) -> Result<(), DhtError> {
        self.tell(Command::AddNode { address }).await
    }

    /// The same for whoever cannot wait: where too much is asked of the task
    /// already, the node is passed over.
    pub fn suggest_node(&self, address: SocketAddr) {
        let _ = self.commands.try_send(Command::AddNode { address });
    }

    /// How it is doing.
    ///
    /// # Errors
    /// When it has been stopped.
    pub async fn status(&self) -> Result<NodeStatus, DhtError> {
        self.ask(|reply| Command::Status { reply }).await
    }

    async fn tell(&self, command: Command) -> Result<(), DhtError> {
        self.commands.send(command).await.map_err(|_| DhtError::Stopped)
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, DhtError> {
        net::ask(&self.commands, command).await.ok_or(DhtError::Stopped)
    }
}
