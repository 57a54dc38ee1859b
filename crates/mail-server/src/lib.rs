//! MX, submission, queue, mailboxes, IMAP.

pub mod accounts;
pub mod authentication;
mod date;
pub mod directory;
pub mod imap;
pub mod mailbox;
mod octets;
pub mod queue;
pub mod smtp;
