//! MX, submission, queue, mailboxes, IMAP.

pub mod accounts;
pub mod authentication;
pub mod imap;
pub mod mailbox;
mod octets;
pub mod queue;
pub mod smtp;
