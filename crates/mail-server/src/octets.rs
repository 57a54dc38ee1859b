//! The form of stored records: a version octet, then fields; numbers as LEB128,
//! strings with their length before. Reading is total: what was not written by
//! this code gives `None`.

/// The version that is written.
const VERSION: u8 = 1;

/// Writes one record.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new() -> Self {
        Writer(vec![VERSION])
    }

    pub(crate) fn number(&mut self, number: impl Into<u64>) -> &mut Self {
        let mut rest = number.into();
        while rest >= 0x80 {
            self.0.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
        self
    }

    /// Numbers near zero on both sides stay short.
    pub(crate) fn signed(&mut self, number: i64) -> &mut Self {
        self.number(((number << 1) ^ (number >> 63)).cast_unsigned())
    }

    pub(crate) fn octets(&mut self, octets: &[u8]) -> &mut Self {
        self.0.extend_from_slice(octets);
        self
    }

    pub(crate) fn string(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u64).octets(text.as_bytes())
    }

    /// The record.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads one record; every method gives `None` where the record does not go on so.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Option<Self> {
        match octets.split_first()? {
            (&VERSION, rest) => Some(Reader(rest)),
            _ => None,
        }
    }

    pub(crate) fn long(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let (&octet, rest) = self.0.split_first()?;
            self.0 = rest;
            let part = u64::from(octet & 0x7f);
            if part << shift >> shift != part {
                return None;
            }
            number |= part << shift;
            if octet & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(crate) fn int(&mut self) -> Option<u32> {
        self.long()?.try_into().ok()
    }

    pub(crate) fn signed(&mut self) -> Option<i64> {
        let number = self.long()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (octets, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*octets)
    }

    pub(crate) fn string(&mut self) -> Option<String> {
        let length = usize::try_from(self.long()?).ok()?;
        let (octets, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(octets.to_vec()).ok()
    }

    /// Each element takes at least one octet, so a lying count ends early.
    pub(crate) fn list<T>(&mut self, mut element: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.long()?;
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(element(self)?);
        }
        Some(list)
    }

    pub(crate) fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}
