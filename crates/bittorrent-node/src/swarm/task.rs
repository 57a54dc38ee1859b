//! The task of one torrent: it begins and ends its parts, connects to peers and
//! watches the time.

use super::Swarm;
use super::control::{Command, Ending, Reply};
use crate::announce::Announcing;
use crate::content::{Content, Done, Worker};
use crate::handshake;
use crate::progress::{Progress, Source, Stage};
use crate::web_seed;
use bittorrent::torrent::TICK;
use bittorrent::tracker::announcer::TrackerUrl;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// How often the progress is told.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
/// How long the last checkpoint may take.
const END_PATIENCE: Duration = Duration::from_secs(8);

/// A torrent and what happens beside its peers.
pub(crate) struct Task {
    pub(super) swarm: Rc<Swarm>,
    pub(super) announcing: Announcing,
    progress: watch::Sender<Progress>,
    /// What came of jobs.
    done: mpsc::UnboundedReceiver<Done>,
    tell: mpsc::UnboundedSender<Done>,
    /// The files while it is found out which pieces are here.
    pub(super) looking: Option<(Arc<Content>, Worker)>,
    /// Who is to hear that a file has another name.
    pub(super) renaming: Option<Reply>,
    /// Where the files are being moved to, and who is to hear of it.
    pub(super) moving: Option<(PathBuf, Reply)>,
    /// Whatever was noted of them, all pieces are checked.
    pub(super) recheck: bool,
}

impl Task {
    pub(crate) fn new(
        swarm: Rc<Swarm>,
        trackers: Vec<Vec<TrackerUrl>>,
        progress: watch::Sender<Progress>,
    ) -> Self {
        let (tell, done) = mpsc::unbounded_channel();
        let announcing = Announcing::new(swarm.clone(), trackers);
        let recheck = swarm.options.recheck;
        Self { swarm, announcing, progress, done, tell, looking: None, moving: None, renaming: None, recheck }
    }

    /// Runs the torrent until it is stopped or removed.
    pub(crate) async fn run(&mut self, commands: &mut mpsc::Receiver<Command>) -> Ending {
        let mut told = tokio::time::interval(PROGRESS_INTERVAL);
        let mut ticks = tokio::time::interval(TICK);
        let mut seeds = false;
        self.swarm.add_contacts(Source::User, self.swarm.options.peers.iter().copied());
        loop {
            let now = Instant::now();
            if let Some(why) = self.swarm.fault.take() {
                self.swarm.give_up(now, why);
            }
            if self.swarm.take_unchecked() {
                // Fails only while they are being checked already.
                let _ = self.recheck(now);
            }
            self.open(now);
            let stage = self.swarm.stage();
            let seeded = std::mem::replace(&mut seeds, stage == Stage::Seeding);
            if seeds && !seeded {
                // Whoever waits for the last piece need not wait for the interval's end.
                self.show();
            }
            let announced = match stage {
                Stage::Metadata | Stage::Downloading | Stage::Seeding => true,
                Stage::Checking => self.announcing.is_begun(),
                Stage::Done | Stage::Halted | Stage::Paused(_) => false,
            };
            self.announcing.keep(announced);
            while let Some((address, dialling)) = self.swarm.next_contact(now) {
                tokio::task::spawn_local(handshake::dial(self.swarm.clone(), address, dialling));
            }
            while let Some(desk) = self.swarm.next_web_seed(now) {
                tokio::task::spawn_local(web_seed::run(self.swarm.clone(), desk));
            }
            while let Some((address, dialling)) = self.swarm.next_meeting() {
                tokio::task::spawn_local(handshake::meet(self.swarm.clone(), address, dialling));
            }
            tokio::select! {
                () = self.swarm.stir.notified() => {}
                _ = ticks.tick() => self.swarm.handle_timeout(Instant::now()),
                _ = told.tick() => self.show(),
                () = self.announcing.ended() => {}
                Some(one) = self.done.recv() => self.handle_done(one),
                command = commands.recv() => {
                    let ending = match command {
                        Some(command) => self.handle(command),
                        None => Some(Ending::Stop),
                    };
                    if let Some(ending) = ending {
                        return ending;
                    }
                }
            }
        }
    }

    /// Tells how the torrent stands.
    pub(super) fn show(&self) {
        self.progress.send_replace(self.swarm.progress(Instant::now()));
    }

    fn handle_done(&mut self, one: Done) {
        let now = Instant::now();
        match one {
            Done::Looked { result } => {
                if let Some((content, worker)) = self.looking.take() {
                    self.swarm.activate(now, content, worker, result);
                    self.show();
                }
            }
            Done::Moved { result } => self.handle_moved(result),
            Done::Renamed { result } => self.handle_renamed(result),
            one => self.swarm.handle_done(now, one),
        }
    }

    /// Begins to look at the files, once the info dictionary is here.
    fn open(&mut self, now: Instant) {
        if self.looking.is_some() || !self.swarm.wants_files() {
            return;
        }
        match self.start_worker() {
            None => {}
            Some(Ok((content, worker))) => {
                self.swarm.look(&worker, std::mem::take(&mut self.recheck));
                self.looking = Some((content, worker));
            }
            Some(Err(why)) => self.swarm.give_up(now, why),
        }
    }

    /// The files of the torrent and their jobs; `None` without info dictionary.
    pub(super) fn start_worker(&self) -> Option<Result<(Arc<Content>, Worker), String>> {
        let content = match self.swarm.open_content()? {
            Ok(content) => content,
            Err(error) => return Some(Err(error.to_string())),
        };
        let pool = self.swarm.context().pool.clone();
        let worker = Worker::new(content.clone(), self.tell.clone(), pool);
        Some(Ok((content, worker)))
    }

    /// Ends: what is here is noted, trackers hear that we leave.
    pub(crate) async fn end(&mut self) {
        self.announcing.keep(false);
        if self.swarm.begin_end(Instant::now()) {
            let last = |done: &Done| matches!(done, Done::Checkpointed { clean: true, .. });
            loop {
                if self.wait_for(last).await.is_none() {
                    tracing::warn!("the disk is slow: the next start checks all pieces of the torrent");
                    break;
                }
                // Pieces that were on their way to the disk have come there meanwhile.
                if !self.swarm.note_last(Instant::now()) {
                    break;
                }
            }
        }
        self.announcing.farewell().await;
        self.show();
    }

    /// Goes on until what is waited for has been told, or is too slow.
    pub(super) async fn wait_for(&mut self, awaited: impl Fn(&Done) -> bool) -> Option<Done> {
        let told = async {
            loop {
                let one = self.done.recv().await?;
                if awaited(&one) {
                    return Some(one);
                }
                self.swarm.handle_done(Instant::now(), one);
            }
        };
        tokio::time::timeout(END_PATIENCE, told).await.ok()?
    }
}

impl Swarm {
    /// The files of the torrent, once its info dictionary is here.
    fn open_content(&self) -> Option<Result<Arc<Content>, storage::StorageError>> {
        let metainfo = self.metainfo()?;
        let (options, folder) = (&self.options, &self.state.borrow().folder);
        let sealed = options.sealed.is_some();
        Some(Content::new(&metainfo, folder, options.allocation, sealed).map(Arc::new))
    }

    /// The torrent cannot run.
    fn give_up(&self, now: Instant, why: String) {
        let mut state = self.state.borrow_mut();
        Self::pause(now, &mut state, why);
    }
}
