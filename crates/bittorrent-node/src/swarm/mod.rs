//! One torrent that runs: its peers' tasks, its jobs for the disk and its rules meet
//! here. All of it lives on the engine's thread, so that nothing is locked; what
//! is borrowed is given back before anything is waited for.

mod acting;
mod active;
mod bans;
mod buffers;
mod contacts;
mod control;
mod entry;
mod hashes;
mod leaves;
mod link;
mod meet;
mod options;
mod outgoing;
mod pace;
mod peer;
mod peers;
mod readers;
mod reception;
mod said;
mod task;
mod tell;
mod web_seeds;

pub(crate) use buffers::Buffers;
pub(crate) use control::{Command, Control, Ending};
pub(crate) use link::Link;
pub use options::Options;
pub(crate) use peer::Peer;
pub(crate) use peers::Admission;
pub(crate) use readers::{Files, Wish};
pub(crate) use task::Task;

use crate::content::Content;
use crate::context::Context;
use crate::details::TrackerAnswer;
use crate::progress::{PeerLine, Progress, Stage};
use crate::throttle::Limit;
use active::Active;
use bans::Bans;
use bittorrent::metainfo::{Info, InfoHashes, Limits, MetadataAssembly, Metainfo};
use bittorrent::torrent::{Octets, PeerKey};
use bittorrent::web_seed::WebSeed;
use bittorrent::wire::{PIECE_HEADER_OCTETS, piece_header};
use contacts::Contacts;
use entry::Entry;
use hashes::Hashes;
use leaves::Leaves;
use meet::Meetings;
use outgoing::{Outgoing, Part};
use readers::Readers;
use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;
use web_seeds::WebSeeds;

/// Connections below which trackers are asked for more as soon as they allow it.
const PEERS_WANTED: usize = 20;

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The peer closed it.
    Theirs,
    /// We closed it.
    Ours(&'static str),
    /// The peer broke the protocol.
    Broke(String),
    /// The connection failed.
    Failed(io::Error),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ended::Theirs => f.write_str("the peer closed it"),
            Ended::Ours(why) => f.write_str(why),
            Ended::Broke(how) => write!(f, "it broke the protocol: {how}"),
            Ended::Failed(error) => error.fmt(f),
        }
    }
}

/// One torrent.
pub(crate) struct Swarm {
    pub(crate) hashes: InfoHashes,
    context: Rc<Context>,
    pub(crate) options: Options,
    download: Limit,
    upload: Limit,
    state: RefCell<State>,
    /// What the disk said while a block was read to be sent.
    fault: RefCell<Option<String>>,
    /// Something happened that the torrent's task has to look at.
    pub(crate) stir: Notify,
}

struct State {
    name: String,
    stage: Stage,
    /// Until the info dictionary is here.
    assembly: Option<MetadataAssembly>,
    metainfo: Option<Arc<Metainfo>>,
    active: Option<Active>,
    peers: BTreeMap<u32, Entry>,
    next_key: u32,
    web_seeds: WebSeeds,
    readers: Readers,
    contacts: Contacts,
    /// Peers that a third one brings us together with.
    meetings: Meetings,
    hashes: Hashes,
    leaves: Leaves,
    banned: Bans,
    /// Below which folder its files lie.
    folder: PathBuf,
    /// Its info dictionary came from peers: it is kept for the next start.
    came_from_peers: bool,
    /// Files lay here before there were hashes to check them by.
    unchecked: bool,
    /// Told to stop.
    halted: bool,
    /// Whatever lies in the place of its files is overwritten.
    overwrite: bool,
    /// It has paused because of what lies there.
    asks_to_overwrite: bool,
    /// As set now; begun with those of the options.
    rules: bittorrent::torrent::Settings,
    connections_max: usize,
    /// How much each file is wanted; empty while there is no info dictionary.
    files: Vec<bittorrent::torrent::Priority>,
    /// Pieces looked at so far, while it is found out which are here.
    looked: u32,
    /// Octets received before the rules began anew (a recheck).
    received_before: u64,
    /// Octets sent in this run before the rules began anew.
    sent_earlier: u64,
    /// Octets sent before the rules began, in earlier runs, too.
    sent_before: u64,
    /// What came of the last announce to each tracker.
    trackers: BTreeMap<String, TrackerAnswer>,
}

/// What trackers are told, in octets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transferred {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// `None` while it is not known.
    pub(crate) left: Option<u64>,
}

