//! Connections that others asked for and did not confirm yet. A SYN proves
//! nothing about its sender, so it costs an entry here and no more.

use crate::utp::connection::Path;
use crate::utp::sequence::Seq;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long an entry waits for its sender.
const PATIENCE: Duration = Duration::from_secs(20);

/// One SYN that was answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct HalfOpen {
    pub(super) path: Path,
    /// The number of the SYN.
    pub(super) ack_nr: Seq,
    /// The number of our first packet, which nobody else knows.
    pub(super) first: Seq,
    pub(super) window_octets: usize,
    pub(super) datagram_octets_max: Option<u16>,
    pub(super) at: Instant,
}

/// All of them, at most `entries_max`; the oldest makes room.
#[derive(Debug)]
pub(super) struct HalfOpens {
    entries_max: usize,
    entries: HashMap<(SocketAddr, u16), (u64, HalfOpen)>,
    order: BTreeMap<u64, (SocketAddr, u16)>,
    number: u64,
}

impl HalfOpens {
    pub(super) fn new(entries_max: usize) -> Self {
        Self { entries_max, entries: HashMap::new(), order: BTreeMap::new(), number: 0 }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.entries.len(), self.order.len());
        self.entries.len()
    }

    /// What the SYN that asked for our number `receive_id` was answered, now or
    /// before.
    pub(super) fn answer(&mut self, receive_id: u16, asked: HalfOpen) -> Option<HalfOpen> {
        if self.entries_max == 0 {
            return None;
        }
        let key = (asked.path.peer, receive_id);
        if let Some((_, known)) = self.entries.get(&key)
            && known.ack_nr == asked.ack_nr
        {
            return Some(*known);
        }
        self.remove(key);
        while self.entries.len() >= self.entries_max {
            let oldest = self.order.first_key_value().map(|(_, key)| *key)?;
            self.remove(oldest);
        }
        self.number += 1;
        self.order.insert(self.number, key);
        self.entries.insert(key, (self.number, asked));
        Some(asked)
    }

    /// Somebody knows the number we chose: the connection begins.
    pub(super) fn confirm(&mut self, now: Instant, key: (SocketAddr, u16), ack_nr: Seq) -> Option<HalfOpen> {
        let (_, entry) = self.entries.get(&key)?;
        if ack_nr != entry.first.previous() {
            return None;
        }
        let entry = self.remove(key)?;
        (now.saturating_duration_since(entry.at) < PATIENCE).then_some(entry)
    }

    pub(super) fn remove(&mut self, key: (SocketAddr, u16)) -> Option<HalfOpen> {
        let (number, entry) = self.entries.remove(&key)?;
        self.order.remove(&number);
        Some(entry)
    }
}
