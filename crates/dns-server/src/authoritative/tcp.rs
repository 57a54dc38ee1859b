//! Queries over TCP (RFC 7766): many on one connection, answered in order.

use super::Shared;
use super::deferred::{self, Request};
use crate::framing::{put_message, take_message};
use bytes::{Bytes, BytesMut};
use dns::answer::{Answerer, MESSAGE_OCTETS_MAX, Query, Transport, Verdict};
use event::{Detail, DnsEvent};
use net::{Listener, Phase, Shutdown, Stream, within};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// Replies gathered before they are written, in octets.
pub(super) const GATHERED_OCTETS_MAX: usize = 64 * 1024;
/// How long a client may take to accept what we say.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// Messages of a transfer that wait for the client.
pub(super) const TRANSFER_MESSAGES_MAX: usize = 4;

/// Accepts connections until `closing` is requested.
pub(super) async fn accept(shared: Arc<Shared>, closing: Shutdown, listener: Listener) {
    let each = |stream: Stream| {
        let shared = shared.clone();
        tokio::spawn(async move {
            let shutdown = shared.shutdown.clone();
            let peer = stream.peer_addr();
            tokio::select! {
                () = shutdown.requested() => {}
                // A client that goes away or is idle is nobody's fault.
                ended = serve(&shared, stream) => if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "DNS connection ended");
                }
            }
        });
    };
    listener.each(closing, each).await;
}

async fn serve(shared: &Arc<Shared>, mut stream: Stream) -> io::Result<()> {
    let mut answerer = Answerer::new(shared.settings.load().payload_octets_max);
    let mut query = Query::default();
    let mut input = BytesMut::with_capacity(2 * 1024);
    let mut output = BytesMut::new();
    let mut reply = Vec::new();
    loop {
        while let Some(message) = take_message(&mut input) {
            match query.read(&message) {
                // Without a header nothing can be said; what sends responses is no client.
                Verdict::Drop => return Ok(()),
                Verdict::Defer => {
                    flush(&mut stream, &mut output).await?;
                    defer(shared, &mut stream, message).await?;
                }
                verdict => {
                    reply.resize(MESSAGE_OCTETS_MAX, 0);
                    let zones = shared.zones.load_full();
                    let written =
                        answerer.answer(&zones, &message, &query, verdict, Transport::Stream, &mut reply);
                    if let Some(written) = written {
                        let octets = &reply[..written.length];
                        put_message(&mut output, octets)?;
                        if shared.reporter.wants(Detail::Message) {
                            super::tell::exchange(
                                &shared.reporter,
                                stream.peer_addr(),
                                stream.local_addr(),
                                &query,
                                octets,
                            );
                        }
                    }
                }
            }
            if output.len() >= GATHERED_OCTETS_MAX {
                flush(&mut stream, &mut output).await?;
            }
        }
        flush(&mut stream, &mut output).await?;
        reply = Vec::new();
        input.reserve(2 * 1024);
        let idle = shared.settings.load().idle;
        if within(idle, Phase::Read, stream.read_buf(&mut input)).await? == 0 {
            return Ok(());
        }
    }
}

async fn flush(stream: &mut Stream, output: &mut BytesMut) -> io::Result<()> {
    if output.is_empty() {
        return Ok(());
    }
    within(WRITE_PATIENCE, Phase::Write, async {
        stream.write_all(output).await?;
        stream.flush().await
    })
    .await?;
    output.clear();
    Ok(())
}

/// Writes the replies to a request as they come.
async fn defer(shared: &Arc<Shared>, stream: &mut Stream, message: Bytes) -> io::Result<()> {
    let request = Request {
        octets: message,
        peer: stream.peer_addr(),
        local: stream.local_addr(),
        transport: Transport::Stream,
    };
    let (replies, mut waiting) = mpsc::channel(TRANSFER_MESSAGES_MAX);
    let handling = deferred::handle(shared, request, replies);
    let peer = stream.peer_addr();
    // It takes `waiting` with it, so that the handler learns when writing failed.
    let writing = async move {
        let mut output = BytesMut::new();
        while let Some(reply) = waiting.recv().await {
            put_message(&mut output, &reply)?;
            flush(stream, &mut output).await?;
        }
        Ok(())
    };
    let ((), written) = tokio::join!(handling, writing);
    if written.is_err() {
        shared.reporter.tell_with(Detail::Message, || DnsEvent::Refused {
            peer,
            reason: "the client went away before the reply was written".to_owned(),
        });
    }
    written
}
