//! Reading the arguments of a query: what is absent or of the wrong form gives
//! the error to reply with.

use super::message::{ErrorReply, code};
use crate::bencode::Dictionary;
use crate::dht::id::Id;

/// Octets of the longest write token that is handed back.
pub(super) const TOKEN_OCTETS_MAX: usize = 128;

fn wrong(text: &str) -> ErrorReply {
    ErrorReply { code: code::PROTOCOL, text: text.to_owned() }
}

pub(super) fn id(args: &Dictionary<'_>, key: &'static str) -> Result<Id, ErrorReply> {
    let octets = args.bytes(key.as_bytes()).ok_or_else(|| wrong(&format!("missing '{key}'")))?;
    Id::from_slice(octets).ok_or_else(|| wrong(&format!("'{key}' is not 20 octets long")))
}

pub(super) fn token(args: &Dictionary<'_>) -> Result<Vec<u8>, ErrorReply> {
    let token = args.bytes(b"token").ok_or_else(|| wrong("missing 'token'"))?;
    if token.len() > TOKEN_OCTETS_MAX { Err(wrong("invalid token")) } else { Ok(token.to_vec()) }
}

pub(super) fn exactly<const N: usize>(
    args: &Dictionary<'_>,
    key: &'static str,
) -> Result<[u8; N], ErrorReply> {
    let octets = args.bytes(key.as_bytes()).ok_or_else(|| wrong(&format!("missing '{key}'")))?;
    octets.try_into().map_err(|_| wrong(&format!("'{key}' is not {N} octets long")))
}

pub(super) fn integer(args: &Dictionary<'_>, key: &'static str) -> Result<i64, ErrorReply> {
    args.integer(key.as_bytes()).ok_or_else(|| wrong(&format!("missing '{key}'")))
}

pub(super) fn port(args: &Dictionary<'_>) -> Result<u16, ErrorReply> {
    let port = u16::try_from(integer(args, "port")?).unwrap_or(0);
    if port == 0 { Err(wrong("invalid port")) } else { Ok(port) }
}

pub(super) fn flag(args: &Dictionary<'_>, key: &str) -> bool {
    args.integer(key.as_bytes()).is_some_and(|flag| flag != 0)
}
