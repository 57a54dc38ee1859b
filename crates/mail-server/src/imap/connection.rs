//! One connection: octets in, framed into commands; responses out, with
//! back-pressure; and telling of both.

use bytes::Bytes;
use event::{Detail, MailEvent, Reporter};
use mail::imap::framer::{Framed, Framer, Limits};
use mail::imap::response::Response;
use net::Stream;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Octets gathered before they are written.
const OUT_OCTETS_MAX: usize = 64 * 1024;
/// Octets taken from the socket at once.
const READ_OCTETS_MAX: usize = 16 * 1024;
/// A TLS handshake takes no longer.
pub(super) const HANDSHAKE_SECONDS_MAX: u64 = 10;
/// Letters of a line that are told.
const TOLD_LETTERS_MAX: usize = 200;

/// What a client sent.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A command.
    Command(Vec<u8>),
    /// A command whose literal is too large; how it began.
    TooLarge(Vec<u8>),
    /// A large literal, while others take all the room there is; how it began.
    NoRoom(Vec<u8>),
}

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client is gone, or took too long to read.
    Gone,
    /// The client said nothing for too long.
    Silence,
    /// A line without end.
    TooLong,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        End::Gone
    }
}

/// Room for the large literals of all connections together.
#[derive(Debug, Clone)]
pub(super) struct Room(Arc<Semaphore>);

impl Room {
    /// Permits are of this many octets.
    const UNIT_OCTETS: usize = 4 * 1024;

    pub(super) fn new(octets_max: usize) -> Self {
        Self(Arc::new(Semaphore::new((octets_max / Self::UNIT_OCTETS).min(Semaphore::MAX_PERMITS))))
    }

    fn take(&self, octets: usize) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(octets.div_ceil(Self::UNIT_OCTETS)).ok()?;
        self.0.clone().try_acquire_many_owned(units).ok()
    }
}

/// A client's connection.
pub(super) struct Connection {
    /// `None` after a TLS handshake failed.
    stream: Option<Stream>,
    framer: Framer,
    out: Vec<u8>,
    arrived: Box<[u8]>,
    /// Room for large literals, shared by all connections.
    room: Room,
    /// What of it the current command takes.
    taken: Vec<OwnedSemaphorePermit>,
    write_patience: Duration,
    reporter: Reporter,
    peer: SocketAddr,
    local: SocketAddr,
}

impl Connection {
    pub(super) fn new(
        stream: Stream,
        limits: Limits,
        room: Room,
        write_patience: Duration,
        reporter: Reporter,
    ) -> Self {
        let (peer, local) = (stream.peer_addr(), stream.local_addr());
        Self {
            stream: Some(stream),
            framer: Framer::new(limits),
            out: Vec::new(),
            arrived: vec![0; READ_OCTETS_MAX].into(),
            room,
            taken: Vec::new(),
            write_patience,
            reporter,
            peer,
            local,
        }
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.framer.set_limits(limits);
    }

    /// Puts the connection under TLS. What the client sent before the handshake
    /// and without waiting for it is forgotten: it may be somebody else's.
    pub(super) async fn secure(&mut self, tls: Arc<rustls::ServerConfig>, limits: Limits) -> Result<(), End> {
        self.framer = Framer::new(limits);
        let stream = self.stream.take().ok_or(End::Gone)?;
        let handshake = stream.accept_tls(tls);
        let patience = Duration::from_secs(HANDSHAKE_SECONDS_MAX);
        let stream = tokio::time::timeout(patience, handshake).await.map_err(|_| End::Gone)??;
        self.stream = Some(stream);
        Ok(())
    }

    /// The next command, within `patience`. May be dropped while it waits.
    pub(super) async fn incoming(&mut self, patience: Duration) -> Result<Incoming, End> {
        self.taken.clear();
        tokio::time::timeout(patience, self.incoming_at_leisure()).await.unwrap_or(Err(End::Silence))
    }

    async fn incoming_at_leisure(&mut self) -> Result<Incoming, End> {
        loop {
            match self.framer.next() {
                Some(Framed::Command(command)) => return Ok(Incoming::Command(command)),
                Some(Framed::TooLarge { line }) => return Ok(Incoming::TooLarge(line)),
                Some(Framed::TooLong) => return Err(End::TooLong),
                Some(Framed::Large(octets)) => match self.room.take(octets) {
                    Some(permit) => self.taken.push(permit),
                    // Waiting for room while holding some could last for ever.
                    None => return Ok(Incoming::NoRoom(self.framer.refuse())),
                },
                Some(Framed::Continue) => {
                    self.out.extend_from_slice(b"+ send the literal\r\n");
                    self.flush().await?;
                }
                None => {
                    let stream = self.stream.as_mut().ok_or(End::Gone)?;
                    let count = stream.read(&mut self.arrived).await?;
                    if count == 0 {
                        return Err(End::Gone);
                    }
                    self.framer.push(&self.arrived[..count]);
                }
            }
        }
    }

