//! A value of our own, to be written.

use std::collections::BTreeMap;

/// A value to be written. Its form is canonical by construction: keys are sorted
/// and stand once, integers have no leading zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An integer.
    Integer(i64),
    /// A string.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Item>),
    /// A dictionary.
    Dictionary(BTreeMap<Vec<u8>, Item>),
    /// One value that is encoded already, e.g. an info dictionary whose hash
    /// counts.
    Encoded(Vec<u8>),
}

impl Item {
    /// A dictionary of these entries; of two with one key the later counts.
    pub fn dictionary<'k>(entries: impl IntoIterator<Item = (&'k str, Item)>) -> Self {
        let owned = entries.into_iter().map(|(key, item)| (key.as_bytes().to_vec(), item));
        Self::Dictionary(owned.collect())
    }

    /// Its octets.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_to(&mut out);
        out
    }

    /// Appends its octets.
    pub fn encode_to(&self, out: &mut Vec<u8>) {
        match self {
            Item::Integer(integer) => {
                out.push(b'i');
                out.extend_from_slice(integer.to_string().as_bytes());
                out.push(b'e');
            }
            Item::Bytes(bytes) => string(bytes, out),
            Item::List(items) => {
                out.push(b'l');
                for item in items {
                    item.encode_to(out);
                }
                out.push(b'e');
            }
            Item::Dictionary(entries) => {
                out.push(b'd');
                for (key, item) in entries {
                    string(key, out);
                    item.encode_to(out);
                }
                out.push(b'e');
            }
            Item::Encoded(octets) => out.extend_from_slice(octets),
        }
    }
}

fn string(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(bytes.len().to_string().as_bytes());
    out.push(b':');
    out.extend_from_slice(bytes);
}

impl From<i64> for Item {
    fn from(integer: i64) -> Self {
        Self::Integer(integer)
    }
}

impl From<&str> for Item {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

impl From<&[u8]> for Item {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Item {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<Item>> for Item {
    fn from(items: Vec<Item>) -> Self {
        Self::List(items)
    }
}
