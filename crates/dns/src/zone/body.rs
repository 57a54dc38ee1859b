//! Answers rendered once: everything of a response that follows the question,
//! and what must be known to put it there, in one piece of memory.
//!
//! A body is rendered for a question name of `reference` octets at offset 12.
//! It serves any question whose name ends in the same labels: then every
//! compression pointer moves by the difference in length, except those that
//! point at the question name itself.
//!
//! In memory: [`FIELDS_OCTETS`] of numbers, the octets, the pointers, the
//! optional RRsets. Several bodies may follow each other.

/// Octets of a message's header.
pub const HEADER_OCTETS: usize = 12;
/// Octets of the numbers before a body.
const FIELDS_OCTETS: usize = 18;

/// What is known of a body beside its octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fields {
    /// Octets of the question name it was rendered for.
    pub(crate) reference: u8,
    /// Records in the answer, authority and (required) additional sections.
    pub(crate) counts: [u16; 3],
    /// Octets up to where a response must be complete, or else be truncated.
    pub(crate) required: u16,
    /// Octets of each answer record, when they may be rotated; else 0.
    pub(crate) rotation: u16,
    /// The AA flag (RFC 1035 section 4.1.1).
    pub(crate) authoritative: bool,
}

/// The part of a response after the question, ready to be copied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Body<'a> {
    pub(crate) fields: Fields,
    pub(crate) octets: &'a [u8],
    /// Where in `octets` pointers stand that move with the question's length.
    pointers: &'a [u8],
    /// Additional RRsets that may be left out.
    optional: &'a [u8],
}

/// A body that owns its memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rendered(Box<[u8]>);

impl Rendered {
    /// Puts a body into one piece. `optional` says of each RRset that may be left
    /// out where it ends and how many records it has.
    pub(crate) fn new(fields: Fields, octets: &[u8], pointers: &[u16], optional: &[(u16, u16)]) -> Self {
        let [answers, authority, additional] = fields.counts;
        let flags = u16::from(fields.authoritative) << 8 | u16::from(fields.reference);
        let numbers = [octets.len() as u16, pointers.len() as u16, optional.len() as u16]
            .into_iter()
            .chain([answers, authority, additional, fields.required, fields.rotation, flags]);
        let mut memory = Vec::with_capacity(FIELDS_OCTETS + octets.len() + pointers.len() * 2);
        memory.extend(numbers.flat_map(u16::to_ne_bytes));
        memory.extend_from_slice(octets);
        memory.extend(pointers.iter().copied().flat_map(u16::to_ne_bytes));
        memory.extend(optional.iter().flat_map(|&(end, records)| [end, records]).flat_map(u16::to_ne_bytes));
        Self(memory.into())
    }

    /// The body as it lies in memory.
    pub(crate) fn memory(&self) -> &[u8] {
        &self.0
    }

    /// The body.
    #[inline]
    pub(crate) fn body(&self) -> Body<'_> {
        Body::read(&self.0).map_or(Body::EMPTY, |(body, _)| body)
    }
}

impl<'a> Body<'a> {
    const EMPTY: Self = Self {
        fields: Fields { reference: 1, counts: [0; 3], required: 0, rotation: 0, authoritative: false },
        octets: &[],
        pointers: &[],
        optional: &[],
    };

    /// Reads the body that begins `memory`, and what follows it.
    #[inline]
    pub(crate) fn read(memory: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (numbers, rest) = memory.split_first_chunk::<FIELDS_OCTETS>()?;
        let number = |index: usize| u16::from_ne_bytes([numbers[index * 2], numbers[index * 2 + 1]]);
        let (octets, rest) = rest.split_at_checked(usize::from(number(0)))?;
        let (pointers, rest) = rest.split_at_checked(usize::from(number(1)) * 2)?;
        let (optional, rest) = rest.split_at_checked(usize::from(number(2)) * 4)?;
        let fields = Fields {
            counts: [number(3), number(4), number(5)],
            required: number(6),
            rotation: number(7),
            reference: number(8) as u8,
            authoritative: number(8) >> 8 != 0,
        };
        Some((Self { fields, octets, pointers, optional }, rest))
    }

    /// Where in the octets pointers stand that move with the question's length,
    /// in ascending order.
    #[inline]
    pub(crate) fn pointers(&self) -> impl Iterator<Item = usize> {
        self.pointers.chunks_exact(2).map(|at| usize::from(u16::from_ne_bytes([at[0], at[1]])))
    }

    /// Additional RRsets that may be left out: where each ends, and its records.
    #[inline]
    pub(crate) fn optional(&self) -> impl Iterator<Item = (usize, u16)> {
        self.optional.chunks_exact(4).map(|pair| {
            (usize::from(u16::from_ne_bytes([pair[0], pair[1]])), u16::from_ne_bytes([pair[2], pair[3]]))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bodies_read_back_one_after_the_other(
            octets in proptest::collection::vec(any::<u8>(), 0..200),
            pointers in proptest::collection::vec(any::<u16>(), 0..8),
            optional in proptest::collection::vec(any::<(u16, u16)>(), 0..4),
            counts in any::<[u16; 3]>(),
            (required, rotation, reference, authoritative) in any::<(u16, u16, u8, bool)>(),
        ) {
            let fields = Fields { reference, counts, required, rotation, authoritative };
            let one = Rendered::new(fields, &octets, &pointers, &optional);
            let memory = [one.memory(), one.memory()].concat();
            let (_, rest) = Body::read(&memory).unwrap();
            let (second, rest) = Body::read(rest).unwrap();
            prop_assert!(rest.is_empty());
            prop_assert_eq!(second.fields, fields);
            prop_assert_eq!(second.octets, &octets[..]);
            prop_assert!(second.pointers().eq(pointers.iter().map(|at| usize::from(*at))));
            prop_assert!(second.optional().eq(optional.iter().map(|&(end, records)| (usize::from(end), records))));
        }
    }
}
