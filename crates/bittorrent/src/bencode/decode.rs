//! Reading a value from octets.

use super::{Dictionary, Value};
use thiserror::Error;

/// What a reader accepts.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Lists and dictionaries within one another.
    pub depth_max: usize,
    /// Integers, strings, lists and dictionaries in all, keys included.
    pub values_max: usize,
    /// Whether keys must be sorted.
    pub key_order: KeyOrder,
}

impl Limits {
    /// For small messages from the network: programs in the field do not all
    /// sort their keys.
    pub const MESSAGE: Self = Self { depth_max: 16, values_max: 20_000, key_order: KeyOrder::Any };
}

/// Whether the keys of a dictionary must be sorted as BEP 3 demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOrder {
    /// Out of order is an error.
    Sorted,
    /// Any order will do.
    Any,
}

/// Why octets are no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{reason} at octet {at}")]
pub struct DecodeError {
    /// Where, from 0.
    pub at: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

/// Reads one value that fills all of `octets`.
///
/// # Errors
/// When they are no bencoded value, are more than one, or exceed `limits`.
pub fn decode<'a>(octets: &'a [u8], limits: &Limits) -> Result<Value<'a>, DecodeError> {
    let (value, used) = decode_first(octets, limits)?;
    if used == octets.len() {
        Ok(value)
    } else {
        Err(DecodeError { at: used, reason: "octets behind the end of the value" })
    }
}

/// Reads the value that `octets` begin with, and how many of them it takes:
/// what follows is something else (the piece of BEP 9).
///
/// # Errors
/// When they begin with no bencoded value, or it exceeds `limits`.
pub fn decode_first<'a>(octets: &'a [u8], limits: &Limits) -> Result<(Value<'a>, usize), DecodeError> {
    let mut reader = Reader { octets, at: 0, values: 0, limits };
    let value = reader.value(0)?;
    Ok((value, reader.at))
}

/// Walks through the octets.
struct Reader<'a, 'l> {
    octets: &'a [u8],
    at: usize,
    /// How many values were begun.
    values: usize,
    limits: &'l Limits,
}