    /// Writes a response; sends it when enough has gathered.
    pub(super) async fn write(&mut self, response: Response) -> Result<(), End> {
        let octets = response.into_vec();
        self.tell_response(&octets, usize::MAX);
        self.write_octets(&octets).await
    }

    /// Writes the pieces of one FETCH response.
    pub(super) async fn write_pieces(&mut self, pieces: Vec<Bytes>) -> Result<(), End> {
        if let Some(first) = pieces.first() {
            self.tell_response(first, 1);
        }
        for piece in pieces {
            self.write_octets(&piece).await?;
        }
        Ok(())
    }

    async fn write_octets(&mut self, octets: &[u8]) -> Result<(), End> {
        if self.out.len() + octets.len() > OUT_OCTETS_MAX {
            self.flush().await?;
        }
        if octets.len() > OUT_OCTETS_MAX {
            // Piece by piece, so that each has its time.
            for chunk in octets.chunks(OUT_OCTETS_MAX) {
                self.send(chunk).await?;
            }
        } else {
            self.out.extend_from_slice(octets);
        }
        Ok(())
    }

    /// Sends what has gathered.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        let out = std::mem::take(&mut self.out);
        if !out.is_empty() {
            self.send(&out).await?;
        }
        let stream = self.stream.as_mut().ok_or(End::Gone)?;
        tokio::time::timeout(self.write_patience, stream.flush()).await.map_err(|_| End::Gone)??;
        Ok(())
    }

    async fn send(&mut self, octets: &[u8]) -> Result<(), End> {
        let stream = self.stream.as_mut().ok_or(End::Gone)?;
        let sending = stream.write_all(octets);
        tokio::time::timeout(self.write_patience, sending).await.map_err(|_| End::Gone)??;
        Ok(())
    }

    /// Sends a last line and ends our direction.
    pub(super) async fn close(mut self, last: Option<&str>) {
        if let Some(text) = last {
            let mut response = Response::default();
            response.untagged("BYE", None, text);
            let _ = self.write(response).await;
        }
        let _ = self.flush().await;
        if let Some(stream) = &mut self.stream {
            let _ = tokio::time::timeout(self.write_patience, stream.shutdown()).await;
        }
    }

    /// Tells of a command; `line` must not hold a secret.
    pub(super) fn tell_command(&self, line: impl FnOnce() -> String) {
        self.reporter.tell_with(Detail::Message, || MailEvent::ImapCommand {
            from: self.peer,
            to: self.local,
            line: line(),
        });
    }

    fn tell_response(&self, octets: &[u8], lines_max: usize) {
        if !self.reporter.wants(Detail::Message) {
            return;
        }
        for line in octets.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()).take(lines_max) {
            self.reporter.tell(MailEvent::ImapResponse {
                from: self.local,
                to: self.peer,
                line: shortened(line),
            });
        }
    }

    /// Tells of a login.
    pub(super) fn tell_login(&self, success: bool) {
        self.reporter.tell(MailEvent::Login { peer: self.peer, service: "imap", success });
    }

    /// Tells of something refused.
    pub(super) fn tell_refused(&self, reason: &str) {
        self.reporter.tell(MailEvent::Refused { peer: self.peer, reason: reason.to_owned() });
    }
}

/// A line for the eye.
pub(super) fn shortened(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut letters = text.trim_end().chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let mut shown: String = letters.by_ref().take(TOLD_LETTERS_MAX).collect();
    if letters.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    //! What is told of a line.
    use super::*;

    #[test]
    fn a_long_line_is_told_shortened() {
        let whole = "ü".repeat(TOLD_LETTERS_MAX);
        assert_eq!(shortened(format!("{whole}\r\n").as_bytes()), whole);
        assert_eq!(shortened(format!("{whole}ü\r\n").as_bytes()), format!("{whole}…"));
        assert_eq!(shortened(b"a\x1bb\r\n"), "a b");
    }
}
