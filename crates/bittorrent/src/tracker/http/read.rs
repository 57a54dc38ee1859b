//! Replies as a client reads them: tolerant of what the field writes, within
//! bounds.

use crate::bencode::{DecodeError, Dictionary, Limits, Value, decode};
use crate::tracker::swarm::Counts;
use crate::tracker::{Family, TEXT_OCTETS_MAX, in_words, read_peer};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use thiserror::Error;

/// Octets of a reply; a client must not read more.
pub const REPLY_OCTETS_MAX: usize = 256 * 1024;
/// Peers read of one reply; further ones are left out.
pub const PEERS_READ_MAX: usize = 1_000;

/// A peer a tracker told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its id, in the form of dictionaries.
    pub peer_id: Option<[u8; 20]>,
}

/// The reply to an announce.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnnounceReply {
    /// Seconds until the next announce; 0 where it does not say.
    pub interval_seconds: u32,
    /// Seconds to wait at least.
    pub min_interval_seconds: Option<u32>,
    /// Peers that have all pieces, where it says.
    pub seeds: Option<u32>,
    /// Peers that have not, where it says.
    pub leechers: Option<u32>,
    /// To be sent back with the next announce.
    pub tracker_id: Option<Vec<u8>>,
    /// For people to read.
    pub warning: Option<String>,
    /// The address we are seen at (BEP 24).
    pub external_ip: Option<IpAddr>,
    /// Peers of both families; hosts given by name are left out.
    pub peers: Vec<Peer>,
}

/// The numbers of some torrents (BEP 48).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScrapeReply {
    /// Each torrent's.
    pub torrents: Vec<([u8; 20], Counts)>,
}

