//! All connections of one socket: who gets a packet, who may send, who is woken.

mod answer;
mod half_open;
mod owner;
mod route;

use super::connection::{Clock, CloseReason, Connection, Happened, Opening, Path};
use super::payload::Payload;
use super::sequence::Seq;
use answer::Answers;
pub(super) use answer::reset;
use bytes::Bytes;
use half_open::{HalfOpen, HalfOpens};
use rand_core::Rng;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Packets of one connection that go out before the next one's turn: what one
/// system call takes.
const BURST_PACKETS: usize = 64;
/// Numbers that are tried for a new connection.
const CONNECTION_ID_ATTEMPTS_MAX: usize = 16;

/// The bounds of an [`Endpoint`].
#[derive(Debug, Clone)]
pub struct Config {
    /// Octets one connection holds for its reader; as much again may wait out of
    /// order.
    pub receive_octets_max: usize,
    /// Octets one connection holds for its writer until they are acknowledged.
    pub send_octets_max: usize,
    /// Connections at once, in both directions.
    pub connections_max: usize,
    /// Connections others asked for and did not confirm yet; 0 accepts none.
    pub half_open_max: usize,
    /// The largest datagram the socket receives whole.
    pub datagram_octets_max: u16,
}

impl Default for Config {
    /// 1 MiB in either direction, 4,096 connections, 4,096 half-open ones,
    /// datagrams as large as UDP has them.
    fn default() -> Self {
        Self {
            receive_octets_max: 1 << 20,
            send_octets_max: 1 << 20,
            connections_max: 4_096,
            half_open_max: 4_096,
            datagram_octets_max: 65_507,
        }
    }
}

/// Names a connection of an endpoint; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u64);

/// What happened on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The other side opened it.
    Accepted(Path),
    /// The other side answered.
    Connected,
    /// Octets in order. They count against the window until they are given back
    /// by [`Endpoint::release`].
    Octets(Bytes),
    /// So many octets of what was written arrived: there is room again.
    Writable(usize),
    /// The other side sends no more; all its octets were handed out.
    Finished,
    /// The connection is over and its name forgotten.
    Closed(CloseReason),
}

/// A datagram to be sent: the header that was just appended to the caller's
/// buffer, then the payload.
#[derive(Debug)]
pub struct Transmit {
    /// To whom, and from where.
    pub path: Path,
    /// How much was appended.
    pub header_octets: usize,
    /// What follows it.
    pub payload: Payload,
    /// It may be fragmented on its way; all others must not.
    pub fragmentable: bool,
}

/// Why there is no new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// As many as are allowed.
    #[error("there are {0} connections already")]
    TooMany(usize),
    /// Too many of them to the same address.
    #[error("no connection number is free")]
    NoNumber,
}

/// How a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// The smoothed round trip.
    pub round_trip: Option<Duration>,
    /// How long our packets wait in queues.
    pub queueing: Option<Duration>,
    /// Octets that may be under way.
    pub window_octets: usize,
    /// How large datagrams are.
    pub datagram_octets: usize,
}

#[derive(Debug)]
struct Slot {
    connection: Connection,
    accepted: bool,
    armed: Option<Instant>,
    is_eventful: bool,
    is_sending: bool,
}

/// All connections of one socket.
#[derive(Debug)]
pub struct Endpoint<R> {
    config: Config,
    rng: R,
    clock: Clock,
    slots: HashMap<ConnectionId, Slot>,
    numbers: HashMap<(SocketAddr, u16), ConnectionId>,
    next: u64,
    half_open: HalfOpens,
    answers: Answers,
    timers: BTreeSet<(Instant, ConnectionId)>,
    eventful: VecDeque<ConnectionId>,
    sending: VecDeque<ConnectionId>,
    /// Packets the first of `sending` sent in its turn.
    burst: usize,
}

impl<R: Rng> Endpoint<R> {
    /// An endpoint without connections.
    pub fn new(now: Instant, config: Config, rng: R) -> Self {
        Self {
            half_open: HalfOpens::new(config.half_open_max),
            answers: Answers::new(now),
            config,
            rng,
            clock: Clock { epoch: now },
            slots: HashMap::new(),
            numbers: HashMap::new(),
            next: 0,
            timers: BTreeSet::new(),
            eventful: VecDeque::new(),
            sending: VecDeque::new(),
            burst: 0,
        }
    }

    /// How many connections there are, with those that linger.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether nothing is on its way any more: connections that there are stay only
    /// to answer what the other side may repeat.
    pub fn is_settled(&self) -> bool {
        self.slots.values().all(|slot| slot.connection.is_lingering())
    }

    /// Opens a connection; [`Event::Connected`] or [`Event::Closed`] follows.
    pub fn connect(&mut self, now: Instant, path: Path) -> Result<ConnectionId, ConnectError> {
        if self.slots.len() >= self.config.connections_max {
            return Err(ConnectError::TooMany(self.slots.len()));
        }
        for _ in 0..CONNECTION_ID_ATTEMPTS_MAX {
            let number = self.rng.next_u32() as u16;
            let first = Seq(self.rng.next_u32() as u16);
            if !self.numbers.contains_key(&(path.peer, number)) {
                let opening = self.opening(path, number.wrapping_add(1), number, first);
                return Ok(self.insert(Connection::connect(now, opening), false));
            }
        }
        Err(ConnectError::NoNumber)
    }

