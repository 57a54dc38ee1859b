//! The load: announces of peers that are all known already, each reply answered
//! with the next announce.

use super::PEERS_TOLD;
use crate::threads::Measured;
use bittorrent::tracker::Event;
use bittorrent::tracker::udp::{Announce, Options, Reply, Request};
use net::Network;
use net::batch::{BatchOptions, DatagramBatch, LateReplies};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Announces on their way at once, about: more than a server's batch, less than
/// what a socket's buffer holds.
const WINDOW: usize = 192;
/// Connection ids are asked for anew before the shortest-lived are over.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(40);
/// Octets of an announce's reply without any peers.
const REPLY_OCTETS_MIN: usize = 20;

/// What was measured.
pub(super) struct Done {
    pub(super) answered: f64,
    pub(super) seconds: f64,
    pub(super) cpu_seconds: f64,
}

/// Who announces what.
pub(super) struct Load {
    /// Torrent and port of each peer, in an order without locality.
    peers: Vec<(u32, u16)>,
    torrents: u32,
}

impl Load {
    /// The number of a torrent's peers falls with its rank, as in the field:
    /// every decade of ranks has the same number.
    pub(super) fn new(torrents: u32, peers: u32) -> Self {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let half = peers / 2;
        let chosen = |index: u32| {
            let uniform = (random() >> 11) as f64 / (1_u64 << 53) as f64;
            // Half of all peers are spread evenly: even the last torrents have some.
            let torrent = if index < half {
                index % torrents
            } else {
                (f64::from(torrents).powf(uniform) as u32 - 1).min(torrents - 1)
            };
            (torrent, (random() % 64_000 + 1_024) as u16)
        };
        let mut peers: Vec<(u32, u16)> = (0..peers).map(chosen).collect();
        for index in (1..peers.len()).rev() {
            peers.swap(index, (random() % (index as u64 + 1)) as usize);
        }
        Self { peers, torrents }
    }

    /// Info-hash and port of each peer.
    pub(super) fn announces(&self) -> impl Iterator<Item = ([u8; 20], u16)> {
        self.peers.iter().map(|(torrent, port)| (info_hash(*torrent), *port))
    }

    /// All info-hashes.
    pub(super) fn info_hashes(&self) -> impl Iterator<Item = [u8; 20]> {
        (0..self.torrents).map(info_hash)
    }
}

fn info_hash(torrent: u32) -> [u8; 20] {
    let mut state = u64::from(torrent) + 1;
    std::array::from_fn(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
}

/// One client: a socket and its place in the load.
pub(super) struct Client {
    batch: DatagramBatch,
    first: LateReplies,
    runtime: tokio::runtime::Runtime,
    address: SocketAddr,
    next: usize,
    connection: (u64, Instant),
}

impl Client {
    /// A client with a connection to the server; it waits until that is there.
    pub(super) fn new(server: &Measured) -> io::Result<Self> {
        let options = BatchOptions {
            patience: Duration::from_millis(50),
            ..BatchOptions::at(([127, 0, 0, 1], 0).into())
        };
        let mut batch =
            Network::new().datagram_batches(&options)?.pop().ok_or_else(|| io::Error::other("no socket"))?;
        let first = batch.late_replies()?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let address = batch.local_addr();
        let connection = (connect(&mut batch, &first, &runtime, server)?, Instant::now());
        Ok(Self { batch, first, runtime, address, next: 0, connection })
    }

    /// Announces until told that it is enough, given the number of replies and
    /// the time.
    pub(super) fn announce(
        &mut self,
        server: &Measured,
        load: &Load,
        enough: impl Fn(u64, Duration) -> bool,
    ) -> io::Result<Done> {
        let mut template = Request::Announce(Announce {
            connection_id: 0,
            transaction_id: 0,
            info_hash: [0; 20],
            peer_id: *b"-UT0100-benchbenchbe",
            downloaded: 0,
            left: 1,
            uploaded: 0,
            event: Event::None,
            ip: 0,
            key: 0,
            num_want: PEERS_TOLD.cast_signed(),
            port: 0,
            options: Options::default(),
        })
        .write();
        self.renew(server, &mut template)?;
        self.inject(server, load, &mut template);
        let (start, cpu_start) = (Instant::now(), server.cpu_seconds());
        let mut answered = 0;
        while !enough(answered, start.elapsed()) {
            if self.connection.1.elapsed() > CONNECTION_LIFETIME {
                self.renew(server, &mut template)?;
                self.inject(server, load, &mut template);
            }
            if self.batch.receive()? == 0 {
                // All were lost.
                self.inject(server, load, &mut template);
            }
            for (datagram, mut reply) in self.batch.exchanges() {
                if datagram.octets.get(3) == Some(&1) && datagram.octets.len() >= REPLY_OCTETS_MIN {
                    answered += 1;
                } else if datagram.octets.get(3) == Some(&3) {
                    let text = String::from_utf8_lossy(datagram.octets.get(8..).unwrap_or_default());
                    return Err(io::Error::other(format!("the server says: {text}")));
                }
                fill(&mut template, load, &mut self.next);
                let _ = reply.push(&template);
            }
            self.batch.send()?;
        }
        let cpu_seconds = server.cpu_seconds() - cpu_start;
        let seconds = start.elapsed().as_secs_f64();
        // What is still on its way must not meet the next round.
        while self.batch.receive()? > 0 {}
        Ok(Done { answered: answered as f64, seconds, cpu_seconds })
    }

    fn renew(&mut self, server: &Measured, template: &mut [u8]) -> io::Result<()> {
        if self.connection.1.elapsed() > CONNECTION_LIFETIME / 2 {
            while self.batch.receive()? > 0 {}
            let id = connect(&mut self.batch, &self.first, &self.runtime, server)?;
            self.connection = (id, Instant::now());
        }
        template[..8].copy_from_slice(&self.connection.0.to_be_bytes());
        Ok(())
    }

    fn inject(&mut self, server: &Measured, load: &Load, template: &mut [u8]) {
        for _ in 0..WINDOW {
            fill(template, load, &mut self.next);
            self.runtime.block_on(self.first.send(template, self.address, server.address));
        }
    }
}

/// Makes the announce that of the next peer.
fn fill(announce: &mut [u8], load: &Load, next: &mut usize) {
    let (torrent, port) = load.peers[*next];
    announce[16..36].copy_from_slice(&info_hash(torrent));
    // Every fourth is a seed.
    announce[71] = u8::from(port % 4 != 0);
    announce[96..98].copy_from_slice(&port.to_be_bytes());
    *next = (*next + 1) % load.peers.len();
}

fn connect(
    batch: &mut DatagramBatch,
    first: &LateReplies,
    runtime: &tokio::runtime::Runtime,
    server: &Measured,
) -> io::Result<u64> {
    for _ in 0..100 {
        let request = Request::Connect { transaction_id: 7 }.write();
        runtime.block_on(first.send(&request, batch.local_addr(), server.address));
        batch.receive()?;
        for datagram in batch.datagrams() {
            if let Ok((7, Reply::Connect { connection_id })) = Reply::read(datagram.octets) {
                return Ok(connection_id);
            }
        }
    }
    Err(io::Error::other(format!("the tracker at {} gives no connection id", server.address)))
}
