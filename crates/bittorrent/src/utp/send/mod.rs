//! The sending half: octets that wait to be sent, packets that wait to be
//! acknowledged, and which of those are lost (BEP 29 "packet loss").

use super::payload::{Payload, Unsent};
use super::sequence::Seq;
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

mod acknowledge;
#[cfg(test)]
mod tests;

/// Packets under way at once. Others keep no more than 1,024 out of order.
pub const PACKETS_MAX: usize = 1_024;

/// What a packet of the sending half is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carries {
    Syn,
    Octets,
    Fin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    InFlight,
    Lost,
    Arrived,
}

#[derive(Debug)]
struct Sent {
    payload: Payload,
    octets: usize,
    carries: Carries,
    at: Instant,
    transmissions: u8,
    state: State,
    is_probe: bool,
}

/// A packet to be sent now.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) seq_nr: Seq,
    pub(super) carries: Carries,
    pub(super) payload: Payload,
    /// How often it was sent, with this time.
    pub(super) transmissions: u8,
}

/// What an acknowledgement brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Acknowledged {
    /// Packets that are known to have arrived now.
    pub(super) packets: usize,
    /// Their octets.
    pub(super) octets: usize,
    /// Octets under way before.
    pub(super) in_flight_octets: usize,
    /// Of the latest packet that was sent only once.
    pub(super) round_trip: Option<Duration>,
    /// Packets were lost, for the first time since the window was filled.
    pub(super) lost: bool,
    pub(super) probe_arrived: bool,
    pub(super) probe_lost: bool,
}

/// An acknowledgement of what was never sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NeverSent;

/// The sending half of a connection.
#[derive(Debug)]
pub(super) struct SendBuffer {
    unsent: Unsent,
    /// What was sent and is not acknowledged, with all before it; oldest first.
    packets: VecDeque<Sent>,
    next: Seq,
    octets_max: usize,
    /// Octets in `packets` that did not arrive.
    unacknowledged_octets: usize,
    in_flight_octets: usize,
    lost_packets: usize,
    /// No lost packet stands before this place.
    resend_from: usize,
    /// Losses up to this packet belong to one event.
    recovering_until: Option<Seq>,
    /// When the latest packet that arrived was sent (RFC 8985: RACK.xmit_ts).
    latest_arrived: Option<Instant>,
    duplicates: usize,
    /// The last packet that was smaller than it could have been.
    small: Option<Seq>,
    finishing: bool,
    fin_sent: bool,
}

impl SendBuffer {
    pub(super) fn new(next: Seq, octets_max: usize) -> Self {
        Self {
            unsent: Unsent::default(),
            packets: VecDeque::new(),
            next,
            octets_max,
            unacknowledged_octets: 0,
            in_flight_octets: 0,
            lost_packets: 0,
            resend_from: 0,
            recovering_until: None,
            latest_arrived: None,
            duplicates: 0,
            small: None,
            finishing: false,
            fin_sent: false,
        }
    }

    /// The number of the next new packet.
    pub(super) fn next(&self) -> Seq {
        self.next
    }

    pub(super) fn free_octets(&self) -> usize {
        self.octets_max.saturating_sub(self.unsent.len() + self.unacknowledged_octets)
    }

    pub(super) fn in_flight_octets(&self) -> usize {
        self.in_flight_octets
    }

    /// Whether anything waits to be acknowledged.
    pub(super) fn has_outstanding(&self) -> bool {
        !self.packets.is_empty()
    }

    /// Octets of the next packet to be sent again.
    pub(super) fn lost_octets(&self) -> Option<usize> {
        let mut from = self.packets.iter().skip(self.resend_from);
        from.find(|sent| sent.state == State::Lost).map(|sent| sent.octets)
    }

    pub(super) fn unsent_octets(&self) -> usize {
        self.unsent.len()
    }

    /// Whether only the FIN is left to be sent.
    pub(super) fn wants_fin(&self) -> bool {
        self.finishing && !self.fin_sent && self.unsent.len() == 0
    }

