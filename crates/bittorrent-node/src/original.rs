//! Files on the disk of which a torrent is made: which they are, what of them is
//! left out and why, and the metainfo that is made by reading them.

use bittorrent::metainfo::{CreateOptions, Creator, FileSpec, Metainfo, Version};
use std::fmt;
use std::io::{ErrorKind, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use storage::Stamp;

/// Octets read at once while files are hashed.
const READ_OCTETS: usize = 1024 * 1024;
/// Folders within one another that are looked into.
const DEPTH_MAX: usize = 64;
/// Files of one torrent.
pub const ORIGINAL_FILES_MAX: usize = 100_000;
/// Files that were left out of which it is said.
const LEFT_OUT_MAX: usize = 20;

/// Whether files and folders whose names begin with a dot are part of a torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// They are.
    Included,
    /// They are left out.
    LeftOut,
}

/// A file or folder of which a torrent can be made, as it was when it was looked
/// at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original {
    /// The torrent's name.
    pub name: String,
    /// The folder in which the file or folder of that name lies.
    pub folder: PathBuf,
    /// The files; never empty.
    pub files: Vec<OriginalFile>,
    /// What is left out, and why: at most 20 of them.
    pub left_out: Vec<LeftOut>,
}

/// A file of an original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginalFile {
    /// Its path below the torrent's folder; empty where it is all of the torrent.
    pub path: Vec<String>,
    /// What tells whether it changes.
    pub stamp: Stamp,
    executable: bool,
}

/// A file or folder that cannot be part of a torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Which.
    pub place: PathBuf,
    /// Why, and what to do.
    pub reason: String,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place.display(), self.reason)
    }
}

/// What a torrent is made of beside its files.
#[derive(Debug, Clone)]
pub struct Making {
    /// For which versions of the protocol.
    pub version: Version,
    /// Octets of a piece; by size where absent.
    pub piece_octets: Option<u32>,
    /// Addresses of trackers, tier by tier (BEP 12).
    pub trackers: Vec<Vec<String>>,
    /// Web servers that have the files (BEP 19).
    pub web_seeds: Vec<String>,
    /// Text for people.
    pub comment: Option<String>,
    /// Peers may come from its trackers only (BEP 27).
    pub private: bool,
}

impl Making {
    /// Nothing beside its files.
    pub fn new(version: Version) -> Self {
        Self {
            version,
            piece_octets: None,
            trackers: Vec::new(),
            web_seeds: Vec::new(),
            comment: None,
            private: false,
        }
    }
}

/// Why no torrent could be made.
#[derive(Debug, thiserror::Error)]
pub enum OriginalError {
    /// A file or folder is of no use.
    #[error("{0}")]
    Unusable(LeftOut),
    /// The caller asked to stop.
    #[error("stopped")]
    Stopped,
}

fn unusable(place: &Path, reason: impl fmt::Display) -> OriginalError {
    OriginalError::Unusable(LeftOut { place: place.to_owned(), reason: reason.to_string() })
}

impl Original {
    /// Looks at a file or a folder with all that is below it. Blocks.
    ///
    /// # Errors
    /// When there is no file that a torrent can be made of, there are more than
    /// [`ORIGINAL_FILES_MAX`], or the disk cannot be read.
    pub fn look(path: &Path, hidden: Hidden) -> Result<Self, OriginalError> {
        let whole = path.canonicalize().map_err(|error| unusable(path, error))?;
        let name = whole.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let name = name.ok_or_else(|| unusable(path, "its name cannot be the name of a torrent"))?;
        let metadata = whole.metadata().map_err(|error| unusable(path, error))?;
        let folder = whole.parent().unwrap_or(Path::new("/")).to_owned();
        let mut original = Self { name, folder, files: Vec::new(), left_out: Vec::new() };
        if metadata.is_dir() {
            original.collect(&whole, &mut Vec::new(), hidden)?;
            if original.files.is_empty() {
                let left_out = original.left_out.first().map(|first| format!(" but {first}"));
                let reason = format!("there is no file in this folder{}", left_out.unwrap_or_default());
                return Err(unusable(path, reason));
            }
        } else if metadata.is_file() {
            original.files.push(OriginalFile::new(Vec::new(), &metadata));
        } else {
            return Err(unusable(path, "this is neither a file nor a folder"));
        }
        Ok(original)
    }

