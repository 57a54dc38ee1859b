//! The host's certificate: the one the configuration names, or one that the
//! local CA in the data folder issues and renews in time.

use crate::{Configuration, HostError};
use net::tls::{self, Authority, CertificateHandle, Certified, Part};
use rustls::ServerConfig;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use storage::files;

/// Certificates are renewed when they end within this time.
const RENEW_BEFORE: Duration = Duration::from_hours(30 * 24);
/// The largest PEM file, in octets.
const PEM_OCTETS_MAX: u64 = 1024 * 1024;
/// The comment above a certificate of our own that says when it ends, in seconds
/// since 1970, and for which names it is.
const ENDS: &str = "# ends ";

/// Where the local CA's certificate is, for those who shall trust it.
pub fn ca_file(folder: &Path) -> std::path::PathBuf {
    folder.join("tls/ca.pem")
}

/// The certificate of a running host's servers, and the way to another one.
pub(crate) struct Certificate {
    /// The settings all servers share.
    pub(crate) config: Arc<ServerConfig>,
    handle: CertificateHandle,
}

impl Certificate {
    /// The certificate of a configuration.
    pub(crate) fn of(configuration: &Configuration, folder: &Path) -> Result<Self, HostError> {
        let (chain, key) = pems(configuration, folder)?;
        let (config, handle) = tls::server_config_reloadable(&chain, &key)?;
        Ok(Self { config, handle })
    }

    /// Reads the certificate of a configuration; where it is the local CA's it is
    /// renewed if it must be.
    ///
    /// # Errors
    /// When it cannot be read or used.
    pub(crate) fn read(configuration: &Configuration, folder: &Path) -> Result<Certified, HostError> {
        let (chain, key) = pems(configuration, folder)?;
        Ok(Certified::read(&chain, &key)?)
    }

    /// Shows it to connections that begin from here on.
    pub(crate) fn show(&self, certified: Certified) {
        self.handle.replace(certified);
    }
}

/// The certificate chain and the key of a configuration.
fn pems(configuration: &Configuration, folder: &Path) -> Result<(String, String), HostError> {
    match given(configuration)? {
        Some(given) => Ok(given),
        None => local(&names(configuration), folder),
    }
}

/// The certificate chain and the key that the configuration names, if it does.
///
/// # Errors
/// When one is not there or of no use; the error names the file.
pub(crate) fn given(configuration: &Configuration) -> Result<Option<(String, String)>, HostError> {
    let (Some(chain_file), Some(key_file)) =
        (&configuration.tls.certificate_file, &configuration.tls.key_file)
    else {
        return Ok(None);
    };
    let chain = required(chain_file, files::read_text(chain_file, PEM_OCTETS_MAX)?)?;
    let key = required(key_file, files::read_secret(key_file, PEM_OCTETS_MAX)?)?;
    match Certified::read(&chain, &key) {
        Ok(_) => Ok(Some((chain, key))),
        Err(source) => {
            let (chain, key) = (chain_file.display(), key_file.display());
            let place = match source.part() {
                Some(Part::Certificate) => chain.to_string(),
                Some(Part::Key) => key.to_string(),
                None => format!("{chain} and {key}"),
            };
            Err(HostError::Certificate { place, source })
        }
    }
}

/// The local CA of a data folder; made on first use.
pub(crate) fn authority(folder: &Path) -> Result<Authority, HostError> {
    let (cert_file, key_file) = (ca_file(folder), folder.join("secrets/ca-key.pem"));
    let files =
        (files::read_text(&cert_file, PEM_OCTETS_MAX)?, files::read_secret(&key_file, PEM_OCTETS_MAX)?);
    if let (Some(cert), Some(key)) = files {
        return Ok(Authority::load(&cert, &key)?);
    }
    let authority = Authority::create("Utopia local CA", SystemTime::now())?;
    // The key first: a certificate without its key would be of no use.
    files::write_atomically(&key_file, authority.key_pem().as_bytes(), files::SECRET)?;
    files::write_atomically(&cert_file, authority.cert_pem().as_bytes(), files::PUBLIC)?;
    Ok(authority)
}

/// The names and addresses under which mail programs reach the host.
fn names(configuration: &Configuration) -> Vec<String> {
    let domain = &configuration.domain;
    let mail = configuration.smtp.hostname.clone().unwrap_or_else(|| format!("mail.{domain}"));
    let mut names = vec![mail, domain.clone()];
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    let smtp = configuration.smtp.endpoints().map(|(_, address)| address.ip());
    let imap = configuration.imap.endpoints().map(|(_, address)| address.ip());
    for address in smtp.chain(imap).filter(|address| !address.is_unspecified()) {
        let address = address.to_string();
        if !names.contains(&address) {
            names.push(address);
        }
    }
    names
}

