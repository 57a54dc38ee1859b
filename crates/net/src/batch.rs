//! UDP for the hot path: one socket for each thread, which waits on it, up to 64
//! datagrams in one system call, replies written in place.
//!
//! Nothing is allocated and nothing is copied for a datagram: recvmmsg fills
//! buffers that were made once, the server writes each reply into a buffer that
//! lies ready beside it, and sendmmsg sends all of them. On a socket bound to
//! all addresses each reply leaves from the address that was asked; a socket
//! bound to one address need not ask the system for that.
//!
//! Where the [`Network`](crate::Network) has layers, datagrams take the longer
//! way through them.
//!
//! ```no_run
//! # use net::{Network, Shutdown, batch::BatchOptions};
//! # fn main() -> std::io::Result<()> {
//! # let shutdown = Shutdown::new();
//! let options = BatchOptions::at(([127, 0, 0, 1], 5300).into());
//! for mut batch in Network::new().datagram_batches(&options)? {
//!     let (shutdown, hold) = (shutdown.clone(), shutdown.hold());
//!     std::thread::spawn(move || {
//!         while !shutdown.is_requested() {
//!             batch.receive()?;
//!             for (datagram, mut reply) in batch.exchanges() {
//!                 reply.push(datagram.octets);
//!             }
//!             batch.send()?;
//!         }
//!         drop(hold);
//!         std::io::Result::Ok(())
//!     });
//! }
//! # Ok(()) }
//! ```
#![expect(unsafe_code, reason = "recvmmsg and sendmmsg, which std does not offer")]

mod late;
mod layered;

use crate::held::{self, Held};
use crate::layer::Layers;
use crate::message::{self, CONTROL_OCTETS, Control};
pub use late::LateReplies;
use layered::Layered;
use libc::{c_uint, iovec, mmsghdr, sockaddr_storage, socklen_t};
use socket2::SockRef;
use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Buffers start this far apart beyond their size, so that they do not all
/// compete for the same lines of the processor's cache.
const SKEW_OCTETS: usize = 64;

/// How a group of sockets is bound and bounded.
#[derive(Debug, Clone)]
pub struct BatchOptions {
    /// Where to receive; port 0 lets the system choose.
    pub address: SocketAddr,
    /// How many sockets share the address, one for each thread.
    pub sockets: usize,
    /// Datagrams received at once, 1 to 1,024.
    pub datagrams_max: usize,
    /// Size of each buffer to receive into; longer datagrams lose their end.
    pub datagram_octets_max: usize,
    /// Size of each buffer to reply from.
    pub reply_octets_max: usize,
    /// What the system may keep for a socket while its thread is busy; the
    /// system's own limit (`net.core.rmem_max`) holds.
    pub receive_buffer_octets: usize,
    /// Whether replies may be fragmented on their way. Who never sends one that is
    /// longer than the least link carries says no, and spares the system an id for
    /// each.
    pub fragmentable: bool,
    /// How long [`DatagramBatch::receive`] waits, so that the thread can see
    /// that it shall stop.
    pub patience: Duration,
}

impl BatchOptions {
    /// One socket, 64 datagrams of at most 4,096 octets either way, 200 ms.
    pub fn at(address: SocketAddr) -> Self {
        Self {
            address,
            sockets: 1,
            datagrams_max: 64,
            datagram_octets_max: 4_096,
            reply_octets_max: 4_096,
            receive_buffer_octets: 4 << 20,
            fragmentable: true,
            patience: Duration::from_millis(200),
        }
    }
}

/// A datagram socket that receives and replies in batches; belongs to one
/// thread.
#[derive(Debug)]
pub struct DatagramBatch {
    socket: UdpSocket,
    held: Option<Arc<Held>>,
    patience: Duration,
    bound: SocketAddr,
    /// Whether the system says with each datagram where it was sent to.
    tells_destination: bool,
    /// How many datagrams the last `receive` brought.
    count: usize,
    incoming: Buffers,
    replies: Buffers,
    /// The senders as the system wrote them, so that a reply needs no conversion.
    peers: Box<[sockaddr_storage]>,
    locals: Box<[SocketAddr]>,
    truncated: Box<[bool]>,
    controls: Box<[Control]>,
    parts: Box<[iovec]>,
    headers: Box<[mmsghdr]>,
    layered: Option<Layered>,
}

// SAFETY: the pointers in `parts` and `headers` are written before each system
// call and not read after it; what they point to belongs to this value.
unsafe impl Send for DatagramBatch {}

