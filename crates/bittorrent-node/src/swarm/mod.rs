//! One torrent that runs: its peers' tasks, its files' thread and its rules meet
//! here. All of it lives on the engine's thread, so that nothing is locked; what
//! is borrowed is given back before anything is waited for.

mod active;
mod buffers;
mod contacts;
mod link;
mod outgoing;
mod peer;
mod said;
mod task;

pub(crate) use buffers::Buffers;
pub(crate) use contacts::Source;
pub(crate) use link::Link;
pub(crate) use peer::Peer;
pub(crate) use task::{Command, run};

use crate::content::Content;
use crate::engine::Context;
use crate::progress::{PeerLine, Progress, Stage};
use active::Active;
use bittorrent::metainfo::{Info, InfoHashes, Limits, MetadataAssembly, Metainfo};
use bittorrent::torrent::bandwidth::TokenBucket;
use bittorrent::torrent::{Octets, PeerKey};
use bittorrent::wire::extension::{
    ExtendedHandshake, Extension, ExtensionMessage, NamedIds, PeerIds, PexMessage, PexPeer, PexReceiver,
    PexSender,
};
use bittorrent::wire::{PIECE_HEADER_OCTETS, PeerId, piece_header};
use contacts::Contacts;
use outgoing::{Outgoing, Part};
use said::Early;
use std::cell::{Ref, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;

/// Requests of a peer that we queue, told in the extended handshake (reqq).
const REQUESTS_MAX: u32 = 500;

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

/// What a torrent is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Below which folder its files lie.
    pub folder: PathBuf,
    /// How the room of its files is had.
    pub allocation: storage::Allocation,
    /// The rules' settings.
    pub rules: bittorrent::torrent::Settings,
    /// Check all pieces, whatever an earlier run left.
    pub recheck: bool,
    /// Octets a second from peers; `None` for no limit.
    pub download_per_second: Option<u64>,
    /// Octets a second to peers.
    pub upload_per_second: Option<u64>,
    /// Connections of this torrent at once.
    pub connections_max: usize,
    /// Peers to begin with.
    pub peers: Vec<SocketAddr>,
    /// The files that are wanted (BEP 53); all where absent.
    pub selection: Option<bittorrent::metainfo::FileSelection>,
}

/// One torrent.
pub(crate) struct Swarm {
    pub(crate) hashes: InfoHashes,
    context: Rc<Context>,
    pub(crate) options: Options,
    download: RefCell<TokenBucket>,
    upload: RefCell<TokenBucket>,
    state: RefCell<State>,
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
    contacts: Contacts,
    banned: BTreeSet<IpAddr>,
    /// Octets sent before this run.
    sent_before: u64,
    /// The trackers that were asked, and why those failed that did.
    trackers: BTreeMap<String, Option<String>>,
}

/// What trackers are told, in octets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transferred {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// `None` while it is not known.
    pub(crate) left: Option<u64>,
}

/// A peer whose handshake is done.
struct Entry {
    link: Rc<Link>,
    id: PeerId,
    fast: bool,
    incoming: bool,
    ids: PeerIds,
    hello: Option<ExtendedHandshake>,
    /// What it said before the info dictionary was here.
    early: Vec<Early>,
    pex_in: PexReceiver,
    pex_out: PexSender,
}

/// What is known of a connection that has shaken hands.
pub(crate) struct Admission {
    pub(crate) link: Rc<Link>,
    pub(crate) id: PeerId,
    pub(crate) fast: bool,
    pub(crate) extensions: bool,
    pub(crate) incoming: bool,
}

impl Swarm {
    pub(crate) fn new(
        context: Rc<Context>,
        hashes: InfoHashes,
        name: String,
        metainfo: Option<Arc<Metainfo>>,
        options: Options,
    ) -> Self {
        let now = Instant::now();
        let assembly = metainfo.is_none().then(|| MetadataAssembly::new(hashes));
        let state = State {
            name,
            stage: if metainfo.is_some() { Stage::Checking } else { Stage::Metadata },
            assembly,
            metainfo,
            active: None,
            peers: BTreeMap::new(),
            next_key: 0,
            contacts: Contacts::default(),
            banned: BTreeSet::new(),
            sent_before: 0,
            trackers: BTreeMap::new(),
        };
        Self {
            hashes,
            context,
            download: RefCell::new(TokenBucket::new(now, options.download_per_second)),
            upload: RefCell::new(TokenBucket::new(now, options.upload_per_second)),
            options,
            state: RefCell::new(state),
            stir: Notify::new(),
        }
    }

    pub(crate) fn context(&self) -> &Rc<Context> {
        &self.context
    }

    pub(crate) fn download_limit(&self) -> &RefCell<TokenBucket> {
        &self.download
    }

    pub(crate) fn upload_limit(&self) -> &RefCell<TokenBucket> {
        &self.upload
    }

    /// Pieces and octets of each, once they are known.
    pub(crate) fn geometry(&self) -> Option<(u32, u32)> {
        let state = self.state.borrow();
        let layout = state.metainfo.as_ref()?.info.layout();
        Some((layout.piece_count(), layout.piece_length()))
    }

