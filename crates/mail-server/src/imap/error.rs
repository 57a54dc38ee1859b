//! What a client is told when something fails (response codes of RFC 9051
//! section 7.1 and RFC 5530).

use super::connection::End;
use crate::accounts::AccountError;
use crate::mailbox::MailboxError;

/// Why a command was not carried out.
#[derive(Debug)]
pub(super) enum Failure {
    /// Answered with a status, a response code and a text; the session goes on.
    Answer(&'static str, Option<&'static str>, String),
    /// The connection ends.
    End(End),
    /// The connection ends after a last word.
    Bye(&'static str),
}

impl Failure {
    pub(super) fn no(code: Option<&'static str>, text: impl Into<String>) -> Self {
        Failure::Answer("NO", code, text.into())
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        Failure::Answer("BAD", None, text.into())
    }

    /// Of APPEND, COPY and MOVE: a mailbox that is not there could be created.
    pub(super) fn try_create(name: &str) -> Self {
        Failure::no(Some("TRYCREATE"), format!("there is no mailbox {name}"))
    }

    pub(super) fn no_mailbox(name: &str) -> Self {
        Failure::no(Some("NONEXISTENT"), format!("there is no mailbox {name}"))
    }
}

impl From<End> for Failure {
    fn from(end: End) -> Self {
        Failure::End(end)
    }
}

impl From<MailboxError> for Failure {
    fn from(error: MailboxError) -> Self {
        let code = match &error {
            MailboxError::NoMailbox(_) => "NONEXISTENT",
            MailboxError::Exists(_) => "ALREADYEXISTS",
            MailboxError::BadName { .. } | MailboxError::Inbox => "CANNOT",
            MailboxError::OverQuota { .. } => "OVERQUOTA",
            MailboxError::Limit { .. } => "LIMIT",
            MailboxError::NoAccount => "AUTHORIZATIONFAILED",
            MailboxError::Unreadable(_) => "SERVERBUG",
            MailboxError::Storage(error) => return error.clone().into(),
        };
        Failure::no(Some(code), error.to_string())
    }
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Storage(error) => error.into(),
            AccountError::Mailbox(error) => error.into(),
            AccountError::Throttled { .. } => Failure::no(Some("LIMIT"), error.to_string()),
            AccountError::Busy => Failure::no(Some("INUSE"), error.to_string()),
            other => {
                tracing::error!(error = %other, "an account cannot be read");
                Failure::no(Some("SERVERBUG"), "the account cannot be read")
            }
        }
    }
}

impl From<storage::StorageError> for Failure {
    fn from(error: storage::StorageError) -> Self {
        // The details are the operator's, not the client's.
        tracing::error!(%error, "the storage failed an IMAP client");
        Failure::no(Some("UNAVAILABLE"), "the storage failed; try again later")
    }
}
