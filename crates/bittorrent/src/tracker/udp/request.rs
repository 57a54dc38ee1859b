//! What clients say.

use super::{ACTION_ANNOUNCE, ACTION_CONNECT, ACTION_SCRAPE, Options, field, number};
use crate::tracker::Event;
use thiserror::Error;

/// What a request for a connection begins with.
const PROTOCOL_ID: u64 = 0x0417_2710_1980;
/// Octets of a request for a connection.
pub const CONNECT_OCTETS: usize = 16;
/// Octets of an announce without options.
pub const ANNOUNCE_OCTETS: usize = 98;
/// Octets before the info-hashes of a scrape.
const SCRAPE_HEAD_OCTETS: usize = 16;
/// Info-hashes of one scrape; "up to about 74" (BEP 15), further ones are not
/// read.
pub const SCRAPE_INFO_HASHES_MAX: usize = 74;

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// For a connection id.
    Connect {
        /// Chosen by the client, repeated in the reply.
        transaction_id: u32,
    },
    /// The client has a torrent and wants to know who else has.
    Announce(Announce<'a>),
    /// How many have a torrent.
    Scrape(Scrape<'a>),
}

/// An announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announce<'a> {
    /// What the tracker gave before.
    pub connection_id: u64,
    /// Chosen by the client, repeated in the reply.
    pub transaction_id: u32,
    /// Which torrent.
    pub info_hash: [u8; 20],
    /// Which client.
    pub peer_id: [u8; 20],
    /// Octets downloaded since `started`.
    pub downloaded: u64,
    /// Octets still to be downloaded; 0 for a seed.
    pub left: u64,
    /// Octets uploaded since `started`.
    pub uploaded: u64,
    /// Why it announces.
    pub event: Event,
    /// The IPv4 address it says it has; 0 for that of the datagram.
    pub ip: u32,
    /// Chosen by the client, the same whatever address it has.
    pub key: u32,
    /// Peers wanted; negative for as many as the tracker likes.
    pub num_want: i32,
    /// Where it listens.
    pub port: u16,
    /// What follows (BEP 41).
    pub options: Options<'a>,
}

/// A scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scrape<'a> {
    /// What the tracker gave before.
    pub connection_id: u64,
    /// Chosen by the client, repeated in the reply.
    pub transaction_id: u32,
    /// Which torrents, 20 octets each, at most [`SCRAPE_INFO_HASHES_MAX`].
    info_hashes: &'a [u8],
}

impl<'a> Scrape<'a> {
    /// A scrape of these torrents; those beyond [`SCRAPE_INFO_HASHES_MAX`], and
    /// octets that are no whole info-hash, are left out.
    pub fn new(connection_id: u64, transaction_id: u32, info_hashes: &'a [u8]) -> Self {
        let count = (info_hashes.len() / 20).min(SCRAPE_INFO_HASHES_MAX);
        let info_hashes = info_hashes.get(..count * 20).unwrap_or_default();
        Self { connection_id, transaction_id, info_hashes }
    }

    /// Which torrents.
    pub fn info_hashes(&self) -> impl ExactSizeIterator<Item = &'a [u8; 20]> {
        self.info_hashes.as_chunks().0.iter()
    }
}

/// Why a datagram is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct RequestError {
    /// Of the client, if it came so far; a reply needs it.
    pub transaction_id: Option<u32>,
    /// What it began with, if it came so far: may the client be answered?
    pub connection_id: Option<u64>,
    /// What is wrong.
    pub reason: WhatIsWrong,
}

/// What is wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WhatIsWrong {
    /// It ends too early.
    #[error("the datagram of {octets} octets is cut short")]
    Short {
        /// How long it is.
        octets: usize,
    },
    /// A connection is asked for without the protocol's constant.
    #[error("this is not the UDP tracker protocol")]
    Protocol,
    /// No request has this number.
    #[error("action {0} is not known")]
    Action(u32),
    /// A scrape of no torrent.
    #[error("a scrape without info-hashes")]
    Nothing,
}

