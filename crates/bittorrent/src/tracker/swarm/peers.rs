//! The peers of one torrent: a few within the torrent itself, more in a hash
//! table of their own.

use super::keyed::Keyed;
use super::slot::{Slot, State};

/// Slots that are looked through one by one: one line of the cache (IPv4). A
/// table of no more than these is no hash table.
const LINE_SLOTS: usize = 8;
/// Slots looked at for one reply at most: a seed among ten thousand seeds finds
/// some leechers, not all.
const EXAMINED_SLOTS_MAX: usize = 1_024;

/// What the processor fetches at once.
const CACHE_LINE_OCTETS: usize = 64;

/// The peers of one torrent.
#[derive(Debug)]
pub(super) enum Peers<S: Slot> {
    /// In the torrent itself.
    Few(S::Few),
    /// In a table: up to [`LINE_SLOTS`] in any order, more as a hash table with
    /// linear probing. Its length is a power of two.
    Many { slots: Box<[S]>, peers: u32, seeds: u32 },
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
    #[inline]
    fn slots(&self) -> &[S] {
        match self {
            Self::Few(few) => few.as_ref(),
            Self::Many { slots, .. } => slots,
        }
    }

    /// Has the slots fetched that putting the asker and [`Peers::select`] are
    /// about to read, where they lie outside of the torrent.
    #[inline]
    pub(super) fn fetch(&self, wish: &Wish<S>, keyed: &Keyed, fetch: impl Fn(*const u8)) {
        let Self::Many { slots, .. } = self else { return };
        if slots.len() <= LINE_SLOTS {
            fetch_line(slots, fetch);
            return;
        }
        fetch(slots.as_ptr().wrapping_add(home(&wish.asker, slots.len(), keyed)).cast());
        // About half of the slots are used.
        let walk = Walk::new(slots.len(), wish.random).take(wish.peers * 2 / LINE_SLOTS + 1);
        for line in walk {
            fetch_line(&slots[line * LINE_SLOTS..][..LINE_SLOTS], &fetch);
        }
    }

    /// All peers, expired ones included.
    pub(super) fn iter(&self) -> impl Iterator<Item = &S> {
        self.slots().iter().filter(|slot| !slot.is_empty())
    }

    /// How many peers, and how many of them are seeds.
    #[inline]
    pub(super) fn counts(&self) -> (u32, u32) {
        match self {
            Self::Few(few) => few.as_ref().iter().fold((0, 0), |(peers, seeds), slot| {
                let here = !slot.is_empty();
                (peers + u32::from(here), seeds + u32::from(here & slot.state().is_seed()))
            }),
            Self::Many { peers, seeds, .. } => (*peers, *seeds),
        }
    }

    /// Where the peer is, or else where there is room for it.
    #[inline]
    fn position(&self, peer: &S, keyed: &Keyed) -> Result<usize, Option<usize>> {
        let slots = self.slots();
        let mut at = 0;
        if slots.len() <= LINE_SLOTS {
            if let Some(at) = slots.iter().position(|slot| slot.is_same_peer(peer)) {
                return Ok(at);
            }
            return Err(slots.iter().position(Slot::is_empty));
        }
        at += home(peer, slots.len(), keyed);
        loop {
            // At most three quarters are used: there is an end.
            let slot = &slots[at];
            if slot.is_same_peer(peer) {
                return Ok(at);
            }
            if slot.is_empty() {
                return Err(Some(at));
            }
            at = (at + 1) & (slots.len() - 1);
        }
    }

    /// Adds a peer or takes over its new state; `peers_max` bounds additions.
    #[inline]
    pub(super) fn put(&mut self, peer: S, keyed: &Keyed, peers_max: u32) -> Put {
        match self.position(&peer, keyed) {
            Ok(at) => {
                let slot = match self {
                    Self::Few(few) => &mut few.as_mut()[at],
                    Self::Many { slots, seeds, .. } => {
                        let (was, is) = (slots[at].state().is_seed(), peer.state().is_seed());
                        *seeds = *seeds + u32::from(is) - u32::from(was);
                        &mut slots[at]
                    }
                };
                let before = slot.state();
                *slot = peer;
                Put::Updated(before)
            }
            Err(_) if self.counts().0 >= peers_max => Put::Full,
            Err(room) => {
                self.add(peer, room, keyed);
                Put::Added
            }
        }
    }

    /// Adds a peer that is not there.
    fn add(&mut self, peer: S, room: Option<usize>, keyed: &Keyed) {
        match (&mut *self, room) {
            (Self::Few(few), Some(at)) => few.as_mut()[at] = peer,
            (Self::Many { slots, peers, seeds }, Some(at))
                if slots.len() <= LINE_SLOTS || (*peers as usize + 1) * 4 <= slots.len() * 3 =>
            {
                slots[at] = peer;
                *peers += 1;
                *seeds += u32::from(peer.state().is_seed());
            }
            _ => {
                let length = (self.slots().len() * 2).max(LINE_SLOTS);
                self.rebuild(length, keyed);
                let room = self.position(&peer, keyed).err().flatten();
                self.add(peer, room, keyed);
            }
        }
    }

