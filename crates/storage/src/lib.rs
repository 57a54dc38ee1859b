//! Durable state: ordered tables of bytes, and blobs. The only crate that opens
//! a data file.
//!
//! [`Storage::write`] hands a closure to the one writer, which gathers what is
//! waiting into one transaction and one sync, then answers all (group commit).
//! When it returns `Ok`, the change survives a power cut.
//!
//! Message bodies and other octets of any size are kept once, by content:
//! [`Storage::prepare`] makes them ready outside of the transaction,
//! [`Transaction::keep`] and [`Transaction::release`] count who refers to them.

mod error;
mod transaction;

pub use error::StorageError;
pub use transaction::{ContentId, Prepared, Table, Transaction};
