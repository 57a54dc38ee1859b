//! Starting the mail services of a host: they stand on one another, so the
//! order matters.

use crate::certificate::Certificate;
use crate::services::Services;
use crate::{Configuration, HostError};
use dns::Resolve;
use event::{Reporter, SocketEvent};
use mail_server::accounts::Accounts;
use mail_server::authentication::{DkimKey, DkimSigner};
use mail_server::directory::Directory;
use mail_server::imap;
use mail_server::mailbox::Mailboxes;
use mail_server::queue::{self, Queue};
use mail_server::smtp::{self, Face};
use net::{ListenOptions, Network, Shutdown, tls};
use std::path::Path;
use std::sync::Arc;
use storage::files;

/// The largest DKIM key file, in octets.
const KEY_OCTETS_MAX: u64 = 64 * 1024;

/// What the mail services stand on.
pub(crate) struct Mail<'a> {
    pub(crate) configuration: &'a Configuration,
    pub(crate) folder: &'a Path,
    pub(crate) network: &'a Network,
    pub(crate) accounts: &'a Accounts,
    pub(crate) mailboxes: &'a Mailboxes,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) reporter: &'a Reporter,
    pub(crate) shutdown: &'a Shutdown,
}

/// What runs then.
#[derive(Default)]
pub(crate) struct Started {
    pub(crate) queue: Option<Queue>,
    pub(crate) certificate: Option<Certificate>,
}

impl Mail<'_> {
    /// Starts SMTP, the queue and IMAP, where they are configured.
    pub(crate) async fn start(&self, services: &mut Services) -> Result<Started, HostError> {
        let smtp = self.configuration.smtp.endpoints().next().is_some();
        let imap = !self.configuration.imap.endpoints().is_empty();
        if !smtp && !imap {
            return Ok(Started::default());
        }
        let certificate = Certificate::of(self.configuration, self.folder)?;
        let tls = certificate.config.clone();
        let queue = if smtp { Some(self.start_smtp(tls.clone(), services).await?) } else { None };
        if imap {
            self.start_imap(tls, services)?;
        }
        Ok(Started { queue, certificate: Some(certificate) })
    }

    async fn start_smtp(
        &self,
        tls: Arc<rustls::ServerConfig>,
        services: &mut Services,
    ) -> Result<Queue, HostError> {
        let config = &self.configuration.smtp;
        let hostname =
            config.hostname.clone().unwrap_or_else(|| format!("mail.{}", self.configuration.domain));
        let directory = Directory::new(&self.configuration.mail_domains(), self.accounts.clone());
        let queue = Queue::start(
            self.configuration.queue.clone(),
            queue::Parts {
                hostname: hostname.clone(),
                network: self.network.clone(),
                tls: tls::client_config_opportunistic()?,
                resolver: self.resolver.clone(),
                mailboxes: self.mailboxes.clone(),
                directory: directory.clone(),
                reporter: self.reporter.clone(),
                shutdown: self.shutdown.clone(),
            },
        )
        .await?;

        let mut listeners = Vec::new();
        for (face, address) in config.endpoints() {
            let service = match face {
                Face::Exchange => "smtp",
                Face::Submission => "submission",
                Face::Submissions => "submissions",
            };
            let failed = |source| HostError::Listen { service, address: address.to_string(), source };
            let options = ListenOptions {
                address,
                connections_max: config.connections_max,
                connections_per_address_max: config.connections_per_address_max,
            };
            let listener = self.network.listen(&options).map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            self.reporter.tell(SocketEvent::Listening { service: service.to_owned(), address });
            services.add(service, &["tcp"], &[address]);
            listeners.push((face, listener));
        }
        smtp::start(
            config.clone(),
            smtp::Parts {
                hostname,
                tls,
                directory,
                accounts: self.accounts.clone(),
                mailboxes: self.mailboxes.clone(),
                queue: queue.clone(),
                signer: Arc::new(self.signer()?),
                resolver: self.resolver.clone(),
                reporter: self.reporter.clone(),
                shutdown: self.shutdown.clone(),
            },
            listeners,
        )?;
        Ok(queue)
    }

    fn start_imap(&self, tls: Arc<rustls::ServerConfig>, services: &mut Services) -> Result<(), HostError> {
        let endpoints = self.configuration.imap.endpoints();
        let addresses = imap::start(
            self.configuration.imap.clone(),
            self.network,
            &endpoints,
            tls,
            self.accounts.clone(),
            self.mailboxes.clone(),
            self.reporter.clone(),
            self.shutdown.clone(),
        )?;
        for (endpoint, address) in endpoints.iter().zip(addresses) {
            services.add(if endpoint.implicit_tls { "imaps" } else { "imap" }, &["tcp"], &[address]);
        }
        Ok(())
    }

    /// Signs with the keys that the configuration names.
    fn signer(&self) -> Result<DkimSigner, HostError> {
        let mut keys = Vec::new();
        for key in &self.configuration.smtp.dkim {
            let private_pem = files::read_text(&key.key_file, KEY_OCTETS_MAX)?
                .ok_or_else(|| HostError::NoFile { file: key.key_file.clone() })?;
            keys.push(DkimKey {
                domain: self.configuration.domain.clone(),
                selector: key.selector.clone(),
                private_pem,
            });
        }
        Ok(DkimSigner::new(&keys)?)
    }
}
