//! What all torrents of an engine share: the network, the memory for blocks, the
//! limits of rates, and which torrents there are.

use crate::content::Pool;
use crate::control::Handle;
use crate::dht::Dht;
use crate::engine::{Limits, Settings};
use crate::keystream::Makers;
use crate::names::Names;
use crate::own_addresses::OwnAddresses;
use crate::swarm::{Buffers, Swarm};
use crate::throttle::{Limit, Throttle};
use crate::transport::Protocols;
use crate::uplink::Uplink;
use crate::utp::UtpSocket;
use bittorrent::encryption::{Policy, ServedKeys};
use bittorrent::ip_filter::IpFilter;
use bittorrent::tracker::Family;
use bittorrent::tracker::announcer::ConnectionCache;
use bittorrent::wire::PeerId;
use net::Network;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// What all torrents of the engine share.
pub(crate) struct Context {
    pub(crate) network: Network,
    pub(crate) data: PathBuf,
    pub(crate) peer_id: PeerId,
    pub(crate) buffers: Buffers,
    /// The threads that may wait for the disk.
    pub(crate) pool: Pool,
    /// Those of them that make keystream.
    pub(crate) makers: Makers,
    pub(crate) encryption: Policy,
    pub(crate) protocols: Protocols,
    /// One for each address that is listened on.
    pub(crate) utp: RefCell<Vec<Rc<UtpSocket>>>,
    /// The hash table, where it is used.
    pub(crate) dht: OnceCell<Dht>,
    /// Nodes of it that are known.
    pub(crate) dht_nodes: Cell<Option<usize>>,
    /// Where others see us.
    pub(crate) own: Cell<OwnAddresses>,
    pub(crate) names: Names,
    /// By which trackers may know us again on another address.
    pub(crate) key: u32,
    /// What trackers over UDP gave us.
    pub(crate) trackers: RefCell<ConnectionCache>,
    families: Vec<Family>,
    /// Only loopback is listened on: all peers are on this machine.
    pub(crate) is_inside: bool,
    port: Cell<u16>,
    download: Limit,
    upload: Limit,
    /// Those who wait for octets that they may transfer.
    pub(crate) throttle: Throttle,
    /// What is under way to all peers over TCP.
    pub(crate) uplink: Rc<Uplink>,
    /// By their first info-hash.
    pub(crate) handles: RefCell<BTreeMap<[u8; 20], Handle>>,
    filter: RefCell<Arc<IpFilter>>,
    connections: Count,
    dialling: Count,
    /// By info-hash; a hybrid has two.
    pub(crate) torrents: RefCell<BTreeMap<[u8; 20], Rc<Swarm>>>,
}

impl Context {
    /// With what an engine is started with.
    pub(crate) fn new(settings: &Settings, network: Network) -> Self {
        let now = Instant::now();
        let pool = Pool::default();
        let proxied = network.is_proxied();
        Self {
            network,
            data: settings.data.clone(),
            peer_id: PeerId::generate(&mut rand::rng()),
            buffers: Buffers::new(settings.memory_octets_max),
            makers: Makers::new(pool.clone()),
            pool,
            encryption: settings.encryption,
            protocols: settings.protocols,
            utp: RefCell::default(),
            dht: OnceCell::new(),
            dht_nodes: Cell::new(None),
            own: Cell::new(OwnAddresses::new(&settings.listen)),
            names: settings.names.clone(),
            key: rand::random(),
            trackers: RefCell::default(),
            // Which family a host is reached over is the proxy's to choose.
            families: if proxied { vec![Family::V4] } else { families(&settings.listen) },
            is_inside: settings.listen.iter().all(|address| address.ip().is_loopback()),
            port: Cell::new(0),
            download: Limit::new(now, settings.limits.rates.download),
            upload: Limit::new(now, settings.limits.rates.upload),
            throttle: Throttle::default(),
            uplink: Uplink::new(now),
            torrents: RefCell::default(),
            handles: RefCell::default(),
            filter: RefCell::default(),
            connections: Count::of(settings.limits.connections_max),
            dialling: Count::of(settings.limits.dialling_max),
        }
    }

    /// Changes what all torrents together may.
    pub(crate) fn set_limits(&self, now: Instant, limits: Limits) {
        self.download.set_rate(now, limits.rates.download);
        self.upload.set_rate(now, limits.rates.upload);
        self.connections.max.set(limits.connections_max);
        self.dialling.max.set(limits.dialling_max);
    }

    /// Whether an address is not spoken with.
    pub(crate) fn filters(&self, address: SocketAddr) -> bool {
        self.filter.borrow().blocks(address.ip())
    }

    /// Speaks with others from here on; connections that must not be are closed.
    pub(crate) fn set_filter(&self, filter: Arc<IpFilter>) {
        self.filter.replace(filter);
        for swarm in self.torrents.borrow().values() {
            swarm.close_filtered();
        }
    }