/// The certificate and key that the local CA issued, renewed where it must be.
fn local(names: &[String], folder: &Path) -> Result<(String, String), HostError> {
    let (chain_file, key_file) = (folder.join("tls/certificate.pem"), folder.join("secrets/tls-key.pem"));
    let now = SystemTime::now();
    let files =
        (files::read_text(&chain_file, PEM_OCTETS_MAX)?, files::read_secret(&key_file, PEM_OCTETS_MAX)?);
    if let (Some(chain), Some(key)) = files
        && issued_for(&chain).is_some_and(|(ends, old)| ends > now + RENEW_BEFORE && old == names.join(" "))
        // After a crash between the two writes they may not fit together.
        && tls::server_config(&chain, &key).is_ok()
    {
        return Ok((chain, key));
    }
    let borrowed: Vec<_> = names.iter().map(String::as_str).collect();
    let issued = authority(folder)?.issue(&borrowed, now)?;
    let ends = issued.not_after.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let chain = format!("{ENDS}{ends} for {}\n{}", names.join(" "), issued.cert_chain_pem);
    files::write_atomically(&key_file, issued.key_pem.as_bytes(), files::SECRET)?;
    files::write_atomically(&chain_file, chain.as_bytes(), files::PUBLIC)?;
    Ok((chain, issued.key_pem))
}

/// When a certificate of our own ends, and the names it is for.
fn issued_for(chain: &str) -> Option<(SystemTime, &str)> {
    let (seconds, names) = chain.lines().next()?.strip_prefix(ENDS)?.split_once(" for ")?;
    Some((UNIX_EPOCH.checked_add(Duration::from_secs(seconds.parse().ok()?))?, names))
}

fn required(file: &Path, text: Option<String>) -> Result<String, HostError> {
    text.ok_or_else(|| HostError::NoFile { file: file.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn for_names(domain: &str) -> Vec<String> {
        names(&Configuration::new(domain))
    }

    #[test]
    fn a_certificate_is_kept_until_it_is_about_to_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = local(&for_names("utopia.test"), folder.path()).expect("a certificate");
        assert_eq!(local(&for_names("utopia.test"), folder.path()).expect("a certificate"), first);

        let file = folder.path().join("tls/certificate.pem");
        let (_, rest) = first.0.split_once('\n').expect("a first line");
        let soon = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() + 3600;
        files::write_atomically(
            &file,
            format!("{ENDS}{soon} for {}\n{rest}", for_names("utopia.test").join(" ")).as_bytes(),
            files::PUBLIC,
        )
        .expect("written");
        let renewed = local(&for_names("utopia.test"), folder.path()).expect("a certificate");
        assert_ne!(renewed.0, first.0);
        let authority = authority(folder.path()).expect("the CA");
        assert!(renewed.0.contains(authority.cert_pem().trim()), "the CA stays");

        let other = local(&for_names("example.org"), folder.path()).expect("a certificate");
        assert_ne!(other.0, renewed.0, "other names, another certificate");
    }

    /// Whether a client that trusts `authority` only accepts what the servers show now.
    async fn is_shown(certificate: &Certificate, authority: &Authority) -> bool {
        let network = net::Network::new();
        let options = net::ListenOptions::at("127.0.0.1:0".parse().expect("an address"));
        let listener = network.listen(&options).expect("a listener");
        let address = listener.local_addr().expect("its address");
        let client = tls::client_config_verified(authority.cert_pem()).expect("settings");
        let (accepted, connected) = tokio::join!(
            async { listener.accept().await?.accept_tls(certificate.config.clone()).await },
            async {
                let stream = network.connect(address, Duration::from_secs(20)).await?;
                stream.connect_tls(client, "localhost").await
            }
        );
        accepted.is_ok() && connected.is_ok()
    }

    #[tokio::test]
    async fn running_servers_show_the_certificate_of_the_newest_configuration() {
        let folder = tempfile::tempdir().expect("a folder");
        let own: Configuration =
            toml::from_str("version = 1\ndomain = \"utopia.test\"").expect("a configuration");
        let certificate = Certificate::of(&own, folder.path()).expect("a certificate");
        let local = authority(folder.path()).expect("the CA");
        assert!(is_shown(&certificate, &local).await);

        let public = Authority::create("a public CA", SystemTime::now()).expect("a CA");
        let issued = public.issue(&["localhost"], SystemTime::now()).expect("a certificate");
        let placed = ["chain.pem", "key.pem"].map(|name| folder.path().join(name));
        std::fs::write(&placed[0], &issued.cert_chain_pem).expect("written");
        let mut bought = own.clone();
        [bought.tls.certificate_file, bought.tls.key_file] = placed.clone().map(Some);
        Certificate::read(&bought, folder.path()).expect_err("there is no key file yet");
        assert!(is_shown(&certificate, &local).await, "the one before stays");
        files::write_atomically(&placed[1], issued.key_pem.as_bytes(), files::PUBLIC).expect("written");
        let refused = Certificate::read(&bought, folder.path()).expect_err("others may read the key");
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
        files::write_atomically(&placed[1], issued.key_pem.as_bytes(), files::SECRET).expect("written");
        certificate.show(Certificate::read(&bought, folder.path()).expect("a certificate"));
        assert!(is_shown(&certificate, &public).await);
        assert!(!is_shown(&certificate, &local).await);
    }

    #[test]
    fn keys_are_their_owners_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        local(&for_names("utopia.test"), folder.path()).expect("a certificate");
        for file in ["secrets/ca-key.pem", "secrets/tls-key.pem"] {
            let mode = std::fs::metadata(folder.path().join(file)).expect("the file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }
}
