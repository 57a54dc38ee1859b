//! What a torrent is told while it runs, and what that changes.

use super::readers::Wish;
use super::task::Task;
use super::{State, Swarm};
use crate::content::{Content, Done, Job};
use crate::control::{ControlError, Data, Rates};
use crate::details::{Details, TrackerLine};
use crate::progress::{Source, Stage};
use bittorrent::metainfo::Info;
use bittorrent::torrent::{Priority, SeedingGoal};
use bittorrent::tracker::announcer::TrackerUrl;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;
use storage::StorageError;
use tokio::sync::oneshot;

/// How a command went.
pub(crate) type Reply = oneshot::Sender<Result<(), ControlError>>;

/// What a torrent's task is told.
#[derive(Debug)]
pub(crate) enum Command {
    /// Peers may be at these addresses.
    AddPeers(Vec<SocketAddr>),
    /// A change; answered when it holds.
    Control(Control, Reply),
    /// Tells all about itself.
    Details(oneshot::Sender<Details>),
    /// Somebody reads its files while it downloads.
    Read(Wish),
    /// Ends for good.
    Remove(Data, Reply),
    /// Ends with the engine.
    Stop,
}

/// A change of a torrent that runs.
#[derive(Debug)]
pub(crate) enum Control {
    Pause,
    Resume,
    Recheck,
    Reannounce,
    Files(Vec<(usize, Priority)>),
    Sequential(bool),
    Goal(SeedingGoal),
    Rates(Rates),
    Connections(usize),
    AddTrackers(Vec<String>),
    Trackers(Vec<Vec<String>>),
    /// Its files lie in another folder already.
    Find(PathBuf),
    /// Its files are to be moved to another folder.
    Move(PathBuf),
    /// A file or folder of it gets another name.
    Rename(PathBuf, String),
}

/// How a torrent's task ends.
#[derive(Debug)]
pub(crate) enum Ending {
    /// It is there again with the next start of the engine.
    Stop,
    /// It is forgotten.
    Remove(Data, Reply),
}

impl Task {
    /// Does what it is told; how it ends, if it is told to.
    pub(super) fn handle(&mut self, command: Command) -> Option<Ending> {
        match command {
            Command::AddPeers(addresses) => self.swarm.add_contacts(Source::User, addresses),
            Command::Control(Control::Move(to), reply) => self.move_files(to, reply),
            Command::Control(Control::Rename(path, name), reply) => self.rename(path, name, reply),
            Command::Control(control, reply) => {
                let result = self.control(Instant::now(), control);
                self.show();
                // Who asked may have left.
                let _ = reply.send(result);
            }
            Command::Details(reply) => {
                // Who asked may have left.
                let _ = reply.send(self.swarm.details(self.announcing.tiers()));
            }
            Command::Read(wish) => self.swarm.handle_wish(Instant::now(), wish),
            Command::Remove(data, reply) => return Some(Ending::Remove(data, reply)),
            Command::Stop => return Some(Ending::Stop),
        }
        None
    }

    fn control(&mut self, now: Instant, control: Control) -> Result<(), ControlError> {
        match control {
            Control::Recheck => return self.recheck(now),
            Control::Find(folder) => return self.find_files(now, folder),
            Control::Reannounce => self.announcing.demand(),
            Control::AddTrackers(urls) => {
                let mut parsed = urls.iter().map(parse_tracker).collect::<Result<Vec<_>, _>>()?;
                parsed.retain(|url| !self.announcing.tiers().iter().flatten().any(|known| known == url));
                self.announcing.add(parsed.into_iter().map(|url| vec![url]).collect());
            }
            Control::Trackers(tiers) => {
                let parse = |tier: &Vec<String>| tier.iter().map(parse_tracker).collect();
                let tiers = tiers.iter().map(parse).collect::<Result<Vec<Vec<_>>, _>>()?;
                self.announcing.replace(tiers);
            }
            control => return self.swarm.control(now, control),
        }
        Ok(())
    }

