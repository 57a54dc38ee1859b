//! Requests that need more than the zones' current version: updates, NOTIFY,
//! transfers and whatever is signed.

use super::Shared;
use bytes::Bytes;
use dns::answer::{Answerer, Query, Transport};
use domain::base::iana::OptRcode;
use net::batch::Incoming;
use std::net::SocketAddr;
use tokio::sync::mpsc;

/// A request and where it came from.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) octets: Bytes,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) transport: Transport,
}

impl Request {
    pub(super) fn datagram(incoming: &Incoming<'_>) -> Self {
        Self {
            octets: Bytes::copy_from_slice(incoming.octets),
            peer: incoming.peer,
            local: incoming.local,
            transport: Transport::Datagram,
        }
    }
}

/// Handles a request; replies go out one by one.
pub(super) async fn handle(shared: &Shared, request: Request, replies: mpsc::Sender<Vec<u8>>) {
    let mut reply = vec![0; 512];
    let answerer = Answerer::new(shared.payload_octets_max);
    if let Some(written) = answerer.error(&request.octets, &Query::default(), OptRcode::REFUSED, &mut reply) {
        reply.truncate(written.length);
        let _ = replies.send(reply).await;
    }
}
