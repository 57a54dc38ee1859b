//! What stacks around a socket, between the service and the wire.

use std::fmt::Debug;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite};

/// Something bytes flow through in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send + Sync + Debug {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync + Debug> Duplex for T {}

/// Any [`Duplex`].
pub type BoxedDuplex = Box<dyn Duplex>;

/// Which way a datagram goes, seen from this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the service to the wire.
    Outgoing,
    /// From the wire to the service.
    Incoming,
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
    /// Who opened it.
    pub role: Role,
}

/// Which side of a connection this host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We connected.
    Client,
    /// We accepted.
    Server,
}

/// A datagram on its way through the layers.
#[derive(Debug, Clone, Copy)]
pub struct Passing<'a> {
    /// When it arrives at the layer.
    pub at: Instant,
    /// Which way it goes.
    pub direction: Direction,
    /// Its sender.
    pub from: SocketAddr,
    /// Its receiver.
    pub to: SocketAddr,
    /// What it carries.
    pub octets: &'a [u8],
}

/// One wrapper around every socket of a [`Network`](crate::Network).
///
/// A layer sees datagrams as they pass and says when they leave it; it holds no
/// queue, the socket does. It sees a connection as a stream of bytes below TLS,
/// and may put another stream in front of it.
pub trait Layer: Send + Sync + Debug {
    /// When the datagram leaves this layer on its way; `None` when it is lost.
    fn datagram(&self, passing: &Passing<'_>) -> Option<Instant> {
        Some(passing.at)
    }

    /// Resolves when a connection may be opened towards `to`; called before the
    /// connection is made.
    fn opening(&self, to: SocketAddr) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let _ = to;
        Box::pin(std::future::ready(()))
    }

    /// Stands in front of a connection.
    fn stream(&self, ends: Ends, below: BoxedDuplex) -> BoxedDuplex {
        let _ = ends;
        below
    }

    /// Wants the secrets of TLS sessions, to make a capture readable.
    fn key_log(&self) -> Option<Arc<dyn rustls::KeyLog>> {
        None
    }
}

/// The layers of one network; the first lies nearest to the service.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layers(Option<Arc<[Arc<dyn Layer>]>>);

impl Layers {
    /// The same layers with one more, nearest to the wire.
    pub(crate) fn with(&self, layer: Arc<dyn Layer>) -> Self {
        Self(Some(self.iter().cloned().chain([layer]).collect()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<dyn Layer>> {
        self.0.iter().flat_map(|layers| layers.iter())
    }

    /// When a datagram has passed all layers; `None` when one of them lost it.
    pub(crate) fn pass(&self, mut passing: Passing<'_>) -> Option<Instant> {
        match passing.direction {
            Direction::Outgoing => {
                for layer in self.iter() {
                    passing.at = layer.datagram(&passing)?;
                }
            }
            Direction::Incoming => {
                for layer in self.iter().rev() {
                    passing.at = layer.datagram(&passing)?;
                }
            }
        }
        Some(passing.at)
    }

    pub(crate) async fn opening(&self, to: SocketAddr) {
        for layer in self.iter() {
            layer.opening(to).await;
        }
    }

    pub(crate) fn stream(&self, ends: Ends, wire: BoxedDuplex) -> BoxedDuplex {
        self.iter().rev().fold(wire, |below, layer| layer.stream(ends, below))
    }

    pub(crate) fn key_log(&self) -> Option<Arc<dyn rustls::KeyLog>> {
        self.iter().find_map(|layer| layer.key_log())
    }
}
