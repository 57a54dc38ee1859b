//! Files that people and other programs read: secrets, certificates, zone
//! files. Written whole or not at all. Calls block: they are for start-up and
//! rare changes.

use crate::StorageError;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The mode of secrets: the owner only; see [`read_secret`].
pub const SECRET: u32 = 0o600;

/// The mode of what everybody may read.
pub const PUBLIC: u32 = 0o644;

/// Makes two writers of one file use two temporary files.
static NEXT_TEMPORARY: AtomicU64 = AtomicU64::new(0);

pub(crate) fn failed(path: &Path, error: std::io::Error) -> StorageError {
    let reason = match error.kind() {
        ErrorKind::IsADirectory => "this is a folder; name a file".to_owned(),
        ErrorKind::NotADirectory => "a part of this path is a file, not a folder; name another".to_owned(),
        ErrorKind::PermissionDenied => {
            "this user may not read or write it; change its owner or mode, or run as its owner".to_owned()
        }
        ErrorKind::StorageFull => "the disk is full; make room".to_owned(),
        _ => error.to_string(),
    };
    StorageError::failed(path.display(), reason)
}

/// Replaces the file at `path`, or makes it with its folders: readers see the
/// old octets or the new ones, and after `Ok` the new ones survive a power
/// cut. `mode` are the permission bits, e.g. [`SECRET`].
pub fn write_atomically(path: &Path, octets: &[u8], mode: u32) -> Result<(), StorageError> {
    let folder = folder_of(path)?;
    create_folder(folder)?;
    let name = path
        .file_name()
        .ok_or_else(|| StorageError::failed(path.display(), "this is no file's name"))?
        .to_string_lossy()
        .into_owned();
    let number = NEXT_TEMPORARY.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".{name}.{}.{number}.new", std::process::id()));
    let write = || -> Result<(), std::io::Error> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        // The process's umask may have taken bits away.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(octets)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&temporary);
        failed(path, error)
    })?;
    sync_folder(folder)
}

/// The octets of the file at `path`, `None` where there is none. A file of
/// more than `octets_max` is refused.
pub fn read(path: &Path, octets_max: u64) -> Result<Option<Vec<u8>>, StorageError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, error)),
    };
    let mut octets = Vec::new();
    file.take(octets_max.saturating_add(1)).read_to_end(&mut octets).map_err(|error| failed(path, error))?;
    if octets.len() as u64 > octets_max {
        return Err(StorageError::failed(path.display(), format!("it has more than {octets_max} octets")));
    }
    Ok(Some(octets))
}

/// The text of the file at `path`, as [`read`]; refused if it is not UTF-8.
pub fn read_text(path: &Path, octets_max: u64) -> Result<Option<String>, StorageError> {
    read(path, octets_max)?
        .map(String::from_utf8)
        .transpose()
        .map_err(|_| StorageError::failed(path.display(), "it is not UTF-8 text; save it as that"))
}

/// The text of a secret's file, as [`read_text`]; refused if others may read or
/// change it. A file that belongs to root may be read by its group: so systemd
/// hands over credentials (mode 0440), and nobody but root can have made it so.
pub fn read_secret(path: &Path, octets_max: u64) -> Result<Option<String>, StorageError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, error)),
    };
    if metadata.is_file() && is_open_to_others(metadata.mode(), metadata.uid()) {
        let remedy = format!("others may read or change this secret; `chmod 600 {}`", path.display());
        return Err(StorageError::failed(path.display(), remedy));
    }
    read_text(path, octets_max)
}

/// Whether the permission bits of a file let in more than a secret may.
fn is_open_to_others(mode: u32, owner: u32) -> bool {
    let allowed = if owner == 0 { 0o750 } else { 0o700 };
    mode & 0o777 & !allowed != 0
}

/// Removes the file at `path` durably; not an error where there is none.
pub fn remove(path: &Path) -> Result<(), StorageError> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder(folder_of(path)?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(path, error)),
    }
}

/// The files in `folder` whose names end in `suffix`, in order of name; none
/// where there is no folder.
pub fn list(folder: &Path, suffix: &str) -> Result<Vec<PathBuf>, StorageError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(folder, error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| failed(folder, error))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(suffix) && !name.starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Makes a folder with all above it, each for the owner only (mode 0700), and
/// durably; not an error where it is.
pub fn create_folder(folder: &Path) -> Result<(), StorageError> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(Path::new(""));
    create_folder(above)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => sync_folder(above),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(folder, error)),
    }
}

/// Octets that may still be written below a folder, and octets of its file system
/// in all.
pub fn room(folder: &Path) -> Result<(u64, u64), StorageError> {
    let told = rustix::fs::statvfs(folder).map_err(|error| failed(folder, error.into()))?;
    let octets = |blocks: u64| blocks.saturating_mul(told.f_frsize);
    Ok((octets(told.f_bavail), octets(told.f_blocks)))
}

fn folder_of(path: &Path) -> Result<&Path, StorageError> {
    path.parent().ok_or_else(|| StorageError::failed(path.display(), "this is no file's name"))
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), StorageError> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|file| file.sync_all()).map_err(|error| failed(folder, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_its_owner_s_and_root_s_may_be_its_group_s() {
        for (mode, owner, open) in [
            (0o100_600, 1000, false),
            (0o100_400, 1000, false),
            (0o100_640, 1000, true),
            (0o100_604, 1000, true),
            (0o100_644, 1000, true),
            (0o100_602, 1000, true),
            (0o100_600, 0, false),
            (0o100_440, 0, false),
            (0o100_640, 0, false),
            (0o100_660, 0, true),
            (0o100_444, 0, true),
        ] {
            assert_eq!(is_open_to_others(mode, owner), open, "{mode:o} of {owner}");
        }
    }
}
