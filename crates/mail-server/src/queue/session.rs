//! One session with one destination: several messages over one connection.

use super::bounce;
use super::destination::{self, Server};
use super::record::{self, EntryKey, EntryRecord, MessageRecord};
use super::{Command, Settings, Shared, unix_ms};
use crate::mailbox::MailboxError;
use crate::smtp::client::{Connection, Security, SendError, Target};
use event::MailEvent;
use mail::address::Address;
use mail::dsn::RecipientReport;
use mail::smtp::{EnhancedCode, Message, Reply};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use storage::StorageError;

/// How long a session may still take when the host stops: breaking off while a
/// server has the whole message makes a duplicate.
const STOP_PATIENCE: Duration = Duration::from_secs(6);

/// What became of an entry's recipients: the server that said so, and a reply
/// for each.
pub(super) struct Fates {
    server: Option<String>,
    replies: Vec<Reply>,
}

/// Sends the entries, then tells the schedule that the session has ended.
pub(super) async fn run(shared: Arc<Shared>, domain: String, keys: Vec<EntryKey>) {
    let stopped = async {
        shared.shutdown.requested().await;
        tokio::time::sleep(STOP_PATIENCE).await;
    };
    tokio::select! {
        () = send_all(&shared, &domain, keys) => {}
        // What was not settled is still in the queue.
        () = stopped => {}
    }
    let _ = shared.scheduler.send(Command::SessionEnded { domain });
}

async fn send_all(shared: &Arc<Shared>, domain: &str, keys: Vec<EntryKey>) {
    let mut keys = keys.into_iter();
    let mut connection = match open(shared, domain).await {
        Ok(connection) => Some(connection),
        Err((server, reply)) => {
            for key in keys {
                settle(shared, &key, |recipients| Fates {
                    server: server.clone(),
                    replies: vec![reply.clone(); recipients.len()],
                })
                .await;
            }
            return;
        }
    };
    while let Some(key) = keys.next() {
        let Some((mut open, name)) = connection.take() else {
            // The server closed; the rest is due again at once.
            for key in std::iter::once(key).chain(keys) {
                let _ = shared.scheduler.send(Command::Schedule { key, at_ms: 0 });
            }
            return;
        };
        if shared.shutdown.is_requested() {
            break;
        }
        let Some((message, recipients)) = load(shared, &key).await else {
            connection = Some((open, name));
            continue;
        };
        let sent = open.send(Message { recipients: recipients.clone(), ..message }).await;
        let (fates, closed) = match sent {
            Ok(outcome) => {
                (Fates { server: Some(name.clone()), replies: outcome.recipients }, outcome.closed)
            }
            Err(error) => {
                let reply = reply_of(&error);
                (Fates { server: Some(name.clone()), replies: vec![reply; recipients.len()] }, true)
            }
        };
        if fates.replies.iter().any(Reply::is_positive) {
            shared.reporter.tell(MailEvent::Relayed {
                id: key.id.to_string(),
                server: open.server(),
                tls: open.is_tls(),
            });
        }
        settle(shared, &key, |_| fates).await;
        if !closed {
            connection = Some((open, name));
        }
    }
    if let Some((open, _)) = connection {
        open.quit().await;
    }
}

/// Opens a session with the first server that lets us.
async fn open(shared: &Shared, domain: &str) -> Result<(Connection, String), (Option<String>, Reply)> {
    let settings = shared.settings();
    let servers = destination::servers(&shared.lookup, &shared.network, domain, &settings.hostname)
        .await
        .map_err(|reply| (None, reply))?;
    let mut failure: Option<(Option<String>, Reply)> = None;
    for server in servers {
        let opportunistic = Security::Opportunistic(shared.tls.clone());
        let mut result = Connection::open(&shared.network, target(&settings, &server, opportunistic)).await;
        if let Err(SendError::Tls { .. }) = result {
            // RFC 7435: in the clear rather than not at all.
            result = Connection::open(&shared.network, target(&settings, &server, Security::Clear)).await;
        }
        match result {
            Ok(connection) => return Ok((connection, server.name)),
            Err(error) => {
                // A refusal by one server is final only if no other may be back
                // later.
                let reply = reply_of(&error);
                if failure.as_ref().is_none_or(|(_, before)| before.is_permanent()) {
                    failure = Some((Some(server.name), reply));
                }
            }
        }
    }
    Err(failure.unwrap_or_else(|| {
        (None, Reply::new(451, EnhancedCode(4, 4, 1), format!("no server of {domain} could be reached")))
    }))
}

fn target(settings: &Settings, server: &Server, security: Security) -> Target {
    Target {
        address: SocketAddr::new(server.address, settings.config.remote_port),
        name: server.name.clone(),
        hostname: settings.hostname.clone(),
        security,
        connect_patience: Duration::from_secs(settings.config.connect_seconds_max),
        reply_patience: Duration::from_secs(settings.config.reply_seconds_max),
    }
}

/// The reply that stands for a failure of the connection.
fn reply_of(error: &SendError) -> Reply {
    match error {
        SendError::Protocol { source: mail::smtp::ClientError::Refused(reply), .. } => reply.clone(),
        SendError::Connection { .. } => Reply::new(451, EnhancedCode(4, 4, 1), error.to_string()),
        SendError::TimedOut { .. } => Reply::new(451, EnhancedCode(4, 4, 2), error.to_string()),
        _ => Reply::new(451, EnhancedCode(4, 5, 0), error.to_string()),
    }
}

