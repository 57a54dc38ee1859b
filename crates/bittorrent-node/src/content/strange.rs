//! Files that lie where the torrent's ought to, and are something else: nobody wants
//! them overwritten without having been asked.

use super::Content;
use bittorrent::torrent::PieceSet;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use storage::StorageError;

/// A file in the place of one of the torrent's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Strange {
    /// Not one of its pieces is right.
    Other(PathBuf),
    /// It goes on behind its end.
    Longer(PathBuf, u64),
}

impl fmt::Display for Strange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(path) => {
                write!(formatter, "{} is there, and nothing of it is the torrent's", path.display())
            }
            Self::Longer(path, octets) => {
                write!(formatter, "{} is {octets} octets longer than the torrent says", path.display())
            }
        }
    }
}

impl Content {
    /// The first file that is none of the torrent's, given the pieces that are right
    /// and those that are wanted.
    /// Where an earlier run `noted` something its files are, however little is right.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn strange(
        &self,
        have: &PieceSet,
        noted: bool,
        wanted: &[Range<u32>],
    ) -> Result<Option<Strange>, StorageError> {
        let layout = self.info.layout();
        for (index, file) in layout.files().iter().enumerate() {
            let mut pieces = layout.file_pieces(index);
            if !touch(wanted, &pieces) {
                continue;
            }
            let Some(octets) = self.octets_of(index)? else { continue };
            if let Some(more) = octets.checked_sub(file.length).filter(|more| *more > 0) {
                return Ok(Some(Strange::Longer(self.files.path(index), more)));
            }
            // Without its hashes nothing can be said.
            let is_known = !layout.version().has_v2()
                || layout.version().has_v1()
                || self.layers().piece_hash(layout, pieces.start).is_some();
            if !noted && octets > 0 && is_known && !pieces.any(|piece| have.contains(piece)) {
                return Ok(Some(Strange::Other(self.files.path(index))));
            }
        }
        Ok(None)
    }

    /// Ends files in which pieces are wanted where they ought to end.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn cut(&self, wanted: &[Range<u32>]) -> Result<(), StorageError> {
        let layout = self.info.layout();
        for (index, file) in layout.files().iter().enumerate() {
            let longer = touch(wanted, &layout.file_pieces(index))
                && self.octets_of(index)?.is_some_and(|octets| octets > file.length);
            if longer {
                self.files.cut(index)?;
            }
        }
        Ok(())
    }

    /// Octets of a file on the disk; `None` for padding, links and what is not there.
    fn octets_of(&self, index: usize) -> Result<Option<u64>, StorageError> {
        match self.info.layout().files().get(index).map(|file| &file.kind) {
            Some(bittorrent::metainfo::FileKind::Regular) => {
                Ok(self.files.stamp(index)?.map(|stamp| stamp.octets))
            }
            _ => Ok(None),
        }
    }
}

/// Whether a file has one of these pieces.
fn touch(wanted: &[Range<u32>], pieces: &Range<u32>) -> bool {
    wanted.iter().any(|range| range.start < pieces.end && pieces.start < range.end)
}
