//! What all messages share: the transaction, the kind and the extensions of
//! the top-level dictionary.

use super::{Query, Response};
use crate::bencode::{DecodeError, Dictionary, Item, KeyOrder, Limits, Value, decode};
use crate::dht::contact;
use std::net::SocketAddr;
use thiserror::Error;

/// Octets of the longest datagram that is read. BEP 32 demands 1,024, an item
/// of BEP 44 with its signature and nodes of both families takes more.
pub const DATAGRAM_OCTETS_MAX: usize = 2_048;

/// Octets of the longest reply we send unless an item must be in it (BEP 32,
/// "Maximum packet size").
pub const REPLY_OCTETS_MAX: usize = 1_024;

/// Octets of the longest transaction id that is echoed.
pub const TRANSACTION_OCTETS_MAX: usize = 32;

/// Octets of an error's text that are kept.
const ERROR_TEXT_OCTETS_MAX: usize = 200;

/// Bounds of a message's structure; a `v` of BEP 44 may nest.
const LIMITS: Limits = Limits { depth_max: 16, values_max: 1_000, key_order: KeyOrder::Any };

/// Error codes.
pub mod code {
    /// Generic error (BEP 5).
    pub const GENERIC: i64 = 201;
    /// Server error (BEP 5): we cannot do it now.
    pub const SERVER: i64 = 202;
    /// Protocol error, such as a malformed packet, invalid arguments or a bad
    /// token (BEP 5).
    pub const PROTOCOL: i64 = 203;
    /// Method unknown (BEP 5).
    pub const METHOD_UNKNOWN: i64 = 204;
    /// The value is too big (BEP 44).
    pub const VALUE_TOO_BIG: i64 = 205;
    /// Invalid signature (BEP 44).
    pub const BAD_SIGNATURE: i64 = 206;
    /// The salt is too big (BEP 44).
    pub const SALT_TOO_BIG: i64 = 207;
    /// The stored sequence number is not the one to be replaced (BEP 44,
    /// "CAS").
    pub const CAS_MISMATCH: i64 = 301;
    /// The sequence number is less than the stored one (BEP 44).
    pub const OLD_SEQUENCE: i64 = 302;
}

/// One message (BEP 5, "KRPC Protocol").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `t`: chosen by who asks, echoed by who replies.
    pub transaction: Vec<u8>,
    /// `v`: the program and its version, where it tells.
    pub version: Option<[u8; 4]>,
    /// `ip` in replies: the address the other side sees us at (BEP 42,
    /// "Bootstrapping").
    pub your_address: Option<SocketAddr>,
    /// `ro` in queries: the sender does not reply to queries (BEP 43).
    pub read_only: bool,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// `y` is `q`.
    Query(Query),
    /// `y` is `r`. Boxed: it is far larger than the others.
    Response(Box<Response>),
    /// `y` is `e`.
    Error(ErrorReply),
}

/// Why a query was not fulfilled (BEP 5, "Errors").
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{code}: {text}")]
pub struct ErrorReply {
    /// One of [`code`], or any other.
    pub code: i64,
    /// For people.
    pub text: String,
}

/// Why octets are no message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// Longer than [`DATAGRAM_OCTETS_MAX`].
    #[error("a datagram of more than {DATAGRAM_OCTETS_MAX} octets")]
    TooLong,
    /// Not bencoded.
    #[error(transparent)]
    Bencode(#[from] DecodeError),
    /// Bencoded, but no message.
    #[error("no KRPC message: {0}")]
    NotKrpc(&'static str),
    /// A query with something missing or wrong in it: to be replied to.
    #[error("a malformed query: {reply}")]
    BadQuery {
        /// Its transaction.
        transaction: Vec<u8>,
        /// What to reply.
        reply: ErrorReply,
    },
}

impl Message {
    /// A message without extensions.
    pub fn new(transaction: impl Into<Vec<u8>>, body: Body) -> Self {
        Self { transaction: transaction.into(), version: None, your_address: None, read_only: false, body }
    }

    /// Reads a datagram.
    pub fn read(octets: &[u8]) -> Result<Self, ReadError> {
        if octets.len() > DATAGRAM_OCTETS_MAX {
            return Err(ReadError::TooLong);
        }
        let value = decode(octets, &LIMITS)?;
        let message = value.dictionary().ok_or(ReadError::NotKrpc("not a dictionary"))?;
        let transaction = message.bytes(b"t").ok_or(ReadError::NotKrpc("no transaction"))?;
        if transaction.len() > TRANSACTION_OCTETS_MAX {
            return Err(ReadError::NotKrpc("a transaction of too many octets"));
        }
        let body = match message.bytes(b"y") {
            Some(b"q") => Query::read(message)
                .map(Body::Query)
                .map_err(|reply| ReadError::BadQuery { transaction: transaction.to_vec(), reply })?,
            Some(b"r") => {
                let values = message.dictionary(b"r").ok_or(ReadError::NotKrpc("a response without 'r'"))?;
                let response = Response::read(values).ok_or(ReadError::NotKrpc("a response without 'id'"))?;
                Body::Response(Box::new(response))
            }
            Some(b"e") => Body::Error(ErrorReply::read(message)),
            _ => return Err(ReadError::NotKrpc("neither query nor response nor error")),
        };
        Ok(Self {
            transaction: transaction.to_vec(),
            version: message.bytes(b"v").and_then(|version| version.try_into().ok()),
            your_address: message.bytes(b"ip").and_then(contact::read_address),
            read_only: message.integer(b"ro") == Some(1),
            body,
        })
    }

    /// Its octets.
    pub fn encode(&self) -> Vec<u8> {
        let kind = match &self.body {
            Body::Query(_) => "q",
            Body::Response(_) => "r",
            Body::Error(_) => "e",
        };
        let mut entries = vec![("t", Item::from(self.transaction.clone())), ("y", kind.into())];
        match &self.body {
            Body::Query(query) => entries.extend([("q", query.method.name().into()), ("a", query.args())]),
            Body::Response(response) => entries.push(("r", response.values())),
            Body::Error(error) => {
                entries.push(("e", Item::List(vec![error.code.into(), error.text.as_str().into()])));
            }
        }
        if let Some(version) = &self.version {
            entries.push(("v", version.as_slice().into()));
        }
        if let Some(address) = &self.your_address {
            let mut octets = Vec::new();
            contact::write_address(address, &mut octets);
            entries.push(("ip", octets.into()));
        }
        if self.read_only {
            entries.push(("ro", 1.into()));
        }
        Item::dictionary(entries).encode()
    }
}

impl ErrorReply {
    /// An error of ours.
    pub fn new(code: i64, text: &str) -> Self {
        Self { code, text: text.to_owned() }
    }

    /// Some programs send no list, or one of other things: that is still an
    /// error.
    fn read(message: &Dictionary<'_>) -> Self {
        let list = message.list(b"e").unwrap_or_default();
        let text = list.get(1).and_then(Value::bytes).unwrap_or_default();
        Self {
            code: list.first().and_then(Value::integer).unwrap_or(code::GENERIC),
            text: readable(text, ERROR_TEXT_OCTETS_MAX),
        }
    }
}

/// At most `octets_max` octets of a text: whole characters, what is no UTF-8
/// replaced.
pub(super) fn readable(octets: &[u8], octets_max: usize) -> String {
    let octets = octets.get(..octets_max).unwrap_or(octets);
    let mut text = String::from_utf8_lossy(octets).into_owned();
    text.truncate(text.floor_char_boundary(octets_max));
    text
}
