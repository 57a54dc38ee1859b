//! The records one change works on: read once, changed in memory, written
//! once by [`Ledger::close`].

use super::config::Config;
use super::model::{AccountId, EmailId, Message, SystemFlag, Uids};
use super::record::{self, AccountState, Email, MailboxRecord};
use super::watch::Watchers;
use super::{MailboxError, MailboxId, keys, thread};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use storage::{ContentId, Transaction};

/// Expunges a mailbox remembers, so that a client that comes back learns what
/// went; after longer absence it is told all uids that are not there.
pub(super) const EXPUNGES_REMEMBERED_MAX: u32 = 2000;

/// One change to one account.
pub(super) struct Ledger<'t> {
    pub(super) transaction: &'t mut dyn Transaction,
    pub(super) account: AccountId,
    pub(super) state: AccountState,
    /// The modseq of this change, taken when first needed.
    modseq: Option<u64>,
    open: BTreeMap<MailboxId, MailboxRecord>,
}

impl<'t> Ledger<'t> {
    pub(super) fn open(
        transaction: &'t mut dyn Transaction,
        account: AccountId,
    ) -> Result<Self, MailboxError> {
        let octets =
            transaction.get(keys::ACCOUNTS, &keys::account(account))?.ok_or(MailboxError::NoAccount)?;
        let state = AccountState::decode(&octets).ok_or(MailboxError::Unreadable(keys::ACCOUNTS.0))?;
        Ok(Ledger { transaction, account, state, modseq: None, open: BTreeMap::new() })
    }

    /// Writes everything and wakes who watches once it is durable.
    pub(super) fn close(self, watchers: &Watchers) -> Result<(), MailboxError> {
        let account = self.account;
        self.transaction.put(keys::ACCOUNTS, &keys::account(account), &self.state.encode())?;
        for (id, record) in &self.open {
            self.transaction.put(keys::MAILBOXES, &keys::mailbox(account, *id), &record.encode())?;
        }
        if let Some(modseq) = self.modseq {
            let mailboxes: Vec<_> = self
                .open
                .iter()
                .filter(|(_, record)| record.highest_modseq == modseq)
                .map(|(id, _)| *id)
                .collect();
            watchers.wake_after_commit(self.transaction, account, mailboxes, modseq);
        }
        Ok(())
    }

    /// The modseq of this change.
    pub(super) fn modseq(&mut self) -> u64 {
        let state = &mut self.state;
        *self.modseq.get_or_insert_with(|| {
            state.modseq += 1;
            state.modseq
        })
    }

    /// A mailbox's record.
    pub(super) fn mailbox(&mut self, id: MailboxId) -> Result<&mut MailboxRecord, MailboxError> {
        match self.open.entry(id) {
            std::collections::btree_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::btree_map::Entry::Vacant(entry) => {
                Ok(entry.insert(load_mailbox(self.transaction, self.account, id)?))
            }
        }
    }

    /// Enters a new mailbox.
    pub(super) fn enter_mailbox(&mut self, id: MailboxId, record: MailboxRecord) {
        self.open.insert(id, record);
    }

    /// Forgets a mailbox that is deleted.
    pub(super) fn forget_mailbox(&mut self, id: MailboxId) {
        self.open.remove(&id);
    }

    /// Puts a message into a mailbox, at its next uid and this change's modseq.
    pub(super) fn add(&mut self, mailbox: MailboxId, mut message: Message) -> Result<Message, MailboxError> {
        let modseq = self.modseq();
        let record = self.mailbox(mailbox)?;
        // The last uid is never given, so that there is always a next.
        if record.uid_next == u32::MAX {
            return Err(MailboxError::Limit { limit: "uid", max: u32::MAX.into() });
        }
        message.uid = record.uid_next;
        message.modseq = modseq;
        record.uid_next += 1;
        record.highest_modseq = modseq;
        count_in(record, &message);
        self.state.messages += 1;
        self.write(mailbox, &message)?;
        Ok(message)
    }

