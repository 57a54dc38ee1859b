//! In which order a torrent's jobs may be done: pieces that arrived at the same time
//! as one another, so that hashing has several processors; everything else by itself,
//! after what came before it and before what comes after.

use super::job::Job;
use std::collections::VecDeque;
use std::num::NonZero;
use std::thread;

/// Pieces of one torrent that are checked at once, at most: beyond that other
/// torrents had to wait, and what is written is what holds up.
const PIECES_AT_ONCE_MAX: usize = 4;

/// The jobs of one torrent that wait, and how many are being done.
#[derive(Debug)]
pub(super) struct Order {
    queue: VecDeque<Job>,
    /// Turns that a pool's threads have taken, or will.
    turns: usize,
    /// Jobs that are being done.
    running: usize,
    /// One that must be alone is being done.
    alone: bool,
    turns_max: usize,
}

impl Default for Order {
    fn default() -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            queue: VecDeque::new(),
            turns: 0,
            running: 0,
            alone: false,
            // One is busy with what comes in.
            turns_max: processors.saturating_sub(1).clamp(1, PIECES_AT_ONCE_MAX),
        }
    }
}

impl Order {
    /// A job came. Whether a further turn is to be taken for it.
    #[must_use]
    pub(super) fn push(&mut self, job: Job) -> bool {
        self.queue.push_back(job);
        let more = self.turns < self.turns_max;
        self.turns += usize::from(more);
        more
    }

    /// Begins the next job. `None` where none may begin: the turn is over then, and
    /// whoever does the job that holds up goes on.
    pub(super) fn begin(&mut self) -> Option<Job> {
        let may = |job: &Job| if shares(job) { !self.alone } else { self.running == 0 };
        let Some(job) = self.queue.pop_front_if(|job| may(job)) else {
            self.turns -= 1;
            return None;
        };
        self.running += 1;
        self.alone = !shares(&job);
        Some(job)
    }

    /// A job has ended, or is to go on with `rest` before all that wait. Whether
    /// there is more to do: otherwise the turn is over.
    #[must_use]
    pub(super) fn end(&mut self, rest: Option<Job>) -> bool {
        self.running -= 1;
        self.alone = false;
        if let Some(rest) = rest {
            self.queue.push_front(rest);
        }
        let more = !self.queue.is_empty();
        self.turns -= usize::from(!more);
        more
    }
}

/// Whether a job may be done while others of which that is true are.
fn shares(job: &Job) -> bool {
    matches!(job, Job::Piece { .. } | Job::Leaves { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn piece(piece: u32) -> Job {
        Job::Piece { piece, blocks: Vec::new(), digests: false }
    }

    fn spill() -> Job {
        Job::Spill { piece: 9, blocks: Vec::new() }
    }

    fn order() -> Order {
        Order { turns_max: 3, ..Order::default() }
    }

    #[test]
    fn pieces_are_checked_together_up_to_the_bound() {
        let mut order = order();
        let turns = (0..5).filter(|number| order.push(piece(*number))).count();
        assert_eq!(turns, 3, "no more threads than may work at once");
        for expected in 0..3 {
            assert!(matches!(order.begin(), Some(Job::Piece { piece, .. }) if piece == expected));
        }
        assert!(order.end(None), "two wait");
    }

    #[test]
    fn others_are_done_alone_and_in_their_place() {
        let mut order = order();
        for job in [piece(0), piece(1), spill(), piece(2)] {
            let _ = order.push(job);
        }
        assert!(order.begin().is_some() && order.begin().is_some());
        assert!(order.begin().is_none(), "pieces are being written");
        assert!(order.end(None), "the other piece still is");
        assert!(order.begin().is_none());
        assert!(order.end(None));
        assert!(matches!(order.begin(), Some(Job::Spill { .. })));
        let further = order.push(piece(3));
        assert!(further, "the turns that found nothing were given up");
        assert!(order.begin().is_none(), "blocks are being spilled");
        assert!(order.end(Some(Job::Move { to: PathBuf::new(), note: PathBuf::new() })));
        assert!(matches!(order.begin(), Some(Job::Move { .. })), "what is not done goes on first");
        assert!(order.end(None));
        assert!(matches!(order.begin(), Some(Job::Piece { piece: 2, .. })));
        assert!(order.end(None));
        assert!(matches!(order.begin(), Some(Job::Piece { piece: 3, .. })));
        assert!(!order.end(None));
        assert_eq!((order.turns, order.running), (0, 0));
    }

    /// Whatever comes when: nothing is left lying without somebody who has a turn.
    #[test]
    fn no_job_is_forgotten() {
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let mut draw = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        for _ in 0..500 {
            let mut order = order();
            let (mut pushed, mut done, mut waiting, mut working) = (0, 0, 0, 0);
            while pushed < 50 || waiting + working > 0 {
                match draw(3) {
                    0 if pushed < 50 => {
                        let job = if draw(3) == 0 { spill() } else { piece(pushed) };
                        waiting += u32::from(order.push(job));
                        pushed += 1;
                    }
                    1 if waiting > 0 => {
                        waiting -= 1;
                        working += u32::from(order.begin().is_some());
                    }
                    2 if working > 0 => {
                        working -= 1;
                        done += 1;
                        waiting += u32::from(order.end(None));
                    }
                    _ => {}
                }
                assert!(waiting + working <= 3);
            }
            assert_eq!(done, pushed, "all is done when nobody has a turn any more");
        }
    }
}