/// Why there is no reply to be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// The tracker says why.
    #[error("the tracker refuses: {reason}")]
    Failure {
        /// Why, for people to read.
        reason: String,
        /// When to try again, where it says (BEP 31); [`Duration::MAX`] is never.
        retry_in: Option<Duration>,
    },
    /// It is not bencoded.
    #[error("the reply is broken: {0}")]
    Bencode(#[from] DecodeError),
    /// It is longer than [`REPLY_OCTETS_MAX`].
    #[error("the reply is too long")]
    TooLong,
    /// It is bencoded, but no reply.
    #[error("the reply has no {0}")]
    Missing(&'static str),
}

impl AnnounceReply {
    /// Reads the body of a response.
    ///
    /// # Errors
    /// When it is a failure, or no reply.
    pub fn read(octets: &[u8]) -> Result<Self, ReplyError> {
        with_dictionary(octets, |reply| {
            let number = |key: &[u8]| reply.integer(key).and_then(|number| u32::try_from(number).ok());
            let mut peers = Vec::new();
            match reply.get(b"peers") {
                Some(Value::Bytes(compact)) => read_compact(Family::V4, compact, &mut peers),
                Some(Value::List(list)) => {
                    peers.extend(list.iter().filter_map(read_dictionary).take(PEERS_READ_MAX));
                }
                // A tracker with peers over IPv6 alone may leave the others out.
                _ if reply.get(b"peers6").is_some() || reply.get(b"interval").is_some() => {}
                _ => return Err(ReplyError::Missing("peers")),
            }
            if let Some(compact) = reply.bytes(b"peers6") {
                read_compact(Family::V6, compact, &mut peers);
            }
            let token = reply.bytes(b"tracker id").filter(|token| token.len() <= TEXT_OCTETS_MAX);
            Ok(Self {
                interval_seconds: number(b"interval").unwrap_or_default(),
                min_interval_seconds: number(b"min interval"),
                seeds: number(b"complete"),
                leechers: number(b"incomplete"),
                tracker_id: token.map(<[u8]>::to_vec),
                warning: reply.bytes(b"warning message").map(in_words),
                external_ip: reply.bytes(b"external ip").and_then(external_ip),
                peers,
            })
        })
    }
}

impl ScrapeReply {
    /// Reads the body of a response.
    ///
    /// # Errors
    /// When it is a failure, or no reply.
    pub fn read(octets: &[u8]) -> Result<Self, ReplyError> {
        with_dictionary(octets, |reply| {
            let files = reply.dictionary(b"files").ok_or(ReplyError::Missing("files"))?;
            let torrents = files.entries().iter().filter_map(|(info_hash, value)| {
                let value = value.dictionary()?;
                let number = |key: &[u8]| value.integer(key).and_then(|number| u32::try_from(number).ok());
                let leechers = number(b"incomplete").unwrap_or_default();
                let counts = Counts {
                    seeds: number(b"complete").unwrap_or_default(),
                    leechers,
                    completed: number(b"downloaded").unwrap_or_default(),
                    downloaders: number(b"downloaders").unwrap_or(leechers),
                };
                Some(((*info_hash).try_into().ok()?, counts))
            });
            Ok(Self { torrents: torrents.collect() })
        })
    }
}

/// Reads the dictionary that every reply is, unless it is a failure.
fn with_dictionary<T>(
    octets: &[u8],
    read: impl FnOnce(&Dictionary<'_>) -> Result<T, ReplyError>,
) -> Result<T, ReplyError> {
    if octets.len() > REPLY_OCTETS_MAX {
        return Err(ReplyError::TooLong);
    }
    let value = decode(octets, &Limits::MESSAGE)?;
    let reply = value.dictionary().ok_or(ReplyError::Missing("dictionary"))?;
    match reply.bytes(b"failure reason") {
        Some(reason) => Err(ReplyError::Failure { reason: in_words(reason), retry_in: retry_in(reply) }),
        None => read(reply),
    }
}

/// BEP 31: minutes, or `never`.
fn retry_in(reply: &Dictionary<'_>) -> Option<Duration> {
    match reply.get(b"retry in")? {
        Value::Integer(minutes) => Some(Duration::from_mins(u64::try_from(*minutes).ok()?.min(1 << 32))),
        Value::Bytes(b"never") => Some(Duration::MAX),
        Value::Bytes(minutes) => {
            let minutes: u64 = std::str::from_utf8(minutes).ok()?.parse().ok()?;
            Some(Duration::from_mins(minutes.min(1 << 32)))
        }
        _ => None,
    }
}

fn read_compact(family: Family, compact: &[u8], peers: &mut Vec<Peer>) {
    let room = PEERS_READ_MAX.saturating_sub(peers.len());
    let read = compact.chunks_exact(family.peer_octets()).filter_map(|peer| read_peer(family, peer));
    peers.extend(read.take(room).map(|address| Peer { address, peer_id: None }));
}

fn read_dictionary(value: &Value<'_>) -> Option<Peer> {
    let peer = value.dictionary()?;
    let ip: IpAddr = peer.text(b"ip")?.parse().ok()?;
    let port = u16::try_from(peer.integer(b"port")?).ok().filter(|port| *port != 0)?;
    let peer_id = peer.bytes(b"peer id").and_then(|id| id.try_into().ok());
    Some(Peer { address: (ip, port).into(), peer_id })
}

fn external_ip(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::http::{Announced, write_announced, write_failure, write_scraped};
    use proptest::prelude::*;

    fn addresses(reply: &AnnounceReply) -> Vec<String> {
        reply.peers.iter().map(|peer| peer.address.to_string()).collect()
    }

    fn announced(compact: bool, out: &mut Vec<u8>) {
        let peers6: [u8; 18] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x1a, 0xe1];
        let reply = Announced {
            interval_seconds: 1_800,
            min_interval_seconds: 300,
            seeds: 2,
            leechers: 3,
            external_ip: [192, 0, 2, 9].into(),
            peers: &[192, 0, 2, 1, 0x1a, 0xe1, 192, 0, 2, 2, 0, 1],
            peers6: &peers6,
            compact,
        };
        write_announced(&reply, out);
    }

    #[test]
    fn what_a_tracker_writes_is_canonical_and_reads_the_same() {
        for compact in [true, false] {
            let mut out = Vec::new();
            announced(compact, &mut out);
            let strict = Limits { key_order: crate::bencode::KeyOrder::Sorted, ..Limits::MESSAGE };
            assert!(decode(&out, &strict).is_ok());
            let reply = AnnounceReply::read(&out).expect("a reply");
            assert_eq!(addresses(&reply), ["192.0.2.1:6881", "192.0.2.2:1", "[2001:db8::1]:6881"]);
            assert_eq!((reply.interval_seconds, reply.min_interval_seconds), (1_800, Some(300)));
            assert_eq!((reply.seeds, reply.leechers), (Some(2), Some(3)));
            assert_eq!(reply.external_ip, Some([192, 0, 2, 9].into()));
        }
        let mut out = Vec::new();
        let counts = Counts { seeds: 1, leechers: 2, completed: 3, downloaders: 1 };
        let torrents = [([1; 20], counts), ([2; 20], Counts::default())];
        write_scraped(torrents.iter().map(|(info_hash, counts)| (info_hash, *counts)), &mut out);
        assert_eq!(ScrapeReply::read(&out).expect("a reply").torrents, torrents);
        let mut out = Vec::new();
        write_failure("no", &mut out);
        let failure = ReplyError::Failure { reason: "no".to_owned(), retry_in: None };
        assert_eq!(AnnounceReply::read(&out), Err(failure.clone()));
        assert_eq!(ScrapeReply::read(&out), Err(failure));
    }

    #[test]
    fn a_compact_reply_has_the_octets_of_the_specification() {
        let mut out = Vec::new();
        announced(true, &mut out);
        let text = String::from_utf8_lossy(&out);
        assert!(text.starts_with("d8:completei2e11:external ip4:"), "{text}");
        assert!(text.contains("10:incompletei3e8:intervali1800e12:min intervali300e5:peers12:"), "{text}");
    }

    #[test]
    fn what_the_field_writes_is_read() {
        // Unsorted keys, a dictionary with an id, a name instead of an address, a wrong port.
        let reply = b"d5:peersld2:ip9:192.0.2.17:peer id20:aaaaaaaaaaaaaaaaaaaa4:porti1eed2:ip4:host4:porti1ee\
            d2:ip9:192.0.2.34:porti65536eei7ee8:intervali60e10:tracker id3:abc15:warning message3:hey12:min intervali-1ee";
        let reply = AnnounceReply::read(reply).expect("a reply");
        assert_eq!(
            reply.peers,
            [Peer { address: "192.0.2.1:1".parse().expect("one"), peer_id: Some([b'a'; 20]) }]
        );
        assert_eq!((reply.tracker_id.as_deref(), reply.warning.as_deref()), (Some(&b"abc"[..]), Some("hey")));
        assert_eq!(reply.min_interval_seconds, None);
        assert_eq!(AnnounceReply::read(b"d8:intervali60ee").expect("no peers").peers, []);
        assert_eq!(AnnounceReply::read(b"de"), Err(ReplyError::Missing("peers")));
        assert_eq!(AnnounceReply::read(b"le"), Err(ReplyError::Missing("dictionary")));
        assert!(matches!(AnnounceReply::read(b"<html>"), Err(ReplyError::Bencode(_))));
        for (retry, expected) in [
            ("i5e", Some(Duration::from_mins(5))),
            ("1:5", Some(Duration::from_mins(5))),
            ("5:never", Some(Duration::MAX)),
            ("i-5e", None),
            ("3:abc", None),
        ] {
            let reply = format!("d14:failure reason2:no8:retry in{retry}e");
            let Err(ReplyError::Failure { retry_in, .. }) = AnnounceReply::read(reply.as_bytes()) else {
                panic!("a failure")
            };
            assert_eq!(retry_in, expected, "{retry}");
        }
    }

    #[test]
    fn replies_are_bounded() {
        let peers = vec![[192, 0, 2, 1, 0, 1]; 5_000].concat();
        let mut reply = format!("d5:peers{}:", peers.len()).into_bytes();
        reply.extend_from_slice(&peers);
        reply.extend_from_slice(b"6:peers618:aaaaaaaaaaaaaaaaaae");
        assert_eq!(AnnounceReply::read(&reply).expect("a reply").peers.len(), PEERS_READ_MAX);
        let long = "x".repeat(5_000);
        let reply = format!("d14:failure reason5000:{long}e");
        let Err(ReplyError::Failure { reason, .. }) = AnnounceReply::read(reply.as_bytes()) else {
            panic!("a failure")
        };
        assert_eq!(reason.len(), TEXT_OCTETS_MAX);
        assert_eq!(AnnounceReply::read(&vec![b'd'; REPLY_OCTETS_MAX + 1]), Err(ReplyError::TooLong));
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(octets in "d?(5:peers|5:files|8:interval|[dlie0-9:]){0,12}e{0,3}") {
            let _ = (AnnounceReply::read(octets.as_bytes()), ScrapeReply::read(octets.as_bytes()));
        }
    }
}
