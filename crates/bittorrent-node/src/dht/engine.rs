//! The task that owns the rules: datagrams, time and wishes go in, datagrams
//! and what was found come out.

use super::wire::{Wire, Wires};
use super::{DhtError, Finding, Options};
use bittorrent::dht::{
    Busy, Event, Family, Id, Item, Node, OperationId, Outcome, PeersWanted, SAVED_OCTETS_MAX, Saved, Status,
    Wanted,
};
use bytes::Bytes;
use net::Shutdown;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use storage::files;
use tokio::sync::{mpsc, oneshot, watch};

/// How often the table is saved.
const SAVE_INTERVAL: Duration = Duration::from_mins(10);

/// What somebody wants of the hash table.
#[derive(Debug)]
pub(super) enum Command {
    Peers {
        info_hash: Id,
        wanted: PeersWanted,
        reply: oneshot::Sender<Result<Finding, DhtError>>,
    },
    Announce {
        info_hash: Id,
        port: Option<u16>,
        seed: bool,
        reply: oneshot::Sender<Result<Finding, DhtError>>,
    },
    Get {
        wanted: Wanted,
        reply: oneshot::Sender<Result<Outcome, DhtError>>,
    },
    Put {
        item: Item,
        cas: Option<i64>,
        reply: oneshot::Sender<Result<Outcome, DhtError>>,
    },
    Keep {
        item: Item,
        reply: oneshot::Sender<Result<(), DhtError>>,
    },
    Forget {
        target: Id,
    },
    AddNode {
        address: SocketAddr,
    },
    AddRouter {
        address: SocketAddr,
    },
    Status {
        reply: oneshot::Sender<NodeStatus>,
    },
}

/// How the hash table is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its node in the IPv4 network.
    pub v4: Option<Status>,
    /// Its node in the IPv6 network.
    pub v6: Option<Status>,
    /// Torrents that others announced here.
    pub torrents: usize,
    /// Peers that others announced here.
    pub peers: usize,
    /// Items that others stored here.
    pub items: usize,
}

/// Who waits for an operation.
#[derive(Debug)]
enum Waiting {
    /// For peers as they are found, and for the end.
    Stream { peers: mpsc::Sender<Vec<SocketAddr>>, outcome: oneshot::Sender<Outcome> },
    /// For the end only.
    End(oneshot::Sender<Result<Outcome, DhtError>>),
}

impl Waiting {
    fn is_gone(&self) -> bool {
        match self {
            Waiting::Stream { peers, .. } => peers.is_closed(),
            Waiting::End(reply) => reply.is_closed(),
        }
    }
}

/// The owner of the rules.
pub(super) struct Engine {
    node: Node<StdRng>,
    wires: Wires,
    commands: mpsc::Receiver<Command>,
    waiting: HashMap<OperationId, Waiting>,
    ready: watch::Sender<bool>,
    file: Option<PathBuf>,
    save_at: Instant,
}

impl Engine {
    pub(super) fn new(
        options: &Options,
        wires: Wires,
        commands: mpsc::Receiver<Command>,
        ready: watch::Sender<bool>,
    ) -> Self {
        let now = Instant::now();
        let config = bittorrent::dht::Config {
            v4: wires.v4.is_some(),
            v6: wires.v6.is_some(),
            read_only: options.read_only,
            version: options.version,
            enforce_ids: options.enforce_ids,
            external: options.external.clone(),
            source_limit: options.source_limit,
            routers: Vec::new(),
        };
        let saved = options.file.as_ref().and_then(|file| load(file));
        let mut node = Node::new(now, config, saved, StdRng::from_rng(&mut rand::rng()));
        for address in &options.nodes {
            node.add_node(now, *address);
        }
        let (file, save_at) = (options.file.clone(), now + SAVE_INTERVAL);
        Self { node, wires, commands, waiting: HashMap::new(), ready, file, save_at }
    }

    pub(super) async fn run(mut self, shutdown: Shutdown) {
        loop {
            self.carry_out();
            let due = self.node.poll_timeout();
            tokio::select! {
                () = shutdown.requested() => break,
                command = self.commands.recv() => match command {
                    Some(command) => self.take(command),
                    None => break,
                },
                (from, octets) = arrival(&mut self.wires.v4) => {
                    self.node.handle_datagram(Instant::now(), from, &octets);
                }
                (from, octets) = arrival(&mut self.wires.v6) => {
                    self.node.handle_datagram(Instant::now(), from, &octets);
                }
                () = tokio::time::sleep_until(due.into()) => self.handle_timeout(),
            }
        }
        self.save().await;
    }

    fn handle_timeout(&mut self) {
        let now = Instant::now();
        self.node.handle_timeout(now);
        let gone: Vec<OperationId> =
            self.waiting.iter().filter(|(_, waiting)| waiting.is_gone()).map(|(id, _)| *id).collect();
        for operation in gone {
            self.waiting.remove(&operation);
            self.node.cancel(operation);
        }
        if now >= self.save_at {
            self.save_at = now + SAVE_INTERVAL;
            tokio::spawn(self.save());
        }
    }

