//! MX, submission, queue, mailboxes, IMAP.

pub mod accounts;
pub mod mailbox;