/// The message and its recipients; nothing if it was removed meanwhile.
async fn load(shared: &Shared, key: &EntryKey) -> Option<(Message, Vec<Address>)> {
    let (record, entry) = match records(shared, key).await {
        Ok(Some(records)) => records,
        Ok(None) => {
            let _ = shared.scheduler.send(Command::Finished { key: key.clone() });
            return None;
        }
        Err(error) => {
            postpone(shared, key, &error);
            return None;
        }
    };
    let storage = shared.mailboxes.storage();
    match record.load(storage).await {
        Ok(octets) => {
            let message =
                Message { from: record.from(), recipients: Vec::new(), octets, smtputf8: record.smtputf8 };
            Some((message, entry.recipients()))
        }
        Err(error) => {
            postpone(shared, key, &error);
            None
        }
    }
}

async fn records(
    shared: &Shared,
    key: &EntryKey,
) -> Result<Option<(MessageRecord, EntryRecord)>, StorageError> {
    let key = key.clone();
    shared
        .mailboxes
        .storage()
        .read(move |transaction| {
            let message = record::message(transaction, key.id)?;
            Ok(message.zip(record::entry(transaction, &key)?))
        })
        .await
}

/// Our own storage failed: nothing is known about the message, so it is tried
/// again later as it is.
fn postpone(shared: &Shared, key: &EntryKey, error: &StorageError) {
    tracing::error!(message = %key.id, %error, "the queue cannot be read or written");
    let at_ms = unix_ms(SystemTime::now()) + shared.settings().config.retry_seconds_max.min(60) * 1000;
    let _ = shared.scheduler.send(Command::Schedule { key: key.clone(), at_ms });
}

/// Writes down what became of an entry: who is delivered goes, who is refused
/// goes with a notification, the others wait.
async fn settle(shared: &Shared, key: &EntryKey, fates: impl FnOnce(&[Address]) -> Fates) {
    if let Err(error) = try_settle(shared, key, fates).await {
        postpone(shared, key, &error);
    }
}

async fn try_settle(
    shared: &Shared,
    key: &EntryKey,
    fates: impl FnOnce(&[Address]) -> Fates,
) -> Result<(), StorageError> {
    let Some((message, mut entry)) = records(shared, key).await? else {
        let _ = shared.scheduler.send(Command::Finished { key: key.clone() });
        return Ok(());
    };
    let recipients = entry.recipients();
    let Fates { server, replies } = fates(&recipients);
    let now_ms = unix_ms(SystemTime::now());
    let age_seconds = (now_ms / 1000).saturating_sub(message.arrived);
    let settings = shared.settings();
    let expired = age_seconds >= settings.config.lifetime_seconds;
    let (mut failed, mut waiting) = (Vec::new(), Vec::new());
    for (recipient, reply) in recipients.into_iter().zip(replies) {
        if reply.is_positive() {
            continue;
        }
        let report = RecipientReport { recipient, remote_mta: server.clone(), reply };
        if report.reply.is_permanent() || expired { failed.push(report) } else { waiting.push(report) }
    }
    let reason =
        failed.first().or(waiting.first()).map(|report| report.reply.to_string()).unwrap_or_default();
    entry.attempts = entry.attempts.saturating_add(1);
    let wait = settings.config.retry_after(entry.attempts);
    entry.next_ms = now_ms.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    entry.reason.clone_from(&reason);
    let left: Vec<Address> = waiting.iter().map(|report| report.recipient.clone()).collect();
    entry.set_recipients(&left);
    let warning = settings.config.delay_warning_seconds;
    let late = !waiting.is_empty() && !entry.warned && warning > 0 && age_seconds >= warning;
    entry.warned |= late;
    let mut notices = Vec::new();
    notices.extend(bounce::failed(shared, &message, &failed).await?);
    if late {
        notices.extend(bounce::delayed(shared, &message, &waiting).await?);
    }
    let (mailboxes, scheduler, written) = (shared.mailboxes.clone(), shared.scheduler.clone(), key.clone());
    let (next_ms, done) = (entry.next_ms, left.is_empty());
    shared
        .mailboxes
        .storage()
        .write(move |transaction| {
            if record::entry(transaction, &written)?.is_none() {
                // Removed meanwhile by an operator.
                return Ok(());
            }
            if done {
                record::delete_entry(transaction, &written)?;
            } else {
                record::put_entry(transaction, &written, &entry)?;
            }
            for notice in &notices {
                match notice.accept_in(&mailboxes, &scheduler, transaction) {
                    Err(MailboxError::Storage(error)) => return Err(error),
                    // A full mailbox must not keep what was delivered from being
                    // written down.
                    Err(error) => tracing::warn!(%error, "a notification was not delivered"),
                    Ok(()) => {}
                }
            }
            Ok(())
        })
        .await?;
    let id = key.id.to_string();
    if !failed.is_empty() {
        shared.reporter.tell(MailEvent::Bounced { id: id.clone(), reason: reason.clone() });
    }
    let command = if done {
        Command::Finished { key: key.clone() }
    } else {
        shared.reporter.tell(MailEvent::Deferred { id, retry_seconds: wait.as_secs(), reason });
        Command::Schedule { key: key.clone(), at_ms: next_ms }
    };
    let _ = shared.scheduler.send(command);
    Ok(())
}
