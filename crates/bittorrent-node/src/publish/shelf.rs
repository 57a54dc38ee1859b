//! What is known of each file or folder that is to be published, and what is to be
//! done next. No I/O: it is told what a look found, and when.

use super::config::Folder;
use super::look::{Known, Look, Seen};
use super::published::Published;
use crate::original::Original;
use bittorrent::metainfo::Metainfo;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long after a failure files are read again that look the same: their rights
/// may have changed.
const RETRY_AFTER: Duration = Duration::from_mins(1);

/// Files that are being read.
#[derive(Debug, Default)]
pub struct Reading {
    /// The torrent's name.
    pub name: String,
    done: AtomicU64,
    total: AtomicU64,
    stopped: AtomicBool,
}

impl Reading {
    /// Octets that are read, and of how many.
    pub fn octets(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }

    /// Notes how far it is. Whether to go on.
    pub(super) fn tell(&self, done: u64, total: u64) -> bool {
        self.done.store(done, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        !self.stopped.load(Ordering::Relaxed)
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug)]
enum State {
    /// Since when it has looked as it does.
    Settling(Instant),
    Waiting,
    Reading(Arc<Reading>),
    Published(Arc<Published>),
    Refused {
        why: String,
        at: Instant,
    },
}

#[derive(Debug)]
struct Entry {
    folder: Arc<Folder>,
    original: Arc<Original>,
    state: State,
}

/// All entries, by where they lie.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    entries: BTreeMap<PathBuf, Entry>,
}

/// What came of a look.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// Published no more.
    pub(super) withdrawn: Vec<Arc<Published>>,
    /// To be published at once: they were read by an earlier run.
    pub(super) kept: Vec<(PathBuf, Arc<Folder>, Arc<Original>, Metainfo)>,
    /// Nothing lies there any more.
    pub(super) gone: Vec<PathBuf>,
}

/// What is to be read.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) place: PathBuf,
    pub(super) folder: Arc<Folder>,
    pub(super) original: Arc<Original>,
    pub(super) reading: Arc<Reading>,
}

impl Shelf {
    /// Compares with what a look has found.
    pub(super) fn update(&mut self, now: Instant, settle: Duration, look: Look) -> Change {
        let mut change = Change::default();
        self.entries.retain(|place, entry| {
            let stays = look
                .seen
                .get(place)
                .is_some_and(|seen| seen.original == entry.original && seen.folder == entry.folder);
            if !stays {
                match &entry.state {
                    State::Published(published) => change.withdrawn.push(published.clone()),
                    State::Reading(reading) => reading.stop(),
                    _ => {}
                }
                if !look.seen.contains_key(place) {
                    change.gone.push(place.clone());
                }
            }
            stays
        });
        for (place, Seen { folder, original, kept }) in look.seen {
            let entry = self.entries.entry(place.clone()).or_insert_with(|| Entry {
                folder: folder.clone(),
                original: original.clone(),
                state: State::Settling(now),
            });
            match &entry.state {
                State::Settling(_) if kept.is_some() => {
                    entry.state = State::Waiting;
                    change.kept.extend(kept.map(|metainfo| (place, folder, original, metainfo)));
                }
                State::Settling(since) if now.saturating_duration_since(*since) >= settle => {
                    entry.state = State::Waiting;
                }
                State::Refused { at, .. } if now.saturating_duration_since(*at) >= RETRY_AFTER => {
                    entry.state = State::Waiting;
                }
                _ => {}
            }
        }
        change
    }

    /// What is to be read next; one at a time, since disks like that best.
    pub(super) fn next_to_read(&mut self) -> Option<Job> {
        if self.entries.values().any(|entry| matches!(entry.state, State::Reading(_))) {
            return None;
        }
        let (place, entry) =
            self.entries.iter_mut().find(|(_, entry)| matches!(entry.state, State::Waiting))?;
        let reading = Arc::new(Reading { name: entry.original.name.clone(), ..Reading::default() });
        reading.tell(0, entry.original.octets());
        entry.state = State::Reading(reading.clone());
        let (folder, original) = (entry.folder.clone(), entry.original.clone());
        Some(Job { place: place.clone(), folder, original, reading })
    }

    /// Whether something waits to be looked at again soon.
    pub(super) fn is_settling(&self) -> bool {
        self.entries.values().any(|entry| matches!(entry.state, State::Settling(_)))
    }

