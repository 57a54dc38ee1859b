//! The mail services of a host: they stand on one another, so the order matters.

use crate::certificate::Certificate;
use crate::services::{Ground, Services};
use crate::{Configuration, HostError};
use mail_server::accounts::Accounts;
use mail_server::authentication::{DkimKey, DkimSigner};
use mail_server::directory::Directory;
use mail_server::imap;
use mail_server::queue::{self, Queue};
use mail_server::smtp;
use net::tls::{self, Certified};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::files;

/// The largest DKIM key file, in octets.
const KEY_OCTETS_MAX: u64 = 64 * 1024;

/// SMTP, the queue and IMAP.
pub(crate) struct Mail {
    folder: PathBuf,
    certificate: Certificate,
    queue: Queue,
    smtp: smtp::Server,
    imap: imap::Server,
}

/// A configuration for which everything is ready.
pub(crate) struct Prepared {
    certified: Certified,
    queue: queue::Settings,
    smtp: smtp::Prepared,
    imap: imap::Prepared,
}

impl Mail {
    /// Mail that does not listen yet; what the queue holds is sent from here on.
    pub(crate) async fn new(configuration: &Configuration, services: &Services) -> Result<Self, HostError> {
        let Services { resolver, accounts, mailboxes, .. } = services;
        let Ground { folder, network, reporter, shutdown, .. } = services.ground();
        let certificate = Certificate::of(configuration, folder)?;
        let queue = Queue::start(
            queue_settings(configuration, accounts),
            queue::Parts {
                network: network.clone(),
                tls: tls::client_config_opportunistic()?,
                resolver: Arc::new(resolver.clone()),
                mailboxes: mailboxes.clone(),
                reporter: reporter.clone(),
                shutdown: shutdown.clone(),
            },
        )
        .await?;
        let smtp = smtp::Server::new(smtp::Parts {
            network: network.clone(),
            tls: certificate.config.clone(),
            accounts: accounts.clone(),
            mailboxes: mailboxes.clone(),
            queue: queue.clone(),
            resolver: Arc::new(resolver.clone()),
            reporter: reporter.clone(),
            shutdown: shutdown.clone(),
        });
        let imap = imap::Server::new(imap::Parts {
            network: network.clone(),
            tls: certificate.config.clone(),
            accounts: accounts.clone(),
            mailboxes: mailboxes.clone(),
            reporter: reporter.clone(),
            shutdown: shutdown.clone(),
        });
        Ok(Self { folder: folder.clone(), certificate, queue, smtp, imap })
    }

    /// Opens and reads what the configuration needs.
    ///
    /// # Errors
    /// When any of it cannot be had; then all stays as it is.
    pub(crate) fn prepare(
        &self,
        configuration: &Configuration,
        accounts: &Accounts,
    ) -> Result<Prepared, HostError> {
        let queue = queue_settings(configuration, accounts);
        let smtp = self.smtp.prepare(smtp::Settings {
            config: configuration.smtp.clone(),
            hostname: queue.hostname.clone(),
            directory: queue.directory.clone(),
            signer: signer(configuration)?,
        })?;
        Ok(Prepared {
            certified: Certificate::read(configuration, &self.folder)?,
            queue,
            smtp,
            imap: self.imap.prepare(configuration.imap.clone())?,
        })
    }

    /// Works by the new configuration from here on; sessions under way go on.
    pub(crate) fn carry_out(&self, prepared: Prepared) {
        self.certificate.show(prepared.certified);
        self.queue.configure(prepared.queue);
        self.smtp.carry_out(prepared.smtp);
        self.imap.carry_out(prepared.imap);
    }

    /// Reads the certificate again, or renews it where it is the local CA's.
    ///
    /// # Errors
    /// When it cannot be read or used; then the one before stays.
    pub(crate) fn renew_certificate(
        &self,
        configuration: &Configuration,
        folder: &Path,
    ) -> Result<(), HostError> {
        self.certificate.show(Certificate::read(configuration, folder)?);
        Ok(())
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// What listens where.
    pub(crate) fn listening(&self) -> Vec<(&'static str, SocketAddr)> {
        let smtp = self.smtp.addresses().into_iter().map(|(face, address)| (face.service(), address));
        let imap = self.imap.addresses().into_iter().map(|(face, address)| (face.service(), address));
        smtp.chain(imap).collect()
    }
}

fn queue_settings(configuration: &Configuration, accounts: &Accounts) -> queue::Settings {
    let hostname = configuration.smtp.hostname.clone();
    queue::Settings {
        config: configuration.queue.clone(),
        hostname: hostname.unwrap_or_else(|| format!("mail.{}", configuration.domain)),
        directory: Directory::new(&configuration.mail_domains(), accounts.clone()),
    }
}

/// Signs with the keys that the configuration names.
pub(crate) fn signer(configuration: &Configuration) -> Result<DkimSigner, HostError> {
    let mut signer = DkimSigner::default();
    for key in &configuration.smtp.dkim {
        let file = key.key_file.clone();
        let private_pem = files::read_text(&file, KEY_OCTETS_MAX)?
            .ok_or_else(|| HostError::NoFile { file: file.clone() })?;
        let (domain, selector) = (configuration.domain.clone(), key.selector.clone());
        signer
            .add(&DkimKey { domain, selector, private_pem })
            .map_err(|source| HostError::Dkim { file, source })?;
    }
    Ok(signer)
}
