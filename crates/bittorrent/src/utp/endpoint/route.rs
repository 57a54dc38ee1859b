//! Who gets a packet.

use super::{Endpoint, HalfOpen};
use crate::utp::connection::{Connection, Path};
use crate::utp::endpoint::ConnectionId;
use crate::utp::packet::{Kind, Packet, PacketError};
use crate::utp::sequence::Seq;
use bytes::Bytes;
use rand_core::Rng;
use std::net::SocketAddr;
use std::time::Instant;

impl<R: Rng> Endpoint<R> {
    /// A datagram arrived. One that belongs to no connection is answered with a
    /// reset, at a bounded rate.
    ///
    /// # Errors
    /// When it is no packet of uTP.
    pub fn handle_packet(&mut self, now: Instant, path: Path, octets: &Bytes) -> Result<(), PacketError> {
        let packet = Packet::parse(octets)?;
        let id = packet.header.connection_id;
        let number = match packet.header.kind {
            Kind::Syn => id.wrapping_add(1),
            _ => id,
        };
        let mut found = self.numbers.get(&(path.peer, number)).copied();
        if found.is_none() {
            found = match packet.header.kind {
                Kind::Syn => {
                    self.handle_syn(now, path, &packet);
                    return Ok(());
                }
                Kind::Reset => self.reset_of(path.peer, id),
                _ => self.confirmed(now, path.peer, &packet),
            };
        }
        match found.and_then(|found| Some((found, self.slots.get_mut(&found)?))) {
            Some((found, slot)) => {
                slot.connection.handle_packet(now, &packet, octets);
                self.touched(found);
            }
            None if packet.header.kind != Kind::Reset => self.answers.reset(now, path, &packet.header),
            None => {}
        }
        Ok(())
    }

    fn handle_syn(&mut self, now: Instant, path: Path, packet: &Packet<'_>) {
        let asked = HalfOpen {
            path,
            ack_nr: packet.header.seq_nr,
            first: Seq(self.rng.next_u32() as u16),
            window_octets: packet.header.window_octets as usize,
            datagram_octets_max: packet.datagram_octets_max,
            at: now,
        };
        let id = packet.header.connection_id;
        if let Some(entry) = self.half_open.answer(id.wrapping_add(1), asked) {
            let delay = self.clock.microseconds(now).wrapping_sub(packet.header.timestamp_microseconds);
            let ours = entry.datagram_octets_max.map(|_| self.config.datagram_octets_max);
            self.answers.syn(entry, id, delay, self.config.receive_octets_max, ours);
        }
    }

    /// Others send a reset to the number they know, or to the one we sent to.
    fn reset_of(&self, peer: SocketAddr, id: u16) -> Option<ConnectionId> {
        let near = [id.wrapping_sub(1), id.wrapping_add(1)];
        near.into_iter().find_map(|number| self.numbers.get(&(peer, number)).copied())
    }

    fn confirmed(&mut self, now: Instant, peer: SocketAddr, packet: &Packet<'_>) -> Option<ConnectionId> {
        let number = packet.header.connection_id;
        if self.slots.len() >= self.config.connections_max {
            return None;
        }
        let entry = self.half_open.confirm(now, (peer, number), packet.header.ack_nr)?;
        let opening = self.opening(entry.path, number.wrapping_sub(1), number, entry.first);
        let mut connection = Connection::accepted(now, opening, entry.ack_nr, entry.window_octets);
        if let Some(octets) = entry.datagram_octets_max {
            connection.set_peer_octets_max(octets);
        }
        Some(self.insert(connection, true))
    }
}
