//! A local CA: makes itself once, then issues certificates for the services of
//! a host.

use super::TlsError;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the CA is valid.
const AUTHORITY_DAYS: u32 = 3_652;
/// How long a server's certificate is valid.
const SERVER_DAYS: u32 = 365;

/// A local CA with its key (ECDSA P-256).
#[derive(Debug)]
pub struct Authority {
    cert_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key, as PEM text.
#[derive(Clone)]
pub struct Issued {
    /// The server's certificate, then the CA's.
    pub cert_chain_pem: String,
    /// The key (PKCS #8): a secret.
    pub key_pem: String,
    /// When the certificate ends to be valid.
    pub not_after: SystemTime,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("cert_chain_pem", &self.cert_chain_pem).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes a CA called `name`, valid for ten years from `now` on.
    pub fn create(name: &str, now: SystemTime) -> Result<Self, TlsError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = params(name, now, AUTHORITY_DAYS);
        // It signs servers only, no further CA.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let cert_pem = params.self_signed(&key)?.pem();
        Ok(Self { cert_pem, issuer: Issuer::new(params, key) })
    }

    /// A CA made earlier, from its certificate and key.
    pub fn load(cert_pem: &str, key_pem: &str) -> Result<Self, TlsError> {
        let key = KeyPair::from_pem(key_pem)
            .map_err(|error| TlsError::Pem { what: "CA's key", reason: error.to_string() })?;
        let issuer = Issuer::from_ca_cert_pem(cert_pem, key)
            .map_err(|error| TlsError::Pem { what: "CA's certificate", reason: error.to_string() })?;
        Ok(Self { cert_pem: cert_pem.to_owned(), issuer })
    }

    /// The CA's certificate, for those who shall trust it.
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// The CA's key: a secret.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A certificate of a server for host names and IP addresses (RFC 6125),
    /// valid for a year from `now` on.
    pub fn issue(&self, names: &[&str], now: SystemTime) -> Result<Issued, TlsError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = params(names.first().copied().unwrap_or("localhost"), now, SERVER_DAYS);
        for name in names {
            params.subject_alt_names.push(match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.trim_end_matches('.').try_into()?),
            });
        }
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let cert = params.signed_by(&key, &self.issuer)?;
        Ok(Issued {
            cert_chain_pem: format!("{}{}", cert.pem(), self.cert_pem),
            key_pem: key.serialize_pem(),
            not_after: now + DAY * SERVER_DAYS,
        })
    }
}

/// What both kinds have in common. Validity begins a day early, for peers whose
/// clock is behind.
fn params(name: &str, now: SystemTime, days: u32) -> CertificateParams {
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = rcgen::date_time_ymd(1970, 1, 1) + since_epoch;
    let mut params = CertificateParams::default();
    params.not_before = now - DAY;
    params.not_after = now + DAY * days;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
