//! Connections and datagrams through a SOCKS5 proxy (RFC 1928), with a name and
//! password where it asks for them (RFC 1929).

mod association;
mod place;

pub(crate) use association::Association;
use place::NAME_OCTETS_MAX;
pub use place::{Place, RelayedDatagram};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Octets of a name or password at most: their length is told in one.
const TEXT_OCTETS_MAX: usize = 255;
const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const BY_PASSWORD: u8 = 2;
/// The longest place: a name, with its length and port.
const PLACE_OCTETS_MAX: usize = 1 + 1 + NAME_OCTETS_MAX + 2;

/// What a proxy is asked for (RFC 1928 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request<'a> {
    /// A connection.
    Connect(Place<'a>),
    /// A place that carries datagrams on, wherever we send them from.
    Associate,
}

impl Request<'_> {
    fn write(self, out: &mut Vec<u8>) -> io::Result<()> {
        let (command, place) = match self {
            Self::Connect(to) => (1, to),
            Self::Associate => (3, Place::Address(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0))),
        };
        out.extend_from_slice(&[VERSION, command, 0]);
        place.write(out)
    }
}

/// A SOCKS5 proxy: `socks5://NAME:PASSWORD@HOST:PORT`, without the part before `@`
/// where it asks for none. `socks5h` is the same: host names are always the proxy's
/// to look up.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    host: String,
    port: u16,
    credentials: Option<(Arc<str>, Arc<str>)>,
}

/// Why a text names no proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write the proxy as socks5://HOST:PORT or socks5://NAME:PASSWORD@HOST:PORT")]
pub struct ProxyError;

impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let rest = ["socks5://", "socks5h://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let rest = rest.ok_or(ProxyError)?.trim_end_matches('/');
        let (credentials, place) = match rest.rsplit_once('@') {
            None => (None, rest),
            Some((credentials, place)) => {
                let (name, password) = credentials.split_once(':').ok_or(ProxyError)?;
                (Some((decode(name)?, decode(password)?)), place)
            }
        };
        let (host, port) = place.rsplit_once(':').ok_or(ProxyError)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(ProxyError)?;
        if host.is_empty() || host.contains(['/', '@', ' ']) {
            return Err(ProxyError);
        }
        Ok(Self { host: host.to_owned(), port, credentials })
    }
}

/// A name or password, of which some octets may be percent-encoded.
fn decode(text: &str) -> Result<Arc<str>, ProxyError> {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        let mut digit = || rest.next().and_then(|octet| char::from(octet).to_digit(16)).ok_or(ProxyError);
        octets.push(if octet == b'%' { (digit()? << 4 | digit()?) as u8 } else { octet });
    }
    let text = String::from_utf8(octets).map_err(|_| ProxyError)?;
    if text.is_empty() || text.len() > TEXT_OCTETS_MAX { Err(ProxyError) } else { Ok(text.into()) }
}

impl Proxy {
    /// Where it is.
    pub(crate) fn place(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Asks the proxy at the other end of `stream` for something. Gives the address
    /// that it answers: after [`Request::Connect`] the octets are those of a
    /// connection that leaves from there, after [`Request::Associate`] it carries
    /// on the datagrams that come there, as long as `stream` is open.
    ///
    /// # Errors
    /// When the proxy speaks no SOCKS5, wants another name or password, cannot do
    /// that, or does not get there.
    pub(crate) async fn negotiate(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        request: Request<'_>,
    ) -> io::Result<Option<SocketAddr>> {
        // RFC 1928 section 3.
        let methods: &[u8] =
            if self.credentials.is_some() { &[NO_AUTHENTICATION, BY_PASSWORD] } else { &[NO_AUTHENTICATION] };
        stream.write_all(&[&[VERSION, methods.len() as u8], methods].concat()).await?;
        let mut chosen = [0; 2];
        stream.read_exact(&mut chosen).await?;
        match (chosen, &self.credentials) {
            ([VERSION, NO_AUTHENTICATION], _) => {}
            ([VERSION, BY_PASSWORD], Some((name, password))) => {
                authenticate(stream, name, password).await?;
            }
            ([VERSION, _], None) => return Err(refused("it asks for a name and password")),
            ([VERSION, _], Some(_)) => return Err(refused("it takes no name and password")),
            _ => return Err(refused("it speaks no SOCKS5")),
        }
        // Sections 4 to 6.
        let mut octets = Vec::new();
        request.write(&mut octets)?;
        stream.write_all(&octets).await?;
        let mut head = [0; 3];
        stream.read_exact(&mut head).await?;
        let [VERSION, code, _] = head else { return Err(refused("it speaks no SOCKS5")) };
        if code != 0 {
            return Err(failure(code, request));
        }
        read_place(stream).await
    }
}

/// The address that follows; `None` for a name.
async fn read_place(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let senseless = || refused("its reply makes no sense");
    let mut octets = [0; PLACE_OCTETS_MAX];
    let (kind, rest) = octets.split_at_mut(1);
    stream.read_exact(kind).await?;
    let (length, rest) = rest.split_at_mut(usize::from(*kind == [3]));
    stream.read_exact(length).await?;
    let more = match (&*kind, &*length) {
        ([1], _) => 4,
        ([4], _) => 16,
        (_, [length]) => usize::from(*length),
        _ => return Err(senseless()),
    };
    stream.read_exact(rest.get_mut(..more + 2).ok_or_else(senseless)?).await?;
    match Place::read(&octets) {
        Some((Place::Address(address), _)) => Ok(Some(address)),
        Some((Place::Name(..), _)) => Ok(None),
        None => Err(senseless()),
    }
}

async fn authenticate(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    name: &str,
    password: &str,
) -> io::Result<()> {
    let mut request = vec![1, name.len() as u8];
    request.extend_from_slice(name.as_bytes());
    request.push(password.len() as u8);
    request.extend_from_slice(password.as_bytes());
    stream.write_all(&request).await?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).await?;
    if answer[1] == 0 { Ok(()) } else { Err(refused("it does not know this name and password")) }
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, format!("the proxy: {why}"))
}

