//! The servers of one zone, as an iteration works through them (SLIST in RFC 1034
//! section 5.3.2).

use crate::{Name, Record, RecordData};
use domain::base::iana::Rtype;
use std::net::{IpAddr, SocketAddr};

/// A zone and its servers: the deepest zone known that the name is in.
#[derive(Debug, Clone)]
pub(super) struct Cut {
    pub(super) zone: Name,
    pub(super) servers: Vec<NameServer>,
    /// Whether the servers resolve recursively.
    pub(super) recursive: bool,
    /// Whether the delegation was found in the cache and may be out of date.
    pub(super) cached: bool,
    /// Server names looked up for this zone so far.
    pub(super) side_quests: usize,
}

/// One server of a zone.
#[derive(Debug, Clone)]
pub(super) struct NameServer {
    pub(super) name: Option<Name>,
    pub(super) addresses: Vec<Address>,
    /// Whether its addresses were looked up by a side quest.
    pub(super) looked_up: bool,
}

/// One address of a server.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) socket: SocketAddr,
    /// How often it was asked.
    pub(super) tries: u8,
    /// Whether it gave an answer that is of no use.
    pub(super) useless: bool,
}

impl Address {
    pub(super) fn new(socket: SocketAddr) -> Self {
        Self { socket, tries: 0, useless: false }
    }
}

impl Cut {
    /// Servers given by address.
    pub(super) fn fixed(zone: Name, servers: &[(Option<Name>, Vec<SocketAddr>)], recursive: bool) -> Self {
        let servers = servers
            .iter()
            .map(|(name, addresses)| NameServer {
                name: name.clone(),
                addresses: addresses.iter().copied().map(Address::new).collect(),
                looked_up: true,
            })
            .collect();
        Self { zone, servers, recursive, cached: false, side_quests: 0 }
    }

    pub(super) fn address_mut(&mut self, socket: SocketAddr) -> impl Iterator<Item = &mut Address> {
        self.servers.iter_mut().flat_map(|s| &mut s.addresses).filter(move |a| a.socket == socket)
    }

    /// The name of the server at `socket`.
    pub(super) fn name_of(&self, socket: SocketAddr) -> Option<Name> {
        let at = |server: &&NameServer| server.addresses.iter().any(|a| a.socket == socket);
        self.servers.iter().find(at).and_then(|server| server.name.clone())
    }

    /// Gives the server `name` its addresses.
    pub(super) fn learn(&mut self, name: &Name, addresses: Vec<SocketAddr>) {
        for server in self.servers.iter_mut().filter(|server| server.name.as_ref() == Some(name)) {
            for socket in &addresses {
                if !server.addresses.iter().any(|address| address.socket == *socket) {
                    server.addresses.push(Address::new(*socket));
                }
            }
        }
    }

    /// Whether the servers can be found without asking themselves.
    pub(super) fn is_usable(&self) -> bool {
        self.servers.iter().any(|server| {
            !server.addresses.is_empty()
                || server.name.as_ref().is_some_and(|name| !name.ends_with(&self.zone))
        })
    }
}

/// The addresses among `records`, those of `owner` if one is given.
pub(super) fn addresses<'a>(
    records: &'a [Record],
    owner: Option<&'a Name>,
) -> impl Iterator<Item = IpAddr> + 'a {
    records.iter().filter(move |record| owner.is_none_or(|owner| record.owner() == owner)).filter_map(
        |record| match record.data() {
            RecordData::A(a) => Some(IpAddr::V4(a.addr())),
            RecordData::Aaaa(aaaa) => Some(IpAddr::V6(aaaa.addr())),
            _ => None,
        },
    )
}

/// The server names of an NS RRset.
pub(super) fn server_names(records: &[Record]) -> impl Iterator<Item = &Name> {
    records.iter().filter_map(|record| match record.data() {
        RecordData::Ns(ns) if record.rtype() == Rtype::NS => Some(ns.nsdname()),
        _ => None,
    })
}
