//! How datagrams come and go: over a socket of its own, or over one that is
//! shared with uTP.

use bytes::Bytes;
use net::{Datagrams, Network, Shutdown};
use std::io;
use std::net::SocketAddr;
use tokio::sync::mpsc;

/// Datagrams that wait in each direction. What is beyond is lost, as on any
/// wire.
pub const WAITING_MAX: usize = 1_024;

/// Octets of the largest datagram that is received; a longer one is no message.
const DATAGRAM_OCTETS_MAX: usize = bittorrent::dht::krpc::DATAGRAM_OCTETS_MAX + 1;

/// The end of a wire that the hash table holds.
#[derive(Debug)]
pub struct Wire {
    pub(super) arrivals: mpsc::Receiver<(SocketAddr, Bytes)>,
    pub(super) departures: mpsc::Sender<(SocketAddr, Bytes)>,
}

/// The other end: whoever owns the socket puts into `arrivals` what came for
/// the hash table (it begins with `d`), and sends what it finds in
/// `departures`.
#[derive(Debug)]
pub struct FarEnd {
    /// Who sent what.
    pub arrivals: mpsc::Sender<(SocketAddr, Bytes)>,
    /// What is to be sent to whom.
    pub departures: mpsc::Receiver<(SocketAddr, Bytes)>,
}

/// The wires of both families; the hash table takes part where there is one.
#[derive(Debug, Default)]
pub struct Wires {
    /// For IPv4.
    pub v4: Option<Wire>,
    /// For IPv6.
    pub v6: Option<Wire>,
}

/// Both ends of a wire. It holds [`WAITING_MAX`] datagrams in each direction.
pub fn wire() -> (Wire, FarEnd) {
    let (arrive, arrivals) = mpsc::channel(WAITING_MAX);
    let (depart, departures) = mpsc::channel(WAITING_MAX);
    (Wire { arrivals, departures: depart }, FarEnd { arrivals: arrive, departures })
}

impl Wires {
    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.v4.is_none() && self.v6.is_none()
    }

    /// Opens a socket of its own at each address, at most one of a family. Gives
    /// where they are bound, too.
    pub fn open(
        network: &Network,
        addresses: &[SocketAddr],
        shutdown: &Shutdown,
    ) -> io::Result<(Self, Vec<SocketAddr>)> {
        let mut wires = Self::default();
        let mut bound = Vec::new();
        for address in addresses {
            let place = if address.is_ipv4() { &mut wires.v4 } else { &mut wires.v6 };
            if place.is_some() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "two addresses of one family"));
            }
            let socket = network.datagrams(*address)?;
            bound.push(socket.local_addr()?);
            let (near, far) = wire();
            let closing = shutdown.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = carry(socket, far) => {}
                    () = closing.requested() => {}
                }
            });
            *place = Some(near);
        }
        Ok((wires, bound))
    }
}

/// Carries datagrams between a socket and a wire until the wire is gone.
pub(crate) async fn carry(socket: Datagrams, mut far: FarEnd) {
    let mut buffer = vec![0; DATAGRAM_OCTETS_MAX];
    loop {
        tokio::select! {
            received = socket.receive_from(&mut buffer) => match received {
                Ok((octets, from)) => {
                    let datagram = Bytes::copy_from_slice(buffer.get(..octets).unwrap_or_default());
                    if let Err(mpsc::error::TrySendError::Closed(_)) = far.arrivals.try_send((from, datagram)) {
                        return;
                    }
                }
                // A port that somebody found closed; not this socket's fault.
                Err(error) => tracing::trace!(%error, "receiving for the hash table"),
            },
            departing = far.departures.recv() => match departing {
                Some((to, datagram)) => {
                    if let Err(error) = socket.send_to(&datagram, to).await {
                        tracing::trace!(%error, %to, "sending for the hash table");
                    }
                }
                None => return,
            },
        }
    }
}
