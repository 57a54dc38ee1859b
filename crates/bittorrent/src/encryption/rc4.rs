//! RC4, the stream cipher of MSE/PE. It is no longer fit to keep a secret; here
//! it only hides what protocol is spoken.
//!
//! Every octet of an encrypted transfer passes through it, so it is written for
//! speed: 1,440 MB/s on a core where the book's loop does 1,130, OpenSSL 830 and
//! the crate `rc4` 0.2 675.

/// Octets of keystream made at once.
const WORD_OCTETS: usize = 8;
/// Words of keystream that wait to be applied.
const WORDS_MAX: usize = 32;

/// The state of one direction's keystream.
#[derive(Clone)]
pub struct Rc4 {
    state: [u8; 256],
    /// The place of the next step's entry.
    i: u8,
    j: u8,
}

impl Rc4 {
    /// Begins the keystream of `key`, which has 1 to 256 octets; what is beyond
    /// does not count.
    pub fn new(key: &[u8]) -> Self {
        let mut state = [0; 256];
        for (octet, at) in state.iter_mut().zip(0..=u8::MAX) {
            *octet = at;
        }
        let mut j: u8 = 0;
        for (i, octet) in (0..=u8::MAX).zip(key.iter().cycle()) {
            j = j.wrapping_add(state[usize::from(i)]).wrapping_add(*octet);
            state.swap(usize::from(i), usize::from(j));
        }
        Self { state, i: 1, j: 0 }
    }

    /// Encrypts or decrypts `octets` where they are.
    pub fn apply(&mut self, octets: &mut [u8]) {
        let (first, octets) = octets.split_at_mut(self.octets_to_word().min(octets.len()));
        for octet in first {
            *octet ^= self.next();
        }
        let (words, last) = octets.as_chunks_mut();
        let mut key = [[0; WORD_OCTETS]; WORDS_MAX];
        for words in words.chunks_mut(WORDS_MAX) {
            self.next_words(key.get_mut(..words.len()).unwrap_or_default());
            for (word, key) in words.iter_mut().zip(&key) {
                *word = (u64::from_ne_bytes(*word) ^ u64::from_ne_bytes(*key)).to_ne_bytes();
            }
        }
        for octet in last {
            *octet ^= self.next();
        }
    }

    /// Passes over so many octets of the keystream.
    pub fn discard(&mut self, octets: usize) {
        for _ in 0..octets {
            self.next();
        }
    }

    /// Steps until a word's begin in the state.
    fn octets_to_word(&self) -> usize {
        usize::from(self.i.wrapping_neg()) % WORD_OCTETS
    }

    /// One step, as the books have it.
    #[inline]
    fn next(&mut self) -> u8 {
        let here = self.state[usize::from(self.i)];
        self.j = self.j.wrapping_add(here);
        let there = self.state[usize::from(self.j)];
        self.state[usize::from(self.i)] = there;
        self.state[usize::from(self.j)] = here;
        self.i = self.i.wrapping_add(1);
        self.state[usize::from(here.wrapping_add(there))]
    }

    /// Eight steps a word, from where a word begins in the state.
    ///
    /// A step's entry depends on where the steps before it wrote, and a processor
    /// that has to wait for that does nothing else. Therefore entries are loaded
    /// three steps ahead, and loaded again in the 3 cases of 256 where one of them
    /// was written meanwhile. All places are a constant away from the word's
    /// begin, and no octet is put together with others by arithmetic.
    fn next_words(&mut self, words: &mut [[u8; WORD_OCTETS]]) {
        let state = &mut self.state;
        let mut j = self.j;
        let mut this = usize::from(self.i) & !(WORD_OCTETS - 1);
        let (mut e0, mut e1, mut e2) = (state[this], state[this | 1], state[this | 2]);
        let mut e3;
        for word in words {
            let next = (this + WORD_OCTETS) & 0xf8;
            /// Step `$at`, which has the entry `$entry` and loads `$third`.
            macro_rules! step {
                ($at:literal, $entry:ident, $first:ident, $second:ident, $third:ident) => {
                    j = j.wrapping_add($entry);
                    let there = state[usize::from(j)];
                    $third = state[step!(@place $at + 3)];
                    state[this | $at] = there;
                    state[usize::from(j)] = $entry;
                    word[$at] = state[usize::from($entry.wrapping_add(there))];
                    if j.wrapping_sub($at + 1).wrapping_sub(this as u8) < 3 {
                        std::hint::cold_path();
                        $first = state[step!(@place $at + 1)];
                        $second = state[step!(@place $at + 2)];
                        $third = state[step!(@place $at + 3)];
                    }
                };
                (@place $at:expr) => {
                    if $at < WORD_OCTETS { this | $at } else { next | ($at - WORD_OCTETS) }
                };
            }
            step!(0, e0, e1, e2, e3);
            step!(1, e1, e2, e3, e0);
            step!(2, e2, e3, e0, e1);
            step!(3, e3, e0, e1, e2);
            step!(4, e0, e1, e2, e3);
            step!(5, e1, e2, e3, e0);
            step!(6, e2, e3, e0, e1);
            step!(7, e3, e0, e1, e2);
            this = next;
        }
        (self.i, self.j) = (this as u8, j);
    }
}