    fn opening(&self, path: Path, send_id: u16, receive_id: u16, first: Seq) -> Opening {
        Opening {
            path,
            send_id,
            receive_id,
            first,
            clock: self.clock,
            send_octets_max: self.config.send_octets_max,
            receive_octets_max: self.config.receive_octets_max,
            datagram_octets_max: self.config.datagram_octets_max,
        }
    }

    fn insert(&mut self, connection: Connection, accepted: bool) -> ConnectionId {
        let id = ConnectionId(self.next);
        self.next += 1;
        self.numbers.insert((connection.path().peer, connection.receive_id()), id);
        let slot = Slot { connection, accepted, armed: None, is_eventful: false, is_sending: false };
        self.slots.insert(id, slot);
        self.touched(id);
        id
    }

    /// Time passed: wakes whoever wanted to be woken.
    pub fn handle_timeout(&mut self, now: Instant) {
        // Each once, even if it wants to be woken at once again.
        let mut due = Vec::new();
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            due.extend(self.timers.pop_first());
        }
        for (_, id) in due {
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.armed = None;
                slot.connection.handle_timeout(now);
                self.touched(id);
            }
        }
    }

    /// When the endpoint wants to be woken.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Appends the next packet's header to `headers`; nothing when there is
    /// nothing to send. Packets of one connection come together.
    pub fn poll_transmit(&mut self, now: Instant, headers: &mut Vec<u8>) -> Option<Transmit> {
        let before = headers.len();
        if let Some(path) = self.answers.poll_transmit(self.clock.microseconds(now), headers) {
            let (header_octets, payload) = (headers.len() - before, Payload::default());
            return Some(Transmit { path, header_octets, payload, fragmentable: false });
        }
        while let Some(id) = self.sending.front().copied() {
            let written =
                self.slots.get_mut(&id).and_then(|slot| slot.connection.poll_transmit(now, headers));
            if let Some(written) = written
                && let Some(path) = self.path(id)
            {
                self.burst += 1;
                if self.burst >= BURST_PACKETS {
                    self.burst = 0;
                    self.sending.rotate_left(1);
                }
                let (payload, fragmentable) = (written.payload, written.fragmentable);
                return Some(Transmit { path, header_octets: headers.len() - before, payload, fragmentable });
            }
            self.burst = 0;
            self.sending.pop_front();
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.is_sending = false;
                self.rearm(id);
            }
        }
        None
    }

    /// What happened, until there is nothing more.
    pub fn poll_event(&mut self) -> Option<(ConnectionId, Event)> {
        while let Some(id) = self.eventful.front().copied() {
            let Some(slot) = self.slots.get_mut(&id) else {
                self.eventful.pop_front();
                continue;
            };
            if std::mem::take(&mut slot.accepted) {
                return Some((id, Event::Accepted(slot.connection.path())));
            }
            let event = match slot.connection.poll_event() {
                Some(Happened::Connected) => Event::Connected,
                Some(Happened::Octets(octets)) => Event::Octets(octets),
                Some(Happened::Writable(octets)) => Event::Writable(octets),
                Some(Happened::Finished) => Event::Finished,
                Some(Happened::Closed(reason)) => {
                    self.forget(id);
                    Event::Closed(reason)
                }
                None => {
                    slot.is_eventful = false;
                    self.eventful.pop_front();
                    continue;
                }
            };
            return Some((id, event));
        }
        None
    }

    #[cfg(test)]
    pub(super) fn half_open_len(&self) -> usize {
        self.half_open.len()
    }

    fn path(&self, id: ConnectionId) -> Option<Path> {
        self.slots.get(&id).map(|slot| slot.connection.path())
    }

    fn forget(&mut self, id: ConnectionId) {
        let Some(slot) = self.slots.remove(&id) else { return };
        self.numbers.remove(&(slot.connection.path().peer, slot.connection.receive_id()));
        if let Some(at) = slot.armed {
            self.timers.remove(&(at, id));
        }
    }

    /// Something changed: it may have events, packets and another timeout.
    fn touched(&mut self, id: ConnectionId) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        if !slot.is_sending {
            slot.is_sending = true;
            self.sending.push_back(id);
        }
        if !slot.is_eventful && (slot.accepted || slot.connection.has_events()) {
            slot.is_eventful = true;
            self.eventful.push_back(id);
        }
        self.rearm(id);
    }

    fn rearm(&mut self, id: ConnectionId) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        let wanted = slot.connection.poll_timeout();
        if wanted != slot.armed {
            if let Some(at) = slot.armed {
                self.timers.remove(&(at, id));
            }
            if let Some(at) = wanted {
                self.timers.insert((at, id));
            }
            slot.armed = wanted;
        }
    }
}
