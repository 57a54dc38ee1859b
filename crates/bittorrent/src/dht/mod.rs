//! The distributed hash table: peers without a tracker, and small items
//! (BEP 5, 32, 33, 42, 43, 44, 46, 51).
//!
//! [`Node`] is the state machine: datagrams, time and randomness go in,
//! datagrams and events come out. What it is made of can be used and tested
//! alone: messages ([`krpc`]), the routing table ([`Table`]), lookups, tokens,
//! and what is stored for others.

pub mod bloom;
pub mod contact;
mod hex;
pub mod id;
pub mod item;
pub mod item_store;
pub mod krpc;
pub mod lookup;
pub mod magnet;
mod node;
pub mod peer_store;
pub mod routing;
pub mod security;
pub mod source_limit;
pub mod token;
mod transaction;
pub mod votes;

pub use contact::{Contact, Family};
pub use id::Id;
pub use item::{Item, ItemError, MutableItem, PublicKey, SecretKey, Value};
pub use magnet::{TorrentKey, TorrentPointer};
pub use node::*;
pub use routing::{K, Table};
