//! Mail rules without I/O: SMTP, IMAP, message structure, SASL.

pub mod address;
pub mod dsn;
pub mod imap;
pub mod message;
pub mod sasl;
pub mod smtp;
