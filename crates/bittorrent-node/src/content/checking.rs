//! Finding out which pieces lie whole and right on the disk, a part at a time:
//! other torrents wait for the same threads.

use super::{Content, Strange};
use bittorrent::torrent::PieceSet;
use std::ops::Range;
use storage::StorageError;

/// Octets checked in one go, and a piece at least.
const PART_OCTETS: u64 = 32 * 1024 * 1024;

/// A check of all pieces on its way.
#[derive(Debug)]
pub(crate) struct Checking {
    have: PieceSet,
    /// Which files are there.
    there: Vec<bool>,
    next: u32,
    /// What earlier runs left.
    before: Before,
}

/// What is known of a torrent before its files are looked at.
#[derive(Debug, Clone)]
pub(super) struct Before {
    /// Octets that were sent in earlier runs.
    pub(super) sent_octets: u64,
    /// An earlier run was here: its files are the torrent's.
    pub(super) noted: bool,
    /// Whatever lies in the place of its files is overwritten.
    pub(super) overwrite: bool,
    /// The pieces that are wanted: in no other file anything is written.
    pub(super) wanted: Vec<Range<u32>>,
}

/// What a look at the files finds.
#[derive(Debug)]
pub(crate) struct Looked {
    /// The pieces that are here.
    pub(crate) have: PieceSet,
    /// Octets that were sent in earlier runs.
    pub(crate) sent_octets: u64,
    /// No earlier run noted anything.
    pub(crate) fresh: bool,
    /// A file that is something else, and is not to be written to.
    pub(crate) strange: Option<Strange>,
}

impl Checking {
    /// Begins with the first piece.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn begin(content: &Content, before: Before) -> Result<Self, StorageError> {
        let layout = content.info().layout();
        // Files that are not there have no piece: no need to look at each.
        let mut there = Vec::with_capacity(layout.files().len());
        for (index, file) in layout.files().iter().enumerate() {
            there.push(file.is_padding() || file.length == 0 || content.files().stamp(index)?.is_some());
        }
        Ok(Self { have: PieceSet::empty(layout.piece_count()), there, next: 0, before })
    }

    /// Looks at some more pieces. `tell` hears after each how many were looked at,
    /// and says whether to go on. Whether that was all.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn go_on(
        &mut self,
        content: &Content,
        mut tell: impl FnMut(u32) -> bool,
    ) -> Result<bool, StorageError> {
        let layout = content.info().layout();
        let mut checked = 0;
        while self.next < layout.piece_count() && checked < PART_OCTETS {
            let (piece, octets) = (self.next, layout.piece_octets(self.next));
            let is_there = |slice: bittorrent::metainfo::Slice| self.there.get(slice.file) == Some(&true);
            if content.slices(piece, 0, octets).all(is_there) {
                checked += u64::from(octets);
                if content.check(piece)? {
                    self.have.insert(piece);
                }
            }
            self.next += 1;
            if !tell(self.next) {
                return Ok(true);
            }
        }
        Ok(self.next >= layout.piece_count())
    }

    /// What was found.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn end(self, content: &Content) -> Result<Looked, StorageError> {
        let Before { sent_octets, noted, overwrite, wanted } = self.before;
        let strange = if overwrite {
            content.cut(&wanted)?;
            None
        } else {
            content.strange(&self.have, noted, &wanted)?
        };
        Ok(Looked { have: self.have, sent_octets, fresh: !noted, strange })
    }
}
