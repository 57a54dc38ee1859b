//! Replies that come later than their batch: from another thread, on the same
//! socket.

use super::DatagramBatch;
use crate::layer::Layers;
use crate::{Direction, Passing, message};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Instant;

/// Sends from the socket of a batch. Belongs to no thread.
#[derive(Debug)]
pub struct LateReplies {
    socket: UdpSocket,
    tells_destination: bool,
    layers: Layers,
}

impl DatagramBatch {
    /// A way to send replies that take longer than the batch can wait.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn late_replies(&self) -> io::Result<LateReplies> {
        Ok(LateReplies {
            socket: self.socket.try_clone()?,
            tells_destination: self.tells_destination,
            layers: self.layered.as_ref().map(|layered| layered.layers().clone()).unwrap_or_default(),
        })
    }
}

impl LateReplies {
    /// Sends one datagram from `local`, the address that was asked. Where the
    /// system cannot take it, it is lost as on a wire.
    pub async fn send(&self, octets: &[u8], local: SocketAddr, peer: SocketAddr) {
        if !self.layers.is_empty() {
            let passing =
                Passing { at: Instant::now(), direction: Direction::Outgoing, from: local, to: peer, octets };
            let Some(due) = self.layers.pass(passing) else { return };
            tokio::time::sleep_until(due.into()).await;
        }
        if self.tells_destination {
            message::send(self.socket.as_fd(), octets, local.ip(), peer).ok();
        } else {
            self.socket.send_to(octets, peer).ok();
        }
    }
}
