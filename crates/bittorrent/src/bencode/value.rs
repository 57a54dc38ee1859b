//! A value read from octets, which it borrows.

/// A value as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// An integer.
    Integer(i64),
    /// A string: octets, often but not always UTF-8.
    Bytes(&'a [u8]),
    /// A list.
    List(Vec<Value<'a>>),
    /// A dictionary.
    Dictionary(Dictionary<'a>),
}

/// A dictionary as it was read: its keys, each once, and its octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dictionary<'a> {
    /// In order of the keys, whatever the order they were read in.
    entries: Vec<(&'a [u8], Value<'a>)>,
    octets: &'a [u8],
}

impl<'a> Value<'a> {
    /// The integer, if it is one.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Value::Integer(integer) => Some(*integer),
            _ => None,
        }
    }

    /// The string's octets, if it is one.
    pub fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The string, if it is one and is UTF-8.
    pub fn text(&self) -> Option<&'a str> {
        self.bytes().and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// The items, if it is a list.
    pub fn list(&self) -> Option<&[Value<'a>]> {
        match self {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The dictionary, if it is one.
    pub fn dictionary(&self) -> Option<&Dictionary<'a>> {
        match self {
            Value::Dictionary(dictionary) => Some(dictionary),
            _ => None,
        }
    }
}

impl<'a> Dictionary<'a> {
    /// `entries` are in order of their keys, each once.
    pub(super) fn new(entries: Vec<(&'a [u8], Value<'a>)>, octets: &'a [u8]) -> Self {
        Self { entries, octets }
    }

    /// The octets it was read from, from its `d` to its `e`.
    pub fn octets(&self) -> &'a [u8] {
        self.octets
    }

    /// All entries in order of their keys.
    pub fn entries(&self) -> &[(&'a [u8], Value<'a>)] {
        &self.entries
    }

    /// What stands under `key`.
    pub fn get(&self, key: &[u8]) -> Option<&Value<'a>> {
        let at = self.entries.binary_search_by(|(there, _)| (*there).cmp(key)).ok()?;
        self.entries.get(at).map(|(_, value)| value)
    }

    /// The integer under `key`.
    pub fn integer(&self, key: &[u8]) -> Option<i64> {
        self.get(key)?.integer()
    }

    /// The octets under `key`.
    pub fn bytes(&self, key: &[u8]) -> Option<&'a [u8]> {
        self.get(key)?.bytes()
    }

    /// The UTF-8 string under `key`.
    pub fn text(&self, key: &[u8]) -> Option<&'a str> {
        self.get(key)?.text()
    }

    /// The list under `key`.
    pub fn list(&self, key: &[u8]) -> Option<&[Value<'a>]> {
        self.get(key)?.list()
    }

    /// The dictionary under `key`.
    pub fn dictionary(&self, key: &[u8]) -> Option<&Dictionary<'a>> {
        self.get(key)?.dictionary()
    }
}
