//! The octets of one torrent on the disk: pieces in and out, checked by their
//! hashes. Calls block; the [`Worker`] makes them on the threads of a [`Pool`].

mod checking;
mod job;
mod moved;
mod order;
mod pool;
mod renamed;
mod resume;
mod strange;
mod worker;

pub(crate) use checking::Looked;
pub(crate) use job::{Checked, Done, Job, Notes, metainfo_file};
pub(crate) use moved::{Moved, moved_file};
pub(crate) use pool::{Pool, Turn};
pub(crate) use renamed::{Renames, names_file};
pub(crate) use resume::{Resume, resume_file};
pub(crate) use strange::Strange;
pub(crate) use worker::Worker;

use bittorrent::metainfo::merkle::{Below, Hash, TreeShape};
use bittorrent::metainfo::{
    FileKind, Info, Metainfo, PieceHasher, PieceHashes, PieceLayers, Slice, Verdict, Verifier,
};
use bittorrent::torrent::BlockDigest;
use sha1::{Digest, Sha1};
use std::fs::File;
use std::io::IoSlice;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use storage::{Allocation, FileSet, Member, Stamp, StorageError};

/// Octets read at once while pieces are checked on the disk.
const CHECK_OCTETS: usize = 256 * 1024;

/// The files of one torrent and the hashes of its pieces.
#[derive(Debug)]
pub(crate) struct Content {
    info: Arc<Info>,
    layers: Mutex<PieceLayers>,
    files: FileSet,
    /// What earlier runs moved and renamed was followed.
    found: AtomicBool,
}

/// A block that was received: its octets, or that they are in the file already.
#[derive(Debug)]
pub(crate) enum Held {
    /// In memory.
    Memory(Vec<u8>),
    /// Written before the piece was whole, for want of memory.
    Disk,
}

impl Content {
    /// The content of a torrent below `folder`; nothing is touched yet. Where it is
    /// `sealed`, files are only read, and no link is followed to them.
    ///
    /// # Errors
    /// When a path of it is not safe.
    pub(crate) fn new(
        metainfo: &Metainfo,
        folder: &Path,
        allocation: Allocation,
        sealed: bool,
    ) -> Result<Self, StorageError> {
        let layout = metainfo.info.layout();
        let member = |file: &bittorrent::metainfo::File| Member {
            path: layout
                .folder()
                .into_iter()
                .map(PathBuf::from)
                .chain(file.path.iter().map(PathBuf::from))
                .collect(),
            octets: file.length,
            executable: file.executable,
        };
        let files = FileSet::new(folder, layout.files().iter().map(member).collect(), allocation)?;
        let files = if sealed { files.sealed() } else { files };
        let layers = Mutex::new(metainfo.piece_layers.clone());
        Ok(Self { info: Arc::new(metainfo.info.clone()), layers, files, found: AtomicBool::new(false) })
    }

    fn is_found(&self) -> bool {
        self.found.load(Ordering::Relaxed)
    }

    fn set_found(&self) {
        self.found.store(true, Ordering::Relaxed);
    }

    pub(crate) fn info(&self) -> &Arc<Info> {
        &self.info
    }

    /// The piece layers, which peers may have to complete.
    pub(crate) fn layers(&self) -> std::sync::MutexGuard<'_, PieceLayers> {
        self.layers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn files(&self) -> &FileSet {
        &self.files
    }