    /// Whether an entry is still the one that was read.
    pub(super) fn is_current(&self, place: &Path, original: &Arc<Original>) -> bool {
        self.entries.get(place).is_some_and(|entry| Arc::ptr_eq(&entry.original, original))
    }

    /// It is published from here on.
    pub(super) fn publish(&mut self, place: &Path, published: Arc<Published>) {
        if let Some(entry) = self.entries.get_mut(place) {
            entry.state = State::Published(published);
        }
    }

    /// It could not be read.
    pub(super) fn refuse(&mut self, now: Instant, place: &Path, why: String) {
        if let Some(entry) = self.entries.get_mut(place) {
            entry.state = State::Refused { why, at: now };
        }
    }

    /// What is published.
    pub(super) fn published(&self) -> impl Iterator<Item = (&Path, &Arc<Published>)> {
        self.entries.iter().filter_map(|(place, entry)| match &entry.state {
            State::Published(published) => Some((place.as_path(), published)),
            _ => None,
        })
    }

    /// What is being read, or waits for it.
    pub(super) fn reading(&self) -> impl Iterator<Item = Arc<Reading>> {
        self.entries.values().filter_map(|entry| match &entry.state {
            State::Reading(reading) => Some(reading.clone()),
            State::Settling(_) | State::Waiting => {
                let reading = Reading { name: entry.original.name.clone(), ..Reading::default() };
                reading.tell(0, entry.original.octets());
                Some(Arc::new(reading))
            }
            _ => None,
        })
    }

    /// What could not be read, and why.
    pub(super) fn refused(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.entries.iter().filter_map(|(place, entry)| match &entry.state {
            State::Refused { why, .. } => Some((place.as_path(), why.as_str())),
            _ => None,
        })
    }

    /// What the next look need not find out anew.
    pub(super) fn known(&self) -> Known {
        let known = |(place, entry): (&PathBuf, &Entry)| {
            (place.clone(), (entry.folder.clone(), entry.original.clone()))
        };
        self.entries.iter().map(known).collect()
    }

    /// Stops reading.
    pub(super) fn stop(&self) {
        for entry in self.entries.values() {
            if let State::Reading(reading) = &entry.state {
                reading.stop();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kept::Kept;
    use super::*;
    use std::fs;

    const SETTLE: Duration = Duration::from_secs(2);

    #[test]
    fn what_grows_is_not_read_until_it_rests() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("files");
        fs::create_dir(&path).expect("a folder");
        let folders = [Arc::new(Folder::new(&path))];
        let kept = Kept::in_folder(folder.path());
        let mut shelf = Shelf::default();
        let start = Instant::now();
        let look = |shelf: &mut Shelf, seconds: u64| {
            let look = Look::at(&folders, &shelf.known(), &kept, 10);
            shelf.update(start + Duration::from_secs(seconds), SETTLE, look)
        };
        fs::write(path.join("film"), "a").expect("written");
        look(&mut shelf, 0);
        fs::write(path.join("film"), "ab").expect("written");
        look(&mut shelf, 1);
        fs::write(path.join("film"), "abc").expect("written");
        look(&mut shelf, 3);
        assert!(shelf.is_settling() && shelf.next_to_read().is_none());
        look(&mut shelf, 5);
        let job = shelf.next_to_read().expect("it rests");
        assert_eq!(job.original.octets(), 3);
        assert!(shelf.next_to_read().is_none(), "one at a time");
        assert!(shelf.is_current(&job.place, &job.original));

        // Changed while it is read: begins again.
        fs::write(path.join("film"), "abcd").expect("written");
        look(&mut shelf, 6);
        assert!(!job.reading.tell(1, 3), "it is told to stop");
        assert!(!shelf.is_current(&job.place, &job.original));
        look(&mut shelf, 8);
        let job = shelf.next_to_read().expect("it rests again");
        shelf.refuse(start + Duration::from_secs(9), &job.place, "no".to_owned());
        look(&mut shelf, 20);
        assert!(shelf.next_to_read().is_none(), "not at once");
        look(&mut shelf, 70);
        assert!(shelf.next_to_read().is_some(), "later again");

        fs::remove_file(path.join("film")).expect("removed");
        assert_eq!(look(&mut shelf, 71).gone, [path.canonicalize().expect("a path").join("film")]);
    }
}