/// A received datagram. The sender's address stays as the system wrote it until
/// somebody asks.
#[derive(Clone, Copy)]
pub struct Incoming<'a> {
    /// What it carries.
    pub octets: &'a [u8],
    /// Whether it was longer than its buffer and lost its end.
    pub truncated: bool,
    peer: &'a sockaddr_storage,
    local: &'a SocketAddr,
}

impl Incoming<'_> {
    /// Who sent it.
    pub fn peer(&self) -> SocketAddr {
        // The socket's family is IPv4 or IPv6, and so is every sender's.
        message::read_address(self.peer).unwrap_or(*self.local)
    }

    /// Our address it was sent to.
    pub fn local(&self) -> SocketAddr {
        *self.local
    }
}

impl std::fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { octets, truncated, .. } = self;
        let (octets, peer, local) = (octets.len(), self.peer(), self.local());
        write!(f, "Incoming({octets} octets from {peer} to {local}, truncated: {truncated})")
    }
}

/// Where the reply to a datagram is written; an empty one is not sent.
#[derive(Debug)]
pub struct Reply<'a> {
    buffer: &'a mut [u8],
    length: &'a mut usize,
}

impl Reply<'_> {
    /// The whole buffer, `reply_octets_max` long, to be written in place; then
    /// say with [`Reply::set_len`] how much of it is the reply.
    #[inline]
    pub fn buffer(&mut self) -> &mut [u8] {
        self.buffer
    }

    /// How much of the buffer is the reply, at most all of it.
    #[inline]
    pub fn set_len(&mut self, octets: usize) {
        *self.length = octets.min(self.buffer.len());
    }

    /// Appends octets; false, and nothing appended, where they do not fit.
    #[must_use = "a reply that does not fit must be truncated by the protocol's own rule"]
    pub fn push(&mut self, octets: &[u8]) -> bool {
        let end = *self.length + octets.len();
        let Some(room) = self.buffer.get_mut(*self.length..end) else { return false };
        room.copy_from_slice(octets);
        *self.length = end;
        true
    }

    /// How long the reply is so far.
    pub fn len(&self) -> usize {
        *self.length
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        *self.length == 0
    }
}

impl DatagramBatch {
    pub(crate) fn new(
        socket: UdpSocket,
        held: Option<Arc<Held>>,
        options: &BatchOptions,
        layers: Layers,
    ) -> io::Result<Self> {
        // Whoever shares the socket may be a task, which must not block.
        socket.set_nonblocking(true)?;
        let bound = socket.local_addr()?;
        let tells_destination = bound.ip().is_unspecified();
        if tells_destination {
            message::enable_destination(socket.as_fd(), bound.is_ipv4())?;
        }
        SockRef::from(&socket).set_recv_buffer_size(options.receive_buffer_octets)?;
        if !options.fragmentable {
            message::forbid_fragments(socket.as_fd(), bound.is_ipv4(), true)?;
        }
        let patience = options.patience.max(Duration::from_millis(1));
        let n = options.datagrams_max.clamp(1, 1_024);
        let no_part = iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        let no_header = mmsghdr { msg_hdr: message::empty_header(), msg_len: 0 };
        Ok(Self {
            socket,
            held,
            patience,
            bound,
            tells_destination,
            count: 0,
            incoming: Buffers::new(n, options.datagram_octets_max),
            replies: Buffers::new(n, options.reply_octets_max),
            peers: vec![message::empty_address(); n].into(),
            locals: vec![bound; n].into(),
            truncated: vec![false; n].into(),
            controls: vec![Control::EMPTY; n].into(),
            parts: vec![no_part; n].into(),
            headers: vec![no_header; n].into(),
            layered: (!layers.is_empty()).then(|| Layered::new(layers)),
        })
    }

