//! One torrent of a session as it is kept between runs.

use super::settings::TorrentSettings;
use bittorrent::metainfo::InfoHashV1;
use bittorrent::torrent::Priority;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use storage::{StorageError, files};

/// The largest record, in octets: a million files.
const RECORD_OCTETS_MAX: u64 = 16 * 1024 * 1024;
/// The ends of the names of records.
const SUFFIX: &str = ".session";

/// A torrent between two runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default)]
pub(crate) struct Record {
    /// Its info-hash as it is on the wire, in hexadecimal digits.
    pub(crate) hash: String,
    /// The link it was added by, while its info dictionary may not be here.
    pub(crate) magnet: Option<String>,
    pub(crate) trackers: Option<Vec<Vec<String>>>,
    /// Below which folder its files lie.
    pub(crate) folder: PathBuf,
    /// Told to stop.
    pub(crate) halted: bool,
    /// Told to run whatever the queue says.
    pub(crate) forced: bool,
    /// Stopped because it has seeded enough.
    pub(crate) finished: bool,
    /// Its place in the queue.
    pub(crate) queue_position: usize,
    /// How much each file is wanted: -2 not at all, -1, 0 or 1; files behind the
    /// end as usual.
    pub(crate) priorities: Vec<i8>,
    pub(crate) settings: TorrentSettings,
    /// In seconds since 1970; 0 for never.
    pub(crate) added: i64,
    pub(crate) started: i64,
    pub(crate) done: i64,
    pub(crate) active: i64,
    pub(crate) edited: i64,
    pub(crate) seconds_downloading: u64,
    pub(crate) seconds_seeding: u64,
    /// Octets received in earlier runs.
    pub(crate) received_before: u64,
    /// Octets of bad pieces in earlier runs.
    pub(crate) corrupt_before: u64,
}

/// The number a priority is kept and told by.
pub(crate) fn number(priority: Priority) -> i8 {
    match priority {
        Priority::Skip => -2,
        Priority::Low => -1,
        Priority::Normal => 0,
        Priority::High => 1,
    }
}

fn priority(number: i8) -> Priority {
    match number {
        i8::MIN..=-2 => Priority::Skip,
        -1 => Priority::Low,
        0 => Priority::Normal,
        1.. => Priority::High,
    }
}

impl Record {
    /// How much files are wanted.
    pub(crate) fn priorities(&self) -> Vec<(usize, Priority)> {
        self.priorities.iter().map(|number| priority(*number)).enumerate().collect()
    }

    fn file(data: &Path, hash: &str) -> PathBuf {
        data.join("torrents").join(format!("{hash}{SUFFIX}"))
    }

    /// Writes it durably.
    pub(crate) fn write(&self, data: &Path) -> Result<(), StorageError> {
        files::write_atomically(&Self::file(data, &self.hash), &self.encode(), files::SECRET)
    }

    /// Deletes it durably.
    pub(crate) fn forget(data: &Path, hash: &str) -> Result<(), StorageError> {
        files::remove(&Self::file(data, hash))
    }

    /// All that are kept in a data folder, in the order of the queue. One that
    /// cannot be read is told of, and left as it is.
    pub(crate) fn read_all(data: &Path) -> Result<Vec<Self>, StorageError> {
        let mut records = Vec::new();
        for file in files::list(&data.join("torrents"), SUFFIX)? {
            let read = files::read(&file, RECORD_OCTETS_MAX)?;
            let record = read.as_deref().and_then(Self::decode);
            match record.filter(|record| Self::file(data, &record.hash) == file) {
                Some(record) => records.push(record),
                None => {
                    tracing::warn!(file = %file.display(), "this is no torrent of a session; passed over");
                }
            }
        }
        records.sort_by_key(|record| record.queue_position);
        Ok(records)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        // All of it can be written as JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(crate) fn decode(octets: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(octets).ok().filter(|record| record.settings.check().is_ok())
    }

    /// The info-hash by which things about it are noted.
    pub(crate) fn info_hash(&self) -> Option<InfoHashV1> {
        self.hash.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_in_the_order_of_the_queue_and_garbage_is_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(Record::read_all(folder.path()).expect("nothing is no error"), []);
        let record = |digit: char, queue_position| Record {
            hash: digit.to_string().repeat(40),
            folder: "/films".into(),
            queue_position,
            priorities: vec![-2, -1, 0, 1, 100],
            ..Record::default()
        };
        let (first, second) = (record('b', 0), record('a', 1));
        for record in [&second, &first] {
            record.write(folder.path()).expect("written");
        }
        let garbage = folder.path().join("torrents/garbage.session");
        for octets in [&b"{}"[..], b"", b"[", b"{\"hash\": 5}", &[0xff; 50]] {
            std::fs::write(&garbage, octets).expect("written");
            assert_eq!(Record::read_all(folder.path()).expect("read"), [first.clone(), second.clone()]);
        }
        let wanted: Vec<Priority> = first.priorities().into_iter().map(|(_, priority)| priority).collect();
        let four = [Priority::Skip, Priority::Low, Priority::Normal, Priority::High];
        assert_eq!(wanted[..4], four);
        assert_eq!(four.map(number), [-2, -1, 0, 1]);
        Record::forget(folder.path(), &first.hash).expect("forgotten");
        assert_eq!(Record::read_all(folder.path()).expect("read"), [second]);
    }
}
