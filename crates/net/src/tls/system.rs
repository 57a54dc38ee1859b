//! The certificates that the machine trusts.

use super::{ClientConfig, client_config_verified};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where systems keep them.
const PLACES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// The file with the certificates that the machine trusts, as PEM: the one that
/// `SSL_CERT_FILE` names, as for OpenSSL and curl, or where systems keep it; `None`
/// where it keeps none.
pub fn system_roots_file() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("SSL_CERT_FILE").filter(|named| !named.is_empty()) {
        return Some(named.into());
    }
    PLACES.iter().map(Path::new).find(|path| path.exists()).map(Path::to_owned)
}

/// Settings of a client that trusts whom the machine trusts; `None` where it trusts
/// nobody, or its file cannot be read.
pub fn client_config_of_system() -> Option<Arc<ClientConfig>> {
    let pem = std::fs::read_to_string(system_roots_file()?).ok()?;
    client_config_verified(&pem).ok()
}
