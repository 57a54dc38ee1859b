//! UDP for clients and slow services; the batched socket of the hot path stands
//! beside it.

use std::io;
use std::net::SocketAddr;
use tokio::net::UdpSocket;

/// A datagram socket.
#[derive(Debug)]
pub struct Datagrams {
    udp: UdpSocket,
}

impl Datagrams {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(Self { udp: UdpSocket::from_std(socket)? })
    }

    /// Where it is bound.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    /// Sends one datagram.
    pub async fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.udp.send_to(datagram, to).await
    }

    /// Receives one datagram and who sent it.
    pub async fn receive_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.udp.recv_from(buffer).await
    }
}
