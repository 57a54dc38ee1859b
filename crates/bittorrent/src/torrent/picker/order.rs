//! Pieces nobody has begun, in the order of priority and then rarity.
//!
//! One array holds them, partitioned into buckets of equal priority and equal
//! availability. A piece that becomes one copy rarer or more frequent changes
//! places with one at the edge of its bucket and the edge moves over it: constant
//! time, whatever the count of pieces.

use super::Priority;

/// Copies beyond this are all alike: what 255 neighbours have is not rare.
pub(super) const AVAILABILITY_CAP: u32 = 255;
/// Priorities of pieces that are wanted.
const LEVELS: u32 = 3;
const BUCKETS: usize = (LEVELS * (AVAILABILITY_CAP + 1)) as usize;
const ABSENT: u32 = u32::MAX;

/// The array and its buckets.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pieces: Vec<u32>,
    /// Where in `pieces` each piece is.
    position: Box<[u32]>,
    /// Where in `pieces` each bucket ends; it begins where the one before ends.
    ends: Box<[u32]>,
    /// The last bucket that holds a piece; the ends of those after it mean nothing.
    last: usize,
}

/// The bucket of a priority and an availability; `None` for what is not wanted.
pub(super) fn bucket(priority: Priority, availability: u32) -> Option<usize> {
    let level = match priority {
        Priority::Skip => return None,
        Priority::High => 0,
        Priority::Normal => 1,
        Priority::Low => 2,
    };
    Some((level * (AVAILABILITY_CAP + 1) + availability.min(AVAILABILITY_CAP)) as usize)
}

impl Order {
    /// No piece of `count`.
    pub(super) fn empty(count: u32) -> Self {
        Self {
            pieces: Vec::new(),
            position: vec![ABSENT; count as usize].into(),
            ends: vec![0; BUCKETS].into(),
            last: 0,
        }
    }

    /// All pieces that `place` gives a bucket, in linear time.
    pub(super) fn build(count: u32, place: impl Fn(u32) -> Option<usize>) -> Self {
        let mut order = Self::empty(count);
        let mut placed: Vec<(usize, u32)> =
            (0..count).filter_map(|piece| place(piece).map(|bucket| (bucket, piece))).collect();
        placed.sort_unstable();
        for (bucket, piece) in placed {
            order.position[piece as usize] = order.pieces.len() as u32;
            order.pieces.push(piece);
            order.ends[bucket] = order.pieces.len() as u32;
            order.last = bucket;
        }
        for bucket in 1..BUCKETS {
            order.ends[bucket] = order.ends[bucket].max(order.ends[bucket - 1]);
        }
        order
    }

    /// All pieces, most urgent first.
    pub(super) fn pieces(&self) -> &[u32] {
        &self.pieces
    }

