//! Which pieces someone has: one bit a piece.

use thiserror::Error;

/// A bit for each piece of a torrent. Piece 0 is the highest bit of the first
/// octet, on the wire (BEP 3, "bitfield") and in the words in memory alike.
#[derive(Clone, PartialEq, Eq)]
pub struct Bitfield {
    pieces: u32,
    /// Bits beyond the last piece are zero.
    words: Vec<u64>,
}

/// Why octets are no bitfield of a torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BitfieldError {
    /// Not one bit a piece.
    #[error("a bitfield of {octets} octets for {pieces} pieces")]
    Length {
        /// As received.
        octets: usize,
        /// Of the torrent.
        pieces: u32,
    },
    /// A bit behind the last piece is set.
    #[error("a spare bit of a bitfield is set")]
    SpareBit,
}

impl Bitfield {
    /// None of so many pieces.
    pub fn new(pieces: u32) -> Self {
        Self { pieces, words: vec![0; (pieces as usize).div_ceil(64)] }
    }

    /// All of so many pieces.
    pub fn full(pieces: u32) -> Self {
        let mut full = Self { pieces, words: vec![u64::MAX; (pieces as usize).div_ceil(64)] };
        full.trim();
        full
    }

    /// Octets on the wire for so many pieces.
    pub fn octets_of(pieces: u32) -> usize {
        (pieces as usize).div_ceil(8)
    }

    /// Reads the body of a `bitfield` message.
    ///
    /// # Errors
    /// When it has not one bit a piece, or a spare bit is set.
    pub fn from_octets(octets: &[u8], pieces: u32) -> Result<Self, BitfieldError> {
        if octets.len() != Self::octets_of(pieces) {
            return Err(BitfieldError::Length { octets: octets.len(), pieces });
        }
        let word = |octets: &[u8]| {
            let whole = octets.iter().fold(0, |word, octet| word << 8 | u64::from(*octet));
            // The last word may have fewer octets; they are its first.
            whole << (64 - 8 * octets.len())
        };
        let read = Self { pieces, words: octets.chunks(8).map(word).collect() };
        let mut trimmed = read.clone();
        trimmed.trim();
        if trimmed == read { Ok(read) } else { Err(BitfieldError::SpareBit) }
    }

    /// Appends the body of a `bitfield` message.
    pub fn encode_to(&self, out: &mut Vec<u8>) {
        let end = out.len() + Self::octets_of(self.pieces);
        out.extend(self.words.iter().flat_map(|word| word.to_be_bytes()));
        out.truncate(end);
    }

    /// How many pieces there are, had or not.
    pub fn pieces(&self) -> u32 {
        self.pieces
    }

    /// Whether the piece is had; none beyond the last is.
    pub fn get(&self, piece: u32) -> bool {
        let (at, bit) = place(piece);
        self.words.get(at).is_some_and(|word| word & bit != 0)
    }

    /// Adds a piece; whether that changed anything. Beyond the last piece it
    /// does not.
    pub fn set(&mut self, piece: u32) -> bool {
        let (at, bit) = place(piece);
        match self.words.get_mut(at) {
            Some(word) if piece < self.pieces && *word & bit == 0 => {
                *word |= bit;
                true
            }
            _ => false,
        }
    }

    /// Takes a piece away; whether that changed anything.
    pub fn clear(&mut self, piece: u32) -> bool {
        let (at, bit) = place(piece);
        match self.words.get_mut(at) {
            Some(word) if *word & bit != 0 => {
                *word &= !bit;
                true
            }
            _ => false,
        }
    }

