//! What peers say: each message goes to the rules, or is answered here.

use super::{Ended, State, Swarm, metadata_peer};
use crate::progress::Source;
use bittorrent::metainfo::{AssemblyError, AssemblyProgress, metadata_piece};
use bittorrent::torrent::{BitfieldError, Octets, PeerKey, Torrent};
use bittorrent::wire::extension::{
    ExtendedHandshake, Extension, ExtensionMessage, MetadataMessage, PexMessage,
};
use bittorrent::wire::{Block, HashRange, Message};
use std::net::SocketAddr;
use std::time::Instant;

/// Statements of one peer that are kept while the info dictionary is not here.
const EARLY_MAX: usize = 4_096;
/// Pieces of metadata asked of one peer at once.
const METADATA_REQUESTS_MAX: usize = 4;

/// What a peer said before it could be heeded.
#[derive(Debug)]
pub(super) enum Early {
    Bitfield(Vec<u8>),
    HaveAll,
    HaveNone,
    Have(u32),
    Unchoke,
    Choke,
    Interested,
    NotInterested,
    UploadOnly(bool),
}

impl Early {
    /// Tells the rules.
    pub(super) fn tell(self, now: Instant, key: PeerKey, torrent: &mut Torrent) -> Result<(), BitfieldError> {
        match self {
            Early::Bitfield(octets) => return torrent.handle_bitfield(now, key, &octets),
            Early::HaveAll => torrent.handle_have_all(now, key),
            Early::HaveNone => torrent.handle_have_none(now, key),
            Early::Have(piece) => torrent.handle_have(now, key, piece),
            Early::Unchoke => torrent.handle_unchoke(now, key),
            Early::Choke => torrent.handle_choke(now, key),
            Early::Interested => torrent.handle_interested(now, key),
            Early::NotInterested => torrent.handle_not_interested(now, key),
            Early::UploadOnly(upload_only) => torrent.handle_upload_only(now, key, upload_only),
        }
        Ok(())
    }

    /// Whether it says all that the peer has.
    fn is_of_all(&self) -> bool {
        matches!(self, Early::Bitfield(_) | Early::HaveAll | Early::HaveNone)
    }

    /// What of a message is about the peer's own state.
    fn of(message: &Message<'_>) -> Option<Self> {
        Some(match message {
            Message::Bitfield(octets) => Early::Bitfield(octets.to_vec()),
            Message::HaveAll => Early::HaveAll,
            Message::HaveNone => Early::HaveNone,
            Message::Have(piece) => Early::Have(*piece),
            Message::Unchoke => Early::Unchoke,
            Message::Choke => Early::Choke,
            Message::Interested => Early::Interested,
            Message::NotInterested => Early::NotInterested,
            _ => return None,
        })
    }
}

