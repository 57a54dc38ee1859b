//! One TCP connection, in the clear or under TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A connection. It starts in the clear and may be put under TLS once.
#[derive(Debug)]
pub struct Stream {
    inner: Inner,
    local: SocketAddr,
    peer: SocketAddr,
}

#[derive(Debug)]
enum Inner {
    Clear(TcpStream),
    Tls(Box<tokio_rustls::TlsStream<TcpStream>>),
}

impl Stream {
    pub(crate) fn new(tcp: TcpStream) -> io::Result<Self> {
        let (local, peer) = (tcp.local_addr()?, tcp.peer_addr()?);
        tcp.set_nodelay(true)?;
        Ok(Self { inner: Inner::Clear(tcp), local, peer })
    }

    /// Our end.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The other end.
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// Whether the connection is under TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self.inner, Inner::Tls(_))
    }

    /// Puts the connection under TLS, as the server. The caller bounds the time.
    pub async fn accept_tls(self, config: Arc<rustls::ServerConfig>) -> io::Result<Self> {
        let Inner::Clear(tcp) = self.inner else { return Err(already_tls()) };
        let tls = TlsAcceptor::from(config).accept(tcp).await?;
        Ok(Self { inner: Inner::Tls(Box::new(tls.into())), ..self })
    }

    /// Puts the connection under TLS, as the client. The caller bounds the time.
    pub async fn connect_tls(self, config: Arc<rustls::ClientConfig>, server_name: &str) -> io::Result<Self> {
        let Inner::Clear(tcp) = self.inner else { return Err(already_tls()) };
        let name = rustls::pki_types::ServerName::try_from(server_name.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let tls = TlsConnector::from(config).connect(name, tcp).await?;
        Ok(Self { inner: Inner::Tls(Box::new(tls.into())), ..self })
    }
}

fn already_tls() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the connection is under TLS already")
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Clear(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Inner::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.inner {
            Inner::Clear(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Inner::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Clear(tcp) => Pin::new(tcp).poll_flush(cx),
            Inner::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Clear(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Inner::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
