//! The message store: accounts have mailboxes, mailboxes have messages (RFC
//! 9051), with mod-sequences (RFC 7162), stable ids (RFC 8474) and special
//! uses (RFC 6154). Every change is one atomic, durable transaction, or part of
//! somebody else's: the functions whose names end in `_in`.
//!
//! What FETCH asks most, envelope and body structure, is stored beside each
//! message when it comes in (`mail::message::Summary`).

mod append;
mod config;
mod error;
mod expunge;
mod flags;
mod keys;
mod ledger;
mod model;
mod names;
mod record;
#[cfg(test)]
mod tests;
mod thread;
mod transfer;
mod uids;
mod view;
mod watch;

pub use append::NewMessage;
pub use config::Config;
pub use error::MailboxError;
pub use flags::{KEYWORD_OCTETS_MAX, KEYWORDS_MAX};
pub use model::{
    AccountId, Appended, Changes, Copied, EmailId, Expunged, FlagChange, Flags, Line, MailboxId, MailboxInfo,
    Message, Selected, SpecialUse, Stored, SystemFlag, ThreadId, Uids, Usage,
};
pub use names::NAME_OCTETS_MAX;

use arc_swap::ArcSwap;
use std::sync::Arc;
use storage::Storage;
use watch::Watchers;

/// The message store of one host. Cheap to clone.
#[derive(Clone)]
pub struct Mailboxes {
    storage: Storage,
    config: Arc<ArcSwap<Config>>,
    watchers: Watchers,
}

impl Mailboxes {
    /// The message store in `storage`.
    pub fn new(config: Config, storage: Storage) -> Self {
        Mailboxes { storage, config: Arc::new(ArcSwap::from_pointee(config)), watchers: Watchers::default() }
    }

    /// Other bounds from here on.
    pub fn configure(&self, config: Config) {
        self.config.store(Arc::new(config));
    }

    /// The storage below, which has the messages' octets.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Watches a mailbox: the receiver changes, to the new HIGHESTMODSEQ, after
    /// each durable change. Subscribe first, then select, and nothing is missed.
    pub fn watch(&self, account: AccountId, mailbox: MailboxId) -> tokio::sync::watch::Receiver<u64> {
        self.watchers.watch(account, mailbox)
    }
}

impl std::fmt::Debug for Mailboxes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mailboxes({:?})", self.storage)
    }
}
