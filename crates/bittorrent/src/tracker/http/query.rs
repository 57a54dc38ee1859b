//! The query of a URL: names, values, and octets in percent form (RFC 3986
//! section 2.1).

/// The pairs of a query, in their order; values are still escaped.
#[derive(Debug, Clone)]
pub struct Pairs<'a>(Option<&'a [u8]>);

impl<'a> Pairs<'a> {
    /// The pairs of what stands behind the `?`.
    pub fn of(query: &'a [u8]) -> Self {
        Self(Some(query))
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.0?;
        let (pair, rest) = split(rest, b'&');
        self.0 = rest;
        let (name, value) = split(pair, b'=');
        Some((name, value.unwrap_or_default()))
    }
}

fn split(octets: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match octets.iter().position(|octet| *octet == at) {
        Some(place) => (&octets[..place], Some(&octets[place + 1..])),
        None => (octets, None),
    }
}

/// The octets of an escaped value that are exactly `N`; `None` where they are
/// more or fewer, or the form is broken. A `+` stands for itself.
pub(super) fn exactly<const N: usize>(value: &[u8]) -> Option<[u8; N]> {
    let mut out = [0; N];
    let mut octets = value.iter();
    for place in &mut out {
        *place = unescape_one(&mut octets)?;
    }
    octets.next().is_none().then_some(out)
}

/// The octets of an escaped value, at most `octets_max`; `None` where they are
/// more, or the form is broken.
pub(super) fn at_most(value: &[u8], octets_max: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(value.len().min(octets_max));
    let mut octets = value.iter();
    while octets.len() > 0 {
        if out.len() == octets_max {
            return None;
        }
        out.push(unescape_one(&mut octets)?);
    }
    Some(out)
}

#[inline]
fn unescape_one(octets: &mut std::slice::Iter<'_, u8>) -> Option<u8> {
    let octet = *octets.next()?;
    if octet != b'%' {
        return Some(octet);
    }
    let mut digit = || char::from(*octets.next()?).to_digit(16);
    Some((digit()? << 4 | digit()?) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::percent;
    use proptest::prelude::*;

    #[test]
    fn pairs_are_read_as_they_stand() {
        let pairs: Vec<_> = Pairs::of(b"a=1&b&&c=%20=x&").collect();
        let expected: [(&[u8], &[u8]); 5] =
            [(b"a", b"1"), (b"b", b""), (b"", b""), (b"c", b"%20=x"), (b"", b"")];
        assert_eq!(pairs, expected);
    }

    #[test]
    fn a_value_has_exactly_so_many_octets() {
        assert_eq!(exactly(b"a%2fb"), Some(*b"a/b"));
        assert_eq!(exactly(b"a+%2F"), Some(*b"a+/"));
        assert_eq!(exactly::<3>(b"ab"), None);
        assert_eq!(exactly::<3>(b"abcd"), None);
        assert_eq!(exactly::<1>(b"%2"), None);
        assert_eq!(exactly::<1>(b"%zz"), None);
        assert_eq!(at_most(b"a%00", 2), Some(b"a\0".to_vec()));
        assert_eq!(at_most(b"abc", 2), None);
        assert_eq!(at_most(b"%", 2), None);
    }

    proptest! {
        #[test]
        fn what_is_escaped_reads_the_same(octets in any::<[u8; 20]>()) {
            let mut text = String::new();
            percent::encode(&octets, &mut text);
            prop_assert_eq!(exactly(text.as_bytes()), Some(octets));
            prop_assert_eq!(at_most(text.as_bytes(), 20), Some(octets.to_vec()));
        }
    }
}
