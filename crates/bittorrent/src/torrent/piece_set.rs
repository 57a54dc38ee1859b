//! A set of pieces, and what a peer holds.

/// Why a bitfield message is refused (BEP 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BitfieldError {
    /// It has not one bit for each piece.
    #[error("a bitfield of {octets} octets where {expected} are needed")]
    Length {
        /// Octets that came.
        octets: usize,
        /// Octets that the pieces take.
        expected: usize,
    },
    /// Bits after the last piece are set.
    #[error("bits after the last piece are set")]
    Spare,
}

/// A set of pieces out of a fixed count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PieceSet {
    words: Box<[u64]>,
    len: u32,
    count: u32,
}

impl PieceSet {
    /// No piece out of `len`.
    pub fn empty(len: u32) -> Self {
        Self { words: vec![0; len.div_ceil(64) as usize].into(), len, count: 0 }
    }

    /// All `len` pieces.
    pub fn full(len: u32) -> Self {
        let mut words = vec![u64::MAX; len.div_ceil(64) as usize];
        if let (Some(last), rest @ 1..) = (words.last_mut(), len % 64) {
            *last = (1 << rest) - 1;
        }
        Self { words: words.into(), len, count: len }
    }

    /// Reads a bitfield message: the first piece is the high bit of the first
    /// octet, spare bits at the end are zero (BEP 3).
    pub fn from_bitfield(len: u32, octets: &[u8]) -> Result<Self, BitfieldError> {
        let expected = len.div_ceil(8) as usize;
        if octets.len() != expected {
            return Err(BitfieldError::Length { octets: octets.len(), expected });
        }
        let mut set = Self::empty(len);
        for (word, octets) in set.words.iter_mut().zip(octets.chunks(8)) {
            for (at, octet) in octets.iter().enumerate() {
                *word |= u64::from(octet.reverse_bits()) << (8 * at);
            }
        }
        if !len.is_multiple_of(64) && set.words.last().is_some_and(|last| last >> (len % 64) != 0) {
            return Err(BitfieldError::Spare);
        }
        set.count = set.words.iter().map(|word| word.count_ones()).sum();
        Ok(set)
    }

    /// The bitfield message's octets (BEP 3).
    pub fn to_bitfield(&self) -> Vec<u8> {
        let octets = self.words.iter().flat_map(|word| word.to_le_bytes());
        octets.take(self.len.div_ceil(8) as usize).map(u8::reverse_bits).collect()
    }

    /// Out of how many pieces.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether no piece is in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether every piece is in it.
    pub fn is_full(&self) -> bool {
        self.count == self.len
    }

    /// How many pieces are in it.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether a piece is in it.
    pub fn contains(&self, piece: u32) -> bool {
        self.words.get(piece as usize / 64).is_some_and(|word| word >> (piece % 64) & 1 == 1)
    }

    /// Adds a piece; whether it is new. Pieces that do not exist are not added.
    pub fn insert(&mut self, piece: u32) -> bool {
        if piece >= self.len || self.contains(piece) {
            return false;
        }
        if let Some(word) = self.words.get_mut(piece as usize / 64) {
            *word |= 1 << (piece % 64);
        }
        self.count += 1;
        true
    }

    /// Takes a piece out; whether it was in.
    pub fn remove(&mut self, piece: u32) -> bool {
        if !self.contains(piece) {
            return false;
        }
        if let Some(word) = self.words.get_mut(piece as usize / 64) {
            *word &= !(1 << (piece % 64));
        }
        self.count -= 1;
        true
    }

    /// The first piece at or after `start`, or else the first of all.
    pub fn next_from(&self, start: u32) -> Option<u32> {
        let at = start as usize / 64;
        let mask = u64::MAX.checked_shl(start % 64).unwrap_or(0);
        let here = self.words.get(at).and_then(|word| bits(at, word & mask).next());
        let after =
            || self.words.iter().enumerate().skip(at + 1).find_map(|(at, word)| bits(at, *word).next());
        here.or_else(after).or_else(|| self.iter().next())
    }

