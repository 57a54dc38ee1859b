//! A session: the torrents that a user has, kept between runs, with what is set
//! for them, and a queue that says which of them run.
//!
//! What is added is on the disk before it is answered. One task owns a session;
//! [`Session::tick`] is called once a second.

mod adding;
mod queue;
mod record;
mod running;
mod settings;
#[cfg(test)]
mod tests;

pub(crate) use adding::tiers;
pub use adding::{AddError, Added, NewTorrent};
pub use settings::{KILOBYTE, SessionSettings, TorrentSettings};

pub(crate) use record::number;
pub(crate) use settings::{merged, plain};

use crate::progress::{Progress, Stage};
use crate::rules::Rules;
use crate::{Engine, EngineError, Handle, Limits, Names, read_ip_filter};
use bittorrent::ip_filter::IpFilter;
use net::Network;
pub(crate) use record::Record;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use storage::{StorageError, files};

/// Torrents of one session.
pub const TORRENTS_MAX: usize = 10_000;
/// The largest file of settings, in octets.
const SETTINGS_OCTETS_MAX: u64 = 1024 * 1024;

/// Why a session did not open.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The disk fails.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The engine does not take a torrent.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// The torrents of a user.
#[derive(Debug)]
pub struct Session {
    engine: Engine,
    network: Network,
    names: Names,
    data: PathBuf,
    settings: SessionSettings,
    entries: BTreeMap<i64, Entry>,
    torrents_max: usize,
    next_id: i64,
    removed: VecDeque<Removed>,
    /// Whether the schedule said that the alternative limits hold.
    scheduled: Option<bool>,
    rules: Rules,
    filter_ranges: Arc<AtomicUsize>,
    kept: Instant,
    began: Instant,
}

/// A torrent that was removed.
#[derive(Debug)]
struct Removed {
    at: Instant,
    id: i64,
    hash: String,
}

/// One torrent of a session.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) handle: Handle,
    pub(crate) record: Record,
    /// Kept between runs; one that the command line began is not.
    lasting: bool,
    /// The record was changed since it was written.
    changed: bool,
    /// Something was set for it: what the command line set before no longer holds.
    set: bool,
    /// What it is was not known yet: a link of which nothing has come.
    is_link: bool,
    /// When that was.
    written: Instant,
    /// When it last sent or received anything, or began.
    busy: Instant,
    ticked: Instant,
}

impl Entry {
    fn new(handle: Handle, record: Record, lasting: bool) -> Self {
        let now = Instant::now();
        let is_link = record.magnet.is_some() && handle.progress().borrow().pieces == 0;
        let (changed, set) = (false, false);
        Self { handle, record, lasting, changed, written: now, set, is_link, busy: now, ticked: now }
    }

    pub(crate) fn progress(&self) -> Progress {
        self.handle.progress().borrow().clone()
    }

    /// All that is wanted is here.
    pub(crate) fn is_complete(progress: &Progress) -> bool {
        progress.pieces > 0 && progress.left_octets == 0 && progress.stage != Stage::Checking
    }

    /// Whether it runs and nothing has happened for `minutes`.
    pub(crate) fn is_stalled(&self, minutes: u64) -> bool {
        self.busy.elapsed() >= Duration::from_secs(minutes.saturating_mul(60))
    }
}

/// Seconds since 1970.
pub(crate) fn seconds_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

