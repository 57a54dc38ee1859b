//! Names that files of a torrent were given in place of the torrent's own: noted
//! before they are given, so that a crash loses nothing.

use bittorrent::bencode::{Item, KeyOrder, Limits, Value, decode};
use bittorrent::metainfo::InfoHashV1;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use storage::{FileSet, StorageError, files};

/// Names given to one torrent.
const RENAMES_MAX: usize = 10_000;
/// The largest note, in octets.
const NOTE_OCTETS_MAX: u64 = 16 * 1024 * 1024;
const LIMITS: Limits = Limits { depth_max: 3, values_max: 4 * RENAMES_MAX, key_order: KeyOrder::Any };

/// What was given another name, and which; in the order in which it was done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Renames(Vec<(PathBuf, String)>);

/// Where the names of a torrent's files are noted in a data folder.
pub(crate) fn names_file(data: &Path, hash: &InfoHashV1) -> PathBuf {
    data.join("torrents").join(format!("{hash}.names"))
}

impl Renames {
    /// Gives a file or folder another name.
    ///
    /// # Errors
    /// When it cannot have it; then all is as it was.
    pub(crate) fn carry_out(
        files: &FileSet,
        path: &Path,
        name: &str,
        note: &Path,
    ) -> Result<(), StorageError> {
        let before = Self::read(note)?;
        if before.0.len() >= RENAMES_MAX {
            return Err(StorageError::Failed {
                place: path.display().to_string(),
                reason: format!("{RENAMES_MAX} names were given already, which is as many as are kept"),
            });
        }
        let mut after = before.clone();
        after.0.push((path.to_owned(), name.to_owned()));
        after.write(note)?;
        files.rename(path, name).inspect_err(|_| {
            // Should this fail too, the next start passes over a name that cannot be.
            let _ = before.write(note);
        })
    }

    /// Has the names that were given in earlier runs. They hold before files that
    /// were being moved are sought.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn assume(files: &FileSet, note: &Path) -> Result<Self, StorageError> {
        let mut held = Self::default();
        for (path, name) in Self::read(note)?.0 {
            match files.assume_name(&path, &name) {
                Ok(()) => held.0.push((path, name)),
                Err(error) => tracing::warn!(%error, "a name that was given cannot be; passed over"),
            }
        }
        Ok(held)
    }

    /// Gives on the disk what a crash came before.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn settle(&self, files: &FileSet) -> Result<(), StorageError> {
        self.0.last().map_or(Ok(()), |(path, name)| files.settle_name(path, name))
    }

    fn write(&self, note: &Path) -> Result<(), StorageError> {
        if self.0.is_empty() {
            return files::remove(note);
        }
        files::write_atomically(note, &self.encode(), files::SECRET)
    }

    fn read(note: &Path) -> Result<Self, StorageError> {
        let octets = files::read(note, NOTE_OCTETS_MAX)?;
        Ok(octets.and_then(|octets| Self::decode(&octets)).unwrap_or_default())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let item = |(path, name): &(PathBuf, String)| {
            Item::List(vec![Item::Bytes(path.as_os_str().as_bytes().to_vec()), name.as_str().into()])
        };
        Item::List(self.0.iter().map(item).collect()).encode()
    }

    pub(crate) fn decode(octets: &[u8]) -> Option<Self> {
        let pair = |value: &Value<'_>| match value.list()? {
            [path, name] => Some((PathBuf::from(OsStr::from_bytes(path.bytes()?)), name.text()?.to_owned())),
            _ => None,
        };
        decode(octets, &LIMITS).ok()?.list()?.iter().map(pair).collect::<Option<Vec<_>>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::{Allocation, Member};

    fn set(folder: &Path) -> FileSet {
        let member = |path: &str| Member { path: path.into(), octets: 3, executable: false };
        FileSet::new(folder, vec![member("film/a"), member("film/b")], Allocation::Sparse)
            .expect("plain names")
    }

    #[test]
    fn names_hold_in_the_next_run_also_when_a_crash_came_before_the_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let note = names_file(folder.path(), &InfoHashV1([7; 20]));
        let files = set(folder.path());
        files.write(0, 0, b"abc").expect("written");
        Renames::carry_out(&files, Path::new("film"), "movie", &note).expect("renamed");
        Renames::carry_out(&files, Path::new("movie/a"), "first", &note).expect("renamed");
        Renames::carry_out(&files, Path::new("movie/a"), "x", &note).expect_err("there is no a any more");
        std::fs::rename(folder.path().join("movie/first"), folder.path().join("movie/a")).expect("undone");
        let again = set(folder.path());
        Renames::assume(&again, &note).and_then(|names| names.settle(&again)).expect("settled");
        assert_eq!(again.path(0), folder.path().join("movie/first"));
        assert!(again.path(0).exists());
        for garbage in [&b""[..], b"le", b"ll1:aee", b"d1:a1:be", &[0xff; 50]] {
            std::fs::write(&note, garbage).expect("written");
            let fresh = set(folder.path());
            Renames::assume(&fresh, &note).expect("no error");
            assert_eq!(fresh.path(0), folder.path().join("film/a"));
        }
        let full = Renames(vec![("film".into(), "film".to_owned()); RENAMES_MAX]);
        full.write(&note).expect("written");
        assert_eq!(Renames::read(&note).expect("read"), full);
        Renames::carry_out(&set(folder.path()), Path::new("film"), "movie", &note).expect_err("too many");
    }
}