impl<'a> Request<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    /// When it is no request.
    #[inline]
    pub fn read(octets: &'a [u8]) -> Result<Self, RequestError> {
        let connection_id = field(octets, 0).map(u64::from_be_bytes);
        let transaction_id = number(octets, 12);
        let wrong = |reason| RequestError { transaction_id, connection_id, reason };
        let short = || wrong(WhatIsWrong::Short { octets: octets.len() });
        let (Some(connection_id), Some(action), Some(transaction_id)) =
            (connection_id, number(octets, 8), transaction_id)
        else {
            return Err(short());
        };
        match action {
            ACTION_CONNECT if connection_id == PROTOCOL_ID => Ok(Self::Connect { transaction_id }),
            ACTION_CONNECT => Err(wrong(WhatIsWrong::Protocol)),
            ACTION_ANNOUNCE => {
                Announce::read(connection_id, transaction_id, octets).map(Self::Announce).ok_or_else(short)
            }
            ACTION_SCRAPE => {
                let info_hashes = octets.get(SCRAPE_HEAD_OCTETS..).unwrap_or_default();
                if info_hashes.len() < 20 {
                    return Err(wrong(WhatIsWrong::Nothing));
                }
                Ok(Self::Scrape(Scrape::new(connection_id, transaction_id, info_hashes)))
            }
            action => Err(wrong(WhatIsWrong::Action(action))),
        }
    }

    /// The datagram.
    pub fn write(&self) -> Vec<u8> {
        let head = |connection_id: u64, action: u32, transaction_id: u32| {
            let mut out = Vec::with_capacity(ANNOUNCE_OCTETS);
            out.extend_from_slice(&connection_id.to_be_bytes());
            out.extend_from_slice(&action.to_be_bytes());
            out.extend_from_slice(&transaction_id.to_be_bytes());
            out
        };
        match self {
            Self::Connect { transaction_id } => head(PROTOCOL_ID, ACTION_CONNECT, *transaction_id),
            Self::Scrape(scrape) => {
                let mut out = head(scrape.connection_id, ACTION_SCRAPE, scrape.transaction_id);
                out.extend_from_slice(scrape.info_hashes);
                out
            }
            Self::Announce(announce) => {
                let mut out = head(announce.connection_id, ACTION_ANNOUNCE, announce.transaction_id);
                out.extend_from_slice(&announce.info_hash);
                out.extend_from_slice(&announce.peer_id);
                for number in [announce.downloaded, announce.left, announce.uploaded] {
                    out.extend_from_slice(&number.to_be_bytes());
                }
                for number in [event_number(announce.event), announce.ip, announce.key] {
                    out.extend_from_slice(&number.to_be_bytes());
                }
                out.extend_from_slice(&announce.num_want.to_be_bytes());
                out.extend_from_slice(&announce.port.to_be_bytes());
                out.extend_from_slice(announce.options.0);
                out
            }
        }
    }
}

impl<'a> Announce<'a> {
    #[inline]
    fn read(connection_id: u64, transaction_id: u32, octets: &'a [u8]) -> Option<Self> {
        let (head, options) = octets.split_first_chunk::<ANNOUNCE_OCTETS>()?;
        Some(Self {
            connection_id,
            transaction_id,
            info_hash: field(head, 16)?,
            peer_id: field(head, 36)?,
            downloaded: u64::from_be_bytes(field(head, 56)?),
            left: u64::from_be_bytes(field(head, 64)?),
            uploaded: u64::from_be_bytes(field(head, 72)?),
            event: event_of(number(head, 80)?),
            ip: number(head, 84)?,
            key: number(head, 88)?,
            num_want: i32::from_be_bytes(field(head, 92)?),
            port: u16::from_be_bytes(field(head, 96)?),
            options: Options(options),
        })
    }
}

