//! Sockets that systemd opened and handed over (socket activation): ports below
//! 1024 without any privilege of our own.

use listenfd::ListenFd;
use socket2::{Socket, Type};
use std::net::SocketAddr;

/// Sockets handed over. They stay open as long as this process runs, whether a
/// service listens on them or not, so that one may come back to them.
#[derive(Debug, Default)]
pub struct Inherited(Vec<Socket>);

impl Inherited {
    /// Takes what the environment hands over (`LISTEN_FDS`); nothing where it
    /// does not. Sockets of other kinds are left alone.
    pub fn from_environment() -> Self {
        let mut handed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..handed.len() {
            if let Ok(Some(listener)) = handed.take_tcp_listener(index) {
                sockets.push(listener.into());
            } else if let Ok(Some(datagrams)) = handed.take_udp_socket(index) {
                sockets.push(datagrams.into());
            }
        }
        Self(sockets)
    }

    /// Each with its kind and address.
    pub(crate) fn into_sockets(self) -> impl Iterator<Item = (Type, SocketAddr, Socket)> {
        self.0.into_iter().filter_map(|socket| {
            let local = socket.local_addr().ok()?.as_socket()?;
            Some((socket.r#type().ok()?, local, socket))
        })
    }
}
