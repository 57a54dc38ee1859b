//! Messages come in: by APPEND, or by delivery in the very transaction that
//! accepts them.

use super::ledger::Ledger;
use super::model::{AccountId, Appended, EmailId, Flags, MailboxId, Message, ThreadId};
use super::record::Email;
use super::{MailboxError, Mailboxes, flags, thread};
use bytes::Bytes;
use mail::message::Summary;
use std::sync::Arc;
use storage::{Prepared, StorageError, Transaction};

/// A message ready to be put into any number of mailboxes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// The octets.
    pub content: Prepared,
    /// FLAGS.
    pub flags: Flags,
    /// INTERNALDATE, in seconds since 1970-01-01 00:00 UTC.
    pub internal_date: i64,
    /// Read once, for all mailboxes.
    summary: Arc<[u8]>,
    thread_keys: Arc<[thread::ThreadKey]>,
}

impl NewMessage {
    /// A message whose octets are prepared already; `octets` are the same ones.
    pub fn new(content: Prepared, octets: &[u8], flags: Flags, internal_date: i64) -> Self {
        let summary = Summary::parse(octets);
        NewMessage {
            content,
            flags,
            internal_date,
            thread_keys: thread::thread_keys(&summary).into(),
            summary: summary.encode().into(),
        }
    }
}

impl Mailboxes {
    /// Makes a message's octets ready, outside of any transaction.
    pub async fn prepare(
        &self,
        octets: Bytes,
        flags: Flags,
        internal_date: i64,
    ) -> Result<NewMessage, StorageError> {
        let content = self.storage.prepare(octets.clone()).await?;
        Ok(NewMessage::new(content, &octets, flags, internal_date))
    }

    /// Appends messages to a mailbox, all or none (APPEND, RFC 3502).
    pub async fn append(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        messages: Vec<NewMessage>,
    ) -> Result<Vec<Appended>, MailboxError> {
        let this = self.clone();
        self.storage
            .write(move |transaction| {
                let append = |message| this.append_in(transaction, account, mailbox, message);
                messages.iter().map(append).collect()
            })
            .await
    }

    /// Appends a message within somebody else's transaction.
    ///
    /// # Errors
    /// [`MailboxError::OverQuota`] when the account is full; roll back then, or
    /// deliver elsewhere: the message is not in, but nothing is half done.
    pub fn append_in(
        &self,
        transaction: &mut dyn Transaction,
        account: AccountId,
        mailbox: MailboxId,
        new: &NewMessage,
    ) -> Result<Appended, MailboxError> {
        flags::check(&new.flags)?;
        let mut ledger = Ledger::open(transaction, account)?;
        ledger.check_room(&self.config.load(), 1, new.content.size)?;
        // Fails before anything is written where there is no such mailbox.
        let uid_validity = ledger.mailbox(mailbox)?.uid_validity;
        ledger.state.last_email += 1;
        let id = EmailId(ledger.state.last_email);
        let mut message = Message {
            uid: 0,
            modseq: 0,
            flags: new.flags.clone(),
            internal_date: new.internal_date,
            size: new.content.size,
            content: new.content.id,
            email: id,
            thread: ThreadId(id.0),
        };
        message.thread = thread::join(&mut ledger, &new.thread_keys, id)?;
        let message = ledger.add(mailbox, message)?;
        ledger.transaction.keep(&new.content)?;
        let email = Email {
            copies: 1,
            content: new.content.id,
            size: new.content.size,
            thread: message.thread,
            thread_keys: new.thread_keys.to_vec(),
        };
        ledger.enter_email(id, &email, &new.summary)?;
        ledger.close(&self.watchers)?;
        Ok(Appended {
            uid_validity,
            uid: message.uid,
            modseq: message.modseq,
            email: id,
            thread: message.thread,
        })
    }
}