/// What is not known is taken as a regular announce. Partial seeds say 4, as
/// libtorrent does; BEP 21 has no number.
#[inline]
fn event_of(number: u32) -> Event {
    match number {
        1 => Event::Completed,
        2 => Event::Started,
        3 => Event::Stopped,
        4 => Event::Paused,
        _ => Event::None,
    }
}

fn event_number(event: Event) -> u32 {
    match event {
        Event::None => 0,
        Event::Completed => 1,
        Event::Started => 2,
        Event::Stopped => 3,
        Event::Paused => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As BEP 15 numbers its octets.
    fn announce_of_the_specification() -> Vec<u8> {
        let mut octets = vec![1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1, 0xa, 0xb, 0xc, 0xd];
        octets.extend_from_slice(&[0x11; 20]);
        octets.extend_from_slice(b"-UT0100-abcdefghijkl");
        octets.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 10]);
        octets.extend_from_slice(&[0, 0, 0, 0, 0, 0, 1, 0]);
        octets.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 30]);
        octets.extend_from_slice(&[0, 0, 0, 2, 0, 0, 0, 0, 9, 9, 9, 9, 0xff, 0xff, 0xff, 0xff, 0x1a, 0xe1]);
        octets
    }

    #[test]
    fn fields_stand_where_the_specification_says() {
        let octets = announce_of_the_specification();
        assert_eq!(octets.len(), 98);
        let Ok(Request::Announce(announce)) = Request::read(&octets) else { panic!("an announce") };
        assert_eq!(announce.connection_id, 0x0102_0304_0506_0708);
        assert_eq!(announce.transaction_id, 0x0a0b_0c0d);
        assert_eq!((announce.info_hash, &announce.peer_id[..8]), ([0x11; 20], &b"-UT0100-"[..]));
        assert_eq!((announce.downloaded, announce.left, announce.uploaded), (10, 256, 30));
        assert_eq!((announce.event, announce.key), (Event::Started, 0x0909_0909));
        assert_eq!((announce.num_want, announce.port), (-1, 6881));
        assert_eq!(Request::Announce(announce).write(), octets);
        let connect = [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 0, 0, 0, 7];
        assert_eq!(Request::read(&connect), Ok(Request::Connect { transaction_id: 7 }));
        assert_eq!(Request::Connect { transaction_id: 7 }.write(), connect);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let octets = announce_of_the_specification();
        for length in 0..98 {
            let error = Request::read(&octets[..length]).expect_err("cut short");
            assert_eq!(error.reason, WhatIsWrong::Short { octets: length });
            assert_eq!(error.transaction_id.is_some(), length >= 16);
        }
        let with = |action: u8, extra: usize| {
            let mut octets = octets[..16].to_vec();
            octets[11] = action;
            octets.resize(16 + extra, 0);
            match Request::read(&octets) {
                Err(error) => Err(error.reason),
                Ok(Request::Scrape(scrape)) => Ok(scrape.info_hashes().len()),
                Ok(other) => panic!("{other:?}"),
            }
        };
        assert_eq!(with(0, 0), Err(WhatIsWrong::Protocol));
        assert_eq!(with(3, 0), Err(WhatIsWrong::Action(3)));
        assert_eq!(with(2, 19), Err(WhatIsWrong::Nothing));
        assert_eq!(with(2, 59), Ok(2));
        assert_eq!(with(2, 2_000), Ok(SCRAPE_INFO_HASHES_MAX));
    }

    proptest! {
        #[test]
        fn what_is_read_writes_the_same(
            mut octets in proptest::collection::vec(any::<u8>(), 0..200), action in 0_u8..5, connect in any::<bool>(),
        ) {
            if let Some(head) = octets.get_mut(..12) {
                head[8..].copy_from_slice(&[0, 0, 0, action]);
                if connect {
                    head[..8].copy_from_slice(&PROTOCOL_ID.to_be_bytes());
                }
            }
            if let Ok(request) = Request::read(&octets) {
                let written = request.write();
                prop_assert_eq!(Request::read(&written), Ok(request));
            }
        }
    }
}
