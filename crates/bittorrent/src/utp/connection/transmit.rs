//! What a connection sends next.

use super::{Ack, Connection, State};
use crate::utp::packet::{Extensions, HEADER_OCTETS, Header, Kind};
use crate::utp::payload::Payload;
use crate::utp::send::{Carries, Outgoing};
use crate::utp::sequence::Seq;
use std::time::Instant;

/// After so many attempts SYN goes out without our extension, for whoever
/// drops what it does not know.
const SYN_WITH_EXTENSION_MAX: u8 = 2;

/// A packet to be sent: its header was written, its payload is shared.
#[derive(Debug)]
pub(in crate::utp) struct Written {
    pub(in crate::utp) payload: Payload,
    /// It may be fragmented on its way.
    pub(in crate::utp) fragmentable: bool,
}

impl Connection {
    /// Writes the next packet's header to the end of `headers` and hands out its
    /// payload, until there is nothing to send.
    pub(in crate::utp) fn poll_transmit(&mut self, now: Instant, headers: &mut Vec<u8>) -> Option<Written> {
        if matches!(self.state, State::Closed(_)) {
            return None;
        }
        // A packet with octets has no room for the mask of what is missing.
        if self.ack == Ack::Now && self.receive.has_gaps() {
            return Some(self.write_state(now, headers));
        }
        if let Some(outgoing) = self.next_packet(now) {
            return Some(self.write_packet(now, outgoing, headers));
        }
        (self.ack == Ack::Now).then(|| self.write_state(now, headers))
    }

    fn next_packet(&mut self, now: Instant) -> Option<Outgoing> {
        let in_flight = self.send.in_flight_octets();
        let window = self.congestion.window_octets();
        if let Some(octets) = self.send.lost_octets() {
            // New octets would take the room of those that are missing.
            let fits = in_flight == 0 || in_flight + octets <= window;
            return if fits { self.send.resend(now) } else { None };
        }
        if self.state == State::SynSent {
            return None;
        }
        if self.send.wants_fin() {
            return self.send.cut(now, 0, false);
        }
        let unsent = self.send.unsent_octets();
        if unsent == 0 {
            return None;
        }
        let mut octets = self.packet_octets();
        let probe = self.mtu.poll_probe(now).map(|datagram| datagram - HEADER_OCTETS);
        let probe = probe.filter(|probe| unsent >= *probe && in_flight + probe <= self.peer_window);
        octets = probe.unwrap_or(octets);
        if in_flight > 0 && in_flight + octets.min(unsent) > window.max(probe.unwrap_or(0)) {
            return None;
        }
        octets = self.fit_window(now, octets, octets.min(unsent), in_flight)?;
        if unsent < octets && !self.send.is_finishing() && self.send.has_small_outstanding() {
            return None;
        }
        let outgoing = self.send.cut(now, octets, probe.is_some())?;
        if let Some(probe) = probe {
            self.mtu.probe_sent(probe + HEADER_OCTETS);
        }
        Some(outgoing)
    }

    /// How much of a packet the other side has room for.
    fn fit_window(&mut self, now: Instant, full: usize, wanted: usize, in_flight: usize) -> Option<usize> {
        if in_flight + wanted <= self.peer_window {
            return Some(full);
        }
        if in_flight > 0 {
            return None;
        }
        if self.peer_window > 0 {
            return Some(self.peer_window.min(full));
        }
        if std::mem::take(&mut self.exceeds_window) {
            self.exceeded_window = true;
            return Some(full);
        }
        if self.timers.probe_window.is_none() {
            self.timers.probe_window = Some(now + self.round_trip.timeout());
        }
        None
    }

    fn write_packet(&mut self, now: Instant, outgoing: Outgoing, headers: &mut Vec<u8>) -> Written {
        let kind = match outgoing.carries {
            Carries::Syn => Kind::Syn,
            Carries::Octets => Kind::Data,
            Carries::Fin => Kind::Fin,
        };
        let first_syns = kind == Kind::Syn && outgoing.transmissions <= SYN_WITH_EXTENSION_MAX;
        let datagram_octets_max = first_syns.then_some(self.opening.datagram_octets_max);
        let header = self.header(now, kind, outgoing.seq_nr);
        header.write(Extensions { selective_ack: &[], datagram_octets_max }, headers);
        // The first in flight starts the clock, later ones do not put it off.
        if self.timers.retransmit.is_none() {
            self.rearm(now);
        }
        Written { payload: outgoing.payload, fragmentable: outgoing.transmissions > 1 }
    }

    fn write_state(&mut self, now: Instant, headers: &mut Vec<u8>) -> Written {
        let mut bits = std::mem::take(&mut self.selective_ack);
        self.receive.selective_ack(&mut bits);
        let header = self.header(now, Kind::State, self.send.next());
        header.write(Extensions { selective_ack: &bits, datagram_octets_max: None }, headers);
        self.selective_ack = bits;
        Written { payload: Payload::default(), fragmentable: false }
    }

    /// The header; it acknowledges everything that came.
    fn header(&mut self, now: Instant, kind: Kind, seq_nr: Seq) -> Header {
        let window = self.receive.window_octets();
        (self.ack, self.unacknowledged, self.told_window) = (Ack::No, 0, window);
        self.timers.sent_at = now;
        let opening = &self.opening;
        Header {
            kind,
            connection_id: if kind == Kind::Syn { opening.receive_id } else { opening.send_id },
            timestamp_microseconds: opening.clock.microseconds(now),
            timestamp_difference_microseconds: self.delay_to_tell,
            window_octets: u32::try_from(window).unwrap_or(u32::MAX),
            seq_nr,
            ack_nr: self.receive.ack_nr(),
        }
    }
}
