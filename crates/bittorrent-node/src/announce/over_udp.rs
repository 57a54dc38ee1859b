//! Announcing over UDP, to the tracker's address or through a proxy.

use super::{Answer, wanted};
use crate::context::Context;
use crate::swarm::Swarm;
use bittorrent::metainfo::InfoHashV1;
use bittorrent::tracker::announcer::{Exchange, Progress, Schedule};
use bittorrent::tracker::udp::{self, Options, Reply};
use bittorrent::tracker::{Event, Family, in_words};
use net::{Datagrams, Place};
use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Repetitions of a request over UDP while other trackers wait to be asked.
const UDP_REPETITIONS_MAX: u32 = 2;
/// Octets of the largest datagram of a tracker.
const DATAGRAM_OCTETS_MAX: usize = 8 * 1024;
/// How long a proxy may take to agree to carry datagrams.
const PROXY_PATIENCE: Duration = Duration::from_secs(10);

/// A tracker and the socket to ask it with.
struct Tracker<'a> {
    socket: Datagrams,
    /// Where it is; of no meaning where `name` is.
    address: SocketAddr,
    /// The host that the proxy looks up.
    name: Option<&'a str>,
}

impl<'a> Tracker<'a> {
    async fn find(context: &Context, host: &'a str, port: u16, family: Family) -> Result<Self, String> {
        let network = &context.network;
        if network.is_proxied() {
            let socket =
                network.relayed_datagrams(PROXY_PATIENCE).await.map_err(|error| error.to_string())?;
            return Ok(match Place::of(host, port) {
                Place::Address(address) => Self { socket, address, name: None },
                Place::Name(..) => {
                    Self { socket, address: (Ipv4Addr::UNSPECIFIED, port).into(), name: Some(host) }
                }
            });
        }
        let addresses = context.names.addresses(host, port).await.map_err(|error| error.to_string())?;
        let address = addresses.into_iter().find(|address| Family::of(*address) == family);
        let address = address.ok_or_else(|| format!("{host} has no address of this family"))?;
        let socket = network.datagrams_towards(address).map_err(|error| error.to_string())?;
        Ok(Self { socket, address, name: None })
    }

    async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        match self.name {
            Some(host) => self.socket.send_to_name(datagram, host, self.address.port()).await,
            None => self.socket.send_to(datagram, self.address).await,
        }
        .map(|_| ())
    }
}

/// Announces to a tracker over UDP (BEP 15).
pub(super) async fn over_udp(
    swarm: &Swarm,
    hash: InfoHashV1,
    event: Event,
    (host, port): (&str, u16),
    family: Family,
    path: &str,
) -> Result<Answer, String> {
    let context: &Context = swarm.context();
    let asked = Tracker::find(context, host, port, family).await?;
    let transferred = swarm.transferred();
    let announce = udp::Announce {
        connection_id: 0,
        transaction_id: 0,
        info_hash: hash.0,
        peer_id: context.peer_id.0,
        downloaded: transferred.received,
        // Unknown while there is no info dictionary: more than nothing.
        left: transferred.left.unwrap_or(1),
        uploaded: transferred.sent,
        event,
        ip: 0,
        key: context.key,
        num_want: wanted(event),
        port: context.port(),
        options: Options(&[]),
    };
    // A host that only the proxy knows has no address to be remembered by.
    let alone = RefCell::default();
    let cache = if asked.name.is_some() { &alone } else { &context.trackers };
    let mut exchange = {
        let cache = cache.borrow();
        let (now, path) = (Instant::now(), path.as_bytes());
        Exchange::announce(now, asked.address, announce, path, UDP_REPETITIONS_MAX, &cache, &mut rand::rng())
    };
    let mut answered_over = family;
    let mut buffer = vec![0; DATAGRAM_OCTETS_MAX];
    loop {
        while let Some(datagram) = exchange.poll_transmit() {
            asked.send(&datagram).await.map_err(|error| error.to_string())?;
        }
        let Some(until) = exchange.poll_timeout() else { return Err("the exchange is over".to_owned()) };
        let received = tokio::time::timeout_at(until.into(), asked.socket.receive_from(&mut buffer)).await;
        let (now, mut cache) = (Instant::now(), cache.borrow_mut());
        let progress = match received {
            Ok(Ok((length, from))) => {
                let octets = buffer.get(..length).unwrap_or_default();
                answered_over = Family::of(from);
                let from = if asked.name.is_some() { asked.address } else { from };
                exchange.handle_datagram(now, from, octets, &mut cache, &mut rand::rng())
            }
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => exchange.handle_timeout(now, &mut cache),
        };
        match progress {
            Progress::Continues => {}
            Progress::TimedOut => return Err("it does not answer".to_owned()),
            Progress::Answered(Reply::Error { message }) => {
                return Err(format!("it refuses: {}", in_words(message)));
            }
            Progress::Answered(reply) => {
                let schedule = Schedule::of_udp(&reply).ok_or("its answer is none to an announce")?;
                let (seeds, leechers) = match &reply {
                    Reply::Announce { seeds, leechers, .. } => (Some(*seeds), Some(*leechers)),
                    _ => (None, None),
                };
                let peers = reply.peers(answered_over).collect();
                return Ok(Answer { schedule, peers, seeds, leechers });
            }
        }
    }
}
