//! Publishing records: what other trades need of the primary server.

use crate::{BoxFuture, Name, Record};
use domain::base::iana::Rtype;

/// Changes the zones of this host's primary server.
pub trait Publish: Send + Sync + 'static {
    /// Applies all changes as one update (RFC 2136 section 3.4.2). Resolves once
    /// they are durable and served.
    fn publish<'a>(&'a self, zone: &'a Name, changes: Vec<Change>)
    -> BoxFuture<'a, Result<(), PublishError>>;
}

/// One change to a zone.
#[derive(Debug, Clone)]
pub enum Change {
    /// Adds a record to its RRset.
    Add(Record),
    /// Deletes one record, its TTL aside.
    Delete(Record),
    /// Deletes an RRset.
    DeleteRrset(Name, Rtype),
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// This host is not primary for the zone.
    #[error("{zone} is not served here as a primary")]
    NotPrimary {
        /// The zone.
        zone: String,
    },
    /// A change would break the zone.
    #[error("{zone}: {reason}")]
    Refused {
        /// The zone.
        zone: String,
        /// Why.
        reason: String,
    },
    /// The change could not be made durable.
    #[error("{zone}: the change could not be stored: {reason}")]
    Storage {
        /// The zone.
        zone: String,
        /// Why.
        reason: String,
    },
}
