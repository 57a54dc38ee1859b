//! What can be said to a torrent while it runs: the handle of a torrent.

use crate::details::Details;
use crate::progress::Progress;
use crate::swarm::{Command, Control, Wish};
use bittorrent::metainfo::InfoHashes;
use bittorrent::torrent::{Priority, SeedingGoal};
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::sync::{mpsc, oneshot, watch};

/// Limits of octets a second; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// From peers.
    pub download: Option<u64>,
    /// To peers.
    pub upload: Option<u64>,
}

/// What becomes of the files of a torrent that is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// They stay.
    Keep,
    /// They are deleted: the torrent's own, and its folders that are empty then.
    Delete,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// It has been removed, or the engine stops.
    #[error("the torrent is not there any more")]
    Gone,
    /// It is a magnet link whose info dictionary has not come yet.
    #[error("nothing is known of the torrent's files yet: wait until its info dictionary is here")]
    NoMetadata,
    /// There is no such file.
    #[error("the torrent has no file {file}, only {count}, numbered from 0")]
    NoFile {
        /// The number that was given.
        file: usize,
        /// How many there are.
        count: usize,
    },
    /// It is being found out which pieces are here.
    #[error("the torrent's files are being checked: wait until that is done")]
    Checking,
    /// A URL that is none of a tracker.
    #[error("{url} is not the address of a tracker: write http://, https:// or udp://")]
    Tracker {
        /// The URL that was given.
        url: String,
    },
    /// The disk does not do it.
    #[error("{0}")]
    Disk(String),
}

/// A torrent that runs.
#[derive(Debug, Clone)]
pub struct Handle {
    hashes: InfoHashes,
    commands: mpsc::Sender<Command>,
    progress: watch::Receiver<Progress>,
}

impl Handle {
    pub(crate) fn new(
        hashes: InfoHashes,
        commands: mpsc::Sender<Command>,
        progress: watch::Receiver<Progress>,
    ) -> Self {
        Self { hashes, commands, progress }
    }

    /// Its info-hashes.
    pub fn hashes(&self) -> InfoHashes {
        self.hashes
    }

    /// How it stands; changes some times a second.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Tells it of addresses where peers may be.
    pub async fn add_peers(&self, addresses: Vec<SocketAddr>) {
        // Fails only while it ends.
        let _ = self.commands.send(Command::AddPeers(addresses)).await;
    }

    /// Tells what a reader wants. Fails only while it ends.
    pub(crate) async fn wish(&self, wish: Wish) -> Result<(), ControlError> {
        self.commands.send(Command::Read(wish)).await.map_err(|_| ControlError::Gone)
    }

    /// The same without waiting: whether there was room.
    pub(crate) fn try_wish(&self, wish: Wish) -> bool {
        self.commands.try_send(Command::Read(wish)).is_ok()
    }

    /// Tells what a reader wants and is answered. Fails only while it ends.
    pub(crate) async fn ask_for<T>(
        &self,
        wish: impl FnOnce(oneshot::Sender<T>) -> Wish,
    ) -> Result<T, ControlError> {
        self.ask(|reply| Command::Read(wish(reply))).await
    }

