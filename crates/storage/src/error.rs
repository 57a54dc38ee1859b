//! What can go wrong with stored state.

use std::path::PathBuf;

/// Why stored state could not be read or changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// The database or file system failed; nothing was changed.
    #[error("{place}: {reason}")]
    Failed {
        /// The file, table or blob concerned.
        place: String,
        /// Why.
        reason: String,
    },
    /// The disk is full, or what this user may use of it.
    #[error("{place}: there is no room left; make room on the disk, then go on")]
    NoRoom {
        /// The file concerned.
        place: String,
    },
    /// Content that was referred to is not there.
    #[error("content {0} is missing")]
    Missing(String),
    /// Something is larger than its bound; nothing was changed.
    #[error("{what} has {octets} octets, more than {limit} = {octets_max}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        octets: u64,
        /// The bound's name.
        limit: &'static str,
        /// The bound.
        octets_max: u64,
    },
    /// Another process works on this data folder.
    #[error(
        "{} is in use by process {pid}: stop that one first, or choose another data folder",
        folder.display()
    )]
    Locked {
        /// The data folder.
        folder: PathBuf,
        /// The other process's id, `unknown` while it is just starting.
        pid: String,
    },
    /// The configuration asks for what cannot be.
    #[error("[storage] {key} = {value}: must be at least 1")]
    Config {
        /// The key.
        key: &'static str,
        /// Its value.
        value: u64,
    },
    /// The writer has stopped.
    #[error("the storage is closed")]
    Closed,
}

impl StorageError {
    /// A failure at a named place.
    pub(crate) fn failed(place: impl ToString, reason: impl ToString) -> Self {
        StorageError::Failed { place: place.to_string(), reason: reason.to_string() }
    }
}
