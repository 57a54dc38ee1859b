//! How much one stream may write before the task that owns its connection took
//! it: counters that both sides see, and the waker of the one that waits.

use bittorrent::utp::CloseReason;
use futures_util::task::AtomicWaker;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// Pieces on their way to the task at once: many tiny writes must not fill the
/// memory.
const PIECES_MAX: usize = 256;

const OPEN: u8 = 0;
const FINISHED: u8 = 1;
const RESET: u8 = 2;
const TIMED_OUT: u8 = 3;

/// Shared by a stream and the task that owns its connection.
#[derive(Debug)]
pub(super) struct Credit {
    /// Octets that may be written.
    octets: AtomicUsize,
    pieces: AtomicUsize,
    writer: AtomicWaker,
    closed: AtomicU8,
}

impl Credit {
    pub(super) fn new(octets: usize) -> Self {
        Self {
            octets: AtomicUsize::new(octets),
            pieces: AtomicUsize::new(PIECES_MAX),
            writer: AtomicWaker::new(),
            closed: AtomicU8::new(OPEN),
        }
    }

    /// How much may be written now, above zero; waits until there is some. The
    /// connection is over where it is an error.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<Result<usize, CloseReason>> {
        if let Some(ready) = self.ready() {
            return Poll::Ready(ready);
        }
        self.writer.register(context.waker());
        // It may have come between the look and the registration.
        self.ready().map_or(Poll::Pending, Poll::Ready)
    }

    fn ready(&self) -> Option<Result<usize, CloseReason>> {
        if let Some(reason) = self.closed() {
            return Some(Err(reason));
        }
        let octets = self.octets.load(Ordering::Acquire);
        (octets > 0 && self.pieces.load(Ordering::Acquire) > 0).then_some(Ok(octets))
    }

    /// The stream writes a piece. Only it takes, so what was there is still there.
    pub(super) fn take(&self, octets: usize) {
        self.octets.fetch_sub(octets, Ordering::AcqRel);
        self.pieces.fetch_sub(1, Ordering::AcqRel);
    }

    /// The task took a piece.
    pub(super) fn piece_taken(&self) {
        if self.pieces.fetch_add(1, Ordering::AcqRel) == 0 {
            self.writer.wake();
        }
    }

    /// There is room for more octets.
    pub(super) fn give(&self, octets: usize) {
        self.octets.fetch_add(octets, Ordering::AcqRel);
        self.writer.wake();
    }

    /// The connection is over; the first reason counts.
    pub(super) fn close(&self, reason: CloseReason) {
        let closed = match reason {
            CloseReason::Finished => FINISHED,
            CloseReason::Reset => RESET,
            CloseReason::TimedOut => TIMED_OUT,
        };
        self.closed.compare_exchange(OPEN, closed, Ordering::AcqRel, Ordering::Acquire).ok();
        self.writer.wake();
    }

    /// Why the connection is over, once it is.
    pub(super) fn closed(&self) -> Option<CloseReason> {
        match self.closed.load(Ordering::Acquire) {
            OPEN => None,
            FINISHED => Some(CloseReason::Finished),
            RESET => Some(CloseReason::Reset),
            _ => Some(CloseReason::TimedOut),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn octets_and_pieces_are_both_bounded() {
        let mut context = Context::from_waker(Waker::noop());
        let credit = Credit::new(1_000);
        credit.take(1_000);
        assert_eq!(credit.poll(&mut context), Poll::Pending);
        credit.give(10_000);
        assert_eq!(credit.poll(&mut context), Poll::Ready(Ok(10_000)));
        (0..PIECES_MAX - 1).for_each(|_| credit.take(1));
        assert_eq!(credit.poll(&mut context), Poll::Pending);
        credit.piece_taken();
        assert!(credit.poll(&mut context).is_ready());
        credit.close(CloseReason::Reset);
        credit.close(CloseReason::Finished);
        assert_eq!(credit.poll(&mut context), Poll::Ready(Err(CloseReason::Reset)));
    }
}
