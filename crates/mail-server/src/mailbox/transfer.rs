//! Messages are copied and moved between mailboxes of an account (RFC 9051
//! sections 6.4.7 and 6.4.8). No octets are copied.

use super::ledger::{Ledger, load_messages};
use super::model::{AccountId, Copied, MailboxId, Message, Uids};
use super::{MailboxError, Mailboxes};
use storage::Transaction;

impl Mailboxes {
    /// Copies messages, all or none.
    pub async fn copy(
        &self,
        account: AccountId,
        from: MailboxId,
        uids: Uids,
        to: MailboxId,
    ) -> Result<Copied, MailboxError> {
        let this = self.clone();
        self.storage.write(move |transaction| this.copy_in(transaction, account, from, &uids, to)).await
    }

    /// [`Mailboxes::copy`] within somebody else's transaction.
    pub fn copy_in(
        &self,
        transaction: &mut dyn Transaction,
        account: AccountId,
        from: MailboxId,
        uids: &Uids,
        to: MailboxId,
    ) -> Result<Copied, MailboxError> {
        let mut ledger = Ledger::open(transaction, account)?;
        ledger.mailbox(from)?;
        let messages = load_messages(ledger.transaction, account, from, uids)?;
        ledger.check_room(&self.config.load(), messages.len() as u64, 0)?;
        for message in &messages {
            ledger.copy_email(message.email)?;
        }
        let copied = arrive(&mut ledger, from, messages, to)?;
        ledger.close(&self.watchers)?;
        Ok(copied)
    }

    /// Moves messages, all or none.
    pub async fn move_messages(
        &self,
        account: AccountId,
        from: MailboxId,
        uids: Uids,
        to: MailboxId,
    ) -> Result<Copied, MailboxError> {
        let this = self.clone();
        self.storage.write(move |transaction| this.move_in(transaction, account, from, &uids, to)).await
    }

    /// [`Mailboxes::move_messages`] within somebody else's transaction.
    pub fn move_in(
        &self,
        transaction: &mut dyn Transaction,
        account: AccountId,
        from: MailboxId,
        uids: &Uids,
        to: MailboxId,
    ) -> Result<Copied, MailboxError> {
        let mut ledger = Ledger::open(transaction, account)?;
        ledger.mailbox(from)?;
        let messages = load_messages(ledger.transaction, account, from, uids)?;
        ledger.take_out(from, &messages)?;
        let copied = arrive(&mut ledger, from, messages, to)?;
        ledger.close(&self.watchers)?;
        Ok(copied)
    }
}

fn arrive(
    ledger: &mut Ledger<'_>,
    from: MailboxId,
    messages: Vec<Message>,
    to: MailboxId,
) -> Result<Copied, MailboxError> {
    let uid_validity = ledger.mailbox(to)?.uid_validity;
    let mut uids = Vec::new();
    for message in messages {
        let uid = message.uid;
        uids.push((uid, ledger.add(to, message)?.uid));
    }
    Ok(Copied { uid_validity, uids, highest_modseq: ledger.mailbox(from)?.highest_modseq })
}
