//! A hash table of peers with linear probing, so laid out that one line of the
//! processor's cache holds eight of them (IPv4).

use super::keyed::Keyed;
use super::slot::{Slot, State};

/// Slots that are looked through one by one. A table of no more than these is no
/// hash table: its peers are in any order.
pub(super) const LINE_SLOTS: usize = 8;

/// A table, and how many of its slots are used. It has no slots, or a power of two
/// of them that is at least [`LINE_SLOTS`].
#[derive(Debug)]
pub(super) struct Table<'a, S: Slot> {
    pub(super) slots: &'a mut Box<[S]>,
    pub(super) used: &'a mut u32,
}

/// Where the peer is, or else where there is room for it.
#[inline]
pub(super) fn position<S: Slot>(slots: &[S], peer: &S, keyed: &Keyed) -> Result<usize, Option<usize>> {
    if slots.len() <= LINE_SLOTS {
        return among(slots, peer);
    }
    let mut at = home(peer, slots.len(), keyed);
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

/// The same among a few in any order.
#[inline]
pub(super) fn among<S: Slot>(slots: &[S], peer: &S) -> Result<usize, Option<usize>> {
    match slots.iter().position(|slot| slot.is_same_peer(peer)) {
        Some(at) => Ok(at),
        None => Err(slots.iter().position(Slot::is_empty)),
    }
}

/// Where a look-up of the peer begins; `slots` is a power of two.
#[inline]
pub(super) fn home<S: Slot>(peer: &S, slots: usize, keyed: &Keyed) -> usize {
    peer.hash(keyed) as usize & (slots - 1)
}

impl<S: Slot> Table<'_, S> {
    /// Adds a peer that is not there; `room` is what [`position`] gave for it.
    #[inline]
    pub(super) fn add(&mut self, peer: S, room: Option<usize>, keyed: &Keyed) {
        let length = self.slots.len();
        match room {
            Some(at) if length <= LINE_SLOTS || (*self.used as usize + 1) * 4 <= length * 3 => {
                self.slots[at] = peer;
                *self.used += 1;
            }
            _ => {
                self.resize((length * 2).max(LINE_SLOTS), keyed);
                let room = position(self.slots, &peer, keyed).err().flatten();
                self.add(peer, room, keyed);
            }
        }
    }

    /// Empties a slot that is used; gives what was there.
    #[inline]
    pub(super) fn remove(&mut self, at: usize, keyed: &Keyed) -> State {
        let state = self.slots[at].state();
        *self.used -= 1;
        if self.slots.len() <= LINE_SLOTS {
            self.slots[at] = S::default();
        } else {
            close(self.slots, at, keyed);
            self.shrink(keyed);
        }
        state
    }

    /// Forgets peers whose deadline is over; gives how many.
    pub(super) fn expire(&mut self, now_tick: u64, keyed: &Keyed) -> usize {
        let mut count = 0;
        for slot in &mut **self.slots {
            if !slot.is_empty() && slot.state().is_expired(now_tick) {
                *slot = S::default();
                count += 1;
            }
        }
        *self.used -= count as u32;
        if *self.used == 0 {
            *self.slots = Box::default();
        } else if count > 0 {
            // The probing order is made anew.
            self.resize(self.slots.len(), keyed);
            self.shrink(keyed);
        }
        count
    }

    /// Takes a smaller table where most of this one is empty.
    fn shrink(&mut self, keyed: &Keyed) {
        let (length, used) = (self.slots.len(), *self.used as usize);
        if length > LINE_SLOTS && used * 8 <= length {
            self.resize((used * 2).next_power_of_two().max(LINE_SLOTS), keyed);
        }
    }

    /// Puts all peers into another table.
    fn resize(&mut self, length: usize, keyed: &Keyed) {
        let before = std::mem::replace(self.slots, vec![S::default(); length].into());
        for peer in before.iter().filter(|slot| !slot.is_empty()) {
            if let Err(Some(at)) = position(self.slots, peer, keyed) {
                self.slots[at] = *peer;
            }
        }
    }
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