impl Swarm {
    /// A message came.
    pub(crate) fn handle_message(
        &self,
        now: Instant,
        key: PeerKey,
        message: &Message<'_>,
    ) -> Result<(), Ended> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        match message {
            Message::Extended { id, payload } => {
                let message = ExtensionMessage::decode(*id, payload)
                    .map_err(|error| Ended::Broke(error.to_string()))?;
                self.handle_extension(now, state, key, message)?;
            }
            Message::HashRequest(range) => handle_hash_request(now, state, key, range),
            Message::Hashes { range, hashes } => self.handle_hashes(now, state, key, range, hashes)?,
            Message::HashReject(range) => {
                if !state.leaves.handle_reject(key, range) {
                    state.hashes.handle_reject(now, key, range);
                }
            }
            Message::Port(port) => self.handle_port(state, key, *port),
            Message::KeepAlive | Message::Piece { .. } => {}
            _ => match &mut state.active {
                Some(active) => tell(now, key, message, &mut active.torrent)?,
                None => remember(state, key, message),
            },
        }
        self.act(now, state);
        Ok(())
    }

    /// A peer tells where its node of the hash table is (BEP 5, "PORT"); once.
    fn handle_port(&self, state: &mut State, key: PeerKey, port: u16) {
        let private = state.is_private();
        let Some(entry) = state.peers.get_mut(&key.0) else { return };
        if let (Some(dht), false, false, 1..) = (self.context().dht.get(), private, entry.told_port, port) {
            entry.told_port = true;
            dht.suggest_node(SocketAddr::new(entry.link.address.ip(), port));
        }
    }

    fn handle_extension(
        &self,
        now: Instant,
        state: &mut State,
        key: PeerKey,
        message: ExtensionMessage<'_>,
    ) -> Result<(), Ended> {
        match message {
            ExtensionMessage::Handshake(hello) => Self::handle_hello(now, state, key, *hello),
            ExtensionMessage::Metadata(message) => return self.handle_metadata(now, state, key, message),
            ExtensionMessage::Pex(message) => return self.handle_pex(now, state, key, &message),
            ExtensionMessage::DontHave(piece) => {
                if let Some(active) = &mut state.active {
                    active.torrent.handle_dont_have(now, key, piece);
                }
            }
            ExtensionMessage::UploadOnly(upload_only) => said_upload_only(now, state, key, upload_only),
            ExtensionMessage::Holepunch(message) => self.handle_holepunch(now, state, key, message),
            ExtensionMessage::Unknown(_) => {}
        }
        Ok(())
    }

    fn handle_hello(now: Instant, state: &mut State, key: PeerKey, hello: ExtendedHandshake) {
        let Some(entry) = state.peers.get_mut(&key.0) else { return };
        entry.ids.update(&hello);
        if let (true, None, Some(port)) = (entry.incoming, &entry.hello, hello.port) {
            // Where it listens, others and a later self can find it. Only its first
            // word counts, or it could fill the list.
            state.contacts.add(Source::Incoming, SocketAddr::new(entry.link.address.ip(), port));
        }
        let (metadata_octets, upload_only) = (hello.metadata_octets, hello.upload_only);
        entry.hello = Some(hello);
        if let Some(upload_only) = upload_only {
            said_upload_only(now, state, key, upload_only);
        }
        if let (Some(assembly), Some(octets)) = (&mut state.assembly, metadata_octets) {
            // A length that cannot be is simply not asked for.
            let _ = assembly.handle_length(metadata_peer(key), octets.into());
        }
        ask_for_metadata(now, state);
    }

    fn handle_metadata(
        &self,
        now: Instant,
        state: &mut State,
        key: PeerKey,
        message: MetadataMessage<'_>,
    ) -> Result<(), Ended> {
        match message {
            MetadataMessage::Request { piece } => {
                let metainfo = state.metainfo.clone();
                let Some(entry) = state.peers.get(&key.0) else { return Ok(()) };
                let octets =
                    metainfo.as_ref().and_then(|metainfo| metadata_piece(metainfo.info.octets(), piece));
                let total = metainfo.as_ref().map_or(0, |metainfo| metainfo.info.octets().len() as u32);
                let reply = match octets {
                    Some(octets) => MetadataMessage::Data { piece, total_octets: total, octets },
                    None => MetadataMessage::Reject { piece },
                };
                entry.link.send_extension(&ExtensionMessage::Metadata(reply), entry.ids);
            }
            MetadataMessage::Data { piece, total_octets, octets } => {
                let Some(assembly) = &mut state.assembly else { return Ok(()) };
                match assembly.handle_piece(metadata_peer(key), piece, total_octets.into(), octets) {
                    Ok(AssemblyProgress::Complete(octets)) => {
                        if let Err(why) = self.take_metadata(state, &octets) {
                            Self::pause(
                                now,
                                state,
                                format!("the torrent behind the link is of no use: {why}"),
                            );
                        }
                        self.stir.notify_one();
                    }
                    Ok(AssemblyProgress::More | AssemblyProgress::Restarted) => {}
                    Err(AssemblyError::Enough | AssemblyError::Unasked(_)) => {}
                    Err(error) => return Err(Ended::Broke(error.to_string())),
                }
                ask_for_metadata(now, state);
            }
            MetadataMessage::Reject { piece } => {
                if let Some(assembly) = &mut state.assembly {
                    assembly.handle_reject(metadata_peer(key), piece);
                }
                ask_for_metadata(now, state);
            }
            MetadataMessage::Unknown => {}
        }
        Ok(())
    }

    fn handle_pex(
        &self,
        now: Instant,
        state: &mut State,
        key: PeerKey,
        message: &PexMessage,
    ) -> Result<(), Ended> {
        if state.is_private() {
            return Ok(());
        }
        let Some(entry) = state.peers.get_mut(&key.0) else { return Ok(()) };
        let told =
            entry.pex_in.handle_message(now, message).map_err(|error| Ended::Broke(error.to_string()))?;
        for peer in told.into_iter().filter(|peer| !self.context.filters(peer.address)) {
            state.contacts.add(Source::Pex, peer.address);
            if peer.flags.holepunch {
                state.contacts.set_can_meet(&peer.address);
            }
        }
        self.stir.notify_one();
        Ok(())
    }
}

