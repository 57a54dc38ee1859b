//! Queries and their arguments.

use super::args;
use super::message::{ErrorReply, code, readable};
use super::octets_of;
use crate::bencode::{Dictionary, Item, Value};
use crate::dht::contact::Family;
use crate::dht::id::Id;

/// A query (BEP 5, "DHT Queries").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Who asks.
    pub id: Id,
    /// What for.
    pub method: Method,
}

/// Which families of nodes a reply should hold (BEP 32, "want").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Want {
    /// `n4`: IPv4 nodes.
    pub v4: bool,
    /// `n6`: IPv6 nodes.
    pub v6: bool,
}

/// What a query asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// Whether the node is there (BEP 5).
    Ping,
    /// The nodes closest to `target` (BEP 5).
    FindNode {
        /// The id looked for.
        target: Id,
        /// Of which families.
        want: Want,
    },
    /// Peers of a torrent (BEP 5).
    GetPeers(GetPeers),
    /// The sender has a peer of a torrent (BEP 5).
    AnnouncePeer {
        /// The torrent.
        info_hash: Id,
        /// The peer's port; `None` for the port the query comes from
        /// (`implied_port`).
        port: Option<u16>,
        /// What this node gave the sender in reply to `get_peers`.
        token: Vec<u8>,
        /// Whether the peer has all of the torrent (BEP 33).
        seed: bool,
    },
    /// An item (BEP 44).
    Get {
        /// Where the item lies.
        target: Id,
        /// The value is of use only if its sequence number is greater.
        newer_than: Option<i64>,
        /// Of which families nodes are wanted.
        want: Want,
    },
    /// Store an item (BEP 44). Boxed: it is rare and large.
    Put(Box<PutArgs>),
    /// Some of the torrents a node knows peers of (BEP 51).
    SampleInfohashes {
        /// Nodes close to it are wanted too.
        target: Id,
        /// Of which families.
        want: Want,
    },
    /// A method of another time. With a `target` or an `info_hash` it is
    /// answered like `find_node`, as libtorrent suggests for extensions to come.
    Other {
        /// Its name, at most 32 octets of it.
        name: String,
        /// What it is after.
        target: Option<Id>,
        /// Of which families nodes are wanted.
        want: Want,
    },
}

/// What `get_peers` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetPeers {
    /// The torrent.
    pub info_hash: Id,
    /// Of which families nodes are wanted.
    pub want: Want,
    /// Rather peers that are no seeds (BEP 33).
    pub no_seed: bool,
    /// Also filters that estimate how many peers there are (BEP 33).
    pub scrape: bool,
}

/// What `put` brings (BEP 44).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutArgs {
    /// What this node gave the sender in reply to `get`.
    pub token: Vec<u8>,
    /// The bencoded value as it came, not yet checked.
    pub value: Vec<u8>,
    /// For a mutable item.
    pub signature: Option<PutSignature>,
    /// The sequence number of the item to be replaced.
    pub cas: Option<i64>,
}

/// What makes an item mutable (BEP 44, "Mutable Items").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutSignature {
    /// `k`: the public key.
    pub key: [u8; 32],
    /// `salt`, not yet checked.
    pub salt: Vec<u8>,
    /// `seq`.
    pub sequence: i64,
    /// `sig`, not yet checked.
    pub signature: [u8; 64],
}

/// Octets of an unknown method's name that are kept.
const NAME_OCTETS_MAX: usize = 32;

impl Want {
    /// Both families.
    pub const BOTH: Self = Self { v4: true, v6: true };

    fn read(args: &Dictionary<'_>) -> Self {
        let list = args.list(b"want").unwrap_or_default();
        let has = |name: &[u8]| list.iter().any(|entry| entry.bytes() == Some(name));
        Self { v4: has(b"n4"), v6: has(b"n6") }
    }

    fn item(self) -> Option<(&'static str, Item)> {
        let mut list = Vec::new();
        for (wanted, name) in [(self.v4, "n4"), (self.v6, "n6")] {
            if wanted {
                list.push(Item::from(name));
            }
        }
        (!list.is_empty()).then_some(("want", Item::List(list)))
    }

    /// The families to reply with to somebody of `family`: what is asked for,
    /// else the asker's own (BEP 32, "find_nodes and get_peers").
    pub fn families(self, family: Family) -> Want {
        if self == Want::default() {
            Want { v4: family == Family::V4, v6: family == Family::V6 }
        } else {
            self
        }
    }
}

impl Method {
    /// Its name on the wire.
    pub fn name(&self) -> &str {
        match self {
            Method::Ping => "ping",
            Method::FindNode { .. } => "find_node",
            Method::GetPeers(_) => "get_peers",
            Method::AnnouncePeer { .. } => "announce_peer",
            Method::Get { .. } => "get",
            Method::Put(_) => "put",
            Method::SampleInfohashes { .. } => "sample_infohashes",
            Method::Other { name, .. } => name,
        }
    }

