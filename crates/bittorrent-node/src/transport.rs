//! What carries the octets between two peers: TCP or uTP, encrypted or not.

use crate::keystream::Keystream;
use crate::utp::UtpStream;
use serde::Serialize;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Octets encrypted at once; what is encrypted must be written in this order.
const ENCRYPTED_OCTETS_MAX: usize = 64 * 1024;

/// A protocol that carries connections between peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP (BEP 3).
    Tcp,
    /// uTP (BEP 29).
    Utp,
}

/// Which protocols connections are opened and accepted over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocols {
    /// Both. TCP is tried first: it costs less, and a peer behind a firewall is
    /// hardly slower found over uTP a moment later.
    #[default]
    TcpFirst,
    /// Both, uTP first: it gives way to all other traffic.
    UtpFirst,
    /// TCP only.
    Tcp,
    /// uTP only.
    Utp,
}

impl Protocols {
    /// Over what a peer is connected to, in this order.
    pub(crate) fn order(self) -> &'static [Protocol] {
        match self {
            Protocols::TcpFirst => &[Protocol::Tcp, Protocol::Utp],
            Protocols::UtpFirst => &[Protocol::Utp, Protocol::Tcp],
            Protocols::Tcp => &[Protocol::Tcp],
            Protocols::Utp => &[Protocol::Utp],
        }
    }

    /// Whether connections are carried over it.
    pub(crate) fn has(self, protocol: Protocol) -> bool {
        self.order().contains(&protocol)
    }
}

/// An open connection of either protocol.
#[derive(Debug)]
pub(crate) enum Carrier {
    Tcp(net::Stream),
    Utp(UtpStream),
}

impl Carrier {
    /// The other end.
    pub(crate) fn peer_addr(&self) -> SocketAddr {
        match self {
            Carrier::Tcp(stream) => stream.peer_addr(),
            Carrier::Utp(stream) => stream.peer_addr(),
        }
    }

    /// What it is.
    pub(crate) fn protocol(&self) -> Protocol {
        match self {
            Carrier::Tcp(_) => Protocol::Tcp,
            Carrier::Utp(_) => Protocol::Utp,
        }
    }
}

