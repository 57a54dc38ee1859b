//! One look at the published folders: what could be a torrent, and what is left
//! out.

use super::config::Folder;
use super::kept::Kept;
use crate::original::{Hidden, LeftOut, Original, OriginalError};
use bittorrent::metainfo::Metainfo;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What was left out of which it is said.
const LEFT_OUT_MAX: usize = 100;

/// A file or folder that can be a torrent.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) folder: Arc<Folder>,
    pub(super) original: Arc<Original>,
    /// Its torrent, where an earlier run read the files as they are.
    pub(super) kept: Option<Metainfo>,
}

/// What a look has found.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// By where it lies.
    pub(super) seen: BTreeMap<PathBuf, Seen>,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) took: Duration,
}

/// What was known before a look: it need not be read from what is kept.
pub(super) type Known = BTreeMap<PathBuf, (Arc<Folder>, Arc<Original>)>;

impl Look {
    /// Looks at all folders. Blocks for as long as that takes.
    pub(super) fn at(folders: &[Arc<Folder>], known: &Known, kept: &Kept, torrents_max: usize) -> Self {
        let began = Instant::now();
        let mut look = Self::default();
        for folder in folders {
            look.folder(folder, known, kept, torrents_max);
        }
        look.took = began.elapsed();
        look
    }

    fn folder(&mut self, folder: &Arc<Folder>, known: &Known, kept: &Kept, torrents_max: usize) {
        if folder.whole {
            return self.entry(folder, folder.path.clone(), known, kept, torrents_max);
        }
        let entries = match std::fs::read_dir(&folder.path) {
            Ok(entries) => entries,
            Err(error) => {
                let reason = format!(
                    "this folder cannot be read ({error}); make it, or take it out of torrents.publish"
                );
                return self.leave_out(LeftOut { place: folder.path.clone(), reason });
            }
        };
        let mut places = Vec::new();
        for entry in entries.filter_map(Result::ok) {
            let place = entry.path();
            let Ok(kind) = entry.file_type() else { continue };
            let name = entry.file_name();
            let reason = match name.to_str() {
                None => "its name is not UTF-8; give it another",
                Some(name) if name.starts_with('.') => {
                    "it is hidden; give it a name without a dot to publish it"
                }
                _ if kind.is_symlink() => "it is a link; put the file itself here",
                _ => {
                    places.push(place);
                    continue;
                }
            };
            self.leave_out(LeftOut { place, reason: reason.to_owned() });
        }
        // The same are left out each time where there are too many.
        places.sort();
        for place in places {
            self.entry(folder, place, known, kept, torrents_max);
        }
    }

    fn entry(
        &mut self,
        folder: &Arc<Folder>,
        place: PathBuf,
        known: &Known,
        kept: &Kept,
        torrents_max: usize,
    ) {
        if self.seen.contains_key(&place) {
            let reason = "it is named twice in torrents.publish; keep one".to_owned();
            return self.leave_out(LeftOut { place, reason });
        }
        if self.seen.len() >= torrents_max {
            let reason = format!("more than {torrents_max} torrents; raise torrents.torrents_max");
            return self.leave_out(LeftOut { place, reason });
        }
        let original = match Original::look(&place, Hidden::LeftOut) {
            Ok(original) => original,
            Err(OriginalError::Unusable(left_out)) => return self.leave_out(left_out),
            Err(OriginalError::Stopped) => return,
        };
        for left_out in &original.left_out {
            self.leave_out(left_out.clone());
        }
        let seen = match known.get(&place) {
            Some((before, same)) if before == folder && **same == original => {
                Seen { folder: before.clone(), original: same.clone(), kept: None }
            }
            _ => {
                let kept = kept.read(&place, folder, &original);
                Seen { folder: folder.clone(), original: Arc::new(original), kept }
            }
        };
        self.seen.insert(place, seen);
    }

    fn leave_out(&mut self, left_out: LeftOut) {
        if self.left_out.len() < LEFT_OUT_MAX {
            self.left_out.push(left_out);
        }
    }
}

/// Folders as they are looked at: by their real place, so that a link to one is
/// the same.
pub(super) fn real(folder: &Folder) -> Folder {
    let path = folder.path.canonicalize().unwrap_or_else(|_| absolute(&folder.path));
    Folder { path, ..folder.clone() }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_cannot_be_published_is_left_out_and_the_rest_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("files");
        fs::create_dir_all(path.join("album")).expect("folders");
        fs::create_dir_all(path.join("empty/deep")).expect("folders");
        for name in ["a", "b", "c", ".hidden", "album/song"] {
            fs::write(path.join(name), name).expect("written");
        }
        symlink("/etc/passwd", path.join("link")).expect("a link");
        let folders = [Arc::new(Folder::new(&path)), Arc::new(Folder::new(folder.path().join("none")))];
        let kept = Kept::in_folder(folder.path());
        let look = |torrents_max| Look::at(&folders, &Known::new(), &kept, torrents_max);
        let names = |look: &Look| -> Vec<String> {
            look.seen.values().map(|seen| seen.original.name.clone()).collect()
        };
        let all = look(10);
        assert_eq!(names(&all), ["a", "album", "b", "c"]);
        let said = all.left_out.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        for part in [
            ".hidden: it is hidden",
            "link: it is a link",
            "empty: there is no file",
            "none: this folder cannot be read",
        ] {
            assert!(said.contains(part), "{said}");
        }
        // The files, and the folder that would be looked into.
        let some = look(2);
        assert_eq!(names(&some), ["a", "album"]);
        assert_eq!(some.left_out.iter().filter(|one| one.reason.contains("more than 2 torrents")).count(), 3);
        let whole = [Arc::new(Folder { whole: true, ..Folder::new(path.join("album")) })];
        assert_eq!(names(&Look::at(&whole, &Known::new(), &kept, 10)), ["album"]);
    }

    #[test]
    fn what_is_said_of_left_out_files_is_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        for number in 0..LEFT_OUT_MAX + 5 {
            fs::write(folder.path().join(format!(".{number}")), "").expect("written");
        }
        let folders = [Arc::new(Folder::new(folder.path()))];
        let look = Look::at(&folders, &Known::new(), &Kept::in_folder(folder.path()), 10);
        assert_eq!(look.left_out.len(), LEFT_OUT_MAX);
    }
}
