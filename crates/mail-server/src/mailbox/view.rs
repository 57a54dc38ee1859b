//! Looking at mailboxes and messages, each time on one consistent view.

use super::ledger::{load_mailbox, load_messages};
use super::model::{
    AccountId, Changes, EmailId, Line, MailboxId, MailboxInfo, Message, Selected, Uids, Usage,
};
use super::record::{AccountState, Email, decode_uids};
use super::{MailboxError, Mailboxes, keys, uids};
use bytes::Bytes;
use mail::message::Summary;
use std::ops::ControlFlow;
use storage::{StorageError, Transaction};

impl Mailboxes {
    /// A mailbox as it stands (STATUS).
    pub async fn info(&self, account: AccountId, mailbox: MailboxId) -> Result<MailboxInfo, MailboxError> {
        self.storage.read(move |transaction| info(transaction, account, mailbox)).await
    }

    /// A mailbox with the uids, modseqs and flags of all its messages (SELECT).
    pub async fn select(&self, account: AccountId, mailbox: MailboxId) -> Result<Selected, MailboxError> {
        self.storage
            .read(move |transaction| {
                let info = info(transaction, account, mailbox)?;
                let messages = load_messages(transaction, account, mailbox, &vec![1..=u32::MAX])?;
                let line = |message: Message| Line {
                    uid: message.uid,
                    modseq: message.modseq,
                    flags: message.flags,
                };
                Ok(Selected { info, lines: messages.into_iter().map(line).collect() })
            })
            .await
    }

    /// The messages of `uids` that are there, in ascending order.
    pub async fn messages(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: Uids,
    ) -> Result<Vec<Message>, MailboxError> {
        self.storage
            .read(move |transaction| {
                load_mailbox(transaction, account, mailbox)?;
                load_messages(transaction, account, mailbox, &uids)
            })
            .await
    }

    /// What happened to a mailbox after `since`, a HIGHESTMODSEQ seen before
    /// (CHANGEDSINCE and VANISHED, RFC 7162). Costs what changed, not what is there.
    pub async fn changes(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        since: u64,
    ) -> Result<Changes, MailboxError> {
        self.storage.read(move |transaction| changes(transaction, account, mailbox, since)).await
    }

    /// Envelope and body structure of an email.
    pub async fn summary(&self, account: AccountId, email: EmailId) -> Result<Summary, MailboxError> {
        let (stored, content) = self
            .storage
            .read(move |transaction| {
                let key = keys::email(account, email);
                let entry = transaction.get(keys::EMAILS, &key)?;
                let content = entry.and_then(|octets| Email::decode(&octets)).map(|entry| entry.content);
                Ok::<_, MailboxError>((transaction.get(keys::SUMMARIES, &key)?, content))
            })
            .await?;
        if let Some(summary) = stored.and_then(|octets| Summary::decode(&octets)) {
            return Ok(summary);
        }
        // Written by another version: read the message again.
        let content = content.ok_or_else(|| StorageError::Missing(email.to_string()))?;
        Ok(Summary::parse(&self.storage.content(content).await?))
    }

    /// Envelopes and body structures of many emails, in their order; `None` for
    /// those that are gone or were written by another version, for which
    /// [`Mailboxes::summary`] knows what to do.
    pub async fn summaries(
        &self,
        account: AccountId,
        emails: Vec<EmailId>,
    ) -> Result<Vec<Option<Summary>>, MailboxError> {
        self.storage
            .read(move |transaction| {
                let mut found = Vec::with_capacity(emails.len());
                for email in &emails {
                    let octets = transaction.get(keys::SUMMARIES, &keys::email(account, *email))?;
                    found.push(octets.and_then(|octets| Summary::decode(&octets)));
                }
                Ok(found)
            })
            .await
    }

    /// The octets of a message.
    pub async fn content(&self, message: &Message) -> Result<Bytes, MailboxError> {
        Ok(self.storage.content(message.content).await?)
    }

    /// What an account uses of what it may (GETQUOTA).
    pub async fn usage(&self, account: AccountId) -> Result<Usage, MailboxError> {
        let config = self.config.load_full();
        self.storage
            .read(move |transaction| {
                let octets = transaction
                    .get(keys::ACCOUNTS, &keys::account(account))?
                    .ok_or(MailboxError::NoAccount)?;
                let state =
                    AccountState::decode(&octets).ok_or(MailboxError::Unreadable(keys::ACCOUNTS.0))?;
                Ok(Usage {
                    octets: state.octets,
                    octets_max: config.account_octets_max,
                    messages: state.messages,
                    messages_max: config.account_messages_max,
                })
            })
            .await
    }
}

/// A mailbox as it stands.
pub(super) fn info(
    transaction: &mut dyn Transaction,
    account: AccountId,
    id: MailboxId,
) -> Result<MailboxInfo, MailboxError> {
    let record = load_mailbox(transaction, account, id)?;
    let subscribed = transaction.get(keys::SUBSCRIPTIONS, &keys::name(account, &record.name))?.is_some();
    Ok(MailboxInfo {
        id,
        name: record.name,
        uid_validity: record.uid_validity,
        uid_next: record.uid_next,
        highest_modseq: record.highest_modseq,
        subscribed,
        special_use: record.special_use,
        messages: record.messages,
        unseen: record.unseen,
        deleted: record.deleted,
        octets: record.octets,
    })
}

fn changes(
    transaction: &mut dyn Transaction,
    account: AccountId,
    mailbox: MailboxId,
    since: u64,
) -> Result<Changes, MailboxError> {
    let info = info(transaction, account, mailbox)?;
    if since >= info.highest_modseq {
        return Ok(Changes { info, messages: Vec::new(), vanished: Vec::new() });
    }
    let next = keys::vanished(account, mailbox, since.saturating_add(1));
    let end = keys::after(&keys::mailbox(account, mailbox));
    let mut changed = Vec::new();
    transaction.scan(keys::CHANGES, &next, &end, &mut |key, _| {
        changed.extend(keys::uid_of(key));
        ControlFlow::Continue(())
    })?;
    let messages = load_messages(transaction, account, mailbox, &uids::from_list(changed))?;

    let vanished = if since < load_mailbox(transaction, account, mailbox)?.forgotten_modseq {
        // Not remembered any more: everything that is not there.
        let mut present = Vec::new();
        let all = keys::mailbox(account, mailbox);
        transaction.scan(keys::MESSAGES, &all, &keys::after(&all), &mut |key, _| {
            present.extend(keys::uid_of(key));
            ControlFlow::Continue(())
        })?;
        uids::absent(present, info.uid_next)
    } else {
        let mut vanished = Some(Vec::new());
        transaction.scan(keys::VANISHED, &next, &end, &mut |_, value| {
            match (&mut vanished, decode_uids(value)) {
                (Some(vanished), Some(more)) => vanished.extend(more),
                _ => vanished = None,
            }
            ControlFlow::Continue(())
        })?;
        uids::canonical(&vanished.ok_or(MailboxError::Unreadable(keys::VANISHED.0))?)
    };
    Ok(Changes { info, messages, vanished })
}