    /// How many pieces are had.
    pub fn count_ones(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether all pieces are had.
    pub fn is_full(&self) -> bool {
        self.count_ones() == self.pieces
    }

    /// Whether no piece is had.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The pieces that are had, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().zip(0..).flat_map(|(word, at)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = left.leading_zeros();
                left &= !(1u64 << 63).checked_shr(bit)?;
                Some(at * 64 + bit)
            })
        })
    }

    /// Keeps what `other` has too.
    pub fn and(&mut self, other: &Self) {
        self.combine(other, |here, there| here & there);
    }

    /// Adds what `other` has.
    pub fn or(&mut self, other: &Self) {
        self.combine(other, |here, there| here | there);
        // Should `other` be of a longer torrent.
        self.trim();
    }

    /// Takes away what `other` has.
    pub fn and_not(&mut self, other: &Self) {
        self.combine(other, |here, there| here & !there);
    }

    /// Whether there is a piece here that `other` has not: whether `other`'s
    /// owner is to be interested.
    pub fn has_beyond(&self, other: &Self) -> bool {
        let others = other.words.iter().copied().chain(std::iter::repeat(0));
        self.words.iter().zip(others).any(|(here, there)| here & !there != 0)
    }

    /// Words of 64 pieces, the first in the highest bit; bits beyond the last
    /// piece are zero.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    fn combine(&mut self, other: &Self, operation: impl Fn(u64, u64) -> u64) {
        let others = other.words.iter().copied().chain(std::iter::repeat(0));
        for (here, there) in self.words.iter_mut().zip(others) {
            *here = operation(*here, there);
        }
    }

    /// Clears the bits beyond the last piece.
    fn trim(&mut self) {
        let used = self.pieces % 64;
        if let (Some(last), 1..) = (self.words.last_mut(), used) {
            *last &= u64::MAX << (64 - used);
        }
    }
}

/// The word of a piece, and its bit in there.
fn place(piece: u32) -> (usize, u64) {
    (piece as usize / 64, 1 << (63 - piece % 64))
}

impl std::fmt::Debug for Bitfield {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Bitfield({} of {})", self.count_ones(), self.pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn octets_are_read_from_high_bit_to_low_and_spare_bits_are_refused() {
        let read = Bitfield::from_octets(&[0b1000_0001, 0b0100_0000], 10).expect("a bitfield");
        assert_eq!(read.iter().collect::<Vec<_>>(), [0, 7, 9]);
        assert_eq!(Bitfield::from_octets(&[0, 0b0010_0000], 10), Err(BitfieldError::SpareBit));
        let length = |octets| Err(BitfieldError::Length { octets, pieces: 10 });
        assert_eq!(Bitfield::from_octets(&[0], 10), length(1));
        assert_eq!(Bitfield::from_octets(&[0; 3], 10), length(3));
        assert_eq!(Bitfield::from_octets(&[], 0), Ok(Bitfield::new(0)));
        assert_eq!(format!("{read:?}"), "Bitfield(3 of 10)");
    }

    #[test]
    fn what_is_beyond_the_last_piece_changes_nothing() {
        let mut bits = Bitfield::full(65);
        assert!(bits.is_full() && !bits.set(65) && !bits.set(u32::MAX) && !bits.get(65) && !bits.clear(65));
        let mut few = Bitfield::new(3);
        few.or(&bits);
        assert_eq!(few, Bitfield::full(3));
        few.and(&Bitfield::new(0));
        assert!(few.is_empty());
        assert!(bits.has_beyond(&few) && !few.has_beyond(&bits));
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_set_of_numbers(
            pieces in 1u32..300,
            steps in prop::collection::vec((any::<bool>(), 0u32..320), 0..100),
            others in prop::collection::btree_set(0u32..300, 0..100),
        ) {
            let (mut bits, mut set) = (Bitfield::new(pieces), BTreeSet::new());
            for (add, piece) in steps {
                if add {
                    prop_assert_eq!(bits.set(piece), piece < pieces && set.insert(piece));
                } else {
                    prop_assert_eq!(bits.clear(piece), set.remove(&piece));
                }
                prop_assert_eq!(bits.get(piece), set.contains(&piece));
            }
            prop_assert_eq!(bits.iter().collect::<BTreeSet<_>>(), set.clone());
            prop_assert_eq!(bits.count_ones() as usize, set.len());
            let mut octets = Vec::new();
            bits.encode_to(&mut octets);
            prop_assert_eq!(Bitfield::from_octets(&octets, pieces), Ok(bits.clone()));

            let others: BTreeSet<u32> = others.into_iter().filter(|piece| *piece < pieces).collect();
            let mut other = Bitfield::new(pieces);
            for piece in &others {
                other.set(*piece);
            }
            prop_assert_eq!(bits.has_beyond(&other), !set.is_subset(&others));
            type Operation = fn(&mut Bitfield, &Bitfield);
            let operations: [(Operation, BTreeSet<u32>); 3] = [
                (Bitfield::and, set.intersection(&others).copied().collect()),
                (Bitfield::or, set.union(&others).copied().collect()),
                (Bitfield::and_not, set.difference(&others).copied().collect()),
            ];
            for (operation, expected) in operations {
                let mut result = bits.clone();
                operation(&mut result, &other);
                prop_assert_eq!(result.iter().collect::<BTreeSet<_>>(), expected);
            }
        }
    }
}
