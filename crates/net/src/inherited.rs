//! Sockets that systemd opened and handed over (socket activation): ports below
//! 1024 without any privilege of our own.

use listenfd::ListenFd;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

/// Sockets handed over, until a service listens on their address.
#[derive(Debug, Clone, Default)]
pub struct Inherited {
    sockets: Arc<Mutex<Sockets>>,
}

#[derive(Debug, Default)]
struct Sockets {
    listeners: Vec<TcpListener>,
    datagrams: Vec<UdpSocket>,
}

impl Inherited {
    /// Takes what the environment hands over (`LISTEN_FDS`); nothing where it
    /// does not. Sockets of other kinds are left alone.
    pub fn from_environment() -> Self {
        let mut handed = ListenFd::from_env();
        let mut sockets = Sockets::default();
        for index in 0..handed.len() {
            if let Ok(Some(listener)) = handed.take_tcp_listener(index) {
                sockets.listeners.push(listener);
            } else if let Ok(Some(datagrams)) = handed.take_udp_socket(index) {
                sockets.datagrams.push(datagrams);
            }
        }
        Self { sockets: Arc::new(Mutex::new(sockets)) }
    }

    /// The listening socket bound to `address`.
    pub(crate) fn take_listener(&self, address: SocketAddr) -> Option<TcpListener> {
        let listeners = &mut self.sockets.lock().unwrap_or_else(PoisonError::into_inner).listeners;
        let index =
            listeners.iter().position(|listener| listener.local_addr().is_ok_and(|have| have == address))?;
        Some(listeners.swap_remove(index))
    }

    /// The datagram socket bound to `address`.
    pub(crate) fn take_datagrams(&self, address: SocketAddr) -> Option<UdpSocket> {
        let datagrams = &mut self.sockets.lock().unwrap_or_else(PoisonError::into_inner).datagrams;
        let index =
            datagrams.iter().position(|socket| socket.local_addr().is_ok_and(|have| have == address))?;
        Some(datagrams.swap_remove(index))
    }
}
