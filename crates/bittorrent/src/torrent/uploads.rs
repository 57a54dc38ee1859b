//! What one peer asked us for.

use super::pieces::{BLOCK_OCTETS, PieceLengths};
use super::rate::Rate;
use super::settings::Settings;
use crate::wire::REQUEST_OCTETS_MAX;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Requests of one peer that are queued at most; further ones are rejected. This
/// is what we tell peers (BEP 10, reqq).
pub const REQUESTS_QUEUED_MAX: usize = 500;
/// Faults (requests without sense, blocks nobody asked for, pieces that do not
/// exist) after which a peer is disconnected. One block may cross a cancel; a
/// thousand do not.
pub const FAULTS_MAX: u32 = 1_000;

/// After how long without progress what was handed over for a peer is taken to
/// be stuck.
const STUCK_SPAN: Duration = Duration::from_millis(200);

/// A request of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Upload {
    pub(crate) piece: u32,
    pub(crate) begin: u32,
    pub(crate) octets: u32,
}

/// The queue of one peer's requests.
#[derive(Debug, Clone)]
pub(crate) struct UploadQueue {
    waiting: VecDeque<Upload>,
    /// Octets handed to the service that it has not yet sent.
    handed: u64,
    /// When octets were sent last, or handed over with none before them.
    moved: Instant,
    pub(crate) rate: Rate,
}

/// Why a request is not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There are no such octets, or too many of them.
    Senseless,
    /// The queue is full.
    Full,
    /// It is queued already.
    Twice,
}

impl UploadQueue {
    pub(crate) fn new(now: Instant) -> Self {
        Self { waiting: VecDeque::new(), handed: 0, moved: now, rate: Rate::new(now) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn push(&mut self, lengths: &PieceLengths, upload: Upload) -> Result<(), Refusal> {
        let Upload { piece, begin, octets } = upload;
        if octets > REQUEST_OCTETS_MAX || !lengths.may_be_asked(piece, begin, octets) {
            return Err(Refusal::Senseless);
        }
        if self.waiting.contains(&upload) {
            return Err(Refusal::Twice);
        }
        if self.waiting.len() >= REQUESTS_QUEUED_MAX {
            return Err(Refusal::Full);
        }
        self.waiting.push_back(upload);
        Ok(())
    }

    /// Whether the peer took it back.
    pub(crate) fn cancel(&mut self, upload: Upload) -> bool {
        let found = self.waiting.iter().position(|waiting| *waiting == upload);
        found.and_then(|at| self.waiting.remove(at)).is_some()
    }

    /// Whether more may be handed to the service.
    pub(crate) fn has_room(&self, now: Instant, settings: &Settings) -> bool {
        let tenth = (self.rate.octets_per_second(now) / 10.0) as u64;
        self.handed < tenth.max(u64::from(settings.serve_ahead_octets.max(BLOCK_OCTETS)))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Upload> + '_ {
        self.waiting.iter().copied()
    }

    /// Octets that were handed over and are being sent, not those that stay.
    pub(crate) fn handed_and_moving(&self, now: Instant) -> u64 {
        if now.saturating_duration_since(self.moved) < STUCK_SPAN { self.handed } else { 0 }
    }

    /// Hands over the request at a place in the queue.
    pub(crate) fn hand(&mut self, now: Instant, at: usize) -> Option<Upload> {
        let upload = self.waiting.remove(at)?;
        if self.handed == 0 {
            self.moved = now;
        }
        self.handed += u64::from(upload.octets);
        Some(upload)
    }

    /// The service has sent octets of blocks, or gave up on them.
    pub(crate) fn handle_sent(&mut self, now: Instant, octets: u32, sent: bool) {
        self.handed = self.handed.saturating_sub(u64::from(octets));
        self.moved = now;
        if sent {
            self.rate.add(now, octets);
        }
    }

    /// Takes out what `which` says.
    pub(crate) fn take_if(&mut self, which: impl Fn(Upload) -> bool) -> Vec<Upload> {
        let taken: Vec<Upload> = self.iter().filter(|upload| which(*upload)).collect();
        if !taken.is_empty() {
            self.waiting.retain(|upload| !which(*upload));
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(piece: u32, begin: u32, octets: u32) -> Upload {
        Upload { piece, begin, octets }
    }

    #[test]
    fn requests_without_sense_are_refused() {
        let lengths = PieceLengths::uniform(1 << 20, 1 << 18).expect("a torrent");
        let mut queue = UploadQueue::new(Instant::now());
        for (piece, begin, octets) in [
            (0, 0, 0),
            (0, 0, REQUEST_OCTETS_MAX + 1),
            (4, 0, 1),
            (u32::MAX, 0, 1),
            (0, 1 << 18, 1),
            (0, u32::MAX, 16_384),
            (3, (1 << 18) - 10, 11),
        ] {
            assert_eq!(queue.push(&lengths, upload(piece, begin, octets)), Err(Refusal::Senseless));
        }
        assert_eq!(queue.push(&lengths, upload(0, 0, REQUEST_OCTETS_MAX)), Ok(()));
        assert_eq!(queue.push(&lengths, upload(0, 0, REQUEST_OCTETS_MAX)), Err(Refusal::Twice));
        assert!(queue.cancel(upload(0, 0, REQUEST_OCTETS_MAX)) && queue.is_empty());
        assert!(!queue.cancel(upload(0, 0, 1)));
    }

    #[test]
    fn a_flood_of_requests_ends_at_the_bound() {
        let lengths = PieceLengths::uniform(1 << 20, 1 << 18).expect("a torrent");
        let mut queue = UploadQueue::new(Instant::now());
        let taken = (0..10_000).filter(|at| queue.push(&lengths, upload(0, *at, 9)).is_ok()).count();
        assert_eq!(taken, REQUESTS_QUEUED_MAX);
        assert_eq!(queue.push(&lengths, upload(1, 0, 9)), Err(Refusal::Full));
    }

    #[test]
    fn only_so_much_is_handed_to_the_service_ahead() {
        let (now, settings) = (Instant::now(), Settings::default());
        let lengths = PieceLengths::uniform(1 << 20, 1 << 18).expect("a torrent");
        let mut queue = UploadQueue::new(now);
        for block in 0..4 {
            queue.push(&lengths, upload(0, block * 16_384, 16_384)).expect("queued");
        }
        let mut handed = 0;
        while queue.has_room(now, &settings) && queue.hand(now, 0).is_some() {
            handed += 1;
        }
        assert_eq!(handed, 2, "32 KiB");
        queue.handle_sent(now, 16_384, true);
        assert!(queue.has_room(now, &settings));
    }
}
