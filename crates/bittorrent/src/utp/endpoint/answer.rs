//! Packets that belong to no connection: answers to SYN, and resets.

use super::HalfOpen;
use crate::utp::connection::Path;
use crate::utp::packet::{Extensions, Header, Kind};
use crate::utp::sequence::Seq;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Answers that wait to be sent; further ones are left out, as if lost.
const WAITING_MAX: usize = 256;
/// Resets sent in one second: a flood is not answered with a flood.
const RESETS_PER_SECOND_MAX: u32 = 100;

#[derive(Debug)]
struct Answer {
    path: Path,
    header: Header,
    datagram_octets_max: Option<u16>,
}

#[derive(Debug)]
pub(super) struct Answers {
    waiting: VecDeque<Answer>,
    second_began: Instant,
    resets: u32,
}

impl Answers {
    pub(super) fn new(now: Instant) -> Self {
        Self { waiting: VecDeque::new(), second_began: now, resets: 0 }
    }

    /// Answers a SYN: State, with the number of our first packet.
    pub(super) fn syn(
        &mut self,
        entry: HalfOpen,
        connection_id: u16,
        delay: u32,
        window_octets: usize,
        datagram_octets_max: Option<u16>,
    ) {
        let header = Header {
            kind: Kind::State,
            connection_id,
            timestamp_microseconds: 0,
            timestamp_difference_microseconds: delay,
            window_octets: u32::try_from(window_octets).unwrap_or(u32::MAX),
            seq_nr: entry.first,
            ack_nr: entry.ack_nr,
        };
        self.wait(Answer { path: entry.path, header, datagram_octets_max });
    }

    /// Answers a packet of a connection that nobody knows.
    pub(super) fn reset(&mut self, now: Instant, path: Path, to: &Header) {
        if now.saturating_duration_since(self.second_began) >= Duration::from_secs(1) {
            (self.second_began, self.resets) = (now, 0);
        }
        if self.resets < RESETS_PER_SECOND_MAX {
            self.resets += 1;
            self.push(path, reset(to.connection_id, Seq(0), to.seq_nr));
        }
    }

    pub(super) fn push(&mut self, path: Path, header: Header) {
        self.wait(Answer { path, header, datagram_octets_max: None });
    }

    fn wait(&mut self, answer: Answer) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(answer);
        }
    }

    /// Writes the next one.
    pub(super) fn poll_transmit(&mut self, microseconds: u32, out: &mut Vec<u8>) -> Option<Path> {
        let Answer { path, mut header, datagram_octets_max } = self.waiting.pop_front()?;
        header.timestamp_microseconds = microseconds;
        header.write(Extensions { selective_ack: &[], datagram_octets_max }, out);
        Some(path)
    }
}

/// A reset.
pub(in crate::utp) fn reset(connection_id: u16, seq_nr: Seq, ack_nr: Seq) -> Header {
    Header {
        kind: Kind::Reset,
        connection_id,
        timestamp_microseconds: 0,
        timestamp_difference_microseconds: 0,
        window_octets: 0,
        seq_nr,
        ack_nr,
    }
}
