//! One connection: what its packets, its owner and time make of it (BEP 29).

mod arrive;
mod timers;
mod transmit;

use super::congestion::Ledbat;
use super::delay::DelayHistory;
use super::endpoint::reset;
use super::mtu::{PathMtu, frame_datagram_octets};
use super::packet::{HEADER_OCTETS, Header};
use super::receive::ReceiveBuffer;
use super::rtt::RoundTrip;
use super::send::SendBuffer;
use super::sequence::Seq;
use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use timers::Timers;

/// Retransmission timeouts without any word from the other side before it
/// counts as gone: about a minute.
const TIMEOUTS_MAX: u32 = 6;
/// The same for an attempt to connect: 15 seconds.
const CONNECT_TIMEOUTS_MAX: u32 = 3;

/// Whom a connection speaks with, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// The other side.
    pub peer: SocketAddr,
    /// Our address, where it is known: replies leave from there.
    pub local: Option<IpAddr>,
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// Both sides sent all they had.
    #[error("both sides ended the connection")]
    Finished,
    /// The other side knows of no such connection, or gave it up.
    #[error("the other side reset the connection")]
    Reset,
    /// The other side is silent.
    #[error("the other side does not answer")]
    TimedOut,
}

/// Time as packets tell it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub(super) epoch: Instant,
}

impl Clock {
    /// Microseconds; wraps after 71 minutes.
    pub(super) fn microseconds(self, now: Instant) -> u32 {
        now.saturating_duration_since(self.epoch).as_micros() as u32
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    SynSent,
    Connected,
    Closed(CloseReason),
}

/// When an acknowledgement is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ack {
    No,
    Delayed(Instant),
    Now,
}

/// What happened on a connection, for its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Happened {
    Connected,
    Octets(Bytes),
    Writable(usize),
    Finished,
    Closed(CloseReason),
}

/// What both ends of a new connection agreed on, and its bounds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    pub(super) path: Path,
    /// The number our packets go to, and the one that theirs come to.
    pub(super) send_id: u16,
    pub(super) receive_id: u16,
    /// The number of our first packet.
    pub(super) first: Seq,
    pub(super) clock: Clock,
    pub(super) send_octets_max: usize,
    pub(super) receive_octets_max: usize,
    /// The largest datagram we can receive, to be told to the other side.
    pub(super) datagram_octets_max: u16,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    opening: Opening,
    state: State,
    send: SendBuffer,
    receive: ReceiveBuffer,
    round_trip: RoundTrip,
    congestion: Ledbat,
    mtu: PathMtu,
    /// What the way to the other side carries as far as we know, and what it says
    /// that it can receive.
    path_octets_max: usize,
    peer_octets_max: Option<usize>,
    /// Octets the other side has room for.
    peer_window: usize,
    /// One packet may exceed the window, to learn whether it opened.
    exceeds_window: bool,
    /// One did.
    exceeded_window: bool,
    their_delays: DelayHistory,
    /// How long their last packet took.
    delay_to_tell: u32,
    ack: Ack,
    /// Packets that were not acknowledged yet.
    unacknowledged: usize,
    told_window: usize,
    timers: Timers,
    /// Timeouts since something was acknowledged last.
    timeouts: u32,
    selective_ack: Vec<u8>,
    freed_octets: usize,
    tells_connected: bool,
    tells_finished: bool,
    told_closed: bool,
    /// Nobody reads any more.
    is_abandoned: bool,
}

impl Connection {
    /// Opens a connection.
    pub(super) fn connect(now: Instant, opening: Opening) -> Self {
        let mut connection = Self::new(now, opening, State::SynSent, Seq(0), 0);
        connection.send.open(now);
        connection
    }

    /// A connection that the other side opened and confirmed; `ack_nr` is the
    /// number of its SYN.
    pub(super) fn accepted(now: Instant, opening: Opening, ack_nr: Seq, window: usize) -> Self {
        Self::new(now, opening, State::Connected, ack_nr, window)
    }

    fn new(now: Instant, opening: Opening, state: State, ack_nr: Seq, peer_window: usize) -> Self {
        let limit = frame_datagram_octets(opening.path.peer.ip());
        let mtu = PathMtu::new(limit);
        Self {
            opening,
            state,
            send: SendBuffer::new(opening.first, opening.send_octets_max),
            receive: ReceiveBuffer::new(ack_nr, opening.receive_octets_max),
            round_trip: RoundTrip::default(),
            congestion: Ledbat::new(mtu.datagram_octets() - HEADER_OCTETS),
            mtu,
            path_octets_max: limit,
            peer_octets_max: None,
            peer_window,
            exceeds_window: false,
            exceeded_window: false,
            their_delays: DelayHistory::default(),
            delay_to_tell: 0,
            ack: Ack::No,
            unacknowledged: 0,
            told_window: opening.receive_octets_max,
            timers: Timers::new(now),
            timeouts: 0,
            selective_ack: Vec::new(),
            freed_octets: 0,
            tells_connected: false,
            tells_finished: false,
            told_closed: false,
            is_abandoned: false,
        }
    }

