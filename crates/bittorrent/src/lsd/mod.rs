//! Local service discovery (BEP 14): datagrams by multicast that tell the
//! neighbours which torrents one takes part in.

mod schedule;

pub use schedule::Schedule;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use thiserror::Error;

/// The group of IPv4, and the port of both.
pub const GROUP_V4: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(239, 192, 152, 143)), 6_771);

/// The group of IPv6.
pub const GROUP_V6: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0xefc0, 0x988f)), 6_771);

/// Octets of the longest datagram that is sent (BEP 14: "should not exceed 1400
/// bytes") and taken.
pub const DATAGRAM_OCTETS_MAX: usize = 1_400;

/// Torrents of one datagram: as many as fit with all else.
pub const INFO_HASHES_MAX: usize = 24;

/// Octets of the longest cookie that is sent and taken.
pub const COOKIE_OCTETS_MAX: usize = 64;

/// Seconds between two announces of a torrent on an interface.
pub const ANNOUNCE_SECONDS: u64 = 300;

/// Seconds between any two announces.
pub const INTERVAL_SECONDS_MIN: u64 = 60;

/// What one client tells its neighbours. Where it is, the source address of the
/// datagram says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announce {
    /// The TCP and uTP port that it listens on.
    pub port: u16,
    /// The torrents it takes part in, 1 to [`INFO_HASHES_MAX`].
    pub info_hashes: Vec<[u8; 20]>,
    /// What the sender knows its own datagrams by: at most
    /// [`COOKIE_OCTETS_MAX`] visible ASCII characters.
    pub cookie: Option<String>,
}

/// Why a datagram is no announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AnnounceError {
    /// More than [`DATAGRAM_OCTETS_MAX`].
    #[error("a datagram of {0} octets")]
    TooLong(usize),
    /// Another request, another protocol, or none.
    #[error("no request BT-SEARCH")]
    Request,
    /// A header that is no name, colon and value.
    #[error("a header line without a colon")]
    Header,
    /// No port, two, or none that can be connected to.
    #[error("no port, or a wrong one")]
    Port,
    /// An info-hash that is not 40 hexadecimal digits.
    #[error("an info-hash that is not 40 hexadecimal digits")]
    InfoHash,
    /// No info-hash, or more than [`INFO_HASHES_MAX`].
    #[error("no info-hash, or too many")]
    Count,
    /// A cookie too long or of other characters.
    #[error("a cookie too long or of characters that cannot be seen")]
    Cookie,
}

impl Announce {
    /// Reads a datagram. Headers that are not known do not count; neither does
    /// `Host`, since a datagram arrives in the group it was sent to.
    ///
    /// # Errors
    /// When it is no announce or exceeds a bound.
    pub fn decode(datagram: &[u8]) -> Result<Self, AnnounceError> {
        if datagram.len() > DATAGRAM_OCTETS_MAX {
            return Err(AnnounceError::TooLong(datagram.len()));
        }
        let text = std::str::from_utf8(datagram).map_err(|_| AnnounceError::Request)?;
        let mut lines = text.split("\r\n");
        if lines.next() != Some("BT-SEARCH * HTTP/1.1") {
            return Err(AnnounceError::Request);
        }
        let mut port = None;
        let mut info_hashes = Vec::new();
        let mut cookie = None;
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(AnnounceError::Header)?;
            let value = value.trim_matches([' ', '\t']);
            if name.eq_ignore_ascii_case("port") {
                let number = decimal(value).filter(|number| *number != 0 && port.is_none());
                port = Some(number.ok_or(AnnounceError::Port)?);
            } else if name.eq_ignore_ascii_case("infohash") {
                if info_hashes.len() >= INFO_HASHES_MAX {
                    return Err(AnnounceError::Count);
                }
                info_hashes.push(from_hex(value).ok_or(AnnounceError::InfoHash)?);
            } else if name.eq_ignore_ascii_case("cookie") {
                if !is_cookie(value) {
                    return Err(AnnounceError::Cookie);
                }
                cookie = Some(value.to_owned());
            }
        }
        if info_hashes.is_empty() {
            return Err(AnnounceError::Count);
        }
        Ok(Self { port: port.ok_or(AnnounceError::Port)?, info_hashes, cookie })
    }

    /// The datagram for a group.
    ///
    /// # Errors
    /// When a field is out of its bounds.
    pub fn encode(&self, group: SocketAddr) -> Result<Vec<u8>, AnnounceError> {
        if self.port == 0 {
            return Err(AnnounceError::Port);
        }
        if !(1..=INFO_HASHES_MAX).contains(&self.info_hashes.len()) {
            return Err(AnnounceError::Count);
        }
        let mut text = format!("BT-SEARCH * HTTP/1.1\r\nHost: {group}\r\nPort: {}\r\n", self.port);
        for info_hash in &self.info_hashes {
            text.push_str("Infohash: ");
            for octet in info_hash {
                let _ = write!(text, "{octet:02x}");
            }
            text.push_str("\r\n");
        }
        if let Some(cookie) = &self.cookie {
            if !is_cookie(cookie) {
                return Err(AnnounceError::Cookie);
            }
            let _ = write!(text, "cookie: {cookie}\r\n");
        }
        text.push_str("\r\n\r\n");
        Ok(text.into_bytes())
    }
}

fn is_cookie(text: &str) -> bool {
    (1..=COOKIE_OCTETS_MAX).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_graphic())
}

/// A number of digits alone, without a sign.
fn decimal(text: &str) -> Option<u16> {
    text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok())?
}

