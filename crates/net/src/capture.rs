//! Captures what passes the sockets into a pcapng file, which Wireshark and
//! tshark read.
//!
//! A socket sees no packets, so they are made up as they would have stood on
//! the wire: datagrams in one packet each, connections with their handshake,
//! sequence numbers and end, all with right lengths and checksums. What passes
//! under TLS is captured as it passes, encrypted; [`Capture::with_tls_secrets`]
//! puts the keys beside it, so that Wireshark shows the plain text too.

use crate::packet::{self, ACK, FIN, PSH, SEGMENT_OCTETS_MAX, SYN, Segment};
use crate::pcapng::Writer;
use crate::{BoxedDuplex, Direction, Ends, Layer, Passing, Role};
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Size at which a capture ends, where nothing else is said: 1 GiB.
const CAPTURE_OCTETS_MAX: u64 = 1 << 30;

/// A capture that any number of hosts write to. Clones write to the same one.
#[derive(Clone)]
pub struct Capture {
    file: Arc<Mutex<File>>,
    tls_secrets: bool,
}

struct File {
    writer: Writer<Box<dyn Write + Send>>,
    octets_max: u64,
    /// Why nothing is written any more.
    failed: Option<io::Error>,
}

impl Capture {
    /// Begins a capture, which ends silently when it is 1 GiB long. Give it a
    /// buffered writer and [`flush`](Self::flush) it at the end.
    pub fn new(to: impl Write + Send + 'static) -> io::Result<Self> {
        Self::with_octets_max(to, CAPTURE_OCTETS_MAX)
    }

    /// Begins a capture of at most `octets_max`.
    pub fn with_octets_max(to: impl Write + Send + 'static, octets_max: u64) -> io::Result<Self> {
        let writer = Writer::new(Box::new(to) as Box<dyn Write + Send>)?;
        let file = File { writer, octets_max, failed: None };
        Ok(Self { file: Arc::new(Mutex::new(file)), tls_secrets: false })
    }

    /// Writes the secrets of TLS sessions into the capture as well: whoever has
    /// the file can read everything.
    pub fn with_tls_secrets(self) -> Self {
        Self { tls_secrets: true, ..self }
    }

    /// A point of capture, to be stacked into the [`Network`](crate::Network)
    /// of the host called `name`.
    pub fn interface(&self, name: &str) -> io::Result<CaptureInterface> {
        let number = self.lock().writer.interface(name)?;
        Ok(CaptureInterface { capture: self.clone(), number })
    }

