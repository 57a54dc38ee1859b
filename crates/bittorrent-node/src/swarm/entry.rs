//! A peer as its torrent knows it.

use super::Link;
use super::meet::Calls;
use super::said::Early;
use crate::context::Counted;
use crate::progress::{Connection, Source};
use crate::transport::Protocol;
use bittorrent::wire::PeerId;
use bittorrent::wire::extension::{ExtendedHandshake, PeerIds, PexReceiver, PexSender};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

/// A peer whose handshake is done.
pub(super) struct Entry {
    pub(super) link: Rc<Link>,
    pub(super) id: PeerId,
    pub(super) fast: bool,
    /// It speaks of hashes of trees (BEP 52).
    pub(super) knows_trees: bool,
    pub(super) incoming: bool,
    pub(super) protocol: Protocol,
    pub(super) encrypted: bool,
    /// It told where its node of the hash table is.
    pub(super) told_port: bool,
    pub(super) ids: PeerIds,
    pub(super) hello: Option<ExtendedHandshake>,
    /// The piece that it was served of last, and up to where that was read ahead.
    pub(super) read_ahead: (u32, u32),
    /// What it said before the info dictionary was here.
    pub(super) early: Vec<Early>,
    pub(super) pex_in: PexReceiver,
    pub(super) pex_out: PexSender,
    pub(super) calls: Calls,
    pub(super) since: Instant,
    /// Its place among the connections of all torrents.
    pub(super) _counted: Counted,
}

impl Entry {
    /// Where others reach it, as far as that is known.
    pub(super) fn listens_at(&self) -> Option<SocketAddr> {
        // uTP leaves from the port where it arrives.
        if !self.incoming || self.protocol == Protocol::Utp {
            return Some(self.link.address);
        }
        let port = self.hello.as_ref()?.port?;
        Some(SocketAddr::new(self.link.address.ip(), port))
    }

    /// What is shown of it; `source` told of it, if we connected.
    pub(super) fn connection(&self, source: Option<Source>) -> Connection {
        let told = source.filter(|_| !self.incoming);
        Connection {
            address: self.link.address,
            client: self.client(),
            incoming: self.incoming,
            protocol: self.protocol,
            encrypted: self.encrypted,
            source: told.unwrap_or(Source::Incoming),
        }
    }

    /// What the peer calls itself.
    pub(super) fn client(&self) -> String {
        let told = self.hello.as_ref().and_then(|hello| hello.version.clone());
        told.unwrap_or_else(|| self.id.client_name().unwrap_or_default())
    }
}