impl AsyncRead for Carrier {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Carrier::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Carrier::Utp(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Carrier::Tcp(stream) => Pin::new(stream).poll_write(cx, octets),
            Carrier::Utp(stream) => Pin::new(stream).poll_write(cx, octets),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Carrier::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Carrier::Utp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Carrier::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Carrier::Utp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// The ciphers of an encrypted connection.
#[derive(Debug)]
struct Ciphers {
    incoming: Keystream,
    outgoing: Keystream,
    /// Encrypted and not yet written.
    waiting: Vec<u8>,
    written: usize,
}

/// A connection to a peer.
#[derive(Debug)]
pub(crate) struct Transport {
    carrier: Carrier,
    ciphers: Option<Box<Ciphers>>,
}

impl Transport {
    /// In the clear.
    pub(crate) fn plain(carrier: Carrier) -> Self {
        Self { carrier, ciphers: None }
    }

    /// Under message stream encryption.
    pub(crate) fn encrypted(carrier: Carrier, incoming: Keystream, outgoing: Keystream) -> Self {
        let ciphers = Ciphers { incoming, outgoing, waiting: Vec::new(), written: 0 };
        Self { carrier, ciphers: Some(Box::new(ciphers)) }
    }

    /// What carries it.
    pub(crate) fn protocol(&self) -> Protocol {
        self.carrier.protocol()
    }

    /// Whether it is under message stream encryption.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.ciphers.is_some()
    }

    /// Whether files can be sent without copying them.
    pub(crate) fn can_send_file(&self) -> bool {
        match &self.carrier {
            Carrier::Tcp(stream) => self.ciphers.is_none() && stream.can_send_file(),
            Carrier::Utp(_) => false,
        }
    }

    /// Whether what comes waits in the system, with room for much of it, until it is
    /// read.
    pub(crate) fn may_rest(&self) -> bool {
        match &self.carrier {
            Carrier::Tcp(stream) => stream.is_bare(),
            Carrier::Utp(_) => false,
        }
    }

    /// Bounds what waits in the system to be sent; over uTP that is little anyway.
    pub(crate) fn set_unsent_max(&self, octets: u32) -> io::Result<()> {
        match &self.carrier {
            Carrier::Tcp(stream) => stream.set_unsent_max(octets),
            Carrier::Utp(_) => Ok(()),
        }
    }

    /// What TCP has written and is not acknowledged, and its shortest round trip.
    /// uTP itself keeps what is under way short.
    pub(crate) fn backlog(&self) -> Option<(u64, Duration)> {
        match &self.carrier {
            Carrier::Tcp(stream) => stream.backlog().map(|it| (it.octets, it.round_trip_min)),
            Carrier::Utp(_) => None,
        }
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, place: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(place);
        ready!(Pin::new(&mut self.carrier).poll_read(cx, &mut buffer))?;
        let octets = buffer.filled().len();
        if let Some(ciphers) = &mut self.ciphers {
            ciphers.incoming.apply(buffer.filled_mut());
        }
        Poll::Ready(Ok(octets))
    }

    pub(crate) fn poll_read_vectored(
        &mut self,
        cx: &mut Context<'_>,
        places: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let octets = ready!(match &mut self.carrier {
            Carrier::Tcp(stream) => stream.poll_read_vectored(cx, places),
            Carrier::Utp(stream) => stream.poll_read_vectored(cx, places),
        })?;
        if let Some(ciphers) = &mut self.ciphers {
            let mut left = octets;
            for place in places {
                let here = left.min(place.len());
                ciphers.incoming.apply(place.get_mut(..here).unwrap_or_default());
                left -= here;
            }
        }
        Poll::Ready(Ok(octets))
    }

    /// Writes some of `octets`, which change where the connection is encrypted:
    /// what was written is not to be used again. `more` follows at once.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        octets: &mut [u8],
        more: bool,
    ) -> Poll<io::Result<usize>> {
        let Some(ciphers) = &mut self.ciphers else {
            return match &mut self.carrier {
                Carrier::Tcp(stream) if more => stream.poll_write_more(cx, octets),
                carrier => Pin::new(carrier).poll_write(cx, octets),
            };
        };
        if !ciphers.waiting.is_empty() {
            ready!(ciphers.poll_drain(&mut self.carrier, cx))?;
        }
        let taken = octets.len().min(ENCRYPTED_OCTETS_MAX);
        let chosen = octets.get_mut(..taken).unwrap_or_default();
        ciphers.outgoing.apply(chosen);
        // From here on they are ours: what the socket does not take waits.
        let written = match Pin::new(&mut self.carrier).poll_write(cx, chosen) {
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        };
        ciphers.waiting.extend_from_slice(chosen.get(written..).unwrap_or_default());
        Poll::Ready(Ok(taken))
    }

    pub(crate) fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: &File,
        offset: u64,
        octets: NonZeroUsize,
    ) -> Poll<io::Result<usize>> {
        match &mut self.carrier {
            Carrier::Tcp(stream) => stream.poll_send_file(cx, file, offset, octets),
            Carrier::Utp(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(ciphers) = &mut self.ciphers {
            ready!(ciphers.poll_drain(&mut self.carrier, cx))?;
        }
        Pin::new(&mut self.carrier).poll_flush(cx)
    }
}

impl Ciphers {
    fn poll_drain(&mut self, carrier: &mut Carrier, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.waiting.get(self.written..).filter(|rest| !rest.is_empty()) {
            self.written += ready!(Pin::new(&mut *carrier).poll_write(cx, rest))?;
        }
        self.waiting.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}
