//! Octets of a file in their order, each piece as soon as it is here.

use crate::Handle;
use crate::content::Content;
use crate::swarm::Wish;
use bytes::Bytes;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Octets read from the disk at once.
const READ_OCTETS_MAX: u64 = 256 * 1024;
/// Octets that are fetched ahead of a reader, if the file and the request go on so
/// far.
const AHEAD_OCTETS: u64 = 16 * 1024 * 1024;

/// Reads some octets of a file. While it lives, what it needs next is fetched
/// before all else.
pub(super) struct Reader {
    handle: Handle,
    number: u64,
    content: Arc<Content>,
    /// What is left, counted as the pieces are.
    left: Range<u64>,
    /// The piece that is here.
    here: Option<u32>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        let end = Wish::End(self.number);
        if !self.handle.try_wish(end)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (handle, number) = (self.handle.clone(), self.number);
            runtime.spawn(async move { handle.wish(Wish::End(number)).await });
        }
    }
}

impl Reader {
    /// A reader of octets of a file; `None` where there are readers enough, or the
    /// torrent is gone.
    pub(super) async fn begin(
        handle: Handle,
        content: Arc<Content>,
        file: usize,
        range: Range<u64>,
    ) -> Option<Self> {
        let number = handle.ask_for(Wish::Begin).await.ok()??;
        let offset = content.info().layout().files().get(file).map_or(0, |file| file.offset);
        let left = offset + range.start..offset + range.end;
        Some(Self { handle, number, content, left, here: None })
    }

    /// The next octets; `None` at the end.
    ///
    /// # Errors
    /// When the torrent ends, or the disk fails.
    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let piece_octets = u64::from(self.content.info().layout().piece_length());
        let piece_of = |octet: u64| u32::try_from(octet / piece_octets).unwrap_or(u32::MAX);
        let piece = piece_of(self.left.start);
        if self.here != Some(piece) {
            let until = self.left.end.min(self.left.start.saturating_add(AHEAD_OCTETS));
            let pieces = piece..piece_of(until - 1) + 1;
            let wish = |here| Wish::Pieces { reader: self.number, pieces, here };
            self.handle.ask_for(wish).await.map_err(io::Error::other)?;
            self.here = Some(piece);
        }
        let begin = self.left.start % piece_octets;
        let octets = (piece_octets - begin).min(self.left.end - self.left.start).min(READ_OCTETS_MAX);
        let content = self.content.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut buffer = vec![0; octets as usize];
            content.read(piece, begin as u32, &mut buffer).map(|whole| whole.then_some(buffer))
        });
        let read = read.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
        let buffer = read.ok_or_else(|| io::Error::other("the file was changed by somebody else"))?;
        self.left.start += octets;
        Ok(Some(buffer.into()))
    }
}
