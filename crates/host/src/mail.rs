//! The mail services of a host: they stand on one another, so the order matters.

use crate::certificate::Certificate;
use crate::services::{Ground, Services};
use crate::{Configuration, HostError};
use dns_server::resolver::Resolver;
use mail_server::accounts::Accounts;
use mail_server::authentication::{DkimKey, DkimSigner};
use mail_server::directory::Directory;
use mail_server::imap;
use mail_server::mailbox::Mailboxes;
use mail_server::queue::{self, Queue, Sending};
use mail_server::smtp;
use net::tls::{self, Certified};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::files;

/// The largest DKIM key file, in octets.
const KEY_OCTETS_MAX: u64 = 64 * 1024;

/// SMTP and IMAP.
pub(crate) struct Mail {
    folder: PathBuf,
    certificate: Certificate,
    smtp: smtp::Server,
    imap: imap::Server,
}

/// A configuration for which everything is ready.
pub(crate) struct Prepared {
    certified: Certified,
    smtp: smtp::Prepared,
    imap: imap::Prepared,
}

impl Mail {
    /// Mail that does not listen yet.
    pub(crate) fn new(configuration: &Configuration, services: &Services) -> Result<Self, HostError> {
        let Services { resolver, accounts, mailboxes, queue, .. } = services;
        let Ground { folder, network, reporter, shutdown, .. } = services.ground();
        let certificate = Certificate::of(configuration, folder)?;
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
        Ok(Self { folder: folder.clone(), certificate, smtp, imap })
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
        let smtp = self.smtp.prepare(smtp::Settings {
            config: configuration.smtp.clone(),
            hostname: hostname(configuration),
            directory: directory(configuration, accounts),
            signer: signer(configuration)?,
        })?;
        Ok(Prepared {
            certified: Certificate::read(configuration, &self.folder)?,
            smtp,
            imap: self.imap.prepare(configuration.imap.clone())?,
        })
    }

    /// Works by the new configuration from here on; sessions under way go on.
    pub(crate) fn carry_out(&self, prepared: Prepared) {
        self.certificate.show(prepared.certified);
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

    /// What listens where.
    pub(crate) fn listening(&self) -> Vec<(&'static str, SocketAddr)> {
        let smtp = self.smtp.addresses().into_iter().map(|(face, address)| (face.service(), address));
        let imap = self.imap.addresses().into_iter().map(|(face, address)| (face.service(), address));
        smtp.chain(imap).collect()
    }
}

/// The queue, which every host has: what waits in it is sent even when the
/// configuration takes no mail any more.
pub(crate) async fn queue(
    configuration: &Configuration,
    ground: &Ground,
    resolver: &Resolver,
    accounts: &Accounts,
    mailboxes: &Mailboxes,
) -> Result<(Queue, Sending), HostError> {
    let parts = queue::Parts {
        network: ground.network.clone(),
        tls: tls::client_config_opportunistic()?,
        resolver: Arc::new(resolver.clone()),
        mailboxes: mailboxes.clone(),
        reporter: ground.reporter.clone(),
        shutdown: ground.shutdown.clone(),
    };
    Ok(Queue::open(queue_settings(configuration, accounts), parts).await?)
}

pub(crate) fn queue_settings(configuration: &Configuration, accounts: &Accounts) -> queue::Settings {
    queue::Settings {
        config: configuration.queue.clone(),
        hostname: hostname(configuration),
        directory: directory(configuration, accounts),
    }
}

/// What this host calls itself.
fn hostname(configuration: &Configuration) -> String {
    let configured = configuration.smtp.hostname.clone();
    configured.unwrap_or_else(|| format!("mail.{}", configuration.domain))
}

fn directory(configuration: &Configuration, accounts: &Accounts) -> Directory {
    Directory::new(&configuration.mail_domains(), accounts.clone())
}

/// Signs with the keys that the configuration names.
pub(crate) fn signer(configuration: &Configuration) -> Result<DkimSigner, HostError> {
    let mut signer = DkimSigner::default();
    for key in &configuration.smtp.dkim {
        let file = key.key_file.clone();
        let private_pem = files::read_secret(&file, KEY_OCTETS_MAX)?
            .ok_or_else(|| HostError::NoFile { file: file.clone() })?;
        let (domain, selector) = (configuration.domain.clone(), key.selector.clone());
        signer
            .add(&DkimKey { domain, selector, private_pem })
            .map_err(|source| HostError::Dkim { file, source })?;
    }
    Ok(signer)
}
