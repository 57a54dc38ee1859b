//! What the parts of a running host share.

use crate::{Configuration, try_lines};
use dns_server::authoritative::Server;
use dns_server::resolver::Resolver;
use event::Reporter;
use mail_server::accounts::Accounts;
use mail_server::mailbox::Mailboxes;
use mail_server::queue::Queue;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use storage::Storage;
use tokio::sync::Notify;
use web::{Service, Status};

/// A host's state, for those who start, ask and stop it.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) reporter: Reporter,
    pub(crate) configuration: Mutex<Configuration>,
    pub(crate) services: Vec<Service>,
    pub(crate) dns: Option<Server>,
    pub(crate) resolver: Resolver,
    pub(crate) accounts: Accounts,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) queue: Option<Queue>,
    pub(crate) reload_wanted: Notify,
}

impl Shared {
    pub(crate) fn status(&self) -> Status {
        let domain = self.configuration.lock().unwrap_or_else(PoisonError::into_inner).domain.clone();
        let try_lines = try_lines::of(&domain, &self.services, &self.folder);
        Status { domain: Some(domain), services: self.services.clone(), try_lines }
    }
}

/// The host's users, on its storage.
pub(crate) fn accounts(configuration: &Configuration, storage: Storage) -> Accounts {
    Accounts::new(configuration.accounts.clone(), Mailboxes::new(configuration.mailboxes.clone(), storage))
}
