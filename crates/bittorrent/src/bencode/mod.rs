//! Bencoding (BEP 3): integers, strings, lists and dictionaries.
//!
//! [`decode`] reads octets from outside within [`Limits`] into a [`Value`] that
//! borrows from them and knows which octets it was read from, because an
//! info-hash is taken of the octets as they stand. [`Item`] is a value of our own
//! and is written in the one canonical form.

mod decode;
mod item;
mod value;

pub use decode::{DecodeError, KeyOrder, Limits, decode, decode_first};
pub use item::Item;
pub use value::{Dictionary, Value};
