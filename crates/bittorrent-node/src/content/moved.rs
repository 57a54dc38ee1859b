//! Where a torrent's files were moved to: noted before the first file moves, so
//! that a crash in the middle loses nothing, and kept, so that who still names the
//! old folder finds them.

use bittorrent::bencode::{Item, KeyOrder, Limits, decode};
use bittorrent::metainfo::InfoHashV1;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use storage::{FileSet, StorageError, files};

/// The largest note, in octets: some paths.
const NOTE_OCTETS_MAX: u64 = 128 * 1024;
const LIMITS: Limits = Limits { depth_max: 3, values_max: 64, key_order: KeyOrder::Any };
/// Folders of earlier moves that are remembered, the last ones.
const EARLIER_MAX: usize = 16;

/// A move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) from: PathBuf,
    pub(crate) to: PathBuf,
    /// Where they were before that: who names one of these folders still finds them.
    pub(crate) earlier: Vec<PathBuf>,
    /// No file is left where they were.
    pub(crate) done: bool,
}

/// Where the last move of a torrent is noted in a data folder.
pub(crate) fn moved_file(data: &Path, hash: &InfoHashV1) -> PathBuf {
    data.join("torrents").join(format!("{hash}.moved"))
}

impl Moved {
    /// Moves the files of a torrent. What goes wrong leaves all where it was.
    ///
    /// # Errors
    /// When the disk fails or is full, or a file of the same name is there already.
    pub(crate) fn carry_out(files: &FileSet, to: &Path, note: &Path) -> Result<(), StorageError> {
        let before = Self::read(note)?;
        let (from, to) = (files.folder(), to.to_owned());
        let mut earlier = Vec::new();
        if let Some(before) = before.as_ref().filter(|before| before.to == from) {
            earlier.clone_from(&before.earlier);
            earlier.push(before.from.clone());
            earlier.retain(|folder| ![&from, &to].contains(&folder));
            earlier.drain(..earlier.len().saturating_sub(EARLIER_MAX));
        }
        let moved = Self { from, to, earlier, done: false };
        moved.write(note)?;
        if let Err(error) = files.relocate(&moved.to, false) {
            // All is where it was: the note of the move before holds again.
            match before {
                Some(before) => before.write(note)?,
                None => files::remove(note)?,
            }
            return Err(error);
        }
        Self { done: true, ..moved }.write(note)
    }

    /// Finds the files of a torrent where they were moved to, after ending a move
    /// that a crash cut short.
    ///
    /// # Errors
    /// When the disk fails or is full.
    pub(crate) fn follow(files: &FileSet, note: &Path) -> Result<(), StorageError> {
        let Some(moved) = Self::read(note)? else { return Ok(()) };
        let named = files.folder();
        if ![&moved.from, &moved.to].contains(&&named) && !moved.earlier.contains(&named) {
            return Ok(());
        }
        if moved.done {
            files.set_folder(&moved.to);
            return Ok(());
        }
        files.set_folder(&moved.from);
        files.relocate(&moved.to, true)?;
        Self { done: true, ..moved }.write(note)
    }

    fn write(&self, note: &Path) -> Result<(), StorageError> {
        files::write_atomically(note, &self.encode(), files::SECRET)
    }

    fn read(note: &Path) -> Result<Option<Self>, StorageError> {
        Ok(files::read(note, NOTE_OCTETS_MAX)?.and_then(|octets| Self::decode(&octets)))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let path = |path: &Path| Item::Bytes(path.as_os_str().as_bytes().to_vec());
        Item::dictionary([
            ("done", Item::Integer(self.done.into())),
            ("earlier", Item::List(self.earlier.iter().map(|folder| path(folder)).collect())),
            ("from", path(&self.from)),
            ("to", path(&self.to)),
        ])
        .encode()
    }

    pub(crate) fn decode(octets: &[u8]) -> Option<Self> {
        let value = decode(octets, &LIMITS).ok()?;
        let root = value.dictionary()?;
        let folder = |octets: &[u8]| PathBuf::from(OsStr::from_bytes(octets));
        let path = |key: &str| Some(folder(root.bytes(key.as_bytes())?));
        let earlier = root.list(b"earlier").unwrap_or_default().iter();
        let earlier = earlier.filter_map(bittorrent::bencode::Value::bytes).map(folder).collect();
        Some(Self { from: path("from")?, to: path("to")?, earlier, done: root.integer(b"done")? == 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::{Allocation, Member};

    fn set(folder: &Path) -> FileSet {
        let member = |path: &str| Member { path: path.into(), octets: 3, executable: false };
        FileSet::new(folder, vec![member("a"), member("b")], Allocation::Sparse).expect("plain names")
    }

    #[test]
    fn a_move_is_found_by_who_names_the_old_folder_and_ended_after_a_crash() {
        let folder = tempfile::tempdir().expect("a folder");
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        let note = moved_file(folder.path(), &InfoHashV1([7; 20]));
        let files = set(&old);
        Moved::follow(&files, &note).expect("nothing to follow");
        files.write(0, 0, b"abc").expect("written");
        files.write(1, 0, b"abc").expect("written");
        Moved::carry_out(&files, &new, &note).expect("moved");
        for named in [&old, &new] {
            let files = set(named);
            Moved::follow(&files, &note).expect("followed");
            assert_eq!(files.folder(), new);
        }
        // Back, and killed after the first file.
        Moved { from: new.clone(), to: old.clone(), earlier: Vec::new(), done: false }
            .write(&note)
            .expect("noted");
        std::fs::create_dir_all(&old).expect("a folder");
        std::fs::rename(new.join("a"), old.join("a")).expect("renamed");
        let files = set(&new);
        Moved::follow(&files, &note).expect("ended");
        assert_eq!(files.folder(), old);
        assert!(old.join("a").exists() && old.join("b").exists() && !new.join("b").exists());
        // Moved again, and again: whichever of the folders is named.
        let third = folder.path().join("third");
        Moved::carry_out(&files, &new, &note).expect("moved");
        Moved::carry_out(&files, &third, &note).expect("moved");
        for named in [&old, &new, &third] {
            let files = set(named);
            Moved::follow(&files, &note).expect("followed");
            assert_eq!(files.folder(), third);
        }
        // A fourth folder has nothing to do with it, nor has garbage.
        let files = set(folder.path());
        Moved::follow(&files, &note).expect("nothing to follow");
        assert_eq!(files.folder(), folder.path());
        for garbage in [&b""[..], b"de", b"d4:donei1ee", &[0xff; 100]] {
            std::fs::write(&note, garbage).expect("written");
            assert_eq!(Moved::read(&note).expect("no error"), None);
        }
    }
}