    /// The pieces, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| bits(at, *word))
    }

    /// The pieces that are in both sets, in order.
    pub fn common<'set>(&'set self, other: &'set Self) -> impl Iterator<Item = u32> + 'set {
        let words = self.words.iter().zip(&other.words).enumerate();
        words.flat_map(|(at, (one, two))| bits(at, one & two))
    }
}

/// The pieces of one word, in order.
fn bits(at: usize, mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(at as u32 * 64 + bit)
    })
}

/// What a peer says it holds. Seeds, the most frequent kind in old swarms, take
/// no memory for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holdings {
    /// No piece.
    None,
    /// Some pieces.
    Some(PieceSet),
    /// Every piece.
    All,
}

impl Holdings {
    /// Whether the peer holds a piece.
    pub fn contains(&self, piece: u32) -> bool {
        match self {
            Self::None => false,
            Self::Some(set) => set.contains(piece),
            Self::All => true,
        }
    }

    /// Whether the peer holds every piece.
    pub fn is_full(&self) -> bool {
        match self {
            Self::None => false,
            Self::Some(set) => set.is_full(),
            Self::All => true,
        }
    }

    /// How many of `len` pieces the peer holds.
    pub fn count(&self, len: u32) -> u32 {
        match self {
            Self::None => 0,
            Self::Some(set) => set.count(),
            Self::All => len,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_first_piece_is_the_high_bit() {
        let set = PieceSet::from_bitfield(10, &[0b1010_0000, 0b0100_0000]).expect("well formed");
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 2, 9]);
        assert_eq!(set.to_bitfield(), [0b1010_0000, 0b0100_0000]);
        assert_eq!(PieceSet::full(10).to_bitfield(), [0xff, 0xc0]);
        assert_eq!(PieceSet::full(64).count(), 64);
    }

    #[test]
    fn wrong_lengths_and_spare_bits_are_refused() {
        let length = |octets| Err(BitfieldError::Length { octets, expected: 2 });
        assert_eq!(PieceSet::from_bitfield(10, &[0]), length(1));
        assert_eq!(PieceSet::from_bitfield(10, &[0; 3]), length(3));
        assert_eq!(PieceSet::from_bitfield(10, &[0, 0b0010_0000]), Err(BitfieldError::Spare));
        assert!(PieceSet::from_bitfield(64, &[0xff; 8]).is_ok_and(|set| set.is_full()));
    }

    #[test]
    fn pieces_that_do_not_exist_are_never_in() {
        let mut set = PieceSet::empty(65);
        assert!(!set.insert(65) && !set.insert(u32::MAX) && !set.contains(127) && !set.remove(70));
        assert!(set.insert(64) && !set.insert(64) && set.contains(64));
        assert_eq!(set.count(), 1);
    }

    proptest! {
        #[test]
        fn it_is_a_set(len in 1_u32..300, steps in prop::collection::vec((0_u32..320, any::<bool>()), 0..200)) {
            let (mut set, mut model) = (PieceSet::empty(len), BTreeSet::new());
            for (piece, add) in steps {
                if add {
                    prop_assert_eq!(set.insert(piece), piece < len && model.insert(piece));
                } else {
                    prop_assert_eq!(set.remove(piece), model.remove(&piece));
                }
            }
            prop_assert_eq!(set.iter().collect::<BTreeSet<_>>(), model.clone());
            prop_assert_eq!(set.count() as usize, model.len());
            for start in [0, 1, 63, 64, len - 1, len, 1_000] {
                let next = model.range(start..).next().or(model.first()).copied();
                prop_assert_eq!(set.next_from(start), next);
            }
            prop_assert_eq!(PieceSet::from_bitfield(len, &set.to_bitfield()), Ok(set));
        }
    }
}
