//! The memory that blocks are received into: so many buffers and no more, used
//! again and again.

use bittorrent::wire::BLOCK_OCTETS;
use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Waker};

/// Octets of one buffer: a block.
const BUFFER_OCTETS: usize = BLOCK_OCTETS as usize;

/// The share of all buffers that may wait for the disk in several jobs: more
/// would only lie there and grow cold.
const AT_DISK_SHARE: usize = 2;

/// All buffers of an engine. Clones speak of the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Buffers(Rc<RefCell<Pool>>);

#[derive(Debug)]
struct Pool {
    free: Vec<Vec<u8>>,
    /// Buffers that are with somebody.
    out: usize,
    /// Those of them that are being hashed or written, or wait for that.
    at_disk: usize,
    /// In so many jobs.
    jobs: usize,
    buffers_max: usize,
    /// Who waits for one.
    waiting: Vec<Waker>,
}

impl Buffers {
    /// At most `octets_max` in all, but two buffers at least.
    pub(crate) fn new(octets_max: usize) -> Self {
        let buffers_max = (octets_max / BUFFER_OCTETS).max(2);
        let waiting = Vec::new();
        let pool = Pool { free: Vec::new(), out: 0, at_disk: 0, jobs: 0, buffers_max, waiting };
        Self(Rc::new(RefCell::new(pool)))
    }

    /// A buffer of one block's octets; without one, the task is woken when one
    /// comes back. While the disk is behind there is none.
    pub(crate) fn take(&self, cx: &Context<'_>) -> Option<Vec<u8>> {
        let mut pool = self.0.borrow_mut();
        if pool.out >= pool.buffers_max || pool.disk_is_behind() {
            pool.waiting.push(cx.waker().clone());
            return None;
        }
        Some(pool.take())
    }

    /// Up to `count` buffers for blocks that may come, while there are many.
    pub(crate) fn take_unused(&self, count: usize) -> Vec<Vec<u8>> {
        let mut pool = self.0.borrow_mut();
        let plenty = 2 * (pool.out + count) <= pool.buffers_max && !pool.disk_is_behind();
        (0..if plenty { count } else { 0 }).map(|_| pool.take()).collect()
    }

    /// Gives back what was taken a moment ago and was not used: nobody missed it
    /// meanwhile.
    pub(crate) fn put_unused(&self, buffers: impl IntoIterator<Item = Vec<u8>>) {
        self.0.borrow_mut().put(buffers);
    }

    /// So many buffers go to the disk, in one job.
    pub(crate) fn go_to_disk(&self, count: usize) {
        let mut pool = self.0.borrow_mut();
        pool.at_disk += count;
        pool.jobs += 1;
    }

    /// A job is done: gives its buffers back.
    pub(crate) fn put_from_disk(&self, buffers: Vec<Vec<u8>>) {
        {
            let mut pool = self.0.borrow_mut();
            pool.at_disk = pool.at_disk.saturating_sub(buffers.len());
            pool.jobs = pool.jobs.saturating_sub(1);
        }
        self.put(buffers);
    }

    /// Gives buffers back.
    pub(crate) fn put(&self, buffers: impl IntoIterator<Item = Vec<u8>>) {
        let mut pool = self.0.borrow_mut();
        pool.put(buffers);
        if !pool.disk_is_behind() {
            for waker in std::mem::take(&mut pool.waiting) {
                waker.wake();
            }
        }
    }

    /// Whether blocks of pieces that are not whole should go to the disk: few
    /// buffers are left, and none of those are on their way there.
    pub(crate) fn are_scarce(&self) -> bool {
        let pool = self.0.borrow();
        pool.out.saturating_sub(pool.at_disk) * 4 >= pool.buffers_max * 3
    }
}

impl Pool {
    /// One job, however large, is what the disk works at.
    fn disk_is_behind(&self) -> bool {
        self.jobs > 1 && self.at_disk * AT_DISK_SHARE >= self.buffers_max
    }

    fn take(&mut self) -> Vec<u8> {
        self.out += 1;
        let mut buffer = self.free.pop().unwrap_or_default();
        buffer.resize(BUFFER_OCTETS, 0);
        buffer
    }

    fn put(&mut self, buffers: impl IntoIterator<Item = Vec<u8>>) {
        for buffer in buffers {
            self.out = self.out.saturating_sub(1);
            self.free.push(buffer);
        }
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

    #[test]
    fn while_the_disk_is_behind_nothing_more_is_received() {
        let buffers = Buffers::new(40 * BUFFER_OCTETS);
        let cx = Context::from_waker(Waker::noop());
        let job = |count: usize| {
            let taken: Vec<_> = (0..count).map(|_| buffers.take(&cx).expect("a buffer")).collect();
            buffers.go_to_disk(count);
            taken
        };
        // A single job may be large.
        let (first, second) = (job(30), job(1));
        assert!(buffers.take(&cx).is_none() && buffers.take_unused(1).is_empty());
        assert!(!buffers.are_scarce(), "they come back by themselves");
        buffers.put_from_disk(first);
        assert_eq!(buffers.take_unused(7).len(), 7);
        assert!(buffers.take_unused(13).is_empty(), "half is left to those who know what comes");
        buffers.put_from_disk(second);
    }
}
