//! The files of a torrent: many files under one folder that together are one run
//! of octets. Calls block, and belong to a thread that may wait for a disk.
//!
//! A file is made when it is first written to. Only so many are open at once.

mod moving;

use crate::StorageError;
use crate::files::sync_folder;
use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

/// Files of one set that are open at the same time.
pub const OPEN_FILES_MAX: usize = 128;
/// Places written from by one system call: as many as Linux takes (`IOV_MAX`).
const PLACES_MAX: usize = 1_024;

/// One file of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its path below the set's folder: plain names only.
    pub path: PathBuf,
    /// Its octets when it is whole.
    pub octets: u64,
    /// Whether it may be executed.
    pub executable: bool,
}

/// How the room of a file is had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Allocation {
    /// Octets take room when they are written.
    #[default]
    Sparse,
    /// All room is taken before the first octet is written, so that a full disk
    /// shows at once.
    Full,
}

/// What tells whether a file has changed since it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Its octets.
    pub octets: u64,
    /// When it was last written to, in nanoseconds since 1970.
    pub modified_ns: u64,
}

impl From<&fs::Metadata> for Stamp {
    fn from(metadata: &fs::Metadata) -> Self {
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let modified_ns = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        Self { octets: metadata.len(), modified_ns: modified_ns as u64 }
    }
}

/// The files of one torrent.
#[derive(Debug)]
pub struct FileSet {
    folder: RwLock<PathBuf>,
    members: RwLock<Arc<[Member]>>,
    allocation: Allocation,
    sealed: bool,
    open: Mutex<Open>,
}

/// The files that are open, the one used last at the end.
#[derive(Debug, Default)]
struct Open {
    handles: VecDeque<(usize, bool, Arc<File>)>,
    /// Files written to and folders they were made in, since the last sync.
    written: BTreeSet<usize>,
    made_in: BTreeSet<PathBuf>,
    /// Files that were seen to be there. One that is not any more was taken away: to
    /// make it anew would lose what was in it.
    known: BTreeSet<usize>,
}

impl FileSet {
    /// The files below `folder`; none is touched yet.
    ///
    /// # Errors
    /// [`StorageError::Failed`] for a path that would leave the folder.
    pub fn new(folder: &Path, members: Vec<Member>, allocation: Allocation) -> Result<Self, StorageError> {
        for member in &members {
            let plain = member.path.components().all(|part| matches!(part, Component::Normal(_)));
            if !plain || member.path.as_os_str().is_empty() {
                return Err(StorageError::failed(
                    member.path.display(),
                    "this is no path of plain names below the torrent's folder",
                ));
            }
        }
        Ok(Self {
            folder: RwLock::new(folder.to_owned()),
            members: RwLock::new(members.into()),
            allocation,
            sealed: false,
            open: Mutex::default(),
        })
    }

    /// The same, never to be written to, and read without following a link below
    /// the folder: whoever may write there cannot have us give away what lies
    /// elsewhere.
    #[must_use]
    pub fn sealed(self) -> Self {
        Self { sealed: true, ..self }
    }

    /// The folder all are in.
    pub fn folder(&self) -> PathBuf {
        self.folder.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn place_at(&self, folder: &Path) {
        folder.clone_into(&mut self.folder.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// The files.
    pub fn members(&self) -> Arc<[Member]> {
        self.members.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where a file lies.
    pub fn path(&self, file: usize) -> PathBuf {
        let folder = self.folder();
        match self.members().get(file) {
            Some(member) => folder.join(&member.path),
            None => folder,
        }
    }

    /// Fills `buffer` from `offset` of a file. Returns how much of it could be
    /// filled: less than all where the file ends, or is not there.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn read(&self, file: usize, offset: u64, buffer: &mut [u8]) -> Result<usize, StorageError> {
        let Some(handle) = self.handle(file, false)? else { return Ok(0) };
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match handle.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(file, error)),
            }
        }
        Ok(filled)
    }

    /// Writes `octets` at `offset` of a file, which is made where it is not.
    ///
    /// # Errors
    /// When the disk is full or fails; part of the octets may be written then.
    pub fn write(&self, file: usize, offset: u64, octets: &[u8]) -> Result<(), StorageError> {
        let Some(handle) = self.handle(file, true)? else {
            return Err(self.failed(file, ErrorKind::NotFound.into()));
        };
        handle.write_all_at(octets, offset).map_err(|error| self.failed(file, error))?;
        self.lock().written.insert(file);
        Ok(())
    }

