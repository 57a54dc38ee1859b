//! The task that publishes: it looks at the folders, has files read, and tells the
//! engine, the tracker and the pages what is there.

use super::config::{Config, Folder};
use super::kept::Kept;
use super::look::{Look, real};
use super::published::{Addresses, Published};
use super::seeding::{Seeding, engine_part};
use super::shelf::{Job, Shelf};
use super::{Listed, Listing, Parts};
use crate::control::{Data, Handle};
use crate::engine::Limits;
use crate::engine::What;
use crate::original::{LeftOut, Making, Original, OriginalError};
use crate::progress::Stage;
use crate::swarm::Options;
use arc_swap::ArcSwap;
use bittorrent::ip_filter::IpFilter;
use bittorrent::metainfo::Metainfo;
use event::BittorrentEvent;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant as Ticks;

/// How often the folders are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A look that takes long is repeated so many times less often: looking takes one
/// hundredth of one processor at most.
const LOOK_SHARE: u32 = 100;
/// How often it is told what was transferred.
const TOLD_INTERVAL: Duration = Duration::from_secs(5);
/// How long after a failure the engine is started again.
const ENGINE_RETRY: Duration = Duration::from_secs(10);
/// What was left out that is remembered, so that it is said once.
const SAID_MAX: usize = 1_000;

/// Another configuration.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) config: Config,
    pub(super) filter: Arc<IpFilter>,
    pub(super) addresses: Addresses,
    pub(super) reply: oneshot::Sender<Vec<String>>,
}

/// A torrent that runs in the engine.
#[derive(Debug)]
struct Running {
    handle: Handle,
    published: Arc<Published>,
    /// Octets sent of which was told.
    told_sent: Option<u64>,
}

/// What came of reading files.
type Read = (Job, Result<Metainfo, OriginalError>);

pub(super) struct Task {
    parts: Parts,
    kept: Kept,
    listing: Arc<ArcSwap<Listing>>,
    config: Config,
    /// Whom nobody speaks with.
    filter: Arc<IpFilter>,
    /// The limits that were told last.
    limits: Limits,
    folders: Vec<Arc<Folder>>,
    addresses: Addresses,
    seeding: Option<Seeding>,
    shelf: Shelf,
    /// By where the torrent lies.
    running: HashMap<PathBuf, Running>,
    left_out: Vec<LeftOut>,
    said: BTreeSet<String>,
    swept: bool,
}

impl Task {
    pub(super) fn new(parts: Parts, listing: Arc<ArcSwap<Listing>>) -> Self {
        Self {
            kept: Kept::in_folder(&parts.data),
            parts,
            listing,
            config: Config::default(),
            filter: Arc::default(),
            limits: Limits::default(),
            folders: Vec::new(),
            addresses: Addresses::default(),
            seeding: None,
            shelf: Shelf::default(),
            running: HashMap::new(),
            left_out: Vec::new(),
            said: BTreeSet::new(),
            swept: false,
        }
    }

