//! A connection over an impaired link: a pair of pumps between the service and
//! the socket, one for each direction.
//!
//! Not modelled: that a connection begins slowly, loss and what it does to the
//! rate. What a slow downlink has not taken waits in the system's buffers.

use super::Impairment;
use crate::{BoxedDuplex, Direction};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Between the service and a pump, where the link has no rate, and where it has
/// one: as much as the system's buffer holds at first (tcp_wmem).
const PIPE_OCTETS_MAX: usize = 64 * 1024;
const SLOW_PIPE_OCTETS_MAX: usize = 16 * 1024;
/// Pieces under way in one direction; then the sender waits.
const PIECES_MAX: usize = 64;
/// A piece where the link has no rate, and a packet's worth where it has one.
const PIECE_OCTETS_MAX: usize = 16 * 1024;
const PACKET_OCTETS_MAX: usize = 1_460;

/// Stands in front of `below`.
pub(super) fn impaired(link: Impairment, below: BoxedDuplex) -> BoxedDuplex {
    let slow = link.conditions().rate(Direction::Outgoing).is_some();
    let (service, pump) = tokio::io::duplex(if slow { SLOW_PIPE_OCTETS_MAX } else { PIPE_OCTETS_MAX });
    let dropped = CancellationToken::new();
    let guard = dropped.clone().drop_guard();
    tokio::spawn(async move {
        let (from_wire, to_wire) = tokio::io::split(below);
        let (from_service, to_service) = tokio::io::split(pump);
        let outgoing = carry(&link, Direction::Outgoing, from_service, to_wire);
        // Nobody reads any more once the service has dropped the connection;
        // what it wrote before still leaves.
        let incoming = async {
            tokio::select! {
                () = carry(&link, Direction::Incoming, from_wire, to_service) => {}
                () = dropped.cancelled() => {}
            }
        };
        tokio::join!(outgoing, incoming);
    });
    Box::new(ImpairedStream { pipe: service, _dropped: guard })
}

/// Carries one direction until it ends, then ends it on the other side too.
async fn carry(
    link: &Impairment,
    direction: Direction,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES_MAX);
    let take = async move {
        let mut buffer = vec![0; PIECE_OCTETS_MAX];
        let mut last = Instant::now();
        loop {
            let slow = link.conditions().rate(direction).is_some();
            let piece = if slow { PACKET_OCTETS_MAX } else { PIECE_OCTETS_MAX };
            let Ok(octets @ 1..) = from.read(&mut buffer[..piece]).await else { break };
            // A connection keeps its order.
            last = last.max(link.segment(direction, octets).await);
            if sender.send((last, buffer[..octets].to_vec())).await.is_err() {
                break;
            }
        }
    };
    let give = async move {
        while let Some((due, piece)) = receiver.recv().await {
            tokio::time::sleep_until(due.into()).await;
            link.joined().await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        link.joined().await;
        to.shutdown().await.ok();
    };
    tokio::join!(take, give);
}

/// The service's end.
#[derive(Debug)]
struct ImpairedStream {
    pipe: DuplexStream,
    _dropped: DropGuard,
}

impl AsyncRead for ImpairedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_read(cx, buf)
    }
}

impl AsyncWrite for ImpairedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}
