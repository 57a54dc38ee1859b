//! What carries the octets between two peers: TCP, encrypted or not.

use bittorrent::encryption::Cipher;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Octets encrypted at once; what is encrypted must be written in this order.
const ENCRYPTED_OCTETS_MAX: usize = 64 * 1024;

/// The ciphers of an encrypted connection.
#[derive(Debug)]
struct Ciphers {
    incoming: Cipher,
    outgoing: Cipher,
    /// Encrypted and not yet written.
    waiting: Vec<u8>,
    written: usize,
}

/// A connection to a peer.
#[derive(Debug)]
pub(crate) struct Transport {
    stream: net::Stream,
    ciphers: Option<Box<Ciphers>>,
}

impl Transport {
    /// In the clear.
    pub(crate) fn plain(stream: net::Stream) -> Self {
        Self { stream, ciphers: None }
    }

    /// Under message stream encryption.
    pub(crate) fn encrypted(stream: net::Stream, incoming: Cipher, outgoing: Cipher) -> Self {
        let ciphers = Ciphers { incoming, outgoing, waiting: Vec::new(), written: 0 };
        Self { stream, ciphers: Some(Box::new(ciphers)) }
    }

    /// Whether files can be sent without copying them.
    pub(crate) fn can_send_file(&self) -> bool {
        self.ciphers.is_none() && self.stream.can_send_file()
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, place: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(place);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
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
        let octets = ready!(self.stream.poll_read_vectored(cx, places))?;
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
            return if more {
                self.stream.poll_write_more(cx, octets)
            } else {
                Pin::new(&mut self.stream).poll_write(cx, octets)
            };
        };
        if !ciphers.waiting.is_empty() {
            ready!(ciphers.poll_drain(&mut self.stream, cx))?;
        }
        let taken = octets.len().min(ENCRYPTED_OCTETS_MAX);
        let chosen = octets.get_mut(..taken).unwrap_or_default();
        ciphers.outgoing.apply(chosen);
        // From here on they are ours: what the socket does not take waits.
        let written = match Pin::new(&mut self.stream).poll_write(cx, chosen) {
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
        self.stream.poll_send_file(cx, file, offset, octets)
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(ciphers) = &mut self.ciphers {
            ready!(ciphers.poll_drain(&mut self.stream, cx))?;
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }
}

impl Ciphers {
    fn poll_drain(&mut self, stream: &mut net::Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.waiting.get(self.written..).filter(|rest| !rest.is_empty()) {
            self.written += ready!(Pin::new(&mut *stream).poll_write(cx, rest))?;
        }
        self.waiting.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}
