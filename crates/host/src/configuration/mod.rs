//! The one configuration of a host: each section is owned by its service, this
//! composes them.

mod check;
mod load;
mod ranges;
mod reference;
mod source;
mod words;

pub use load::ConfigurationError;
pub use reference::reference;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use storage::StorageError;

/// The largest configuration file, in octets.
const FILE_OCTETS_MAX: u64 = 4 * 1024 * 1024;

/// The configuration of a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// The version of this file's form: 1.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// The domain that is run here, e.g. `example.org`.
    pub domain: String,
    /// Certificates.
    #[serde(default)]
    pub tls: TlsConfig,
    /// Where state is kept.
    #[serde(default)]
    pub storage: storage::Config,
    /// The authoritative name server.
    #[serde(default)]
    pub dns: dns_server::authoritative::Config,
    /// The recursive resolver.
    #[serde(default)]
    pub resolver: dns_server::resolver::Config,
    /// Mail from and to the world, and from the domain's users.
    #[serde(default)]
    pub smtp: mail_server::smtp::Config,
    /// Mail that waits to be sent.
    #[serde(default)]
    pub queue: mail_server::queue::Config,
    /// Reading mail.
    #[serde(default)]
    pub imap: mail_server::imap::Config,
    /// Who may log in.
    #[serde(default)]
    pub accounts: mail_server::accounts::Config,
    /// What one mail account may use.
    #[serde(default)]
    pub mailboxes: mail_server::mailbox::Config,
    /// The BitTorrent tracker: it tells peers of one another.
    #[serde(default)]
    pub tracker: bittorrent_node::tracker::Config,
    /// Files that are given away by BitTorrent and over HTTP.
    #[serde(default)]
    pub torrents: bittorrent_node::publish::Config,
    /// Remote control of torrents by Transmission's RPC, for `transmission-remote` and
    /// web interfaces.
    #[serde(default)]
    pub rpc: bittorrent_node::rpc::Config,
    /// The status page, the metrics and the page of torrents.
    #[serde(default)]
    pub http: web::Config,
}

/// Certificates for mail (and later for the web).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// The certificate chain as PEM, our own first. Unset: a local CA in the
    /// data folder (`tls/ca.pem`) issues one and renews it in time.
    pub certificate_file: Option<PathBuf>,
    /// The certificate's key as PEM, mode 0600.
    pub key_file: Option<PathBuf>,
}

impl Configuration {
    /// A configuration in which nothing runs yet.
    pub fn new(domain: &str) -> Self {
        Self {
            version: load::VERSION,
            domain: domain.to_owned(),
            tls: TlsConfig::default(),
            storage: storage::Config::default(),
            dns: dns_server::authoritative::Config::default(),
            resolver: dns_server::resolver::Config::default(),
            smtp: mail_server::smtp::Config::default(),
            queue: mail_server::queue::Config::default(),
            imap: mail_server::imap::Config::default(),
            accounts: mail_server::accounts::Config::default(),
            mailboxes: mail_server::mailbox::Config::default(),
            tracker: bittorrent_node::tracker::Config::default(),
            torrents: bittorrent_node::publish::Config::default(),
            rpc: bittorrent_node::rpc::Config::default(),
            http: web::Config::default(),
        }
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// When the file cannot be read or is wrong; see [`Configuration::parse`].
    pub fn read(file: &Path) -> Result<Self, ConfigurationError> {
        let failed =
            |reason: String| ConfigurationError { file: file.display().to_string(), line: None, reason };
        match storage::files::read_text(file, FILE_OCTETS_MAX) {
            Ok(Some(text)) => Self::parse(&text, file),
            Ok(None) => Err(failed("there is no such file; `utopia init DOMAIN` writes one".to_owned())),
            // The file is named already.
            Err(StorageError::Failed { reason, .. }) => Err(failed(reason)),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// The domains whose mail ends here: the own one first.
    pub fn mail_domains(&self) -> Vec<String> {
        let more = self.smtp.more_domains.iter();
        let all = std::iter::once(&self.domain).chain(more);
        all.map(|domain| domain.trim_end_matches('.').to_lowercase()).collect()
    }

    /// The same with relative file names taken from the data folder.
    #[must_use]
    pub fn within(mut self, folder: &Path) -> Self {
        let place = |file: &mut Option<PathBuf>| {
            if let Some(file) = file {
                *file = folder.join(&*file);
            }
        };
        place(&mut self.tls.certificate_file);
        place(&mut self.tls.key_file);
        for zone in &mut self.dns.zones {
            place(&mut zone.file);
        }
        for key in &mut self.dns.keys {
            key.secret_file = folder.join(&key.secret_file);
        }
        if let Some(file) = &mut self.torrents.ip_filter {
            *file = folder.join(&*file);
        }
        for published in &mut self.torrents.publish {
            published.path = folder.join(&published.path);
        }
        self.rpc.folder = folder.join(&self.rpc.folder);
        place(&mut self.rpc.password_file);
        place(&mut self.rpc.web_folder);
        for key in &mut self.smtp.dkim {
            key.key_file = folder.join(&key.key_file);
        }
        self
    }
}
