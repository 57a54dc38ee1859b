//! What arrived: octets in order for the reader, packets that wait for an
//! earlier one, and what is told about both.

use super::sequence::Seq;
use bytes::Bytes;
use std::collections::VecDeque;

/// Packets that may wait for an earlier one; those further ahead are dropped.
/// What a selective ack can tell at most.
pub const WAITING_PACKETS_MAX: u16 = 2_016;

/// Payloads shorter than this are moved to memory of their own while they wait
/// for an earlier packet: the buffer they arrived in holds many.
const COPIED_OCTETS_MAX: usize = 16 << 10;

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It was the next one.
    InOrder,
    /// It waits for an earlier one.
    OutOfOrder,
    /// It was there already.
    Duplicate,
    /// There is no room for it, or it makes no sense.
    Refused,
}

/// The receiving half of a connection. Holds at most twice `octets_max`: that
/// much in order, and as much that waits.
#[derive(Debug)]
pub(super) struct ReceiveBuffer {
    /// The last packet that arrived in order.
    ack_nr: Seq,
    octets_max: usize,
    ready: VecDeque<Bytes>,
    ready_octets: usize,
    /// Octets the reader took and did not release yet.
    held_octets: usize,
    /// Packets after `ack_nr`; the first is always missing.
    waiting: VecDeque<Option<Bytes>>,
    waiting_packets: usize,
    waiting_octets: usize,
    fin: Option<Seq>,
}

impl ReceiveBuffer {
    pub(super) fn new(ack_nr: Seq, octets_max: usize) -> Self {
        Self {
            ack_nr,
            octets_max,
            ready: VecDeque::new(),
            ready_octets: 0,
            held_octets: 0,
            waiting: VecDeque::new(),
            waiting_packets: 0,
            waiting_octets: 0,
            fin: None,
        }
    }

    pub(super) fn ack_nr(&self) -> Seq {
        self.ack_nr
    }

    /// Octets there is room for.
    pub(super) fn window_octets(&self) -> usize {
        self.octets_max.saturating_sub(self.ready_octets + self.held_octets + self.waiting_octets)
    }

    pub(super) fn has_gaps(&self) -> bool {
        self.waiting_packets > 0
    }

    /// Whether the last packet of the other side and all before it arrived.
    pub(super) fn is_finished(&self) -> bool {
        self.fin == Some(self.ack_nr)
    }

    /// A packet arrived; `fin` says that it is the last one.
    pub(super) fn insert(&mut self, seq_nr: Seq, payload: Bytes, fin: bool) -> Arrival {
        if !seq_nr.is_after(self.ack_nr) {
            return Arrival::Duplicate;
        }
        let place = usize::from(seq_nr.since(self.ack_nr) - 1);
        let beyond_fin = self.fin.is_some_and(|last| seq_nr.is_after(last) || (fin && seq_nr != last));
        // What waits must not keep out the packet it waits for.
        let room = self.window_octets() + if place == 0 { self.waiting_octets } else { 0 };
        if beyond_fin || place > usize::from(WAITING_PACKETS_MAX) || payload.len() > room {
            return Arrival::Refused;
        }
        if fin {
            // What waits beyond it would never be read.
            if self.waiting.iter().skip(place + 1).any(Option::is_some) {
                return Arrival::Refused;
            }
            self.fin = Some(seq_nr);
        }
        if place == 0 {
            self.accept(payload);
            self.waiting.pop_front();
            while let Some(Some(payload)) = self.waiting.front_mut().map(Option::take) {
                self.waiting.pop_front();
                self.waiting_packets -= 1;
                self.waiting_octets -= payload.len();
                self.accept(payload);
            }
            return Arrival::InOrder;
        }
        if self.waiting.len() <= place {
            self.waiting.resize(place + 1, None);
        }
        match self.waiting.get_mut(place) {
            Some(free @ None) => {
                self.waiting_packets += 1;
                self.waiting_octets += payload.len();
                // It may wait for long, and must not keep more than itself.
                let is_part = payload.len() < COPIED_OCTETS_MAX;
                *free = Some(if is_part { Bytes::copy_from_slice(&payload) } else { payload });
                Arrival::OutOfOrder
            }
            _ => Arrival::Duplicate,
        }
    }

    fn accept(&mut self, payload: Bytes) {
        self.ack_nr = self.ack_nr.next();
        if !payload.is_empty() {
            self.ready_octets += payload.len();
            self.ready.push_back(payload);
        }
    }

    /// The next octets in order; they count against the window until released.
    pub(super) fn read(&mut self) -> Option<Bytes> {
        let octets = self.ready.pop_front()?;
        self.ready_octets -= octets.len();
        self.held_octets += octets.len();
        Some(octets)
    }

    /// The reader is done with so many octets.
    pub(super) fn release(&mut self, octets: usize) {
        self.held_octets = self.held_octets.saturating_sub(octets);
    }