    /// All files below a folder, by name; links are not followed.
    fn collect(
        &mut self,
        folder: &Path,
        names: &mut Vec<String>,
        hidden: Hidden,
    ) -> Result<(), OriginalError> {
        if names.len() >= DEPTH_MAX {
            return Err(unusable(folder, "its folders are nested too deeply for a torrent"));
        }
        let mut entries: Vec<_> = std::fs::read_dir(folder)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unusable(folder, error))?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Gone since the folder was read.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(unusable(&path, error)),
            };
            let Ok(name) = entry.file_name().into_string() else {
                self.leave_out(path, "its name is not UTF-8; give it another");
                continue;
            };
            if hidden == Hidden::LeftOut && name.starts_with('.') {
                self.leave_out(path, "it is hidden; give it a name without a dot to publish it");
                continue;
            }
            names.push(name);
            if metadata.is_dir() {
                self.collect(&path, names, hidden)?;
            } else if metadata.is_file() {
                if self.files.len() >= ORIGINAL_FILES_MAX {
                    let reason =
                        format!("it holds more than {ORIGINAL_FILES_MAX} files; make several torrents");
                    return Err(unusable(&self.folder.join(&self.name), reason));
                }
                self.files.push(OriginalFile::new(names.clone(), &metadata));
            } else if metadata.is_symlink() {
                self.leave_out(path, "it is a link; put the file itself here");
            } else {
                self.leave_out(path, "it is no plain file");
            }
            names.pop();
        }
        Ok(())
    }

    fn leave_out(&mut self, place: PathBuf, reason: &str) {
        if self.left_out.len() < LEFT_OUT_MAX {
            self.left_out.push(LeftOut { place, reason: reason.to_owned() });
        }
    }

    /// Octets of all files.
    pub fn octets(&self) -> u64 {
        self.files.iter().map(|file| file.stamp.octets).sum()
    }

    /// The path of a file below [`Original::folder`].
    pub fn path(&self, file: &OriginalFile) -> PathBuf {
        std::iter::once(&self.name).chain(&file.path).collect()
    }

    /// Makes the torrent by reading all files. `tell` hears how many octets of how
    /// many are done, and may stop it. Blocks for as long as that takes.
    ///
    /// # Errors
    /// When a file cannot be read or is not as it was looked at, or the files
    /// cannot be a torrent.
    pub fn make(
        &self,
        making: Making,
        mut tell: impl FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Metainfo, OriginalError> {
        let whole = self.folder.join(&self.name);
        let created = SystemTime::now().duration_since(UNIX_EPOCH).ok();
        let options = CreateOptions {
            version: making.version,
            piece_length: making.piece_octets,
            private: making.private,
            trackers: making.trackers,
            web_seeds: making.web_seeds,
            comment: making.comment,
            created_by: Some(concat!("Utopia ", env!("CARGO_PKG_VERSION")).to_owned()),
            creation_date_seconds: created.and_then(|since| i64::try_from(since.as_secs()).ok()),
            ..CreateOptions::new(self.name.clone())
        };
        let specs = self.files.iter().map(OriginalFile::spec).collect();
        let mut creator = Creator::new(specs, options).map_err(|error| unusable(&whole, error))?;
        let (order, total): (Vec<usize>, u64) = (creator.order().collect(), creator.total_octets());
        let mut buffer = vec![0; READ_OCTETS];
        for index in order {
            let Some(original) = self.files.get(index) else { continue };
            let path = self.path(original);
            let failed = |error: &dyn fmt::Display| unusable(&self.folder.join(&path), error);
            let mut file = storage::open_below(&self.folder, &path).map_err(|error| failed(&error))?;
            loop {
                let read = file.read(&mut buffer).map_err(|error| failed(&error))?;
                if read == 0 {
                    break;
                }
                creator.update(buffer.get(..read).unwrap_or_default()).map_err(|error| failed(&error))?;
                if tell(creator.done_octets(), total).is_break() {
                    return Err(OriginalError::Stopped);
                }
            }
            if Stamp::from(&file.metadata().map_err(|error| failed(&error))?) != original.stamp {
                return Err(failed(&"it changed while it was read; try again when it is whole"));
            }
        }
        creator.finish().map_err(|error| unusable(&whole, error))
    }
}

