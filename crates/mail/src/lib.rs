//! Mail rules without I/O: SMTP, IMAP, message structure, SASL.

pub mod message;
