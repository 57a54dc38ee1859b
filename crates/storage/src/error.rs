//! What can go wrong with stored state.

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
    /// Content that was referred to is not there.
    #[error("content {0} is missing")]
    Missing(String),
    /// The writer has stopped.
    #[error("the storage is closed")]
    Closed,
}