impl Swarm {
    pub(crate) fn new(
        context: Rc<Context>,
        hashes: InfoHashes,
        name: String,
        metainfo: Option<Arc<Metainfo>>,
        web_seeds: Vec<WebSeed>,
        options: Options,
    ) -> Self {
        let now = Instant::now();
        let web_seeds = WebSeeds::new(web_seeds);
        let assembly = metainfo.is_none().then(|| MetadataAssembly::new(hashes));
        let stage = match (&metainfo, options.halted) {
            (Some(_), _) => Stage::Checking,
            (None, false) => Stage::Metadata,
            (None, true) => Stage::Halted,
        };
        let mut state = State {
            name,
            stage,
            assembly,
            metainfo,
            active: None,
            peers: BTreeMap::new(),
            next_key: web_seeds.first_free_key(),
            web_seeds,
            readers: Readers::default(),
            contacts: Contacts::new(context.own.get()),
            meetings: Meetings::default(),
            hashes: Hashes::default(),
            leaves: Leaves::new(now),
            banned: Bans::default(),
            // Where it is must not depend on where a later run is started.
            folder: std::path::absolute(&options.folder).unwrap_or_else(|_| options.folder.clone()),
            came_from_peers: false,
            unchecked: false,
            halted: options.halted,
            overwrite: options.overwrite,
            asks_to_overwrite: false,
            rules: options.rules.clone(),
            connections_max: options.connections_max,
            files: Vec::new(),
            looked: 0,
            received_before: 0,
            sent_earlier: 0,
            sent_before: 0,
            trackers: BTreeMap::new(),
        };
        state.read_wishes(&options);
        Self {
            hashes,
            context,
            download: Limit::new(now, options.download_per_second),
            upload: Limit::new(now, options.upload_per_second),
            options,
            state: RefCell::new(state),
            fault: RefCell::default(),
            stir: Notify::new(),
        }
    }

    pub(crate) fn context(&self) -> &Rc<Context> {
        &self.context
    }

    pub(crate) fn download_limit(&self) -> &Limit {
        &self.download
    }

    pub(crate) fn upload_limit(&self) -> &Limit {
        &self.upload
    }

    /// Pieces and octets of each, once they are known.
    pub(crate) fn geometry(&self) -> Option<(u32, u32)> {
        let state = self.state.borrow();
        let layout = state.metainfo.as_ref()?.info.layout();
        Some((layout.piece_count(), layout.piece_length()))
    }

    /// Whether only its trackers may tell of its peers (BEP 27).
    pub(crate) fn is_private(&self) -> bool {
        self.state.borrow().is_private()
    }

    /// Whether it runs and anybody may be told of it.
    pub(crate) fn is_open_to_all(&self) -> bool {
        let state = self.state.borrow();
        !state.is_private() && matches!(state.stage, Stage::Metadata | Stage::Downloading | Stage::Seeding)
    }

    fn metainfo(&self) -> Option<Arc<Metainfo>> {
        self.state.borrow().metainfo.clone()
    }

    /// What was transferred in this run.
    pub(crate) fn transferred(&self) -> Transferred {
        let state = self.state.borrow();
        let Some(active) = &state.active else {
            return Transferred { received: 0, sent: 0, left: None };
        };
        let totals = active.torrent.totals();
        Transferred {
            received: state.received_before + totals.received_octets,
            sent: state.sent_earlier + totals.sent_octets,
            left: Some(active.left_octets()),
        }
    }

    /// Whether it has too few addresses of peers.
    pub(crate) fn wants_peers(&self) -> bool {
        let state = self.state.borrow();
        matches!(state.stage, Stage::Metadata | Stage::Downloading) && state.peers.len() < PEERS_WANTED
    }

    /// What a tracker did.
    pub(crate) fn note_tracker(&self, url: &impl std::fmt::Display, answer: TrackerAnswer) {
        self.state.borrow_mut().trackers.insert(url.to_string(), answer);
    }

    /// A block came.
    pub(crate) fn handle_block(
        &self,
        now: Instant,
        key: PeerKey,
        block: bittorrent::wire::Block,
        buffer: Vec<u8>,
    ) {
        let mut state = self.state.borrow_mut();
        match &mut state.active {
            Some(active) => active.handle_block(now, key, block, buffer, &self.context.buffers),
            None => self.context.buffers.put([buffer]),
        }
        self.act(now, &mut state);
    }

    /// A block went out, or could not.
    pub(crate) fn handle_block_sent(&self, now: Instant, key: PeerKey, octets: Octets, sent: bool) {
        let mut state = self.state.borrow_mut();
        if let Some(active) = &mut state.active {
            active.torrent.handle_block_sent(now, key, octets, sent);
        }
        self.act(now, &mut state);
    }

