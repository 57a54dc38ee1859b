//! Messages go: EXPUNGE, UID EXPUNGE, CLOSE.

use super::ledger::{Ledger, load_messages};
use super::model::{AccountId, Expunged, MailboxId, Message, SystemFlag, Uids};
use super::{MailboxError, Mailboxes};
use storage::Transaction;

impl Mailboxes {
    /// Removes messages with `\Deleted`: all of them, or those among `uids`
    /// (UID EXPUNGE, RFC 9051 section 6.4.9).
    pub async fn expunge(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: Option<Uids>,
    ) -> Result<Expunged, MailboxError> {
        let this = self.clone();
        let uids = uids.unwrap_or_else(|| vec![1..=u32::MAX]);
        self.storage
            .write(move |transaction| {
                this.remove_in(transaction, account, mailbox, &uids, &|message| {
                    message.flags.has(SystemFlag::Deleted)
                })
            })
            .await
    }

    /// Removes messages whatever their flags.
    pub async fn remove(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: Uids,
    ) -> Result<Expunged, MailboxError> {
        let this = self.clone();
        self.storage
            .write(move |transaction| this.remove_in(transaction, account, mailbox, &uids, &|_| true))
            .await
    }

    /// Removes the messages of `uids` that are `meant`, within somebody else's
    /// transaction.
    pub fn remove_in(
        &self,
        transaction: &mut dyn Transaction,
        account: AccountId,
        mailbox: MailboxId,
        uids: &Uids,
        meant: &dyn Fn(&Message) -> bool,
    ) -> Result<Expunged, MailboxError> {
        let mut ledger = Ledger::open(transaction, account)?;
        ledger.mailbox(mailbox)?;
        let mut messages = load_messages(ledger.transaction, account, mailbox, uids)?;
        messages.retain(|message| meant(message));
        ledger.take_out(mailbox, &messages)?;
        for message in &messages {
            ledger.release_email(message.email)?;
        }
        let highest_modseq = ledger.mailbox(mailbox)?.highest_modseq;
        ledger.close(&self.watchers)?;
        Ok(Expunged { uids: messages.iter().map(|message| message.uid).collect(), highest_modseq })
    }
}