    fn metainfo(&self) -> Option<Arc<Metainfo>> {
        self.state.borrow().metainfo.clone()
    }

    /// Whether a peer may come now; `None` says why not.
    pub(crate) fn may_admit(&self, address: SocketAddr) -> Result<(), &'static str> {
        let state = self.state.borrow();
        if state.banned.contains(&address.ip()) {
            return Err("it is banned");
        }
        if state.peers.len() >= self.options.connections_max {
            return Err("connections_max are open");
        }
        match state.stage {
            Stage::Checking | Stage::Paused(_) => Err("the torrent does not run"),
            _ => Ok(()),
        }
    }

    /// A connection has shaken hands.
    pub(crate) fn admit(&self, now: Instant, admission: Admission) -> Result<PeerKey, &'static str> {
        let Admission { link, id, fast, extensions, incoming } = admission;
        self.may_admit(link.address)?;
        let mut state = self.state.borrow_mut();
        if state.peers.values().any(|peer| peer.id == id) {
            return Err("the same peer is connected already");
        }
        let key = PeerKey(state.next_key);
        state.next_key = state.next_key.wrapping_add(1);
        let mut entry = Entry {
            id,
            fast,
            incoming,
            ids: PeerIds::default(),
            hello: None,
            early: Vec::new(),
            pex_in: PexReceiver::new(now),
            pex_out: PexSender::new(now, Some(link.address)),
            link: link.clone(),
        };
        if !incoming {
            state.contacts.connected(link.address);
        }
        if let Some(active) = &mut state.active {
            active.add_peer(now, key, &mut entry, &self.hashes);
        }
        // Without the info dictionary nothing can be said of pieces yet.
        if extensions {
            let hello = self.hello(&state, link.address.ip());
            link.send_extension(&ExtensionMessage::Handshake(Box::new(hello)), PeerIds::default());
        }
        state.peers.insert(key.0, entry);
        self.act(now, &mut state);
        Ok(key)
    }

    /// Our extended handshake.
    fn hello(&self, state: &State, peer: IpAddr) -> ExtendedHandshake {
        let info = state.metainfo.as_ref().map(|metainfo| &metainfo.info);
        let private = info.is_some_and(Info::is_private);
        let mut ids =
            NamedIds::own(&[Extension::Metadata, Extension::Pex, Extension::DontHave, Extension::UploadOnly]);
        if private {
            ids = ids.without(Extension::Pex);
        }
        ExtendedHandshake {
            ids,
            port: Some(self.context.port()).filter(|port| *port != 0),
            version: Some(concat!("Utopia ", env!("CARGO_PKG_VERSION")).to_owned()),
            your_address: Some(peer),
            requests_max: Some(REQUESTS_MAX),
            metadata_octets: info.and_then(|info| u32::try_from(info.octets().len()).ok()),
            upload_only: state.active.as_ref().map(|active| active.torrent.is_finished()),
            ..ExtendedHandshake::default()
        }
    }

    /// A connection is over.
    pub(crate) fn remove_peer(&self, now: Instant, key: PeerKey, ended: &Ended) {
        let mut state = self.state.borrow_mut();
        let Some(entry) = state.peers.remove(&key.0) else { return };
        tracing::debug!(peer = %entry.link.address, %ended, torrent = %state.name, "peer is gone");
        let misbehaved = matches!(ended, Ended::Broke(_));
        if !entry.incoming {
            state.contacts.closed(now, entry.link.address, misbehaved);
        }
        if let Some(assembly) = &mut state.assembly {
            assembly.handle_gone(metadata_peer(key));
        }
        if let Some(active) = &mut state.active {
            active.torrent.remove_peer(now, key);
        }
        self.act(now, &mut state);
        self.stir.notify_one();
    }

    /// Addresses where peers may be.
    pub(crate) fn add_contacts(&self, source: Source, addresses: impl IntoIterator<Item = SocketAddr>) {
        let mut state = self.state.borrow_mut();
        let private = state.metainfo.as_ref().is_some_and(|metainfo| metainfo.info.is_private());
        if private && source == Source::Peer {
            return;
        }
        for address in addresses {
            if address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast() {
                state.contacts.add(source, address);
            }
        }
        drop(state);
        self.stir.notify_one();
    }

    /// Whom to connect to now.
    pub(crate) fn next_contact(&self, now: Instant) -> Option<SocketAddr> {
        let mut state = self.state.borrow_mut();
        if !matches!(state.stage, Stage::Metadata | Stage::Downloading) {
            return None;
        }
        if state.peers.len() + state.contacts.connecting() >= self.options.connections_max {
            return None;
        }
        loop {
            let address = state.contacts.next(now)?;
            let connected = state.peers.values().any(|peer| peer.link.address == address);
            if !connected && !state.banned.contains(&address.ip()) {
                return Some(address);
            }
        }
    }

    /// What was transferred in this run.
    pub(crate) fn transferred(&self) -> Transferred {
        let state = self.state.borrow();
        let Some(active) = &state.active else {
            return Transferred { received: 0, sent: 0, left: None };
        };
        let totals = active.torrent.totals();
        Transferred {
            received: totals.received_octets,
            sent: totals.sent_octets,
            left: Some(active.left_octets()),
        }
    }

    /// Whether it has too few addresses of peers.
    pub(crate) fn wants_peers(&self) -> bool {
        let state = self.state.borrow();
        matches!(state.stage, Stage::Metadata | Stage::Downloading) && state.peers.len() < PEERS_WANTED
    }

    /// What a tracker did.
    pub(crate) fn note_tracker(&self, url: &impl std::fmt::Display, failure: Option<String>) {
        self.state.borrow_mut().trackers.insert(url.to_string(), failure);
    }

    /// Connecting came to nothing.
    pub(crate) fn contact_failed(&self, now: Instant, address: SocketAddr, misbehaved: bool) {
        self.state.borrow_mut().contacts.closed(now, address, misbehaved);
        self.stir.notify_one();
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
            Ok(false) => None,
            Err(error) => {
                tracing::warn!(%error, "a block cannot be read");
                None
            }
        }
    }

    fn content(&self) -> Option<Ref<'_, Arc<Content>>> {
        Ref::filter_map(self.state.borrow(), |state| state.active.as_ref().map(|active| &active.content)).ok()
    }

    /// Once a second for each peer: who else is here (BEP 11).
    pub(crate) fn handle_peer_tick(&self, now: Instant, key: PeerKey) {
        let mut state = self.state.borrow_mut();
        let private = state.metainfo.as_ref().is_none_or(|metainfo| metainfo.info.is_private());
        let due = state.peers.get(&key.0).is_some_and(|peer| now >= peer.pex_out.poll_timeout());
        if private || !due {
            return;
        }
        let connected: Vec<PexPeer> = state
            .peers
            .values()
            .filter_map(|peer| {
                // Whoever connected to us listens where its handshake says.
                let port = if peer.incoming { peer.hello.as_ref()?.port? } else { peer.link.address.port() };
                let address = SocketAddr::new(peer.link.address.ip(), port);
                Some(PexPeer { address, flags: bittorrent::wire::extension::PexFlags::default() })
            })
            .collect();
        let Some(peer) = state.peers.get_mut(&key.0) else { return };
        if peer.ids.get(Extension::Pex).is_none() {
            return;
        }
        let message: Option<PexMessage> = peer.pex_out.poll(now, connected);
        if let Some(message) = message {
            peer.link.send_extension(&ExtensionMessage::Pex(message), peer.ids);
        }
    }

    /// What a person wants to see.
    pub(crate) fn progress(&self, now: Instant) -> Progress {
        let state = self.state.borrow();
        let mut progress =
            Progress { name: state.name.clone(), stage: state.stage.clone(), ..Progress::default() };
        progress.known_peers = state.contacts.len();
        if let Some(metainfo) = &state.metainfo {
            let layout = metainfo.info.layout();
            progress.pieces = layout.piece_count();
            progress.total_octets = layout.total_octets();
        }
        if let Some(active) = &state.active {
            active.show(now, &mut progress);
            progress.peers = active
                .torrent
                .peers(now)
                .filter_map(|view| {
                    let entry = state.peers.get(&view.key.0)?;
                    Some(PeerLine::new(
                        &view,
                        progress.pieces,
                        entry.link.address,
                        entry.client(),
                        entry.incoming,
                    ))
                })
                .collect();
        }
        progress.connections = state.peers.len();
        progress.trackers =
            state.trackers.iter().map(|(url, failure)| (url.clone(), failure.clone())).collect();
        progress.sent_octets += state.sent_before;
        progress
    }

    /// The info dictionary is here: reads it, and begins.
    fn take_metadata(state: &mut State, octets: &[u8]) -> Result<(), String> {
        let info = Info::parse(octets, &Limits::DEFAULT).map_err(|error| error.to_string())?;
        info.name().clone_into(&mut state.name);
        state.metainfo = Some(Arc::new(Metainfo::new(info)));
        state.assembly = None;
        state.stage = Stage::Checking;
        Ok(())
    }

    /// Stops everything with a reason that a person can mend.
    fn pause(now: Instant, state: &mut State, why: String) {
        tracing::warn!(torrent = %state.name, %why, "paused");
        if let Some(active) = &mut state.active {
            active.torrent.set_paused(now, true);
        }
        state.stage = Stage::Paused(why);
    }
}

impl Entry {
    /// What the peer calls itself.
    fn client(&self) -> String {
        let told = self.hello.as_ref().and_then(|hello| hello.version.clone());
        told.unwrap_or_else(|| self.id.client_name().unwrap_or_default())
    }
}

/// The name of a peer for the gathering of metadata.
fn metadata_peer(key: PeerKey) -> bittorrent::metainfo::PeerId {
    key.0.into()
}
