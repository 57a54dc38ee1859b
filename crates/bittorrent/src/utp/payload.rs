//! Octets on their way into packets, cut without copying them.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// Pieces shorter than this are gathered in one buffer: copying them is cheaper
/// than carrying each one by itself.
const SMALL_OCTETS: usize = 512;

/// What a packet carries: octets that lie in one place or in several.
#[derive(Debug, Clone)]
pub enum Payload {
    /// All in one place.
    Whole(Bytes),
    /// In the order in which they are sent.
    Parts(Box<[Bytes]>),
}

impl Payload {
    /// How many octets it has.
    pub fn len(&self) -> usize {
        self.parts().iter().map(Bytes::len).sum()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its octets, piece by piece.
    pub fn parts(&self) -> &[Bytes] {
        match self {
            Self::Whole(octets) => std::slice::from_ref(octets),
            Self::Parts(parts) => parts,
        }
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

/// Octets that were written and not cut into packets yet.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    pieces: VecDeque<Bytes>,
    /// Small pieces, gathered; comes after `pieces`.
    tail: BytesMut,
    octets: usize,
}

impl Unsent {
    pub(super) fn len(&self) -> usize {
        self.octets
    }

    pub(super) fn push(&mut self, piece: Bytes) {
        self.octets += piece.len();
        if piece.len() < SMALL_OCTETS {
            self.tail.extend_from_slice(&piece);
        } else {
            self.settle_tail();
            self.pieces.push_back(piece);
        }
    }

    fn settle_tail(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push_back(self.tail.split().freeze());
        }
    }

    /// The next octets, at most `octets_max` of them.
    pub(super) fn take(&mut self, octets_max: usize) -> Payload {
        self.settle_tail();
        let mut wanted = octets_max.min(self.octets);
        self.octets -= wanted;
        let first = self.take_from_first(wanted);
        wanted -= first.len();
        if wanted == 0 {
            return Payload::Whole(first);
        }
        let mut parts = vec![first];
        while wanted > 0 && !self.pieces.is_empty() {
            let part = self.take_from_first(wanted);
            wanted -= part.len();
            parts.push(part);
        }
        Payload::Parts(parts.into())
    }

    fn take_from_first(&mut self, wanted: usize) -> Bytes {
        match self.pieces.front_mut() {
            Some(piece) if piece.len() > wanted => piece.split_to(wanted),
            _ => self.pieces.pop_front().unwrap_or_default(),
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cutting_keeps_every_octet(
            pieces in proptest::collection::vec(0usize..1_500, 0..20),
            cuts in proptest::collection::vec(1usize..2_000, 1..20),
        ) {
            let total: usize = pieces.iter().sum();
            let all: Vec<u8> = (0..total).map(|number| (number % 251) as u8).collect();
            let (mut unsent, mut at) = (Unsent::default(), 0);
            for length in pieces {
                unsent.push(Bytes::copy_from_slice(&all[at..at + length]));
                at += length;
            }
            let mut got = Vec::new();
            for cut in cuts.iter().cycle() {
                prop_assert_eq!(unsent.len(), total - got.len());
                if unsent.len() == 0 {
                    break;
                }
                let payload = unsent.take(*cut);
                prop_assert_eq!(payload.len(), (*cut).min(total - got.len()));
                payload.parts().iter().for_each(|part| got.extend_from_slice(part));
            }
            prop_assert_eq!(got, all);
        }
    }

    #[test]
    fn a_large_piece_is_not_copied() {
        let piece = Bytes::from(vec![7; 10_000]);
        let mut unsent = Unsent::default();
        unsent.push(piece.clone());
        let first = unsent.take(1_000);
        assert_eq!(first.parts()[0].as_ptr(), piece.as_ptr());
    }
}
