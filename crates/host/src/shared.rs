//! What the parts of a running host share.

use crate::services::Services;
use crate::{Configuration, try_lines};
use event::Reporter;
use mail_server::accounts::Accounts;
use mail_server::mailbox::Mailboxes;
use net::Shutdown;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use storage::Storage;
use tokio::sync::mpsc;
use web::Status;

/// How often the certificate is read again, and renewed where it is about to end.
const CERTIFICATE_LOOKED_AFTER: Duration = Duration::from_hours(24);

/// A host's state, for those who start, ask and stop it.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) reporter: Reporter,
    pub(crate) configuration: Mutex<Configuration>,
    pub(crate) services: Services,
    /// To whoever reloads; see [`crate::Host::reload_requested`].
    pub(crate) reload_wanted: mpsc::Sender<crate::ReloadOutcome>,
}

impl Shared {
    /// Looks after the certificate every day, until the host stops.
    pub(crate) async fn keep_certificate(self: Arc<Self>, shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = shutdown.requested() => return,
                () = tokio::time::sleep(CERTIFICATE_LOOKED_AFTER) => {}
            }
            let configuration = self.configuration.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let renewed = self
                .services
                .mail()
                .map_or(Ok(()), |mail| mail.renew_certificate(&configuration, self.services.folder()));
            if let Err(error) = renewed {
                tracing::error!(%error, "the certificate could not be renewed; the one before is used");
            }
        }
    }

    /// The domains whose mail ends here.
    pub(crate) fn domains(&self) -> Vec<String> {
        self.configuration.lock().unwrap_or_else(PoisonError::into_inner).mail_domains()
    }

    pub(crate) fn status(&self) -> Status {
        let domain = self.configuration.lock().unwrap_or_else(PoisonError::into_inner).domain.clone();
        let services = self.services.listening();
        let try_lines = try_lines::of(&domain, &services, self.services.folder());
        let (torrents, tracker) = (self.services.torrents(), self.services.tracker());
        Status { domain: Some(domain), services, try_lines, torrents, tracker }
    }
}

/// The host's users, on its storage.
pub(crate) fn accounts(configuration: &Configuration, storage: Storage) -> Accounts {
    Accounts::new(configuration.accounts.clone(), Mailboxes::new(configuration.mailboxes.clone(), storage))
}