    pub(super) fn recheck(&mut self, now: Instant) -> Result<(), ControlError> {
        if self.looking.is_some() {
            return Err(ControlError::Checking);
        }
        match self.swarm.deactivate(now)? {
            Some((content, worker)) => {
                self.swarm.look(&worker, true);
                self.looking = Some((content, worker));
            }
            // Its files could not be looked at before: it is tried again.
            None => self.recheck = true,
        }
        Ok(())
    }

    fn find_files(&mut self, now: Instant, folder: PathBuf) -> Result<(), ControlError> {
        if self.looking.is_some() || self.moving.is_some() {
            return Err(ControlError::Checking);
        }
        self.swarm.set_folder(&folder);
        match self.swarm.deactivate(now) {
            // Nothing is there before the info dictionary is.
            Err(ControlError::NoMetadata) => {}
            Err(error) => return Err(error),
            Ok(None) => self.recheck = true,
            Ok(Some((content, worker))) => {
                worker.send(Job::Find { folder, note: self.swarm.notes().moved });
                self.swarm.look(&worker, true);
                self.looking = Some((content, worker));
            }
        }
        Ok(())
    }

    fn move_files(&mut self, to: PathBuf, reply: Reply) {
        let result = if self.looking.is_some() || self.moving.is_some() {
            Err(ControlError::Checking)
        } else if self.swarm.begin_move(&to) {
            // Answered when it is done.
            self.moving = Some((to, reply));
            return;
        } else {
            // No file of it is there yet.
            self.swarm.set_folder(&to);
            Ok(())
        };
        let _ = reply.send(result);
    }

    fn rename(&mut self, path: PathBuf, name: String, reply: Reply) {
        let result = if self.looking.is_some() || self.moving.is_some() || self.renaming.is_some() {
            Err(ControlError::Checking)
        } else if self.swarm.begin_rename(path, name) {
            // Answered when it is done.
            self.renaming = Some(reply);
            return;
        } else {
            Err(ControlError::NoMetadata)
        };
        let _ = reply.send(result);
    }

    /// A file has another name, or keeps its own.
    pub(super) fn handle_renamed(&mut self, result: Result<(), StorageError>) {
        let Some(reply) = self.renaming.take() else { return };
        if result.is_ok() {
            self.swarm.take_name();
            self.swarm.note(Instant::now());
            self.show();
        }
        let _ = reply.send(result.map_err(|error| ControlError::Disk(error.to_string())));
    }

    /// The files were moved, or stay where they were.
    pub(super) fn handle_moved(&mut self, result: Result<(), StorageError>) {
        let Some((to, reply)) = self.moving.take() else { return };
        if result.is_ok() {
            self.swarm.set_folder(&to);
            self.swarm.note(Instant::now());
        }
        let _ = reply.send(result.map_err(|error| ControlError::Disk(error.to_string())));
    }

    /// Forgets the torrent; its files stay or go.
    pub(crate) async fn remove(&mut self, data: Data) -> Result<(), ControlError> {
        self.announcing.keep(false);
        let now = Instant::now();
        let worker = match self.swarm.deactivate(now) {
            Ok(Some((_, worker))) => Some(Ok(worker)),
            _ => match self.looking.take() {
                Some((_, worker)) => Some(Ok(worker)),
                None => self.start_worker().map(|started| started.map(|(_, worker)| worker)),
            },
        };
        let notes = self.swarm.notes();
        let result = match worker {
            // A link that nothing came of.
            None => Ok(()),
            Some(Err(why)) => Err(ControlError::Disk(why)),
            Some(Ok(worker)) => {
                worker.hurry();
                worker.send(Job::Forget { notes, files: data == Data::Delete });
                let forgotten = |done: &Done| matches!(done, Done::Forgotten { .. });
                match self.wait_for(forgotten).await {
                    Some(Done::Forgotten { result: Err(error) }) => {
                        Err(ControlError::Disk(error.to_string()))
                    }
                    Some(_) => Ok(()),
                    None => Err(ControlError::Disk(
                        "the disk is slow: the torrent's files go when it has time".to_owned(),
                    )),
                }
            }
        };
        self.announcing.farewell().await;
        result
    }
}

