//! What a connection does when time passes.

use super::{Ack, CONNECT_TIMEOUTS_MAX, CloseReason, Connection, State, TIMEOUTS_MAX};
use std::time::{Duration, Instant};

/// A connection that sends nothing for so long tells that it is alive, before a
/// NAT forgets it (BEP 29 names none; other makes use 29 s).
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(29);
/// The last packet is repeated after two round trips, at least this (RFC 8985
/// section 7.2).
const REPEAT_MIN: Duration = Duration::from_millis(10);
/// What the other side may delay an acknowledgement.
const ACK_DELAY_ALLOWANCE: Duration = Duration::from_millis(100);

/// After so many timeouts in a row large packets are taken for the reason.
const BLACK_HOLE_TIMEOUTS: u32 = 3;

/// When something is due.
#[derive(Debug)]
pub(super) struct Timers {
    /// Something must be acknowledged until then.
    pub(super) retransmit: Option<Instant>,
    /// The last packet is repeated then.
    pub(super) repeat: Option<Instant>,
    /// A packet is sent though the window is closed.
    pub(super) probe_window: Option<Instant>,
    pub(super) linger: Option<Instant>,
    pub(super) sent_at: Instant,
    is_closed: bool,
}

impl Timers {
    pub(super) fn new(now: Instant) -> Self {
        let (retransmit, repeat, probe_window, linger) = (None, None, None, None);
        Self { retransmit, repeat, probe_window, linger, sent_at: now, is_closed: false }
    }

    pub(super) fn clear(&mut self) {
        *self = Self { is_closed: true, ..Self::new(self.sent_at) };
    }

    pub(super) fn linger(&mut self, now: Instant, span: Duration) {
        self.linger = Some(now + span);
    }
}

impl Connection {
    /// Whether all is said and it stays for what the other side may repeat only.
    pub(in crate::utp) fn is_lingering(&self) -> bool {
        self.timers.linger.is_some()
    }

    /// When the connection wants to be woken.
    pub(in crate::utp) fn poll_timeout(&self) -> Option<Instant> {
        if self.timers.is_closed {
            return None;
        }
        let ack = match self.ack {
            Ack::Delayed(at) => Some(at),
            _ => None,
        };
        let timers = &self.timers;
        // An acknowledgement that is due already will do.
        let quiet = self.state == State::Connected && self.ack != Ack::Now;
        let keep_alive = quiet.then(|| timers.sent_at + KEEP_ALIVE);
        let all = [ack, timers.retransmit, timers.repeat, timers.probe_window, timers.linger, keep_alive];
        all.into_iter().flatten().min()
    }

    /// Time passed.
    pub(in crate::utp) fn handle_timeout(&mut self, now: Instant) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.timers.linger) {
            return self.close(CloseReason::Finished);
        }
        if matches!(self.ack, Ack::Delayed(at) if at <= now) {
            self.ack = Ack::Now;
        }
        if due(self.timers.retransmit) {
            self.retransmission_timed_out(now);
        } else if due(self.timers.repeat) {
            self.timers.repeat = None;
            if self.send.repeat_last() {
                self.mtu.probe_lost(now);
            }
        }
        if due(self.timers.probe_window) {
            self.timers.probe_window = None;
            self.exceeds_window = true;
        }
        if self.state == State::Connected && now >= self.timers.sent_at + KEEP_ALIVE {
            self.ack = Ack::Now;
        }
    }

    fn retransmission_timed_out(&mut self, now: Instant) {
        self.timers.repeat = None;
        self.timeouts += 1;
        let max = if self.state == State::SynSent { CONNECT_TIMEOUTS_MAX } else { TIMEOUTS_MAX };
        if self.timeouts > max {
            return self.close(CloseReason::TimedOut);
        }
        if self.send.mark_all_lost() {
            self.mtu.probe_lost(now);
        }
        // One silence may be chance, the third in a row is a pattern.
        if self.timeouts == BLACK_HOLE_TIMEOUTS {
            self.mtu.black_hole(now);
        }
        self.congestion.timed_out(self.packet_octets());
        self.round_trip.timed_out();
        self.timers.retransmit = Some(now + self.round_trip.timeout());
    }

    /// Something was sent, or acknowledged, that others wait behind.
    pub(super) fn rearm(&mut self, now: Instant) {
        if !self.send.has_outstanding() {
            (self.timers.retransmit, self.timers.repeat) = (None, None);
            return;
        }
        self.timers.retransmit = Some(now + self.round_trip.timeout());
        self.timers.repeat = self.round_trip.smoothed().map(|smoothed| {
            let wait = (smoothed * 2).max(REPEAT_MIN);
            // A lone small packet is acknowledged late.
            let alone = self.send.in_flight_octets() < 2 * self.packet_octets();
            now + if alone { wait + ACK_DELAY_ALLOWANCE } else { wait }
        });
    }
}
