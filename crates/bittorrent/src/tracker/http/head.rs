//! As much of HTTP/1.1 (RFC 9112) as a tracker needs: the head of a GET.

use std::net::IpAddr;
use thiserror::Error;

/// Octets of a request's head.
pub const HEAD_OCTETS_MAX: usize = 8 * 1024;

/// The head of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// The path, e.g. `/announce`.
    pub path: &'a [u8],
    /// What stands behind the `?`; empty without one.
    pub query: &'a [u8],
    /// Whether the connection stays open for further requests.
    pub keep_alive: bool,
    /// The last address of `X-Forwarded-For`: the one that the last proxy saw.
    /// To be believed of a known proxy only.
    pub forwarded_for: Option<IpAddr>,
    /// How long the head is.
    pub octets: usize,
}

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeadError {
    /// It is longer than [`HEAD_OCTETS_MAX`].
    #[error("the request is too long")]
    TooLong,
    /// It is not HTTP/1.
    #[error("this is not HTTP/1.1")]
    Version,
    /// It is no GET, or has a body.
    #[error("only GET is served here")]
    Method,
    /// A line of it is broken.
    #[error("the request is broken")]
    Broken,
}

impl<'a> Head<'a> {
    /// Reads the head that `octets` begin with; `None` where more are needed.
    ///
    /// # Errors
    /// When they begin with none that is served. What follows cannot be read.
    pub fn read(octets: &'a [u8]) -> Result<Option<Self>, HeadError> {
        let mut lines = Lines { octets, at: 0 };
        let Some(request) = lines.next_line()? else { return Ok(None) };
        // Checked once the head is whole: until then the client may be slow, not wrong.
        let mut keep_alive = request.ends_with(b" HTTP/1.1");
        let mut forwarded_for = None;
        let mut has_body = false;
        loop {
            let Some(line) = lines.next_line()? else { return Ok(None) };
            if line.is_empty() {
                break;
            }
            let colon = line.iter().position(|octet| *octet == b':').ok_or(HeadError::Broken)?;
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"connection") {
                let mut options = value.split(|octet| *octet == b',').map(<[u8]>::trim_ascii);
                if options.clone().any(|option| option.eq_ignore_ascii_case(b"close")) {
                    keep_alive = false;
                } else if options.any(|option| option.eq_ignore_ascii_case(b"keep-alive")) {
                    keep_alive = true;
                }
            } else if name.eq_ignore_ascii_case(b"x-forwarded-for") {
                let last = value.rsplit(|octet| *octet == b',').next().map(<[u8]>::trim_ascii);
                forwarded_for = last.and_then(|last| std::str::from_utf8(last).ok()?.parse().ok());
            } else if name.eq_ignore_ascii_case(b"content-length") {
                has_body |= value != b"0";
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                has_body = true;
            }
        }
        let mut words = request.split(|octet| *octet == b' ');
        let (method, target, version) = (words.next(), words.next(), words.next());
        let (Some(method), Some(target), Some(version), None) = (method, target, version, words.next())
        else {
            return Err(HeadError::Broken);
        };
        if version != b"HTTP/1.1" && version != b"HTTP/1.0" {
            return Err(HeadError::Version);
        }
        if method != b"GET" || has_body {
            return Err(HeadError::Method);
        }
        let mut parts = target.splitn(2, |octet| *octet == b'?');
        let path = parts.next().unwrap_or_default();
        let query = parts.next().unwrap_or_default();
        Ok(Some(Self { path, query, keep_alive, forwarded_for, octets: lines.at }))
    }
}

/// Takes lines, ended by CRLF or LF (RFC 9112 section 2.2).
struct Lines<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn next_line(&mut self) -> Result<Option<&'a [u8]>, HeadError> {
        let rest = self.octets.get(self.at..).unwrap_or_default();
        let bounded = rest.get(..HEAD_OCTETS_MAX - self.at.min(HEAD_OCTETS_MAX)).unwrap_or(rest);
        match bounded.iter().position(|octet| *octet == b'\n') {
            Some(end) => {
                self.at += end + 1;
                let line = &bounded[..end];
                Ok(Some(line.strip_suffix(b"\r").unwrap_or(line)))
            }
            None if self.octets.len() >= HEAD_OCTETS_MAX => Err(HeadError::TooLong),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Option<Head<'_>>, HeadError> {
        Head::read(text.as_bytes())
    }

    #[test]
    fn heads_are_read_when_they_are_whole() {
        let text =
            "GET /announce?a=1?2 HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 10.0.0.1, 192.0.2.7\r\n\r\nGET";
        let head = read(text).expect("served").expect("whole");
        assert_eq!((head.path, head.query), (&b"/announce"[..], &b"a=1?2"[..]));
        assert_eq!((head.keep_alive, head.octets), (true, text.len() - 3));
        assert_eq!(head.forwarded_for, Some([192, 0, 2, 7].into()));
        for end in 0..text.len() - 3 {
            assert_eq!(read(&text[..end]), Ok(None), "{end}");
        }
    }

    #[test]
    fn connections_stay_open_as_agreed() {
        let keeps = |version: &str, option: &str| {
            let text = format!("GET / HTTP/{version}\n{option}\n\n");
            read(&text).expect("served").expect("whole").keep_alive
        };
        assert!(keeps("1.1", "a: b") && !keeps("1.0", "a: b"));
        assert!(!keeps("1.1", "connection: Close") && keeps("1.0", "Connection: Keep-Alive"));
        assert!(!keeps("1.1", "Connection: keep-alive, close"));
    }

    #[test]
    fn what_is_not_served_is_refused() {
        assert_eq!(read("POST / HTTP/1.1\r\n\r\n"), Err(HeadError::Method));
        assert_eq!(read("GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"), Err(HeadError::Method));
        assert_eq!(read("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(HeadError::Method));
        assert_eq!(read("GET / HTTP/2\r\n\r\n"), Err(HeadError::Version));
        assert_eq!(read("GET /\r\n\r\n"), Err(HeadError::Broken));
        assert_eq!(read("GET / HTTP/1.1\r\nno header\r\n\r\n"), Err(HeadError::Broken));
        assert_eq!(read(&"x".repeat(HEAD_OCTETS_MAX)), Err(HeadError::TooLong));
        let many = format!("GET / HTTP/1.1\r\n{}", "a: b\r\n".repeat(HEAD_OCTETS_MAX));
        assert_eq!(read(&many), Err(HeadError::TooLong));
        assert_eq!(read(&format!("GET /{} HTTP/1.1", "x".repeat(8_000))), Ok(None));
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(text in "(GET|POST|/|\\?| |HTTP/1.1|\r\n|\n|a:|Connection:|[ -~]){0,30}") {
            if let Ok(Some(head)) = read(&text) {
                prop_assert!(head.octets <= text.len());
            }
        }
    }
}
