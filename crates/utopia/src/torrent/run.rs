//! What `utopia torrent get` and `seed` have in common: an engine for one torrent,
//! shown until it ends.

use super::finding::PeerArguments;
use super::remote::{Remote, RemoteArguments};
use super::sharing::SharingArguments;
use super::source;
use super::told::until_told;
use super::view::{Lines, picture};
use crate::out;
use crate::screen::Screen;
use bittorrent::ip_filter::IpFilter;
use bittorrent_node::publish::Encryption;
use bittorrent_node::{Engine, Handle, Options, PortMapping, Progress, Settings, Stage, read_ip_filter};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// What is logged. Why a torrent is paused is shown, and is what the command ends with.
pub(super) const LOG: &str = "warn,bittorrent_node::paused=off";

/// Ports that are tried, those of BitTorrent; then any.
const PORTS: RangeInclusive<u16> = 6881..=6889;

/// What `get` and `seed` have in common.
#[derive(Debug, clap::Args)]
pub(super) struct Shared {
    /// Where peers connect to; may be given several times [default: all addresses, at port 6881 or the next that is free]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Vec<SocketAddr>,
    /// A peer to begin with; may be given several times
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    peer: Vec<(String, u16)>,
    /// The folder for what is remembered between runs
    #[arg(long, value_name = "DIR", default_value = "utopia-data", env = "UTOPIA_DATA")]
    data: PathBuf,
    #[command(flatten)]
    sharing: SharingArguments,
    /// A list of addresses not to speak with: ipfilter.dat, .p2p or CIDR lines
    #[arg(long, value_name = "FILE")]
    ip_filter: Option<PathBuf>,
    /// What is encrypted: nothing, what peers ask for, all where peers can, or all
    #[arg(long, value_name = "disabled|allowed|preferred|required", default_value = "allowed", value_parser = encryption)]
    encryption: Encryption,
    #[command(flatten)]
    peers: PeerArguments,
    /// Reach all others through this SOCKS5 proxy, socks5://NAME:PASSWORD@HOST:PORT; uTP, the hash table and trackers over UDP are used if it carries datagrams, neighbours are neither told nor heard
    #[arg(long, value_name = "URL", env = "UTOPIA_PROXY", hide_env_values = true)]
    proxy: Option<net::Proxy>,
    /// Do not ask the router to hand on what comes to our ports (UPnP)
    #[arg(long)]
    no_port_mapping: bool,
    /// Where the router is asked, in place of all that are near
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "no_port_mapping")]
    gateway: Option<SocketAddr>,
    /// Check all pieces, whatever an earlier run left
    #[arg(long)]
    recheck: bool,
    /// Print the progress as one JSON object a line
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    remote: RemoteArguments,
}

/// What is encrypted, as the configuration has it.
fn encryption(word: &str) -> Result<Encryption, serde::de::value::Error> {
    Encryption::deserialize(word.into_deserializer())
}

/// A host, by its name or address, and a port.
fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let parse = || {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().ok().filter(|port| *port != 0)?;
        // An IPv6 address without brackets: where does it end?
        let is_clear = !host.is_empty() && (!host.contains(':') || text.starts_with('['));
        is_clear.then(|| (host.to_owned(), port))
    };
    parse().ok_or_else(|| {
        format!("{text:?} is no peer; write HOST:PORT, e.g. 192.0.2.1:6881 or [2001:db8::1]:6881")
    })
}

fn address_of((host, port): &(String, u16)) -> Option<SocketAddr> {
    host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, *port))
}

/// Where peers may connect to if nobody says: what is first of these and free. IPv6 is
/// not everywhere.
fn usual() -> Vec<Vec<SocketAddr>> {
    let at = |port| [SocketAddr::from(([0; 4], port)), SocketAddr::from(([0; 16], port))];
    let ports = PORTS.flat_map(|port| [at(port).to_vec(), vec![at(port)[0]]]);
    ports.chain([vec![at(0)[0]]]).collect()
}

impl Shared {
    pub(super) async fn start(&self) -> Result<Engine, String> {
        let mut ways = if self.listen.is_empty() { usual() } else { vec![self.listen.clone()] }.into_iter();
        let mut error = String::new();
        let engine = loop {
            let Some(listen) = ways.next() else { return Err(error) };
            match Engine::start(self.settings(listen), self.network(), net::Shutdown::new()).await {
                Ok(engine) => break engine,
                Err(failed) => error = failed.to_string(),
            }
        };
        self.sharing.follow(&engine);
        if let Some(filter) = self.read_filter().await? {
            engine.set_ip_filter(Arc::new(filter)).await.map_err(|error| error.to_string())?;
        }
        Ok(engine)
    }