impl Swarm {
    /// Begins to rename; false where no file is known yet.
    fn begin_rename(&self, path: PathBuf, name: String) -> bool {
        let state = self.state.borrow();
        if let Some(active) = &state.active {
            active.worker.send(Job::Rename { path, name, note: self.notes().names });
        }
        state.active.is_some()
    }

    fn take_name(&self) {
        let mut state = self.state.borrow_mut();
        if let Some(content) = state.active.as_ref().map(|active| active.content.clone()) {
            state.take_name(&content);
        }
    }

    /// What it is doing.
    pub(super) fn stage(&self) -> Stage {
        self.state.borrow().stage.clone()
    }

    fn control(&self, now: Instant, control: Control) -> Result<(), ControlError> {
        let mut borrowed = self.state.borrow_mut();
        let state = &mut *borrowed;
        match control {
            Control::Pause => self.halt(now, state),
            Control::Resume => self.go_on(now, state),
            Control::Files(files) => state.set_files(now, &files)?,
            Control::Sequential(sequential) => {
                state.rules.sequential = sequential;
                if let Some(active) = &mut state.active {
                    active.torrent.set_sequential(sequential);
                }
            }
            Control::Goal(goal) => {
                state.rules.seeding_goal = goal;
                let reached = state.active.as_mut().is_some_and(|active| {
                    active.torrent.set_seeding_goal(goal);
                    active.torrent.is_goal_reached(now)
                });
                if state.stage == Stage::Done && !reached {
                    self.go_on(now, state);
                }
            }
            Control::Rates(rates) => {
                self.download.set_rate(now, rates.download);
                self.upload.set_rate(now, rates.upload);
            }
            Control::Connections(max) => {
                state.connections_max = max;
                for entry in state.peers.values().skip(max) {
                    entry.link.close("connections_max are open");
                }
            }
            Control::Recheck
            | Control::Reannounce
            | Control::AddTrackers(_)
            | Control::Trackers(_)
            | Control::Find(_)
            | Control::Move(_)
            | Control::Rename(..) => {}
        }
        self.act(now, state);
        drop(borrowed);
        self.stir.notify_one();
        Ok(())
    }

    fn details(&self, tiers: &[Vec<TrackerUrl>]) -> Details {
        let state = self.state.borrow();
        let torrent = state.active.as_ref().map(|active| &active.torrent);
        let trackers = tiers
            .iter()
            .enumerate()
            .flat_map(|(tier, urls)| urls.iter().map(move |url| (tier, url.to_string())));
        Details {
            metainfo: state.metainfo.clone(),
            folder: state.folder.clone(),
            have: torrent.map(|torrent| torrent.have().clone()),
            copies: torrent
                .map(|torrent| (0..torrent.lengths().count()).map(|piece| torrent.copies(piece)).collect())
                .unwrap_or_default(),
            files: state.files.clone(),
            members: state.active.as_ref().map(|active| active.content.files().members()),
            trackers: trackers
                .map(|(tier, url)| TrackerLine { answer: state.trackers.get(&url).cloned(), url, tier })
                .collect(),
            banned: state.banned.iter().copied().collect(),
            looked_pieces: state.looked,
        }
    }

    /// Stops by command.
    fn halt(&self, now: Instant, state: &mut State) {
        state.halted = true;
        if state.stage != Stage::Checking {
            state.stage = Stage::Halted;
            state.quiet(now, "the torrent is paused");
            let sent_before = state.sent_before;
            if let Some(active) = &mut state.active {
                active.checkpoint(now, self.context(), &self.hashes, true, sent_before);
            }
        }
    }

    /// Goes on, whatever it was stopped by.
    fn go_on(&self, now: Instant, state: &mut State) {
        let runs = matches!(state.stage, Stage::Metadata | Stage::Downloading | Stage::Seeding);
        state.halted = false;
        if runs || state.stage == Stage::Checking {
            return;
        }
        state.overwrite |= std::mem::take(&mut state.asks_to_overwrite);
        let failed = matches!(state.stage, Stage::Paused(_));
        state.contacts.rest_is_over();
        state.stage = state.standing();
        let missing = state.hashes.are_missing();
        let sent_before = state.sent_before;
        if let Some(active) = &mut state.active {
            active.torrent.set_paused(now, missing);
            if failed {
                // What came before it failed may not be durable: that is found out
                // before the torrent is said to be here.
                active.checkpoint(now, self.context(), &self.hashes, false, sent_before);
                state.stage = Stage::Downloading;
            }
        }
    }