    /// The parts of files that are some octets of a piece.
    pub(crate) fn slices(&self, piece: u32, begin: u32, octets: u32) -> impl Iterator<Item = Slice> + '_ {
        self.info.layout().slices(piece, begin, octets).into_iter().flatten()
    }

    fn is_padding(&self, file: usize) -> bool {
        self.info.layout().files().get(file).is_some_and(bittorrent::metainfo::File::is_padding)
    }

    /// The open file to send a slice from; `None` where it cannot be had whole:
    /// padding, or a file that is not there.
    pub(crate) fn handle(&self, slice: &Slice) -> Result<Option<Arc<File>>, StorageError> {
        if self.is_padding(slice.file) { Ok(None) } else { self.files.handle_to_read(slice.file) }
    }

    /// Has the system read octets of a piece that will be sent soon, without waiting.
    pub(crate) fn read_ahead(&self, piece: u32, begin: u32, octets: u32) {
        for slice in self.slices(piece, begin, octets).filter(|slice| !self.is_padding(slice.file)) {
            self.files.read_ahead(slice.file, slice.offset, slice.length.into());
        }
    }

    /// Reads octets of a piece; `false` when they are not all there.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn read(&self, piece: u32, begin: u32, buffer: &mut [u8]) -> Result<bool, StorageError> {
        let mut rest = buffer;
        for slice in self.slices(piece, begin, rest.len() as u32) {
            let Some((place, behind)) = rest.split_at_mut_checked(slice.length as usize) else {
                return Ok(false);
            };
            rest = behind;
            if self.is_padding(slice.file) {
                place.fill(0);
            } else if self.files.read(slice.file, slice.offset, place)? < place.len() {
                return Ok(false);
            }
        }
        Ok(rest.is_empty())
    }

    /// Writes octets of a piece, which lie in several places one behind the other;
    /// padding is not written.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub(crate) fn write(&self, piece: u32, begin: u32, places: &[&[u8]]) -> Result<(), StorageError> {
        let octets: usize = places.iter().map(|place| place.len()).sum();
        let mut rest = places.iter().copied();
        let mut place: &[u8] = &[];
        for slice in self.slices(piece, begin, octets as u32) {
            let mut left = slice.length as usize;
            let mut of_file = Vec::with_capacity(places.len());
            while left > 0 {
                if place.is_empty() {
                    let Some(next) = rest.next() else { break };
                    place = next;
                }
                let (here, behind) = place.split_at(left.min(place.len()));
                of_file.push(IoSlice::new(here));
                (place, left) = (behind, left - here.len());
            }
            if !self.is_padding(slice.file) {
                self.files.write_vectored(slice.file, slice.offset, &mut of_file)?;
            }
        }
        Ok(())
    }

    /// Writes the blocks of a piece that are in memory, each run of them at once.
    fn write_held(&self, piece: u32, blocks: &[Held]) -> Result<(), StorageError> {
        let in_memory = |block: &Held| matches!(block, Held::Memory(_));
        let mut index = 0;
        for run in blocks.chunk_by(|one, next| in_memory(one) == in_memory(next)) {
            let places: Vec<&[u8]> = run
                .iter()
                .filter_map(|block| if let Held::Memory(octets) = block { Some(&**octets) } else { None })
                .collect();
            if !places.is_empty() {
                self.write(piece, index as u32 * bittorrent::wire::BLOCK_OCTETS, &places)?;
            }
            index += run.len();
        }
        Ok(())
    }

    /// Checks a piece whose blocks are all here and writes it if it is good. Those
    /// behind its content are not among them: they are zeros.
    ///
    /// # Errors
    /// When the disk is full or fails; the piece counts as not received then.
    pub(crate) fn check_and_write(
        &self,
        piece: u32,
        blocks: &[Held],
        digests: bool,
    ) -> Result<(Verdict, Vec<BlockDigest>), StorageError> {
        let mut hasher = PieceHasher::new(&self.info, piece);
        let mut read = Vec::new();
        let mut digested = Vec::new();
        let mut each = |this: &mut dyn FnMut(&[u8])| -> Result<(), StorageError> {
            for (index, block) in blocks.iter().enumerate() {
                match block {
                    Held::Memory(octets) => this(octets),
                    Held::Disk => {
                        let layout = self.info.layout();
                        read.resize(layout.block_octets(piece, index as u32) as usize, 0);
                        if !self.read(piece, index as u32 * bittorrent::wire::BLOCK_OCTETS, &mut read)? {
                            // Nobody sent wrong octets: they were lost here.
                            return Err(StorageError::Missing(format!("a block of piece {piece}")));
                        }
                        this(&read);
                    }
                }
            }
            Ok(())
        };
        let mut padding = self.info.layout().piece_octets(piece) as usize;
        each(&mut |octets| {
            hasher.update(octets);
            padding = padding.saturating_sub(octets.len());
        })?;
        hasher.pad(padding);
        let hashes = hasher.finish();
        let verdict = Verifier::new(&self.info, &self.layers()).verify_hashes(piece, &hashes);
        if digests || verdict != Verdict::Right {
            match &hashes.v2_blocks {
                Some(leaves) => digested.extend(leaves.iter().map(block_digest)),
                None => each(&mut |octets| digested.push(Sha1::digest(octets).into()))?,
            }
        }
        if verdict == Verdict::Right {
            self.write_held(piece, blocks)?;
        }
        Ok((verdict, digested))
    }

    /// The leaves of pieces that are here, all of one file, of which they are the
    /// pieces from `first` on. `None` where one is not what it ought to be.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn below(&self, pieces: Range<u32>, first: u64) -> Result<Option<Below>, StorageError> {
        let layout = self.info.layout();
        let mut leaves = Vec::new();
        let mut shape = None;
        for piece in pieces {
            let Some(hashes) = self.hashes(piece)? else { return Ok(None) };
            if Verifier::new(&self.info, &self.layers()).verify_hashes(piece, &hashes) != Verdict::Right {
                return Ok(None);
            }
            let file = layout.merkle_file(piece);
            shape = file.map(|(file, _)| TreeShape::new(file.length, layout.piece_length()));
            leaves.extend(hashes.v2_blocks.unwrap_or_default());
        }
        Ok(shape.map(|shape| Below::new(shape, first, leaves)))
    }

    /// Whether a piece on the disk is right.
    ///
    /// # Errors
    /// When the disk fails; that it is not there is no error.
    pub(crate) fn check(&self, piece: u32) -> Result<bool, StorageError> {
        let Some(hashes) = self.hashes(piece)? else { return Ok(false) };
        Ok(Verifier::new(&self.info, &self.layers()).verify_hashes(piece, &hashes) == Verdict::Right)
    }

    /// The hashes of a piece on the disk; `None` where it is not there.
    fn hashes(&self, piece: u32) -> Result<Option<PieceHashes>, StorageError> {
        let layout = self.info.layout();
        let octets = layout.piece_octets(piece) as usize;
        let mut hasher = PieceHasher::new(&self.info, piece);
        let mut buffer = vec![0; octets.min(CHECK_OCTETS)];
        let mut begin = 0;
        while begin < octets {
            let here = buffer.len().min(octets - begin);
            let Some(place) = buffer.get_mut(..here) else { break };
            if !self.read(piece, begin as u32, place)? {
                return Ok(None);
            }
            hasher.update(place);
            begin += here;
        }
        Ok(Some(hasher.finish()))
    }

    /// What tells whether any file changes; `None` for those that are not there.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn stamps(&self) -> Result<Vec<Option<Stamp>>, StorageError> {
        (0..self.info.layout().files().len())
            .map(|file| if self.is_padding(file) { Ok(None) } else { self.files.stamp(file) })
            .collect()
    }

    /// Makes the empty files of the torrent, and its symlinks (BEP 47): those that
    /// stay within it.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub(crate) fn make_empty_files(&self) -> Result<(), StorageError> {
        let layout = self.info.layout();
        for (index, file) in layout.files().iter().enumerate() {
            match &file.kind {
                FileKind::Regular if file.length == 0 => self.files.write(index, 0, &[])?,
                FileKind::Symlink(target) => {
                    let target = layout.folder().into_iter().chain(target.iter().map(String::as_str));
                    self.files.link(index, &target.collect::<PathBuf>())?;
                }
                FileKind::Regular | FileKind::Padding | FileKind::DeadSymlink => {}
            }
        }
        Ok(())
    }
}

/// What a block's sender is judged by, from the block's leaf in the tree of its file.
pub(crate) fn block_digest(leaf: &Hash) -> BlockDigest {
    std::array::from_fn(|at| leaf.get(at).copied().unwrap_or_default())
}