    /// Ends it with the engine.
    pub(crate) async fn stop(&self) {
        let _ = self.commands.send(Command::Stop).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, ControlError> {
        net::ask(&self.commands, command).await.ok_or(ControlError::Gone)
    }

    async fn say(&self, control: Control) -> Result<(), ControlError> {
        self.ask(|reply| Command::Control(control, reply)).await?
    }

    /// Stops it: nothing is asked for or served, peers are disconnected, trackers
    /// hear that we leave, and what is here is noted. It stays paused until
    /// [`Self::resume`].
    ///
    /// # Errors
    /// [`ControlError::Gone`].
    pub async fn pause(&self) -> Result<(), ControlError> {
        self.say(Control::Pause).await
    }

    /// Goes on, also after a full disk or an I/O error; what could not be done
    /// then is tried again.
    ///
    /// # Errors
    /// [`ControlError::Gone`].
    pub async fn resume(&self) -> Result<(), ControlError> {
        self.say(Control::Resume).await
    }

    /// Checks all pieces on the disk anew. Answers when that has begun.
    ///
    /// # Errors
    /// Without info dictionary, or while its files are being checked.
    pub async fn recheck(&self) -> Result<(), ControlError> {
        self.say(Control::Recheck).await
    }

    /// Asks the trackers for more peers, as soon as they allow it.
    ///
    /// # Errors
    /// [`ControlError::Gone`].
    pub async fn reannounce(&self) -> Result<(), ControlError> {
        self.say(Control::Reannounce).await
    }

    /// Changes how much files are wanted; those not named stay as they are. Files
    /// are numbered as in the info dictionary, padding files too. Pieces that are
    /// part of several files are as urgent as the most urgent.
    ///
    /// # Errors
    /// Without info dictionary, or for a file that there is not; then nothing
    /// changes.
    pub async fn set_files(&self, files: Vec<(usize, Priority)>) -> Result<(), ControlError> {
        self.say(Control::Files(files)).await
    }

    /// Pieces in their order, or rarest first.
    ///
    /// # Errors
    /// [`ControlError::Gone`].
    pub async fn set_sequential(&self, sequential: bool) -> Result<(), ControlError> {
        self.say(Control::Sequential(sequential)).await
    }

    /// Changes when it has seeded enough.
    ///
    /// # Errors
    /// [`ControlError::Gone`].
    pub async fn set_seeding_goal(&self, goal: SeedingGoal) -> Result<(), ControlError> {
        self.say(Control::Goal(goal)).await
    }

    /// Moves its files to another folder while it runs. Answers when they are
    /// there; a crash in the middle loses nothing: the next start goes on.
    ///
    /// # Errors
    /// While its files are being checked or moved, or when the disk does not do it
    /// or a file of the same name is there already: then all is where it was.
    pub async fn move_files(&self, to: PathBuf) -> Result<(), ControlError> {
        self.say(Control::Move(absolute(to))).await
    }

    /// Gives a file or folder of it another name on the disk: `path` is below the
    /// torrent's folder of downloads, as it is there now. Others know it by its own
    /// name still.
    ///
    /// # Errors
    /// While its files are being checked or moved, or when there is no such file or
    /// it cannot have that name.
    pub async fn rename(&self, path: PathBuf, name: String) -> Result<(), ControlError> {
        self.say(Control::Rename(path, name)).await
    }

    /// Seeks its files in another folder, where somebody else has put them, and
    /// checks them. Answers when that has begun.
    ///
    /// # Errors
    /// While its files are being checked or moved.
    pub async fn find_files(&self, folder: PathBuf) -> Result<(), ControlError> {
        self.say(Control::Find(absolute(folder))).await
    }

    /// Limits its rates, within those of all torrents together.
    ///
    /// # Errors
    /// [`ControlError::Gone`].
    pub async fn set_rates(&self, rates: Rates) -> Result<(), ControlError> {
        self.say(Control::Rates(rates)).await
    }

    /// Limits its connections; those there are too many are closed.
    ///
    /// # Errors
    /// [`ControlError::Gone`].
    pub async fn set_connections_max(&self, connections_max: usize) -> Result<(), ControlError> {
        self.say(Control::Connections(connections_max)).await
    }

    /// Adds trackers, each a tier of its own; those that are there stay.
    ///
    /// # Errors
    /// When one is no URL of a tracker; then none is added.
    pub async fn add_trackers(&self, urls: Vec<String>) -> Result<(), ControlError> {
        self.say(Control::AddTrackers(urls)).await
    }

    /// Other trackers instead of those that there are, tier by tier (BEP 12).
    ///
    /// # Errors
    /// When one is no URL of a tracker; then nothing changes.
    pub async fn set_trackers(&self, tiers: Vec<Vec<String>>) -> Result<(), ControlError> {
        self.say(Control::Trackers(tiers)).await
    }

    /// All about it, at this moment. Linear in the count of its pieces.
    ///
    /// # Errors
    /// [`ControlError::Gone`].
    pub async fn details(&self) -> Result<Details, ControlError> {
        self.ask(Command::Details).await
    }

    /// Ends it for good: what was noted of it is forgotten, and its files are
    /// kept or deleted. Answers when that is done.
    ///
    /// # Errors
    /// [`ControlError::Gone`], or when the disk fails; it is removed all the same.
    pub async fn remove(&self, data: Data) -> Result<(), ControlError> {
        self.ask(|reply| Command::Remove(data, reply)).await?
    }
}

/// A folder that means the same wherever a later run is started.
fn absolute(folder: PathBuf) -> PathBuf {
    std::path::absolute(&folder).unwrap_or(folder)
}
