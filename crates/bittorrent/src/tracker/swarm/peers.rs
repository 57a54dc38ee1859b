//! The peers of one torrent: a few within the torrent itself, more in two hash
//! tables, one of leechers and one of seeds, so that a seed, which is told of
//! leechers only, does not look at all others like itself.

use super::keyed::Keyed;
use super::slot::{Slot, State};
use super::table::{LINE_SLOTS, Table, among, home, position};

/// Lines looked at for one reply at most: who asks among thousands of expired
/// peers finds some of the others, not all.
const EXAMINED_LINES_MAX: usize = 128;

/// What the processor fetches at once.
const CACHE_LINE_OCTETS: usize = 64;

/// The peers of one torrent.
#[derive(Debug)]
pub(super) enum Peers<S: Slot> {
    /// In the torrent itself, in any order.
    Few(S::Few),
    /// In a table of leechers and one of seeds, and how many each of them holds.
    Many { slots: [Box<[S]>; 2], used: [u32; 2] },
}

/// What putting a peer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// It is new.
    Added,
    /// It was there.
    Updated(State),
    /// There is no room for it.
    Full,
}

/// Who asks for peers, and for how many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish<S> {
    /// The asker, who is not told of itself.
    pub(super) asker: S,
    /// Whether it wants no pieces: then others of its kind are of no use.
    pub(super) upload_only: bool,
    pub(super) now_tick: u64,
    pub(super) peers: usize,
    pub(super) random: u64,
}

impl<S: Slot> Default for Peers<S> {
    fn default() -> Self {
        Self::Few(S::Few::default())
    }
}

impl<S: Slot> Peers<S> {
    /// Has the slots fetched that putting the asker and [`Peers::select`] are
    /// about to read, where they lie outside of the torrent.
    #[inline]
    pub(super) fn fetch(&self, wish: &Wish<S>, keyed: &Keyed, fetch: impl Fn(*const u8)) {
        let Self::Many { slots, .. } = self else { return };
        for slots in slots.iter().filter(|slots| !slots.is_empty()) {
            fetch(slots.as_ptr().wrapping_add(home(&wish.asker, slots.len(), keyed)).cast());
        }
        // About half of the slots are used.
        for line in Lines::new(slots, wish).take(wish.peers * 2 / LINE_SLOTS + 1) {
            let first: *const u8 = line.as_ptr().cast();
            for at in (0..size_of_val(line)).step_by(CACHE_LINE_OCTETS) {
                fetch(first.wrapping_add(at));
            }
        }
    }

    /// All peers, expired ones included.
    pub(super) fn iter(&self) -> impl Iterator<Item = &S> {
        let [one, other]: [&[S]; 2] = match self {
            Self::Few(few) => [few.as_ref(), &[]],
            Self::Many { slots: [leechers, seeds], .. } => [leechers, seeds],
        };
        one.iter().chain(other).filter(|slot| !slot.is_empty())
    }

    /// How many peers, and how many of them are seeds.
    #[inline]
    pub(super) fn counts(&self) -> (u32, u32) {
        match self {
            Self::Few(few) => few.as_ref().iter().fold((0, 0), |(peers, seeds), slot| {
                let here = !slot.is_empty();
                (peers + u32::from(here), seeds + u32::from(here & slot.state().is_seed()))
            }),
            Self::Many { used: [leechers, seeds], .. } => (leechers + seeds, *seeds),
        }
    }

    /// Adds a peer or takes over its new state; `peers_max` bounds additions.
    #[inline]
    pub(super) fn put(&mut self, peer: S, keyed: &Keyed, peers_max: u32) -> Put {
        let count = self.counts().0;
        match self {
            Self::Few(few) => match among(few.as_ref(), &peer) {
                Ok(at) => {
                    let before = few.as_ref()[at].state();
                    few.as_mut()[at] = peer;
                    Put::Updated(before)
                }
                Err(_) if count >= peers_max => Put::Full,
                Err(Some(at)) => {
                    few.as_mut()[at] = peer;
                    Put::Added
                }
                Err(None) => {
                    self.part(keyed);
                    self.put(peer, keyed, peers_max)
                }
            },
            Self::Many { slots, .. } => {
                let class = class(&peer);
                let room = match position(&slots[class], &peer, keyed) {
                    Ok(at) => {
                        let before = slots[class][at].state();
                        slots[class][at] = peer;
                        return Put::Updated(before);
                    }
                    Err(room) => room,
                };
                let other = 1 - class;
                let put = match position(&slots[other], &peer, keyed) {
                    Ok(at) => Put::Updated(
                        self.table(other).map_or(State::default(), |mut table| table.remove(at, keyed)),
                    ),
                    Err(_) if count >= peers_max => return Put::Full,
                    Err(_) => Put::Added,
                };
                if let Some(mut table) = self.table(class) {
                    table.add(peer, room, keyed);
                }
                put
            }
        }
    }