    pub(super) fn is_finishing(&self) -> bool {
        self.finishing
    }

    /// Whether all, and the FIN, arrived.
    pub(super) fn is_finished(&self) -> bool {
        self.fin_sent && self.packets.is_empty()
    }

    /// Whether all arrived but perhaps the FIN.
    pub(super) fn lacks_fin_only(&self) -> bool {
        self.fin_sent && self.packets.iter().all(|sent| sent.carries == Carries::Fin)
    }

    /// Whether a packet that could have been larger is still under way: while it
    /// is, another small one waits for more octets (Minshall's form of Nagle's
    /// rule, RFC 896).
    pub(super) fn has_small_outstanding(&self) -> bool {
        self.small.is_some()
    }

    /// Takes what fits; returns the rest.
    pub(super) fn write(&mut self, mut octets: Bytes) -> Bytes {
        if self.finishing {
            return octets;
        }
        let fits = octets.split_to(octets.len().min(self.free_octets()));
        if !fits.is_empty() {
            self.unsent.push(fits);
        }
        octets
    }

    /// No more octets follow.
    pub(super) fn finish(&mut self) {
        self.finishing = true;
    }

    /// Forgets what was not sent yet, and ends.
    pub(super) fn abandon(&mut self) {
        self.unsent.clear();
        self.finishing = true;
    }

    /// Sends SYN.
    pub(super) fn open(&mut self, now: Instant) {
        self.append(now, Carries::Syn, Payload::default(), false);
        // It goes out like a packet that is sent again, and so does each repetition.
        self.mark_all_lost();
        self.packets.iter_mut().for_each(|sent| sent.transmissions = 0);
    }

    /// Cuts the next packet out of what was written.
    pub(super) fn cut(&mut self, now: Instant, octets_max: usize, is_probe: bool) -> Option<Outgoing> {
        if self.packets.len() >= PACKETS_MAX {
            return None;
        }
        if self.wants_fin() {
            self.fin_sent = true;
            return Some(self.append(now, Carries::Fin, Payload::default(), false));
        }
        if self.unsent.len() == 0 || octets_max == 0 {
            return None;
        }
        let payload = self.unsent.take(octets_max);
        if payload.len() < octets_max {
            self.small = Some(self.next);
        }
        Some(self.append(now, Carries::Octets, payload, is_probe))
    }

    fn append(&mut self, now: Instant, carries: Carries, payload: Payload, is_probe: bool) -> Outgoing {
        let seq_nr = self.next;
        self.next = seq_nr.next();
        let octets = payload.len();
        self.in_flight_octets += octets;
        self.unacknowledged_octets += octets;
        let outgoing = Outgoing { seq_nr, carries, payload: payload.clone(), transmissions: 1 };
        let (at, transmissions, state) = (now, 1, State::InFlight);
        self.packets.push_back(Sent { payload, octets, carries, at, transmissions, state, is_probe });
        outgoing
    }

    /// The next packet that must be sent again.
    pub(super) fn resend(&mut self, now: Instant) -> Option<Outgoing> {
        if self.lost_packets == 0 {
            return None;
        }
        let oldest = self.oldest();
        let mut from = self.packets.iter_mut().enumerate().skip(self.resend_from);
        let (place, sent) = from.find(|(_, sent)| sent.state == State::Lost)?;
        self.resend_from = place + 1;
        self.lost_packets -= 1;
        self.in_flight_octets += sent.octets;
        sent.state = State::InFlight;
        sent.at = now;
        sent.transmissions = sent.transmissions.saturating_add(1);
        let seq_nr = oldest.plus(place as u16);
        let (carries, payload) = (sent.carries, sent.payload.clone());
        Some(Outgoing { seq_nr, carries, payload, transmissions: sent.transmissions })
    }

    fn oldest(&self) -> Seq {
        Seq(self.next.0.wrapping_sub(self.packets.len() as u16))
    }
}