impl Session {
    /// Opens the session of a data folder: its torrents go on as they were, by `rules`.
    /// Torrents that run in the engine already are part of it, too, for this run.
    ///
    /// # Errors
    /// When the disk fails, or the engine is stopping.
    pub async fn open(
        engine: Engine,
        network: Network,
        names: Names,
        data: &Path,
        folder: &Path,
        rules: Rules,
    ) -> Result<Self, SessionError> {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let from = data.to_owned();
        let read = tokio::task::spawn_blocking(move || -> Result<_, StorageError> {
            Ok((read_settings(&from)?, Record::read_all(&from)?))
        });
        let (settings, records) = read.await.map_err(|_| EngineError::Stopping)??;
        let settings = settings
            .unwrap_or_else(|| SessionSettings { download_dir: folder, ..SessionSettings::default() });
        let now = Instant::now();
        let mut session = Self {
            engine,
            network,
            names,
            data: data.to_owned(),
            rules,
            settings,
            entries: BTreeMap::new(),
            torrents_max: TORRENTS_MAX,
            next_id: 1,
            removed: VecDeque::new(),
            scheduled: None,
            filter_ranges: Arc::default(),
            kept: now,
            began: now,
        };
        session.follow_engine().await;
        for record in records.into_iter().take(TORRENTS_MAX) {
            session.restore(record).await?;
        }
        if session.settings.blocklist_enabled
            && let Err(error) = session.filter_loading().await
        {
            tracing::error!(error, "the IP filter cannot be read");
        }
        session.apply_limits().await?;
        session.tick().await;
        Ok(session)
    }

    /// What is set for all torrents.
    pub fn settings(&self) -> &SessionSettings {
        &self.settings
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn filter_ranges(&self) -> usize {
        self.filter_ranges.load(Ordering::Relaxed)
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.began.elapsed()
    }

    /// All torrents by their ids.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (i64, &Entry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    pub(crate) fn entry(&self, id: i64) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// The torrent with an info-hash, in hexadecimal digits.
    pub(crate) fn find(&self, hash: &str) -> Option<i64> {
        let hash = hash.to_ascii_lowercase();
        let is_it = |entry: &Entry| entry.handle.hashes().wire().any(|other| other.to_string() == hash);
        self.entries.iter().find(|(_, entry)| entry.record.hash == hash || is_it(entry)).map(|(id, _)| *id)
    }

    /// Those that were removed a moment ago.
    pub(crate) fn removed(&self) -> impl Iterator<Item = i64> {
        self.removed.iter().map(|removed| removed.id)
    }

    /// Changes a torrent's record; it is on the disk when this returns.
    pub(crate) async fn change(&mut self, id: i64, change: impl FnOnce(&mut Record)) -> Result<(), String> {
        let Some(entry) = self.entries.get_mut(&id) else { return Err("no such torrent".to_owned()) };
        change(&mut entry.record);
        entry.record.edited = seconds_now();
        entry.changed = true;
        self.keep(false).await.map_err(|error| error.to_string())
    }

    /// Writes the records that were changed, or all.
    async fn keep(&mut self, all: bool) -> Result<(), StorageError> {
        let mut records = Vec::new();
        for entry in self.entries.values_mut().filter(|entry| entry.lasting && (all || entry.changed)) {
            entry.changed = false;
            entry.written = Instant::now();
            let mut record = entry.record.clone();
            let progress = entry.handle.progress().borrow().clone();
            record.received_before += progress.received_octets;
            record.corrupt_before += progress.bad_pieces;
            records.push(record);
        }
        let data = self.data.clone();
        let written =
            tokio::task::spawn_blocking(move || records.iter().try_for_each(|record| record.write(&data)));
        written.await.unwrap_or(Err(StorageError::Closed))
    }

    /// Changes what is set for all torrents; it is on the disk when this returns.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub async fn set_settings(&mut self, settings: SessionSettings) -> Result<(), String> {
        settings.check()?;
        let octets = serde_json::to_vec_pretty(&settings).map_err(|error| error.to_string())?;
        let file = settings_file(&self.data);
        let written =
            tokio::task::spawn_blocking(move || files::write_atomically(&file, &octets, files::SECRET));
        let written = written.await.map_err(|error| error.to_string())?;
        written.map_err(|error| error.to_string())?;
        let before = std::mem::replace(&mut self.settings, settings);
        if before.alt_speed_time_enabled != self.settings.alt_speed_time_enabled {
            self.scheduled = None;
        }
        if before.blocklist_enabled != self.settings.blocklist_enabled {
            let loading = self.filter_loading();
            if self.settings.blocklist_enabled {
                // It may be long, or far away.
                tokio::spawn(async move {
                    if let Err(error) = loading.await {
                        tracing::error!(error, "the IP filter cannot be read; the one before holds");
                    }
                });
            } else {
                loading.await?;
            }
        }
        self.apply_limits().await.map_err(|error| error.to_string())?;
        let ids: Vec<i64> = self.entries.keys().copied().collect();
        for id in ids {
            self.apply_settings(id).await;
        }
        self.tick().await;
        Ok(())
    }