impl OriginalFile {
    fn new(path: Vec<String>, metadata: &std::fs::Metadata) -> Self {
        let executable = metadata.permissions().mode() & 0o100 != 0;
        Self { path, stamp: Stamp::from(metadata), executable }
    }

    fn spec(&self) -> FileSpec {
        FileSpec {
            path: self.path.clone(),
            length: self.stamp.octets,
            executable: self.executable,
            hidden: false,
            symlink: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn making() -> Making {
        Making::new(Version::Hybrid)
    }

    #[test]
    fn what_cannot_be_part_of_a_torrent_is_left_out_with_the_reason() {
        let folder = tempfile::tempdir().expect("a folder");
        let album = folder.path().join("album");
        fs::create_dir_all(album.join(".git")).expect("folders");
        fs::create_dir(album.join("empty")).expect("a folder");
        fs::write(album.join("song"), "la la").expect("written");
        fs::write(album.join(".git/config"), "secret").expect("written");
        symlink("/etc/passwd", album.join("link")).expect("a link");
        let original = Original::look(&album, Hidden::LeftOut).expect("an original");
        let paths: Vec<_> = original.files.iter().map(|file| original.path(file)).collect();
        assert_eq!(paths, [Path::new("album/song")]);
        let reasons: Vec<_> = original.left_out.iter().map(LeftOut::to_string).collect();
        assert!(reasons[0].contains(".git: it is hidden"), "{reasons:?}");
        assert!(reasons[1].contains("link: it is a link"), "{reasons:?}");
        let all = Original::look(&album, Hidden::Included).expect("an original");
        assert_eq!(all.files.len(), 2);
        for (nothing, reason) in
            [(album.join("empty"), "no file in this folder"), (album.join("none"), "No such")]
        {
            let error = Original::look(&nothing, Hidden::LeftOut).expect_err("nothing").to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_file_that_changes_meanwhile_makes_no_torrent() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("film");
        fs::write(&file, vec![7; 3 * READ_OCTETS]).expect("written");
        let original = Original::look(&file, Hidden::LeftOut).expect("an original");
        let mut told = Vec::new();
        let made = original.make(making(), |done, total| {
            told.push((done, total));
            ControlFlow::Continue(())
        });
        assert_eq!(made.expect("a torrent").info.layout().content_octets(), original.octets());
        assert_eq!(told.last(), Some(&(original.octets(), original.octets())));
        let stopped = original.make(making(), |_, _| ControlFlow::Break(()));
        assert!(matches!(stopped, Err(OriginalError::Stopped)));
        for more in [vec![7; READ_OCTETS], vec![7; 4 * READ_OCTETS]] {
            fs::write(&file, more).expect("written");
            let made = original.make(making(), |_, _| ControlFlow::Continue(()));
            assert!(matches!(made, Err(OriginalError::Unusable(_))));
        }
    }

    #[test]
    fn folders_nested_too_deeply_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let top = folder.path().join("top");
        let deep: PathBuf = std::iter::repeat_n("d", DEPTH_MAX).collect();
        fs::create_dir_all(top.join(&deep)).expect("folders");
        fs::write(top.join(&deep).join("file"), "x").expect("written");
        let error = Original::look(&top, Hidden::Included).expect_err("too deep").to_string();
        assert!(error.contains("nested too deeply"), "{error}");
    }
}
