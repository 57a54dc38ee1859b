//! Finding peers without trackers: what all torrents of an engine share of it.

use crate::context::Context;
use crate::dht::{self, Dht, LookUp, Wires};
use crate::lsd::LsdSettings;
use crate::progress::Source;
use crate::swarm::Swarm;
use bittorrent::dht::Id;
use bittorrent::dht::krpc::{Body, DATAGRAM_OCTETS_MAX, Message, Method, Query};
use net::{Network, Shutdown};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked how many nodes of the hash table are known.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How long the hash table may take to save what it knows.
const END_PATIENCE: Duration = Duration::from_secs(3);
/// How long a node that is known by name may take to answer through a proxy.
const PING_PATIENCE: Duration = Duration::from_secs(10);
/// The file of the hash table's nodes, in the data folder.
const TABLE_FILE: &str = "dht-nodes";
/// The program and its version as nodes tell them (BEP 5, `v`): the letters are
/// those of our peer ids.
const VERSION: [u8; 4] = *b"UO\x00\x01";

/// Which ways of finding peers are gone beside trackers and peers' own word.
/// By default none.
#[derive(Debug, Clone, Default)]
pub struct Discovery {
    /// The distributed hash table; `None`: neither asked nor served.
    pub dht: Option<DhtSettings>,
    /// Neighbours; `None`: neither told nor heard.
    pub lsd: Option<LsdSettings>,
}

/// How the distributed hash table is entered.
#[derive(Debug, Clone, Default)]
pub struct DhtSettings {
    /// Well-known nodes, `HOST:PORT`, e.g. [`dht::PUBLIC_ROUTERS`].
    pub routers: Vec<String>,
    /// Nodes to begin with.
    pub nodes: Vec<SocketAddr>,
    /// Ask only, never answer (BEP 43).
    pub read_only: bool,
}

/// Starts the hash table.
pub(crate) fn start_dht(context: &Rc<Context>, settings: &DhtSettings, wires: Wires, shutdown: &Shutdown) {
    let options = dht::Options {
        routers: settings.routers.clone(),
        nodes: settings.nodes.clone(),
        file: Some(context.data.join(TABLE_FILE)),
        // Who knows the proxy only cannot reach us.
        read_only: settings.read_only || context.network.is_proxied(),
        version: Some(VERSION),
        ..dht::Options::default()
    };
    let dht = Dht::start(options, wires, look_up(context), shutdown);
    let watched = dht.clone();
    // The engine has one hash table.
    let _ = context.dht.set(dht);
    let context = context.clone();
    tokio::task::spawn_local(async move {
        while let Ok(status) = watched.status().await {
            let nodes = [status.v4, status.v6].iter().flatten().map(|side| side.nodes).sum();
            context.dht_nodes.set(Some(nodes));
            let mut own = context.own.get();
            for seen in [status.v4, status.v6].iter().flatten().filter_map(|side| side.external) {
                own.set(seen);
            }
            context.own.set(own);
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    });
}

/// How the addresses of nodes are found that are known by name.
fn look_up(context: &Context) -> LookUp {
    if !context.network.is_proxied() {
        return context.names.look_up();
    }
    let network = context.network.clone();
    Arc::new(move |target: String| {
        let network = network.clone();
        Box::pin(async move {
            if let Ok(address) = target.parse() {
                return Ok(vec![address]);
            }
            tokio::time::timeout(PING_PATIENCE, ping_by_name(&network, &target)).await?.map(|it| vec![it])
        })
    })
}

/// Where a node answers from whose name the proxy looks up: nobody else need know
/// for which names we ask.
async fn ping_by_name(network: &Network, target: &str) -> io::Result<SocketAddr> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, format!("{target}: write HOST:PORT"));
    let (host, port) = target.rsplit_once(':').ok_or_else(wrong)?;
    let socket = network.relayed_datagrams(PING_PATIENCE).await?;
    let transaction = rand::random::<[u8; 4]>();
    let query = Query { id: Id::new(rand::random()), method: Method::Ping };
    let ping = Message { read_only: true, ..Message::new(transaction, Body::Query(query)) };
    socket.send_to_name(&ping.encode(), host, port.parse().map_err(|_| wrong())?).await?;
    let mut buffer = vec![0; DATAGRAM_OCTETS_MAX];
    loop {
        let (octets, from) = socket.receive_from(&mut buffer).await?;
        let answer = buffer.get(..octets).and_then(|datagram| Message::read(datagram).ok());
        if answer.is_some_and(|answer| answer.transaction == transaction) {
            return Ok(from);
        }
    }
}

/// Waits until the hash table has saved what it knows.
pub(crate) async fn end_dht(shutdown: Shutdown) {
    if !shutdown.finish(END_PATIENCE).await {
        tracing::warn!("the disk is slow: the nodes of the hash table may not be saved");
    }
}

/// Tells the hash table of the nodes that a torrent names (BEP 5, "Torrent file
/// extensions").
pub(crate) async fn add_nodes(context: Rc<Context>, nodes: Vec<(String, u16)>) {
    let Some(dht) = context.dht.get() else { return };
    for (host, port) in nodes {
        let found = look_up(&context)(format!("{host}:{port}")).await.unwrap_or_else(|error| {
            tracing::debug!(%error, host, "looking up a torrent's node of the hash table");
            Vec::new()
        });
        for address in found {
            dht.suggest_node(address);
        }
    }
}

/// Finds the peers whose hosts a link names.
pub(crate) async fn add_named(swarm: Rc<Swarm>, named: Vec<(String, u16)>) {
    for (host, port) in named {
        let is_address = host.parse::<IpAddr>().is_ok();
        if swarm.context().network.is_proxied() && !is_address {
            continue;
        }
        match swarm.context().names.addresses(&host, port).await {
            Ok(addresses) => swarm.add_contacts(Source::User, addresses),
            Err(error) => tracing::warn!(%error, host, "looking up a peer that the link names"),
        }
    }
}
