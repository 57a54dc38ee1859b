//! What a connection makes of a packet.

use super::{Ack, CloseReason, Connection, State};
use crate::utp::packet::{Kind, Packet};
use crate::utp::receive::{Arrival, ReceiveBuffer};
use crate::utp::sequence::is_earlier;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// How long one packet waits for a second one, or for octets of ours, before it
/// is acknowledged.
pub(in crate::utp) const ACK_DELAY: Duration = Duration::from_millis(20);
/// Packets acknowledged at once at the latest (RFC 1122 section 4.2.3.2).
const UNACKNOWLEDGED_MAX: usize = 2;
/// Larger steps of the other direction's delay are no drift of clocks.
const DRIFT_MICROSECONDS_MAX: u32 = 10_000;

impl Connection {
    /// A packet for this connection arrived in `octets`.
    pub(in crate::utp) fn handle_packet(&mut self, now: Instant, packet: &Packet<'_>, octets: &Bytes) {
        if matches!(self.state, State::Closed(_)) {
            return;
        }
        let header = &packet.header;
        if header.kind == Kind::Reset {
            return self.handle_reset(packet);
        }
        if header.kind == Kind::Syn {
            // Our answer was lost.
            self.ack = Ack::Now;
            return;
        }
        if self.state == State::SynSent && header.kind != Kind::State {
            // Only the answer to SYN says where their numbers begin.
            return;
        }
        let alone = header.kind == Kind::State && self.state == State::Connected;
        let reordering = self.round_trip.reordering();
        let selective = packet.selective_ack;
        let Ok(brought) = self.send.acknowledge(now, header.ack_nr, selective, alone, reordering) else {
            return; // It acknowledges what was never sent.
        };
        if self.state == State::SynSent {
            if brought.packets == 0 {
                return;
            }
            self.connected(packet);
        }
        // Who has no room for more is still there.
        if brought.packets > 0 || header.window_octets == 0 {
            self.timeouts = 0;
        }
        self.measure_delay(now, packet);
        let packet_octets = self.packet_octets();
        if brought.packets > 0 {
            self.freed_octets += brought.octets;
            match brought.round_trip {
                Some(round_trip) => self.round_trip.measured(round_trip),
                None => self.round_trip.answered(),
            }
            self.congestion.delay_told(now, header.timestamp_difference_microseconds);
            self.congestion.acknowledged(brought.octets, brought.in_flight_octets, packet_octets);
            self.rearm(now);
        }
        if brought.probe_arrived {
            self.mtu.probe_acknowledged();
        }
        if brought.probe_lost {
            self.mtu.probe_lost(now);
        }
        if brought.lost {
            self.congestion.lost(packet_octets);
        }
        self.window_told(now, header.window_octets as usize);
        if matches!(header.kind, Kind::Data | Kind::Fin) {
            // `packet` was read from `octets`: its payload is their end.
            let payload = octets.slice(octets.len() - packet.payload.len()..);
            self.handle_payload(now, packet, payload);
        }
        self.check_finished(now);
    }

    fn connected(&mut self, packet: &Packet<'_>) {
        self.state = State::Connected;
        self.tells_connected = true;
        // Their State has the number of their first packet: it does not count
        // itself. BEP 29 draws it otherwise; every implementation does it so.
        let ack_nr = packet.header.seq_nr.previous();
        self.receive = ReceiveBuffer::new(ack_nr, self.opening.receive_octets_max);
        if let Some(octets) = packet.datagram_octets_max {
            self.set_peer_octets_max(octets);
        }
        // Confirms to the other side that we are who we said.
        self.ack = Ack::Now;
    }

    /// A reset counts only if it answers what we may have sent.
    fn handle_reset(&mut self, packet: &Packet<'_>) {
        let ack_nr = packet.header.ack_nr;
        let plausible = !ack_nr.is_after(self.send.next());
        let id = packet.header.connection_id;
        if plausible && (id == self.opening.receive_id || id == self.opening.send_id) {
            self.close(CloseReason::Reset);
        }
    }

    fn measure_delay(&mut self, now: Instant, packet: &Packet<'_>) {
        let delay = self.opening.clock.microseconds(now).wrapping_sub(packet.header.timestamp_microseconds);
        self.delay_to_tell = delay;
        let before = self.their_delays.base();
        self.their_delays.add(now, delay);
        // If theirs got shorter than ever, their clock runs faster than ours,
        // and what we send seems to take longer and longer.
        if let (Some(before), Some(after)) = (before, self.their_delays.base())
            && is_earlier(after, before)
            && before.wrapping_sub(after) <= DRIFT_MICROSECONDS_MAX
        {
            self.congestion.clocks_drifted(before.wrapping_sub(after));
        }
    }

    fn window_told(&mut self, now: Instant, octets: usize) {
        let was_closed = self.peer_window < self.packet_octets();
        self.peer_window = octets;
        if was_closed && octets >= self.packet_octets() {
            self.timers.probe_window = None;
            // What was sent into the closed window was dropped there.
            if self.send.in_flight_octets() > 0 && self.exceeded_window {
                self.send.mark_all_lost();
                self.rearm(now);
            }
            self.exceeded_window = false;
        }
    }

    fn handle_payload(&mut self, now: Instant, packet: &Packet<'_>, payload: Bytes) {
        let is_fin = packet.header.kind == Kind::Fin;
        let had_gaps = self.receive.has_gaps();
        let finished_before = self.receive.is_finished();
        let arrival = self.receive.insert(packet.header.seq_nr, payload, is_fin);
        self.unacknowledged += 1;
        let quiet = arrival == Arrival::InOrder && !had_gaps && !is_fin;
        if !quiet || self.unacknowledged >= UNACKNOWLEDGED_MAX {
            self.ack = Ack::Now;
        } else if self.ack == Ack::No {
            self.ack = Ack::Delayed(now + ACK_DELAY);
        }
        self.tells_finished |= self.receive.is_finished() && !finished_before;
        self.drop_unread();
    }

    /// Whether a poll for events would bring some.
    pub(in crate::utp) fn has_events(&self) -> bool {
        self.tells_connected
            || self.tells_finished
            || self.freed_octets > 0
            || self.receive.has_octets()
            || (!self.told_closed && matches!(self.state, State::Closed(_)))
    }
}
