//! Where a tracker is.

use std::fmt;
use thiserror::Error;

/// Octets of a tracker's URL.
pub const URL_OCTETS_MAX: usize = 2_048;

/// The URL of a tracker: `udp://HOST:PORT[/PATH]`, or one for HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TrackerUrl {
    /// Over UDP (BEP 15).
    Udp {
        /// A name or an address, without brackets.
        host: String,
        /// The port.
        port: u16,
        /// Path and query, for the option of BEP 41; often empty.
        path: String,
    },
    /// Over HTTP.
    Http {
        /// A name or an address, without brackets.
        host: String,
        /// The port; 80, or 443 under TLS, where the URL has none.
        port: u16,
        /// Whether it is under TLS.
        tls: bool,
        /// The URL without a fragment.
        url: String,
    },
}

/// Why a text is no URL of a tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UrlError {
    /// Neither `udp`, `http` nor `https`.
    #[error("a tracker's URL begins with udp://, http:// or https://")]
    Scheme,
    /// No host.
    #[error("a tracker's URL has a host")]
    Host,
    /// No port, or none that can be.
    #[error("a tracker's URL has a port from 1 to 65535")]
    Port,
    /// Longer than [`URL_OCTETS_MAX`], or with blanks or control characters.
    #[error("a tracker's URL has up to {URL_OCTETS_MAX} octets and no blanks")]
    Text,
}

impl TrackerUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// When it is none of a tracker.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.len() > URL_OCTETS_MAX || text.bytes().any(|octet| octet <= b' ' || octet == 0x7f) {
            return Err(UrlError::Text);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let rest = rest.split('#').next().unwrap_or(rest);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = (&rest[..end], &rest[end..]);
        // Names and passwords within URLs are not sent.
        let authority = authority.rsplit('@').next().unwrap_or(authority);
        let (host, port) = split_port(authority)?;
        if host.is_empty() {
            return Err(UrlError::Host);
        }
        let host = host.to_ascii_lowercase();
        let scheme = scheme.to_ascii_lowercase();
        let usual = match scheme.as_str() {
            "udp" => {
                let port = port.ok_or(UrlError::Port)?;
                return Ok(Self::Udp { host, port, path: path.to_owned() });
            }
            "http" => 80,
            "https" => 443,
            _ => return Err(UrlError::Scheme),
        };
        let url = format!("{scheme}://{rest}");
        Ok(Self::Http { host, port: port.unwrap_or(usual), tls: scheme == "https", url })
    }

    /// The host, a name or an address, and the port.
    pub fn host_and_port(&self) -> (&str, u16) {
        match self {
            Self::Udp { host, port, .. } | Self::Http { host, port, .. } => (host, *port),
        }
    }
}

impl fmt::Display for TrackerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp { host, port, path } if host.contains(':') => write!(f, "udp://[{host}]:{port}{path}"),
            Self::Udp { host, port, path } => write!(f, "udp://{host}:{port}{path}"),
            Self::Http { url, .. } => f.write_str(url),
        }
    }
}

/// Host and port; an IPv6 address stands in brackets (RFC 3986 section 3.2.2).
fn split_port(authority: &str) -> Result<(&str, Option<u16>), UrlError> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or(UrlError::Host)?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or(UrlError::Host)?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    match port {
        None => Ok((host, None)),
        Some(port) => match port.parse() {
            Ok(0) | Err(_) => Err(UrlError::Port),
            Ok(port) => Ok((host, Some(port))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn urls_are_read() {
        let udp = |text| match TrackerUrl::parse(text) {
            Ok(TrackerUrl::Udp { host, port, path }) => (host, port, path),
            other => panic!("{other:?}"),
        };
        assert_eq!(udp("udp://T.test:6969"), ("t.test".to_owned(), 6969, String::new()));
        assert_eq!(udp("udp://[::1]:1/announce?a=b"), ("::1".to_owned(), 1, "/announce?a=b".to_owned()));
        let http = |text| match TrackerUrl::parse(text) {
            Ok(TrackerUrl::Http { host, port, tls, url }) => (host, port, tls, url),
            other => panic!("{other:?}"),
        };
        let expected = ("t.test".to_owned(), 80, false, "http://t.test/announce".to_owned());
        assert_eq!(http("http://t.test/announce#x"), expected);
        let expected = ("t.test".to_owned(), 8443, true, "https://u:p@t.test:8443/a?k=1".to_owned());
        assert_eq!(http("HTTPS://u:p@t.test:8443/a?k=1"), expected);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, error) in [
            ("t.test:6969", UrlError::Scheme),
            ("wss://t.test", UrlError::Scheme),
            ("udp://t.test", UrlError::Port),
            ("udp://t.test:0", UrlError::Port),
            ("http://t.test:99999/", UrlError::Port),
            ("http:///announce", UrlError::Host),
            ("udp://[::1:6969", UrlError::Host),
            ("udp://[::1]6969", UrlError::Host),
            ("http://t.test/a b", UrlError::Text),
            ("http://t.test/\r\nHost: x", UrlError::Text),
        ] {
            assert_eq!(TrackerUrl::parse(text), Err(error), "{text}");
        }
        let long = format!("http://t.test/{}", "x".repeat(URL_OCTETS_MAX));
        assert_eq!(TrackerUrl::parse(&long), Err(UrlError::Text));
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_the_same(text in "(udp|http|https)://(t|\\[::1\\]|a@b)(:[0-9]{1,5})?[/?a-z#é]{0,6}") {
            if let Ok(url) = TrackerUrl::parse(&text) {
                prop_assert_eq!(TrackerUrl::parse(&url.to_string()), Ok(url));
            }
        }
    }
}
