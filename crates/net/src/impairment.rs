//! Makes a host's link slow, far, lossy or cut, from a seed.
//!
//! The link is impaired in both directions: what one host sends over its link
//! to another host and its link is delayed by both.

mod stream;

use crate::{BoxedDuplex, Direction, Ends, Layer, Passing};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long what is sent may wait for a slow link, unless it is set otherwise.
const QUEUE: Duration = Duration::from_secs(1);
/// What a packet carries beside the datagram on a link that counts bits: IPv4
/// and UDP.
const DATAGRAM_HEADER_OCTETS: usize = 28;
/// The same beside the bytes of a connection: IPv4 and TCP with timestamps.
const SEGMENT_HEADER_OCTETS: usize = 52;
/// What a packet of a connection takes of the other direction: every second one
/// is acknowledged (RFC 9293 section 3.8.6.3).
const ACKNOWLEDGEMENT_OCTETS: usize = SEGMENT_HEADER_OCTETS / 2;

/// What is wrong with a link. The default is nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditions {
    /// Bits per second in each direction; unlimited when absent. All that the host
    /// sends shares one direction, all that it receives the other, headers and
    /// acknowledgements included.
    pub rate_bits: Option<u64>,
    /// Bits per second from the host where that is another rate, as it is on the
    /// last mile.
    pub uplink_bits: Option<u64>,
    /// For how long what is sent may wait for the link, as in the queue of the
    /// router in front of it, which all connections share: datagrams beyond are
    /// lost, connections wait in turn. Default 1 s.
    pub queue: Duration,
    /// How long everything takes in one direction.
    pub delay: Duration,
    /// Up to how much longer, evenly spread. Datagrams may overtake each other
    /// by it, the bytes of a connection do not.
    pub jitter: Duration,
    /// Which share of the datagrams is lost, 0 to 1. A connection loses nothing.
    pub loss: f64,
    /// Which share of the datagrams is sent ahead, without the delay, 0 to 1.
    pub reordering: f64,
    /// Whether the link is cut: datagrams are lost, connections stall.
    pub partitioned: bool,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            rate_bits: None,
            uplink_bits: None,
            queue: QUEUE,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            reordering: 0.0,
            partitioned: false,
        }
    }
}

impl Conditions {
    /// Bits per second in one direction.
    fn rate(&self, direction: Direction) -> Option<u64> {
        match direction {
            Direction::Outgoing => self.uplink_bits.or(self.rate_bits),
            Direction::Incoming => self.rate_bits,
        }
    }
}

/// The layer that impairs a link, and the handle to change it while it is in
/// use: clones are the same link.
#[derive(Debug, Clone)]
pub struct Impairment {
    link: Arc<Link>,
}

#[derive(Debug)]
struct Link {
    conditions: watch::Sender<Conditions>,
    outgoing: Mutex<Lane>,
    incoming: Mutex<Lane>,
    /// Connections that wait for room in the queue of each direction, one after
    /// the other.
    turns: [tokio::sync::Mutex<()>; 2],
}

/// One direction of a link.
#[derive(Debug)]
struct Lane {
    random: ChaCha8Rng,
    /// When the link has sent all it was given so far.
    free_at: Option<Instant>,
}