    /// Sets a message's flags to those of `message`; `before` is as it was.
    pub(super) fn change(
        &mut self,
        mailbox: MailboxId,
        before: &Message,
        message: &mut Message,
    ) -> Result<(), MailboxError> {
        message.modseq = self.modseq();
        let record = self.mailbox(mailbox)?;
        record.highest_modseq = message.modseq;
        count_out(record, before);
        count_in(record, message);
        self.transaction
            .delete(keys::CHANGES, &keys::change(self.account, mailbox, before.modseq, before.uid))?;
        self.write(mailbox, message)
    }

    /// Takes messages out of a mailbox; their emails stay.
    pub(super) fn take_out(&mut self, mailbox: MailboxId, messages: &[Message]) -> Result<(), MailboxError> {
        if messages.is_empty() {
            return Ok(());
        }
        let modseq = self.modseq();
        let account = self.account;
        for message in messages {
            self.transaction.delete(keys::MESSAGES, &keys::message(account, mailbox, message.uid))?;
            self.transaction
                .delete(keys::CHANGES, &keys::change(account, mailbox, message.modseq, message.uid))?;
            count_out(self.mailbox(mailbox)?, message);
        }
        self.state.messages = self.state.messages.saturating_sub(messages.len() as u64);
        let uids = super::uids::from_list(messages.iter().map(|message| message.uid));
        self.remember(mailbox, modseq, &uids)
    }

    /// Remembers that uids vanished, and forgets the oldest beyond the bound.
    fn remember(&mut self, mailbox: MailboxId, modseq: u64, uids: &Uids) -> Result<(), MailboxError> {
        let key = keys::vanished(self.account, mailbox, modseq);
        self.transaction.put(keys::VANISHED, &key, &record::encode_uids(uids))?;
        let record = self.mailbox(mailbox)?;
        record.highest_modseq = modseq;
        record.expunges += 1;
        if record.expunges <= EXPUNGES_REMEMBERED_MAX {
            return Ok(());
        }
        record.expunges -= 1;
        let prefix = keys::mailbox(self.account, mailbox);
        let mut oldest = None;
        self.transaction.scan(keys::VANISHED, &prefix, &keys::after(&prefix), &mut |key, _| {
            oldest = Some(key.to_vec());
            ControlFlow::Break(())
        })?;
        let Some(oldest) = oldest else { return Ok(()) };
        self.transaction.delete(keys::VANISHED, &oldest)?;
        let forgotten = keys::modseq_of(&oldest).ok_or(MailboxError::Unreadable(keys::VANISHED.0))?;
        self.mailbox(mailbox)?.forgotten_modseq = forgotten;
        Ok(())
    }

    /// The email of a message.
    fn email(&mut self, email: EmailId) -> Result<Email, MailboxError> {
        let octets = self.transaction.get(keys::EMAILS, &keys::email(self.account, email))?;
        octets.and_then(|octets| Email::decode(&octets)).ok_or(MailboxError::Unreadable(keys::EMAILS.0))
    }

    /// Enters a new email with one copy.
    pub(super) fn enter_email(
        &mut self,
        id: EmailId,
        email: &Email,
        summary: &[u8],
    ) -> Result<(), MailboxError> {
        let key = keys::email(self.account, id);
        self.transaction.put(keys::EMAILS, &key, &email.encode())?;
        self.transaction.put(keys::SUMMARIES, &key, summary)?;
        self.state.octets += email.size;
        Ok(())
    }

    /// One more copy of an email.
    pub(super) fn copy_email(&mut self, id: EmailId) -> Result<(), MailboxError> {
        let mut email = self.email(id)?;
        email.copies += 1;
        Ok(self.transaction.put(keys::EMAILS, &keys::email(self.account, id), &email.encode())?)
    }

