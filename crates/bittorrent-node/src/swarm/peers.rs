//! Who is in the swarm: peers that come and go, and the addresses where others
//! may be.

use super::contacts::may_be_peer;
use super::link::Link;
use super::meet::Calls;
use super::{Ended, Entry, State, Swarm, metadata_peer};
use crate::context::Counted;
use crate::progress::{Source, Stage};
use crate::transport::Protocol;
use bittorrent::metainfo::Info;
use bittorrent::torrent::PeerKey;
use bittorrent::wire::extension::{
    ExtendedHandshake, Extension, ExtensionMessage, NamedIds, PeerIds, PexFlags, PexMessage, PexPeer,
    PexReceiver, PexSender,
};
use bittorrent::wire::{Message, PeerId};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Requests of a peer that we queue, told in the extended handshake (reqq).
const REQUESTS_MAX: u32 = 500;
/// How long a connection stays in any case, so that it can become of use.
const SETTLING: Duration = Duration::from_mins(1);
/// Two connections between the same peers have crossed if one opened no longer
/// than this after the other.
const CROSSING: Duration = Duration::from_secs(20);

/// What is known of a connection that has shaken hands.
pub(crate) struct Admission {
    pub(crate) link: Rc<Link>,
    pub(crate) id: PeerId,
    pub(crate) fast: bool,
    pub(crate) knows_trees: bool,
    pub(crate) extensions: bool,
    pub(crate) dht: bool,
    pub(crate) incoming: bool,
    pub(crate) protocol: Protocol,
    pub(crate) encrypted: bool,
}

