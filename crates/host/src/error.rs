//! Why a host could not be set up or started.

use crate::ConfigurationError;
use std::path::PathBuf;

/// Why a host could not be set up or started.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The configuration is wrong.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// A file that the configuration names is not there.
    #[error("{}: there is no such file, but the configuration names it", file.display())]
    NoFile {
        /// The file.
        file: PathBuf,
    },
    /// There is a domain in the folder already.
    #[error("{} is there already; nothing was changed. Choose another --data, or remove it first", file.display())]
    Exists {
        /// The file found.
        file: PathBuf,
    },
    /// No port for a service.
    #[error(
        "no port up to {last} can be had for {service}; stop what listens there, or name addresses yourself"
    )]
    NoPort {
        /// The service.
        service: &'static str,
        /// The last port tried.
        last: u16,
    },
    /// What was asked for cannot be done while nothing runs.
    #[error("nothing runs on this folder; start it with `utopia up`")]
    NotRunning,
    /// What was asked for is not part of this host.
    #[error("{0}")]
    Refused(String),
    /// Durable state failed.
    #[error(transparent)]
    Storage(#[from] storage::StorageError),
    /// Certificates or keys are of no use.
    #[error("TLS: {0}")]
    Tls(#[from] net::tls::TlsError),
    /// The certificate or key that the configuration names is of no use.
    #[error("{place}: {source}")]
    Certificate {
        /// The file, or both.
        place: String,
        /// Why.
        source: net::tls::TlsError,
    },
    /// The authoritative server did not start.
    #[error("dns: {0}")]
    Dns(dns_server::authoritative::ServerError),
    /// The resolver did not start.
    #[error("resolver: {0}")]
    Resolver(dns_server::resolver::StartError),
    /// A user's account could not be changed.
    #[error(transparent)]
    Account(#[from] mail_server::accounts::AccountError),
    /// No DKIM key could be made.
    #[error(transparent)]
    NoDkim(#[from] mail_server::authentication::DkimKeyError),
    /// A DKIM key is of no use.
    #[error("{}: {source}", file.display())]
    Dkim {
        /// Its file.
        file: PathBuf,
        /// Why.
        source: mail_server::authentication::DkimKeyError,
    },
    /// SMTP cannot work so.
    #[error(transparent)]
    Smtp(#[from] mail_server::smtp::PrepareError),
    /// The tracker cannot work so.
    #[error(transparent)]
    Tracker(bittorrent_node::tracker::ConfigError),
    /// Remote control of torrents cannot work so.
    #[error(transparent)]
    Rpc(bittorrent_node::rpc::StandingError),
    /// A service could not listen.
    #[error(transparent)]
    Listen(#[from] net::ListenError),
    /// What is published cannot be.
    #[error(transparent)]
    Torrents(#[from] bittorrent_node::publish::PrepareError),
    /// The system failed us.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl From<dns_server::authoritative::ServerError> for HostError {
    fn from(error: dns_server::authoritative::ServerError) -> Self {
        match error {
            dns_server::authoritative::ServerError::Listen(error) => Self::Listen(error),
            error => Self::Dns(error),
        }
    }
}

impl From<dns_server::resolver::StartError> for HostError {
    fn from(error: dns_server::resolver::StartError) -> Self {
        match error {
            dns_server::resolver::StartError::Listen(error) => Self::Listen(error),
            error @ dns_server::resolver::StartError::Config(_) => Self::Resolver(error),
        }
    }
}

impl From<bittorrent_node::rpc::StandingError> for HostError {
    fn from(error: bittorrent_node::rpc::StandingError) -> Self {
        use bittorrent_node::rpc::{RpcError, StandingError};
        match error {
            StandingError::Rpc(RpcError::Listen(error)) => Self::Listen(error),
            error => Self::Rpc(error),
        }
    }
}

impl From<bittorrent_node::rpc::RpcError> for HostError {
    fn from(error: bittorrent_node::rpc::RpcError) -> Self {
        bittorrent_node::rpc::StandingError::Rpc(error).into()
    }
}

impl From<bittorrent_node::tracker::TrackerError> for HostError {
    fn from(error: bittorrent_node::tracker::TrackerError) -> Self {
        match error {
            bittorrent_node::tracker::TrackerError::Listen(error) => Self::Listen(error),
            bittorrent_node::tracker::TrackerError::Config(error) => Self::Tracker(error),
        }
    }
}
