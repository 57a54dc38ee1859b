//! Moving and deleting all files of a set: only its own, and nothing that is
//! reached through a symlink.

use super::{FileSet, Member};
use crate::StorageError;
use crate::files::sync_folder;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

/// Octets of the longest name of a file.
const NAME_OCTETS_MAX: usize = 255;
/// What a copy is called until it is whole.
const PART: &str = ".part";

/// A file that was moved.
struct Moved {
    old: PathBuf,
    new: PathBuf,
    /// It is still where it was, too.
    copied: bool,
}

impl FileSet {
    /// Moves the files that are there below another folder: renamed where that is
    /// on the same file system, otherwise copied, made durable and then deleted.
    /// What goes wrong leaves all where it was. `again` goes on after a crash in
    /// the middle: copies that the crash left are replaced.
    ///
    /// # Errors
    /// When the disk fails or is full, or, unless `again`, a file of the same name
    /// is there already.
    pub fn relocate(&self, to: &Path, again: bool) -> Result<(), StorageError> {
        let from = self.folder();
        if from == to {
            return Ok(());
        }
        self.sync()?;
        let mut moved = Vec::new();
        if let Err(error) = self.bring(&from, to, again, &mut moved) {
            for Moved { old, new, copied } in moved.iter().rev() {
                // What cannot be undone is told by the error below.
                let _ = if *copied { fs::remove_file(new) } else { fs::rename(new, old) };
            }
            self.remove_folders(to);
            return Err(error);
        }
        self.set_folder(to);
        for old in moved.iter().filter(|moved| moved.copied).map(|moved| &moved.old) {
            if let Err(error) = fs::remove_file(old) {
                // All is where it shall be, and durable: a copy too many is no failure.
                tracing::warn!(file = %old.display(), %error, "moved away, but the old one cannot be deleted");
            }
        }
        self.remove_folders(&from);
        Ok(())
    }

    /// Gives a file or a folder of the set another name. What goes wrong leaves all as
    /// it was.
    ///
    /// # Errors
    /// When there is no such file or folder, the name is none, something of that name
    /// is there already, or the disk fails.
    pub fn rename(&self, path: &Path, name: &str) -> Result<(), StorageError> {
        let members =
            renamed(&self.members(), path, name).map_err(|why| StorageError::failed(path.display(), why))?;
        let folder = self.folder();
        let (old, new) = (folder.join(path), folder.join(path.with_file_name(name)));
        if fs::symlink_metadata(&new).is_ok() {
            return Err(StorageError::failed(new.display(), "something of this name is there already"));
        }
        match fs::symlink_metadata(&old) {
            Ok(_) if is_own(&folder, path) => {
                fs::rename(&old, &new).map_err(|error| failed(&old, &error))?;
                sync_folder(old.parent().unwrap_or(&folder))?;
            }
            // No octet of it has come yet.
            _ => {}
        }
        self.set_members(members);
        Ok(())
    }

    /// Has names that files were given by an earlier run. The last may not have been
    /// given on the disk: [`Self::settle_name`].
    ///
    /// # Errors
    /// When there is no such file or folder, or the name is none.
    pub fn assume_name(&self, path: &Path, name: &str) -> Result<(), StorageError> {
        let members =
            renamed(&self.members(), path, name).map_err(|why| StorageError::failed(path.display(), why))?;
        self.set_members(members);
        Ok(())
    }