impl Swarm {
    /// Whether a peer may come now; `None` says why not.
    pub(crate) fn may_admit(&self, address: SocketAddr) -> Result<(), &'static str> {
        let state = self.state.borrow();
        if state.banned.contains(&address.ip()) {
            return Err("it is banned");
        }
        if self.context.filters(address) {
            return Err("the IP filter has it");
        }
        if state.peers.len() >= state.connections_max
            && self.weakest(&state, Instant::now(), address).is_none()
        {
            return Err("connections_max are open");
        }
        match state.stage {
            Stage::Metadata | Stage::Downloading | Stage::Seeding => Ok(()),
            Stage::Checking | Stage::Done | Stage::Halted | Stage::Paused(_) => {
                Err("the torrent does not run")
            }
        }
    }

    /// Who makes room for a peer at `address` where all places are taken: of those
    /// that neither give nor get anything, the one of the lowest priority, if that
    /// is lower (BEP 40).
    fn weakest(&self, state: &State, now: Instant, address: SocketAddr) -> Option<u32> {
        let busy: BTreeSet<u32> = state.active.iter().flat_map(|active| active.busy_peers(now)).collect();
        let idle = state.peers.iter().filter(|(key, peer)| {
            !busy.contains(key) && now >= peer.since + SETTLING && peer.link.closing().is_none()
        });
        let idle = idle.map(|(key, peer)| (*key, peer.link.address));
        self.context.own.get().weakest(idle, address)
    }

    /// A connection has shaken hands.
    pub(crate) fn admit(&self, now: Instant, admission: Admission) -> Result<PeerKey, &'static str> {
        let Admission { link, id, fast, knows_trees, extensions, dht, incoming, protocol, encrypted } =
            admission;
        self.may_admit(link.address)?;
        let counted = self.context.connection().ok_or("all torrents have as many peers as they may")?;
        let mut state = self.state.borrow_mut();
        if state.peers.len() >= state.connections_max
            && let Some(weakest) = self.weakest(&state, now, link.address)
            && let Some(entry) = state.peers.get(&weakest)
        {
            entry.link.close("a peer of higher priority came");
        }
        let same = state.peers.values().find(|peer| peer.id == id && peer.link.closing().is_none());
        if let Some(same) = same {
            // Both connected at once: both keep the connection of the one with the
            // greater id, or each would end the other's.
            let keeps_outgoing = self.context.peer_id > id;
            let crossed = same.incoming != incoming && now < same.since + CROSSING;
            if !crossed || incoming == keeps_outgoing {
                return Err("the same peer is connected already");
            }
            same.link.close("the same peer connected at the same time");
        }
        let key = PeerKey(state.next_key);
        state.next_key = state.next_key.wrapping_add(1);
        let mut entry = Entry {
            id,
            fast,
            knows_trees,
            incoming,
            protocol,
            encrypted,
            told_port: false,
            ids: PeerIds::default(),
            hello: None,
            read_ahead: (u32::MAX, 0),
            early: Vec::new(),
            pex_in: PexReceiver::new(now),
            pex_out: PexSender::new(now, Some(link.address)),
            calls: Calls::new(now),
            since: now,
            link: link.clone(),
            _counted: counted,
        };
        if !incoming {
            state.contacts.connected(link.address);
        }
        if let Some(active) = &mut state.active {
            active.add_peer(now, key, &mut entry, &self.hashes);
        }
        self.tell_joined(&entry);
        state.peers.insert(key.0, entry);
        // What we have is said before all else (BEP 3, 6); without the info dictionary
        // nothing can be said of pieces yet.
        self.act(now, &mut state);
        if extensions {
            let hello = self.hello(&state, link.address.ip());
            link.send_extension(&ExtensionMessage::Handshake(Box::new(hello)), PeerIds::default());
        }
        if dht {
            link.send(&Message::Port(self.context.port()));
        }
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
        if self.can_meet(state) {
            ids = ids.with(Extension::Holepunch);
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
        self.tell_left(&entry, ended);
        // A seed has no use for whom it lost.
        let misbehaved = matches!(ended, Ended::Broke(_)) || state.stage == Stage::Seeding;
        if !entry.incoming {
            state.contacts.closed(now, entry.link.address, misbehaved);
        }
        if let Some(assembly) = &mut state.assembly {
            assembly.handle_gone(metadata_peer(key));
        }
        state.hashes.forget(key);
        state.banned.note_left(key, entry.link.address.ip());
        if let Some(active) = &mut state.active {
            active.torrent.remove_peer(now, key);
        }
        self.act(now, &mut state);
        self.stir.notify_one();
    }

    /// Addresses where peers may be.
    pub(crate) fn add_contacts(&self, source: Source, addresses: impl IntoIterator<Item = SocketAddr>) {
        let mut state = self.state.borrow_mut();
        if state.is_private() && !source.is_for_private() {
            return;
        }
        for address in addresses {
            let filtered = self.context.filters(address);
            if address.port() != 0
                && !filtered
                && !address.ip().is_unspecified()
                && !address.ip().is_multicast()
            {
                state.contacts.add(source, address);
            }
        }
        drop(state);
        self.stir.notify_one();
    }

    /// Whether a peer may be at an address that somebody tells of.
    pub(super) fn may_be_peer(&self, source: Source, address: SocketAddr) -> bool {
        may_be_peer(source, address, self.context.is_inside)
    }

    /// Whom to connect to now.
    pub(crate) fn next_contact(&self, now: Instant) -> Option<(SocketAddr, Counted)> {
        let mut state = self.state.borrow_mut();
        let seeds = match state.stage {
            Stage::Metadata | Stage::Downloading => false,
            Stage::Seeding => true,
            _ => return None,
        };
        if state.peers.len() + state.contacts.connecting() >= state.connections_max {
            return None;
        }
        // There must be room for it once it is open.
        self.context.connection()?;
        let dialling = self.context.dialling()?;
        loop {
            let address = state.contacts.next(now, seeds)?;
            let connected = state.is_connected(address);
            let banned = state.banned.contains(&address.ip()) || self.context.filters(address);
            if !connected && !banned {
                return Some((address, dialling));
            }
            state.contacts.closed(now, address, banned);
        }
    }

    /// Closes connections with those that the IP filter has.
    pub(crate) fn close_filtered(&self) {
        for entry in self.state.borrow().peers.values() {
            if self.context.filters(entry.link.address) {
                entry.link.close("the IP filter has it");
            }
        }
    }

    /// Connecting came to nothing.
    pub(crate) fn contact_failed(&self, now: Instant, address: SocketAddr, misbehaved: bool) {
        self.state.borrow_mut().contacts.closed(now, address, misbehaved);
        self.stir.notify_one();
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
                let address = peer.listens_at()?;
                let hello = peer.hello.as_ref();
                let flags = PexFlags {
                    prefers_encryption: hello.and_then(|hello| hello.prefers_encryption).unwrap_or(false),
                    upload_only: hello.and_then(|hello| hello.upload_only).unwrap_or(false),
                    utp: peer.protocol == Protocol::Utp,
                    holepunch: peer.ids.get(Extension::Holepunch).is_some(),
                    reachable: !peer.incoming,
                };
                Some(PexPeer { address, flags })
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
}

impl State {
    /// The torrent turns out to be private: whom others than its trackers and the
    /// user told of is no peer of it (BEP 27).
    pub(super) fn forget_strangers(&mut self) {
        for entry in self.peers.values().filter(|entry| !entry.incoming) {
            let source = self.contacts.source(&entry.link.address);
            if source.is_some_and(|source| !source.is_for_private()) {
                entry.link.close("the torrent is private, and no tracker told of it");
            }
        }
        self.contacts.retain(Source::is_for_private);
    }
}