    /// Writes out what is buffered; tells also why an earlier packet could not
    /// be written.
    pub fn flush(&self) -> io::Result<()> {
        let mut file = self.lock();
        match file.failed.take() {
            Some(error) => Err(error),
            None => file.writer.flush(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, octets: usize, write: impl FnOnce(&mut Writer<Box<dyn Write + Send>>) -> io::Result<()>) {
        let mut file = self.lock();
        // A capture must not disturb what it captures: an error is kept for `flush`.
        if file.failed.is_some() || file.writer.octets() + octets as u64 > file.octets_max {
            return;
        }
        file.failed = write(&mut file.writer).err();
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("tls_secrets", &self.tls_secrets).finish_non_exhaustive()
    }
}

/// The layer that writes to a [`Capture`].
#[derive(Debug, Clone)]
pub struct CaptureInterface {
    capture: Capture,
    number: u32,
}

/// Room a packet needs in the file beside itself.
const BLOCK_OCTETS: usize = 36;

impl CaptureInterface {
    fn packet(&self, at: SystemTime, packet: &[u8]) {
        let octets = packet.len() + BLOCK_OCTETS;
        self.capture.write(octets, |writer| writer.packet(self.number, at, packet));
    }
}

impl Layer for CaptureInterface {
    fn datagram(&self, passing: &Passing<'_>) -> Option<Instant> {
        let ahead = passing.at.saturating_duration_since(Instant::now());
        self.packet(SystemTime::now() + ahead, &packet::udp(passing.from, passing.to, passing.octets));
        Some(passing.at)
    }

    fn stream(&self, ends: Ends, below: BoxedDuplex) -> BoxedDuplex {
        Box::new(CapturedStream::new(self.clone(), ends, below))
    }

    fn key_log(&self) -> Option<Arc<dyn rustls::KeyLog>> {
        self.capture.tls_secrets.then(|| Arc::new(Secrets(self.capture.clone())) as Arc<dyn rustls::KeyLog>)
    }
}

/// Writes TLS secrets beside the packets.
#[derive(Debug)]
struct Secrets(Capture);

impl rustls::KeyLog for Secrets {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        self.0.write(line.len() + BLOCK_OCTETS, |writer| writer.tls_secrets(&line));
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A connection whose bytes are written down as they pass.
#[derive(Debug)]
struct CapturedStream {
    interface: CaptureInterface,
    below: BoxedDuplex,
    ours: Side,
    theirs: Side,
}

/// What one end has said so far.
#[derive(Debug)]
struct Side {
    address: SocketAddr,
    sequence: u32,
    finished: bool,
}

impl Side {
    fn new(address: SocketAddr) -> Self {
        Self { address, sequence: 0, finished: false }
    }
}

impl CapturedStream {
    fn new(interface: CaptureInterface, ends: Ends, below: BoxedDuplex) -> Self {
        let (ours, theirs) = (Side::new(ends.local), Side::new(ends.peer));
        let mut stream = Self { interface, below, ours, theirs };
        let (opening, answering) = match ends.role {
            Role::Client => (Direction::Outgoing, Direction::Incoming),
            Role::Server => (Direction::Incoming, Direction::Outgoing),
        };
        stream.say(opening, SYN, &[]);
        stream.say(answering, SYN | ACK, &[]);
        stream.say(opening, ACK, &[]);
        stream
    }

    /// One end says something.
    fn say(&mut self, direction: Direction, flags: u8, payload: &[u8]) {
        let (from, to) = match direction {
            Direction::Outgoing => (&mut self.ours, &self.theirs),
            Direction::Incoming => (&mut self.theirs, &self.ours),
        };
        if from.finished {
            return;
        }
        let acknowledgement = if flags & ACK == 0 { 0 } else { to.sequence };
        let segment = Segment { sequence: from.sequence, acknowledgement, flags };
        let packet = packet::tcp(from.address, to.address, segment, payload);
        // SYN and FIN take one sequence number each (RFC 9293 section 3.4).
        let taken = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        from.sequence = from.sequence.wrapping_add(taken);
        from.finished = flags & FIN != 0;
        self.interface.packet(SystemTime::now(), &packet);
    }

    fn pass(&mut self, direction: Direction, octets: &[u8]) {
        for payload in octets.chunks(SEGMENT_OCTETS_MAX) {
            self.say(direction, PSH | ACK, payload);
        }
    }
}

impl Drop for CapturedStream {
    fn drop(&mut self) {
        self.say(Direction::Outgoing, FIN | ACK, &[]);
    }
}

impl AsyncRead for CapturedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buf.filled().len(), buf.remaining());
        let polled = Pin::new(&mut self.below).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = polled {
            match buf.filled().get(before..) {
                Some([]) if room > 0 => self.say(Direction::Incoming, FIN | ACK, &[]),
                Some(octets) => self.pass(Direction::Incoming, octets),
                None => {}
            }
        }
        polled
    }
}

impl AsyncWrite for CapturedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.below).poll_write(cx, buf);
        if let Poll::Ready(Ok(octets)) = polled {
            self.pass(Direction::Outgoing, buf.get(..octets).unwrap_or_default());
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.below).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.below).poll_shutdown(cx);
        if let Poll::Ready(Ok(())) = polled {
            self.say(Direction::Outgoing, FIN | ACK, &[]);
        }
        polled
    }
}
