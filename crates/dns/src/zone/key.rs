//! Names as the tables know them: lower-cased wire form on the stack, with the
//! places of its labels and a fast seeded hash.

/// Octets of the longest name (RFC 1035 section 3.1).
pub const NAME_OCTETS_MAX: usize = 255;
/// Labels of the longest name, the root's not counted.
pub const NAME_LABELS_MAX: usize = 127;

/// A name to look up. Two names are equal (RFC 4343) when their octets are.
///
/// The lengths stand first, so that a short name is one line of the cache.
#[derive(Clone)]
#[repr(C)]
pub struct Key {
    length: u8,
    labels: u8,
    octets: [u8; 256],
}

impl Default for Key {
    fn default() -> Self {
        Self { length: 1, labels: 0, octets: [0; 256] }
    }
}

impl Key {
    /// The key of a name in wire format; `None` where `wire` is no such name.
    pub fn from_wire(wire: &[u8]) -> Option<Self> {
        let mut key = Self::default();
        (key.read(wire, 0)? == wire.len()).then_some(key)
    }

    /// Reads the uncompressed name that stands at `at`; returns where it ends.
    /// A compression pointer, a label of more than 63 octets and a name of more
    /// than 255 octets are refused with `None`.
    #[inline]
    pub fn read(&mut self, message: &[u8], at: usize) -> Option<usize> {
        let mut end = at;
        let mut labels = 0;
        loop {
            let length = *message.get(end)? as usize;
            if length == 0 {
                break;
            }
            if length > 63 || end - at + length + 2 > NAME_OCTETS_MAX {
                return None;
            }
            labels += 1;
            end += length + 1;
        }
        end += 1;
        let name = message.get(at..end)?;
        lower_case(name, &mut self.octets);
        self.length = name.len() as u8;
        self.labels = labels as u8;
        Some(end)
    }

    /// The lower-cased octets.
    #[inline]
    pub fn octets(&self) -> &[u8] {
        &self.octets[..self.length as usize]
    }

    /// How many labels it has, the root's not counted.
    #[inline]
    pub fn labels(&self) -> usize {
        self.labels as usize
    }

    /// Its last `labels` labels; all of it when it has fewer.
    #[inline]
    pub fn suffix(&self, labels: usize) -> &[u8] {
        let mut rest = self.octets();
        for _ in labels..self.labels() {
            rest = parent(rest).unwrap_or(rest);
        }
        rest
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", display(self.octets()))
    }
}

/// A name of one `*` label below `encloser`, in `buffer` (RFC 4592 section 2.1.1);
/// `None` when that would be too long.
pub fn wildcard<'a>(encloser: &[u8], buffer: &'a mut [u8; 256]) -> Option<&'a [u8]> {
    let length = encloser.len() + 2;
    if length > NAME_OCTETS_MAX {
        return None;
    }
    buffer[..2].copy_from_slice(b"\x01*");
    buffer[2..length].copy_from_slice(encloser);
    Some(&buffer[..length])
}

/// Whether the name is a wildcard.
pub fn is_wildcard(name: &[u8]) -> bool {
    name.starts_with(b"\x01*")
}

/// The name without its first label; `None` for the root.
pub fn parent(name: &[u8]) -> Option<&[u8]> {
    match name.first().copied() {
        None | Some(0) => None,
        Some(length) => name.get(length as usize + 1..),
    }
}

/// How many labels the name has, the root's not counted.
pub fn label_count(name: &[u8]) -> usize {
    std::iter::successors(Some(name), |rest| parent(rest)).count().saturating_sub(1)
}

/// Whether `name` is `ancestor` or lies below it; both lower-cased.
pub fn is_within(name: &[u8], ancestor: &[u8]) -> bool {
    std::iter::successors(Some(name), |rest| parent(rest)).any(|suffix| suffix == ancestor)
}

/// The name in presentation form, for messages to people.
pub fn display(name: &[u8]) -> String {
    domain::base::Name::from_octets(name).map_or_else(
        |_| "?".to_owned(),
        |name| {
            let text = name.to_string();
            if text.ends_with('.') { text } else { text + "." }
        },
    )
}

/// A seeded hash by folded multiplication: the quality is that of foldhash, and
/// with an unpredictable seed nobody can choose names that collide.
#[inline]
pub fn hash(seed: u64, name: &[u8]) -> u64 {
    const FIRST: u64 = 0x9E37_79B9_7F4A_7C15;
    const SECOND: u64 = 0xD6E8_FEB8_6659_FD93;
    let mut state = seed ^ (name.len() as u64).wrapping_mul(SECOND);
    let mut words = name.chunks_exact(8);
    for word in &mut words {
        state = fold(state ^ word_of(word), FIRST);
    }
    let rest = words.remainder().len();
    let rest = match name.last_chunk::<8>() {
        // The last octets of the last word, the first of it cut off.
        Some(_) if rest == 0 => 0,
        Some(last) => u64::from_le_bytes(*last) >> (64 - rest * 8),
        None => name.iter().rev().fold(0, |word, &octet| word << 8 | u64::from(octet)),
    };
    fold(fold(state ^ rest, FIRST), seed | 1)
}

