//! The UDP protocol: one thread a socket, a batch at a time. The announces of a
//! batch are sorted by shard; under one lock the memory of all of a shard's is
//! being fetched before the first is taken.

use super::config::DATAGRAM_PEERS_MAX;
use super::stats::Tally;
use super::store::{Shards, Store};
use super::{Settings, Shared, tell};
use bittorrent::tracker::swarm::{Announce, InfoHashValue, Slot, Slot4, Slot6};
use bittorrent::tracker::udp::{self, ANNOUNCE_REPLY_OCTETS, Request};
use bittorrent::tracker::{Event, Family};
use event::Detail;
use net::Shutdown;
use net::batch::{BatchOptions, DatagramBatch};
use rand::Rng as _;
use rand::rngs::SmallRng;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::time::{Duration, Instant};

/// Datagrams answered at once.
const DATAGRAMS_MAX: usize = 64;
/// The longest request: a scrape of 74 torrents, or an announce with a long URL.
const DATAGRAM_OCTETS_MAX: usize = 1_536;
/// Batches that wait on a socket when it closes, and are answered still.
const LAST_BATCHES_MAX: usize = 64;
/// The longest reply: within the least IPv6 link's packet.
const REPLY_OCTETS_MAX: usize = 1_232;

/// Sockets and buffers for `threads` threads at an address.
pub(super) fn options(address: SocketAddr, threads: usize) -> BatchOptions {
    BatchOptions {
        sockets: threads,
        datagrams_max: DATAGRAMS_MAX,
        datagram_octets_max: DATAGRAM_OCTETS_MAX,
        reply_octets_max: REPLY_OCTETS_MAX,
        fragmentable: false,
        patience: Duration::from_millis(200),
        ..BatchOptions::at(address)
    }
}

/// A family as this service needs it.
pub(super) trait Served: Slot {
    /// The family's torrents.
    fn shards(store: &Store) -> &Shards<Self>;
    /// The address of a client that listens on another port; `None` for one of
    /// the other family.
    fn address(client: IpAddr, port: u16) -> Option<Self::Address>;
}

impl Served for Slot4 {
    fn shards(store: &Store) -> &Shards<Self> {
        &store.four
    }

    #[inline]
    fn address(client: IpAddr, port: u16) -> Option<SocketAddrV4> {
        match client {
            IpAddr::V4(client) => Some(SocketAddrV4::new(client, port)),
            IpAddr::V6(_) => None,
        }
    }
}

impl Served for Slot6 {
    fn shards(store: &Store) -> &Shards<Self> {
        &store.six
    }

    #[inline]
    fn address(client: IpAddr, port: u16) -> Option<SocketAddrV6> {
        match client {
            IpAddr::V6(client) => Some(SocketAddrV6::new(client, port, 0, 0)),
            IpAddr::V4(_) => None,
        }
    }
}

/// An announce that waits for its shard's turn.
struct Waiting<S: Slot> {
    /// Which datagram of the batch.
    datagram: usize,
    transaction_id: u32,
    info_hash: [u8; 20],
    at: InfoHashValue,
    announce: Announce<S>,
    place: Option<u32>,
}

/// Answers until the socket is closed, and then, unless another service has taken
/// it over, who has asked already.
pub(super) fn serve<S: Served>(shared: &Shared, closing: &Shutdown, mut batch: DatagramBatch) {
    let mut rng: SmallRng = rand::make_rng();
    let shards = S::shards(&shared.store);
    let mut waiting: Vec<Vec<Waiting<S>>> = (0..shards.len()).map(|_| Vec::new()).collect();
    let mut serve = |batch: &mut DatagramBatch| {
        let now = Instant::now();
        let settings = shared.settings.load();
        let mut tally = Tally::default();
        read(shared, &settings, now, batch, &mut waiting, &mut rng, &mut tally);
        for (shard, waiting) in waiting.iter_mut().enumerate().filter(|(_, waiting)| !waiting.is_empty()) {
            announce(shared, &settings, shards, shard, now, batch, waiting, &mut rng, &mut tally);
            waiting.clear();
        }
        // Who has its reply finds it counted.
        shared.counters.add(&tally, &shared.reporter);
        // What the system could not send is lost as on a wire; the client asks again.
        let _ = batch.send();
    };
    let served = (|| {
        while !closing.is_requested() {
            if batch.receive()? > 0 {
                serve(&mut batch);
            }
        }
        if batch.retire()? {
            for _ in 0..LAST_BATCHES_MAX {
                if batch.receive_now()? == 0 {
                    break;
                }
                serve(&mut batch);
            }
        }
        std::io::Result::Ok(())
    })();
    if let Err(error) = served {
        tracing::error!(%error, "the tracker's UDP socket at {} failed", batch.local_addr());
    }
}

