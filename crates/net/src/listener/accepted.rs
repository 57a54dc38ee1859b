//! A connection that was just accepted, before anybody waits on it.
//!
//! Of a client that sends its request at once and wants one reply, the request is
//! there when the connection is. Reading it, answering and closing takes four
//! system calls, and two packets less than a connection that the runtime watches.
#![expect(
    unsafe_code,
    reason = "recv of socket2 takes octets without a value; watching of tokio a descriptor"
)]

use super::{Gate, Guest, Listener, Place, recover};
use crate::layer::Layers;
use crate::network::BACKLOG_MAX;
use crate::{Ends, Role, Shutdown, Stream, held, message};
use socket2::{SockRef, Socket};
use std::io;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd as _;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A connection that was just accepted. What it is asked for at once can be
/// answered at once; otherwise it becomes a [`Stream`].
#[derive(Debug)]
pub struct Accepted<'listener> {
    socket: Socket,
    ends: Ends,
    layers: &'listener Layers,
    guest: Guest,
}

impl Accepted<'_> {
    /// Our end.
    pub fn local_addr(&self) -> SocketAddr {
        self.ends.local
    }

    /// The other end.
    pub fn peer_addr(&self) -> SocketAddr {
        self.ends.peer
    }

    /// Appends up to `octets_max` that are there already; the number of them, 0
    /// where the client has ended. Nothing is there for who does not wait where a
    /// layer must see the octets.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where nothing is there; what the system says
    /// otherwise.
    pub fn read(&self, into: &mut Vec<u8>, octets_max: usize) -> io::Result<usize> {
        if !self.layers.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let before = into.len();
        into.resize(before + octets_max, 0);
        let read =
            SockRef::from(&self.socket).recv_with_flags(uninit(&mut into[before..]), libc::MSG_DONTWAIT);
        into.truncate(before + read.as_ref().copied().unwrap_or_default());
        read
    }

    /// Sends the last reply and closes: the end leaves in the same packet. What
    /// the client has sent must have been read, or it sees a reset. The system
    /// takes all octets or, where `Some` is given, so many; the rest is the
    /// caller's to send.
    pub fn finish(self, octets: &[u8]) -> io::Result<Option<(usize, Stream)>> {
        let flags = libc::MSG_MORE | libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        let sent = self.send(octets, flags)?;
        if sent == octets.len() { Ok(None) } else { Ok(Some((sent, self.into_stream()?))) }
    }

    /// Sends a reply after which the connection stays open. How many octets the
    /// system took.
    pub fn reply(&self, octets: &[u8]) -> io::Result<usize> {
        self.send(octets, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT)
    }

    fn send(&self, octets: &[u8], flags: i32) -> io::Result<usize> {
        if !self.layers.is_empty() {
            return Ok(0);
        }
        match self.socket.send_with_flags(octets, flags) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            sent => sent,
        }
    }

    /// The connection as one that is waited on; within a runtime only.
    pub fn into_stream(self) -> io::Result<Stream> {
        self.socket.set_nonblocking(true)?;
        let tcp = tokio::net::TcpStream::from_std(self.socket.into())?;
        Ok(Stream::new(tcp, self.ends, self.layers, Some(self.guest)))
    }
}

impl Listener {
    /// As [`Listener::each`], for a protocol whose client speaks first: hands over
    /// connections only once the client has said something, or said nothing for a
    /// second, and before the runtime watches them.
    pub async fn each_accepted(self, closing: Shutdown, mut take: impl FnMut(Accepted<'_>)) {
        let Self { tcp, held, gate } = self;
        let address = tcp.local_addr().ok();
        let over = |error: io::Error| tracing::error!(%error, ?address, "listening is over");
        let watch = |tcp: TcpListener| {
            // SAFETY: a listener of std has one descriptor, open as long as it lives.
            let watched = unsafe { AsyncFd::register_with_interest(tcp, Interest::READABLE) };
            watched.map_err(io::Error::from)
        };
        let tcp = match tcp.into_std().and_then(watch) {
            Ok(tcp) => tcp,
            Err(error) => return over(error),
        };
        // Where it cannot be had, connections without a word come too.
        let _ = message::set_option(tcp.as_fd(), libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, 1);
        loop {
            let accepted = tokio::select! {
                // First, so that nothing is taken from who has taken over.
                biased;
                () = closing.requested() => break,
                accepted = gate.accept_unwatched(&tcp) => accepted,
            };
            match accepted {
                Ok(accepted) => take(accepted),
                Err(error) => return over(error),
            }
        }
        if held::is_shared(held.as_ref()) {
            return;
        }
        let waiting: Vec<_> = (0..BACKLOG_MAX).map_while(|_| SockRef::from(&tcp).accept().ok()).collect();
        drop((tcp, held));
        for (socket, peer) in waiting {
            let Some(peer) = peer.as_socket() else { continue };
            let place = gate.place().await;
            if let Ok(accepted) = gate.admit_unwatched(socket, peer, place) {
                take(accepted);
            }
        }
    }
}

impl Gate {
    async fn accept_unwatched(&self, tcp: &AsyncFd<TcpListener>) -> io::Result<Accepted<'_>> {
        let mut place = self.place().await;
        loop {
            let accept = |tcp: &TcpListener| SockRef::from(tcp).accept();
            let (socket, peer) = match tcp.async_io(Interest::READABLE, accept).await {
                Ok((socket, peer)) => (socket, peer.as_socket()),
                Err(error) => {
                    recover(error).await?;
                    continue;
                }
            };
            let Some(peer) = peer else { continue };
            place = match self.admit_unwatched(socket, peer, place) {
                Ok(accepted) => return Ok(accepted),
                Err(place) => place,
            };
        }
    }

    /// Lets a connection in; gives the place back when it may not come in.
    fn admit_unwatched(&self, socket: Socket, peer: SocketAddr, place: Place) -> Result<Accepted<'_>, Place> {
        // Where one address is listened on, it need not be asked for each time.
        let local = self.local.or_else(|| socket.local_addr().ok()?.as_socket());
        let Some(local) = local else { return Err(place) };
        let guest = self.guest(peer, place)?;
        let ends = Ends { local, peer, role: Role::Server };
        Ok(Accepted { socket, ends, layers: &self.layers, guest })
    }
}

/// Octets that have a value can be written as those that have none.
fn uninit(octets: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: both have one layout, and the system writes octets that have values.
    unsafe { &mut *(std::ptr::from_mut(octets) as *mut [MaybeUninit<u8>]) }
}
