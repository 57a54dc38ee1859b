//! SASL without I/O, for SMTP and IMAP: PLAIN (RFC 4616), SCRAM-SHA-256 (RFC
//! 5802, RFC 7677) and SASLprep (RFC 4013).

mod plain;
mod saslprep;
mod scram;

pub use plain::Plain;
pub use saslprep::saslprep;
pub use scram::{ScramClient, ScramKeys, ScramServer};

/// Octets of one SASL message; longer ones are refused.
pub const MESSAGE_OCTETS_MAX: usize = 4_096;

/// Why a login failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// The message does not follow the mechanism's grammar.
    #[error("the message does not follow the mechanism's grammar")]
    Malformed,
    /// The message is longer than [`MESSAGE_OCTETS_MAX`].
    #[error("the message is too long")]
    TooLong,
    /// The name or password holds characters that SASLprep prohibits.
    #[error("the name or password holds characters that are not allowed")]
    Prohibited,
    /// The client asks for channel binding or an extension that is not offered.
    #[error("an extension was asked for that is not offered")]
    Unsupported,
    /// The proof is wrong: another password, or another server.
    #[error("the proof is wrong")]
    Mismatch,
}