/// Whether two names are the same octets. Most names are short: a call of
/// `memcmp` for each would cost more than the comparison.
#[inline]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    let (Some(a_last), Some(b_last)) = (a.last_chunk::<8>(), b.last_chunk::<8>()) else { return a == b };
    a.len() == b.len()
        && a_last == b_last
        && a.chunks_exact(8).zip(b.chunks_exact(8)).all(|(a, b)| word_of(a) == word_of(b))
}

/// Copies a name, its ASCII letters in lower case, eight octets at a time.
/// Length octets are below 64 and so no letters.
#[inline]
fn lower_case(name: &[u8], to: &mut [u8; 256]) {
    let to = &mut to[..name.len()];
    if let (Some(last), Some(to_last)) = (name.last_chunk::<8>(), to.last_chunk_mut::<8>()) {
        // What the words below leave over; it may overlap with the last of them.
        *to_last = lower_case_word(u64::from_le_bytes(*last)).to_le_bytes();
        for (word, to) in name.chunks_exact(8).zip(to.chunks_exact_mut(8)) {
            to.copy_from_slice(&lower_case_word(word_of(word)).to_le_bytes());
        }
    } else {
        for (octet, to) in name.iter().zip(to) {
            *to = octet.to_ascii_lowercase();
        }
    }
}

/// Sets the bit that makes a letter small in each octet from `A` to `Z`.
#[inline]
fn lower_case_word(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let low = word & (0x7F * EACH);
    // The highest bit of each octet says whether its lower seven are at least …
    let from_a = low + u64::from(0x80 - b'A') * EACH;
    let beyond_z = low + u64::from(0x7F - b'Z') * EACH;
    word | (from_a & !beyond_z & !word & (0x80 * EACH)) >> 2
}

/// The next eight octets as a number.
#[inline]
fn word_of(octets: &[u8]) -> u64 {
    octets.first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn words_are_as_their_octets(
            octets in proptest::collection::vec(any::<u8>(), 0..40),
            other in any::<u8>(),
            at in any::<usize>(),
        ) {
            let mut lower = [0xFF; 256];
            lower_case(&octets, &mut lower);
            prop_assert_eq!(&lower[..octets.len()], octets.to_ascii_lowercase());
            prop_assert!(lower[octets.len()..].iter().all(|octet| *octet == 0xFF));

            prop_assert!(same(&octets, &octets.clone()));
            let mut changed = octets.clone();
            changed.push(other);
            prop_assert!(!same(&octets, &changed));
            let at = at % changed.len();
            let before = changed.clone();
            changed[at] ^= 1;
            prop_assert!(!same(&before, &changed));
            prop_assert_ne!(hash(7, &before), hash(7, &changed));
        }
    }

    #[test]
    fn reads_and_lower_cases() {
        let mut key = Key::default();
        let message = b"xx\x03wWw\x07Example\x00rest";
        assert_eq!(key.read(message, 2), Some(15));
        assert_eq!(key.octets(), b"\x03www\x07example\x00");
        assert_eq!(key.labels(), 2);
        assert_eq!(key.suffix(1), b"\x07example\x00");
        assert_eq!(key.suffix(0), b"\x00");
        assert_eq!(key.suffix(9), key.octets());
    }

    #[test]
    fn refuses_what_is_no_name() {
        for bad in [&b""[..], b"\x03ww", b"\xc0\x0c", b"\x40", b"\x01a"] {
            assert!(Key::from_wire(bad).is_none(), "{bad:?}");
        }
        // 127 labels of one octet are the most there can be: 255 octets.
        let mut longest: Vec<u8> = b"\x01a".repeat(127);
        longest.push(0);
        assert_eq!(Key::from_wire(&longest).unwrap().labels(), NAME_LABELS_MAX);
        let mut beyond: Vec<u8> = b"\x01a".repeat(128);
        beyond.push(0);
        assert!(Key::from_wire(&beyond).is_none());
    }

    #[test]
    fn ancestors() {
        assert!(is_within(b"\x01a\x01b\x00", b"\x01b\x00"));
        assert!(is_within(b"\x01b\x00", b"\x01b\x00"));
        assert!(is_within(b"\x01b\x00", b"\x00"));
        assert!(!is_within(b"\x02ab\x00", b"\x01b\x00"));
        assert_eq!(label_count(b"\x01a\x01b\x00"), 2);
        assert_eq!(label_count(b"\x00"), 0);
    }
}
