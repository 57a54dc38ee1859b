//! What the owner of a connection does with it.

use super::{ConnectionId, Endpoint, Measured};
use bytes::Bytes;
use rand_core::Rng;
use std::time::Instant;

impl<R: Rng> Endpoint<R> {
    /// Writes as much as fits; returns the rest. All of it where there is no
    /// such connection, or none that takes any.
    pub fn write(&mut self, id: ConnectionId, octets: Bytes) -> Bytes {
        let Some(slot) = self.slots.get_mut(&id) else { return octets };
        let rest = slot.connection.write(octets);
        self.touched(id);
        rest
    }

    /// Octets a connection would take now.
    pub fn free_octets(&self, id: ConnectionId) -> usize {
        self.slots.get(&id).map_or(0, |slot| slot.connection.send_free_octets())
    }

    /// No more octets will be written.
    pub fn finish(&mut self, id: ConnectionId) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.connection.finish();
            self.touched(id);
        }
    }

    /// The reader used so many of the octets that it was handed.
    pub fn release(&mut self, id: ConnectionId, octets: usize) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.connection.release(octets);
            self.touched(id);
        }
    }

    /// Nobody reads any more: what was written is still sent, then the
    /// connection ends.
    pub fn abandon(&mut self, now: Instant, id: ConnectionId) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.connection.abandon(now);
            self.touched(id);
        }
    }

    /// Ends a connection at once; the other side is told.
    pub fn reset(&mut self, id: ConnectionId) {
        if let Some(slot) = self.slots.get(&id) {
            let (path, header) = slot.connection.reset_header();
            self.answers.push(path, header);
            self.forget(id);
        }
    }

    /// The way to the other side may carry datagrams of `octets` (UDP payload).
    /// Without this, what an Ethernet frame holds.
    pub fn set_path_octets_max(&mut self, id: ConnectionId, octets: usize) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.connection.set_path_octets_max(octets);
            self.touched(id);
        }
    }

    /// How a connection does.
    pub fn measured(&self, id: ConnectionId) -> Option<Measured> {
        let connection = &self.slots.get(&id)?.connection;
        Some(Measured {
            round_trip: connection.round_trip(),
            queueing: connection.queueing(),
            window_octets: connection.window_octets(),
            datagram_octets: connection.datagram_octets(),
        })
    }
}
