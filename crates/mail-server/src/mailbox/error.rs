//! What can go wrong in the message store.

use storage::StorageError;

/// Why mailboxes or messages could not be read or changed; nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MailboxError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// There is no such account.
    #[error("there is no such account")]
    NoAccount,
    /// There is no such mailbox (NONEXISTENT).
    #[error("there is no mailbox {0}")]
    NoMailbox(String),
    /// A mailbox of that name is there already (ALREADYEXISTS).
    #[error("a mailbox {0} is there already")]
    Exists(String),
    /// The name cannot be a mailbox's (CANNOT).
    #[error("{name:?} cannot be a mailbox's name: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// INBOX cannot be deleted, nor made anew (CANNOT).
    #[error("INBOX cannot be deleted or created")]
    Inbox,
    /// The account is full (OVERQUOTA; SMTP 452 4.2.2).
    #[error("the account is full: {used_octets} of {account_octets_max} octets used, {octets} more needed")]
    OverQuota {
        /// What it uses.
        used_octets: u64,
        /// What more it needs.
        octets: u64,
        /// What it may use.
        account_octets_max: u64,
    },
    /// Another bound is reached (LIMIT).
    #[error("{limit} = {max} is reached")]
    Limit {
        /// The bound's name.
        limit: &'static str,
        /// Its value.
        max: u64,
    },
    /// A stored record cannot be read: it was written by a newer version, or
    /// the disk failed.
    #[error("a record of table {0} cannot be read: restore it from a backup, or run the newer version")]
    Unreadable(&'static str),
}
