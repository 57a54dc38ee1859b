//! Telling a sender that a message failed or is late: RFC 3464, RFC 5321 section
//! 6.1.

use super::accept::{NewMail, Ready};
use super::record::{MessageRecord, QueueId};
use super::{Shared, sender};
use crate::date::date;
use mail::address::Path;
use mail::dsn::{Action, Notification, RecipientReport};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use storage::StorageError;

/// The notification that recipients were given up; none where nobody failed, or
/// where the message is itself a notification.
pub(super) async fn failed(
    shared: &Shared,
    message: &MessageRecord,
    reports: &[RecipientReport],
) -> Result<Option<Ready>, StorageError> {
    notification(shared, message, reports, Action::Failed).await
}

/// The notification that recipients are still being tried.
pub(super) async fn delayed(
    shared: &Shared,
    message: &MessageRecord,
    reports: &[RecipientReport],
) -> Result<Option<Ready>, StorageError> {
    notification(shared, message, reports, Action::Delayed).await
}

async fn notification(
    shared: &Shared,
    message: &MessageRecord,
    reports: &[RecipientReport],
    action: Action,
) -> Result<Option<Ready>, StorageError> {
    let from = message.from();
    let Some(to) = sender(&from).filter(|_| !reports.is_empty()) else { return Ok(None) };
    let original = message.load(shared.mailboxes.storage()).await?;
    let settings = shared.settings();
    let arrived = UNIX_EPOCH + Duration::from_secs(message.arrived);
    let retry_until = date(arrived + Duration::from_secs(settings.config.lifetime_seconds));
    let id = QueueId::new();
    let octets = Notification {
        reporting_mta: &settings.hostname,
        to,
        action,
        recipients: reports,
        original: &original,
        arrival: &date(arrived),
        retry_until: (action == Action::Delayed).then_some(retry_until.as_str()),
        date: &date(SystemTime::now()),
        unique: &id.to_string(),
    }
    .message();
    let (mut local, mut remote) = (Vec::new(), Vec::new());
    if settings.directory.is_local(to.domain()) {
        match settings.directory.find(to).await {
            Ok(account) => local.extend(account),
            Err(error) => tracing::warn!(%error, "the sender of a failed message cannot be looked up"),
        }
    } else {
        remote.push(to.clone());
    }
    if local.is_empty() && remote.is_empty() {
        // The sender is gone; there is nobody to tell.
        return Ok(None);
    }
    let smtputf8 = !to.is_ascii() || !octets.is_ascii();
    let mail = NewMail { id, from: Path::Null, local, junk: false, remote, octets: octets.into(), smtputf8 };
    Ready::prepare(&shared.mailboxes, mail).await.map(Some)
}