    /// The table of a class; `None` while there are few.
    #[inline]
    fn table(&mut self, class: usize) -> Option<Table<'_, S>> {
        match self {
            Self::Few(_) => None,
            Self::Many { slots, used } => Some(Table { slots: &mut slots[class], used: &mut used[class] }),
        }
    }

    /// Puts the few into tables.
    fn part(&mut self, keyed: &Keyed) {
        let Self::Few(few) = *self else { return };
        let (mut slots, mut used) = ([Box::default(), Box::default()], [0, 0]);
        for peer in few.as_ref().iter().filter(|slot| !slot.is_empty()) {
            let class = class(peer);
            let room = position(&slots[class], peer, keyed).err().flatten();
            Table { slots: &mut slots[class], used: &mut used[class] }.add(*peer, room, keyed);
        }
        *self = Self::Many { slots, used };
    }

    /// Takes back into the torrent what are few enough by far.
    fn join(&mut self) {
        let mut few = S::Few::default();
        if matches!(self, Self::Few(_)) || self.counts().0 as usize > few.as_ref().len() / 2 {
            return;
        }
        for (slot, peer) in few.as_mut().iter_mut().zip(self.iter()) {
            *slot = *peer;
        }
        *self = Self::Few(few);
    }

    /// Removes a peer; gives what it was.
    pub(super) fn remove(&mut self, peer: &S, keyed: &Keyed) -> Option<State> {
        let state = match self {
            Self::Few(few) => {
                let at = among(few.as_ref(), peer).ok()?;
                std::mem::take(&mut few.as_mut()[at]).state()
            }
            Self::Many { slots, .. } => {
                let found = |class: usize| Some((class, position(&slots[class], peer, keyed).ok()?));
                let (class, at) = found(0).or_else(|| found(1))?;
                self.table(class)?.remove(at, keyed)
            }
        };
        self.join();
        Some(state)
    }

    /// Forgets peers whose deadline is over; gives how many.
    pub(super) fn expire(&mut self, now_tick: u64, keyed: &Keyed) -> usize {
        let mut count = 0;
        if let Self::Few(few) = self {
            for slot in few.as_mut() {
                if !slot.is_empty() && slot.state().is_expired(now_tick) {
                    *slot = S::default();
                    count += 1;
                }
            }
        }
        for class in 0..2 {
            count += self.table(class).map_or(0, |mut table| table.expire(now_tick, keyed));
        }
        self.join();
        count
    }

    /// Writes compact peers from random places into `out`, at most as many as
    /// wished and as have room; gives how many.
    #[inline]
    pub(super) fn select(&self, wish: &Wish<S>, out: &mut [u8]) -> usize {
        let mut chosen = Chosen { wish, out, count: 0 };
        match self {
            Self::Few(few) => {
                let slots = few.as_ref();
                chosen.offer_from(wish.random as usize % slots.len(), slots);
            }
            Self::Many { slots, .. } => {
                let first = (wish.random >> 29) as usize % LINE_SLOTS;
                for line in Lines::new(slots, wish) {
                    chosen.offer_from(first, line);
                    if chosen.is_full() {
                        break;
                    }
                }
            }
        }
        chosen.count
    }
}

/// Which of the two tables is the peer's.
#[inline]
fn class<S: Slot>(peer: &S) -> usize {
    usize::from(peer.state().is_seed())
}

/// The lines of both tables in the order in which they are looked at for one
/// reply: those of each in random order, and as many of one as of the other for
/// their size, so that each peer is told of as often as any other.
#[derive(Debug)]
struct Lines<'a, S> {
    walks: [Walk<'a, S>; 2],
    left: usize,
}

impl<'a, S: Slot> Lines<'a, S> {
    #[inline]
    fn new(slots: &'a [Box<[S]>; 2], wish: &Wish<S>) -> Self {
        let [leechers, seeds] = slots;
        let seeds: &[S] = if wish.upload_only { &[] } else { seeds };
        let walks = [Walk::new(leechers, wish.random), Walk::new(seeds, wish.random)];
        Self { walks, left: EXAMINED_LINES_MAX }
    }
}

impl<'a, S: Slot> Iterator for Lines<'a, S> {
    type Item = &'a [S];

    #[inline]
    fn next(&mut self) -> Option<&'a [S]> {
        self.left = self.left.checked_sub(1)?;
        let [one, other] = &mut self.walks;
        // Both parts of what was seen are compared, without dividing.
        if one.seen * other.lines <= other.seen * one.lines && one.seen < one.lines {
            one.next()
        } else {
            other.next()
        }
    }
}

/// The lines of one table in random order.
#[derive(Debug)]
struct Walk<'a, S> {
    slots: &'a [S],
    line: usize,
    stride: usize,
    lines: usize,
    seen: usize,
}

impl<'a, S: Slot> Walk<'a, S> {
    #[inline]
    fn new(slots: &'a [S], random: u64) -> Self {
        // The lines are a power of two: an odd stride comes to each of them once.
        let stride = (random >> 32) as usize | 1;
        Self { slots, line: random as usize, stride, lines: slots.len() / LINE_SLOTS, seen: 0 }
    }

    #[inline]
    fn next(&mut self) -> Option<&'a [S]> {
        if self.seen >= self.lines {
            return None;
        }
        self.seen += 1;
        self.line = self.line.wrapping_add(self.stride) & (self.lines - 1);
        self.slots.get(self.line * LINE_SLOTS..(self.line + 1) * LINE_SLOTS)
    }
}

/// The peers written so far.
struct Chosen<'a, S> {
    wish: &'a Wish<S>,
    out: &'a mut [u8],
    count: usize,
}

impl<S: Slot> Chosen<'_, S> {
    fn is_full(&self) -> bool {
        self.count >= self.wish.peers || (self.count + 1) * S::OCTETS > self.out.len()
    }

    /// Offers slots, from the one at `first` on and around.
    #[inline]
    fn offer_from(&mut self, first: usize, slots: &[S]) {
        let (before, after) = slots.split_at(first);
        self.offer(after);
        self.offer(before);
    }

    /// Every slot is written and kept or written over: which of them are of use
    /// no processor can foretell.
    #[inline]
    fn offer(&mut self, slots: &[S]) {
        for slot in slots {
            if self.is_full() {
                return;
            }
            let state = slot.state();
            let useless = slot.is_empty()
                | slot.is_same_peer(&self.wish.asker)
                | (self.wish.upload_only & state.is_upload_only())
                | state.is_expired(self.wish.now_tick);
            slot.write(&mut self.out[self.count * S::OCTETS..]);
            self.count += usize::from(!useless);
        }
    }
}
