//! Taking responsibility for a message: one transaction puts it into local
//! mailboxes and queues it for other hosts.

use super::record::{self, EntryKey, EntryRecord, MessageRecord, QueueId};
use super::{Command, Queue, unix_ms};
use crate::mailbox::{AccountId, Flags, MailboxError, MailboxId, Mailboxes, NewMessage, SpecialUse};
use bytes::Bytes;
use mail::address::{Address, Path};
use std::collections::BTreeMap;
use std::time::SystemTime;
use storage::{StorageError, Transaction};
use tokio::sync::mpsc;

/// A message for which this host takes responsibility.
#[derive(Debug, Clone)]
pub struct NewMail {
    /// Its id, which its Received field may name already.
    pub id: QueueId,
    /// The reverse-path.
    pub from: Path,
    /// The accounts of this host that get it.
    pub local: Vec<AccountId>,
    /// Whether they get it as junk.
    pub junk: bool,
    /// Recipients elsewhere.
    pub remote: Vec<Address>,
    /// Header and body, without Return-Path.
    pub octets: Bytes,
    /// Whether it must travel with SMTPUTF8.
    pub smtputf8: bool,
}

/// Why a message was not taken; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// A mailbox did not take it.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The queue is full.
    #[error("the queue is full: entries_max is reached")]
    QueueFull,
}

/// A message that is ready to be taken within a transaction. Made outside of it,
/// since large octets are made durable first.
#[derive(Clone)]
pub(super) struct Ready {
    mail: NewMail,
    /// As it lies in local mailboxes: with its Return-Path.
    delivered: Option<NewMessage>,
    /// As it goes to other hosts: the same content, without the Return-Path.
    queued: Option<Queued>,
    now: SystemTime,
}

/// What the queue sends of kept content.
#[derive(Clone)]
struct Queued {
    content: storage::Prepared,
    /// Octets at its front that stay here.
    skipped_octets: u64,
}

impl Ready {
    pub(super) async fn prepare(mailboxes: &Mailboxes, mut mail: NewMail) -> Result<Self, StorageError> {
        let now = SystemTime::now();
        // One copy for an account that is named twice.
        mail.local.sort_unstable();
        mail.local.dedup();
        let delivered = if mail.local.is_empty() {
            None
        } else {
            // RFC 5321 section 4.4: the last server adds the reverse-path.
            let mut octets = format!("Return-Path: {}\r\n", mail.from).into_bytes();
            octets.extend_from_slice(&mail.octets);
            let date = i64::try_from(unix_ms(now) / 1000).unwrap_or(i64::MAX);
            Some(mailboxes.prepare(octets.into(), Flags::new(), date).await?)
        };
        let queued = match &delivered {
            _ if mail.remote.is_empty() => None,
            // Queue and mailboxes refer to one stored copy.
            Some(message) => Some(Queued {
                skipped_octets: message.content.size.saturating_sub(mail.octets.len() as u64),
                content: message.content.clone(),
            }),
            None => {
                let content = mailboxes.storage().prepare(mail.octets.clone()).await?;
                Some(Queued { content, skipped_octets: 0 })
            }
        };
        Ok(Self { mail, delivered, queued, now })
    }

    /// Delivers and queues within a transaction. Whoever schedules is told once
    /// it is durable.
    pub(super) fn accept_in(
        &self,
        mailboxes: &Mailboxes,
        scheduler: &mpsc::UnboundedSender<Command>,
        transaction: &mut dyn Transaction,
    ) -> Result<(), MailboxError> {
        if let Some(message) = &self.delivered {
            for account in &self.mail.local {
                let mailbox = if self.mail.junk {
                    mailboxes.special_in(transaction, *account, SpecialUse::Junk)?.unwrap_or(MailboxId::INBOX)
                } else {
                    MailboxId::INBOX
                };
                mailboxes.append_in(transaction, *account, mailbox, message)?;
            }
        }
        let Some(Queued { content, skipped_octets }) = &self.queued else { return Ok(()) };
        let mail = &self.mail;
        let now_ms = unix_ms(self.now);
        transaction.keep(content)?;
        let record = MessageRecord::new(content, *skipped_octets, &mail.from, mail.smtputf8, now_ms / 1000);
        record::put_message(transaction, mail.id, &record)?;
        let mut domains: BTreeMap<String, Vec<Address>> = BTreeMap::new();
        for recipient in &mail.remote {
            domains.entry(recipient.domain().to_string()).or_default().push(recipient.clone());
        }
        let mut keys = Vec::new();
        for (domain, recipients) in domains {
            let key = EntryKey { id: mail.id, domain };
            record::put_entry(transaction, &key, &EntryRecord::new(&recipients, now_ms))?;
            keys.push(key);
        }
        let scheduler = scheduler.clone();
        transaction.after_commit(Box::new(move || {
            for key in keys {
                let _ = scheduler.send(Command::Schedule { key, at_ms: now_ms });
            }
        }));
        Ok(())
    }
}

impl Queue {
    /// Takes responsibility for a message: when this returns `Ok`, it lies
    /// durably in the local mailboxes and in the queue, all of it or none.
    pub async fn accept(&self, mail: NewMail) -> Result<(), AcceptError> {
        if !mail.remote.is_empty() && self.shared.entries() >= self.shared.settings().config.entries_max {
            return Err(AcceptError::QueueFull);
        }
        let ready = Ready::prepare(&self.shared.mailboxes, mail).await?;
        let mailboxes = self.shared.mailboxes.clone();
        let scheduler = self.shared.scheduler.clone();
        let storage = mailboxes.storage().clone();
        storage.write(move |transaction| ready.accept_in(&mailboxes, &scheduler, transaction)).await?;
        Ok(())
    }
}
