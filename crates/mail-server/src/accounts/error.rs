//! What can go wrong with accounts.

use crate::mailbox::MailboxError;
use storage::StorageError;

/// Why an account could not be read, changed or logged in to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AccountError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The account's mailboxes could not be changed.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    /// There is no such account.
    #[error("there is no account {0}: `utopia user list` shows those there are")]
    NoAccount(String),
    /// There is such an account already.
    #[error("there is an account {0} already")]
    Exists(String),
    /// This cannot be an account's address.
    #[error("{address:?} cannot be an account's address: {reason}; write one like alice@example.org")]
    BadAddress {
        /// The address.
        address: String,
        /// Why.
        reason: String,
    },
    /// This cannot be a password.
    #[error("this cannot be a password: {0}")]
    BadPassword(&'static str),
    /// Too many logins failed.
    #[error("too many failed logins: try again in {retry_seconds} s")]
    Throttled {
        /// When to try again, in seconds from now.
        retry_seconds: u64,
    },
    /// Too many passwords wait to be checked.
    #[error("too many logins at once (hashes_waiting_max is reached): try again later")]
    Busy,
    /// A stored record cannot be read.
    #[error("a record of table {0} cannot be read: restore it from a backup, or run the newer version")]
    Unreadable(&'static str),
}
