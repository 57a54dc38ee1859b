//! Two endpoints over links that lose, delay, reorder and repeat, in simulated
//! time and from a seed.

mod hostile;
mod link;
mod transfer;
mod yielding;

use super::*;
use bytes::Bytes;
use link::{Link, Packet as Crossing, Wire};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// What one side makes of the connections it has.
#[derive(Debug, Default)]
struct Stream {
    got: Vec<u8>,
    to_send: Bytes,
    finishes: bool,
    connected: bool,
    finished: bool,
    closed: Option<CloseReason>,
    /// Octets it does not give back: a slow reader.
    held: usize,
}

/// One endpoint with its streams.
struct Host {
    endpoint: Endpoint<ChaCha8Rng>,
    streams: HashMap<ConnectionId, Stream>,
    /// What it sends on connections it accepts.
    reply: Bytes,
    reads: bool,
    /// UDP payload its paths carry as far as it knows.
    path_octets_max: Option<usize>,
}

impl Host {
    fn new(now: Instant, seed: u64, config: Config) -> Self {
        Self {
            endpoint: Endpoint::new(now, config, ChaCha8Rng::seed_from_u64(seed)),
            streams: HashMap::new(),
            reply: Bytes::new(),
            reads: true,
            path_octets_max: None,
        }
    }

    /// Carries octets between the endpoint and its streams.
    fn run(&mut self) {
        while let Some((id, event)) = self.endpoint.poll_event() {
            let stream = self.streams.entry(id).or_default();
            match event {
                Event::Accepted(_) => {
                    stream.to_send = self.reply.clone();
                    (stream.connected, stream.finishes) = (true, true);
                }
                Event::Connected => stream.connected = true,
                Event::Octets(octets) => {
                    stream.got.extend_from_slice(&octets);
                    if self.reads {
                        self.endpoint.release(id, octets.len());
                    } else {
                        stream.held += octets.len();
                    }
                }
                Event::Writable(_) => {}
                Event::Finished => stream.finished = true,
                Event::Closed(reason) => stream.closed = Some(reason),
            }
            if stream.connected
                && let Some(octets) = self.path_octets_max
            {
                self.endpoint.set_path_octets_max(id, octets);
            }
        }
        for (id, stream) in &mut self.streams {
            if stream.closed.is_none() {
                stream.to_send = self.endpoint.write(*id, std::mem::take(&mut stream.to_send));
                if stream.to_send.is_empty() && stream.finishes {
                    stream.finishes = false;
                    self.endpoint.finish(*id);
                }
            }
        }
    }

    /// The reader takes up again.
    fn resume(&mut self) {
        self.reads = true;
        for (id, stream) in &mut self.streams {
            self.endpoint.release(*id, std::mem::take(&mut stream.held));
        }
    }
}

/// Two hosts and the links between them.
struct World {
    now: Instant,
    began: Instant,
    hosts: [Host; 2],
    wire: Wire,
    headers: Vec<u8>,
    datagrams: usize,
    /// How much faster the second host's clock runs, in millionths.
    drift_ppm: u32,
}

fn address(host: usize) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(10, 0, 0, 1 + host as u8).into(), 6_881)
}

fn path_to(host: usize) -> Path {
    Path { peer: address(host), local: None }
}

impl World {
    fn new(seed: u64, link: Link, config: Config) -> Self {
        let now = Instant::now();
        let hosts = [0, 1].map(|host| Host::new(now, seed * 2 + host, config.clone()));
        Self {
            now,
            began: now,
            hosts,
            wire: Wire::new(seed, [link.clone(), link]),
            headers: Vec::new(),
            datagrams: 0,
            drift_ppm: 0,
        }
    }

    /// The first host connects to the second and sends `octets`.
    fn connect(&mut self, octets: Bytes) -> ConnectionId {
        let id = self.hosts[0].endpoint.connect(self.now, path_to(1)).expect("a connection");
        let stream = Stream { to_send: octets, finishes: true, ..Stream::default() };
        self.hosts[0].streams.insert(id, stream);
        self.settle(0);
        id
    }

    /// Everything a host does at this moment.
    fn settle(&mut self, host: usize) {
        self.hosts[host].run();
        loop {
            self.headers.clear();
            let Some(transmit) = self.hosts[host].endpoint.poll_transmit(self.now, &mut self.headers) else {
                break;
            };
            assert_eq!(transmit.header_octets, self.headers.len());
            assert_eq!(transmit.path.peer, address(1 - host));
            let mut octets = self.headers.clone();
            transmit.payload.parts().iter().for_each(|part| octets.extend_from_slice(part));
            self.datagrams += 1;
            if host == 1 {
                self.bend(&mut octets);
            }
            let crossing = Crossing::Utp(octets.into(), transmit.fragmentable);
            self.wire.send(self.now, host, crossing);
        }
        self.hosts[host].run();
    }

    /// The next thing that happens; false when nothing will before `until`.
    fn step(&mut self, until: Instant) -> bool {
        let timeouts = self.hosts.iter().filter_map(|host| host.endpoint.poll_timeout()).min();
        let next = [timeouts, self.wire.next()].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= until) else {
            self.now = until;
            return false;
        };
        self.now = self.now.max(next);
        let mut touched = [false; 2];
        while let Some((to, crossing)) = self.wire.receive(self.now) {
            if let Crossing::Utp(octets, _) = crossing {
                let from = path_to(1 - to);
                self.hosts[to].endpoint.handle_packet(self.now, from, &octets).expect("a packet");
                touched[to] = true;
            }
        }
        for (host, touched) in touched.into_iter().enumerate() {
            self.hosts[host].endpoint.handle_timeout(self.now);
            if touched || self.hosts[host].endpoint.poll_timeout().is_none_or(|at| at > self.now) {
                self.settle(host);
            }
        }
        true
    }

    fn run_for(&mut self, span: Duration) {
        let until = self.now + span;
        while self.step(until) {}
    }

    fn run_until(&mut self, span: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let until = self.now + span;
        while !done(self) {
            if !self.step(until) {
                return done(self);
            }
        }
        true
    }

    /// Both times that the second host tells come from its own clock.
    fn bend(&self, octets: &mut [u8]) {
        let ahead = (self.elapsed().as_secs_f64() * f64::from(self.drift_ppm)) as u32;
        for field in [4..8, 8..12] {
            if let Some(field) = octets.get_mut(field)
                && let Ok(microseconds) = <[u8; 4]>::try_from(&*field)
            {
                field.copy_from_slice(&u32::from_be_bytes(microseconds).wrapping_add(ahead).to_be_bytes());
            }
        }
    }

    fn stream(&self, host: usize) -> &Stream {
        self.hosts[host].streams.values().next().expect("a stream")
    }

    fn elapsed(&self) -> Duration {
        self.now - self.began
    }
}

/// Octets that tell their place.
fn octets(count: usize) -> Bytes {
    (0..count).map(|place| (place % 251) as u8 ^ (place / 251 % 256) as u8).collect()
}
