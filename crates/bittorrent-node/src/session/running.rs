//! Which torrents of a session run: by command, in turn, by the time of the week.

use super::queue::{self, Queued};
use super::record::Record;
use super::{Entry, Removed, Session, seconds_now};
use crate::Handle;
use crate::control::{ControlError, Data};
use crate::progress::{Progress, Stage};
use crate::schedule;
use bittorrent::metainfo::Magnet;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use storage::StorageError;

/// How long it is told which torrents were removed.
const REMOVED_SPAN: Duration = Duration::from_mins(1);
/// Removed torrents that are told of.
pub(super) const REMOVED_MAX: usize = 1_000;
/// How often counters are kept that change all the time.
const KEEP_INTERVAL: Duration = Duration::from_mins(1);
/// The same for those that nothing happens to: only their times grow.
const IDLE_KEEP_INTERVAL: Duration = Duration::from_hours(1);

impl Session {
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
            self.note_removed(*id, entry.record.hash.clone());
            removals.push(async move { entry.handle.remove(data).await });
        }
        self.tick().await;
        Ok(removals)
    }

    pub(super) fn note_removed(&mut self, id: i64, hash: String) {
        self.removed.push_back(Removed { at: Instant::now(), id, hash });
        if self.removed.len() > REMOVED_MAX {
            self.removed.pop_front();
        }
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
        self.forget_public_trackers().await;
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
        if now.saturating_duration_since(self.kept) >= KEEP_INTERVAL {
            // A thousand that do nothing are not written each minute.
            for entry in self.entries.values_mut() {
                entry.changed |= entry.busy >= self.kept || entry.written.elapsed() >= IDLE_KEEP_INTERVAL;
            }
            self.kept = now;
        }
        if let Err(error) = self.keep(false).await {
            tracing::error!(%error, "the torrents of the session cannot be kept");
        }
    }

    /// Once it is known what links lead to: the private ones have no trackers but their
    /// own (BEP 27).
    async fn forget_public_trackers(&mut self) {
        for entry in self.entries.values_mut().filter(|entry| entry.is_link) {
            if entry.handle.progress().borrow().pieces == 0 {
                continue;
            }
            entry.is_link = false;
            let link = entry.record.magnet.as_deref().and_then(|link| link.parse::<Magnet>().ok());
            let Some(link) = link.filter(|_| entry.record.trackers.is_some()) else { continue };
            // Fails only for a torrent that is being removed.
            let Ok(details) = entry.handle.details().await else { continue };
            if details.metainfo.is_some_and(|metainfo| metainfo.info.is_private()) {
                let own = link.trackers.chunks(1).map(<[String]>::to_vec).collect();
                let _ = entry.handle.set_trackers(own).await;
                (entry.record.trackers, entry.changed) = (None, true);
            }
        }
    }

    /// Takes in what others began in the engine, and lets go what they removed.
    pub(super) async fn follow_engine(&mut self) {
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
        } else if progress.stage == Stage::Seeding && self.record.halted && self.record.finished {
            // Its goal was lifted.
            (self.record.halted, self.record.finished, self.changed) = (false, false, true);
        }
    }
}