/// Hands a message to the rules.
fn tell(now: Instant, key: PeerKey, message: &Message<'_>, torrent: &mut Torrent) -> Result<(), Ended> {
    let octets = |block: &Block| Octets { piece: block.piece, begin: block.begin, octets: block.length };
    match message {
        Message::Request(block) => torrent.handle_request(now, key, octets(block)),
        Message::Cancel(block) => torrent.handle_cancel(now, key, octets(block)),
        Message::Reject(block) => torrent.handle_reject(now, key, octets(block)),
        Message::Suggest(piece) => torrent.handle_suggest(now, key, *piece),
        Message::AllowedFast(piece) => torrent.handle_allowed_fast(now, key, *piece),
        message => {
            if let Some(said) = Early::of(message) {
                said.tell(now, key, torrent).map_err(|error| Ended::Broke(error.to_string()))?;
            }
        }
    }
    Ok(())
}

/// Keeps what a peer says until the info dictionary is here.
fn remember(state: &mut State, key: PeerKey, message: &Message<'_>) {
    let Some(entry) = state.peers.get_mut(&key.0) else { return };
    if let Some(said) = Early::of(message) {
        // It takes the place of what was said before, and may be large.
        if said.is_of_all() {
            entry.early.retain(|early| !early.is_of_all() && !matches!(early, Early::Have(_)));
        }
        if entry.early.len() >= EARLY_MAX {
            entry.link.close("it said too much before the metadata was here");
        } else {
            entry.early.push(said);
        }
    }
}

fn said_upload_only(now: Instant, state: &mut State, key: PeerKey, upload_only: bool) {
    if let Some(active) = &mut state.active {
        return active.torrent.handle_upload_only(now, key, upload_only);
    }
    let Some(entry) = state.peers.get_mut(&key.0) else { return };
    if entry.early.len() < EARLY_MAX {
        entry.early.push(Early::UploadOnly(upload_only));
    }
}

/// Asks everybody who has metadata for pieces of it.
pub(super) fn ask_for_metadata(now: Instant, state: &mut State) {
    let Some(assembly) = &mut state.assembly else { return };
    assembly.handle_timeout(now);
    for (key, entry) in &state.peers {
        if entry.ids.get(Extension::Metadata).is_none() {
            continue;
        }
        for _ in 0..METADATA_REQUESTS_MAX {
            let Some(piece) = assembly.poll_request(now, metadata_peer(PeerKey(*key))) else { break };
            let message = ExtensionMessage::Metadata(MetadataMessage::Request { piece });
            entry.link.send_extension(&message, entry.ids);
        }
    }
}

/// Hashes of a file's tree are asked for (BEP 52): those of the piece layer are
/// at hand, for those below it pieces are read.
fn handle_hash_request(now: Instant, state: &mut State, key: PeerKey, range: &HashRange) {
    let Some(entry) = state.peers.get(&key.0) else { return };
    if let Some(active) = &state.active {
        if let Some(hashes) = state.hashes.answer(&active.content, range) {
            return entry.link.send(&Message::Hashes { range: *range, hashes: &hashes });
        }
        if state.leaves.begin(now, key, range, active) {
            return;
        }
    }
    entry.link.send(&Message::HashReject(*range));
}
