//! The octets a value was read from: what is hashed and signed (BEP 44,
//! "Messages").

use crate::bencode::Value;

/// The octets `value` was read from. Integers and strings have one form only,
/// dictionaries remember theirs.
pub(in crate::dht) fn octets_of(value: &Value<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    append(value, &mut out);
    out
}

/// Recursion is as deep as the reader's `depth_max`.
fn append(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Integer(integer) => out.extend_from_slice(format!("i{integer}e").as_bytes()),
        Value::Bytes(bytes) => {
            out.extend_from_slice(format!("{}:", bytes.len()).as_bytes());
            out.extend_from_slice(bytes);
        }
        Value::List(items) => {
            out.push(b'l');
            for item in items {
                append(item, out);
            }
            out.push(b'e');
        }
        Value::Dictionary(dictionary) => out.extend_from_slice(dictionary.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bencode::{Limits, decode};

    #[test]
    fn the_very_octets_are_given_back() {
        for octets in ["d1:bli1ei-2e3:abcd1:z0:1:yleee1:ai0ee", "i7e", "0:", "le", "li1el1:xee"] {
            let value = decode(octets.as_bytes(), &Limits::MESSAGE).expect("a value");
            assert_eq!(octets_of(&value), octets.as_bytes());
        }
    }
}