    /// Whether its files are to be looked at: its info dictionary is here, and
    /// nothing hinders it.
    pub(super) fn wants_files(&self) -> bool {
        let state = self.state.borrow();
        state.metainfo.is_some() && state.active.is_none() && state.stage == Stage::Checking
    }
}

impl State {
    /// Is called as its file or folder is on the disk.
    pub(super) fn take_name(&mut self, content: &Content) {
        let members = content.files().members();
        let first = members.first().and_then(|member| member.path.components().next());
        if let Some(name) = first.and_then(|first| first.as_os_str().to_str()) {
            name.clone_into(&mut self.name);
        }
    }

    /// What it does when nothing hinders it.
    pub(super) fn standing(&self) -> Stage {
        match (&self.metainfo, &self.active) {
            (None, _) => Stage::Metadata,
            (Some(_), None) => Stage::Checking,
            (Some(_), Some(active)) if active.torrent.is_finished() => Stage::Seeding,
            _ => Stage::Downloading,
        }
    }

    /// Asks for nothing, serves nobody, and lets all peers go.
    pub(super) fn quiet(&mut self, now: Instant, why: &'static str) {
        for entry in self.peers.values() {
            entry.link.close(why);
        }
        self.web_seeds.close_all();
        if let Some(active) = &mut self.active {
            active.torrent.set_paused(now, true);
        }
    }

    /// How much each file is wanted, once it is known which there are.
    pub(super) fn read_wishes(&mut self, options: &super::Options) {
        let Some(metainfo) = self.metainfo.as_ref().filter(|_| self.files.is_empty()) else { return };
        let count = metainfo.info.layout().files().len();
        let wanted = |file| options.selection.as_ref().is_none_or(|selection| selection.contains(file));
        let first = |file| if wanted(file) { Priority::Normal } else { Priority::Skip };
        self.files = (0..count).map(first).collect();
        for (file, priority) in &options.priorities {
            if let Some(place) = self.files.get_mut(*file) {
                *place = *priority;
            }
        }
    }

    fn set_files(&mut self, now: Instant, files: &[(usize, Priority)]) -> Result<(), ControlError> {
        let count = self.files.len();
        if self.metainfo.is_none() {
            return Err(ControlError::NoMetadata);
        }
        if let Some((file, _)) = files.iter().find(|(file, _)| *file >= count) {
            return Err(ControlError::NoFile { file: *file, count });
        }
        for (file, priority) in files {
            if let Some(place) = self.files.get_mut(*file) {
                *place = *priority;
            }
        }
        if let (Some(active), Some(metainfo)) = (&mut self.active, &self.metainfo) {
            let priorities = piece_priorities(&metainfo.info, &self.files);
            active.torrent.set_priorities(now, (0..).zip(priorities));
            if matches!(self.stage, Stage::Downloading | Stage::Seeding) {
                self.stage = self.standing();
                self.contacts.rest_is_over();
            }
        }
        Ok(())
    }
}

fn parse_tracker(url: impl AsRef<str>) -> Result<TrackerUrl, ControlError> {
    let url = url.as_ref();
    TrackerUrl::parse(url).map_err(|_| ControlError::Tracker { url: url.to_owned() })
}

/// How much each piece is wanted: as much as the file of it that is wanted most.
pub(super) fn piece_priorities(info: &Info, files: &[Priority]) -> Vec<Priority> {
    let layout = info.layout();
    let mut pieces = vec![Priority::Skip; layout.piece_count() as usize];
    for level in [Priority::Low, Priority::Normal, Priority::High] {
        for range in layout.pieces_of(|file| files.get(file) == Some(&level)) {
            if let Some(places) = pieces.get_mut(range.start as usize..range.end as usize) {
                places.fill(level);
            }
        }
    }
    pieces
}