    /// The buckets that hold pieces, most urgent first.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (usize, &[u32])> {
        let mut start = 0;
        self.ends.iter().take(self.last + 1).enumerate().filter_map(move |(bucket, end)| {
            let range = std::mem::replace(&mut start, *end as usize)..*end as usize;
            (!range.is_empty()).then(|| (bucket, &self.pieces[range]))
        })
    }

    pub(super) fn insert(&mut self, piece: u32, bucket: usize) {
        self.position[piece as usize] = self.pieces.len() as u32;
        self.pieces.push(piece);
        let count = self.pieces.len() as u32;
        if bucket > self.last {
            // The buckets between were empty and ended where the array did.
            self.ends[self.last + 1..=bucket].fill(count - 1);
            self.last = bucket;
        }
        let last = self.last;
        self.ends[last] = count;
        for from in (bucket + 1..=last).rev() {
            self.step_down(piece, from);
        }
    }

    pub(super) fn remove(&mut self, piece: u32, bucket: usize) {
        for from in bucket..self.last {
            self.step_up(piece, from);
        }
        let position = self.position[piece as usize];
        let at = self.pieces.len() as u32 - 1;
        self.swap(position, at);
        self.pieces.pop();
        self.position[piece as usize] = ABSENT;
        let last = self.last;
        self.ends[last] = at;
        while self.last > 0 && self.ends[self.last] == self.ends[self.last - 1] {
            self.last -= 1;
        }
    }

    /// Moves a piece from one bucket to another.
    pub(super) fn change(&mut self, piece: u32, from: usize, to: usize) {
        if from < to {
            if to > self.last {
                let count = self.pieces.len() as u32;
                self.ends[self.last + 1..=to].fill(count);
                self.last = to;
            }
            for bucket in from..to {
                self.step_up(piece, bucket);
            }
            return;
        }
        for bucket in (to + 1..=from).rev() {
            self.step_down(piece, bucket);
        }
        while self.last > 0 && self.ends[self.last] == self.ends[self.last - 1] {
            self.last -= 1;
        }
    }

    /// From a bucket to the one after.
    fn step_up(&mut self, piece: u32, bucket: usize) {
        let edge = self.ends[bucket] - 1;
        self.swap(self.position[piece as usize], edge);
        self.ends[bucket] = edge;
    }

    /// From a bucket to the one before.
    fn step_down(&mut self, piece: u32, bucket: usize) {
        let edge = self.ends[bucket - 1];
        self.swap(self.position[piece as usize], edge);
        self.ends[bucket - 1] = edge + 1;
    }

    fn swap(&mut self, one: u32, other: u32) {
        if one != other {
            self.pieces.swap(one as usize, other as usize);
            self.position[self.pieces[one as usize] as usize] = one;
            self.position[self.pieces[other as usize] as usize] = other;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const COUNT: u32 = 40;

    fn check(order: &Order, model: &BTreeMap<u32, usize>) -> Result<(), TestCaseError> {
        let seen: Vec<(usize, Vec<u32>)> = order
            .buckets()
            .map(|(bucket, pieces)| {
                let mut pieces = pieces.to_vec();
                pieces.sort_unstable();
                (bucket, pieces)
            })
            .collect();
        let mut sorted: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for (piece, bucket) in model {
            sorted.entry(*bucket).or_default().push(*piece);
        }
        prop_assert_eq!(seen, sorted.into_iter().collect::<Vec<_>>());
        for (at, piece) in order.pieces().iter().enumerate() {
            prop_assert_eq!(order.position[*piece as usize] as usize, at);
        }
        Ok(())
    }

    proptest! {
        /// Whatever happens, the array is what sorting would make of it.
        #[test]
        fn it_is_always_sorted(
            built in prop::collection::btree_map(0..COUNT, 0..BUCKETS, 0..40),
            steps in prop::collection::vec((0..COUNT, prop_oneof![0..12_usize, 0..BUCKETS], any::<bool>()), 0..120),
        ) {
            let mut model = built;
            let mut order = Order::build(COUNT, |piece| model.get(&piece).copied());
            check(&order, &model)?;
            for (piece, to, remove) in steps {
                match (model.get(&piece).copied(), remove) {
                    (None, _) => { order.insert(piece, to); model.insert(piece, to); }
                    (Some(from), true) => { order.remove(piece, from); model.remove(&piece); }
                    (Some(from), false) => { order.change(piece, from, to); model.insert(piece, to); }
                }
                check(&order, &model)?;
            }
        }
    }

    #[test]
    fn priority_goes_before_rarity() {
        let places = [(Priority::High, 9), (Priority::Normal, 1), (Priority::Normal, 2), (Priority::Low, 0)];
        let buckets: Vec<_> = places.iter().map(|(priority, copies)| bucket(*priority, *copies)).collect();
        assert!(buckets.is_sorted());
        assert_eq!(bucket(Priority::Skip, 0), None);
        assert_eq!(bucket(Priority::Normal, 256), bucket(Priority::Normal, u32::MAX));
    }
}
