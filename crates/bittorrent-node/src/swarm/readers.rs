//! Readers of a torrent's files while it downloads: what they need next is needed
//! by a time, and they are told when it is here.

use super::{State, Swarm};
use crate::content::Content;
use bittorrent::metainfo::Layout;
use bittorrent::torrent::{DEADLINES_MAX, Priority};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Readers of one torrent at once.
pub(crate) const READERS_MAX: usize = 16;
/// Pieces that are fetched ahead of one reader at most.
pub(crate) const AHEAD_PIECES_MAX: u32 = 128;
/// Who may wait for the files to be looked at.
const OPENING_MAX: usize = 64;
/// How much later each further piece is needed: the order is all that counts.
const PACE: Duration = Duration::from_millis(100);

const _: () = assert!(READERS_MAX * AHEAD_PIECES_MAX as usize <= DEADLINES_MAX);

/// What a reader wants.
#[derive(Debug)]
pub(crate) enum Wish {
    /// The files, once it is known which pieces are here.
    Files(oneshot::Sender<Files>),
    /// To read; gives a number, or none where there are readers enough.
    Begin(oneshot::Sender<Option<u64>>),
    /// The first of these pieces now, the others soon. Told when the first is here.
    Pieces { reader: u64, pieces: Range<u32>, here: oneshot::Sender<()> },
    /// Nothing any more.
    End(u64),
}

/// What can be read.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) content: Arc<Content>,
    /// The wanted files, by their index in the info dictionary.
    pub(crate) wanted: Vec<usize>,
}

/// All readers of a torrent.
#[derive(Debug, Default)]
pub(super) struct Readers {
    all: BTreeMap<u64, Reader>,
    next: u64,
    opening: Vec<oneshot::Sender<Files>>,
    /// The pieces that have a deadline.
    urgent: BTreeMap<u32, Instant>,
}

#[derive(Debug, Default)]
struct Reader {
    pieces: Range<u32>,
    waiting: Option<(u32, oneshot::Sender<()>)>,
}

impl Readers {
    fn begin(&mut self) -> Option<u64> {
        if self.all.len() >= READERS_MAX {
            return None;
        }
        self.next += 1;
        self.all.insert(self.next, Reader::default());
        Some(self.next)
    }

    /// A piece is here.
    pub(super) fn handle_piece(&mut self, piece: u32) {
        self.urgent.remove(&piece);
        for reader in self.all.values_mut() {
            if let Some((_, here)) = reader.waiting.take_if(|(waiting, _)| *waiting == piece) {
                // Who asked may have left.
                let _ = here.send(());
            }
        }
    }

    /// What has to change for the deadlines to be those of all readers: `None` for
    /// a piece that nobody needs any more. Unless somebody `jumped`, those that
    /// stay keep theirs, since each reader goes on in its order.
    fn changes(
        &mut self,
        now: Instant,
        jumped: bool,
        is_missing: impl Fn(u32) -> bool,
    ) -> Vec<(u32, Option<Instant>)> {
        let mut wanted: BTreeMap<u32, Instant> = BTreeMap::new();
        for reader in self.all.values() {
            let times = (0..).map(|number| now + PACE * number);
            for (piece, at) in reader.pieces.clone().zip(times).filter(|(piece, _)| is_missing(*piece)) {
                let place = wanted.entry(piece).or_insert(at);
                *place = at.min(*place);
            }
        }
        let gone = self.urgent.keys().filter(|piece| !wanted.contains_key(piece));
        let mut changes: Vec<_> = gone.map(|piece| (*piece, None)).collect();
        for (piece, at) in &mut wanted {
            match self.urgent.get(piece) {
                Some(before) if *before <= *at && !jumped => *at = *before,
                _ => changes.push((*piece, Some(*at))),
            }
        }
        self.urgent = wanted;
        changes
    }
}

