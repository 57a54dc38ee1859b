//! The query of an announce.

use super::query::{Pairs, at_most, exactly};
use crate::percent;
use crate::tracker::Event;
use std::fmt::Write as _;
use thiserror::Error;

/// Octets of `key` and `trackerid`.
const TOKEN_OCTETS_MAX: usize = 256;

/// An announce (BEP 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announce {
    /// Which torrent.
    pub info_hash: [u8; 20],
    /// Which client.
    pub peer_id: [u8; 20],
    /// Where it listens, not 0.
    pub port: u16,
    /// Octets uploaded since `started`.
    pub uploaded: u64,
    /// Octets downloaded since `started`.
    pub downloaded: u64,
    /// Octets still to be downloaded; `None` where it does not say.
    pub left: Option<u64>,
    /// Why it announces.
    pub event: Event,
    /// Peers wanted; `None` for as many as the tracker likes.
    pub num_want: Option<i32>,
    /// Whether peers are to come in the compact form (BEP 23); `None` where it
    /// does not say.
    pub compact: Option<bool>,
    /// Whether peer ids may be left out of dictionaries.
    pub no_peer_id: bool,
    /// By which the tracker may know it again on another address.
    pub key: Option<Vec<u8>>,
    /// What the tracker gave as `tracker id` before.
    pub tracker_id: Option<Vec<u8>>,
}

