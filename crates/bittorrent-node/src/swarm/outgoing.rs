//! Something that is being written to a connection: messages, or a block with its
//! header, straight from its files where that can be.

use crate::transport::Transport;
use bittorrent::torrent::Octets;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Something that is being written.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// Messages, or the header of a block with, where it is not sent from files,
    /// the block.
    octets: Vec<u8>,
    written: usize,
    /// The rest of the block, in files.
    parts: Vec<Part>,
    /// The part that is being sent.
    part: usize,
    served: Option<Octets>,
}

/// A run of octets in a file.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) file: Arc<File>,
    pub(crate) offset: u64,
    pub(crate) octets: usize,
}

impl Outgoing {
    /// Messages.
    pub(crate) fn octets(octets: Vec<u8>) -> Self {
        Self { octets, written: 0, parts: Vec::new(), part: 0, served: None }
    }

    /// A block: its header, and its octets behind it or in files.
    pub(crate) fn block(octets: Vec<u8>, parts: Vec<Part>, served: Octets) -> Self {
        Self { octets, written: 0, parts, part: 0, served: Some(served) }
    }

    /// The block, if it is one.
    pub(crate) fn served(&self) -> Option<Octets> {
        self.served
    }

    /// Writes on; ready when all is written. An unexpected end is a file's.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, transport: &mut Transport) -> Poll<io::Result<()>> {
        while let Some(rest) = self.octets.get_mut(self.written..).filter(|rest| !rest.is_empty()) {
            let written = ready!(transport.poll_write(cx, rest, !self.parts.is_empty()))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        while let Some(part) = self.parts.get_mut(self.part) {
            let Some(octets) = NonZeroUsize::new(part.octets) else {
                self.part += 1;
                continue;
            };
            let sent = ready!(transport.poll_send_file(cx, &part.file, part.offset, octets))?;
            if sent == 0 {
                // The header is out already: there is no way to take it back.
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "a file became shorter",
                )));
            }
            part.offset += sent as u64;
            part.octets -= sent.min(part.octets);
        }
        Poll::Ready(Ok(()))
    }
}