impl Swarm {
    /// A reader wants something.
    pub(super) fn handle_wish(&self, now: Instant, wish: Wish) {
        let mut borrowed = self.state.borrow_mut();
        let state: &mut State = &mut borrowed;
        match wish {
            Wish::Files(reply) => {
                state.readers.opening.retain(|waiting| !waiting.is_closed());
                if state.readers.opening.len() < OPENING_MAX {
                    state.readers.opening.push(reply);
                }
                Self::open_readers(state);
            }
            Wish::Begin(reply) => {
                let number = state.readers.begin();
                if let Err(Some(number)) = reply.send(number) {
                    state.readers.all.remove(&number);
                }
            }
            Wish::Pieces { reader, pieces, here } => {
                let Some(active) = &state.active else { return };
                let Some(place) = state.readers.all.get_mut(&reader) else { return };
                let first = pieces.start;
                let jumped = place.pieces.is_empty()
                    || !(place.pieces.start..=place.pieces.start + 1).contains(&first);
                place.pieces = first..pieces.end.min(first.saturating_add(AHEAD_PIECES_MAX));
                if active.torrent.have().contains(first) {
                    let _ = here.send(());
                } else {
                    place.waiting = Some((first, here));
                }
                self.heed_readers(now, state, jumped);
            }
            Wish::End(reader) => {
                if state.readers.all.remove(&reader).is_some() {
                    self.heed_readers(now, state, true);
                }
            }
        }
    }

    /// Asks for what readers need before all else.
    fn heed_readers(&self, now: Instant, state: &mut State, jumped: bool) {
        let Some(active) = &mut state.active else { return };
        let missing = active.torrent.missing();
        for (piece, at) in state.readers.changes(now, jumped, |piece| missing.contains(piece)) {
            active.torrent.set_deadline(now, piece, at);
        }
        self.act(now, state);
    }

    /// Tells those who wait what there is to be read.
    pub(super) fn open_readers(state: &mut State) {
        let Some(active) = &state.active else { return };
        let layout = active.content.info().layout();
        let wanted = wanted_files(layout, &state.files);
        for reply in state.readers.opening.drain(..) {
            let _ = reply.send(Files { content: active.content.clone(), wanted: wanted.clone() });
        }
    }

    /// The rules began anew: what was urgent is told them again.
    pub(super) fn restore_readers(&self, now: Instant, state: &mut State) {
        state.readers.urgent.clear();
        let Some(active) = &state.active else { return };
        let have = active.torrent.have().clone();
        for piece in have.iter() {
            state.readers.handle_piece(piece);
        }
        self.heed_readers(now, state, true);
        Self::open_readers(state);
    }
}

fn wanted_files(layout: &Layout, priorities: &[Priority]) -> Vec<usize> {
    let files = layout.files().iter().enumerate();
    let is_wanted = |index: usize| priorities.get(index) != Some(&Priority::Skip);
    files
        .filter(|(index, file)| {
            is_wanted(*index) && matches!(file.kind, bittorrent::metainfo::FileKind::Regular)
        })
        .map(|(index, _)| index)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(changes: &[(u32, Option<Instant>)]) -> (Vec<u32>, Vec<u32>) {
        let some = |set: bool| {
            changes.iter().filter(|(_, at)| at.is_some() == set).map(|(piece, _)| *piece).collect()
        };
        (some(true), some(false))
    }

    #[test]
    fn there_are_so_many_readers_and_no_more() {
        let mut readers = Readers::default();
        let numbers: Vec<_> = (0..READERS_MAX).map(|_| readers.begin().expect("one more")).collect();
        assert_eq!(readers.begin(), None);
        readers.all.remove(&numbers[3]);
        assert!(readers.begin().is_some_and(|number| !numbers.contains(&number)));
    }

    #[test]
    fn a_seek_changes_what_is_urgent_at_once() {
        let now = Instant::now();
        let mut readers = Readers::default();
        let (one, two) = (readers.begin().expect("one"), readers.begin().expect("two"));
        let set = |readers: &mut Readers, reader, range| {
            readers.all.get_mut(&reader).expect("it is there").pieces = range;
        };
        set(&mut readers, one, 0..4);
        assert_eq!(pieces(&readers.changes(now, false, |piece| piece != 1)), (vec![0, 2, 3], vec![]));
        set(&mut readers, two, 3..5);
        let more = readers.changes(now, false, |piece| piece != 1);
        assert_eq!(pieces(&more), (vec![3, 4], vec![]), "3 is needed sooner");
        assert_eq!(more[0].1, Some(now));
        set(&mut readers, one, 90..92);
        assert_eq!(pieces(&readers.changes(now, false, |_| true)), (vec![90, 91], vec![0, 2]));
        set(&mut readers, one, 89..92);
        assert_eq!(
            pieces(&readers.changes(now, true, |_| true)).0,
            [89, 90, 91, 3, 4]
                .into_iter()
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
        );
        readers.handle_piece(90);
        readers.all.clear();
        assert_eq!(pieces(&readers.changes(now, false, |_| true)), (vec![], vec![3, 4, 89, 91]));
    }
}