    /// Publishes until the shutdown is requested.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let shutdown = self.parts.shutdown.clone();
        let mut looking: Option<JoinHandle<Look>> = None;
        let mut reading: Option<JoinHandle<Read>> = None;
        let mut next_look = Ticks::now();
        let mut next_start = Ticks::now();
        let mut told = tokio::time::interval(TOLD_INTERVAL);
        loop {
            let is_on = !self.config.listen.is_empty();
            tokio::select! {
                () = shutdown.requested() => break,
                order = orders.recv() => {
                    let Some(Order { config, filter, addresses, reply }) = order else { break };
                    self.filter = filter;
                    let notes = self.change(config, addresses).await;
                    let _ = reply.send(notes);
                    next_look = Ticks::now();
                }
                () = tokio::time::sleep_until(next_look), if is_on && looking.is_none() => {
                    let (folders, known, kept) = (self.folders.clone(), self.shelf.known(), self.kept.clone());
                    let torrents_max = self.config.torrents_max;
                    let sweeps = !std::mem::replace(&mut self.swept, true);
                    looking = Some(tokio::task::spawn_blocking(move || {
                        if sweeps {
                            kept.sweep();
                        }
                        Look::at(&folders, &known, &kept, torrents_max)
                    }));
                }
                Some(look) = ended(&mut looking) => {
                    next_look = Ticks::now() + LOOK_INTERVAL.max(look.took * LOOK_SHARE);
                    if is_on {
                        self.take(look).await;
                    }
                }
                Some((job, read)) = ended(&mut reading) => self.handle_read(job, read).await,
                _ = told.tick() => {
                    self.tell_transfers();
                    self.follow_limits().await;
                }
                () = tokio::time::sleep_until(next_start), if is_on && self.seeding.is_none() => {
                    next_start = Ticks::now() + ENGINE_RETRY;
                    if let Err(error) = self.start_engine().await {
                        tracing::error!("{error}; it is tried again");
                    }
                }
            }
            if reading.is_none()
                && let Some(job) = self.shelf.next_to_read()
            {
                reading = Some(tokio::task::spawn_blocking(move || {
                    let read = read(&job);
                    (job, read)
                }));
                self.show();
            }
        }
        self.shelf.stop();
        if let Some(seeding) = self.seeding.take() {
            seeding.stop().await;
        }
        self.tell_transfers();
    }

    /// Takes another configuration over.
    async fn change(&mut self, config: Config, addresses: Addresses) -> Vec<String> {
        let mut notes = Vec::new();
        let restart = engine_part(&config) != engine_part(&self.config);
        let addressed = self.addresses != addresses;
        self.folders = config.publish.iter().map(|folder| Arc::new(real(folder))).collect();
        (self.config, self.addresses) = (config, addresses);
        if restart {
            self.running.clear();
            if let Some(seeding) = self.seeding.take() {
                seeding.stop().await;
            }
        }
        if self.config.listen.is_empty() {
            let change = self.shelf.update(Instant::now(), Duration::ZERO, Look::default());
            self.withdraw(&change.withdrawn).await;
            self.left_out.clear();
        } else if let Some(seeding) = &self.seeding {
            seeding.limit(self.config.limits(), &self.filter).await;
        } else if let Err(error) = self.start_engine().await {
            notes.push(format!("{error}; it is tried again"));
        }
        if addressed {
            let old: Vec<(PathBuf, Arc<Published>)> = self
                .shelf
                .published()
                .map(|(place, published)| (place.to_owned(), published.clone()))
                .collect();
            for (place, published) in old {
                let again = Arc::new(published.at(&self.addresses));
                self.end(&place).await;
                self.shelf.publish(&place, again.clone());
                self.run_torrent(&place, &again).await;
            }
        }
        self.show();
        notes
    }

    /// Starts the engine, and in it all that is published.
    async fn start_engine(&mut self) -> Result<(), crate::EngineError> {
        let seeding = Seeding::start(&self.parts, &self.config).await?;
        seeding.limit(self.config.limits(), &self.filter).await;
        self.seeding = Some(seeding);
        let all: Vec<_> =
            self.shelf.published().map(|(place, published)| (place.to_owned(), published.clone())).collect();
        for (place, published) in all {
            self.run_torrent(&place, &published).await;
        }
        self.show();
        Ok(())
    }

    /// Other limits may hold at this time of the day.
    async fn follow_limits(&mut self) {
        let limits = self.config.limits();
        if std::mem::replace(&mut self.limits, limits) != limits
            && let Some(seeding) = &self.seeding
        {
            seeding.limit(limits, &self.filter).await;
        }
    }

    /// What a look has found.
    async fn take(&mut self, look: Look) {
        let changed = self.left_out != look.left_out;
        self.left_out.clone_from(&look.left_out);
        for left_out in &look.left_out {
            self.say(left_out);
        }
        let (before, settling) = (self.shelf.known().len(), self.shelf.is_settling());
        let settle = Duration::from_secs(self.config.settle_seconds);
        let change = self.shelf.update(Instant::now(), settle, look);
        let moved = !(change.withdrawn.is_empty() && change.kept.is_empty() && change.gone.is_empty());
        self.withdraw(&change.withdrawn).await;
        for place in change.gone {
            let kept = self.kept.clone();
            // It may only not be published any more, and be there again one day.
            let forget = move || {
                if !place.exists() {
                    kept.remove(&place);
                }
            };
            let _ = tokio::task::spawn_blocking(forget).await;
        }
        for (place, folder, original, metainfo) in change.kept {
            self.publish(&place, folder, original, metainfo).await;
        }
        if changed || moved || settling || before != self.shelf.known().len() {
            self.show();
        }
    }

    /// Files were read, or could not be.
    async fn handle_read(&mut self, job: Job, read: Result<Metainfo, OriginalError>) {
        let Job { place, folder, original, .. } = job;
        if !self.shelf.is_current(&place, &original) {
            return;
        }
        match read {
            Ok(metainfo) => {
                let (kept, at, metainfo) = (self.kept.clone(), place.clone(), Arc::new(metainfo));
                let (of, what, made) = (folder.clone(), original.clone(), metainfo.clone());
                let written = tokio::task::spawn_blocking(move || kept.write(&at, &of, &what, &made)).await;
                if let Ok(Err(error)) = written {
                    tracing::warn!(%error, "what was read of a published file cannot be kept");
                }
                let metainfo = Arc::try_unwrap(metainfo).unwrap_or_else(|shared| (*shared).clone());
                self.publish(&place, folder, original, metainfo).await;
            }
            Err(OriginalError::Unusable(left_out)) => {
                self.say(&left_out);
                self.shelf.refuse(Instant::now(), &place, left_out.reason);
            }
            Err(OriginalError::Stopped) => {
                self.shelf.refuse(Instant::now(), &place, "reading was stopped".to_owned());
            }
        }
        self.show();
    }

    async fn publish(
        &mut self,
        place: &Path,
        folder: Arc<Folder>,
        original: Arc<Original>,
        metainfo: Metainfo,
    ) {
        let published = Arc::new(Published::new(metainfo, original, folder, &self.addresses));
        if self.shelf.published().any(|(_, other)| other.id == published.id) {
            let reason = "it is the same as another torrent that is published".to_owned();
            self.say(&LeftOut { place: place.to_owned(), reason: reason.clone() });
            return self.shelf.refuse(Instant::now(), place, reason);
        }
        self.shelf.publish(place, published.clone());
        self.run_torrent(place, &published).await;
        self.parts.reporter.tell(BittorrentEvent::Published {
            torrent: published.id.as_str().into(),
            name: published.name().to_owned(),
            octets: published.octets,
        });
    }

    /// Seeds a torrent.
    async fn run_torrent(&mut self, place: &Path, published: &Arc<Published>) {
        let Some(seeding) = &self.seeding else { return };
        // The tracker must know it before the engine announces it.
        self.tell_tracker();
        let options = Options {
            rules: self.config.rules.settings(),
            connections_max: self.config.connections_per_torrent_max,
            sealed: Some(published.stamps()),
            ..Options::new(published.original.folder.clone())
        };
        match seeding.engine().add(What::Metainfo(published.metainfo.clone()), options).await {
            Ok(handle) => {
                let running = Running { handle, published: published.clone(), told_sent: None };
                self.running.insert(place.to_owned(), running);
            }
            Err(error) => tracing::error!(torrent = published.name(), %error, "cannot be seeded"),
        }
    }

    async fn withdraw(&mut self, withdrawn: &[Arc<Published>]) {
        for published in withdrawn {
            let place = self.running.iter().find(|(_, running)| Arc::ptr_eq(&running.published, published));
            if let Some(place) = place.map(|(place, _)| place.clone()) {
                self.end(&place).await;
            }
            self.parts.reporter.tell(BittorrentEvent::Withdrawn {
                torrent: published.id.as_str().into(),
                name: published.name().to_owned(),
            });
        }
        if !withdrawn.is_empty() {
            self.tell_tracker();
        }
    }

    async fn end(&mut self, place: &Path) {
        self.tell_transfers();
        if let Some(running) = self.running.remove(place)
            && let Err(error) = running.handle.remove(Data::Keep).await
        {
            tracing::debug!(%error, "a torrent that is published no more");
        }
    }

    /// The tracker serves what is published.
    fn tell_tracker(&self) {
        let hashes =
            self.shelf.published().flat_map(|(_, published)| published.hashes().wire().collect::<Vec<_>>());
        self.parts.tracker.publish(hashes.map(|hash| hash.0).collect::<HashSet<_>>());
    }

    /// Says once that something is left out.
    fn say(&mut self, left_out: &LeftOut) {
        let words = left_out.to_string();
        if self.said.len() >= SAID_MAX {
            self.said.clear();
        }
        if self.said.insert(words) {
            self.parts.reporter.tell(BittorrentEvent::LeftOut {
                place: left_out.place.display().to_string(),
                reason: left_out.reason.clone(),
            });
        }
    }

    /// Shows to others what there is.
    fn show(&self) {
        let mut listing = Listing {
            addresses: self
                .seeding
                .as_ref()
                .map(|seeding| seeding.engine().addresses().to_vec())
                .unwrap_or_default(),
            reading: self.shelf.reading().collect(),
            left_out: self.left_out.clone(),
            ..Listing::default()
        };
        listing.left_out.extend(
            self.shelf
                .refused()
                .map(|(place, why)| LeftOut { place: place.to_owned(), reason: why.to_owned() }),
        );
        for (place, published) in self.shelf.published() {
            if let Some(running) = self.running.get(place) {
                listing.by_id.insert(published.id.clone(), listing.torrents.len());
                let progress = running.handle.progress();
                listing.torrents.push(Listed { published: published.clone(), progress });
            }
        }
        self.listing.store(Arc::new(listing));
    }

    /// Tells what was transferred since the last time, and who is connected.
    fn tell_transfers(&mut self) {
        let (mut sent_octets, mut connections) = (0, 0);
        for running in self.running.values_mut() {
            let progress = running.handle.progress();
            let progress = progress.borrow();
            connections += progress.connections as u64;
            // What earlier runs sent is known once the torrent seeds.
            if progress.stage == Stage::Seeding {
                let before = running.told_sent.replace(progress.sent_octets);
                sent_octets += before.map_or(0, |before| progress.sent_octets.saturating_sub(before));
            }
        }
        if !self.config.listen.is_empty() {
            let torrents = self.running.len() as u64;
            self.parts.reporter.tell(BittorrentEvent::Seeded { torrents, connections, sent_octets });
        }
    }
}

/// What came of a task of this kind, if there is one.
async fn ended<T>(task: &mut Option<JoinHandle<T>>) -> Option<T> {
    let Some(running) = task else { return std::future::pending().await };
    let outcome = running.await;
    *task = None;
    match outcome {
        Ok(outcome) => Some(outcome),
        Err(error) => {
            tracing::error!(%error, "looking at published files failed");
            None
        }
    }
}

/// Reads the files of a torrent. Blocks.
fn read(job: &Job) -> Result<Metainfo, OriginalError> {
    let making = Making {
        piece_octets: job.folder.piece_octets,
        private: job.folder.private,
        ..Making::new(job.folder.format.into())
    };
    job.original.make(making, |done, total| {
        if job.reading.tell(done, total) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
}
