//! A bound on each phase of a connection.

use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

/// How long each phase of a connection may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection is made.
    pub connect: Duration,
    /// Until TLS is agreed.
    pub handshake: Duration,
    /// Until the peer says something.
    pub read: Duration,
    /// Until the peer has taken what we say.
    pub write: Duration,
}

impl Default for Timeouts {
    /// 10 s to connect, 10 s for the handshake, 5 min to read (RFC 5321 section
    /// 4.5.3.2), 1 min to write.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            handshake: Duration::from_secs(10),
            read: Duration::from_mins(5),
            write: Duration::from_mins(1),
        }
    }
}

/// A phase of a connection, named in the error when it took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Making the connection.
    Connect,
    /// Agreeing on TLS.
    Handshake,
    /// Waiting for the peer to say something.
    Read,
    /// Waiting for the peer to take what we say.
    Write,
}

impl Timeouts {
    /// The same patience for every phase.
    pub fn all(patience: Duration) -> Self {
        Self { connect: patience, handshake: patience, read: patience, write: patience }
    }

    /// How long one phase may take.
    pub fn of(&self, phase: Phase) -> Duration {
        match phase {
            Phase::Connect => self.connect,
            Phase::Handshake => self.handshake,
            Phase::Read => self.read,
            Phase::Write => self.write,
        }
    }

    /// Bounds one phase; [`io::ErrorKind::TimedOut`] when it took longer.
    pub async fn bound<T>(&self, phase: Phase, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        within(self.of(phase), phase, work).await
    }
}

/// Bounds the time of one phase; [`io::ErrorKind::TimedOut`] when it took longer.
pub async fn within<T>(
    patience: Duration,
    phase: Phase,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    tokio::time::timeout(patience, work).await.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("{phase} took longer than {patience:?}")))
    })
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Connect => "connecting",
            Phase::Handshake => "the TLS handshake",
            Phase::Read => "waiting for the peer to speak",
            Phase::Write => "waiting for the peer to read",
        })
    }
}
