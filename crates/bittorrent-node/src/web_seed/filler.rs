//! Octets one after the other become blocks.

use super::Desk;
use crate::swarm::{Buffers, Swarm};
use bittorrent::torrent::Octets;
use bittorrent::wire::Block;
use std::task::Poll;
use std::time::Instant;

/// Puts octets into the buffers of blocks, in the blocks' order, and hands over
/// each that is whole.
pub(super) struct Filler<'a> {
    swarm: &'a Swarm,
    desk: &'a Desk,
    blocks: &'a [Octets],
    /// Which block is next, and how much of it came.
    at: usize,
    filled: usize,
    buffer: Lent,
}

/// A buffer that goes back where it came from, whatever happens.
struct Lent {
    buffers: Buffers,
    buffer: Option<Vec<u8>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.buffers.put(self.buffer.take());
    }
}

impl<'a> Filler<'a> {
    pub(super) fn new(swarm: &'a Swarm, desk: &'a Desk, blocks: &'a [Octets]) -> Self {
        let buffer = Lent { buffers: swarm.context().buffers.clone(), buffer: None };
        Self { swarm, desk, blocks, at: 0, filled: 0, buffer }
    }

    /// Whether any block that is not here is still wanted.
    pub(super) fn is_wanted(&self) -> bool {
        self.desk.wants_any(self.blocks.get(self.at..).unwrap_or_default())
    }

    /// The next octets came.
    pub(super) async fn fill(&mut self, mut octets: &[u8]) {
        while let Some(block) = self.blocks.get(self.at).copied()
            && !octets.is_empty()
        {
            let length = block.octets as usize;
            if self.filled == 0 && self.desk.wants_any(&[block]) {
                let buffers = &self.buffer.buffers;
                let buffer = std::future::poll_fn(|cx| match buffers.take(cx) {
                    Some(buffer) => Poll::Ready(buffer),
                    None => Poll::Pending,
                });
                self.buffer.buffer = Some(buffer.await);
            }
            let here = octets.len().min(length - self.filled);
            let Some((now, rest)) = octets.split_at_checked(here) else { return };
            let place = self.buffer.buffer.as_mut();
            if let Some(place) = place.and_then(|buffer| buffer.get_mut(self.filled..self.filled + here)) {
                place.copy_from_slice(now);
            }
            octets = rest;
            self.filled += here;
            if self.filled == length {
                self.hand_over(block);
            }
        }
    }

    /// So many zeros.
    pub(super) async fn zeros(&mut self, mut count: u64) {
        const ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];
        while count > 0 {
            let here = count.min(ZEROS.len() as u64);
            self.fill(ZEROS.get(..here as usize).unwrap_or_default()).await;
            count -= here;
        }
    }

    fn hand_over(&mut self, block: Octets) {
        self.at += 1;
        self.filled = 0;
        // What was cancelled meanwhile is dropped.
        let wanted = self.desk.arrive(block);
        if let Some(mut buffer) = self.buffer.buffer.take_if(|_| wanted) {
            buffer.truncate(block.octets as usize);
            let block = Block { piece: block.piece, begin: block.begin, length: block.octets };
            self.swarm.handle_block(Instant::now(), self.desk.key, block, buffer);
        } else {
            self.buffer.buffers.put(self.buffer.buffer.take());
        }
    }
}
