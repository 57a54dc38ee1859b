//! `utopia torrent dht`: what the distributed hash table holds (BEP 44), and how
//! `get` and `seed` enter it.

use super::source;
use super::told::until_told;
use crate::{logging, out};
use bittorrent::bencode;
use bittorrent_node::dht::{
    self, Dht, Id, Item, Options, PUBLIC_ROUTERS, PublicKey, TorrentKey, Value, Wanted, Wires,
};
use clap::Subcommand;
use net::Shutdown;
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How long the first nodes may take to answer.
const READY_PATIENCE: Duration = Duration::from_secs(30);
/// How long ending may take.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// Where the hash table is entered.
#[derive(Debug, clap::Args)]
pub(super) struct Entrance {
    /// A node of the hash table to begin with; may be given several times
    #[arg(long, help_heading = "Finding peers", value_name = "ADDRESS:PORT")]
    dht_node: Vec<SocketAddr>,
    /// A well-known node of the hash table, in place of those of the public one
    #[arg(long, help_heading = "Finding peers", value_name = "HOST:PORT")]
    dht_router: Vec<String>,
}

impl Entrance {
    /// The nodes to begin with.
    pub(super) fn nodes(&self) -> Vec<SocketAddr> {
        self.dht_node.clone()
    }

    /// The well-known nodes, for who listens at these addresses.
    pub(super) fn routers(&self, listen: &[SocketAddr]) -> Vec<String> {
        if !self.dht_router.is_empty() {
            return self.dht_router.clone();
        }
        // From loopback the public network cannot be reached.
        let inside = listen.iter().all(|address| address.ip().is_loopback());
        if inside { Vec::new() } else { PUBLIC_ROUTERS.map(str::to_owned).to_vec() }
    }
}

/// Read and write small items in the distributed hash table.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print an item
    #[command(
        after_help = "Examples:\n  utopia torrent dht get 4b2f…\n  utopia torrent dht get 'magnet:?xs=urn:btpk:8543…&s=6e'"
    )]
    Get(GetArguments),
    /// Store an item; others forget it after two hours unless --keep is given
    #[command(
        after_help = "Examples:\n  utopia torrent dht put 'Hello'\n  utopia torrent dht put 'Hello again' --key my.key --salt greeting --keep"
    )]
    Put(PutArguments),
}

#[derive(Debug, clap::Args)]
struct Node {
    /// Where other nodes answer to
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:0")]
    listen: Vec<SocketAddr>,
    #[command(flatten)]
    entrance: Entrance,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct GetArguments {
    /// The item's target, 40 hexadecimal digits, or a link to a key
    what: String,
    #[command(flatten)]
    node: Node,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PutArguments {
    /// The text to store, at most 996 octets
    text: String,
    /// Store it under the key in this file, which is made if it is not there; it may be replaced later
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Which of the items under the key
    #[arg(long, value_name = "TEXT", default_value = "", requires = "key")]
    salt: String,
    /// Keep it there, until Ctrl-C
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    node: Node,
}

pub(crate) async fn run(command: Command) -> ExitCode {
    logging::start("warn");
    let done = match command {
        Command::Get(arguments) => get(&arguments).await,
        Command::Put(arguments) => put(&arguments).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => out::failed(&reason),
    }
}

impl Node {
    /// A node that only asks (BEP 43): it is gone before it could be of use.
    async fn start(&self, shutdown: &Shutdown) -> Result<Dht, String> {
        let network = source::network(&self.listen);
        let opened = Wires::open(&network, &self.listen, shutdown);
        let (wires, _) = opened.map_err(|error| format!("--listen: {error}"))?;
        let options = Options {
            routers: self.entrance.routers(&self.listen),
            nodes: self.entrance.nodes(),
            read_only: true,
            ..Options::default()
        };
        let dht = Dht::start(options, wires, source::names().look_up(), shutdown);
        let ready = tokio::time::timeout(READY_PATIENCE, dht.ready()).await;
        let ready = ready.map_err(|_| "no node of the hash table answers; name one with --dht-node")?;
        ready.map_err(|error| error.to_string())?;
        Ok(dht)
    }
}

async fn get(arguments: &GetArguments) -> Result<(), String> {
    let wanted = if arguments.what.starts_with("magnet:") {
        let link: TorrentKey = arguments.what.parse().map_err(|error| format!("the link: {error}"))?;
        Wanted::Mutable { key: link.key, salt: link.salt }
    } else {
        let wrong = || format!("{}: write the target as 40 hexadecimal digits, or a link", arguments.what);
        Wanted::Immutable(Id::from_hex(&arguments.what).ok_or_else(wrong)?)
    };
    let shutdown = Shutdown::new();
    let dht = arguments.node.start(&shutdown).await?;
    let item = dht.get(wanted.clone()).await.map_err(|error| error.to_string())?;
    shutdown.finish(END_PATIENCE).await;
    let item = item.ok_or_else(|| format!("no node has an item at {}", wanted.target()))?;
    let value = item.value();
    let text = value.read().ok().and_then(|value| value.bytes().map(<[u8]>::to_vec));
    let text = text.unwrap_or_else(|| value.octets().to_vec());
    if arguments.node.json {
        let text = String::from_utf8_lossy(&text);
        let told = json!({ "target": item.target().to_string(), "sequence": item.sequence(), "text": text });
        out::line(told);
    } else {
        out::octets(&text);
        out::line("");
    }
    Ok(())
}

async fn put(arguments: &PutArguments) -> Result<(), String> {
    let text = bencode::Item::from(arguments.text.as_str());
    let value = Value::encode(&text).map_err(|error| error.to_string())?;
    let key = arguments.key.as_ref().map(|file| dht::read_or_make_key(file)).transpose();
    let key = key.map_err(|error| error.to_string())?;
    let shutdown = Shutdown::new();
    let dht = arguments.node.start(&shutdown).await?;
    let stored = if let Some(secret) = &key {
        dht.update(secret, arguments.salt.as_bytes(), value).await
    } else {
        let item = Item::Immutable(value);
        dht.put(item.clone(), None).await.map(|_| item)
    };
    let item = stored.map_err(|error| error.to_string())?;
    let link = key.map(|secret| link(secret.public(), &arguments.salt));
    if arguments.node.json {
        let target = item.target().to_string();
        out::line(json!({ "target": target, "sequence": item.sequence(), "link": link }));
    } else {
        out::line(link.unwrap_or_else(|| item.target().to_string()));
    }
    if arguments.keep {
        dht.keep(item).await.map_err(|error| error.to_string())?;
        until_told().await;
    }
    shutdown.finish(END_PATIENCE).await;
    Ok(())
}

/// The link to what stands under a key (BEP 46).
pub(super) fn link(key: PublicKey, salt: &str) -> String {
    TorrentKey { key, salt: salt.as_bytes().to_vec() }.to_string()
}
