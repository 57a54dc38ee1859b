//! Waking who watches a mailbox (IDLE) once a change to it is durable.

use super::model::{AccountId, MailboxId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use storage::Transaction;
use tokio::sync::watch;

type Watched = (AccountId, MailboxId);

/// Who watches what. Holds no more entries than twice the mailboxes watched at
/// one time, since those nobody watches any more are dropped.
#[derive(Clone, Default)]
pub(super) struct Watchers {
    senders: Arc<Mutex<HashMap<Watched, watch::Sender<u64>>>>,
}

impl Watchers {
    fn senders(&self) -> std::sync::MutexGuard<'_, HashMap<Watched, watch::Sender<u64>>> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn watch(&self, account: AccountId, mailbox: MailboxId) -> watch::Receiver<u64> {
        let mut senders = self.senders();
        if senders.len() == senders.capacity() {
            senders.retain(|_, sender| sender.receiver_count() > 0);
        }
        senders.entry((account, mailbox)).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    /// Wakes the watchers of `mailboxes` once the change is durable.
    pub(super) fn wake_after_commit(
        &self,
        transaction: &mut dyn Transaction,
        account: AccountId,
        mailboxes: Vec<MailboxId>,
        modseq: u64,
    ) {
        let watchers = self.clone();
        transaction.after_commit(Box::new(move || {
            let mut senders = watchers.senders();
            for mailbox in mailboxes {
                let Some(sender) = senders.get(&(account, mailbox)) else { continue };
                if sender.receiver_count() == 0 {
                    senders.remove(&(account, mailbox));
                } else {
                    sender.send_replace(modseq);
                }
            }
        }));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.senders().len()
    }
}
