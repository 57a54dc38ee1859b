//! Where everything lies: the tables of the message store and their keys, all
//! big-endian so that keys sort as numbers do.

use super::{AccountId, EmailId, MailboxId};
use storage::Table;

/// account → `record::AccountState`.
pub(super) const ACCOUNTS: Table = Table("mail_accounts");
/// account, mailbox → `record::MailboxRecord`.
pub(super) const MAILBOXES: Table = Table("mail_mailboxes");
/// account, name → mailbox.
pub(super) const NAMES: Table = Table("mail_names");
/// account, name → nothing; names may be subscribed to without a mailbox (RFC
/// 9051 section 6.3.7).
pub(super) const SUBSCRIPTIONS: Table = Table("mail_subscriptions");
/// account, mailbox, uid → `Message`.
pub(super) const MESSAGES: Table = Table("mail_messages");
/// account, mailbox, modseq, uid → nothing: what changed since.
pub(super) const CHANGES: Table = Table("mail_changes");
/// account, mailbox, modseq → the uids expunged by that change.
pub(super) const VANISHED: Table = Table("mail_vanished");
/// account, email → `record::Email`, shared by all copies of a message.
pub(super) const EMAILS: Table = Table("mail_emails");
/// account, email → the encoded `mail::message::Summary`.
pub(super) const SUMMARIES: Table = Table("mail_summaries");
/// account, thread key → `record::ThreadEntry`.
pub(super) const THREADS: Table = Table("mail_threads");

/// All of them; each key begins with the account.
pub(super) const ALL: [Table; 10] =
    [ACCOUNTS, MAILBOXES, NAMES, SUBSCRIPTIONS, MESSAGES, CHANGES, VANISHED, EMAILS, SUMMARIES, THREADS];

pub(super) fn account(account: AccountId) -> Vec<u8> {
    account.0.to_be_bytes().to_vec()
}

pub(super) fn mailbox(account: AccountId, mailbox: MailboxId) -> Vec<u8> {
    [account.0.to_be_bytes(), mailbox.0.to_be_bytes()].concat()
}

pub(super) fn name(account: AccountId, name: &str) -> Vec<u8> {
    [&account.0.to_be_bytes()[..], name.as_bytes()].concat()
}

/// The name in a key made by [`name`].
pub(super) fn name_of(key: &[u8]) -> Option<String> {
    String::from_utf8(key.get(4..)?.to_vec()).ok()
}

pub(super) fn message(account: AccountId, mailbox: MailboxId, uid: u32) -> Vec<u8> {
    [account.0.to_be_bytes(), mailbox.0.to_be_bytes(), uid.to_be_bytes()].concat()
}

/// The uid in a key made by [`message`] or [`change`].
pub(super) fn uid_of(key: &[u8]) -> Option<u32> {
    key.last_chunk().map(|octets| u32::from_be_bytes(*octets))
}

pub(super) fn change(account: AccountId, mailbox: MailboxId, modseq: u64, uid: u32) -> Vec<u8> {
    [&vanished(account, mailbox, modseq)[..], &uid.to_be_bytes()].concat()
}

pub(super) fn vanished(account: AccountId, mailbox: MailboxId, modseq: u64) -> Vec<u8> {
    [&self::mailbox(account, mailbox)[..], &modseq.to_be_bytes()].concat()
}

/// The modseq in a key made by [`vanished`].
pub(super) fn modseq_of(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|octets| u64::from_be_bytes(*octets))
}

pub(super) fn email(account: AccountId, email: EmailId) -> Vec<u8> {
    [&account.0.to_be_bytes()[..], &email.0.to_be_bytes()].concat()
}

pub(super) fn thread(account: AccountId, key: &[u8]) -> Vec<u8> {
    [&account.0.to_be_bytes()[..], key].concat()
}

/// The first key that does not begin with `prefix`; empty if there is none.
pub(super) fn after(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_ends_a_prefix() {
        assert_eq!(after(b"ab"), b"ac");
        assert_eq!(after(&[1, 0xff, 0xff]), [2]);
        assert_eq!(after(&[0xff]), [0; 0]);
        let (account, mailbox) = (AccountId(1), MailboxId(u32::MAX));
        let end = after(&self::mailbox(account, mailbox));
        assert!(message(account, mailbox, u32::MAX) < end);
        assert!(end <= message(AccountId(2), MailboxId(0), 0));
    }

    #[test]
    fn keys_give_back_what_they_were_made_of() {
        let (account, mailbox) = (AccountId(7), MailboxId(8));
        assert_eq!(uid_of(&message(account, mailbox, 9)), Some(9));
        assert_eq!(uid_of(&change(account, mailbox, 10, 9)), Some(9));
        assert_eq!(modseq_of(&vanished(account, mailbox, 10)), Some(10));
        assert_eq!(name_of(&name(account, "Entwürfe")).as_deref(), Some("Entwürfe"));
        assert_eq!(name_of(&[0, 0, 0, 7, 0xff]), None);
        assert_eq!(uid_of(&[1]), None);
    }
}