    /// Changes what is set for one torrent.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub(crate) async fn set_torrent(&mut self, id: i64, settings: TorrentSettings) -> Result<(), String> {
        settings.check()?;
        self.change(id, |record| record.settings = settings).await?;
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.set = true;
        }
        self.apply_settings(id).await;
        Ok(())
    }

    /// Has the engine do what is set for a torrent.
    async fn apply_settings(&self, id: i64) {
        let Some(entry) = self.entries.get(&id).filter(|entry| entry.lasting || entry.set) else {
            return;
        };
        let settings = &entry.record.settings;
        // Fails only for a torrent that is being removed.
        let _ = entry.handle.set_rates(settings.rates()).await;
        let _ = entry.handle.set_seeding_goal(settings.goal(&self.settings)).await;
        let _ = entry.handle.set_connections_max(settings.peer_limit).await;
        let _ = entry.handle.set_sequential(settings.sequential_download).await;
    }

    async fn apply_limits(&self) -> Result<(), EngineError> {
        let limits = Limits {
            rates: self.settings.rates(),
            connections_max: self.settings.peer_limit_global,
            ..Limits::default()
        };
        self.engine.set_limits(limits).await
    }

    /// Reads the IP filter again; gives how many ranges it has. Others are answered
    /// meanwhile.
    pub(crate) fn filter_loading(&self) -> impl Future<Output = Result<usize, String>> + Send + use<> {
        let place = self.settings.blocklist_enabled.then(|| self.settings.blocklist_url.clone());
        let (network, names) = (self.network.clone(), self.names.clone());
        let (engine, ranges) = (self.engine.clone(), self.filter_ranges.clone());
        async move {
            let filter = match place {
                Some(place) => filter_at(&network, &names, &place).await?,
                None => IpFilter::default(),
            };
            let count = filter.len();
            engine.set_ip_filter(Arc::new(filter)).await.map_err(|error| error.to_string())?;
            ranges.store(count, Ordering::Relaxed);
            Ok(count)
        }
    }

    /// Keeps all that has changed. The engine is to be stopped after.
    pub async fn close(&mut self) {
        if let Err(error) = self.keep(true).await {
            tracing::error!(%error, "the torrents of the session cannot be kept");
        }
    }
}

fn settings_file(data: &Path) -> PathBuf {
    data.join("torrents").join("settings.json")
}

fn read_settings(data: &Path) -> Result<Option<SessionSettings>, StorageError> {
    let file = settings_file(data);
    let Some(octets) = files::read(&file, SETTINGS_OCTETS_MAX)? else { return Ok(None) };
    let read = serde_json::from_slice::<SessionSettings>(&octets).map_err(|error| error.to_string());
    match read.and_then(|settings| settings.check().map(|()| settings)) {
        Ok(settings) => Ok(Some(settings)),
        Err(error) => {
            tracing::error!(file = %file.display(), error, "these settings cannot be used; the usual ones hold");
            Ok(None)
        }
    }
}

/// The list of addresses at a place: a file of this machine, or http(s).
async fn filter_at(network: &Network, names: &Names, place: &str) -> Result<IpFilter, String> {
    if place.starts_with("http://") || place.starts_with("https://") {
        let octets = crate::fetch(network, names, place).await.map_err(|error| error.to_string())?;
        let read = tokio::task::spawn_blocking(move || IpFilter::read(&octets)).await;
        let read = read.map_err(|error| error.to_string())?;
        let (filter, summary) = read.map_err(|error| format!("{place}: {error}"))?;
        if summary.entries == 0 {
            return Err(format!("{place}: no line of it names addresses; is it compressed?"));
        }
        return Ok(filter);
    }
    let file = PathBuf::from(place.trim_start_matches("file://"));
    let read = tokio::task::spawn_blocking(move || read_ip_filter(&file)).await;
    Ok(read.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?.0)
}
