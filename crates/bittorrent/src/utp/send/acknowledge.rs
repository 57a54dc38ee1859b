//! What an acknowledgement, or the lack of one, says about the packets under way.

use super::{Acknowledged, NeverSent, SendBuffer, State};
use crate::utp::packet::SelectiveAck;
use crate::utp::payload::Payload;
use crate::utp::sequence::Seq;
use std::time::{Duration, Instant};

/// A packet is lost when so many after it arrived (BEP 29: 3).
const LATER_ARRIVED: usize = 3;

impl SendBuffer {
    /// `ack_nr` and all before it arrived, and what `selective` says. `alone`
    /// says that the packet carried nothing else.
    ///
    /// # Errors
    /// When `ack_nr` was never sent.
    pub(in crate::utp) fn acknowledge(
        &mut self,
        now: Instant,
        ack_nr: Seq,
        selective: Option<SelectiveAck<'_>>,
        alone: bool,
        reordering: Duration,
    ) -> Result<Acknowledged, NeverSent> {
        let last = self.next.previous();
        if ack_nr.is_after(last) {
            return Err(NeverSent);
        }
        let mut brought = Acknowledged { in_flight_octets: self.in_flight_octets, ..Acknowledged::default() };
        let in_order = usize::from(ack_nr.since(self.oldest().previous()));
        if in_order > self.packets.len() {
            return Ok(brought); // An older acknowledgement that was overtaken.
        }
        for place in 0..in_order {
            self.arrived(now, place, &mut brought);
        }
        self.packets.drain(..in_order);
        self.resend_from = self.resend_from.saturating_sub(in_order);
        if self.recovering_until.is_some_and(|until| !until.is_after(ack_nr)) {
            self.recovering_until = None;
        }
        if self.small.is_some_and(|small| !small.is_after(ack_nr)) {
            self.small = None;
        }
        for (at, bit) in selective.into_iter().flat_map(SelectiveAck::arrived).enumerate() {
            if bit && at + 1 < self.packets.len() {
                self.arrived(now, at + 1, &mut brought);
            }
        }
        if brought.packets > 0 {
            self.duplicates = 0;
        } else if alone && in_order == 0 && !self.packets.is_empty() {
            self.duplicates += 1;
        }
        self.find_lost(reordering, &mut brought);
        Ok(brought)
    }

    fn arrived(&mut self, now: Instant, place: usize, brought: &mut Acknowledged) {
        let Some(sent) = self.packets.get_mut(place) else { return };
        match sent.state {
            State::Arrived => return,
            State::InFlight => self.in_flight_octets -= sent.octets,
            State::Lost => self.lost_packets -= 1,
        }
        sent.state = State::Arrived;
        sent.payload = Payload::default();
        self.unacknowledged_octets -= sent.octets;
        self.latest_arrived = self.latest_arrived.max(Some(sent.at));
        brought.packets += 1;
        brought.octets += sent.octets;
        brought.probe_arrived |= sent.is_probe;
        if sent.transmissions == 1 {
            brought.round_trip = Some(now.saturating_duration_since(sent.at));
        }
    }

    /// Finds packets that others overtook: three later ones arrived, or one that
    /// was sent clearly later (RFC 8985 section 6.2).
    fn find_lost(&mut self, reordering: Duration, brought: &mut Acknowledged) {
        let by_duplicates = self.duplicates >= LATER_ARRIVED;
        if by_duplicates {
            self.duplicates = 0;
        }
        let Some(latest) = self.latest_arrived else { return };
        let (mut later, first_event) = (0, self.recovering_until.is_none());
        let any_arrived = self.packets.iter().any(|sent| sent.state == State::Arrived);
        if !any_arrived && !by_duplicates {
            return;
        }
        let mut congested = false;
        for (place, sent) in self.packets.iter_mut().enumerate().rev() {
            if sent.state == State::Arrived {
                later += 1;
            }
            if sent.state != State::InFlight {
                continue;
            }
            let overtaken = latest.saturating_duration_since(sent.at);
            let counted = later >= LATER_ARRIVED && sent.transmissions == 1;
            let first = by_duplicates && place == 0 && sent.transmissions == 1;
            if counted || first || (later > 0 && overtaken > reordering) {
                sent.state = State::Lost;
                self.lost_packets += 1;
                self.in_flight_octets -= sent.octets;
                self.resend_from = self.resend_from.min(place);
                if sent.is_probe {
                    // Too large for the path: no sign of full queues.
                    sent.is_probe = false;
                    brought.probe_lost = true;
                } else {
                    congested = true;
                }
            }
        }
        if congested {
            brought.lost = first_event;
            self.recovering_until.get_or_insert(self.next.previous());
        }
    }

    /// Nothing was acknowledged for long: all under way counts as lost. Whether
    /// a probe was among it.
    pub(in crate::utp) fn mark_all_lost(&mut self) -> bool {
        let mut probe = false;
        for sent in &mut self.packets {
            if sent.state == State::InFlight {
                sent.state = State::Lost;
                self.lost_packets += 1;
            }
            probe |= std::mem::take(&mut sent.is_probe);
        }
        (self.in_flight_octets, self.resend_from) = (0, 0);
        self.recovering_until = self.has_outstanding().then(|| self.next.previous());
        probe
    }

    /// Sends the last packet again, so that its acknowledgement tells what else
    /// is missing (RFC 8985 section 7). Whether it was a probe: it is none any more.
    pub(in crate::utp) fn repeat_last(&mut self) -> bool {
        let mut from_last = self.packets.iter_mut().enumerate().rev();
        if let Some((place, sent)) = from_last.find(|(_, sent)| sent.state == State::InFlight) {
            sent.state = State::Lost;
            self.lost_packets += 1;
            self.in_flight_octets -= sent.octets;
            self.resend_from = self.resend_from.min(place);
            return std::mem::take(&mut sent.is_probe);
        }
        false
    }
}
