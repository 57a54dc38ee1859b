//! Mail addresses as SMTP writes them: the grammar of RFC 5321 section 4.1.2,
//! with the UTF-8 of RFC 6531 section 3.3.

mod parse;
#[cfg(test)]
mod tests;

pub use parse::{HelloName, parse_path};

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Octets of a local part (RFC 5321 section 4.5.3.1.1).
pub const LOCAL_PART_OCTETS_MAX: usize = 64;
/// Octets of a domain (RFC 5321 section 4.5.3.1.2).
pub const DOMAIN_OCTETS_MAX: usize = 255;
/// Octets of a path with its angle brackets (RFC 5321 section 4.5.3.1.3).
pub const PATH_OCTETS_MAX: usize = 256;

/// What stands right of the `@`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Domain {
    /// A domain name, in lower case, without the final dot. May hold U-labels.
    Name(String),
    /// An address literal such as `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
    Literal(IpAddr),
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Domain::Name(name) => f.write_str(name),
            Domain::Literal(IpAddr::V4(address)) => write!(f, "[{address}]"),
            Domain::Literal(IpAddr::V6(address)) => write!(f, "[IPv6:{address}]"),
        }
    }
}

/// A mailbox's address: `Mailbox` in RFC 5321 section 4.1.2.
///
/// The local part is kept without its quoting, so that equal mailboxes compare
/// equal; [`fmt::Display`] quotes it again where it must be.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    local: String,
    domain: Domain,
}

impl Address {
    /// The local part without quoting, in the case its sender wrote it.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether it can travel without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.local.is_ascii() && !matches!(&self.domain, Domain::Name(name) if !name.is_ascii())
    }

    /// Whether it names the same mailbox on hosts that, as nearly all, ignore
    /// the case of the local part.
    pub fn is_same_mailbox(&self, other: &Address) -> bool {
        self.domain == other.domain && self.local.to_lowercase() == other.local.to_lowercase()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if parse::is_dot_string(&self.local) {
            f.write_str(&self.local)?;
        } else {
            f.write_str("\"")?;
            for c in self.local.chars() {
                if c == '"' || c == '\\' {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
            f.write_str("\"")?;
        }
        write!(f, "@{}", self.domain)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Reads a bare `local@domain`, without angle brackets.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        parse::parse_address(text)
    }
}

/// A path between angle brackets, in MAIL or RCPT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Path {
    /// `<>`, the null reverse-path of notifications.
    Null,
    /// `<Postmaster>`, which every server accepts without a domain.
    Postmaster,
    /// An address. A source route before it was ignored (RFC 5321 appendix C).
    Address(Address),
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Null => f.write_str("<>"),
            Path::Postmaster => f.write_str("<Postmaster>"),
            Path::Address(address) => write!(f, "<{address}>"),
        }
    }
}

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The local part does not follow the grammar.
    #[error("the local part before @ is not well formed")]
    Local,
    /// The domain does not follow the grammar.
    #[error("the domain after @ is not well formed")]
    Domain,
    /// There is no `@`.
    #[error("an address needs a local part, @ and a domain")]
    NoDomain,
    /// Angle brackets are missing or do not match.
    #[error("the address must stand between < and >")]
    Brackets,
    /// The local part is longer than [`LOCAL_PART_OCTETS_MAX`].
    #[error("the local part is longer than 64 octets")]
    LocalTooLong,
    /// The domain is longer than [`DOMAIN_OCTETS_MAX`].
    #[error("the domain is longer than 255 octets")]
    DomainTooLong,
    /// The path is longer than [`PATH_OCTETS_MAX`].
    #[error("the path is longer than 256 octets")]
    PathTooLong,
}
