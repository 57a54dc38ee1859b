//! MX, submission, queue, mailboxes, IMAP.
