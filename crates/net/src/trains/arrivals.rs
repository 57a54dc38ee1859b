//! Datagrams that arrived, each in the buffer it was received into.

use crate::Datagrams;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Buffers received into by one system call.
pub(super) const BUFFERS: usize = 16;
/// The size of each: a whole train.
pub(super) const BUFFER_OCTETS: usize = 1 << 16;
/// What fills less of its buffer is moved to one of its own size, so that a
/// small datagram that somebody keeps does not keep 64 KiB.
const HANDED_OUT_MIN: usize = BUFFER_OCTETS / 4;
/// Buffers remembered to be used again once their readers are done.
const LENT_MAX: usize = 64;
/// How many of those are looked at for one that is free.
const LOOKS_MAX: usize = 4;

/// Datagrams of one sender that arrived together.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// What they carry, in order.
    pub octets: Bytes,
    /// How large each of them is but the last.
    pub datagram_octets: usize,
    /// Who sent them.
    pub peer: SocketAddr,
    /// Our address they were sent to, where the socket is bound to all of them.
    pub local: Option<IpAddr>,
    /// Whether the last one was longer than its buffer and lost its end.
    pub truncated: bool,
}

impl Arrival {
    /// Each datagram; shares the buffer.
    pub fn datagrams(&self) -> impl Iterator<Item = Bytes> + '_ {
        let size = self.datagram_octets.max(1);
        (0..self.octets.len()).step_by(size).map(move |start| {
            let end = (start + size).min(self.octets.len());
            self.octets.slice(start..end)
        })
    }
}

/// What was received at once, and the buffers for it.
#[derive(Debug)]
pub struct Arrivals {
    pub(super) buffers: Vec<BytesMut>,
    lent: VecDeque<Bytes>,
    arrived: Vec<Arrival>,
}

impl Default for Arrivals {
    fn default() -> Self {
        let buffers = (0..BUFFERS).map(|_| BytesMut::zeroed(BUFFER_OCTETS)).collect();
        Self { buffers, lent: VecDeque::new(), arrived: Vec::new() }
    }
}

impl Arrivals {
    /// Takes what arrived.
    pub fn drain(&mut self) -> impl Iterator<Item = Arrival> + '_ {
        self.arrived.drain(..)
    }

    /// Takes the first octets of a buffer, and puts another one in its place.
    pub(super) fn take(&mut self, index: usize, octets: usize) -> Bytes {
        let Some(buffer) = self.buffers.get_mut(index) else { return Bytes::new() };
        let octets = octets.min(buffer.len());
        if octets < HANDED_OUT_MIN {
            return Bytes::copy_from_slice(buffer.get(..octets).unwrap_or_default());
        }
        let whole = std::mem::take(buffer).freeze();
        let taken = whole.slice(..octets);
        let fresh = self.fresh();
        if let Some(buffer) = self.buffers.get_mut(index) {
            *buffer = fresh;
        }
        if self.lent.len() < LENT_MAX {
            self.lent.push_back(whole);
        }
        taken
    }

    /// A buffer whose readers are done, or a new one.
    fn fresh(&mut self) -> BytesMut {
        for _ in 0..LOOKS_MAX.min(self.lent.len()) {
            let Some(oldest) = self.lent.pop_front() else { break };
            match oldest.try_into_mut() {
                Ok(buffer) => return buffer,
                Err(busy) => self.lent.push_back(busy),
            }
        }
        BytesMut::zeroed(BUFFER_OCTETS)
    }

    pub(super) fn push(&mut self, arrival: Arrival) {
        self.arrived.push(arrival);
    }

    /// Takes one datagram the longer way.
    pub(super) async fn take_one(&mut self, datagrams: &Datagrams, bound: SocketAddr) -> io::Result<()> {
        let Some(buffer) = self.buffers.first_mut() else { return Ok(()) };
        let received = datagrams.receive(buffer).await?;
        let octets = self.take(0, received.octets);
        self.push(Arrival {
            datagram_octets: octets.len(),
            octets,
            peer: received.peer,
            local: bound.ip().is_unspecified().then(|| received.local.ip()),
            truncated: received.truncated,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_and_those_remembered_are_bounded() {
        let mut arrivals = Arrivals::default();
        let first = arrivals.buffers[0].as_ptr();
        drop(arrivals.take(0, BUFFER_OCTETS));
        drop(arrivals.take(1, BUFFER_OCTETS));
        assert_eq!(arrivals.buffers[1].as_ptr(), first);
        let kept: Vec<_> = (0..200).map(|_| arrivals.take(0, HANDED_OUT_MIN)).collect();
        assert_eq!(arrivals.lent.len(), LENT_MAX);
        assert!(kept.iter().all(|octets| octets.len() == HANDED_OUT_MIN));
        // A small one leaves its buffer where it is.
        let place = arrivals.buffers[0].as_ptr();
        assert_eq!(arrivals.take(0, 100).len(), 100);
        assert_eq!(arrivals.buffers[0].as_ptr(), place);
    }
}
