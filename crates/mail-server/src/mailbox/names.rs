//! Mailboxes are created, deleted, renamed, listed and subscribed to (RFC 9051
//! sections 6.3.4 to 6.3.9). Names are UTF-8, levels separated by `/`; INBOX is
//! the same in any case.

use super::ledger::{Ledger, load_mailbox, load_messages};
use super::model::{AccountId, MailboxId, MailboxInfo, SpecialUse};
use super::record::{self, AccountState, MailboxRecord};
use super::{MailboxError, Mailboxes, keys, view};
use mail::imap::mailbox_name;
use std::ops::ControlFlow;
use std::time::{SystemTime, UNIX_EPOCH};
use storage::{Table, Transaction};

/// The longest name, in octets, in UTF-8 as in modified UTF-7: clients of both
/// kinds must be able to say it.
pub const NAME_OCTETS_MAX: usize = mailbox_name::NAME_OCTETS_MAX;

/// Names that may be subscribed to, for each mailbox an account may have.
const SUBSCRIPTIONS_PER_MAILBOX: u64 = 2;

impl Mailboxes {
    /// Gives a new account its mailboxes: INBOX, and one for each special use.
    /// Called once, in the transaction that creates the account.
    pub fn found_in(
        &self,
        transaction: &mut dyn Transaction,
        account: AccountId,
    ) -> Result<(), MailboxError> {
        let key = keys::account(account);
        transaction.put(keys::ACCOUNTS, &key, &AccountState::default().encode())?;
        let mut ledger = Ledger::open(transaction, account)?;
        make(&mut ledger, "INBOX", None)?;
        subscribe(&mut ledger, "INBOX")?;
        for special_use in SpecialUse::ALL {
            make(&mut ledger, special_use.as_str(), Some(special_use))?;
            subscribe(&mut ledger, special_use.as_str())?;
        }
        ledger.close(&self.watchers)
    }

    /// Removes all mailboxes and messages of an account.
    pub fn dissolve_in(
        &self,
        transaction: &mut dyn Transaction,
        account: AccountId,
    ) -> Result<(), MailboxError> {
        let mut ledger = Ledger::open(transaction, account)?;
        for (_, id) in names_in(ledger.transaction, account, "")? {
            empty(&mut ledger, id)?;
        }
        ledger.close(&self.watchers)?;
        // Messages released what they share with others; the rest is the account's own.
        for table in keys::ALL {
            delete_all(transaction, table, &keys::account(account))?;
        }
        Ok(())
    }

    /// All mailboxes, in order of name, with INBOX at its place.
    pub async fn list(&self, account: AccountId) -> Result<Vec<MailboxInfo>, MailboxError> {
        self.storage
            .read(move |transaction| {
                let mut list = Vec::new();
                for (_, id) in names_in(transaction, account, "")? {
                    list.push(view::info(transaction, account, id)?);
                }
                Ok(list)
            })
            .await
    }

    /// Names that are subscribed to, whether or not there is such a mailbox.
    pub async fn subscriptions(&self, account: AccountId) -> Result<Vec<String>, MailboxError> {
        self.storage.read(move |transaction| subscriptions_in(transaction, account)).await
    }

    /// The mailbox of a name.
    pub async fn find(&self, account: AccountId, name: &str) -> Result<Option<MailboxInfo>, MailboxError> {
        let name = canonical(name);
        self.storage
            .read(move |transaction| match id_of(transaction, account, &name)? {
                None => Ok(None),
                Some(id) => view::info(transaction, account, id).map(Some),
            })
            .await
    }

