//! The longer way of a batch, through the layers of its network.

use super::DatagramBatch;
use crate::delay::DelayQueue;
use crate::layer::Layers;
use crate::message;
use crate::{Direction, Passing};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Datagrams between the batch and the wire.
#[derive(Debug)]
pub(super) struct Layered {
    layers: Layers,
    incoming: DelayQueue<Parcel>,
    outgoing: DelayQueue<Parcel>,
}

#[derive(Debug)]
struct Parcel {
    octets: Box<[u8]>,
    local: SocketAddr,
    peer: SocketAddr,
    truncated: bool,
}

impl Layered {
    pub(super) fn new(layers: Layers) -> Self {
        Self { layers, incoming: DelayQueue::default(), outgoing: DelayQueue::default() }
    }

    pub(super) fn layers(&self) -> &Layers {
        &self.layers
    }

    /// How long to wait for the wire at most: until the next held datagram is due.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let due = [self.incoming.next_due(), self.outgoing.next_due()].into_iter().flatten().min();
        due.map_or(Duration::MAX, |due| due.saturating_duration_since(now))
    }
}

impl DatagramBatch {
    /// Takes what came over the wire through the layers and puts what is due
    /// into the buffers.
    pub(super) fn receive_layered(&mut self) -> io::Result<usize> {
        self.send_due();
        let count = self.receive_wire()?;
        let now = Instant::now();
        let Some(mut layered) = self.layered.take() else { return Ok(0) };
        self.count = count;
        for datagram in self.datagrams() {
            let passing = Passing {
                at: now,
                direction: Direction::Incoming,
                from: datagram.peer(),
                to: datagram.local(),
                octets: datagram.octets,
            };
            if let Some(due) = layered.layers.pass(passing) {
                let parcel = Parcel {
                    octets: datagram.octets.into(),
                    local: datagram.local(),
                    peer: datagram.peer(),
                    truncated: datagram.truncated,
                };
                layered.incoming.push(due, parcel);
            }
        }
        self.count = 0;
        while self.count < self.headers.len()
            && let Some(parcel) = layered.incoming.pop_due(now)
        {
            self.put(&parcel);
        }
        self.layered = Some(layered);
        self.send_due();
        Ok(self.count)
    }

    /// Sends replies through the layers; those that may leave now stay in
    /// their buffers.
    pub(super) fn send_layered(&mut self) {
        let Some(mut layered) = self.layered.take() else { return };
        let now = Instant::now();
        for index in 0..self.count {
            let length = self.replies.lengths[index];
            if length == 0 {
                continue;
            }
            let (local, peer) = (self.locals[index], self.datagram(index).peer());
            let start = index * self.replies.stride;
            let octets = &self.replies.memory[start..start + length];
            let passing = Passing { at: now, direction: Direction::Outgoing, from: local, to: peer, octets };
            match layered.layers.pass(passing) {
                Some(due) if due <= now => continue,
                Some(due) => {
                    let parcel = Parcel { octets: octets.into(), local, peer, truncated: false };
                    layered.outgoing.push(due, parcel);
                }
                None => {}
            }
            self.replies.lengths[index] = 0;
        }
        self.layered = Some(layered);
    }

    fn send_due(&mut self) {
        let now = Instant::now();
        let Some(layered) = &mut self.layered else { return };
        while let Some(parcel) = layered.outgoing.pop_due(now) {
            let source = parcel.local.ip();
            // Lost on a wire: nobody is told there either.
            if self.tells_destination && !source.is_unspecified() {
                message::send(self.socket.as_fd(), &parcel.octets, source, parcel.peer).ok();
            } else {
                self.socket.send_to(&parcel.octets, parcel.peer).ok();
            }
        }
    }

    /// Puts a datagram into the next buffer.
    fn put(&mut self, parcel: &Parcel) {
        let index = self.count;
        let start = index * self.incoming.stride;
        let length = parcel.octets.len().min(self.incoming.size);
        self.incoming.memory[start..start + length].copy_from_slice(&parcel.octets[..length]);
        self.incoming.lengths[index] = length;
        message::write_address(parcel.peer, &mut self.peers[index]);
        self.locals[index] = parcel.local;
        self.truncated[index] = parcel.truncated;
        self.count += 1;
    }
}