    /// Opens a block to send; `None` where it cannot be read.
    pub(crate) fn open_block(&self, octets: Octets, from_files: bool) -> Option<Outgoing> {
        let content = self.content()?;
        let block =
            bittorrent::wire::Block { piece: octets.piece, begin: octets.begin, length: octets.octets };
        // Behind the end of a short piece come zeros.
        let layout = content.info().layout();
        let there = layout.piece_octets(octets.piece).saturating_sub(octets.begin).min(octets.octets);
        let from_files = from_files && there == octets.octets;
        let mut out =
            Vec::with_capacity(PIECE_HEADER_OCTETS + if from_files { 0 } else { octets.octets as usize });
        out.extend_from_slice(&piece_header(&block));
        if from_files {
            let mut parts = Vec::new();
            for slice in content.slices(octets.piece, octets.begin, octets.octets) {
                let Ok(Some(file)) = content.handle(&slice) else {
                    parts.clear();
                    break;
                };
                parts.push(Part { file, offset: slice.offset, octets: slice.length as usize });
            }
            if !parts.is_empty() {
                return Some(Outgoing::block(out, parts, octets));
            }
        }
        let header = out.len();
        out.resize(header + octets.octets as usize, 0);
        let place = out.get_mut(header..header + there as usize)?;
        match content.read(octets.piece, octets.begin, place) {
            Ok(true) => Some(Outgoing::block(out, Vec::new(), octets)),
            Ok(false) => {
                drop(content);
                self.handle_lost(octets);
                None
            }
            Err(error) => {
                self.fault.replace(Some(error.to_string()));
                self.stir.notify_one();
                None
            }
        }
    }

    /// Octets that were here are not: a file was cut short or taken away. What is
    /// sealed is watched by who sealed it.
    pub(crate) fn handle_lost(&self, octets: Octets) {
        let Some(content) = self.content().filter(|_| self.options.sealed.is_none()) else { return };
        let file = content.slices(octets.piece, octets.begin, octets.octets).next().map(|slice| slice.file);
        let place = file.map(|file| content.files().path(file)).unwrap_or_default();
        let why = "it is shorter than it was, or gone; put it back, or have all pieces checked anew";
        self.fault.replace(Some(format!("{}: {why}", place.display())));
        self.stir.notify_one();
    }

    fn content(&self) -> Option<Ref<'_, Arc<Content>>> {
        Ref::filter_map(self.state.borrow(), |state| state.active.as_ref().map(|active| &active.content)).ok()
    }

    /// What a person wants to see.
    pub(crate) fn progress(&self, now: Instant) -> Progress {
        let state = self.state.borrow();
        let mut progress =
            Progress { name: state.name.clone(), stage: state.stage.clone(), ..Progress::default() };
        progress.known_peers = state.contacts.len();
        progress.dht_nodes = self.context.dht_nodes.get();
        if let Some(metainfo) = &state.metainfo {
            let layout = metainfo.info.layout();
            progress.pieces = layout.piece_count();
            progress.total_octets = layout.content_octets();
        }
        if let Some(active) = &state.active {
            active.show(now, &mut progress);
            progress.peers = active
                .torrent
                .peers(now)
                .filter_map(|view| {
                    let entry = state.peers.get(&view.key.0)?;
                    if entry.link.closing().is_some() {
                        return None;
                    }
                    let source = state.contacts.source(&entry.link.address);
                    Some(PeerLine::new(&view, progress.pieces, entry.connection(source)))
                })
                .collect();
        }
        let torrent = state.active.as_ref().map(|active| &active.torrent);
        progress.web_seeds = state.web_seeds.show(now, torrent);
        progress.connections = state.peers.len();
        progress.trackers =
            state.trackers.iter().map(|(url, answer)| (url.clone(), answer.failure.clone())).collect();
        progress.sent_octets += state.sent_before;
        progress.received_octets += state.received_before;
        progress
    }

    /// The info dictionary is here: reads it, and begins.
    fn take_metadata(&self, state: &mut State, octets: &[u8]) -> Result<(), String> {
        let info = Info::parse(octets, &Limits::DEFAULT).map_err(|error| error.to_string())?;
        info.name().clone_into(&mut state.name);
        let web_seeds = state.web_seeds.of_files();
        state.metainfo = Some(Arc::new(Metainfo { web_seeds, ..Metainfo::new(info) }));
        if state.is_private() {
            state.forget_strangers();
        }
        state.assembly = None;
        state.came_from_peers = true;
        state.stage = Stage::Checking;
        state.read_wishes(&self.options);
        Ok(())
    }

    /// Stops everything with a reason that a person can mend.
    fn pause(now: Instant, state: &mut State, why: String) {
        if matches!(state.stage, Stage::Paused(_)) {
            // What came first is the reason.
            return;
        }
        // A target of its own: who shows the torrent's stage need not log it as well.
        tracing::warn!(target: "bittorrent_node::paused", torrent = %state.name, %why, "paused");
        state.quiet(now, "the torrent is paused");
        state.stage = Stage::Paused(why);
    }
}

impl State {
    /// Whether a peer who listens there is connected.
    fn is_connected(&self, address: SocketAddr) -> bool {
        self.peers.values().any(|peer| peer.link.address == address || peer.listens_at() == Some(address))
    }

    fn is_private(&self) -> bool {
        self.metainfo.as_ref().is_some_and(|metainfo| metainfo.info.is_private())
    }
}

/// The name of a peer for the gathering of metadata.
fn metadata_peer(key: PeerKey) -> bittorrent::metainfo::PeerId {
    key.0.into()
}
