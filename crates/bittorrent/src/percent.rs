//! Percent-encoding (RFC 3986 section 2.1).

/// Appends octets so that they can stand anywhere in an address: all but
/// unreserved characters are encoded.
pub fn encode(octets: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    for octet in octets {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(*octet));
            }
            other => out.extend(['%', digit(other >> 4), digit(*other)]),
        }
    }
}

/// The octets that a path stands for; nothing where a `%` is not followed by two
/// hexadecimal digits.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    decoded(text, b'+')
}

/// The same for the value of a form: there `+` is a space.
pub fn decode_form(text: &str) -> Option<Vec<u8>> {
    decoded(text, b' ')
}

fn decoded(text: &str, plus: u8) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    let digit = |octet: Option<u8>| char::from(octet?).to_digit(16);
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => u8::try_from(digit(rest.next())? << 4 | digit(rest.next())?).ok()?,
            b'+' => plus,
            other => other,
        });
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn digits_are_needed() {
        assert_eq!(decode_form("a%20b+c%2bd%C3%a9"), Some("a b c+dé".into()));
        assert_eq!(decode("a%20b+c%2bd%C3%a9"), Some("a b+c+dé".into()));
        for wrong in ["%", "%2", "%2g", "%+1", "%é"] {
            assert_eq!(decode_form(wrong), None, "{wrong}");
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_reads_the_same(octets: Vec<u8>) {
            let mut text = String::new();
            encode(&octets, &mut text);
            prop_assert!(text.bytes().all(|octet| octet.is_ascii_graphic() && !b"&=?#/+ ".contains(&octet)));
            prop_assert_eq!(decode_form(&text), Some(octets.clone()));
            prop_assert_eq!(decode(&text), Some(octets));
        }
    }
}
