//! One connection, as its user sees it.

use super::credit::Credit;
use super::engine::Command;
use bittorrent::utp::{CloseReason, ConnectionId, Path};
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

/// Octets that are written into one buffer.
const CHUNK_OCTETS: usize = 128 << 10;
/// Buffers kept to be used again when what was written from them arrived.
const CHUNKS_KEPT_MAX: usize = 12;
/// How many of those are looked at for one that is free.
const CHUNKS_LOOKED_AT: usize = 2;

/// What the task hands to the reader.
#[derive(Debug)]
pub(super) enum Incoming {
    Octets(Bytes),
    Finished,
}

/// A connection of uTP. Dropping it sends what was written and ends it.
#[derive(Debug)]
pub struct UtpStream {
    id: ConnectionId,
    path: Path,
    local: SocketAddr,
    commands: UnboundedSender<Command>,
    credit: Arc<Credit>,
    incoming: UnboundedReceiver<Incoming>,
    current: Bytes,
    /// The other side sends no more.
    ended: bool,
    /// Octets that were read and not given back yet, and when they must be.
    used: usize,
    used_max: usize,
    chunk: BytesMut,
    kept: VecDeque<BytesMut>,
    shut: bool,
}

impl UtpStream {
    pub(super) fn new(
        (id, path, local): (ConnectionId, Path, SocketAddr),
        commands: UnboundedSender<Command>,
        credit: Arc<Credit>,
        incoming: UnboundedReceiver<Incoming>,
        receive_octets_max: usize,
    ) -> Self {
        Self {
            id,
            path,
            local,
            commands,
            credit,
            incoming,
            current: Bytes::new(),
            ended: false,
            used: 0,
            used_max: receive_octets_max / 8,
            chunk: BytesMut::new(),
            kept: VecDeque::new(),
            shut: false,
        }
    }

    pub(super) fn id(&self) -> ConnectionId {
        self.id
    }

    /// The other side.
    pub fn peer_addr(&self) -> SocketAddr {
        self.path.peer
    }

    /// Our side.
    pub fn local_addr(&self) -> SocketAddr {
        self.path.local.map_or(self.local, |ip| SocketAddr::new(ip, self.local.port()))
    }

    /// The next octets as they arrived, without a copy; empty at the end.
    pub async fn read_bytes(&mut self) -> io::Result<Bytes> {
        std::future::poll_fn(|context| {
            ready!(self.poll_current(context))?;
            let octets = std::mem::take(&mut self.current);
            self.used(octets.len());
            Poll::Ready(Ok(octets))
        })
        .await
    }

    /// Reads into several places, one after the other. Gives how many octets were
    /// read; 0 means that the peer has ended.
    ///
    /// # Errors
    /// When the connection is over without an end.
    pub fn poll_read_vectored(
        &mut self,
        context: &mut Context<'_>,
        places: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut read = 0;
        'places: for place in places {
            let mut rest = &mut **place;
            while !rest.is_empty() {
                match self.poll_current(context) {
                    Poll::Ready(Ok(())) if self.current.is_empty() => break 'places,
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) if read == 0 => return Poll::Ready(Err(error)),
                    Poll::Pending if read == 0 => return Poll::Pending,
                    _ => break 'places,
                }
                let octets = self.current.len().min(rest.len());
                let (filled, left) = rest.split_at_mut(octets);
                filled.copy_from_slice(self.current.get(..octets).unwrap_or_default());
                rest = left;
                self.current.advance(octets);
                read += octets;
            }
        }
        self.used(read);
        Poll::Ready(Ok(read))
    }

    /// Waits for octets in `current`; empty at the end.
    fn poll_current(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.current.is_empty() && !self.ended {
            match ready!(self.incoming.poll_recv(context)) {
                Some(Incoming::Octets(octets)) => self.current = octets,
                Some(Incoming::Finished) => self.ended = true,
                None => return Poll::Ready(Err(self.broken())),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn broken(&self) -> io::Error {
        error_of(self.credit.closed().unwrap_or(CloseReason::Reset))
    }

    /// Gives room back, not for every little bit.
    fn used(&mut self, octets: usize) {
        self.used += octets;
        if self.used >= self.used_max {
            let octets = std::mem::take(&mut self.used);
            // Fails only when the connection is over.
            self.commands.send(Command::Used { id: self.id, octets }).ok();
        }
    }

    /// Room to write into.
    fn make_room(&mut self) {
        if self.chunk.capacity() > self.chunk.len() {
            return;
        }
        // It still holds its memory, and so does everything cut from it.
        self.kept.push_back(std::mem::take(&mut self.chunk));
        for _ in 0..self.kept.len().min(CHUNKS_LOOKED_AT) {
            let Some(mut oldest) = self.kept.pop_front() else { break };
            // Succeeds once everything cut from it is gone.
            if oldest.try_reclaim(CHUNK_OCTETS) {
                self.chunk = oldest;
                return;
            }
            self.kept.push_back(oldest);
        }
        while self.kept.len() > CHUNKS_KEPT_MAX {
            self.kept.pop_front();
        }
        self.chunk = BytesMut::with_capacity(CHUNK_OCTETS);
    }
}

/// The error of a connection that ended so.
pub(super) fn error_of(reason: CloseReason) -> io::Error {
    let kind = match reason {
        CloseReason::Finished => io::ErrorKind::BrokenPipe,
        CloseReason::Reset => io::ErrorKind::ConnectionReset,
        CloseReason::TimedOut => io::ErrorKind::TimedOut,
    };
    io::Error::new(kind, reason)
}

impl AsyncRead for UtpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let place = &mut [IoSliceMut::new(buffer.initialize_unfilled())];
        let octets = ready!(self.get_mut().poll_read_vectored(context, place))?;
        buffer.advance(octets);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for UtpStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.shut {
            return Poll::Ready(Err(error_of(CloseReason::Finished)));
        }
        if octets.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let credit = ready!(this.credit.poll(context)).map_err(error_of)?;
        this.make_room();
        let room = this.chunk.capacity() - this.chunk.len();
        let count = octets.len().min(credit).min(room);
        this.chunk.extend_from_slice(octets.get(..count).unwrap_or_default());
        let piece = this.chunk.split().freeze();
        this.credit.take(count);
        let sent = this.commands.send(Command::Write { id: this.id, octets: piece });
        Poll::Ready(sent.map(|()| count).map_err(|_| this.broken()))
    }

    /// What was written is with the task that sends it already.
    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Says that no more follows; what was written is still sent, which
    /// [`UtpSocket::close`](super::UtpSocket::close) waits for.
    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.shut, true) {
            this.commands.send(Command::Finish { id: this.id }).ok();
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for UtpStream {
    fn drop(&mut self) {
        self.commands.send(Command::Abandon { id: self.id }).ok();
    }
}
