//! NOTIFY to secondaries (RFC 1996): repeated until each has answered.

use super::Shared;
use super::settings::{Peer, ZoneSettings};
use dns::transfer;
use dns::tsig::Checker;
use dns::zone::{Zone, key};
use domain::base::iana::Rtype;
use event::DnsEvent;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How often a NOTIFY is sent at most (RFC 1996 section 3.6 suggests 5).
const TRIES: u32 = 5;
/// How long the first one waits for its answer; each further one twice as long.
const FIRST_PATIENCE: Duration = Duration::from_millis(500);

/// Tells all secondaries of a zone that it changed.
pub(super) fn changed(shared: &Arc<Shared>, settings: &Arc<ZoneSettings>, zone: &Arc<Zone>) {
    for peer in settings.notify.clone() {
        let (shared, zone) = (shared.clone(), zone.clone());
        tokio::spawn(async move {
            let shutdown = shared.shutdown.clone();
            tokio::select! {
                () = shutdown.requested() => {}
                () = tell(&shared, &zone, &peer) => {}
            }
        });
    }
}

async fn tell(shared: &Shared, zone: &Zone, peer: &Peer) {
    let mut patience = FIRST_PATIENCE;
    for _ in 0..TRIES {
        let newest = shared.zones.load().get(zone.key()).map(|newest| newest.soa().serial);
        if newest != Some(zone.soa().serial) {
            // Who is told of a newer version needs not hear of this one.
            return;
        }
        match tokio::time::timeout(patience, send(shared, zone, peer)).await {
            Ok(Ok(())) => return,
            Ok(Err(_)) => tokio::time::sleep(patience).await,
            Err(_) => {}
        }
        patience *= 2;
    }
    tracing::warn!(zone = %key::display(zone.key()), secondary = %peer.address, "a secondary does not answer NOTIFY");
}

async fn send(shared: &Shared, zone: &Zone, peer: &Peer) -> io::Result<()> {
    let id = rand::random();
    let soa = zone.node(zone.key()).and_then(|apex| apex.rrset(Rtype::SOA));
    let mut message = transfer::notify(zone.apex(), soa, id);
    let mut checker = None;
    if let Some(key) = &peer.key
        && let Some((signed, checks)) = Checker::sign(message.clone(), key.clone(), super::now_seconds())
    {
        message = signed;
        checker = Some(checks);
    }
    let socket = shared.network.datagrams_towards(peer.address)?;
    let from = socket.local_addr()?;
    socket.send_to(&message, peer.address).await?;
    shared.reporter.tell(DnsEvent::Notify { zone: key::display(zone.key()), from, to: peer.address });
    let mut buffer = vec![0; 1_024];
    loop {
        let (length, sender) = socket.receive_from(&mut buffer).await?;
        let mut reply = buffer.get(..length).unwrap_or_default().to_vec();
        let answers =
            sender == peer.address && reply.get(..2) == Some(&u16::to_be_bytes(id)[..]) && length >= 12;
        let is_signed = match &mut checker {
            None => true,
            Some(checker) => checker.check(&mut reply, super::now_seconds()).is_ok(),
        };
        if answers && is_signed {
            return Ok(());
        }
    }
}
