//! One UDP socket with its connections.

use super::engine::{Command, Engine};
use super::stream::UtpStream;
use bittorrent::utp::{Config, Measured};
use bytes::Bytes;
use net::{Network, RelayedDatagram, Trains};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::sync::{Mutex, mpsc, oneshot};

/// Connections that wait to be accepted; further ones are refused.
const ACCEPTED_MAX: usize = 128;

/// The bounds of a [`UtpSocket`].
#[derive(Debug, Clone)]
pub struct UtpOptions {
    /// The bounds of its connections.
    pub config: Config,
    /// What the system may keep while the task is busy; the system's own limit
    /// (`net.core.rmem_max`) holds.
    pub receive_buffer_octets: usize,
    /// Datagrams are never made larger than this, whatever the path carries.
    pub datagram_octets_max: usize,
}

impl Default for UtpOptions {
    /// 4 MiB of receive buffer, datagrams as large as the path carries.
    fn default() -> Self {
        Self {
            config: Config::default(),
            receive_buffer_octets: 4 << 20,
            // The proxy of the other side may put a head before each.
            datagram_octets_max: net::TRAIN_OCTETS_MAX - RelayedDatagram::HEAD_OCTETS_MAX,
        }
    }
}

/// A datagram that is none of uTP, such as one of the DHT, which shares the port.
#[derive(Debug, Clone)]
pub struct OtherDatagram {
    /// What it carries.
    pub octets: Bytes,
    /// Who sent it.
    pub peer: SocketAddr,
    /// Our address it was sent to, where the socket is bound to all of them.
    pub local: Option<IpAddr>,
}

/// One UDP socket that carries connections of uTP and other datagrams. Its task
/// ends when it and all its streams are dropped and what was written has
/// arrived, or did not for half a minute.
#[derive(Debug)]
pub struct UtpSocket {
    trains: Arc<Trains>,
    commands: mpsc::UnboundedSender<Command>,
    accepted: Mutex<mpsc::Receiver<UtpStream>>,
}

impl UtpSocket {
    /// Binds to `address` and starts its task. Datagrams that are none of uTP go
    /// to `others`; what it cannot take at once is lost.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn bind(
        network: &Network,
        address: SocketAddr,
        options: UtpOptions,
        others: Option<mpsc::Sender<OtherDatagram>>,
    ) -> io::Result<Self> {
        Ok(Self::over(network.trains(address, options.receive_buffer_octets)?, options, others))
    }

    /// The same over a socket that is open, such as one whose datagrams a proxy
    /// carries on.
    pub fn over(trains: Trains, options: UtpOptions, others: Option<mpsc::Sender<OtherDatagram>>) -> Self {
        let trains = Arc::new(trains);
        let (commands, taken) = mpsc::unbounded_channel();
        let (accepted, accepts) = mpsc::channel(ACCEPTED_MAX);
        let ends = (commands.downgrade(), taken);
        tokio::spawn(Engine::new(trains.clone(), options, ends, accepted, others).run());
        Self { trains, commands, accepted: Mutex::new(accepts) }
    }

    /// Whether it reaches addresses of the other's family.
    pub fn reaches(&self, to: SocketAddr) -> bool {
        self.trains.is_relayed() || self.local_addr().is_ipv4() == to.is_ipv4()
    }

    /// Where it is bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.trains.local_addr()
    }

    /// Connects to `to`.
    ///
    /// # Errors
    /// Timed out after 15 seconds without an answer; refused; too many connections.
    pub async fn connect(&self, to: SocketAddr) -> io::Result<UtpStream> {
        let (reply, stream) = oneshot::channel();
        self.commands.send(Command::Connect { to, reply }).map_err(|_| is_closed())?;
        net::answer_of(stream, self.commands.closed()).await.ok_or_else(is_closed)?
    }

    /// The next connection that somebody else opened: who only asked and did not
    /// show that the answer reached him is not handed out.
    ///
    /// # Errors
    /// When the socket is closed.
    pub async fn accept(&self) -> io::Result<UtpStream> {
        self.accepted.lock().await.recv().await.ok_or_else(is_closed)
    }

    /// Sends a datagram that is none of uTP.
    ///
    /// # Errors
    /// When the socket itself fails; a datagram that gets lost is no error.
    pub async fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        self.trains.send_to(datagram, to).await
    }

    /// How a connection does.
    pub async fn measured(&self, stream: &UtpStream) -> Option<Measured> {
        let (reply, measured) = oneshot::channel();
        self.commands.send(Command::Measure { id: stream.id(), reply }).ok()?;
        net::answer_of(measured, self.commands.closed()).await?
    }

    /// Ends all connections and waits until what was written has arrived, at
    /// most half a minute.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.commands.send(Command::Close { done }).is_ok() {
            net::answer_of(closed, self.commands.closed()).await;
        }
    }
}

fn is_closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the uTP socket is closed")
}