    /// Puts all peers into another table; one of no slots lies in the torrent.
    fn rebuild(&mut self, length: usize, keyed: &Keyed) {
        let empty = match length {
            0 => Self::default(),
            _ => Self::Many { slots: vec![S::default(); length].into(), peers: 0, seeds: 0 },
        };
        let before = std::mem::replace(self, empty);
        for peer in before.iter() {
            let room = self.position(peer, keyed).err().flatten();
            self.add(*peer, room, keyed);
        }
    }

    /// Takes a smaller table where most of this one is empty.
    fn shrink(&mut self, keyed: &Keyed) {
        let Self::Many { slots, peers, .. } = self else { return };
        let (length, peers) = (slots.len(), *peers as usize);
        if peers <= S::Few::default().as_ref().len() / 2 {
            self.rebuild(0, keyed);
        } else if length > LINE_SLOTS && peers * 8 <= length {
            let fitting = if peers < LINE_SLOTS { LINE_SLOTS } else { (peers * 2).next_power_of_two() };
            self.rebuild(fitting, keyed);
        }
    }

    /// Removes a peer; gives what it was.
    pub(super) fn remove(&mut self, peer: &S, keyed: &Keyed) -> Option<State> {
        let at = self.position(peer, keyed).ok()?;
        let state = match self {
            Self::Few(few) => std::mem::take(&mut few.as_mut()[at]).state(),
            Self::Many { slots, peers, seeds } => {
                let state = slots[at].state();
                *peers -= 1;
                *seeds -= u32::from(state.is_seed());
                if slots.len() <= LINE_SLOTS {
                    slots[at] = S::default();
                } else {
                    close(slots, at, keyed);
                }
                state
            }
        };
        self.shrink(keyed);
        Some(state)
    }

    /// Forgets peers whose deadline is over; gives how many.
    pub(super) fn expire(&mut self, now_tick: u64, keyed: &Keyed) -> usize {
        let over = |slot: &S| !slot.is_empty() && slot.state().is_expired(now_tick);
        let count = self.slots().iter().filter(|slot| over(slot)).count();
        if count == 0 {
            return 0;
        }
        match self {
            Self::Few(few) => {
                few.as_mut().iter_mut().filter(|slot| over(slot)).for_each(|slot| *slot = S::default());
            }
            Self::Many { slots, .. } => {
                // The probing order is made anew below.
                let length = slots.len();
                slots.iter_mut().filter(|slot| over(slot)).for_each(|slot| *slot = S::default());
                self.rebuild(length, keyed);
                self.shrink(keyed);
            }
        }
        count
    }

    /// Writes compact peers from random places into `out`, at most as many as
    /// wished and as have room; gives how many.
    #[inline]
    pub(super) fn select(&self, wish: &Wish<S>, out: &mut [u8]) -> usize {
        let slots = self.slots();
        let mut chosen = Chosen { wish, out, count: 0 };
        if slots.len() <= LINE_SLOTS {
            let (before, after) = slots.split_at(wish.random as usize % slots.len());
            chosen.offer(after);
            chosen.offer(before);
            return chosen.count;
        }
        let first = (wish.random >> 29) as usize % LINE_SLOTS;
        for line in Walk::new(slots.len(), wish.random) {
            let (before, after) = slots[line * LINE_SLOTS..][..LINE_SLOTS].split_at(first);
            chosen.offer(after);
            chosen.offer(before);
            if chosen.is_full() {
                break;
            }
        }
        chosen.count
    }
}

/// In which order the lines of a hash table are looked at for one reply.
#[derive(Debug, Clone)]
struct Walk {
    line: usize,
    stride: usize,
    lines: usize,
    left: usize,
}

impl Walk {
    #[inline]
    fn new(slots: usize, random: u64) -> Self {
        let lines = slots / LINE_SLOTS;
        // The lines are a power of two: an odd stride comes to each of them once.
        let stride = (random >> 32) as usize | 1;
        Self { line: random as usize, stride, lines, left: lines.min(EXAMINED_SLOTS_MAX / LINE_SLOTS) }
    }
}

impl Iterator for Walk {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        self.line = self.line.wrapping_add(self.stride) & (self.lines - 1);
        Some(self.line)
    }
}

/// Has the memory of some slots fetched.
#[inline]
fn fetch_line<S>(slots: &[S], fetch: impl Fn(*const u8)) {
    let first: *const u8 = slots.as_ptr().cast();
    for at in (0..size_of_val(slots)).step_by(CACHE_LINE_OCTETS) {
        fetch(first.wrapping_add(at));
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

/// Where a look-up of the peer begins.
#[inline]
fn home<S: Slot>(peer: &S, slots: usize, keyed: &Keyed) -> usize {
    peer.hash(keyed) as usize & (slots - 1)
}

/// Empties a slot of a hash table; what was pushed away from its place comes
/// back as near as it can.
fn close<S: Slot>(slots: &mut [S], mut hole: usize, keyed: &Keyed) {
    let mask = slots.len() - 1;
    let mut at = hole;
    loop {
        at = (at + 1) & mask;
        if slots[at].is_empty() {
            break;
        }
        let home = home(&slots[at], slots.len(), keyed);
        if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
            slots[hole] = slots[at];
            hole = at;
        }
    }
    slots[hole] = S::default();
}