    /// Where it is bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.bound
    }

    /// Waits for at least one datagram, at most `patience`, and takes all that
    /// are there, at most `datagrams_max`. Forgets those of the last call.
    /// Returns how many came: 0 when none did for a while.
    pub fn receive(&mut self) -> io::Result<usize> {
        match self.receive_now()? {
            0 => {
                self.wait()?;
                self.receive_now()
            }
            count => Ok(count),
        }
    }

    /// Takes the datagrams that are there, at most `datagrams_max`. Forgets those
    /// of the last call. Returns how many there were.
    pub fn receive_now(&mut self) -> io::Result<usize> {
        self.replies.lengths[..self.count].fill(0);
        self.count = 0;
        if self.layered.is_some() {
            return self.receive_layered();
        }
        self.count = self.receive_wire()?;
        Ok(self.count)
    }

    /// Waits until a datagram is there, at most `patience`.
    pub fn wait(&self) -> io::Result<()> {
        let patience = match &self.layered {
            Some(layered) => layered.wait(Instant::now()).min(self.patience),
            None => self.patience,
        };
        self.poll(libc::POLLIN, patience)
    }

    /// From here on the system gives it nothing more than what waits already;
    /// replies still leave. False, and all stays, where another service has taken
    /// the socket over: what waits is theirs.
    pub fn retire(&mut self) -> io::Result<bool> {
        if held::is_shared(self.held.as_ref()) {
            return Ok(false);
        }
        if let Some(held) = &self.held {
            held.retire();
        }
        // Connected, it hears nobody but its peer, and those that share its address
        // get what it would have got: nothing is lost between a last look and the
        // close. Where it is bound to all addresses it hears itself on one of them.
        let mut peer = self.bound;
        if peer.ip().is_unspecified() {
            peer.set_ip(if peer.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
        }
        self.socket.connect(peer)?;
        Ok(true)
    }

    /// How many datagrams the last [`DatagramBatch::receive`] brought.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether the last [`DatagramBatch::receive`] brought none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The received datagrams.
    pub fn datagrams(&self) -> impl Iterator<Item = Incoming<'_>> {
        (0..self.count).map(|index| self.datagram(index))
    }

    /// One received datagram.
    ///
    /// # Panics
    /// When `index` is not below [`DatagramBatch::len`].
    #[inline]
    pub fn datagram(&self, index: usize) -> Incoming<'_> {
        assert!(index < self.count, "datagram {index} of {}", self.count);
        incoming(&self.incoming, &self.peers, &self.locals, &self.truncated, index)
    }

    /// One received datagram, with the buffer for its reply.
    ///
    /// # Panics
    /// When `index` is not below [`DatagramBatch::len`].
    #[inline]
    pub fn exchange(&mut self, index: usize) -> (Incoming<'_>, Reply<'_>) {
        assert!(index < self.count, "datagram {index} of {}", self.count);
        let Self { incoming: octets, peers, locals, truncated, replies, .. } = self;
        (incoming(octets, peers, locals, truncated, index), replies.reply(index))
    }

    /// The received datagrams, each with the buffer for its reply.
    pub fn exchanges(&mut self) -> impl Iterator<Item = (Incoming<'_>, Reply<'_>)> {
        let Self { incoming: octets, peers, locals, truncated, replies, count, .. } = self;
        let (octets, peers, locals, truncated) = (&*octets, &*peers, &*locals, &*truncated);
        let size = replies.size;
        replies
            .memory
            .chunks_exact_mut(replies.stride)
            .zip(&mut replies.lengths)
            .take(*count)
            .enumerate()
            .map(move |(index, (buffer, length))| {
                let buffer = &mut buffer[..size];
                let datagram = incoming(octets, peers, locals, truncated, index);
                (datagram, Reply { buffer, length })
            })
    }

    /// Sends all replies that are not empty and empties them; returns how many
    /// left. A reply that cannot be sent (its receiver unreachable) is lost, as
    /// on a wire.
    pub fn send(&mut self) -> io::Result<usize> {
        if self.layered.is_some() {
            self.send_layered();
        }
        let mut ready = 0;
        for index in 0..self.count {
            let length = mem::take(&mut self.replies.lengths[index]);
            if length == 0 {
                continue;
            }
            let start = index * self.replies.stride;
            let buffer = &mut self.replies.memory[start..start + length];
            self.parts[ready] = iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: length };
            let mut header = message::empty_header();
            header.msg_name = (&raw mut self.peers[index]).cast();
            header.msg_namelen = address_octets(self.bound);
            header.msg_iov = &raw mut self.parts[ready];
            header.msg_iovlen = 1;
            if self.tells_destination {
                let source = self.locals[index].ip();
                header.msg_controllen = message::write_source(source, &mut self.controls[ready]) as _;
                header.msg_control = (&raw mut self.controls[ready]).cast();
            }
            self.headers[ready] = mmsghdr { msg_hdr: header, msg_len: 0 };
            ready += 1;
        }
        self.send_wire(ready)
    }

    /// One recvmmsg; 0 when nothing is there.
    fn receive_wire(&mut self) -> io::Result<usize> {
        let n = self.headers.len();
        for index in 0..n {
            let start = index * self.incoming.stride;
            let buffer = &mut self.incoming.memory[start..start + self.incoming.size];
            self.parts[index] = iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            let mut header = message::empty_header();
            header.msg_name = (&raw mut self.peers[index]).cast();
            header.msg_namelen = mem::size_of::<sockaddr_storage>() as socklen_t;
            header.msg_iov = &raw mut self.parts[index];
            header.msg_iovlen = 1;
            if self.tells_destination {
                header.msg_control = (&raw mut self.controls[index]).cast();
                header.msg_controllen = CONTROL_OCTETS as _;
            }
            self.headers[index] = mmsghdr { msg_hdr: header, msg_len: 0 };
        }
        let socket = self.socket.as_raw_fd();
        // SAFETY: there are `n` headers, each just filled with pointers that are
        // valid for the length beside them; nothing else touches them until the
        // call returns.
        let count = unsafe {
            libc::recvmmsg(socket, self.headers.as_mut_ptr(), n as c_uint, 0, std::ptr::null_mut())
        };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        };
        for (index, header) in self.headers[..count].iter().enumerate() {
            self.incoming.lengths[index] = (header.msg_len as usize).min(self.incoming.size);
            self.truncated[index] = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            if self.tells_destination {
                // SAFETY: recvmmsg has just filled the header, `controls` stand.
                let destination = unsafe { message::read_destination(&header.msg_hdr) };
                self.locals[index].set_ip(destination.unwrap_or_else(|| self.bound.ip()));
            }
        }
        Ok(count)
    }

    /// Waits until the socket can be read or written, at most `patience`.
    fn poll(&self, events: libc::c_short, patience: Duration) -> io::Result<()> {
        let mut poll = libc::pollfd { fd: self.socket.as_raw_fd(), events, revents: 0 };
        let milliseconds = i32::try_from(patience.as_micros().div_ceil(1_000)).unwrap_or(i32::MAX);
        // SAFETY: one pollfd, valid until the call returns.
        let result = unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
        if result >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
    }

    /// Sends the first `ready` headers.
    fn send_wire(&mut self, ready: usize) -> io::Result<usize> {
        let (mut next, mut sent, mut waited_for) = (0, 0, None);
        while next < ready {
            let rest = &mut self.headers[next..ready];
            // SAFETY: each of these headers was just filled with pointers that
            // are valid for the length beside them, and sendmmsg does not write
            // to what they point to.
            let count = unsafe {
                libc::sendmmsg(self.socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as c_uint, 0)
            };
            if let Ok(count) = usize::try_from(count) {
                next += count;
                sent += count;
                continue;
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                // The system has no room: each datagram may wait for it once.
                Some(libc::EAGAIN) if waited_for != Some(next) => {
                    waited_for = Some(next);
                    self.poll(libc::POLLOUT, self.patience)?;
                }
                Some(libc::EBADF | libc::ENOTSOCK | libc::EFAULT) => return Err(error),
                // The error is the first datagram's: the others can still go.
                _ => next += 1,
            }
        }
        Ok(sent)
    }
}

