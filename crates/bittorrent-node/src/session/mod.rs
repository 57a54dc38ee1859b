//! A session: the torrents that a user has, kept between runs, with what is set
//! for them, and a queue that says which of them run.
//!
//! What is added is on the disk before it is answered. One task owns a session;
//! [`Session::tick`] is called once a second.

mod adding;
mod queue;
mod record;
mod schedule;
mod settings;

pub(crate) use adding::tiers;
pub use adding::{AddError, Added, NewTorrent};
pub use settings::{SessionSettings, TorrentSettings};

pub(crate) use record::number;
pub(crate) use settings::{merged, plain};

use crate::progress::{Progress, Stage};
use crate::{ControlError, Data, Engine, EngineError, Handle, Limits, Names, read_ip_filter};
use bittorrent::ip_filter::IpFilter;
use net::Network;
use queue::Queued;
use record::Record;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use storage::{StorageError, files};

/// Torrents of one session.
pub const TORRENTS_MAX: usize = 10_000;
/// How long it is told which torrents were removed.
const REMOVED_SPAN: Duration = Duration::from_mins(1);
/// Removed torrents that are told of.
const REMOVED_MAX: usize = 1_000;
/// How often counters are kept that change all the time.
const KEEP_INTERVAL: Duration = Duration::from_mins(1);
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
    next_id: i64,
    removed: VecDeque<Removed>,
    /// Whether the schedule said that the alternative limits hold.
    scheduled: Option<bool>,
    filter_ranges: usize,
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
    /// When it last sent or received anything, or began.
    busy: Instant,
    ticked: Instant,
}