    pub(super) fn path(&self) -> Path {
        self.opening.path
    }

    pub(super) fn receive_id(&self) -> u16 {
        self.opening.receive_id
    }

    /// The packet that ends it at once.
    pub(super) fn reset_header(&self) -> (Path, Header) {
        (self.path(), reset(self.opening.send_id, self.send.next(), self.receive.ack_nr()))
    }

    pub(super) fn close_reason(&self) -> Option<CloseReason> {
        match self.state {
            State::Closed(reason) => Some(reason),
            _ => None,
        }
    }

    /// The round trip, where it was measured.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip.smoothed()
    }

    /// How long our packets wait in queues, where it is known.
    pub(super) fn queueing(&self) -> Option<Duration> {
        self.congestion.queueing()
    }

    /// Octets that may be under way.
    pub(super) fn window_octets(&self) -> usize {
        self.congestion.window_octets()
    }

    /// How large datagrams are now.
    pub(super) fn datagram_octets(&self) -> usize {
        self.mtu.datagram_octets()
    }

    /// The way to the other side may carry datagrams of this size.
    pub(super) fn set_path_octets_max(&mut self, octets: usize) {
        self.path_octets_max = octets.max(2 * HEADER_OCTETS);
        self.limit_datagrams();
    }

    pub(super) fn set_peer_octets_max(&mut self, octets: u16) {
        self.peer_octets_max = Some(usize::from(octets).max(2 * HEADER_OCTETS));
        self.limit_datagrams();
    }

    fn limit_datagrams(&mut self) {
        // Who does not say may have a buffer of one frame.
        let peer = self.peer_octets_max.unwrap_or_else(|| frame_datagram_octets(self.path().peer.ip()));
        self.mtu.set_limit(self.path_octets_max.min(peer));
    }

    /// Octets of a full packet.
    fn packet_octets(&self) -> usize {
        self.mtu.datagram_octets() - HEADER_OCTETS
    }

    /// Takes what fits; returns the rest.
    pub(super) fn write(&mut self, octets: Bytes) -> Bytes {
        if matches!(self.state, State::Closed(_)) {
            return octets;
        }
        self.send.write(octets)
    }

    pub(super) fn send_free_octets(&self) -> usize {
        self.send.free_octets()
    }

    /// No more octets follow.
    pub(super) fn finish(&mut self) {
        self.send.finish();
    }

    /// The owner is gone: what was written is still sent, what comes is dropped.
    pub(super) fn abandon(&mut self, now: Instant) {
        self.is_abandoned = true;
        if self.state == State::SynSent {
            self.send.abandon();
            self.close(CloseReason::Finished);
        } else {
            self.send.finish();
        }
        self.drop_unread();
        self.check_finished(now);
    }

    /// The owner used so many octets.
    pub(super) fn release(&mut self, octets: usize) {
        self.receive.release(octets);
        let window = self.receive.window_octets();
        let max = self.opening.receive_octets_max;
        // Not for every little bit (RFC 1122 section 4.2.3.3).
        if self.told_window < max / 2 && window >= self.told_window.saturating_add(max / 4) {
            self.ack = Ack::Now;
        }
    }

    fn drop_unread(&mut self) {
        if self.is_abandoned {
            while let Some(octets) = self.receive.read() {
                self.receive.release(octets.len());
            }
        }
    }

    /// What happened, until there is nothing more.
    pub(super) fn poll_event(&mut self) -> Option<Happened> {
        if std::mem::take(&mut self.tells_connected) {
            return Some(Happened::Connected);
        }
        if let Some(octets) = self.receive.read() {
            return Some(Happened::Octets(octets));
        }
        if std::mem::take(&mut self.tells_finished) {
            return Some(Happened::Finished);
        }
        if self.freed_octets > 0 {
            return Some(Happened::Writable(std::mem::take(&mut self.freed_octets)));
        }
        let reason = self.close_reason()?;
        let told = std::mem::replace(&mut self.told_closed, true);
        (!told).then_some(Happened::Closed(reason))
    }

    fn close(&mut self, mut reason: CloseReason) {
        // They have all of ours and sent all of theirs: that they forgot us before
        // we heard of it is no failure.
        if self.receive.is_finished() && self.send.lacks_fin_only() {
            reason = CloseReason::Finished;
        }
        if !matches!(self.state, State::Closed(_)) {
            self.state = State::Closed(reason);
            self.timers.clear();
            self.ack = Ack::No;
        }
    }

    /// Both directions ended, or nobody reads and all arrived: lingers, to answer
    /// what the other side sends again.
    fn check_finished(&mut self, now: Instant) {
        let both = self.send.is_finished() && self.receive.is_finished();
        // Who sends on to nobody must not keep the connection by it.
        let unread = self.is_abandoned && self.send.is_finished() && self.timers.linger.is_none();
        if both || unread {
            self.timers.linger(now, self.round_trip.timeout() * 4);
        }
    }
}