    fn take(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Peers { info_hash, wanted, reply } => {
                let begun = self.node.lookup_peers(now, info_hash, wanted);
                self.stream(begun, reply);
            }
            Command::Announce { info_hash, port, seed, reply } => {
                let begun = self.node.announce(now, info_hash, port, seed);
                self.stream(begun, reply);
            }
            Command::Get { wanted, reply } => {
                let begun = self.node.get_item(now, wanted);
                self.wait(begun, reply);
            }
            Command::Put { item, cas, reply } => {
                let begun = self.node.put_item(now, item, cas);
                self.wait(begun, reply);
            }
            Command::Keep { item, reply } => {
                let _ = reply.send(self.node.keep_item(now, item).map_err(DhtError::Busy));
            }
            Command::Forget { target } => self.node.forget_item(&target),
            Command::AddNode { address } => self.node.add_node(now, address),
            Command::AddRouter { address } => self.node.add_router(now, address),
            Command::Status { reply } => {
                let _ = reply.send(self.status(now));
            }
        }
    }

    fn stream(
        &mut self,
        begun: Result<OperationId, Busy>,
        reply: oneshot::Sender<Result<Finding, DhtError>>,
    ) {
        let operation = match begun {
            Ok(operation) => operation,
            Err(busy) => {
                let _ = reply.send(Err(busy.into()));
                return;
            }
        };
        let (finding, peers, outcome) = Finding::new();
        if reply.send(Ok(finding)).is_ok() {
            self.waiting.insert(operation, Waiting::Stream { peers, outcome });
        } else {
            self.node.cancel(operation);
        }
    }

    fn wait(&mut self, begun: Result<OperationId, Busy>, reply: oneshot::Sender<Result<Outcome, DhtError>>) {
        match begun {
            Ok(operation) => {
                self.waiting.insert(operation, Waiting::End(reply));
            }
            Err(busy) => {
                let _ = reply.send(Err(busy.into()));
            }
        }
    }

    fn status(&self, now: Instant) -> NodeStatus {
        let (torrents, peers, items) = self.node.stored();
        let (v4, v6) = (self.node.status(now, Family::V4), self.node.status(now, Family::V6));
        NodeStatus { v4, v6, torrents, peers, items }
    }

    /// Does what the rules want done.
    fn carry_out(&mut self) {
        while let Some(transmit) = self.node.poll_transmit() {
            let wire = if transmit.to.is_ipv4() { &self.wires.v4 } else { &self.wires.v6 };
            if let Some(wire) = wire {
                // Full: lost, as on any wire.
                let _ = wire.departures.try_send((transmit.to, transmit.octets.into()));
            }
        }
        while let Some(event) = self.node.poll_event() {
            self.tell(event);
        }
    }

    fn tell(&mut self, event: Event) {
        match event {
            Event::Peers { operation, peers: found } => {
                if let Some(Waiting::Stream { peers, .. }) = self.waiting.get(&operation) {
                    let _ = peers.try_send(found);
                }
            }
            Event::Finished { operation, outcome } => match self.waiting.remove(&operation) {
                Some(Waiting::Stream { outcome: reply, .. }) => {
                    let _ = reply.send(outcome);
                }
                Some(Waiting::End(reply)) => {
                    let _ = reply.send(Ok(outcome));
                }
                None => {}
            },
            Event::Ready { family, nodes } => {
                tracing::info!(?family, nodes, "the distributed hash table is reached");
                self.ready.send_replace(true);
            }
            Event::External { address, new_id } => {
                tracing::debug!(%address, ?new_id, "others see this node of the hash table");
            }
        }
    }

    /// Saves the table; begins at once, ends when awaited.
    fn save(&self) -> impl Future<Output = ()> + Send + use<> {
        let saved = self.file.clone().map(|file| (file, self.node.save().encode()));
        async move {
            let Some((file, octets)) = saved else { return };
            let write = move || files::write_atomically(&file, &octets, files::SECRET);
            match tokio::task::spawn_blocking(write).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the table of the hash table was not saved"),
                Err(error) => tracing::warn!(%error, "the table of the hash table was not saved"),
            }
        }
    }
}

/// What was saved before; anything else is no reason not to start.
fn load(file: &Path) -> Option<Saved> {
    let octets = match files::read(file, SAVED_OCTETS_MAX as u64) {
        Ok(octets) => octets?,
        Err(error) => {
            tracing::warn!(%error, "the saved table of the hash table is not read");
            return None;
        }
    };
    match Saved::read(&octets) {
        Ok(saved) => Some(saved),
        Err(error) => {
            tracing::warn!(%error, file = %file.display(), "the saved table of the hash table is not used");
            None
        }
    }
}

/// The next datagram of a wire; never, where there is none.
async fn arrival(wire: &mut Option<Wire>) -> (SocketAddr, Bytes) {
    if let Some(open) = wire {
        if let Some(arrived) = open.arrivals.recv().await {
            return arrived;
        }
        // The far end is gone: it will bring nothing any more.
        *wire = None;
    }
    std::future::pending().await
}
