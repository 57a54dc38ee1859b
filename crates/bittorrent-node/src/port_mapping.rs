//! Being reached behind a router: it is asked to hand on what comes to our ports
//! (UPnP), again before that ends, and no more at the end.

use crate::Engine;
use net::{Gateway, MappedProtocol};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::sync::watch;

/// For how long a router is asked at a time; after half of it, again.
const LEASE: Duration = Duration::from_hours(1);
/// When a router is looked for again where none answered: the machine may have come
/// into another network.
const LOOK_AGAIN: Duration = Duration::from_mins(10);
/// How long the router may take to forget us.
const END_PATIENCE: Duration = Duration::from_secs(3);

/// What the router hands on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mapped {
    /// Its address towards the Internet.
    pub external: Option<IpAddr>,
    /// Its port for each of ours.
    pub ports: BTreeMap<(MappedProtocol, u16), u16>,
    /// Why nothing is handed on, where that is so.
    pub failure: Option<String>,
}

/// Ports that a router hands on to an engine, until it is ended.
#[derive(Debug)]
pub struct PortMapping {
    mapped: watch::Receiver<Mapped>,
    end: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl PortMapping {
    /// Asks the router for the ports at which `engine` listens, over TCP and UDP;
    /// it is looked for at `search` ([`net::GATEWAY_SEARCH`]). `None` where the
    /// engine is not to be reached so: it listens on loopback or IPv6 only, and
    /// `search` is for others.
    pub fn start(engine: &Engine, search: SocketAddr) -> Option<Self> {
        let fits = |address: &&SocketAddr| {
            address.is_ipv4() && address.ip().is_loopback() == search.ip().is_loopback()
                || address.is_ipv4() && address.ip().is_unspecified()
        };
        let address = *engine.addresses().iter().find(fits)?;
        let (tell, mapped) = watch::channel(Mapped::default());
        let (end, ended) = watch::channel(false);
        let task = tokio::spawn(keep(engine.clone(), address, search, tell, ended));
        Some(Self { mapped, end, task })
    }

    /// What is handed on now.
    pub fn mapped(&self) -> watch::Receiver<Mapped> {
        self.mapped.clone()
    }

    /// Has the router forget us.
    pub async fn end(self) {
        self.end.send_replace(true);
        // A router that does not answer forgets by itself.
        let _ = tokio::time::timeout(END_PATIENCE, self.task).await;
    }
}

async fn keep(
    engine: Engine,
    address: SocketAddr,
    search: SocketAddr,
    tell: watch::Sender<Mapped>,
    mut ended: watch::Receiver<bool>,
) {
    loop {
        let asked = tokio::select! {
            asked = ask(address, search) => asked,
            // What it may have been asked for already ends by itself.
            _ = ended.wait_for(|over| *over) => return,
        };
        let (mapped, gateway, rest) = match asked {
            Ok((gateway, mapped)) => (mapped, Some(gateway), LEASE / 2),
            Err(error) => {
                tracing::debug!(%error, "no router hands on what comes to our ports");
                let failure = Some(error.to_string());
                (Mapped { failure, ..Mapped::default() }, None, LOOK_AGAIN)
            }
        };
        if let Some(port) = mapped.ports.get(&(MappedProtocol::Tcp, address.port())) {
            // Trackers and peers are told of the port that can be reached.
            let _ = engine.set_external(mapped.external, *port).await;
        }
        tell.send_replace(mapped.clone());
        // Whoever holds it is gone: that is an end, too.
        let is_over = tokio::select! {
            over = ended.wait_for(|over| *over) => { drop(over); true }
            () = tokio::time::sleep(rest) => false,
        };
        if is_over {
            if let Some(gateway) = gateway {
                for ((protocol, _), external) in mapped.ports {
                    let _ = gateway.unmap(protocol, external).await;
                }
            }
            return;
        }
    }
}

async fn ask(address: SocketAddr, search: SocketAddr) -> io::Result<(Gateway, Mapped)> {
    let gateway = Gateway::find(search, address.ip()).await?;
    let mut mapped = Mapped { external: gateway.external_ip().await.ok(), ..Mapped::default() };
    let mut failure = None;
    for protocol in [MappedProtocol::Tcp, MappedProtocol::Udp] {
        match gateway.map(protocol, address.port(), LEASE).await {
            Ok(external) => drop(mapped.ports.insert((protocol, address.port()), external)),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if mapped.ports.is_empty() => Err(error),
        _ => Ok((gateway, mapped)),
    }
}