/// Reads all requests of a batch, and answers all but announces.
fn read<S: Served>(
    shared: &Shared,
    settings: &Settings,
    now: Instant,
    batch: &mut DatagramBatch,
    waiting: &mut [Vec<Waiting<S>>],
    rng: &mut SmallRng,
    tally: &mut Tally,
) {
    let connections = shared.connections.load();
    let lifetime = settings.policy.lifetime();
    let peers_max = DATAGRAM_PEERS_MAX[usize::from(S::FAMILY == Family::V6)];
    for (datagram, (incoming, mut reply)) in batch.exchanges().enumerate() {
        let request = Request::read(incoming.octets);
        let client = incoming.peer();
        let mut refuse = |transaction_id: u32, reason: &str| {
            tally.refused += 1;
            tell::refused(&shared.reporter, client, reason);
            let length = udp::write_error(transaction_id, reason, reply.buffer());
            reply.set_len(length);
        };
        match request {
            Ok(Request::Connect { transaction_id }) => {
                let id = connections.give(now, client.ip());
                let length = udp::write_connect(transaction_id, id, reply.buffer());
                reply.set_len(length);
                tally.connects += 1;
            }
            Ok(Request::Announce(announce)) => {
                let transaction_id = announce.transaction_id;
                if !connections.accepts(now, client.ip(), announce.connection_id) {
                    refuse(transaction_id, WRONG_CONNECTION);
                } else if !settings.access.permits(&announce.info_hash) {
                    refuse(transaction_id, super::NOT_SERVED);
                } else if let Some(peer) = S::address(client.ip(), announce.port) {
                    let at = shared.store.keyed.info_hash(&announce.info_hash);
                    waiting[at.shard(waiting.len())].push(Waiting {
                        datagram,
                        transaction_id,
                        info_hash: announce.info_hash,
                        at,
                        announce: Announce {
                            peer,
                            event: announce.event,
                            seed: announce.left == 0,
                            wanted: settings.policy.wanted(announce.num_want).min(peers_max),
                            lifetime,
                            random: rng.next_u64(),
                        },
                        place: None,
                    });
                }
            }
            Ok(Request::Scrape(scrape)) => {
                if connections.accepts(now, client.ip(), scrape.connection_id) {
                    let counts = scrape.info_hashes().map(|info_hash| {
                        if settings.access.permits(info_hash) {
                            shared.store.scrape(info_hash, false)
                        } else {
                            bittorrent::tracker::swarm::Counts::default()
                        }
                    });
                    let length = udp::write_scrape(scrape.transaction_id, counts, reply.buffer());
                    reply.set_len(length);
                    tally.scrapes += 1;
                } else {
                    refuse(scrape.transaction_id, WRONG_CONNECTION);
                }
            }
            // Only who can read at its address is told what is wrong: others would
            // have us send to whomever they like.
            Err(error) => match (error.transaction_id, error.connection_id) {
                (Some(transaction_id), Some(id)) if connections.accepts(now, client.ip(), id) => {
                    refuse(transaction_id, &error.to_string());
                }
                _ => {
                    tally.refused += 1;
                    tell::refused(&shared.reporter, client, "a datagram that is no request");
                }
            },
        }
    }
}

/// Said to who has not the id of a connection; with its head of 8 octets shorter
/// than any announce or scrape, so that nobody gains by a forged address.
const WRONG_CONNECTION: &str = "connection id expired";

/// Takes the announces of one shard.
#[expect(clippy::too_many_arguments, reason = "one loop's state, split for reading")]
fn announce<S: Served>(
    shared: &Shared,
    settings: &Settings,
    shards: &Shards<S>,
    shard: usize,
    now: Instant,
    batch: &mut DatagramBatch,
    waiting: &mut [Waiting<S>],
    rng: &mut SmallRng,
    tally: &mut Tally,
) {
    let mut swarms = shards.lock(shard);
    for one in &*waiting {
        swarms.fetch_index(one.at, net::prefetch);
    }
    for one in &mut *waiting {
        one.place = swarms.fetch_torrent(one.at, net::prefetch);
    }
    for one in &*waiting {
        if let Some(place) = one.place {
            swarms.fetch_peers(place, &one.announce, net::prefetch);
        }
    }
    for one in waiting {
        let (incoming, mut reply) = batch.exchange(one.datagram);
        let out = &mut reply.buffer()[ANNOUNCE_REPLY_OCTETS..];
        let length = match swarms.announce(now, one.at, &one.info_hash, &one.announce, out) {
            Ok(told) => {
                tally.udp_announces += 1;
                tally.completed += u32::from(one.announce.event == Event::Completed);
                let interval = settings.policy.interval(rng);
                if shared.reporter.wants(Detail::Message) {
                    let (from, to) = (incoming.peer(), incoming.local());
                    tell::announced(
                        &shared.reporter,
                        from,
                        to,
                        &one.info_hash,
                        one.announce.event,
                        told.peers,
                    );
                }
                let out = reply.buffer();
                udp::write_announce_head(one.transaction_id, interval, told.leechers, told.seeds, out)
                    + told.peers * S::OCTETS
            }
            Err(refusal) => {
                tally.refused += 1;
                udp::write_error(one.transaction_id, &refusal.to_string(), reply.buffer())
            }
        };
        reply.set_len(length);
    }
}