fn from_hex(text: &str) -> Option<[u8; 20]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut octets = [0; 20];
    if pairs.len() != octets.len() || !rest.is_empty() {
        return None;
    }
    let digit = |octet: u8| char::from(octet).to_digit(16).map(|digit| digit as u8);
    for (octet, [high, low]) in octets.iter_mut().zip(pairs) {
        *octet = digit(*high)? << 4 | digit(*low)?;
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EXAMPLE: &str = "BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\n\
        Infohash: 0123456789abcdef0123456789abcdef01234567\r\ncookie: 1a2b\r\n\r\n\r\n";

    fn announce() -> Announce {
        let info_hash = *b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67";
        Announce { port: 6_881, info_hashes: vec![info_hash], cookie: Some("1a2b".to_owned()) }
    }

    fn changed(from: &str, to: &str) -> Result<Announce, AnnounceError> {
        assert!(EXAMPLE.contains(from));
        Announce::decode(EXAMPLE.replace(from, to).as_bytes())
    }

    #[test]
    fn the_form_of_bep_14_is_read_and_written() {
        assert_eq!(Announce::decode(EXAMPLE.as_bytes()), Ok(announce()));
        assert_eq!(announce().encode(GROUP_V4).as_deref(), Ok(EXAMPLE.as_bytes()));
        let six = announce().encode(GROUP_V6).expect("an announce");
        assert!(six.starts_with(b"BT-SEARCH * HTTP/1.1\r\nHost: [ff15::efc0:988f]:6771\r\n"));
    }

    #[test]
    fn names_of_headers_have_no_case_and_unknown_ones_do_not_count() {
        assert_eq!(changed("Port: ", "PORT:  "), Ok(announce()));
        assert_eq!(changed("Infohash:", "infohash:"), Ok(announce()));
        assert_eq!(changed("Host:", "X-New: a:b\r\nHost:"), Ok(announce()));
        assert_eq!(changed("0123456789abcdef0", "0123456789ABCDEF0"), Ok(announce()));
        assert_eq!(changed("cookie: 1a2b\r\n", ""), Ok(Announce { cookie: None, ..announce() }));
        assert_eq!(changed("\r\n\r\n\r\n", "\r\n"), Ok(announce()), "an end that was cut");
    }

    #[test]
    fn what_is_no_announce_is_refused_with_the_reason() {
        use AnnounceError::{Cookie, Count, Header, InfoHash, Port, Request};
        assert_eq!(changed("BT-SEARCH", "M-SEARCH"), Err(Request));
        assert_eq!(Announce::decode(b"\xff"), Err(Request));
        assert_eq!(Announce::decode(b""), Err(Request));
        assert_eq!(changed("Host:", "nonsense\r\nHost:"), Err(Header));
        for port in ["0", "65536", "+1", "-1", "", "6881\r\nPort: 1"] {
            assert_eq!(changed("6881", port), Err(Port), "{port}");
        }
        assert_eq!(changed("Port: 6881\r\n", ""), Err(Port));
        for hash in ["0123", "g123456789", "é12345678"] {
            assert_eq!(changed("0123456789", hash), Err(InfoHash));
        }
        assert_eq!(changed("Infohash", "Other"), Err(Count));
        assert_eq!(changed("1a2b", ""), Err(Cookie));
        assert_eq!(changed("1a2b", "a\x07b"), Err(Cookie));
    }

    #[test]
    fn every_field_has_its_bound() {
        let many = |count| Announce {
            info_hashes: vec![[7; 20]; count],
            cookie: Some("c".repeat(COOKIE_OCTETS_MAX)),
            ..announce()
        };
        let largest = many(INFO_HASHES_MAX).encode(GROUP_V6).expect("an announce");
        assert!(largest.len() <= DATAGRAM_OCTETS_MAX, "{}", largest.len());
        assert_eq!(Announce::decode(&largest), Ok(many(INFO_HASHES_MAX)));
        assert_eq!(many(INFO_HASHES_MAX + 1).encode(GROUP_V4), Err(AnnounceError::Count));
        assert_eq!(many(0).encode(GROUP_V4), Err(AnnounceError::Count));
        let line = "Infohash: 0707070707070707070707070707070707070707\r\n";
        assert_eq!(changed("cookie: 1a2b\r\n", &line.repeat(INFO_HASHES_MAX)), Err(AnnounceError::Count));
        let long = "c".repeat(COOKIE_OCTETS_MAX + 1);
        assert_eq!(changed("1a2b", &long), Err(AnnounceError::Cookie));
        assert_eq!(
            Announce { cookie: Some(long), ..announce() }.encode(GROUP_V4),
            Err(AnnounceError::Cookie)
        );
        assert_eq!(Announce { port: 0, ..announce() }.encode(GROUP_V4), Err(AnnounceError::Port));
        let padded = [EXAMPLE.as_bytes(), &[b' '; DATAGRAM_OCTETS_MAX]].concat();
        assert_eq!(Announce::decode(&padded), Err(AnnounceError::TooLong(padded.len())));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(
            port in 1u16..,
            info_hashes in prop::collection::vec(any::<[u8; 20]>(), 1..=INFO_HASHES_MAX),
            cookie in prop::option::of("[!-~]{1,64}"),
        ) {
            let announce = Announce { port, info_hashes, cookie };
            let datagram = announce.encode(GROUP_V4).expect("an announce");
            prop_assert_eq!(Announce::decode(&datagram), Ok(announce));
        }
    }
}
