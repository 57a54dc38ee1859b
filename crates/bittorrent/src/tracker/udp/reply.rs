//! What trackers say.

use super::{ACTION_ANNOUNCE, ACTION_CONNECT, ACTION_ERROR, ACTION_SCRAPE, field, number};
use crate::tracker::swarm::Counts;
use crate::tracker::{Family, read_peer};
use std::net::SocketAddr;
use thiserror::Error;

/// Octets of the reply to a connect.
pub const CONNECT_REPLY_OCTETS: usize = 16;
/// Octets of the reply to an announce before its peers.
pub const ANNOUNCE_REPLY_OCTETS: usize = 20;
/// Octets of an error's text that are read, and the most that are written.
const ERROR_OCTETS_MAX: usize = 256;

/// A reply as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply<'a> {
    /// To a connect.
    Connect {
        /// For the requests of the next minute.
        connection_id: u64,
    },
    /// To an announce.
    Announce {
        /// Seconds until the next one.
        interval_seconds: u32,
        /// Peers that have not all pieces.
        leechers: u32,
        /// Peers that have.
        seeds: u32,
        /// Compact peers of the family asked over; see [`Reply::peers`].
        peers: &'a [u8],
    },
    /// To a scrape.
    Scrape(ScrapeReply<'a>),
    /// To any request.
    Error {
        /// Why, in words, not necessarily UTF-8.
        message: &'a [u8],
    },
}

/// The numbers of a scrape's torrents, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrapeReply<'a>(&'a [u8]);

impl ScrapeReply<'_> {
    /// The numbers of each torrent asked for.
    pub fn counts(&self) -> impl ExactSizeIterator<Item = Counts> {
        self.0.as_chunks::<12>().0.iter().map(|numbers| {
            let number = |at| number(numbers, at).unwrap_or_default();
            let leechers = number(8);
            Counts { seeds: number(0), completed: number(4), leechers, downloaders: leechers }
        })
    }
}

/// Why a datagram is no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// It ends too early.
    #[error("the datagram of {octets} octets is cut short")]
    Short {
        /// How long it is.
        octets: usize,
    },
    /// No reply has this number.
    #[error("action {0} is not known")]
    Action(u32),
}

impl<'a> Reply<'a> {
    /// Reads a datagram: the transaction id and what it says. The number of
    /// peers is bounded by the datagram's length.
    ///
    /// # Errors
    /// When it is no reply.
    pub fn read(octets: &'a [u8]) -> Result<(u32, Self), ReplyError> {
        let read = || -> Option<(u32, Result<Self, ReplyError>)> {
            let action = number(octets, 0)?;
            let transaction_id = number(octets, 4)?;
            let reply = match action {
                ACTION_CONNECT => Self::Connect { connection_id: u64::from_be_bytes(field(octets, 8)?) },
                ACTION_ANNOUNCE => Self::Announce {
                    interval_seconds: number(octets, 8)?,
                    leechers: number(octets, 12)?,
                    seeds: number(octets, 16)?,
                    peers: octets.get(ANNOUNCE_REPLY_OCTETS..)?,
                },
                ACTION_SCRAPE => Self::Scrape(ScrapeReply(octets.get(8..)?)),
                ACTION_ERROR => {
                    let message = octets.get(8..)?;
                    Self::Error { message: message.get(..ERROR_OCTETS_MAX).unwrap_or(message) }
                }
                action => return Some((transaction_id, Err(ReplyError::Action(action)))),
            };
            Some((transaction_id, Ok(reply)))
        };
        match read() {
            Some((transaction_id, reply)) => reply.map(|reply| (transaction_id, reply)),
            None => Err(ReplyError::Short { octets: octets.len() }),
        }
    }

    /// The peers of an announce that was sent over `family`; a rest that is no
    /// whole peer, and peers with port 0, are left out.
    pub fn peers(&self, family: Family) -> impl Iterator<Item = SocketAddr> {
        let peers = match self {
            Self::Announce { peers, .. } => peers,
            _ => &[][..],
        };
        peers.chunks_exact(family.peer_octets()).filter_map(move |peer| read_peer(family, peer))
    }
}

/// Writes the reply to a connect; gives its length, 0 where it does not fit.
#[inline]
pub fn write_connect(transaction_id: u32, connection_id: u64, out: &mut [u8]) -> usize {
    let Some(out) = out.first_chunk_mut::<CONNECT_REPLY_OCTETS>() else { return 0 };
    out[..4].copy_from_slice(&ACTION_CONNECT.to_be_bytes());
    out[4..8].copy_from_slice(&transaction_id.to_be_bytes());
    out[8..].copy_from_slice(&connection_id.to_be_bytes());
    out.len()
}

