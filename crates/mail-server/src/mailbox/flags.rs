//! Flags change: STORE (RFC 9051 section 6.4.6, RFC 7162 section 3.1.3).

use super::ledger::{Ledger, load_messages};
use super::model::{AccountId, FlagChange, Flags, MailboxId, Stored, Uids};
use super::{MailboxError, Mailboxes};
use storage::Transaction;

/// Keywords of one message.
pub const KEYWORDS_MAX: usize = 64;

/// The longest keyword, in octets.
pub const KEYWORD_OCTETS_MAX: usize = 128;

/// Refuses more, or longer, keywords than the bounds allow.
pub(super) fn check(flags: &Flags) -> Result<(), MailboxError> {
    if flags.keywords.len() > KEYWORDS_MAX {
        return Err(MailboxError::Limit { limit: "KEYWORDS_MAX", max: KEYWORDS_MAX as u64 });
    }
    if flags.keywords.iter().any(|keyword| keyword.len() > KEYWORD_OCTETS_MAX) {
        return Err(MailboxError::Limit { limit: "KEYWORD_OCTETS_MAX", max: KEYWORD_OCTETS_MAX as u64 });
    }
    Ok(())
}

impl Mailboxes {
    /// Changes flags of the messages of `uids`; those that changed after
    /// `unchanged_since` are left alone and named in [`Stored::modified`].
    pub async fn store(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: Uids,
        change: FlagChange,
        unchanged_since: Option<u64>,
    ) -> Result<Stored, MailboxError> {
        let this = self.clone();
        self.storage
            .write(move |transaction| {
                this.store_in(transaction, account, mailbox, &uids, &change, unchanged_since)
            })
            .await
    }

    /// [`Mailboxes::store`] within somebody else's transaction.
    pub fn store_in(
        &self,
        transaction: &mut dyn Transaction,
        account: AccountId,
        mailbox: MailboxId,
        uids: &Uids,
        change: &FlagChange,
        unchanged_since: Option<u64>,
    ) -> Result<Stored, MailboxError> {
        let mut ledger = Ledger::open(transaction, account)?;
        let mut stored = Stored { messages: Vec::new(), modified: Vec::new(), highest_modseq: 0 };
        ledger.mailbox(mailbox)?;
        for mut message in load_messages(ledger.transaction, account, mailbox, uids)? {
            if unchanged_since.is_some_and(|since| message.modseq > since) {
                stored.modified.push(message.uid);
                continue;
            }
            let before = message.clone();
            match change {
                FlagChange::Add(flags) => message.flags.add(flags),
                FlagChange::Remove(flags) => message.flags.remove(flags),
                FlagChange::Replace(flags) => message.flags = flags.clone(),
            }
            check(&message.flags)?;
            if message.flags != before.flags {
                ledger.change(mailbox, &before, &mut message)?;
            }
            stored.messages.push(message);
        }
        stored.highest_modseq = ledger.mailbox(mailbox)?.highest_modseq;
        ledger.close(&self.watchers)?;
        Ok(stored)
    }
}
