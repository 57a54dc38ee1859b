//! Zones that come from another server: asking for their SOA, transferring
//! them, having them stored and served.

use super::keeper::Command;
use super::settings::{Peer, ZoneSettings};
use super::{Shared, store};
use crate::framing::{read_message, write_message};
use dns::transfer::{self, Action, Incoming, Kind, Progress, Refresh};
use dns::tsig::Checker;
use dns::zone::{Soa, Zone, key};
use event::DnsEvent;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// NOTIFYs that wait; further ones say nothing new.
pub(super) const NOTIFIES_MAX: usize = 4;
/// How long a primary may take to answer a SOA query, and to be connected to.
const QUERY_PATIENCE: Duration = Duration::from_secs(3);
/// How long it may pause between the messages of a transfer.
const TRANSFER_PATIENCE: Duration = Duration::from_secs(30);
/// How often a SOA query over UDP is repeated.
const QUERY_TRIES: u32 = 2;

/// A NOTIFY's serial, where it told one.
pub(super) type Notified = Option<u32>;

/// Keeps one zone up to date until the configuration changes or the shutdown is
/// requested.
pub(super) async fn keep(
    shared: Arc<Shared>,
    settings: Arc<ZoneSettings>,
    stored: Option<Soa>,
    mut notifies: mpsc::Receiver<Notified>,
) {
    let age = match store::refreshed(&shared.storage, &settings.key).await {
        Ok(refreshed) => refreshed.map_or(0, |refreshed| super::now_seconds().saturating_sub(refreshed)),
        Err(error) => {
            tracing::error!(zone = %key::display(&settings.key), %error, "when the zone was refreshed cannot be read");
            0
        }
    };
    let mut refresh = Refresh::new(Instant::now(), stored.map(|soa| (soa, Duration::from_secs(age))));
    loop {
        let due = refresh.poll_timeout().unwrap_or_else(|| Instant::now() + TRANSFER_PATIENCE);
        tokio::select! {
            () = shared.shutdown.requested() => return,
            notified = notifies.recv() => match notified {
                Some(serial) => refresh.handle_notify(Instant::now(), serial),
                None => return,
            },
            () = tokio::time::sleep_until(due.into()) => {}
        }
        let mut action = refresh.handle_timeout(Instant::now());
        while let Some(now_do) = action.take() {
            tokio::select! {
                () = shared.shutdown.requested() => return,
                next = act(&shared, &settings, &mut refresh, now_do) => action = next,
            }
        }
    }
}

async fn act(
    shared: &Arc<Shared>,
    settings: &ZoneSettings,
    refresh: &mut Refresh,
    action: Action,
) -> Option<Action> {
    match action {
        Action::Expire => {
            let _ = shared.keeper.send(Command::Expire(settings.key.clone())).await;
            None
        }
        Action::QuerySoa => {
            for primary in &settings.primaries {
                match query_soa(shared, settings, primary).await {
                    Ok(soa) => {
                        let next = refresh.handle_soa(Instant::now(), soa);
                        if next.is_none() {
                            note_refreshed(shared, settings).await;
                        }
                        return next;
                    }
                    Err(error) => failed(settings, primary, "did not tell its SOA", &error),
                }
            }
            refresh.handle_failure(Instant::now());
            None
        }
        Action::Transfer => {
            for primary in &settings.primaries {
                match transfer(shared, settings, primary).await {
                    Ok(zone) => {
                        let soa = zone.soa();
                        let install = |reply| Command::Install(Arc::new(zone), reply);
                        match net::ask(&shared.keeper, install).await {
                            Some(Ok(())) => {
                                refresh.handle_transferred(Instant::now(), soa);
                                note_refreshed(shared, settings).await;
                                return None;
                            }
                            Some(Err(error)) => {
                                failed(settings, primary, "was transferred, but not stored", &error);
                            }
                            None => return None,
                        }
                    }
                    Err(error) => failed(settings, primary, "did not transfer the zone", &error),
                }
            }
            refresh.handle_failure(Instant::now());
            None
        }
    }
}