/// Writes the reply to an announce before its compact peers, which follow from
/// octet [`ANNOUNCE_REPLY_OCTETS`] on; gives that, or 0 where it does not fit.
#[inline]
pub fn write_announce_head(
    transaction_id: u32,
    interval_seconds: u32,
    leechers: u32,
    seeds: u32,
    out: &mut [u8],
) -> usize {
    let Some(out) = out.first_chunk_mut::<ANNOUNCE_REPLY_OCTETS>() else { return 0 };
    let numbers = [ACTION_ANNOUNCE, transaction_id, interval_seconds, leechers, seeds];
    for (place, number) in out.as_chunks_mut().0.iter_mut().zip(numbers) {
        *place = number.to_be_bytes();
    }
    out.len()
}

/// Writes the reply to a scrape, of as many torrents as fit; gives its length.
pub fn write_scrape(transaction_id: u32, counts: impl Iterator<Item = Counts>, out: &mut [u8]) -> usize {
    let Some((head, rest)) = out.split_first_chunk_mut::<8>() else { return 0 };
    head[..4].copy_from_slice(&ACTION_SCRAPE.to_be_bytes());
    head[4..].copy_from_slice(&transaction_id.to_be_bytes());
    let mut octets = head.len();
    for (place, counts) in rest.as_chunks_mut::<12>().0.iter_mut().zip(counts) {
        place[..4].copy_from_slice(&counts.seeds.to_be_bytes());
        place[4..8].copy_from_slice(&counts.completed.to_be_bytes());
        place[8..].copy_from_slice(&counts.leechers.to_be_bytes());
        octets += place.len();
    }
    octets
}

/// Writes an error, its text cut where it does not fit; gives its length.
pub fn write_error(transaction_id: u32, message: &str, out: &mut [u8]) -> usize {
    let Some((head, rest)) = out.split_first_chunk_mut::<8>() else { return 0 };
    head[..4].copy_from_slice(&ACTION_ERROR.to_be_bytes());
    head[4..].copy_from_slice(&transaction_id.to_be_bytes());
    let length = message.len().min(rest.len()).min(ERROR_OCTETS_MAX);
    rest[..length].copy_from_slice(&message.as_bytes()[..length]);
    head.len() + length
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_stand_where_the_specification_says() {
        let mut out = [0; 100];
        assert_eq!(write_connect(7, 0x0102_0304_0506_0708, &mut out), 16);
        assert_eq!(out[..16], [0, 0, 0, 0, 0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(write_announce_head(7, 1_800, 2, 3, &mut out), 20);
        assert_eq!(out[..20], [0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 7, 8, 0, 0, 0, 2, 0, 0, 0, 3]);
        let counts = Counts { seeds: 1, completed: 2, leechers: 3, downloaders: 3 };
        assert_eq!(write_scrape(7, [counts, counts].into_iter(), &mut out), 32);
        assert_eq!(out[..20], [0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]);
        let (_, Reply::Scrape(reply)) = Reply::read(&out[..32]).expect("read") else { panic!("a scrape") };
        assert_eq!(reply.counts().collect::<Vec<_>>(), [counts, counts]);
        assert_eq!(write_error(7, "no", &mut out), 10);
        assert_eq!(Reply::read(&out[..10]), Ok((7, Reply::Error { message: b"no" })));
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        assert_eq!(write_connect(7, 1, &mut [0; 15]), 0);
        assert_eq!(write_announce_head(7, 1, 1, 1, &mut [0; 19]), 0);
        assert_eq!(write_scrape(7, std::iter::repeat(Counts::default()), &mut [0; 8 + 25]), 8 + 24);
        assert_eq!(write_error(7, "much too long", &mut [0; 12]), 12);
        assert_eq!(write_error(7, &"x".repeat(1_000), &mut [0; 2_000]), 8 + ERROR_OCTETS_MAX);
    }

    #[test]
    fn peers_are_of_the_family_asked_over() {
        let mut octets = vec![0; 20];
        write_announce_head(7, 1, 1, 1, &mut octets);
        octets.extend_from_slice(&[192, 0, 2, 1, 0x1a, 0xe1, 192, 0, 2, 2, 0, 0, 192, 0, 2, 3, 0, 1, 9]);
        let (_, reply) = Reply::read(&octets).expect("a reply");
        let peers: Vec<String> = reply.peers(Family::V4).map(|peer| peer.to_string()).collect();
        assert_eq!(peers, ["192.0.2.1:6881", "192.0.2.3:1"]);
        let peers: Vec<String> = reply.peers(Family::V6).map(|peer| peer.to_string()).collect();
        assert_eq!(peers, ["[c000:201:1ae1:c000:202:0:c000:203]:1"]);
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(mut octets in proptest::collection::vec(any::<u8>(), 0..200), action in 0_u8..5) {
            if let Some(head) = octets.get_mut(..4) {
                head.copy_from_slice(&[0, 0, 0, action]);
            }
            if let Ok((_, reply)) = Reply::read(&octets) {
                prop_assert!(reply.peers(Family::V4).count() * 6 <= octets.len());
                prop_assert!(reply.peers(Family::V6).count() * 18 <= octets.len());
            }
        }
    }
}
