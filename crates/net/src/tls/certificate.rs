//! A server's certificate that may be replaced while the server runs.

use super::{TlsError, certificates, private_key, provider};
use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// Replaces the certificate of running servers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CertificateHandle(Arc<Current>);

/// What every new handshake is given.
#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl CertificateHandle {
    pub(super) fn new(cert_chain_pem: &str, key_pem: &str) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(Current(ArcSwap::from_pointee(certified(cert_chain_pem, key_pem)?)))))
    }

    pub(super) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        self.0.clone()
    }

    /// Gives another certificate chain (the server's own first) and its key to
    /// all handshakes that begin from here on; open connections stay.
    ///
    /// # Errors
    /// When they cannot be used; then the certificate stays.
    pub fn replace(&self, cert_chain_pem: &str, key_pem: &str) -> Result<(), TlsError> {
        self.0.0.store(Arc::new(certified(cert_chain_pem, key_pem)?));
        Ok(())
    }
}

/// Certificate and key, which must fit together.
fn certified(cert_chain_pem: &str, key_pem: &str) -> Result<CertifiedKey, TlsError> {
    Ok(CertifiedKey::from_der(certificates(cert_chain_pem)?, private_key(key_pem)?, &provider())?)
}
