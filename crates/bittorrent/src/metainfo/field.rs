//! What stands in a dictionary of a metainfo.

use super::error::{Fault, MetainfoError, Within};
use crate::bencode::{Dictionary, Value};

/// The string under the first of `keys` that has one. Some writers put a string
/// that is known to be UTF-8 beside one of unknown encoding.
pub(super) fn first_bytes<'a>(dictionary: &Dictionary<'a>, keys: [&str; 2]) -> Option<&'a [u8]> {
    keys.iter().find_map(|key| dictionary.bytes(key.as_bytes()))
}

/// A text for people; what is no UTF-8 is replaced.
pub(super) fn first_text(dictionary: &Dictionary<'_>, keys: [&str; 2]) -> Option<String> {
    first_bytes(dictionary, keys).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// The integer that must be under `key`, within `from..=to`.
pub(super) fn integer_within(
    dictionary: &Dictionary<'_>,
    key: &str,
    from: u64,
    to: u64,
) -> Result<u64, MetainfoError> {
    let integer = match dictionary.get(key.as_bytes()) {
        None => return Err(Fault::Missing.at(key)),
        Some(Value::Integer(integer)) => *integer,
        Some(_) => return Err(Fault::Kind("number").at(key)),
    };
    match u64::try_from(integer) {
        Ok(number) if (from..=to).contains(&number) => Ok(number),
        _ => Err(Fault::OutOfRange(integer).at(key)),
    }
}

/// The strings of a list that is a path, at most `components_max`.
pub(super) fn path<'a>(
    list: &[Value<'a>],
    components_max: usize,
    key: &str,
) -> Result<Vec<&'a [u8]>, MetainfoError> {
    if list.len() > components_max {
        return Err(Fault::TooMuch(components_max as u64).at(key));
    }
    let component = |(index, value): (usize, &Value<'a>)| {
        value.bytes().ok_or(Fault::Kind("string").into()).within_item(key, index)
    };
    list.iter().enumerate().map(component).collect()
}
