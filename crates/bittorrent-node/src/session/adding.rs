//! How torrents come into a session: added by the user, restored from the disk, or
//! begun by somebody else.

use super::record::{self, Record};
use super::{Entry, Session, SessionError, TORRENTS_MAX, TorrentSettings, seconds_now};
use crate::content::metainfo_file;
use crate::{Handle, Options, What};
use bittorrent::metainfo::{Limits, Magnet, Metainfo};
use bittorrent::torrent::Priority;
use std::path::PathBuf;
use std::sync::Arc;
use storage::{StorageError, files};

/// A torrent to be added.
#[derive(Debug, Clone)]
pub struct NewTorrent {
    /// What it is made of.
    pub what: What,
    /// Below which folder its files lie; as the session says where absent.
    pub folder: Option<PathBuf>,
    /// Whether it waits to be started; as the session says where absent.
    pub halted: Option<bool>,
    /// How much files are wanted, by their numbers in the info dictionary.
    pub priorities: Vec<(usize, Priority)>,
    /// What is set for it.
    pub settings: TorrentSettings,
}

/// What came of an addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// The torrent's number in this run.
    pub id: i64,
    /// It was there already.
    pub duplicate: bool,
}

/// Why a torrent was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// There are as many as may be.
    #[error("the session has {TORRENTS_MAX} torrents, which is as many as it may: remove one first")]
    Full,
    /// It was removed a moment ago, and what was noted of it still goes.
    #[error("the torrent is being removed: add it again in a moment")]
    BeingRemoved,
    /// A link without info-hash.
    #[error("the link names no info-hash")]
    NoHash,
    /// What is set for it cannot be.
    #[error("{0}")]
    Settings(String),
    /// It cannot be kept, or the engine is stopping.
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl Session {
    /// Adds a torrent. It is on the disk when this returns.
    ///
    /// # Errors
    /// Why not; then nothing is there of it.
    pub async fn add(&mut self, new: NewTorrent) -> Result<Added, AddError> {
        new.settings.check().map_err(AddError::Settings)?;
        let hashes = match &new.what {
            What::Metainfo(metainfo) => metainfo.info.hashes(),
            What::Magnet(magnet) => magnet.hashes,
        };
        let hash = hashes.wire().next().ok_or(AddError::NoHash)?;
        if let Some(id) = hashes.wire().find_map(|hash| self.find(&hash.to_string())) {
            return Ok(Added { id, duplicate: true });
        }
        if self.entries.len() >= self.torrents_max {
            return Err(AddError::Full);
        }
        let running = self.engine.torrents().await.map_err(SessionError::from)?;
        let is_it = |other: &Handle| hashes.wire().any(|hash| other.hashes().wire().any(|its| its == hash));
        if running.iter().any(is_it) {
            return Err(AddError::BeingRemoved);
        }
        let folder = new.folder.unwrap_or_else(|| self.settings.download_dir.clone());
        let mut numbers = vec![0; new.priorities.iter().map(|(file, _)| file + 1).max().unwrap_or(0)];
        for (file, priority) in &new.priorities {
            if let Some(place) = numbers.get_mut(*file) {
                *place = record::number(*priority);
            }
        }
        let now = seconds_now();
        let halted = new.halted.unwrap_or(!self.settings.start_added_torrents);
        let record = Record {
            hash: hash.to_string(),
            magnet: match &new.what {
                What::Magnet(magnet) => Some(magnet.to_string()),
                What::Metainfo(_) => None,
            },
            trackers: self.more_trackers(&new.what),
            folder: std::path::absolute(&folder).unwrap_or(folder),
            halted,
            queue_position: self.end_of_queue(),
            priorities: numbers,
            settings: new.settings,
            added: now,
            started: if halted { 0 } else { now },
            ..Record::default()
        };
        let (data, kept, what) = (self.data.clone(), record.clone(), new.what.clone());
        let written = tokio::task::spawn_blocking(move || -> Result<(), StorageError> {
            if let What::Metainfo(metainfo) = what {
                files::write_atomically(&metainfo_file(&data, &hash), &metainfo.encode(), files::SECRET)?;
            }
            kept.write(&data)
        });
        written.await.unwrap_or(Err(StorageError::Closed)).map_err(SessionError::from)?;
        let id = match self.begin(record, new.what).await {
            Ok(id) => id,
            Err(error) => {
                let data = self.data.clone();
                let forget = move || {
                    let _ = files::remove(&metainfo_file(&data, &hash));
                    Record::forget(&data, &hash.to_string())
                };
                let _ = tokio::task::spawn_blocking(forget).await;
                return Err(error.into());
            }
        };
        self.tick().await;
        Ok(Added { id, duplicate: false })
    }

    fn end_of_queue(&self) -> usize {
        self.entries.values().map(|entry| entry.record.queue_position + 1).max().unwrap_or(0)
    }

    /// Its trackers and those that each public torrent gets; nothing where there
    /// are no more than its own.
    fn more_trackers(&self, what: &What) -> Option<Vec<Vec<String>>> {
        let more: Vec<Vec<String>> = tiers(&self.settings.default_trackers);
        let mut tiers = match what {
            What::Metainfo(metainfo) if metainfo.info.is_private() => return None,
            What::Metainfo(metainfo) => metainfo.trackers.clone(),
            What::Magnet(magnet) => magnet.trackers.chunks(1).map(<[String]>::to_vec).collect(),
        };
        if more.is_empty() {
            return None;
        }
        tiers.extend(more);
        Some(tiers)
    }

    /// Has the engine take a torrent. It waits for its turn.
    async fn begin(&mut self, record: Record, what: What) -> Result<i64, SessionError> {
        let options = Options {
            rules: bittorrent::torrent::Settings {
                sequential: record.settings.sequential_download,
                seeding_goal: record.settings.goal(&self.settings),
                ..self.rules.settings()
            },
            download_per_second: record.settings.rates().download,
            upload_per_second: record.settings.rates().upload,
            connections_max: record.settings.peer_limit,
            named_peers: match &what {
                What::Magnet(magnet) => magnet.peers.clone(),
                What::Metainfo(_) => Vec::new(),
            },
            selection: match &what {
                What::Magnet(magnet) => magnet.selection.clone(),
                What::Metainfo(_) => None,
            },
            priorities: record.priorities(),
            halted: true,
            ..Options::new(record.folder.clone())
        };
        let handle = self.engine.add(what, options).await?;
        if let Some(tiers) = record.trackers.clone() {
            // Those that it cannot announce to were refused before.
            let _ = handle.set_trackers(tiers).await;
        }
        Ok(self.enter(Entry::new(handle, record, true)))
    }

    fn enter(&mut self, entry: Entry) -> i64 {
        let id = self.next_id;
        self.next_id += 1;
        self.entries.insert(id, entry);
        id
    }

    /// A torrent of an earlier run.
    pub(super) async fn restore(&mut self, record: Record) -> Result<(), SessionError> {
        if self.find(&record.hash).is_some() {
            return Ok(());
        }
        let Some(hash) = record.info_hash() else { return Ok(()) };
        let file = metainfo_file(&self.data, &hash);
        let limits = Limits::DEFAULT;
        let read =
            tokio::task::spawn_blocking(move || files::read(&file, limits.metainfo_octets_max as u64)).await;
        let octets = read.unwrap_or(Err(StorageError::Closed))?;
        let metainfo = octets.and_then(|octets| Metainfo::parse(&octets, &limits).ok());
        let is_it = |metainfo: &Metainfo| metainfo.info.hashes().wire().any(|other| other == hash);
        let magnet = record.magnet.as_ref().and_then(|link| link.parse::<Magnet>().ok());
        let what = match (magnet, metainfo.filter(is_it)) {
            // The engine finds by itself what is known of a link.
            (Some(magnet), _) => What::Magnet(Box::new(magnet)),
            (None, Some(metainfo)) => What::Metainfo(Arc::new(metainfo)),
            (None, None) => {
                tracing::error!(torrent = record.hash, "its metainfo is not there any more; add it again");
                return Ok(());
            }
        };
        self.begin(record, what).await.map(drop)
    }

    /// A torrent that somebody else began: it is part of the session in this run.
    pub(super) async fn adopt(&mut self, handle: Handle) {
        let Ok(details) = handle.details().await else { return };
        let hash = handle.hashes().wire().next().map(|hash| hash.to_string()).unwrap_or_default();
        let now = seconds_now();
        let record = Record {
            hash,
            folder: details.folder,
            forced: true,
            queue_position: self.end_of_queue(),
            added: now,
            started: now,
            ..Record::default()
        };
        self.enter(Entry::new(handle, record, false));
    }
}

/// Trackers as they are written: one a line, tiers parted by empty lines.
pub(crate) fn tiers(text: &str) -> Vec<Vec<String>> {
    let mut tiers = vec![Vec::new()];
    for line in text.lines().map(str::trim) {
        match (line.is_empty(), tiers.last_mut()) {
            (true, _) => tiers.push(Vec::new()),
            (false, Some(tier)) => tier.push(line.to_owned()),
            (false, None) => {}
        }
    }
    tiers.retain(|tier| !tier.is_empty());
    tiers
}
