//! The task of one torrent: it begins and ends its parts, connects to peers and
//! watches the time.

use super::Swarm;
use crate::announce;
use crate::content::{Content, Done, Worker};
use crate::handshake;
use crate::progress::{Progress, Source};
use crate::search;
use bittorrent::torrent::TICK;
use bittorrent::tracker::announcer::TrackerUrl;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

/// How often the progress is told.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
/// How long the last checkpoint may take.
const END_PATIENCE: Duration = Duration::from_secs(8);

/// What a torrent is told while it runs.
#[derive(Debug)]
pub(crate) enum Command {
    /// Peers may be at these addresses.
    AddPeers(Vec<SocketAddr>),
    /// Ends.
    Stop,
}

/// Runs the torrent until it is stopped.
pub(crate) async fn run(
    swarm: Rc<Swarm>,
    trackers: Vec<Vec<TrackerUrl>>,
    mut commands: mpsc::Receiver<Command>,
    progress: watch::Sender<Progress>,
) {
    let (tell, mut done) = mpsc::unbounded_channel();
    let mut tell = Some(tell);
    let mut looking: Option<(Arc<Content>, Worker)> = None;
    let mut told = tokio::time::interval(PROGRESS_INTERVAL);
    let mut ticks = tokio::time::interval(TICK);
    let leave = Rc::new(Notify::new());
    let mut announcing = JoinSet::new();
    swarm.add_contacts(Source::User, swarm.options.peers.iter().copied());
    if swarm.geometry().is_none() {
        begin_announcing(&swarm, &trackers, &leave, &mut announcing);
    }
    loop {
        let now = Instant::now();
        if tell.is_some() {
            match swarm.open_content() {
                None => {}
                Some(Ok(content)) => {
                    if let Some(started) = tell.take().map(|tell| Worker::start(content.clone(), tell)) {
                        match started {
                            Ok(worker) => {
                                swarm.look(&worker);
                                looking = Some((content, worker));
                            }
                            Err(error) => swarm.give_up(now, error.to_string()),
                        }
                    }
                }
                Some(Err(error)) => {
                    tell = None;
                    swarm.give_up(now, error.to_string());
                }
            }
        }
        while let Some(address) = swarm.next_contact(now) {
            tokio::task::spawn_local(handshake::dial(swarm.clone(), address));
        }
        tokio::select! {
            () = swarm.stir.notified() => {}
            _ = ticks.tick() => swarm.handle_timeout(Instant::now()),
            _ = told.tick() => { progress.send_replace(swarm.progress(Instant::now())); }
            Some(one) = done.recv() => match one {
                Done::Looked { result } => if let Some((content, worker)) = looking.take() {
                    swarm.activate(Instant::now(), content, worker, result);
                    progress.send_replace(swarm.progress(Instant::now()));
                    begin_announcing(&swarm, &trackers, &leave, &mut announcing);
                },
                one => swarm.handle_done(Instant::now(), one),
            },
            command = commands.recv() => match command {
                Some(Command::AddPeers(addresses)) => swarm.add_contacts(Source::Tracker, addresses),
                Some(Command::Stop) | None => break,
            },
        }
    }
    leave.notify_waiters();
    if swarm.begin_end(Instant::now()) {
        let ended = async {
            while let Some(one) = done.recv().await {
                let is_last = matches!(one, Done::Checkpointed { clean: true, .. });
                swarm.handle_done(Instant::now(), one);
                if is_last {
                    break;
                }
            }
        };
        if tokio::time::timeout(END_PATIENCE, ended).await.is_err() {
            tracing::warn!("the disk is slow: the next start checks all pieces of the torrent");
        }
    }
    while announcing.join_next().await.is_some() {}
    progress.send_replace(swarm.progress(Instant::now()));
}

/// Announces the torrent under each of its info-hashes to its trackers and in the
/// hash table, unless it does already.
fn begin_announcing(
    swarm: &Rc<Swarm>,
    trackers: &[Vec<TrackerUrl>],
    leave: &Rc<Notify>,
    announcing: &mut JoinSet<()>,
) {
    if announcing.is_empty() {
        for hash in swarm.hashes.wire() {
            announcing.spawn_local(announce::run(swarm.clone(), hash, trackers.to_vec(), leave.clone()));
            announcing.spawn_local(search::run(swarm.clone(), hash, leave.clone()));
        }
    }
}

impl Swarm {
    /// The files of the torrent, once its info dictionary is here.
    fn open_content(&self) -> Option<Result<Arc<Content>, storage::StorageError>> {
        let metainfo = self.metainfo()?;
        Some(Content::new(&metainfo, &self.options.folder, self.options.allocation).map(Arc::new))
    }

    /// The torrent cannot run.
    fn give_up(&self, now: Instant, why: String) {
        let mut state = self.state.borrow_mut();
        Self::pause(now, &mut state, why);
    }
}