/// Why a query is no request; the text is for the reply's `failure reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum QueryError {
    /// Something that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A value has not exactly 20 octets.
    #[error("{0} must be 20 octets in percent form")]
    NotTwenty(&'static str),
    /// A number is none, or out of its bounds.
    #[error("{0} is no number that can be")]
    Number(&'static str),
    /// A value is broken or too long.
    #[error("{0} is broken or too long")]
    Token(&'static str),
}

impl Announce {
    /// Reads what stands behind the `?`. Of two pairs with one name the first
    /// counts; names that are not known are passed over, `ip` among them: a
    /// tracker cannot trust it.
    ///
    /// # Errors
    /// When it is no announce.
    pub fn read(query: &[u8]) -> Result<Self, QueryError> {
        let (mut info_hash, mut peer_id, mut port) = (None, None, None);
        let (mut uploaded, mut downloaded, mut left) = (None, None, None);
        let (mut event, mut num_want, mut compact, mut no_peer_id) = (None, None, None, None);
        let (mut key, mut tracker_id) = (None, None);
        for (name, value) in Pairs::of(query) {
            match name {
                b"info_hash" => {
                    once(&mut info_hash, || exactly(value).ok_or(QueryError::NotTwenty("info_hash")))?;
                }
                b"peer_id" => once(&mut peer_id, || exactly(value).ok_or(QueryError::NotTwenty("peer_id")))?,
                b"port" => once(&mut port, || number(value, "port"))?,
                b"uploaded" => once(&mut uploaded, || number(value, "uploaded"))?,
                b"downloaded" => once(&mut downloaded, || number(value, "downloaded"))?,
                b"left" => once(&mut left, || number(value, "left"))?,
                b"event" => once(&mut event, || Ok(event_of(value)))?,
                b"numwant" => once(&mut num_want, || number::<i32>(value, "numwant"))?,
                b"compact" => once(&mut compact, || Ok(value != b"0"))?,
                b"no_peer_id" => once(&mut no_peer_id, || Ok(value != b"0"))?,
                b"key" => once(&mut key, || token(value, "key"))?,
                b"trackerid" => once(&mut tracker_id, || token(value, "trackerid"))?,
                _ => {}
            }
        }
        let port = port.ok_or(QueryError::Missing("port"))?;
        if port == 0 {
            return Err(QueryError::Number("port"));
        }
        Ok(Self {
            info_hash: info_hash.ok_or(QueryError::Missing("info_hash"))?,
            peer_id: peer_id.ok_or(QueryError::Missing("peer_id"))?,
            port,
            uploaded: uploaded.unwrap_or_default(),
            downloaded: downloaded.unwrap_or_default(),
            left,
            event: event.unwrap_or_default(),
            num_want,
            compact,
            no_peer_id: no_peer_id.unwrap_or_default(),
            key,
            tracker_id,
        })
    }

    /// The URL to ask: the tracker's, with the query behind what it has.
    pub fn url(&self, tracker: &str) -> String {
        let mut url = tracker.to_owned();
        url.push(if tracker.contains('?') { '&' } else { '?' });
        url.push_str("info_hash=");
        percent::encode(&self.info_hash, &mut url);
        url.push_str("&peer_id=");
        percent::encode(&self.peer_id, &mut url);
        let Self { port, uploaded, downloaded, .. } = self;
        // Writing to a string cannot fail.
        let _ = write!(url, "&port={port}&uploaded={uploaded}&downloaded={downloaded}");
        if let Some(left) = self.left {
            let _ = write!(url, "&left={left}");
        }
        if let Some(event) = event_name(self.event) {
            let _ = write!(url, "&event={event}");
        }
        if let Some(num_want) = self.num_want {
            let _ = write!(url, "&numwant={num_want}");
        }
        if let Some(compact) = self.compact {
            let _ = write!(url, "&compact={}", u8::from(compact));
        }
        if self.no_peer_id {
            url.push_str("&no_peer_id=1");
        }
        for (name, token) in [("key", &self.key), ("trackerid", &self.tracker_id)] {
            if let Some(token) = token {
                let _ = write!(url, "&{name}=");
                percent::encode(token, &mut url);
            }
        }
        url
    }
}

/// Takes a value, unless there is one already.
fn once<T>(place: &mut Option<T>, read: impl FnOnce() -> Result<T, QueryError>) -> Result<(), QueryError> {
    if place.is_none() {
        *place = Some(read()?);
    }
    Ok(())
}

fn number<T: std::str::FromStr>(value: &[u8], name: &'static str) -> Result<T, QueryError> {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(QueryError::Number(name))
}

fn token(value: &[u8], name: &'static str) -> Result<Vec<u8>, QueryError> {
    at_most(value, TOKEN_OCTETS_MAX).ok_or(QueryError::Token(name))
}

/// What is not known is a regular announce.
fn event_of(value: &[u8]) -> Event {
    match value {
        b"started" => Event::Started,
        b"completed" => Event::Completed,
        b"stopped" => Event::Stopped,
        b"paused" => Event::Paused,
        _ => Event::None,
    }
}

fn event_name(event: Event) -> Option<&'static str> {
    match event {
        Event::None => None,
        Event::Started => Some("started"),
        Event::Completed => Some("completed"),
        Event::Stopped => Some("stopped"),
        Event::Paused => Some("paused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The info-hash of BEP 3's usual example, as clients escape it.
    const QUERY: &str = "info_hash=%124Vx%9A%BC%DE%F1%23Eg%89%AB%CD%EF%124Vx%9A&peer_id=-UT0100-abcdefghijkl\
                         &port=6881&uploaded=1&downloaded=2&left=3&event=started&numwant=80&compact=1&no_peer_id=1\
                         &key=1a2b&trackerid=x%26y&ip=10.0.0.1&supportcrypto=1";

    #[test]
    fn all_that_is_said_is_read() {
        let announce = Announce::read(QUERY.as_bytes()).expect("an announce");
        let info_hash = [
            0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x12,
            0x34, 0x56, 0x78, 0x9a,
        ];
        let expected = Announce {
            info_hash,
            peer_id: *b"-UT0100-abcdefghijkl",
            port: 6881,
            uploaded: 1,
            downloaded: 2,
            left: Some(3),
            event: Event::Started,
            num_want: Some(80),
            compact: Some(true),
            no_peer_id: true,
            key: Some(b"1a2b".to_vec()),
            tracker_id: Some(b"x&y".to_vec()),
        };
        assert_eq!(announce, expected);
        let url = announce.url("http://t.test/announce?passkey=1");
        let (tracker, query) = url.split_once("1&").expect("both");
        assert_eq!(tracker, "http://t.test/announce?passkey=");
        assert_eq!(Announce::read(query.as_bytes()), Ok(expected));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let without = |name: &str| {
            let kept: Vec<&str> = QUERY.split('&').filter(|pair| !pair.starts_with(name)).collect();
            Announce::read(kept.join("&").as_bytes())
        };
        let with = |pair: &str| Announce::read(format!("{pair}&{QUERY}").as_bytes());
        assert_eq!(without("info_hash="), Err(QueryError::Missing("info_hash")));
        assert_eq!(without("peer_id="), Err(QueryError::Missing("peer_id")));
        assert_eq!(without("port="), Err(QueryError::Missing("port")));
        assert_eq!(with("info_hash=short"), Err(QueryError::NotTwenty("info_hash")));
        assert_eq!(with("peer_id=%4"), Err(QueryError::NotTwenty("peer_id")));
        for wrong in ["port=0", "port=65536", "port=", "port=-1"] {
            assert_eq!(with(wrong), Err(QueryError::Number("port")), "{wrong}");
        }
        assert_eq!(with("left=99999999999999999999"), Err(QueryError::Number("left")));
        assert_eq!(with(&format!("key={}", "x".repeat(257))), Err(QueryError::Token("key")));
        assert!(without("left=").is_ok_and(|announce| announce.left.is_none()));
        assert!(with("event=exploded").is_ok_and(|announce| announce.event == Event::None));
        assert!(with("numwant=-1").is_ok_and(|announce| announce.num_want == Some(-1)));
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(query in "([a-z_]{0,9}=?[%0-9a-f]{0,9}&?){0,9}") {
            let _ = Announce::read(query.as_bytes());
        }
    }
}
