//! TLS settings for servers and clients (rustls with ring), and a local CA.
//!
//! Keys and certificates are PEM text here (RFC 7468); who keeps them in files
//! does so elsewhere. TLS 1.2 and 1.3 only.

mod authority;
mod certificate;
mod opportunistic;
mod system;
pub(crate) mod words;

pub use authority::{Authority, Issued};
pub use certificate::{CertificateHandle, Certified};
pub use system::{client_config_of_system, system_roots_file};
// So that whoever holds settings need not depend on rustls itself.
pub use rustls::{ClientConfig, ServerConfig};

use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// Why a certificate, key or setting is of no use.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The text holds no certificate.
    #[error("it holds no certificate, a block that begins with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// The text holds no private key.
    #[error("it holds no private key, a block that begins with -----BEGIN PRIVATE KEY-----")]
    NoKey,
    /// The text is no PEM.
    #[error("the {what} cannot be read as PEM: {reason}")]
    Pem {
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A name is neither a host name nor an IP address, or the CA could not sign.
    #[error("the certificate cannot be issued: {0}")]
    Issue(#[from] rcgen::Error),
    /// Certificate and key do not fit together, or are of a kind TLS cannot use.
    #[error("{}", words::of(.0))]
    Unusable(#[from] rustls::Error),
}

/// One of the two texts a server needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The certificate chain.
    Certificate,
    /// The private key.
    Key,
}

impl TlsError {
    /// The text that is to blame, where it is only one.
    pub fn part(&self) -> Option<Part> {
        match self {
            Self::NoCertificate | Self::Pem { what: CERTIFICATE, .. } => Some(Part::Certificate),
            Self::NoKey | Self::Pem { what: KEY, .. } => Some(Part::Key),
            _ => None,
        }
    }
}

/// What cannot be read as PEM.
const CERTIFICATE: &str = "certificate";
const KEY: &str = "private key";

/// Settings of a server with a certificate chain (its own first) and its key.
pub fn server_config(cert_chain_pem: &str, key_pem: &str) -> Result<Arc<ServerConfig>, TlsError> {
    server_config_reloadable(cert_chain_pem, key_pem).map(|(config, _)| config)
}

/// Settings of a server whose certificate may be replaced while it runs.
pub fn server_config_reloadable(
    cert_chain_pem: &str,
    key_pem: &str,
) -> Result<(Arc<ServerConfig>, CertificateHandle), TlsError> {
    let handle = CertificateHandle::new(cert_chain_pem, key_pem)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(handle.resolver());
    config.ticketer = ring::Ticketer::new()?;
    Ok((Arc::new(config), handle))
}

/// Settings of a client that encrypts with whoever answers: MTAs among each
/// other, where a certificate proves nothing without DANE or MTA-STS (RFC 7435).
pub fn client_config_opportunistic() -> Result<Arc<ClientConfig>, TlsError> {
    let verifier = Arc::new(opportunistic::AnyCertificate::new(provider()));
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Settings of a client that trusts the given roots only.
pub fn client_config_verified(roots_pem: &str) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    // A bundle of a system may hold one that is too odd to be read.
    if let (0, _) = roots.add_parsable_certificates(certificates(roots_pem)?) {
        return Err(TlsError::NoCertificate);
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::Pem { what: CERTIFICATE, reason: error.to_string() })?;
    if chain.is_empty() { Err(TlsError::NoCertificate) } else { Ok(chain) }
}

fn private_key(text: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey,
        error => TlsError::Pem { what: KEY, reason: error.to_string() },
    })
}