    /// Writes octets that lie in several places, one behind the other from `offset`
    /// of a file on. `places` are used up.
    ///
    /// # Errors
    /// When the disk is full or fails; part of the octets may be written then.
    pub fn write_vectored(
        &self,
        file: usize,
        offset: u64,
        places: &mut [IoSlice<'_>],
    ) -> Result<(), StorageError> {
        let Some(handle) = self.handle(file, true)? else {
            return Err(self.failed(file, ErrorKind::NotFound.into()));
        };
        let (mut rest, mut offset) = (places, offset);
        while rest.iter().any(|place| !place.is_empty()) {
            let at_once = rest.get(..PLACES_MAX).unwrap_or(rest);
            match rustix::io::pwritev(&*handle, at_once, offset) {
                Ok(0) => return Err(self.failed(file, ErrorKind::WriteZero.into())),
                Ok(written) => {
                    IoSlice::advance_slices(&mut rest, written);
                    offset += written as u64;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(self.failed(file, error.into())),
            }
        }
        self.lock().written.insert(file);
        Ok(())
    }

    /// An open file to send from; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn handle_to_read(&self, file: usize) -> Result<Option<Arc<File>>, StorageError> {
        self.handle(file, false)
    }

    /// Asks the system to have octets in memory soon, without waiting for them.
    pub fn read_ahead(&self, file: usize, offset: u64, octets: u64) {
        if let Ok(Some(handle)) = self.handle(file, false) {
            // Advice only: whether it is taken changes nothing but time.
            let _ = rustix::fs::fadvise(
                &handle,
                offset,
                std::num::NonZeroU64::new(octets),
                rustix::fs::Advice::WillNeed,
            );
        }
    }

    /// Makes the empty files, which no octet is ever written to.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub fn make_empty(&self) -> Result<(), StorageError> {
        for (file, member) in self.members().iter().enumerate() {
            if member.octets == 0 {
                self.handle(file, true)?;
            }
        }
        Ok(())
    }

    fn set_members(&self, members: Vec<Member>) {
        *self.members.write().unwrap_or_else(PoisonError::into_inner) = members.into();
    }