    /// The mailbox for a special use, within somebody else's transaction.
    pub fn special_in(
        &self,
        transaction: &mut dyn Transaction,
        account: AccountId,
        special_use: SpecialUse,
    ) -> Result<Option<MailboxId>, MailboxError> {
        for (_, id) in names_in(transaction, account, "")? {
            if load_mailbox(transaction, account, id)?.special_use == Some(special_use) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// Creates a mailbox, and those above it that are not there (CREATE). A
    /// trailing separator is passed over, as RFC 9051 section 6.3.4 has it.
    pub async fn create(
        &self,
        account: AccountId,
        name: &str,
        special_use: Option<SpecialUse>,
    ) -> Result<MailboxInfo, MailboxError> {
        let name = checked(name.strip_suffix('/').unwrap_or(name))?;
        if name == "INBOX" {
            return Err(MailboxError::Inbox);
        }
        let this = self.clone();
        self.storage
            .write(move |transaction| {
                let mut ledger = Ledger::open(transaction, account)?;
                this.make_above(&mut ledger, &name)?;
                this.check_mailboxes(&ledger)?;
                let id = make(&mut ledger, &name, special_use)?;
                ledger.close(&this.watchers)?;
                view::info(transaction, account, id)
            })
            .await
    }

    /// Deletes a mailbox with its messages; mailboxes below it stay (DELETE).
    pub async fn delete(&self, account: AccountId, name: &str) -> Result<(), MailboxError> {
        let name = canonical(name);
        if name == "INBOX" {
            return Err(MailboxError::Inbox);
        }
        let this = self.clone();
        self.storage
            .write(move |transaction| {
                let id = id_of(transaction, account, &name)?
                    .ok_or_else(|| MailboxError::NoMailbox(name.clone()))?;
                let mut ledger = Ledger::open(transaction, account)?;
                empty(&mut ledger, id)?;
                let prefix = keys::mailbox(account, id);
                delete_all(ledger.transaction, keys::VANISHED, &prefix)?;
                ledger.transaction.delete(keys::MAILBOXES, &prefix)?;
                ledger.transaction.delete(keys::NAMES, &keys::name(account, &name))?;
                ledger.state.mailboxes = ledger.state.mailboxes.saturating_sub(1);
                ledger.forget_mailbox(id);
                ledger.close(&this.watchers)
            })
            .await
    }

    /// Renames a mailbox and those below it (RENAME). Renaming INBOX moves its
    /// messages to a new mailbox and leaves INBOX empty.
    pub async fn rename(&self, account: AccountId, from: &str, to: &str) -> Result<(), MailboxError> {
        let (from, to) = (canonical(from), checked(to)?);
        if to.strip_prefix(from.as_str()).is_some_and(|rest| rest.starts_with('/')) && from != "INBOX" {
            return Err(MailboxError::BadName { name: to, reason: "it lies below the mailbox itself" });
        }
        let this = self.clone();
        self.storage
            .write(move |transaction| {
                if id_of(transaction, account, &to)?.is_some() {
                    return Err(MailboxError::Exists(to.clone()));
                }
                let id = id_of(transaction, account, &from)?
                    .ok_or_else(|| MailboxError::NoMailbox(from.clone()))?;
                let mut ledger = Ledger::open(transaction, account)?;
                this.make_above(&mut ledger, &to)?;
                if id == MailboxId::INBOX {
                    this.check_mailboxes(&ledger)?;
                    let new = make(&mut ledger, &to, None)?;
                    ledger.close(&this.watchers)?;
                    this.move_in(transaction, account, id, &vec![1..=u32::MAX], new)?;
                    return Ok(());
                }
                let mut moved = vec![(from.clone(), id)];
                moved.extend(names_in(ledger.transaction, account, &format!("{from}/"))?);
                for (old, id) in moved {
                    let rest = old.strip_prefix(from.as_str()).unwrap_or_default();
                    let new = checked(&format!("{to}{rest}"))?;
                    if id_of(ledger.transaction, account, &new)?.is_some() {
                        return Err(MailboxError::Exists(new));
                    }
                    ledger.transaction.delete(keys::NAMES, &keys::name(account, &old))?;
                    enter_name(&mut ledger, &new, id)?;
                    ledger.mailbox(id)?.name = new;
                }
                ledger.close(&this.watchers)
            })
            .await
    }

    /// Subscribes to a name, or ends that (SUBSCRIBE, UNSUBSCRIBE).
    pub async fn subscribe(
        &self,
        account: AccountId,
        name: &str,
        subscribed: bool,
    ) -> Result<(), MailboxError> {
        let name = if subscribed { checked(name)? } else { canonical(name) };
        let max =
            u64::from(self.config.load().account_mailboxes_max).saturating_mul(SUBSCRIPTIONS_PER_MAILBOX);
        self.storage
            .write(move |transaction| {
                let mut ledger = Ledger::open(transaction, account)?;
                if !subscribed {
                    let key = keys::name(account, &name);
                    return Ok(ledger.transaction.delete(keys::SUBSCRIPTIONS, &key)?);
                }
                if subscriptions_in(ledger.transaction, account)?.len() as u64 >= max {
                    return Err(MailboxError::Limit { limit: "account_mailboxes_max * 2", max });
                }
                subscribe(&mut ledger, &name)
            })
            .await
    }

    /// Makes the mailboxes above a name.
    fn make_above(&self, ledger: &mut Ledger<'_>, name: &str) -> Result<(), MailboxError> {
        for (at, _) in name.match_indices('/') {
            let above = name.get(..at).unwrap_or_default();
            if id_of(ledger.transaction, ledger.account, above)?.is_none() {
                self.check_mailboxes(ledger)?;
                make(ledger, above, None)?;
            }
        }
        Ok(())
    }

    fn check_mailboxes(&self, ledger: &Ledger<'_>) -> Result<(), MailboxError> {
        let max = self.config.load().account_mailboxes_max;
        if ledger.state.mailboxes >= max {
            return Err(MailboxError::Limit { limit: "account_mailboxes_max", max: max.into() });
        }
        Ok(())
    }
}

/// Makes one mailbox.
fn make(
    ledger: &mut Ledger<'_>,
    name: &str,
    special_use: Option<SpecialUse>,
) -> Result<MailboxId, MailboxError> {
    if id_of(ledger.transaction, ledger.account, name)?.is_some() {
        return Err(MailboxError::Exists(name.to_owned()));
    }
    let modseq = ledger.modseq();
    let state = &mut ledger.state;
    let full = MailboxError::Limit { limit: "mailbox ids", max: u32::MAX.into() };
    state.last_mailbox = state.last_mailbox.checked_add(1).ok_or_else(|| full.clone())?;
    // Greater than that of any mailbox of this name before, even if the data
    // folder is a new one (RFC 9051 section 2.3.1.1).
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let next = state.last_uid_validity.checked_add(1).ok_or(full)?;
    state.last_uid_validity = next.max(u32::try_from(now).unwrap_or(0));
    state.mailboxes += 1;
    let id = MailboxId(state.last_mailbox);
    let record = MailboxRecord {
        name: name.to_owned(),
        uid_validity: state.last_uid_validity,
        uid_next: 1,
        highest_modseq: modseq,
        forgotten_modseq: 0,
        special_use,
        ..MailboxRecord::default()
    };
    ledger.enter_mailbox(id, record);
    enter_name(ledger, name, id)?;
    Ok(id)
}

fn enter_name(ledger: &mut Ledger<'_>, name: &str, id: MailboxId) -> Result<(), MailboxError> {
    let key = keys::name(ledger.account, name);
    Ok(ledger.transaction.put(keys::NAMES, &key, &record::encode_id(id))?)
}

fn subscribe(ledger: &mut Ledger<'_>, name: &str) -> Result<(), MailboxError> {
    Ok(ledger.transaction.put(keys::SUBSCRIPTIONS, &keys::name(ledger.account, name), &[])?)
}

/// Removes all messages of a mailbox.
fn empty(ledger: &mut Ledger<'_>, id: MailboxId) -> Result<(), MailboxError> {
    let messages = load_messages(ledger.transaction, ledger.account, id, &vec![1..=u32::MAX])?;
    ledger.take_out(id, &messages)?;
    for message in messages {
        ledger.release_email(message.email)?;
    }
    Ok(())
}

fn delete_all(transaction: &mut dyn Transaction, table: Table, prefix: &[u8]) -> Result<(), MailboxError> {
    let mut found = Vec::new();
    transaction.scan(table, prefix, &keys::after(prefix), &mut |key, _| {
        found.push(key.to_vec());
        ControlFlow::Continue(())
    })?;
    for key in found {
        transaction.delete(table, &key)?;
    }
    Ok(())
}

/// The mailboxes whose names begin with `prefix`, in order of name.
fn names_in(
    transaction: &mut dyn Transaction,
    account: AccountId,
    prefix: &str,
) -> Result<Vec<(String, MailboxId)>, MailboxError> {
    let from = keys::name(account, prefix);
    let mut found = Vec::new();
    transaction.scan(keys::NAMES, &from, &keys::after(&from), &mut |key, value| {
        found.push(keys::name_of(key).zip(record::decode_id(value)));
        ControlFlow::Continue(())
    })?;
    found.into_iter().collect::<Option<_>>().ok_or(MailboxError::Unreadable(keys::NAMES.0))
}

fn subscriptions_in(
    transaction: &mut dyn Transaction,
    account: AccountId,
) -> Result<Vec<String>, MailboxError> {
    let from = keys::account(account);
    let mut found = Vec::new();
    transaction.scan(keys::SUBSCRIPTIONS, &from, &keys::after(&from), &mut |key, _| {
        found.push(keys::name_of(key));
        ControlFlow::Continue(())
    })?;
    found.into_iter().collect::<Option<_>>().ok_or(MailboxError::Unreadable(keys::SUBSCRIPTIONS.0))
}

/// The mailbox of a canonical name.
fn id_of(
    transaction: &mut dyn Transaction,
    account: AccountId,
    name: &str,
) -> Result<Option<MailboxId>, MailboxError> {
    match transaction.get(keys::NAMES, &keys::name(account, name))? {
        None => Ok(None),
        Some(octets) => record::decode_id(&octets).map(Some).ok_or(MailboxError::Unreadable(keys::NAMES.0)),
    }
}

/// INBOX in capitals, alone or as the first level.
fn canonical(name: &str) -> String {
    match (name.get(..5), name.get(5..)) {
        (Some(first), Some(rest))
            if first.eq_ignore_ascii_case("INBOX") && (rest.is_empty() || rest.starts_with('/')) =>
        {
            format!("INBOX{rest}")
        }
        _ => name.to_owned(),
    }
}

/// A name that a mailbox may have, in its canonical form.
fn checked(name: &str) -> Result<String, MailboxError> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > NAME_OCTETS_MAX {
        "it is longer than 1000 octets"
    } else if mailbox_name::to_utf7(name).len() > NAME_OCTETS_MAX {
        "it is longer than 1000 octets in modified UTF-7"
    } else if name.split('/').any(str::is_empty) {
        "a level of it is empty"
    } else if name.chars().any(char::is_control) {
        "it has control characters"
    } else if name.contains(['*', '%']) {
        "it has wildcards"
    } else {
        return Ok(canonical(name));
    };
    let name = name.chars().take(100).collect();
    Err(MailboxError::BadName { name, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inbox_is_the_same_in_any_case() {
        assert_eq!(canonical("iNbOx"), "INBOX");
        assert_eq!(canonical("inbox/Crepes"), "INBOX/Crepes");
        assert_eq!(canonical("inboxes"), "inboxes");
        assert_eq!(canonical("ünbox"), "ünbox");
    }

    #[test]
    fn names_that_cannot_be() {
        let long = "x".repeat(NAME_OCTETS_MAX + 1);
        // 998 octets as UTF-8, more as modified UTF-7.
        let wide = "ü".repeat(499);
        for name in ["", "/a", "a//b", "a/", "a\nb", "a*", "%", &long, &wide, &"&".repeat(501)] {
            assert!(matches!(checked(name), Err(MailboxError::BadName { .. })), "{name}");
        }
        assert_eq!(checked("Entwürfe/Neu").unwrap(), "Entwürfe/Neu");
        for longest in ["x".repeat(NAME_OCTETS_MAX), "&".repeat(500), "ü".repeat(374)] {
            assert!(checked(&longest).is_ok(), "{longest}");
        }
    }
}