impl Entry {
    fn new(handle: Handle, record: Record, lasting: bool) -> Self {
        let now = Instant::now();
        Self { handle, record, lasting, changed: false, busy: now, ticked: now }
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
    /// Opens the session of a data folder: its torrents go on as they were.
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
            settings,
            entries: BTreeMap::new(),
            next_id: 1,
            removed: VecDeque::new(),
            scheduled: None,
            filter_ranges: 0,
            kept: now,
            began: now,
        };
        session.follow_engine().await;
        for record in records.into_iter().take(TORRENTS_MAX) {
            session.restore(record).await?;
        }
        if session.settings.blocklist_enabled
            && let Err(error) = session.load_filter().await
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
        self.filter_ranges
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
            self.load_filter().await.map(drop)?;
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
        self.apply_settings(id).await;
        Ok(())
    }

    /// Has the engine do what is set for a torrent.
    async fn apply_settings(&self, id: i64) {
        let Some(entry) = self.entries.get(&id).filter(|entry| entry.lasting || entry.changed) else {
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

    /// Reads the IP filter again; how many ranges it has.
    pub(crate) async fn load_filter(&mut self) -> Result<usize, String> {
        let place = self.settings.blocklist_url.clone();
        let filter = if !self.settings.blocklist_enabled {
            IpFilter::default()
        } else if place.starts_with("http://") || place.starts_with("https://") {
            let fetched = crate::fetch(&self.network, &self.names, &place).await;
            let octets = fetched.map_err(|error| error.to_string())?;
            let (filter, summary) = IpFilter::read(&octets).map_err(|error| format!("{place}: {error}"))?;
            if summary.entries == 0 {
                return Err(format!("{place}: no line of it names addresses"));
            }
            filter
        } else {
            let file = PathBuf::from(place.trim_start_matches("file://"));
            let read = tokio::task::spawn_blocking(move || read_ip_filter(&file)).await;
            read.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?.0
        };
        self.filter_ranges = filter.len();
        let set = self.engine.set_ip_filter(Arc::new(filter)).await;
        set.map_err(|error| error.to_string())?;
        Ok(self.filter_ranges)
    }

    /// Has torrents run, or stop. `forced`: whatever the queue says.
    pub(crate) async fn start(&mut self, ids: &[i64], forced: bool) -> Result<(), String> {
        for id in ids {
            let Some(entry) = self.entries.get_mut(id) else { continue };
            (entry.record.halted, entry.record.finished) = (false, false);
            entry.record.forced = forced;
            entry.record.started = seconds_now();
            (entry.changed, entry.busy) = (true, Instant::now());
            // After an error it goes on, too.
            if matches!(entry.progress().stage, Stage::Paused(_) | Stage::Done) {
                let _ = entry.handle.resume().await;
            }
        }
        self.keep(false).await.map_err(|error| error.to_string())?;
        self.tick().await;
        Ok(())
    }

    pub(crate) async fn stop(&mut self, ids: &[i64]) -> Result<(), String> {
        for id in ids {
            let Some(entry) = self.entries.get_mut(id) else { continue };
            (entry.record.halted, entry.record.forced, entry.changed) = (true, false, true);
            let _ = entry.handle.pause().await;
        }
        self.keep(false).await.map_err(|error| error.to_string())?;
        self.tick().await;
        Ok(())
    }

    /// Forgets torrents. What is to be waited for until their files are as `data`
    /// says.
    pub(crate) async fn remove(
        &mut self,
        ids: &[i64],
        data: Data,
    ) -> Result<Vec<impl Future<Output = Result<(), ControlError>> + Send + use<>>, String> {
        let mut removals = Vec::new();
        for id in ids {
            let Some(entry) = self.entries.get(id) else { continue };
            let (folder, hash) = (self.data.clone(), entry.record.hash.clone());
            let forgotten = tokio::task::spawn_blocking(move || Record::forget(&folder, &hash)).await;
            forgotten.unwrap_or(Err(StorageError::Closed)).map_err(|error| error.to_string())?;
            let Some(entry) = self.entries.remove(id) else { continue };
            self.removed.push_back(Removed { at: Instant::now(), id: *id, hash: entry.record.hash.clone() });
            if self.removed.len() > REMOVED_MAX {
                self.removed.pop_front();
            }
            removals.push(async move { entry.handle.remove(data).await });
        }
        self.tick().await;
        Ok(removals)
    }

    /// Moves torrents in the queue: `place` gives a torrent's new position from its
    /// old one and the number of torrents.
    pub(crate) async fn requeue(
        &mut self,
        ids: &[i64],
        place: impl Fn(usize, usize) -> usize,
    ) -> Result<(), String> {
        let mut order: Vec<i64> = self.entries.keys().copied().collect();
        order.sort_by_key(|id| self.entries.get(id).map(|entry| entry.record.queue_position));
        let count = order.len();
        for id in ids {
            let Some(at) = order.iter().position(|other| other == id) else { continue };
            order.remove(at);
            order.insert(place(at, count).min(order.len()), *id);
        }
        for (position, id) in order.iter().enumerate() {
            if let Some(entry) =
                self.entries.get_mut(id).filter(|entry| entry.record.queue_position != position)
            {
                entry.record.queue_position = position;
                entry.changed = true;
            }
        }
        self.keep(false).await.map_err(|error| error.to_string())?;
        self.tick().await;
        Ok(())
    }

    /// Once a second, and after each change: counts times, follows the schedule,
    /// and has those run whose turn it is.
    pub async fn tick(&mut self) {
        let now = Instant::now();
        self.removed.retain(|removed| now.saturating_duration_since(removed.at) < REMOVED_SPAN);
        self.follow_engine().await;
        self.follow_schedule().await;
        let mut queued = Vec::new();
        let mut states = Vec::new();
        for (id, entry) in &mut self.entries {
            let progress = entry.handle.progress().borrow().clone();
            entry.count(now, &progress);
            let stalled = entry.is_stalled(self.settings.queue_stalled_minutes);
            let runs = matches!(progress.stage, Stage::Metadata | Stage::Downloading | Stage::Seeding);
            let waits = progress.stage == Stage::Halted;
            if (runs || waits) && !entry.record.halted {
                queued.push(Queued {
                    id: *id,
                    position: entry.record.queue_position,
                    complete: Entry::is_complete(&progress),
                    forced: entry.record.forced,
                    stalled,
                    runs,
                });
                states.push((*id, runs));
            }
        }
        let running: BTreeSet<i64> = queue::running(&self.settings, &queued).into_iter().collect();
        for (id, runs) in states {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            // Fails only for a torrent that is being removed.
            match (runs, running.contains(&id)) {
                (false, true) => {
                    entry.busy = now;
                    let _ = entry.handle.resume().await;
                }
                (true, false) => drop(entry.handle.pause().await),
                _ => {}
            }
        }
        let all = now.saturating_duration_since(self.kept) >= KEEP_INTERVAL;
        if all {
            self.kept = now;
        }
        if let Err(error) = self.keep(all).await {
            tracing::error!(%error, "the torrents of the session cannot be kept");
        }
    }

    /// Takes in what others began in the engine, and lets go what they removed.
    async fn follow_engine(&mut self) {
        // Fails only while the engine is stopping.
        let Ok(handles) = self.engine.torrents().await else { return };
        let name = |handle: &Handle| handle.hashes().wire().next().map(|hash| hash.to_string());
        let names: BTreeSet<String> = handles.iter().filter_map(name).collect();
        self.entries.retain(|_, entry| entry.lasting || names.contains(&entry.record.hash));
        let known = self.entries.values().map(|entry| &entry.record.hash);
        // One that was removed may take a while to end.
        let known: BTreeSet<String> =
            known.chain(self.removed.iter().map(|removed| &removed.hash)).cloned().collect();
        for handle in handles {
            if name(&handle).is_some_and(|hash| !known.contains(&hash)) {
                self.adopt(handle).await;
            }
        }
    }

    async fn follow_schedule(&mut self) {
        let Some(schedule) = self.settings.schedule() else { return };
        let (day, minute) = schedule::now();
        let holds = schedule.holds(day, minute);
        // Between its begin and its end the user may say otherwise.
        if self.scheduled != Some(holds) {
            self.scheduled = Some(holds);
            self.settings.alt_speed_enabled = holds;
            // Fails only while the engine is stopping.
            let _ = self.apply_limits().await;
        }
    }

    /// Keeps all that has changed. The engine is to be stopped after.
    pub async fn close(&mut self) {
        if let Err(error) = self.keep(true).await {
            tracing::error!(%error, "the torrents of the session cannot be kept");
        }
    }
}

impl Entry {
    fn count(&mut self, now: Instant, progress: &Progress) {
        let passed = now.saturating_duration_since(self.ticked).as_secs();
        if passed > 0 {
            self.ticked += Duration::from_secs(passed);
        }
        match progress.stage {
            Stage::Downloading | Stage::Metadata => self.record.seconds_downloading += passed,
            Stage::Seeding => self.record.seconds_seeding += passed,
            _ => {}
        }
        if progress.received_per_second > 0.0 || progress.sent_per_second > 0.0 {
            self.busy = now;
            self.record.active = seconds_now();
        }
        if Self::is_complete(progress) && self.record.done == 0 {
            self.record.done = seconds_now();
            self.changed = true;
        }
        if progress.stage == Stage::Done && !self.record.halted {
            (self.record.halted, self.record.finished, self.changed) = (true, true, true);
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
