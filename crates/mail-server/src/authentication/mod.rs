//! Sender authentication: SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 9989),
//! and the Authentication-Results field that tells of them (RFC 8601).
//!
//! DKIM and DMARC are evaluated by `mail-auth`, whose look-ups are answered out
//! of a cache that our own resolver fills; SPF is evaluated here, on
//! `mail-auth`'s parser.

mod cache;
mod lookup;
mod sign;
mod spf;
#[cfg(test)]
mod tests;
mod verify;

pub(crate) use lookup::{Lookup, LookupError};
pub use sign::{Algorithm, DkimKey, DkimKeyError, DkimSigner, generate_dkim};
pub use verify::{Arrival, Authentication, Disposition, Verdict};