    fn settings(&self, listen: Vec<SocketAddr>) -> Settings {
        Settings {
            data: self.data.clone(),
            memory_octets_max: self.sharing.memory_octets_max(),
            encryption: self.encryption.into(),
            protocols: self.peers.protocols(),
            discovery: self.peers.discovery(&listen),
            limits: self.sharing.limits(),
            names: source::names(),
            listen,
        }
    }

    async fn read_filter(&self) -> Result<Option<IpFilter>, String> {
        let Some(file) = self.ip_filter.clone() else { return Ok(None) };
        let read = tokio::task::spawn_blocking(move || read_ip_filter(&file));
        let read = read.await.map_err(|error| error.to_string())?;
        Ok(Some(read.map_err(|error| error.to_string())?.0))
    }

    /// The network as the engine shall see it.
    pub(super) fn network(&self) -> net::Network {
        let network = source::network(&self.listen);
        match &self.proxy {
            Some(proxy) => network.through(proxy.clone()),
            None => network,
        }
    }

    /// Asks the router for our ports. Behind a proxy that would tell who we are.
    pub(super) fn map_ports(&self, engine: &Engine) -> Option<PortMapping> {
        if self.no_port_mapping || self.proxy.is_some() {
            return None;
        }
        PortMapping::start(engine, self.gateway.unwrap_or(net::GATEWAY_SEARCH))
    }

    pub(super) async fn remote(&self, engine: &Engine, folder: &Path) -> Result<Option<Remote>, String> {
        self.remote.start(engine, self.network(), &self.data, folder, &self.sharing).await
    }

    pub(super) fn options(&self, folder: &Path) -> Result<Options, String> {
        Ok(Options {
            rules: self.sharing.rules()?.settings(),
            recheck: self.recheck,
            connections_max: self.sharing.connections_max,
            peers: self.peer.iter().filter_map(address_of).collect(),
            named_peers: self.peer.iter().filter(|peer| address_of(peer).is_none()).cloned().collect(),
            ..Options::new(folder.to_owned())
        })
    }
}

/// Ends an engine; the router forgets us.
pub(super) async fn end(mapping: Option<PortMapping>, engine: Engine) {
    if let Some(mapping) = mapping {
        mapping.end().await;
    }
    engine.stop().await;
}

/// Shows a torrent until it `ends`, cannot go on, or a signal comes. Who controls
/// it from elsewhere says when it ends.
pub(super) async fn watch(
    handle: &Handle,
    json: bool,
    remote: Option<&Remote>,
    ends: impl Fn(&Progress) -> bool,
) -> Progress {
    let mut changes = handle.progress();
    let mut screen = Screen::new();
    let mut lines = Lines::default();
    let mut removed = false;
    let mut told = std::pin::pin!(until_told());
    loop {
        let now = changes.borrow_and_update().clone();
        let over = remote.is_none() && (ends(&now) || matches!(now.stage, Stage::Paused(_)));
        if json {
            out::line(serde_json::to_string(&now).unwrap_or_default());
        } else if Screen::is_there() {
            screen.draw(|| picture(&now));
        } else if let Some(line) = lines.next(Instant::now(), &now).filter(|_| !over) {
            out::complain(line);
        }
        if over {
            screen.clear();
            return now;
        }
        tokio::select! {
            changed = changes.changed(), if !removed => match (changed, remote) {
                (Ok(()), _) => {}
                // Others go on.
                (Err(_), Some(_)) => removed = true,
                (Err(_), None) => break,
            },
            () = closed(remote) => break,
            () = &mut told => break,
            // Nobody reads what it says any more.
            () = out::UNREAD.requested() => break,
        }
    }
    screen.clear();
    changes.borrow().clone()
}

async fn closed(remote: Option<&Remote>) {
    match remote {
        Some(remote) => remote.closed().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_named_by_name_or_address() {
        let read = |text: &str| host_and_port(text).map(|peer| (address_of(&peer), peer.0));
        let six = "[2001:db8::1]:6881";
        assert_eq!(read(six), Ok((six.parse().ok(), "2001:db8::1".to_owned())));
        assert_eq!(read("192.0.2.1:1").expect("a peer").0, "192.0.2.1:1".parse().ok());
        assert_eq!(read("peer.example.org:6881"), Ok((None, "peer.example.org".to_owned())));
        for wrong in ["peer", ":6881", "peer:0", "peer:x", "2001:db8::1:6881", ""] {
            assert!(read(wrong).is_err_and(|error| error.contains("is no peer")), "{wrong}");
        }
    }
}