    pub(super) fn has_octets(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The bit mask of a selective ack into `bits`, whole words, the first bit
    /// for `ack_nr + 2` (BEP 29); empty without gaps.
    pub(super) fn selective_ack(&self, bits: &mut Vec<u8>) {
        bits.clear();
        if !self.has_gaps() {
            return;
        }
        for (at, waits) in self.waiting.iter().skip(1).enumerate() {
            if at % 8 == 0 {
                bits.push(0);
            }
            if let Some(octet) = bits.last_mut() {
                *octet |= u8::from(waits.is_some()) << (at % 8);
            }
        }
        bits.resize(bits.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn buffer(ack_nr: u16, octets_max: usize) -> ReceiveBuffer {
        ReceiveBuffer::new(Seq(ack_nr), octets_max)
    }

    fn read_all(buffer: &mut ReceiveBuffer) -> Vec<u8> {
        let mut got = Vec::new();
        while let Some(octets) = buffer.read() {
            got.extend_from_slice(&octets);
            buffer.release(octets.len());
        }
        got
    }

    proptest! {
        /// Whatever the order, and however often each comes: the octets come out
        /// once and in order, and the mask agrees with a naive set.
        #[test]
        fn any_order_gives_the_same_octets(
            first: u16, order in proptest::collection::vec(0u16..60, 1..400)
        ) {
            let mut buffer = buffer(first, 1_000_000);
            let (mut seen, mut got) = (std::collections::BTreeSet::new(), Vec::new());
            for number in order {
                let payload = Bytes::from(vec![number as u8; 3]);
                let new = seen.insert(number);
                let arrival = buffer.insert(Seq(first).plus(1 + number), payload, false);
                prop_assert_eq!(new, matches!(arrival, Arrival::InOrder | Arrival::OutOfOrder));
                got.extend(read_all(&mut buffer));
                let in_order = (0..60).take_while(|number| seen.contains(number)).count();
                prop_assert_eq!(buffer.ack_nr(), Seq(first).plus(in_order as u16));
                let mut bits = Vec::new();
                buffer.selective_ack(&mut bits);
                prop_assert_eq!(bits.len() % 4, 0);
                for (at, bit) in bits.iter().flat_map(|octet| (0..8).map(move |bit| octet >> bit & 1 == 1)).enumerate() {
                    prop_assert_eq!(bit, seen.contains(&((in_order + 1 + at) as u16)));
                }
                let expected: Vec<u8> = (0..in_order as u16).flat_map(|number| [number as u8; 3]).collect();
                prop_assert_eq!(&got, &expected);
                prop_assert_eq!(buffer.window_octets(), 1_000_000 - 3 * (seen.len() - in_order));
            }
        }
    }

    #[test]
    fn room_is_bounded_in_octets_and_in_packets() {
        let mut buffer = buffer(u16::MAX, 100);
        assert_eq!(buffer.insert(Seq(1), Bytes::from(vec![1; 60]), false), Arrival::OutOfOrder);
        assert_eq!(buffer.insert(Seq(2), Bytes::from(vec![0; 41]), false), Arrival::Refused);
        assert_eq!(buffer.insert(Seq(0), Bytes::from(vec![0; 101]), false), Arrival::Refused);
        assert_eq!(buffer.insert(Seq(WAITING_PACKETS_MAX + 1), Bytes::new(), false), Arrival::Refused);
        assert_eq!(buffer.insert(Seq(WAITING_PACKETS_MAX), Bytes::new(), false), Arrival::OutOfOrder);
        assert_eq!(buffer.insert(Seq(40_000), Bytes::new(), false), Arrival::Duplicate);
        let mut bits = Vec::new();
        buffer.selective_ack(&mut bits);
        assert!(bits.len() <= super::super::packet::SELECTIVE_ACK_OCTETS_MAX, "{}", bits.len());
        assert_eq!(buffer.insert(Seq(0), Bytes::from(vec![0; 80]), false), Arrival::InOrder);
        assert_eq!(buffer.window_octets(), 0, "140 octets where 100 were promised");
        // Taken and not released still counts.
        while buffer.read().is_some() {}
        assert_eq!(buffer.window_octets(), 0);
        buffer.release(140);
        assert_eq!(buffer.window_octets(), 100);
    }

    #[test]
    fn nothing_comes_after_the_last_packet() {
        let mut buffer = buffer(0, 100);
        assert_eq!(buffer.insert(Seq(2), Bytes::new(), true), Arrival::OutOfOrder);
        assert!(!buffer.is_finished());
        assert_eq!(buffer.insert(Seq(3), Bytes::from_static(b"x"), false), Arrival::Refused);
        assert_eq!(buffer.insert(Seq(1), Bytes::from_static(b"x"), true), Arrival::Refused);
        assert_eq!(buffer.insert(Seq(1), Bytes::from_static(b"x"), false), Arrival::InOrder);
        assert!(buffer.is_finished());
        let mut other = ReceiveBuffer::new(Seq(0), 100);
        assert_eq!(other.insert(Seq(5), Bytes::from_static(b"x"), false), Arrival::OutOfOrder);
        assert_eq!(other.insert(Seq(3), Bytes::new(), true), Arrival::Refused);
    }
}