    /// Gives the name on the disk that was assumed last, if a crash came between.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn settle_name(&self, path: &Path, name: &str) -> Result<(), StorageError> {
        let folder = self.folder();
        let (old, new) = (folder.join(path), folder.join(path.with_file_name(name)));
        if fs::symlink_metadata(&new).is_ok() || fs::symlink_metadata(&old).is_err() || !is_own(&folder, path)
        {
            return Ok(());
        }
        fs::rename(&old, &new).map_err(|error| failed(&old, &error))?;
        sync_folder(old.parent().unwrap_or(&folder))
    }

    /// From now on the files are sought below another folder; none is moved.
    pub fn set_folder(&self, to: &Path) {
        self.place_at(to);
        self.close();
    }

    fn bring(&self, from: &Path, to: &Path, again: bool, moved: &mut Vec<Moved>) -> Result<(), StorageError> {
        let mut ways: Vec<(&Member, PathBuf, PathBuf)> = Vec::new();
        let members = self.members();
        for member in members.iter() {
            let (old, new) = (from.join(&member.path), to.join(&member.path));
            match fs::symlink_metadata(&old) {
                Ok(_) if is_own(from, &member.path) => {}
                Ok(_) => continue,
                Err(error) if is_absence(&error) => continue,
                Err(error) => return Err(failed(&old, &error)),
            }
            if !again && fs::symlink_metadata(&new).is_ok() {
                let why = "a file of this name is there already; move it away, or choose another folder";
                return Err(StorageError::failed(new.display(), why));
            }
            ways.push((member, old, new));
        }
        let mut folders = BTreeSet::new();
        for (member, old, new) in ways {
            let folder = new.parent().unwrap_or(to);
            fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
            if !is_own(to, &member.path) {
                let why = "a folder on the way to it is a symlink; choose another folder";
                return Err(StorageError::failed(new.display(), why));
            }
            let copied = move_file(&old, &new).map_err(|error| failed(&new, &error))?;
            moved.push(Moved { old, new, copied });
            folders.extend(member.path.ancestors().skip(1).map(|path| to.join(path)));
        }
        folders.iter().rev().try_for_each(|folder| sync_folder(folder))
    }

    /// Deletes the files, and the folders below the set's own that are empty then.
    /// What was reached through a symlink stays: it is not the set's.
    ///
    /// # Errors
    /// When one cannot be deleted; the others are deleted all the same.
    pub fn remove(&self) -> Result<(), StorageError> {
        let folder = self.folder();
        self.forget_written();
        let mut result = Ok(());
        for member in self.members().iter().filter(|member| is_own(&folder, &member.path)) {
            let path = folder.join(&member.path);
            match fs::remove_file(&path) {
                Err(error) if !is_absence(&error) => result = Err(failed(&path, &error)),
                _ => {}
            }
        }
        self.remove_folders(&folder);
        result
    }

    /// Deletes the set's folders below `folder` that are empty.
    fn remove_folders(&self, folder: &Path) {
        let members = self.members();
        let folders: BTreeSet<&Path> =
            members.iter().flat_map(|member| member.path.ancestors().skip(1)).collect();
        // The deepest first; one that holds something else stays.
        for path in folders.iter().rev().filter(|path| !path.as_os_str().is_empty()) {
            if is_own(folder, path) {
                let _ = fs::remove_dir(folder.join(path));
            }
        }
    }
}

/// The files with another name for one of them or a folder of them.
fn renamed(members: &[Member], path: &Path, name: &str) -> Result<Vec<Member>, &'static str> {
    let mut parts = Path::new(name).components();
    let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name);
    if !plain || name.len() > NAME_OCTETS_MAX || name.contains('\0') {
        return Err("the new name is to be one plain name, not a path");
    }
    let new = path.with_file_name(name);
    let is_of_it = |member: &&Member| member.path.starts_with(path);
    if path.as_os_str().is_empty() || !members.iter().any(|member| is_of_it(&member)) {
        return Err("the torrent has no such file or folder");
    }
    if members.iter().filter(|member| !is_of_it(member)).any(|member| member.path.starts_with(&new)) {
        return Err("the torrent has another file or folder of the new name");
    }
    let rename = |member: &Member| match member.path.strip_prefix(path) {
        Ok(rest) if rest.as_os_str().is_empty() => Member { path: new.clone(), ..member.clone() },
        Ok(rest) => Member { path: new.join(rest), ..member.clone() },
        Err(_) => member.clone(),
    };
    Ok(members.iter().map(rename).collect())
}

/// Whether no folder on the way to a file is a symlink.
fn is_own(folder: &Path, path: &Path) -> bool {
    let mut above = path.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty());
    above.all(|path| fs::symlink_metadata(folder.join(path)).is_ok_and(|metadata| metadata.is_dir()))
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Renames a file, or copies it to another file system; whether it was copied.
fn move_file(old: &Path, new: &Path) -> io::Result<bool> {
    match fs::rename(old, new) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => {}
        renamed => return renamed.map(|()| false),
    }
    let mut part = new.as_os_str().to_owned();
    part.push(PART);
    let part = Path::new(&part);
    let copy = || {
        if fs::symlink_metadata(old)?.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(old)?, part)?;
        } else {
            fs::copy(old, part)?;
            File::open(part)?.sync_all()?;
        }
        fs::rename(part, new)
    };
    copy().map(|()| true).inspect_err(|_| {
        let _ = fs::remove_file(part);
    })
}

pub(super) fn failed(path: &Path, error: &io::Error) -> StorageError {
    let place = path.display().to_string();
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StorageError::NoRoom { place },
        _ => StorageError::failed(place, error),
    }
}