impl Impairment {
    /// A link under these conditions; the same seed loses the same datagrams of
    /// each direction.
    pub fn new(seed: u64, conditions: Conditions) -> Self {
        let lane = |stream| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(stream);
            Mutex::new(Lane { random, free_at: None })
        };
        let link = Link {
            conditions: watch::Sender::new(conditions),
            outgoing: lane(0),
            incoming: lane(1),
            turns: Default::default(),
        };
        Self { link: Arc::new(link) }
    }

    /// The conditions now.
    pub fn conditions(&self) -> Conditions {
        *self.link.conditions.borrow()
    }

    /// Changes the conditions, for what is sent from now on.
    pub fn set(&self, conditions: Conditions) {
        self.link.conditions.send_replace(conditions);
    }

    /// Cuts the link or joins it again.
    pub fn partition(&self, partitioned: bool) {
        self.link.conditions.send_modify(|conditions| conditions.partitioned = partitioned);
    }

    /// Resolves once the link is not cut.
    async fn joined(&self) {
        let mut watcher = self.link.conditions.subscribe();
        // Fails only when the sender is gone, and `self` holds it.
        watcher.wait_for(|conditions| !conditions.partitioned).await.ok();
    }

    /// Waits for room in the queue for a packet of a connection with so many octets.
    /// Gives when it will have arrived at the other end of the link.
    async fn segment(&self, direction: Direction, octets: usize) -> Instant {
        let conditions = self.conditions();
        let rate = conditions.rate(direction);
        let _turn = match rate {
            Some(_) => {
                let turn = self.link.turns[direction as usize].lock().await;
                let free_at = self.lane(direction).free_at;
                if let Some(room_at) = free_at.and_then(|free_at| free_at.checked_sub(conditions.queue)) {
                    tokio::time::sleep_until(room_at.into()).await;
                }
                Some(turn)
            }
            None => None,
        };
        let now = Instant::now();
        let arrives = {
            let mut lane = self.lane(direction);
            let sent_at = lane.sent_at(rate, now, octets + SEGMENT_HEADER_OCTETS);
            sent_at + conditions.delay + lane.jitter(&conditions)
        };
        let back = match direction {
            Direction::Outgoing => Direction::Incoming,
            Direction::Incoming => Direction::Outgoing,
        };
        self.lane(back).sent_at(conditions.rate(back), now, ACKNOWLEDGEMENT_OCTETS);
        arrives
    }

    fn lane(&self, direction: Direction) -> std::sync::MutexGuard<'_, Lane> {
        let lane = match direction {
            Direction::Outgoing => &self.link.outgoing,
            Direction::Incoming => &self.link.incoming,
        };
        lane.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// When `octets` that come at `at` have been sent at this rate.
    fn sent_at(&mut self, rate_bits: Option<u64>, at: Instant, octets: usize) -> Instant {
        let Some(rate_bits) = rate_bits else { return at };
        let begin = self.free_at.map_or(at, |free_at| free_at.max(at));
        let seconds = octets as f64 * 8.0 / rate_bits.max(1) as f64;
        // A rate of nearly nothing must not overflow the clock.
        let end = begin + Duration::from_secs_f64(seconds.min(86_400.0));
        self.free_at = Some(end);
        end
    }

    fn jitter(&mut self, conditions: &Conditions) -> Duration {
        conditions.jitter.mul_f64(self.random.random::<f64>())
    }
}

impl Layer for Impairment {
    fn datagram(&self, passing: &Passing<'_>) -> Option<Instant> {
        let conditions = self.conditions();
        let mut lane = self.lane(passing.direction);
        // Always as many numbers for a datagram: what happens to one does not
        // depend on the conditions of another.
        let (loss, ahead) = (lane.random.random::<f64>(), lane.random.random::<f64>());
        let jitter = lane.jitter(&conditions);
        if conditions.partitioned || loss < conditions.loss {
            return None;
        }
        let queued =
            lane.free_at.map_or(Duration::ZERO, |free_at| free_at.saturating_duration_since(passing.at));
        let rate = conditions.rate(passing.direction);
        if rate.is_some() && queued > conditions.queue {
            return None;
        }
        let sent_at = lane.sent_at(rate, passing.at, passing.octets.len() + DATAGRAM_HEADER_OCTETS);
        if ahead < conditions.reordering {
            return Some(sent_at);
        }
        Some(sent_at + conditions.delay + jitter)
    }

    fn opening(&self, _to: SocketAddr) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            self.joined().await;
            // SYN there and SYN, ACK back (RFC 9293 section 3.5).
            let delay = self.conditions().delay * 2;
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
        })
    }

    fn stream(&self, _ends: Ends, below: BoxedDuplex) -> BoxedDuplex {
        stream::impaired(self.clone(), below)
    }
}