/// Remembers that a primary confirmed the zone, so that it expires in time
/// whatever restarts in between.
async fn note_refreshed(shared: &Shared, settings: &ZoneSettings) {
    let noted = store::note_refreshed(&shared.storage, &settings.key, super::now_seconds()).await;
    if let Err(error) = noted {
        // It then expires earlier after a restart, not later.
        tracing::error!(zone = %key::display(&settings.key), %error, "the refresh of the zone cannot be stored");
    }
}

fn failed(settings: &ZoneSettings, primary: &Peer, what: &str, error: &dyn std::fmt::Display) {
    tracing::warn!(zone = %key::display(&settings.key), primary = %primary.address, %error, "the primary {what}");
}

async fn query_soa(shared: &Shared, settings: &ZoneSettings, primary: &Peer) -> io::Result<Soa> {
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    for _ in 0..QUERY_TRIES {
        match tokio::time::timeout(QUERY_PATIENCE, query_soa_once(shared, settings, primary)).await {
            Ok(Ok(soa)) => return Ok(soa),
            Ok(Err(error)) => last = error,
            Err(_) => {}
        }
    }
    Err(last)
}

async fn query_soa_once(shared: &Shared, settings: &ZoneSettings, primary: &Peer) -> io::Result<Soa> {
    let id = rand::random();
    let (query, mut checker) = sign(transfer::query(Kind::Soa, &settings.apex, id), primary)?;
    let socket = shared.network.datagrams_towards(primary.address)?;
    socket.send_to(&query, primary.address).await?;
    let mut buffer = vec![0; 4_096];
    loop {
        let (length, sender) = socket.receive_from(&mut buffer).await?;
        let mut reply = buffer.get(..length).unwrap_or_default().to_vec();
        if sender != primary.address || reply.get(..2) != Some(&u16::to_be_bytes(id)[..]) {
            continue;
        }
        check(&mut checker, &mut reply)?;
        return transfer::soa_of_answer(&reply, id)
            .ok_or_else(|| io::Error::other("it is not authoritative for the zone"));
    }
}

fn sign(query: Vec<u8>, primary: &Peer) -> io::Result<(Vec<u8>, Option<Checker>)> {
    let Some(key) = &primary.key else { return Ok((query, None)) };
    let (signed, checker) = Checker::sign(query, key.clone(), super::now_seconds())
        .ok_or_else(|| io::Error::other("the query could not be signed"))?;
    Ok((signed, Some(checker)))
}

fn check(checker: &mut Option<Checker>, reply: &mut Vec<u8>) -> io::Result<()> {
    match checker {
        Some(checker) => checker.check(reply, super::now_seconds()).map_err(io::Error::other),
        None => Ok(()),
    }
}

async fn transfer(shared: &Shared, settings: &ZoneSettings, primary: &Peer) -> io::Result<Zone> {
    let id = rand::random();
    let (query, mut checker) = sign(transfer::query(Kind::Axfr, &settings.apex, id), primary)?;
    let mut stream = shared.network.connect(primary.address, QUERY_PATIENCE).await?;
    net::within(TRANSFER_PATIENCE, net::Phase::Write, write_message(&mut stream, &query)).await?;
    let mut incoming = Incoming::new(settings.apex.clone(), id);
    loop {
        let mut message = net::within(TRANSFER_PATIENCE, net::Phase::Read, read_message(&mut stream)).await?;
        check(&mut checker, &mut message)?;
        if incoming.handle_message(&message).map_err(io::Error::other)? == Progress::Complete {
            break;
        }
    }
    if let Some(checker) = checker {
        checker.done().map_err(io::Error::other)?;
    }
    let zone = incoming.finish(shared.seed).map_err(io::Error::other)?;
    shared.reporter.tell(DnsEvent::Transferred {
        zone: key::display(zone.key()),
        serial: zone.soa().serial,
        peer: primary.address,
        sent: false,
    });
    Ok(zone)
}