    fn read(name: &[u8], args: &Dictionary<'_>) -> Result<Self, ErrorReply> {
        let want = Want::read(args);
        Ok(match name {
            b"ping" => Method::Ping,
            b"find_node" => Method::FindNode { target: args::id(args, "target")?, want },
            b"get_peers" => Method::GetPeers(GetPeers {
                info_hash: args::id(args, "info_hash")?,
                want,
                no_seed: args::flag(args, "noseed"),
                scrape: args::flag(args, "scrape"),
            }),
            b"announce_peer" => Method::AnnouncePeer {
                info_hash: args::id(args, "info_hash")?,
                port: if args::flag(args, "implied_port") { None } else { Some(args::port(args)?) },
                token: args::token(args)?,
                seed: args::flag(args, "seed"),
            },
            b"get" => {
                Method::Get { target: args::id(args, "target")?, newer_than: args.integer(b"seq"), want }
            }
            b"put" => Method::Put(Box::new(PutArgs::read(args)?)),
            b"sample_infohashes" => Method::SampleInfohashes { target: args::id(args, "target")?, want },
            other => {
                let target = args::id(args, "target").or_else(|_| args::id(args, "info_hash")).ok();
                Method::Other { name: readable(other, NAME_OCTETS_MAX), target, want }
            }
        })
    }
}

impl PutArgs {
    fn read(args: &Dictionary<'_>) -> Result<Self, ErrorReply> {
        let value = args.get(b"v").ok_or_else(|| ErrorReply::new(code::PROTOCOL, "missing 'v'"))?;
        let signature = if args.get(b"k").is_some() {
            Some(PutSignature {
                key: args::exactly(args, "k")?,
                salt: args.bytes(b"salt").unwrap_or_default().to_vec(),
                sequence: args::integer(args, "seq")?,
                signature: args::exactly(args, "sig")?,
            })
        } else {
            None
        };
        Ok(Self { token: args::token(args)?, value: octets_of(value), signature, cas: args.integer(b"cas") })
    }
}

impl Query {
    pub(super) fn read(message: &Dictionary<'_>) -> Result<Self, ErrorReply> {
        let missing = |text: &str| ErrorReply::new(code::PROTOCOL, text);
        let name = message.get(b"q").and_then(Value::bytes).ok_or_else(|| missing("missing 'q'"))?;
        let args = message.dictionary(b"a").ok_or_else(|| missing("missing 'a'"))?;
        Ok(Self { id: args::id(args, "id")?, method: Method::read(name, args)? })
    }

    pub(super) fn args(&self) -> Item {
        let id = |id: &Id| Item::from(id.as_ref());
        let mut entries = vec![("id", id(&self.id))];
        match &self.method {
            Method::Ping => {}
            Method::FindNode { target, want } | Method::SampleInfohashes { target, want } => {
                entries.push(("target", id(target)));
                entries.extend(want.item());
            }
            Method::GetPeers(get) => {
                entries.push(("info_hash", id(&get.info_hash)));
                entries.extend(get.want.item());
                entries.extend(get.no_seed.then_some(("noseed", 1.into())));
                entries.extend(get.scrape.then_some(("scrape", 1.into())));
            }
            Method::AnnouncePeer { info_hash, port, token, seed } => {
                entries.extend([("info_hash", id(info_hash)), ("token", token.clone().into())]);
                // Where the port is implied, one must still be there.
                entries.push(("port", i64::from(port.unwrap_or(1)).into()));
                entries.extend(port.is_none().then_some(("implied_port", 1.into())));
                entries.extend(seed.then_some(("seed", 1.into())));
            }
            Method::Get { target, newer_than, want } => {
                entries.push(("target", id(target)));
                entries.extend(newer_than.map(|sequence| ("seq", sequence.into())));
                entries.extend(want.item());
            }
            Method::Put(put) => {
                entries.push(("token", put.token.clone().into()));
                entries.push(("v", Item::Encoded(put.value.clone())));
                entries.extend(put.cas.map(|cas| ("cas", cas.into())));
                if let Some(signature) = &put.signature {
                    entries.push(("k", signature.key.as_slice().into()));
                    entries.push(("seq", signature.sequence.into()));
                    entries.push(("sig", signature.signature.as_slice().into()));
                    if !signature.salt.is_empty() {
                        entries.push(("salt", signature.salt.clone().into()));
                    }
                }
            }
            Method::Other { target, want, .. } => {
                entries.extend(target.as_ref().map(|target| ("target", id(target))));
                entries.extend(want.item());
            }
        }
        Item::dictionary(entries)
    }
}
