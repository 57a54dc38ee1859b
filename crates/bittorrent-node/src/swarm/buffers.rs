//! The memory that blocks are received into: so many buffers and no more, used
//! again and again.

use bittorrent::wire::BLOCK_OCTETS;
use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Waker};

/// Octets of one buffer: a block.
const BUFFER_OCTETS: usize = BLOCK_OCTETS as usize;

/// All buffers of an engine. Clones speak of the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Buffers(Rc<RefCell<Pool>>);

#[derive(Debug)]
struct Pool {
    free: Vec<Vec<u8>>,
    /// Buffers that are with somebody.
    out: usize,
    buffers_max: usize,
    /// Who waits for one.
    waiting: Vec<Waker>,
}

impl Buffers {
    /// At most `octets_max` in all, but two buffers at least.
    pub(crate) fn new(octets_max: usize) -> Self {
        let buffers_max = (octets_max / BUFFER_OCTETS).max(2);
        Self(Rc::new(RefCell::new(Pool { free: Vec::new(), out: 0, buffers_max, waiting: Vec::new() })))
    }

    /// A buffer of one block's octets; without one, the task is woken when one
    /// comes back.
    pub(crate) fn take(&self, cx: &Context<'_>) -> Option<Vec<u8>> {
        let mut pool = self.0.borrow_mut();
        if pool.out >= pool.buffers_max {
            pool.waiting.push(cx.waker().clone());
            return None;
        }
        pool.out += 1;
        let mut buffer = pool.free.pop().unwrap_or_default();
        buffer.resize(BUFFER_OCTETS, 0);
        Some(buffer)
    }

    /// Gives buffers back.
    pub(crate) fn put(&self, buffers: impl IntoIterator<Item = Vec<u8>>) {
        let mut pool = self.0.borrow_mut();
        for buffer in buffers {
            pool.out = pool.out.saturating_sub(1);
            pool.free.push(buffer);
        }
        for waker in std::mem::take(&mut pool.waiting) {
            waker.wake();
        }
    }

    /// Whether few are left, so that blocks should go to the disk.
    pub(crate) fn are_scarce(&self) -> bool {
        let pool = self.0.borrow();
        pool.out * 4 >= pool.buffers_max * 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_and_no_more() {
        let buffers = Buffers::new(5 * BUFFER_OCTETS);
        let cx = Context::from_waker(Waker::noop());
        let mut taken: Vec<_> = (0..5).map(|_| buffers.take(&cx).expect("a buffer")).collect();
        assert!(buffers.take(&cx).is_none() && buffers.are_scarce());
        taken[0].truncate(3);
        buffers.put(taken.drain(..2));
        assert!(!buffers.are_scarce());
        assert_eq!(buffers.take(&cx).expect("a buffer").len(), BUFFER_OCTETS);
    }
}
