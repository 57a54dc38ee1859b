//! Names as the tables know them: lower-cased wire form on the stack, with the
//! places of its labels and a fast seeded hash.

/// Octets of the longest name (RFC 1035 section 3.1).
pub const NAME_OCTETS_MAX: usize = 255;
/// Labels of the longest name, the root's not counted.
pub const NAME_LABELS_MAX: usize = 127;

/// A name to look up. Two names are equal (RFC 4343) when their octets are.
#[derive(Clone)]
pub struct Key {
    octets: [u8; 256],
    length: u8,
    /// Where each label begins; the root label is not listed.
    offsets: [u8; 128],
    labels: u8,
}

impl Default for Key {
    fn default() -> Self {
        Self { octets: [0; 256], length: 1, offsets: [0; 128], labels: 0 }
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
            self.offsets[labels] = (end - at) as u8;
            labels += 1;
            end += length + 1;
        }
        end += 1;
        let name = message.get(at..end)?;
        let copy = &mut self.octets[..name.len()];
        copy.copy_from_slice(name);
        // Length octets are below 64 and so no letters.
        copy.make_ascii_lowercase();
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
        let skipped = self.labels().saturating_sub(labels);
        let start = if skipped == self.labels() { self.length - 1 } else { self.offsets[skipped] };
        &self.octets[start as usize..self.length as usize]
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
        let mut octets = [0; 8];
        octets.copy_from_slice(word);
        state = fold(state ^ u64::from_le_bytes(octets), FIRST);
    }
    let rest = words.remainder();
    let mut octets = [0; 8];
    octets[..rest.len()].copy_from_slice(rest);
    fold(fold(state ^ u64::from_le_bytes(octets), FIRST), seed | 1)
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

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
