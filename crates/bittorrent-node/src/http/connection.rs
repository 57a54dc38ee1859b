//! A connection to a web server, for one request after the other.

use super::HttpError;
use crate::names::Names;
use bittorrent::tracker::Family;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{ACCEPT_ENCODING, HOST, HeaderValue, RANGE, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use net::{Network, Stream};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;
use tokio::task::AbortHandle;

/// How long a connection may take to open.
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);
/// How soon a connection is free again once an answer is read.
const IDLE_PATIENCE: Duration = Duration::from_millis(200);
/// Octets read ahead of whoever takes the answer, and of its head.
const BUFFER_OCTETS_MAX: usize = 64 * 1024;

/// Where something is on the web.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    https: bool,
    host: String,
    port: u16,
    /// Host and port as they stand in the address.
    authority: String,
    path: String,
}

impl Target {
    /// Reads an address; what may not stand in one, such as a space, is encoded.
    ///
    /// # Errors
    /// When it is none of http or https.
    pub(crate) fn parse(url: &str) -> Result<Self, HttpError> {
        let wrong = || HttpError::Url { url: url.to_owned() };
        let mut clean = String::with_capacity(url.len());
        for octet in url.bytes() {
            if octet.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&octet) {
                clean.push(char::from(octet));
            } else {
                let _ = write!(clean, "%{octet:02X}");
            }
        }
        let uri: Uri = clean.parse().map_err(|_| wrong())?;
        let https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        Ok(Self {
            https,
            host: authority.host().trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: authority.port_u16().unwrap_or(if https { 443 } else { 80 }),
            // Whom it names before an @ is nobody's business.
            authority: authority.as_str().rsplit('@').next().unwrap_or_default().to_owned(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Whether the same connection leads to both.
    fn is_at_same_server(&self, other: &Self) -> bool {
        (self.https, &self.authority) == (other.https, &other.authority)
    }

    fn failed(&self, reason: &dyn std::fmt::Display) -> HttpError {
        HttpError::Failed { host: self.host.clone(), reason: reason.to_string() }
    }
}

/// Which addresses of a host may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Reach {
    /// Only of this family.
    pub(crate) family: Option<Family>,
    /// Only those of the whole Internet: where an address came from there, it may
    /// not lead to this machine or its neighbours.
    pub(crate) global: bool,
}

/// An open connection; it is closed when this is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    target: Target,
    address: SocketAddr,
    sender: SendRequest<Empty<Bytes>>,
    task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    /// Connects to the server of `target`.
    ///
    /// # Errors
    /// When it is not found, not reached, or not whom it should be.
    pub(crate) async fn open(
        network: &Network,
        names: &Names,
        target: &Target,
        reach: Reach,
    ) -> Result<Self, HttpError> {
        if network.is_proxied() {
            let stream = network.connect_by_name(&target.host, target.port, CONNECT_PATIENCE).await;
            let stream = stream.map_err(|error| target.failed(&error))?;
            return Self::begin(stream, names, target).await;
        }
        let addresses =
            names.addresses(&target.host, target.port).await.map_err(|error| target.failed(&error))?;
        let fits = |address: &SocketAddr| {
            reach.family.is_none_or(|family| Family::of(*address) == family)
                && !(reach.global && is_local(address.ip()))
        };
        let address = addresses
            .into_iter()
            .find(fits)
            .ok_or_else(|| HttpError::NoAddress { host: target.host.clone() })?;
        let stream =
            network.connect(address, CONNECT_PATIENCE).await.map_err(|error| target.failed(&error))?;
        Self::begin(stream, names, target).await
    }

    /// Begins to speak over a connection.
    async fn begin(mut stream: Stream, names: &Names, target: &Target) -> Result<Self, HttpError> {
        let address = stream.peer_addr();
        if target.https {
            let config = names
                .tls()
                .ok_or_else(|| target.failed(&"no certificates of authorities are known for https"))?;
            stream = stream.connect_tls(config, &target.host).await.map_err(|error| target.failed(&error))?;
        }
        let (sender, connection) = Builder::new()
            .max_buf_size(BUFFER_OCTETS_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| target.failed(&error))?;
        let task = tokio::spawn(connection).abort_handle();
        Ok(Self { target: target.clone(), address, sender, task })
    }

    /// Whether it can be asked for `target`, once the answer before is read.
    pub(crate) async fn leads_to(&mut self, target: &Target) -> bool {
        self.target.is_at_same_server(target)
            && matches!(tokio::time::timeout(IDLE_PATIENCE, self.sender.ready()).await, Ok(Ok(())))
    }

    /// Whether it leads to this machine or its neighbours.
    pub(crate) fn is_local(&self) -> bool {
        is_local(self.address.ip())
    }

    /// Asks for `target`, or some octets of it; gives the head of the answer, and
    /// the way to its body.
    ///
    /// # Errors
    /// When the connection breaks, or what comes is no HTTP.
    pub(crate) async fn get(
        &mut self,
        target: &Target,
        range: Option<&Range<u64>>,
    ) -> Result<Response<Incoming>, HttpError> {
        let mut request = Request::get(target.path.as_str())
            .header(HOST, target.authority.as_str())
            .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
            .header(USER_AGENT, HeaderValue::from_static(concat!("Utopia/", env!("CARGO_PKG_VERSION"))));
        if let Some(range) = range {
            request = request.header(RANGE, format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        }
        let request = request.body(Empty::new()).map_err(|error| target.failed(&error))?;
        self.sender.send_request(request).await.map_err(|error| target.failed(&error))
    }
}

/// Whether an address is of this machine or of a network behind it, not of the
/// whole Internet (RFC 6890).
fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let carrier_grade = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified() || carrier_grade
        }
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_mended() {
        let read = |url: &str| Target::parse(url).ok().map(|target| (target.host, target.port, target.path));
        assert_eq!(read("http://w.test/a b/ä?q"), Some(("w.test".into(), 80, "/a%20b/%C3%A4?q".into())));
        assert_eq!(read("https://[::1]:8443/%20"), Some(("::1".into(), 8443, "/%20".into())));
        assert_eq!(read("https://w.test"), Some(("w.test".into(), 443, "/".into())));
        for wrong in ["ftp://w.test/", "w.test/x", "http://", "/x", ""] {
            assert!(read(wrong).is_none(), "{wrong}");
        }
        let named = Target::parse("http://me:secret@w.test/").expect("an address");
        assert_eq!((named.authority.as_str(), named.host()), ("w.test", "w.test"));
    }

    #[test]
    fn what_is_near_is_told_from_the_internet() {
        for (address, local) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("192.168.1.1", true),
            ("169.254.0.1", true),
            ("100.64.0.1", true),
            ("100.128.0.1", false),
            ("192.0.2.1", false),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("fe80::1", true),
            ("fd00::1", true),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_local(address.parse().expect("an address")), local, "{address}");
        }
    }
}