impl<'a> Reader<'a, '_> {
    fn error<T>(&self, reason: &'static str) -> Result<T, DecodeError> {
        Err(DecodeError { at: self.at, reason })
    }

    fn peek(&self) -> Result<u8, DecodeError> {
        match self.octets.get(self.at) {
            Some(octet) => Ok(*octet),
            None => self.error("the value is cut short"),
        }
    }

    /// Counts a value against the limit.
    fn begin(&mut self) -> Result<(), DecodeError> {
        self.values += 1;
        if self.values > self.limits.values_max { self.error("too many values") } else { Ok(()) }
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, DecodeError> {
        self.begin()?;
        match self.peek()? {
            b'i' => self.integer(),
            b'0'..=b'9' => Ok(Value::Bytes(self.string()?)),
            b'l' | b'd' if depth >= self.limits.depth_max => self.error("values nested too deeply"),
            b'l' => self.list(depth),
            b'd' => self.dictionary(depth),
            _ => self.error("expected an integer, a string, a list or a dictionary"),
        }
    }

    fn integer(&mut self) -> Result<Value<'a>, DecodeError> {
        self.at += 1;
        let begun = self.at;
        let negative = self.peek()? == b'-';
        if negative {
            self.at += 1;
        }
        let mut integer: i64 = 0;
        let first = self.at;
        while let digit @ b'0'..=b'9' = self.peek()? {
            let digit = i64::from(digit - b'0');
            // Counted downwards: there is one negative number more.
            let Some(next) = integer.checked_mul(10).and_then(|tens| tens.checked_sub(digit)) else {
                return self.error("an integer beyond 64 bits");
            };
            integer = next;
            self.at += 1;
        }
        let digits = self.at - first;
        if digits == 0 || self.peek()? != b'e' {
            return self.error("expected a digit");
        }
        let zero_led = digits > 1 && self.octets.get(first) == Some(&b'0');
        if zero_led || (negative && integer == 0) {
            self.at = begun;
            return self.error("an integer with a leading zero");
        }
        self.at += 1;
        if negative {
            return Ok(Value::Integer(integer));
        }
        match integer.checked_neg() {
            Some(integer) => Ok(Value::Integer(integer)),
            None => self.error("an integer beyond 64 bits"),
        }
    }

    fn string(&mut self) -> Result<&'a [u8], DecodeError> {
        let begun = self.at;
        let mut length: usize = 0;
        while let digit @ b'0'..=b'9' = self.peek()? {
            // A length of 20 digits cannot be right; so many octets are not here.
            let Some(next) = length.checked_mul(10).and_then(|tens| tens.checked_add((digit - b'0').into()))
            else {
                return self.error("a string longer than what is there");
            };
            length = next;
            self.at += 1;
        }
        let digits = self.at - begun;
        if digits == 0 || self.peek()? != b':' {
            return self.error("expected the length of a string and a colon");
        }
        if digits > 1 && self.octets.get(begun) == Some(&b'0') {
            self.at = begun;
            return self.error("a length with a leading zero");
        }
        let first = self.at + 1;
        let Some(bytes) = first.checked_add(length).and_then(|end| self.octets.get(first..end)) else {
            return self.error("a string longer than what is there");
        };
        self.at = first + length;
        Ok(bytes)
    }

    fn list(&mut self, depth: usize) -> Result<Value<'a>, DecodeError> {
        self.at += 1;
        let mut items = Vec::new();
        while self.peek()? != b'e' {
            items.push(self.value(depth + 1)?);
        }
        self.at += 1;
        Ok(Value::List(items))
    }

    fn dictionary(&mut self, depth: usize) -> Result<Value<'a>, DecodeError> {
        let begun = self.at;
        self.at += 1;
        let mut entries: Vec<(&'a [u8], Value<'a>)> = Vec::new();
        let mut sorted = true;
        while self.peek()? != b'e' {
            self.begin()?;
            let at = self.at;
            let key = self.string()?;
            let value = self.value(depth + 1)?;
            if entries.last().is_some_and(|(last, _)| *last >= key) {
                if self.limits.key_order == KeyOrder::Sorted {
                    self.at = at;
                    return self.error("a key that is there already or out of order");
                }
                sorted = false;
            }
            entries.push((key, value));
        }
        self.at += 1;
        if !sorted {
            entries.sort_by_key(|(key, _)| *key);
            if entries.windows(2).any(|pair| matches!(pair, [(one, _), (other, _)] if one == other)) {
                self.at = begun;
                return self.error("a dictionary with one key twice");
            }
        }
        let octets = self.octets.get(begun..self.at).unwrap_or_default();
        Ok(Value::Dictionary(Dictionary::new(entries, octets)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bencode::Item;
    use proptest::prelude::*;

    const STRICT: Limits = Limits { depth_max: 4, values_max: 20, key_order: KeyOrder::Sorted };

    fn reason(octets: &str) -> &'static str {
        decode(octets.as_bytes(), &STRICT).expect_err("refused").reason
    }

    #[test]
    fn values_of_the_specification_are_read() {
        let value = decode(b"d3:cow3:moo4:spaml1:a1:bi-3eee", &STRICT).expect("a value");
        let dictionary = value.dictionary().expect("a dictionary");
        assert_eq!(dictionary.text(b"cow"), Some("moo"));
        let list = dictionary.list(b"spam").expect("a list");
        assert_eq!(list[2].integer(), Some(-3));
        assert_eq!(dictionary.octets().len(), 30);
        assert_eq!(dictionary.get(b"pig"), None);
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        assert_eq!(reason("i03e"), "an integer with a leading zero");
        assert_eq!(reason("i-0e"), "an integer with a leading zero");
        assert_eq!(reason("i00e"), "an integer with a leading zero");
        assert_eq!(reason("ie"), "expected a digit");
        assert_eq!(reason("i-e"), "expected a digit");
        assert_eq!(reason("i1x"), "expected a digit");
        assert_eq!(reason("01:a"), "a length with a leading zero");
        assert_eq!(reason("1:ab"), "octets behind the end of the value");
        assert_eq!(reason("d1:b1:x1:a1:ye"), "a key that is there already or out of order");
        assert_eq!(reason("d1:a1:x1:a1:ye"), "a key that is there already or out of order");
        assert_eq!(reason("di1e1:xe"), "expected the length of a string and a colon");
        assert_eq!(reason("d1:ae"), "expected an integer, a string, a list or a dictionary");
        assert_eq!(reason("x"), "expected an integer, a string, a list or a dictionary");
        assert_eq!(reason(""), "the value is cut short");
        assert_eq!(reason("l1:a"), "the value is cut short");
        assert_eq!(reason("5:abc"), "a string longer than what is there");
        assert_eq!(reason("99999999999999999999999:a"), "a string longer than what is there");
        assert_eq!(reason("18446744073709551615:a"), "a string longer than what is there");
    }

    #[test]
    fn integers_reach_to_64_bits_and_no_further() {
        for integer in [i64::MIN, i64::MAX] {
            let octets = Item::Integer(integer).encode();
            assert_eq!(decode(&octets, &STRICT), Ok(Value::Integer(integer)));
        }
        assert_eq!(reason("i9223372036854775808e"), "an integer beyond 64 bits");
        assert_eq!(reason("i-9223372036854775809e"), "an integer beyond 64 bits");
    }

    #[test]
    fn depth_and_count_are_bounded() {
        assert!(decode(b"lllleeee", &STRICT).is_ok());
        assert_eq!(reason("llllleeeee"), "values nested too deeply");
        let hostile = "l".repeat(1_000_000);
        assert_eq!(reason(&hostile), "values nested too deeply");
        let items = |count: usize| format!("l{}e", "i1e".repeat(count));
        assert!(decode(items(19).as_bytes(), &STRICT).is_ok());
        assert_eq!(reason(&items(20)), "too many values");
    }

    #[test]
    fn any_order_of_keys_is_read_where_allowed_but_no_key_twice() {
        let value = decode(b"d1:bi2e1:ai1ee", &Limits::MESSAGE).expect("read");
        assert_eq!(value.dictionary().expect("a dictionary").integer(b"a"), Some(1));
        let twice = decode(b"d1:bi2e1:ai1e1:bi3ee", &Limits::MESSAGE).expect_err("refused");
        assert_eq!(twice.reason, "a dictionary with one key twice");
    }

    #[test]
    fn what_follows_a_first_value_is_left() {
        let (value, used) = decode_first(b"de rest", &Limits::MESSAGE).expect("a value");
        assert!(value.dictionary().is_some());
        assert_eq!(used, 2);
    }

    fn items() -> impl Strategy<Value = Item> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Item::Integer),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(Item::Bytes)
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let key = prop::collection::vec(any::<u8>(), 0..6);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Item::List),
                prop::collection::btree_map(key, inner, 0..6).prop_map(Item::Dictionary)
            ]
        })
    }

    fn owned(value: &Value<'_>) -> Item {
        match value {
            Value::Integer(integer) => Item::Integer(*integer),
            Value::Bytes(bytes) => Item::from(*bytes),
            Value::List(items) => Item::List(items.iter().map(owned).collect()),
            Value::Dictionary(dictionary) => Item::Dictionary(
                dictionary.entries().iter().map(|(key, value)| (key.to_vec(), owned(value))).collect(),
            ),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(item in items()) {
            let octets = item.encode();
            let limits = Limits { depth_max: 16, values_max: 10_000, key_order: KeyOrder::Sorted };
            prop_assert_eq!(owned(&decode(&octets, &limits).expect("canonical")), item);
        }

        #[test]
        fn what_is_read_strictly_writes_the_same(octets in "[ide0-9:l-]{0,24}") {
            if let Ok(value) = decode(octets.as_bytes(), &STRICT) {
                prop_assert_eq!(owned(&value).encode(), octets.as_bytes());
            }
        }
    }
}
