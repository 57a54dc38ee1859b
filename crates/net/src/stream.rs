//! One TCP connection, in the clear or under TLS.

use crate::backlog::{self, Backlog};
use crate::layer::Layers;
use crate::listener::Guest;
use crate::tls::words::explained;
use crate::{BoxedDuplex, Ends};
use socket2::SockRef;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// A connection. It starts in the clear and may be put under TLS once.
///
/// Shutting it down ([`tokio::io::AsyncWriteExt::shutdown`]) says close_notify
/// first where it is under TLS (RFC 8446 section 6.1), then ends our direction.
#[derive(Debug)]
pub struct Stream {
    inner: Inner,
    ends: Ends,
    key_log: Option<Arc<dyn rustls::KeyLog>>,
    #[expect(dead_code, reason = "held for its drop")]
    guest: Option<Guest>,
}

#[derive(Debug)]
enum Inner {
    Clear(Wire),
    Tls(Box<TlsStream<Wire>>),
}

/// What TLS agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFacts {
    /// The version, e.g. `TLSv1.3`.
    pub version: String,
    /// The cipher suite, e.g. `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// As the server: the name the client asked for (SNI, RFC 6066 section 3).
    pub server_name: Option<String>,
}

impl Stream {
    pub(crate) fn new(tcp: TcpStream, ends: Ends, layers: &Layers, guest: Option<Guest>) -> Self {
        // Without it a short reply may wait for the peer's delayed acknowledgement;
        // where it fails the connection is gone, and reading will say so.
        tcp.set_nodelay(true).ok();
        let wire = if layers.is_empty() {
            Wire::Tcp(tcp)
        } else {
            Wire::Layered(layers.stream(ends, Box::new(tcp)))
        };
        Self { inner: Inner::Clear(wire), ends, key_log: layers.key_log(), guest }
    }

    /// Our end.
    pub fn local_addr(&self) -> SocketAddr {
        self.ends.local
    }

    /// The other end.
    pub fn peer_addr(&self) -> SocketAddr {
        self.ends.peer
    }

    /// Whether the connection is under TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self.inner, Inner::Tls(_))
    }

    /// What TLS agreed on; `None` in the clear.
    pub fn tls(&self) -> Option<TlsFacts> {
        let Inner::Tls(tls) = &self.inner else { return None };
        let (_, connection) = tls.get_ref();
        let server_name = match &**tls {
            TlsStream::Server(server) => server.get_ref().1.server_name().map(str::to_owned),
            TlsStream::Client(_) => None,
        };
        Some(TlsFacts {
            version: connection
                .protocol_version()
                .and_then(|version| version.as_str())
                .unwrap_or("unknown")
                .replace("TLSv1_", "TLSv1."),
            cipher: connection
                .negotiated_cipher_suite()
                .and_then(|suite| suite.suite().as_str())
                .unwrap_or("unknown")
                .to_owned(),
            server_name,
        })
    }

    /// Puts the connection under TLS, as the server. The caller bounds the time
    /// ([`Timeouts`](crate::Timeouts)), and with STARTTLS makes sure that
    /// nothing it read in the clear is left in a buffer of its own: whoever sits
    /// in between could have put it there (RFC 3207 section 4.2).
    pub async fn accept_tls(self, config: Arc<rustls::ServerConfig>) -> io::Result<Self> {
        let Inner::Clear(wire) = self.inner else { return Err(already_tls()) };
        let config = match &self.key_log {
            Some(key_log) => {
                let mut config = (*config).clone();
                config.key_log = key_log.clone();
                Arc::new(config)
            }
            None => config,
        };
        let tls = TlsAcceptor::from(config).accept(wire).await.map_err(explained)?;
        Ok(Self { inner: Inner::Tls(Box::new(tls.into())), ..self })
    }

    /// Puts the connection under TLS, as the client of `server_name` (a host
    /// name or an IP address). The caller bounds the time and, with STARTTLS,
    /// makes sure its buffer was empty.
    pub async fn connect_tls(self, config: Arc<rustls::ClientConfig>, server_name: &str) -> io::Result<Self> {
        let Inner::Clear(wire) = self.inner else { return Err(already_tls()) };
        let name = rustls::pki_types::ServerName::try_from(server_name.trim_end_matches('.').to_owned())
            .map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidInput, format!("server name {server_name:?}: {error}"))
            })?;
        let config = match &self.key_log {
            Some(key_log) => {
                let mut config = (*config).clone();
                config.key_log = key_log.clone();
                Arc::new(config)
            }
            None => config,
        };
        let tls = TlsConnector::from(config).connect(name, wire).await.map_err(explained)?;
        Ok(Self { inner: Inner::Tls(Box::new(tls.into())), ..self })
    }
}