/// RFC 1928 section 6.
fn failure(code: u8, request: Request<'_>) -> io::Error {
    let (kind, why) = match code {
        7 if request == Request::Associate => (io::ErrorKind::Unsupported, "it carries no datagrams"),
        2 => (io::ErrorKind::PermissionDenied, "it does not allow this connection"),
        3 => (io::ErrorKind::NetworkUnreachable, "the network is unreachable"),
        4 => (io::ErrorKind::HostUnreachable, "the host is unreachable"),
        5 => (io::ErrorKind::ConnectionRefused, "the connection is refused"),
        6 => (io::ErrorKind::TimedOut, "the host does not answer"),
        7 | 8 => (io::ErrorKind::Unsupported, "it cannot do that"),
        _ => (io::ErrorKind::Other, "it failed"),
    };
    io::Error::new(kind, format!("the proxy: {why}"))
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A password stands in no log.
        write!(f, "socks5://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(text: &str) -> Proxy {
        text.parse().expect("a proxy")
    }

    /// Negotiates with a proxy that says `answers`; gives what it was told.
    async fn told(proxy: &Proxy, to: Place<'_>, answers: &[u8]) -> (io::Result<Option<SocketAddr>>, Vec<u8>) {
        let (mut ours, mut theirs) = tokio::io::duplex(4_096);
        theirs.write_all(answers).await.expect("written");
        let result = tokio::time::timeout(std::time::Duration::from_secs(5), async {
            let result = proxy.negotiate(&mut ours, Request::Connect(to)).await;
            drop(ours);
            result
        });
        let result = result.await.expect("it ends");
        let mut told = Vec::new();
        theirs.read_to_end(&mut told).await.expect("read");
        (result, told)
    }

    #[test]
    fn proxies_are_read_and_passwords_are_not_shown() {
        let named = proxy("socks5://me:a%3Ab%40c@[::1]:1080/");
        assert_eq!(named.place(), ("::1", 1_080));
        assert_eq!(named.credentials, Some(("me".into(), "a:b@c".into())));
        assert!(!format!("{named:?}").contains("a:b"));
        assert_eq!(proxy("socks5h://p.test:9").place(), ("p.test", 9));
        let long = format!("socks5://me:{}@h:1", "x".repeat(TEXT_OCTETS_MAX + 1));
        for wrong in [
            "p.test:1080",
            "http://p:1",
            "socks5://p",
            "socks5://p:0",
            "socks5://:1",
            "socks5://me@p:1",
            "socks5://me:%zz@p:1",
            "socks5://:x@p:1",
            "socks5://p:99999",
            &long,
        ] {
            assert_eq!(wrong.parse::<Proxy>(), Err(ProxyError), "{wrong}");
        }
    }

    #[tokio::test]
    async fn the_octets_are_those_of_rfc_1928_and_1929() {
        let address = Place::Address("192.0.2.1:80".parse().expect("an address"));
        let (result, said) =
            told(&proxy("socks5://p:1"), address, &[5, 0, 5, 0, 0, 1, 1, 2, 3, 4, 0, 9]).await;
        let from = "1.2.3.4:9".parse().expect("an address");
        assert_eq!(result.expect("it connects"), Some(from));
        assert_eq!(said, [5, 1, 0, 5, 1, 0, 1, 192, 0, 2, 1, 0, 80]);
        let name = Place::Name("w.test", 443);
        let answers = [&[5, 2, 1, 0, 5, 0, 0, 3, 2][..], b"ab", &[0, 9]].concat();
        let (result, said) = told(&proxy("socks5://me:pw@p:1"), name, &answers).await;
        assert_eq!(result.expect("it connects"), None);
        let expected = [&[5, 2, 0, 2, 1, 2][..], b"me", &[2], b"pw", &[5, 1, 0, 3, 6], b"w.test", &[1, 187]];
        assert_eq!(said, expected.concat());
    }

    #[tokio::test]
    async fn a_proxy_that_refuses_or_talks_nonsense_is_an_error() {
        let to = Place::Name("w.test", 1);
        let named = proxy("socks5://me:pw@p:1");
        for answers in [
            &b"HTTP/1.1 400"[..],
            &[5, 0xff],
            &[5, 2, 1, 1],
            &[5, 0, 5, 5, 0, 1, 0, 0, 0, 0, 0, 0],
            &[5, 0, 4, 0, 0, 1],
            &[5, 0, 5, 0, 0, 9],
        ] {
            assert!(told(&named, to, answers).await.0.is_err(), "{answers:?}");
        }
        assert!(told(&proxy("socks5://p:1"), to, &[5, 2]).await.0.is_err());
        let long = "x".repeat(TEXT_OCTETS_MAX + 1);
        assert!(told(&named, Place::Name(&long, 1), &[5, 0]).await.0.is_err());
    }
}
