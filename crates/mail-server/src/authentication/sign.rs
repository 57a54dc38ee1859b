//! DKIM signing (RFC 6376, RFC 8463) and the keys for it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use mail_auth::common::crypto::{Ed25519Key, RsaKey, Sha256};
use mail_auth::common::headers::HeaderWriter as _;
use mail_auth::dkim::generate::DkimKeyPair;
use mail_auth::dkim::{DkimSigner as Signer, Done};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::{self, PemObject as _};

/// Fields that are signed where they are there (RFC 6376 section 5.4.1).
const SIGNED_FIELDS: [&str; 16] = [
    "From",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "Reply-To",
    "Sender",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
];

/// Bits of a new RSA key; more does not fit into one UDP answer everywhere.
const RSA_BITS: usize = 2_048;

/// The kind of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// rsa-sha256, which everybody verifies.
    Rsa,
    /// ed25519-sha256 (RFC 8463).
    Ed25519,
}

/// A private key with the names it is published under.
#[derive(Clone)]
pub struct DkimKey {
    /// The signing domain.
    pub domain: String,
    /// The selector: the key is published at `selector._domainkey.domain`.
    pub selector: String,
    /// The private key in PEM.
    pub private_pem: String,
}

impl std::fmt::Debug for DkimKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DkimKey({}._domainkey.{})", self.selector, self.domain)
    }
}

/// Why a key cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DkimKeyError {
    /// It is no private key in PEM.
    #[error("the DKIM key of selector {selector} for {domain} cannot be read: {reason}")]
    Unreadable {
        /// The signing domain.
        domain: String,
        /// The selector.
        selector: String,
        /// Why.
        reason: String,
    },
    /// A key could not be made.
    #[error("no DKIM key could be made: {0}")]
    NotMade(String),
}

/// Makes a key: the private key in PEM, and the text of the TXT record at
/// `selector._domainkey.domain`. RSA takes a moment.
pub fn generate_dkim(algorithm: Algorithm) -> Result<(String, String), DkimKeyError> {
    let failed = |error: mail_auth::Error| DkimKeyError::NotMade(error.to_string());
    match algorithm {
        Algorithm::Rsa => {
            let pair = DkimKeyPair::generate_rsa(RSA_BITS).map_err(failed)?;
            let public = subject_public_key_info(pair.public_key());
            let record = format!("v=DKIM1; k=rsa; p={}", BASE64.encode(public));
            Ok((pem("RSA PRIVATE KEY", pair.private_key()), record))
        }
        Algorithm::Ed25519 => {
            let pair = DkimKeyPair::generate_ed25519().map_err(failed)?;
            let record = format!("v=DKIM1; k=ed25519; p={}", BASE64.encode(pair.public_key()));
            Ok((pem("PRIVATE KEY", pair.private_key()), record))
        }
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    let encoded = BASE64.encode(der);
    for line in encoded.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text + "-----END " + label + "-----\n"
}

/// Wraps an RSAPublicKey, as verifiers expect it in the record (RFC 6376 section
/// 3.6.1 with RFC 5280 section 4.1).
fn subject_public_key_info(rsa_public_key: &[u8]) -> Vec<u8> {
    // AlgorithmIdentifier: rsaEncryption, NULL.
    const ALGORITHM: [u8; 15] =
        [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let bits = der(0x03, &[&[0], rsa_public_key].concat());
    der(0x30, &[&ALGORITHM[..], &bits].concat())
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match length {
        0..128 => out.push(length as u8),
        128..256 => out.extend([0x81, length as u8]),
        _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend_from_slice(content);
    out
}

enum Key {
    Rsa(Signer<RsaKey<Sha256>, Done>),
    Ed25519(Signer<Ed25519Key, Done>),
}

/// Signs what users of one or more domains send.
#[derive(Default)]
pub struct DkimSigner {
    keys: Vec<(String, Key)>,
}

impl DkimSigner {
    /// A signer with these keys; a domain may have several, each of which signs.
    pub fn new(keys: &[DkimKey]) -> Result<Self, DkimKeyError> {
        let mut signer = Self::default();
        for key in keys {
            signer.add(key)?;
        }
        Ok(signer)
    }

    /// Signs with one more key.
    pub fn add(&mut self, key: &DkimKey) -> Result<(), DkimKeyError> {
        self.keys.push((key.domain.to_lowercase(), load(key)?));
        Ok(())
    }

    /// The DKIM-Signature fields for a message of an author at `domain`; empty
    /// where there is no key for it.
    pub fn sign(&self, domain: &str, message: &[u8]) -> Vec<u8> {
        let mut fields = Vec::new();
        for (_, key) in self.keys.iter().filter(|(key_domain, _)| key_domain == domain) {
            let signature = match key {
                Key::Rsa(signer) => signer.sign(message),
                Key::Ed25519(signer) => signer.sign(message),
            };
            match signature {
                Ok(signature) => fields.extend_from_slice(signature.to_header().as_bytes()),
                Err(error) => tracing::warn!(domain, %error, "message not signed"),
            }
        }
        fields
    }
}

impl std::fmt::Debug for DkimSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(domain, _)| domain)).finish()
    }
}

fn load(key: &DkimKey) -> Result<Key, DkimKeyError> {
    let unreadable = |reason: String| DkimKeyError::Unreadable {
        domain: key.domain.clone(),
        selector: key.selector.clone(),
        reason,
    };
    let der = PrivateKeyDer::from_pem_slice(key.private_pem.as_bytes()).map_err(|error| {
        unreadable(match error {
            pem::Error::NoItemsFound => {
                "it holds no private key, a block that begins with -----BEGIN PRIVATE KEY----- or \
                 -----BEGIN RSA PRIVATE KEY-----"
                    .to_owned()
            }
            error => error.to_string(),
        })
    })?;
    if let PrivateKeyDer::Pkcs8(pkcs8) = &der
        && let Ok(ed25519) = Ed25519Key::from_pkcs8_maybe_unchecked_der(pkcs8.secret_pkcs8_der())
    {
        let signer =
            Signer::from_key(ed25519).domain(&key.domain).selector(&key.selector).headers(SIGNED_FIELDS);
        return Ok(Key::Ed25519(signer));
    }
    let rsa = RsaKey::<Sha256>::from_key_der(der).map_err(|error| unreadable(error.to_string()))?;
    Ok(Key::Rsa(Signer::from_key(rsa).domain(&key.domain).selector(&key.selector).headers(SIGNED_FIELDS)))
}