/// What a plain socket can do beyond bytes in and out.
impl Stream {
    /// The socket, where nothing stands between it and the service.
    fn plain(&self) -> Option<&TcpStream> {
        match &self.inner {
            Inner::Clear(Wire::Tcp(tcp)) => Some(tcp),
            Inner::Clear(Wire::Layered(_)) | Inner::Tls(_) => None,
        }
    }

    /// Whether nothing stands between the socket and the service: neither TLS nor a
    /// layer, which has little room for what comes and is not read.
    pub fn is_bare(&self) -> bool {
        self.plain().is_some()
    }

    /// Whether [`Stream::poll_send_file`] can be used: the connection is neither
    /// under TLS nor behind a layer, which must see the octets.
    pub fn can_send_file(&self) -> bool {
        self.is_bare()
    }

    /// Bounds the octets that are written and wait in this machine to be sent for
    /// the first time: from so many on the connection takes no more, and again
    /// when half of them are left (Linux, TCP_NOTSENT_LOWAT). What is on its way
    /// does not count, so that the bound costs no speed where the writer comes
    /// back in time. Does nothing where a layer stands before the socket.
    pub fn set_unsent_max(&self, octets: u32) -> io::Result<()> {
        self.plain().map_or(Ok(()), |tcp| SockRef::from(tcp).set_tcp_notsent_lowat(octets))
    }

    /// What was written and is not acknowledged; `None` where it cannot be found
    /// out, such as behind a layer.
    pub fn backlog(&self) -> Option<Backlog> {
        self.plain().and_then(|tcp| backlog::read(tcp).ok())
    }

    /// Sends up to `octets` of `file` from `offset` without copying them through
    /// this process. Returns how many were sent; 0 means that the file ended.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] where it cannot be used; what the system
    /// says otherwise.
    pub fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: &File,
        offset: u64,
        octets: NonZeroUsize,
    ) -> Poll<io::Result<usize>> {
        let Some(tcp) = self.plain() else { return Poll::Ready(Err(io::ErrorKind::Unsupported.into())) };
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        loop {
            ready!(tcp.poll_write_ready(cx))?;
            let send = || SockRef::from(tcp).sendfile(file, offset, Some(octets));
            match tcp.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    /// Reads into several places by one system call where that can be, into the
    /// first of them otherwise. Returns how many octets were read; 0 means that
    /// the peer has ended.
    pub fn poll_read_vectored(
        &mut self,
        cx: &mut Context<'_>,
        places: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let Some(tcp) = self.plain() else {
            let Some(first) = places.iter_mut().find(|place| !place.is_empty()) else {
                return Poll::Ready(Ok(0));
            };
            let mut buffer = ReadBuf::new(first);
            ready!(Pin::new(self).poll_read(cx, &mut buffer))?;
            return Poll::Ready(Ok(buffer.filled().len()));
        };
        loop {
            ready!(tcp.poll_read_ready(cx))?;
            match tcp.try_read_vectored(places) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
        }
    }

    /// Writes octets that more will follow at once, such as the header before a
    /// file: the system waits with them, so that both leave in one packet.
    pub fn poll_write_more(&mut self, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let Some(tcp) = self.plain() else { return Pin::new(self).poll_write(cx, octets) };
        loop {
            ready!(tcp.poll_write_ready(cx))?;
            let flags = libc::MSG_MORE | libc::MSG_NOSIGNAL;
            let send = || SockRef::from(tcp).send_with_flags(octets, flags);
            match tcp.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }
}

fn already_tls() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the connection is under TLS already")
}

/// What lies below TLS: the socket itself, or the layers in front of it.
#[derive(Debug)]
enum Wire {
    Tcp(TcpStream),
    Layered(BoxedDuplex),
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Wire::Layered(layered) => Pin::new(layered).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Wire::Layered(layered) => Pin::new(layered).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Wire::Layered(layered) => Pin::new(layered).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Wire::Tcp(tcp) => tcp.is_write_vectored(),
            Wire::Layered(layered) => layered.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Wire::Layered(layered) => Pin::new(layered).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Wire::Layered(layered) => Pin::new(layered).poll_shutdown(cx),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Clear(wire) => Pin::new(wire).poll_read(cx, buf),
            Inner::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.inner {
            Inner::Clear(wire) => Pin::new(wire).poll_write(cx, buf),
            Inner::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.inner {
            Inner::Clear(wire) => Pin::new(wire).poll_write_vectored(cx, bufs),
            Inner::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.inner {
            Inner::Clear(wire) => wire.is_write_vectored(),
            Inner::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Clear(wire) => Pin::new(wire).poll_flush(cx),
            Inner::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Clear(wire) => Pin::new(wire).poll_shutdown(cx),
            Inner::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
