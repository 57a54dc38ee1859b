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
        let Certified(certified) = Certified::read(cert_chain_pem, key_pem)?;
        Ok(Self(Arc::new(Current(ArcSwap::new(certified)))))
    }

    pub(super) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        self.0.clone()
    }

    /// Shows another certificate to all handshakes that begin from here on; open
    /// connections stay.
    pub fn replace(&self, certified: Certified) {
        self.0.0.store(certified.0);
    }
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Certified(Arc<CertifiedKey>);

impl Certified {
    /// Reads a certificate chain, the server's own first, and its key.
    ///
    /// # Errors
    /// When they cannot be used, or do not fit together.
    pub fn read(cert_chain_pem: &str, key_pem: &str) -> Result<Self, TlsError> {
        let (chain, key) = (certificates(cert_chain_pem)?, private_key(key_pem)?);
        Ok(Self(Arc::new(CertifiedKey::from_der(chain, key, &provider())?)))
    }
}
