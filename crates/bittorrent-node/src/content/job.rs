//! What a torrent has done on the disk, and what comes of it.

use super::checking::{Checking, Looked};
use super::{Held, moved_file, names_file, resume_file};
use bittorrent::metainfo::merkle::Below;
use bittorrent::metainfo::{InfoHashV1, Verdict};
use bittorrent::torrent::{BlockDigest, PeerKey};
use bittorrent::wire::HashRange;
use std::ops::Range;
use std::path::{Path, PathBuf};
use storage::{Stamp, StorageError};

/// Something to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// Check a piece whose blocks are all here, and write it if it is good.
    Piece { piece: u32, blocks: Vec<Held>, digests: bool },
    /// Write blocks of a piece that is not whole yet, for want of memory.
    Spill { piece: u32, blocks: Vec<(u32, Vec<u8>)> },
    /// Read pieces that are here and make the leaves of their trees, for a peer that
    /// asked. `first` is which of the file's pieces they begin with.
    Leaves { of: PeerKey, range: HashRange, pieces: Range<u32>, first: u64 },
    /// Look which pieces are here: believe what a clean stop left, or check all.
    /// All are where the files look as they were `sealed`.
    /// A file in which pieces are `wanted`, and that is something else, is told of, or
    /// to be overwritten.
    Look {
        notes: Notes,
        recheck: bool,
        overwrite: bool,
        wanted: Vec<Range<u32>>,
        sealed: Option<Vec<Option<Stamp>>>,
    },
    /// Look on.
    Check(Checking),
    /// Keep a metainfo that came from peers, for the next start.
    Keep { file: PathBuf, octets: Vec<u8> },
    /// Move the files to another folder.
    Move { to: PathBuf, note: PathBuf },
    /// Give a file or folder another name.
    Rename { path: PathBuf, name: String, note: PathBuf },
    /// Seek the files in another folder from now on.
    Find { folder: PathBuf, note: PathBuf },
    /// Forget what was noted, and delete the torrent's files if that is wanted.
    Forget { notes: Notes, files: bool },
    /// Make durable what was written, then note which pieces are here.
    Checkpoint { resume_file: PathBuf, have: Vec<u8>, clean: bool, sent_octets: u64 },
}

/// Where things about a torrent are noted in the data folder.
#[derive(Debug, Clone)]
pub(crate) struct Notes {
    pub(crate) resume: PathBuf,
    pub(crate) moved: PathBuf,
    pub(crate) names: PathBuf,
    pub(crate) metainfo: PathBuf,
}

impl Notes {
    pub(crate) fn of(data: &Path, hash: &InfoHashV1) -> Self {
        Self {
            resume: resume_file(data, hash),
            moved: moved_file(data, hash),
            names: names_file(data, hash),
            metainfo: metainfo_file(data, hash),
        }
    }
}

/// Where the metainfo of a torrent that came from peers is kept.
pub(crate) fn metainfo_file(data: &Path, hash: &InfoHashV1) -> PathBuf {
    data.join("torrents").join(format!("{hash}.torrent"))
}

/// What came of a job.
#[derive(Debug)]
pub(crate) enum Done {
    /// A piece was checked, and written if it was right.
    Piece(Checked),
    /// Blocks were written; their buffers can be used again.
    Spilled { piece: u32, buffers: Vec<Vec<u8>>, result: Result<(), StorageError> },
    /// What a peer asked for; `None` where the pieces are no longer what they were.
    Leaves { of: PeerKey, range: HashRange, below: Option<Below> },
    /// So many pieces were looked at.
    Looking { pieces: u32 },
    /// The pieces that are here, and what is not the torrent's.
    Looked { result: Result<Looked, StorageError> },
    /// What was to be noted was, or could not be.
    Noted { result: Result<(), StorageError> },
    /// The files were moved; after an error they are where they were.
    Moved { result: Result<(), StorageError> },
    /// A file or folder has another name, or could not have it.
    Renamed { result: Result<(), StorageError> },
    /// What was noted is gone, and the files where that was wanted.
    Forgotten { result: Result<(), StorageError> },
    /// A checkpoint was made.
    Checkpointed { clean: bool, result: Result<(), StorageError> },
}

/// What came of a piece.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) piece: u32,
    pub(crate) result: Result<(Verdict, Vec<BlockDigest>), StorageError>,
    /// To be used again.
    pub(crate) buffers: Vec<Vec<u8>>,
}
