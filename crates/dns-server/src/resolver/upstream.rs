//! Carries exchanges between the rules and the name servers: each query over
//! UDP from a socket of its own with a random port (RFC 5452 section 9.2), each
//! query over TCP on a connection of its own.

use crate::framing;
use bytes::Bytes;
use dns::resolver::{ExchangeId, Transmit, Transport};
use net::{Datagrams, Network};
use rand::RngExt;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Messages from name servers that wait to be handled; further ones wait in
/// their sockets.
const ARRIVALS_MAX: usize = 4_096;
/// Times a random port is tried before the system chooses one.
const PORT_TRIES_MAX: usize = 8;
/// Ports that queries leave from: not the well-known ones.
const PORTS: std::ops::RangeInclusive<u16> = 10_000..=65_535;
/// How long connecting and a reply over TCP may take; the rules give up earlier.
const TCP_PATIENCE: Duration = Duration::from_secs(10);

/// Something that came of an exchange.
#[derive(Debug)]
pub(super) enum Arrival {
    /// Octets from somebody.
    Message { exchange: ExchangeId, from: SocketAddr, octets: Bytes },
    /// The server cannot be reached.
    Unreachable { exchange: ExchangeId },
}

/// All exchanges under way. They end when this is dropped.
#[derive(Debug)]
pub(super) struct Upstream {
    network: Network,
    tasks: HashMap<ExchangeId, AbortHandle>,
    sender: mpsc::Sender<Arrival>,
    arrivals: mpsc::Receiver<Arrival>,
}

impl Upstream {
    pub(super) fn new(network: Network) -> Self {
        let (sender, arrivals) = mpsc::channel(ARRIVALS_MAX);
        Self { network, tasks: HashMap::new(), sender, arrivals }
    }

    /// Begins an exchange.
    pub(super) fn begin(&mut self, transmit: Transmit) {
        let (network, sender) = (self.network.clone(), self.sender.clone());
        let exchange = transmit.exchange;
        let task = tokio::spawn(async move {
            let carried = match transmit.transport {
                Transport::Udp => carry_datagrams(&network, &transmit, &sender).await,
                Transport::Tcp => carry_stream(&network, &transmit, &sender).await,
            };
            if let Err(error) = carried {
                tracing::debug!(server = %transmit.to, %error, "name server cannot be reached");
                let _ = sender.send(Arrival::Unreachable { exchange: transmit.exchange }).await;
            }
        });
        self.tasks.insert(exchange, task.abort_handle());
    }

    /// Ends an exchange and closes its socket.
    pub(super) fn end(&mut self, exchange: ExchangeId) {
        if let Some(task) = self.tasks.remove(&exchange) {
            task.abort();
        }
    }

    /// The next thing that comes of an exchange.
    pub(super) async fn arrival(&mut self) -> Option<Arrival> {
        self.arrivals.recv().await
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.tasks.values().for_each(AbortHandle::abort);
    }
}

/// A socket with a random port that speaks with `to` only, so that the system
/// says when nobody listens there.
pub(super) async fn open(network: &Network, to: SocketAddr) -> io::Result<Datagrams> {
    let socket = bind(network, to)?;
    socket.connect(to).await?;
    Ok(socket)
}

fn bind(network: &Network, to: SocketAddr) -> io::Result<Datagrams> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let source = network.source().filter(|source| source.is_ipv4() == to.is_ipv4()).unwrap_or(any);
    for _ in 0..PORT_TRIES_MAX {
        let port = rand::rng().random_range(PORTS);
        match network.datagrams(SocketAddr::new(source, port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            opened => return opened,
        }
    }
    network.datagrams(SocketAddr::new(source, 0))
}

/// Sends the query and hands in all that comes, until the rules end it: a
/// forged reply must not keep out the true one.
async fn carry_datagrams(
    network: &Network,
    transmit: &Transmit,
    sender: &mpsc::Sender<Arrival>,
) -> io::Result<()> {
    let socket = open(network, transmit.to).await?;
    socket.send_to(&transmit.octets, transmit.to).await?;
    let mut buffer = vec![0; 4_096];
    loop {
        let (length, from) = socket.receive_from(&mut buffer).await?;
        let octets = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
        let arrival = Arrival::Message { exchange: transmit.exchange, from, octets };
        if sender.send(arrival).await.is_err() {
            return Ok(());
        }
    }
}

async fn carry_stream(
    network: &Network,
    transmit: &Transmit,
    sender: &mpsc::Sender<Arrival>,
) -> io::Result<()> {
    let octets = framing::exchange(network, transmit.to, &transmit.octets, TCP_PATIENCE).await?;
    let arrival = Arrival::Message { exchange: transmit.exchange, from: transmit.to, octets: octets.into() };
    let _ = sender.send(arrival).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    //! A name server that says too much.
    use super::*;

    #[tokio::test]
    async fn messages_beyond_what_may_wait_wait_in_their_socket() {
        let server = Network::new().datagrams("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut upstream = Upstream::new(Network::new());
        let (to, octets) = (server.local_addr().unwrap(), Bytes::from_static(b"a query"));
        upstream.begin(Transmit { exchange: ExchangeId(1), transport: Transport::Udp, to, octets });
        let (_, asker) = server.receive_from(&mut [0; 64]).await.unwrap();
        for _ in 0..100 * ARRIVALS_MAX {
            if upstream.arrivals.len() == ARRIVALS_MAX {
                break;
            }
            server.send_to(b"x", asker).await.unwrap();
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            server.send_to(b"more", asker).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(upstream.arrivals.len(), ARRIVALS_MAX);
        // Once there is room, it goes on with them.
        for _ in 0..ARRIVALS_MAX {
            assert!(
                matches!(upstream.arrival().await, Some(Arrival::Message { octets, .. }) if octets == "x")
            );
        }
        assert!(matches!(upstream.arrival().await, Some(Arrival::Message { .. })));
    }
}
