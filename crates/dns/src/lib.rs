//! DNS rules without I/O: messages, zones, answers, update, transfer, the cache
//! and resolution. Bytes, time and randomness come in as arguments.
//!
//! Messages, record data, master files and TSIG are those of NLnet Labs'
//! `domain`; this crate adds what a server and a resolver decide.

pub mod answer;
pub mod cache;
pub mod journal;
pub mod master;
mod publish;
mod resolve;
pub mod resolver;
pub mod transfer;
pub mod tsig;
pub mod update;
pub mod update_request;
pub mod zone;

pub use publish::{Change, Publish, PublishError};
pub use resolve::{Resolution, Resolve, ResolveError};

use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;

/// A domain name, absolute, in wire format. Cloning shares the bytes.
pub type Name = domain::base::Name<Bytes>;
/// The data of a record.
pub type RecordData = domain::rdata::ZoneRecordData<Bytes, Name>;
/// A resource record.
pub type Record = domain::base::Record<Name, RecordData>;

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