    /// One copy less; with the last one everything of the email goes.
    pub(super) fn release_email(&mut self, id: EmailId) -> Result<(), MailboxError> {
        let mut email = self.email(id)?;
        let key = keys::email(self.account, id);
        if email.copies > 1 {
            email.copies -= 1;
            return Ok(self.transaction.put(keys::EMAILS, &key, &email.encode())?);
        }
        self.transaction.delete(keys::EMAILS, &key)?;
        self.transaction.delete(keys::SUMMARIES, &key)?;
        self.release_content(email.content)?;
        self.state.octets = self.state.octets.saturating_sub(email.size);
        thread::leave(self, &email.thread_keys)
    }

    fn release_content(&mut self, content: ContentId) -> Result<(), MailboxError> {
        Ok(self.transaction.release(content)?)
    }

    /// Refuses what goes beyond the bounds of an account.
    pub(super) fn check_room(&self, config: &Config, messages: u64, octets: u64) -> Result<(), MailboxError> {
        if self.state.messages.saturating_add(messages) > config.account_messages_max {
            return Err(MailboxError::Limit {
                limit: "account_messages_max",
                max: config.account_messages_max,
            });
        }
        if self.state.octets.saturating_add(octets) > config.account_octets_max {
            return Err(MailboxError::OverQuota {
                used_octets: self.state.octets,
                octets,
                account_octets_max: config.account_octets_max,
            });
        }
        Ok(())
    }

    fn write(&mut self, mailbox: MailboxId, message: &Message) -> Result<(), MailboxError> {
        let key = keys::message(self.account, mailbox, message.uid);
        self.transaction.put(keys::MESSAGES, &key, &message.encode())?;
        let key = keys::change(self.account, mailbox, message.modseq, message.uid);
        Ok(self.transaction.put(keys::CHANGES, &key, &[])?)
    }
}

/// Reads a mailbox's record.
pub(super) fn load_mailbox(
    transaction: &mut dyn Transaction,
    account: AccountId,
    id: MailboxId,
) -> Result<MailboxRecord, MailboxError> {
    let octets = transaction
        .get(keys::MAILBOXES, &keys::mailbox(account, id))?
        .ok_or_else(|| MailboxError::NoMailbox(id.to_string()))?;
    MailboxRecord::decode(&octets).ok_or(MailboxError::Unreadable(keys::MAILBOXES.0))
}

/// Reads the messages of `uids` that are there, ascending.
pub(super) fn load_messages(
    transaction: &mut dyn Transaction,
    account: AccountId,
    mailbox: MailboxId,
    uids: &Uids,
) -> Result<Vec<Message>, MailboxError> {
    let mut messages = Vec::new();
    let mut unreadable = false;
    for range in super::uids::canonical(uids) {
        let from = keys::message(account, mailbox, *range.start());
        let to = keys::after(&keys::message(account, mailbox, *range.end()));
        transaction.scan(keys::MESSAGES, &from, &to, &mut |key, value| {
            match keys::uid_of(key).and_then(|uid| Message::decode(uid, value)) {
                Some(message) => messages.push(message),
                None => unreadable = true,
            }
            if unreadable { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
    }
    if unreadable { Err(MailboxError::Unreadable(keys::MESSAGES.0)) } else { Ok(messages) }
}

fn count_in(record: &mut MailboxRecord, message: &Message) {
    record.messages += 1;
    record.octets += message.size;
    record.unseen += u32::from(!message.flags.has(SystemFlag::Seen));
    record.deleted += u32::from(message.flags.has(SystemFlag::Deleted));
}

fn count_out(record: &mut MailboxRecord, message: &Message) {
    record.messages = record.messages.saturating_sub(1);
    record.octets = record.octets.saturating_sub(message.size);
    record.unseen = record.unseen.saturating_sub(u32::from(!message.flags.has(SystemFlag::Seen)));
    record.deleted = record.deleted.saturating_sub(u32::from(message.flags.has(SystemFlag::Deleted)));
}