    /// A connection that has shaken hands, until it is dropped; `None` where all
    /// torrents together have as many as they may.
    pub(crate) fn connection(self: &Rc<Self>) -> Option<Counted> {
        Counted::take(self, |context| &context.connections)
    }

    /// A connection on its way, until it is dropped; `None` where there are as many
    /// as may be.
    pub(crate) fn dialling(self: &Rc<Self>) -> Option<Counted> {
        Counted::take(self, |context| &context.dialling)
    }

    /// The port is known once all listeners are open.
    pub(crate) fn set_port(&self, port: u16) {
        self.port.set(port);
        let mut own = self.own.get();
        own.set_port(port);
        self.own.set(own);
    }

    /// Peers reach us at this port, and this address where it is known.
    pub(crate) fn set_external(&self, ip: Option<IpAddr>, port: u16) {
        self.set_port(port);
        if let Some(ip) = ip {
            let mut own = self.own.get();
            own.set(ip);
            self.own.set(own);
        }
    }

    /// The port that peers connect to.
    pub(crate) fn port(&self) -> u16 {
        self.port.get()
    }

    /// Whether we listen there.
    pub(crate) fn is_own(&self, address: SocketAddr) -> bool {
        self.utp.borrow().iter().any(|socket| socket.local_addr() == address)
    }

    /// The socket for connections over uTP to `address`.
    pub(crate) fn utp_towards(&self, address: SocketAddr) -> Option<Rc<UtpSocket>> {
        let sockets = self.utp.borrow();
        sockets.iter().find(|socket| socket.reaches(address)).cloned()
    }

    /// The address families that peers can reach us over.
    pub(crate) fn families(&self) -> Vec<Family> {
        self.families.clone()
    }

    /// The torrent of an info-hash.
    pub(crate) fn find(&self, info_hash: &[u8; 20]) -> Option<Rc<Swarm>> {
        self.torrents.borrow().get(info_hash).cloned()
    }

    /// The info-hashes of torrents that strangers may hear of.
    pub(crate) fn public_torrents(&self) -> Vec<[u8; 20]> {
        let torrents = self.torrents.borrow();
        torrents.iter().filter(|(_, swarm)| swarm.is_open_to_all()).map(|(hash, _)| *hash).collect()
    }

    pub(crate) fn served_keys(&self) -> ServedKeys {
        let mut keys = ServedKeys::new();
        for info_hash in self.torrents.borrow().keys() {
            keys.insert(*info_hash);
        }
        keys
    }

    /// Whether reading must wait; then the task is woken later.
    pub(crate) fn download_is_throttled(
        &self,
        cx: &std::task::Context<'_>,
        now: Instant,
        own: &Limit,
    ) -> bool {
        self.throttle.holds(cx, now, [&self.download, own])
    }

    /// How many of `wanted` octets may be read now.
    pub(crate) fn download_allowance(&self, now: Instant, wanted: u64, own: &Limit) -> u64 {
        self.download.allowance(now, wanted, own)
    }

    /// Whether writing must wait; then the task is woken later.
    pub(crate) fn upload_is_throttled(&self, cx: &std::task::Context<'_>, now: Instant, own: &Limit) -> bool {
        self.throttle.holds(cx, now, [&self.upload, own])
    }

    pub(crate) fn count_download(&self, octets: usize, own: &Limit) {
        self.download.take(octets);
        own.take(octets);
    }

    pub(crate) fn count_upload(&self, octets: usize, own: &Limit) {
        self.upload.take(octets);
        own.take(octets);
    }
}

/// How many there are of something, and may be.
#[derive(Debug)]
struct Count {
    now: Cell<usize>,
    max: Cell<usize>,
}

impl Count {
    fn of(max: usize) -> Self {
        Self { now: Cell::new(0), max: Cell::new(max) }
    }
}

/// One of what is counted; dropped, it is no more.
pub(crate) struct Counted {
    context: Rc<Context>,
    count: fn(&Context) -> &Count,
}

impl Counted {
    fn take(context: &Rc<Context>, count: fn(&Context) -> &Count) -> Option<Self> {
        let counted = count(context);
        if counted.now.get() >= counted.max.get() {
            return None;
        }
        counted.now.set(counted.now.get() + 1);
        Some(Self { context: context.clone(), count })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let counted = (self.count)(&self.context);
        counted.now.set(counted.now.get().saturating_sub(1));
    }
}

/// The families of addresses, each once; IPv4 where nothing is listened on.
fn families(addresses: &[SocketAddr]) -> Vec<Family> {
    let all = [Family::V4, Family::V6].into_iter();
    let found: Vec<Family> =
        all.filter(|family| addresses.iter().any(|address| Family::of(*address) == *family)).collect();
    if found.is_empty() { vec![Family::V4] } else { found }
}