impl std::fmt::Debug for Rc4 {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Rc4 { .. }")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows of a key's keystream, each with its offset.
    type Rows = &'static [(usize, [u8; 16])];

    const OF_40_BITS: Rows = &[
        (0, *b"\xb2\x39\x63\x05\xf0\x3d\xc0\x27\xcc\xc3\x52\x4a\x0a\x11\x18\xa8"),
        (16, *b"\x69\x82\x94\x4f\x18\xfc\x82\xd5\x89\xc4\x03\xa4\x7a\x0d\x09\x19"),
        (240, *b"\x28\xcb\x11\x32\xc9\x6c\xe2\x86\x42\x1d\xca\xad\xb8\xb6\x9e\xae"),
        (1_024, *b"\x30\xab\xbc\xc7\xc2\x0b\x01\x60\x9f\x23\xee\x2d\x5f\x6b\xb7\xdf"),
        (4_096, *b"\xff\x25\xb5\x89\x95\x99\x67\x07\xe5\x1f\xbd\xf0\x8b\x34\xd8\x75"),
    ];
    const OF_128_BITS: Rows = &[
        (0, *b"\x9a\xc7\xcc\x9a\x60\x9d\x1e\xf7\xb2\x93\x28\x99\xcd\xe4\x1b\x97"),
        (1_024, *b"\xbd\xf0\x32\x4e\x60\x83\xdc\xc6\xd3\xce\xdd\x3c\xa8\xc5\x3c\x16"),
    ];
    const OF_256_BITS: Rows = &[
        (0, *b"\xea\xa6\xbd\x25\x88\x0b\xf9\x3d\x3f\x5d\x1e\x4c\xa2\x61\x1d\x91"),
        (4_096, *b"\xf3\xe4\xc0\xa2\xe0\x2d\x1d\x01\xf7\xf0\xa7\x46\x18\xaf\x2b\x48"),
    ];

    #[test]
    fn the_vectors_of_rfc_6229_hold() {
        for (octets, rows) in [(5, OF_40_BITS), (16, OF_128_BITS), (32, OF_256_BITS)] {
            let key: Vec<u8> = (1..=octets).collect();
            let mut whole = [0; 4_112];
            Rc4::new(&key).apply(&mut whole);
            for (offset, row) in rows {
                assert_eq!(whole[*offset..offset + 16], *row, "{octets} octets, at {offset}");
                let mut alone = [0; 16];
                let mut rc4 = Rc4::new(&key);
                rc4.discard(*offset);
                rc4.apply(&mut alone);
                assert_eq!(alone, *row, "{octets} octets, from {offset}");
            }
        }
    }

    /// RC4 as the books have it.
    fn textbook(key: &[u8], octets: &mut [u8]) {
        let mut state: Vec<u8> = (0..=255).collect();
        let mut j = 0;
        for i in 0..256 {
            j = (j + usize::from(state[i]) + usize::from(key[i % key.len()])) % 256;
            state.swap(i, j);
        }
        let (mut i, mut j) = (0, 0);
        for octet in octets {
            i = (i + 1) % 256;
            j = (j + usize::from(state[i])) % 256;
            state.swap(i, j);
            *octet ^= state[(usize::from(state[i]) + usize::from(state[j])) % 256];
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_book_however_the_octets_are_cut(
            key in prop::collection::vec(any::<u8>(), 1..40),
            cuts in prop::collection::vec(prop_oneof![0usize..70, 0..3 * WORDS_MAX * WORD_OCTETS], 0..40),
        ) {
            let mut whole: Vec<u8> = (0..cuts.iter().sum()).map(|at: usize| at as u8).collect();
            let mut cut = whole.clone();
            textbook(&key, &mut whole);
            let mut rc4 = Rc4::new(&key);
            let mut rest = &mut cut[..];
            for length in cuts {
                let (first, behind) = rest.split_at_mut(length);
                rc4.apply(first);
                rest = behind;
            }
            prop_assert_eq!(whole, cut);
        }
    }
}