#[inline]
fn incoming<'a>(
    octets: &'a Buffers,
    peers: &'a [sockaddr_storage],
    locals: &'a [SocketAddr],
    truncated: &[bool],
    index: usize,
) -> Incoming<'a> {
    let start = index * octets.stride;
    Incoming {
        octets: &octets.memory[start..start + octets.lengths[index]],
        truncated: truncated[index],
        peer: &peers[index],
        local: &locals[index],
    }
}

fn address_octets(address: SocketAddr) -> socklen_t {
    match address {
        SocketAddr::V4(_) => mem::size_of::<libc::sockaddr_in>() as socklen_t,
        SocketAddr::V6(_) => mem::size_of::<libc::sockaddr_in6>() as socklen_t,
    }
}

/// Buffers of one size in one piece of memory.
#[derive(Debug)]
struct Buffers {
    memory: Box<[u8]>,
    /// How much of each is filled.
    lengths: Box<[usize]>,
    size: usize,
    stride: usize,
}

impl Buffers {
    fn new(count: usize, size: usize) -> Self {
        let size = size.clamp(1, usize::from(u16::MAX));
        let stride = size.next_multiple_of(SKEW_OCTETS) + SKEW_OCTETS;
        Self { memory: vec![0; count * stride].into(), lengths: vec![0; count].into(), size, stride }
    }

    #[inline]
    fn reply(&mut self, index: usize) -> Reply<'_> {
        let start = index * self.stride;
        let buffer = &mut self.memory[start..start + self.size];
        Reply { buffer, length: &mut self.lengths[index] }
    }
}