    /// Makes the symlink that a file of the set is: to a path below the set's
    /// folder, told from where the symlink lies. One that is there stays.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub fn link(&self, file: usize, target: &Path) -> Result<(), StorageError> {
        let members = self.members();
        let Some(member) = members.get(file) else { return Ok(()) };
        let up = member.path.components().skip(1).map(|_| Path::new(".."));
        let target: PathBuf = up.chain([target]).collect();
        let path = self.path(file);
        let link = || {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            std::os::unix::fs::symlink(target, &path)
        };
        match link() {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(self.failed(file, error)),
            _ => Ok(()),
        }
    }

    /// Cuts a file that is there off at the length it ought to have.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn cut(&self, file: usize) -> Result<(), StorageError> {
        let octets = self.members().get(file).map_or(0, |member| member.octets);
        if let Some(handle) = self.handle(file, true)? {
            handle.set_len(octets).map_err(|error| self.failed(file, error))?;
            self.lock().written.insert(file);
        }
        Ok(())
    }

    /// Makes all that was written survive a power cut.
    ///
    /// # Errors
    /// When the disk fails, or a file was taken away while it was written to; what was
    /// written counts as not written then.
    pub fn sync(&self) -> Result<(), StorageError> {
        let (written, made_in) = {
            let mut open = self.lock();
            (std::mem::take(&mut open.written), std::mem::take(&mut open.made_in))
        };
        let sync = || {
            for file in &written {
                if let Some(handle) = self.handle(*file, true)? {
                    handle.sync_data().map_err(|error| self.failed(*file, error))?;
                    self.check_place(*file, &handle)?;
                }
            }
            made_in.iter().try_for_each(|folder| sync_folder(folder))
        };
        sync().inspect_err(|_| {
            let mut open = self.lock();
            open.written.extend(&written);
            open.made_in.extend(made_in.iter().cloned());
        })
    }

    /// Whether an open file is still the one that lies in its place.
    fn check_place(&self, file: usize, handle: &File) -> Result<(), StorageError> {
        let identity = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
        let open = handle.metadata().map_err(|error| self.failed(file, error))?;
        match fs::metadata(self.path(file)) {
            Ok(there) if identity(&there) == identity(&open) => Ok(()),
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.failed(file, error)),
            _ => Err(self.failed(file, taken_away())),
        }
    }

    /// What tells whether a file changes later; `None` where there is none.
    ///
    /// # Errors
    /// When the disk fails, or the file was there before.
    pub fn stamp(&self, file: usize) -> Result<Option<Stamp>, StorageError> {
        let there = fs::metadata(self.path(file));
        let mut open = self.lock();
        match there {
            Ok(metadata) => {
                open.known.insert(file);
                Ok(Some(Stamp::from(&metadata)))
            }
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.failed(file, error)),
            Err(_) if open.known.contains(&file) && !self.sealed => Err(self.failed(file, taken_away())),
            Err(_) => Ok(None),
        }
    }

    /// Closes all files; they are opened again when they are needed. Which were there
    /// before is of no account any more.
    pub fn close(&self) {
        let mut open = self.lock();
        open.handles.clear();
        open.known.clear();
    }

    fn handle(&self, file: usize, to_write: bool) -> Result<Option<Arc<File>>, StorageError> {
        let mut open = self.lock();
        let there =
            open.handles.iter().position(|(index, writes, _)| *index == file && (*writes || !to_write));
        if let Some(entry) = there.and_then(|at| open.handles.remove(at)) {
            let handle = entry.2.clone();
            open.handles.push_back(entry);
            return Ok(Some(handle));
        }
        let path = self.path(file);
        let opened = match (to_write, self.sealed) {
            (true, true) => Err(ErrorKind::ReadOnlyFilesystem.into()),
            (true, false) => self.open_to_write(file, &path, &mut open),
            (false, true) => self.open_sealed(file),
            (false, false) => File::open(&path),
        };
        let handle = match opened {
            Ok(opened) => Arc::new(opened),
            Err(error) if error.kind() == ErrorKind::NotFound && !to_write => return Ok(None),
            Err(error) => return Err(self.failed(file, error)),
        };
        open.handles.retain(|(index, ..)| *index != file);
        while open.handles.len() >= OPEN_FILES_MAX {
            open.handles.pop_front();
        }
        open.handles.push_back((file, to_write, handle.clone()));
        open.known.insert(file);
        Ok(Some(handle))
    }

    fn open_sealed(&self, file: usize) -> io::Result<File> {
        let members = self.members();
        let member = members.get(file).ok_or(ErrorKind::NotFound)?;
        crate::open_below(&self.folder(), &member.path)
    }

    /// Opens a file to write to; one that is made now gets its folders, its
    /// length and, where all room is to be taken, its room.
    fn open_to_write(&self, file: usize, path: &Path, open: &mut Open) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        match options.open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound && open.known.contains(&file) => {
                return Err(taken_away());
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            opened => return opened,
        }
        if let Some(folder) = path.parent() {
            let mut missing = folder;
            while !missing.as_os_str().is_empty() && !missing.is_dir() {
                let Some(above) = missing.parent() else { break };
                open.made_in.insert(above.to_owned());
                missing = above;
            }
            fs::create_dir_all(folder)?;
            open.made_in.insert(folder.to_owned());
        }
        let members = self.members();
        let member = members.get(file);
        // The user's umask takes away what others may not.
        let mode = if member.is_some_and(|member| member.executable) { 0o777 } else { 0o666 };
        let made = options.create(true).mode(mode).open(path)?;
        let octets = member.map_or(0, |member| member.octets);
        match self.allocation {
            Allocation::Sparse => made.set_len(octets)?,
            Allocation::Full if octets > 0 => {
                let taken = rustix::fs::fallocate(&made, rustix::fs::FallocateFlags::empty(), 0, octets);
                if let Err(error) = taken {
                    // The next time it must not be found, without its room.
                    fs::remove_file(path)?;
                    return Err(error.into());
                }
            }
            Allocation::Full => {}
        }
        Ok(made)
    }

    fn failed(&self, file: usize, error: io::Error) -> StorageError {
        moving::failed(&self.path(file), &error)
    }

    /// Nothing of what was written is to be made durable any more.
    fn forget_written(&self) {
        *self.lock() = Open::default();
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody moved, removed or replaced a file that is being written to.
fn taken_away() -> io::Error {
    io::Error::other("it was taken away; put it back and go on, or have all pieces checked anew")
}
