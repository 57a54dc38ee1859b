//! Setting a domain up: its folder, configuration, keys, zone and first users.
//! The configuration is written last, so that a set-up that was cut off begins
//! again.

use crate::ports::Ports;
use crate::{Configuration, HostError, certificate, zone};
use mail_server::authentication::{Algorithm, generate_dkim};
use net::Network;
use rand::RngExt;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use storage::files;

/// The domain that `utopia up` makes when none is configured.
const LOOPBACK_DOMAIN: &str = "utopia.test";
/// The folder in the data folder of which everything is published.
const TORRENTS_FOLDER: &str = "torrents";
/// Letters and digits that cannot be mistaken for each other.
const PASSWORD_LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// Groups of four letters in a password: 79 bits.
const PASSWORD_GROUPS: usize = 4;

/// A domain as it was set up.
#[derive(Debug, Clone)]
pub struct Provisioned {
    /// The domain.
    pub domain: String,
    /// Users and their passwords, told this once.
    pub users: Vec<(String, String)>,
    /// Services that do not have their standard port: name, standard, chosen.
    pub moved: Vec<(&'static str, u16, u16)>,
    /// The name servers the registrar must know, with their addresses (glue).
    pub name_servers: Vec<(String, Vec<IpAddr>)>,
    /// The configuration that was written.
    pub configuration_file: PathBuf,
}

/// Where a data folder's configuration is unless named otherwise.
pub fn configuration_file(folder: &Path) -> PathBuf {
    folder.join("utopia.toml")
}

/// A new password that a person can type.
pub fn new_password() -> String {
    let mut random = rand::rng();
    let mut group = || -> String {
        (0..4).map(|_| PASSWORD_LETTERS[random.random_range(0..PASSWORD_LETTERS.len())] as char).collect()
    };
    (0..PASSWORD_GROUPS).map(|_| group()).collect::<Vec<_>>().join("-")
}

/// Sets `utopia.test` up on a loopback address, 127.0.0.1 and ::1 unless given,
/// with users alice and bob.
///
/// # Errors
/// When no ports can be had or the folder cannot be written.
pub async fn provision_loopback(folder: &Path, address: Option<IpAddr>) -> Result<Provisioned, HostError> {
    let network = Network::new();
    let mut addresses = vec![address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))];
    let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
    if address.is_none() && network.datagrams(SocketAddr::new(v6, 0)).is_ok() {
        addresses.push(v6);
    }
    let ports = Ports::choose(&network, &addresses)?;
    let plan = Plan {
        domain: LOOPBACK_DOMAIN,
        public: &addresses,
        listen: &addresses,
        local: &addresses,
        public_name: None,
        ports,
        users: &["alice", "bob"],
    };
    provision(&plan, folder).await
}

/// Sets a real domain up on one host with the given public addresses: standard
/// ports, the resolver on loopback only.
///
/// # Errors
/// When there is a domain in the folder already, or it cannot be written.
pub async fn provision_domain(
    domain: &str,
    addresses: &[IpAddr],
    folder: &Path,
) -> Result<Provisioned, HostError> {
    let local = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
    let plan = Plan {
        domain,
        public: addresses,
        listen: addresses,
        local: &local,
        public_name: Some(domain),
        ports: Ports::standard(),
        users: &["postmaster"],
    };
    provision(&plan, folder).await
}

/// What is to be set up.
struct Plan<'a> {
    domain: &'a str,
    /// The addresses the zone tells.
    public: &'a [IpAddr],
    /// The addresses the services listen on.
    listen: &'a [IpAddr],
    /// The addresses the resolver and the status page listen on.
    local: &'a [IpAddr],
    /// The name by which others reach it; without one they take the addresses.
    public_name: Option<&'a str>,
    ports: Ports,
    users: &'a [&'a str],
}

async fn provision(plan: &Plan<'_>, folder: &Path) -> Result<Provisioned, HostError> {
    let file = configuration_file(folder);
    if file.exists() {
        return Err(HostError::Exists { file });
    }
    files::create_folder(folder)?;
    let dkim = dkim_keys(folder)?;
    certificate::authority(folder)?;
    let secret = rand::random::<[u8; 32]>();
    let secret = base64(&secret);
    files::write_atomically(&folder.join("secrets/update.tsig"), secret.as_bytes(), files::SECRET)?;
    let zone = zone::text(&zone::Plan {
        domain: plan.domain,
        addresses: plan.public,
        ports: plan.ports,
        dkim: &dkim,
    });
    files::write_atomically(&folder.join(zone_file(plan.domain)), zone.as_bytes(), files::PUBLIC)?;

    files::create_folder(&folder.join(TORRENTS_FOLDER))?;

    let text = configuration_text(plan);
    // What is written must be what is read.
    let configuration = Configuration::parse(&text, &file)?;
    let users = make_users(&configuration, plan, folder).await?;
    files::write_atomically(&file, text.as_bytes(), files::PUBLIC)?;
    Ok(Provisioned {
        domain: plan.domain.to_owned(),
        users,
        moved: plan.ports.moved().collect(),
        name_servers: ["ns1", "ns2"]
            .map(|name| (format!("{name}.{}", plan.domain), plan.public.to_vec()))
            .to_vec(),
        configuration_file: file,
    })
}

/// Makes the users, or gives new passwords to those a set-up made that was cut
/// off before it could tell them.
async fn make_users(
    configuration: &Configuration,
    plan: &Plan<'_>,
    folder: &Path,
) -> Result<Vec<(String, String)>, HostError> {
    let storage = storage::Storage::open(&configuration.storage, folder, event::Reporter::silent())?;
    let accounts = crate::shared::accounts(configuration, storage);
    let known = accounts.list().await?;
    let mut users = Vec::new();
    for user in plan.users {
        let (address, password) = (format!("{user}@{}", plan.domain), new_password());
        if known.iter().any(|account| account.address == address) {
            accounts.set_password(&address, &password).await?;
        } else {
            accounts.create(&address, &password).await?;
        }
        users.push((address, password));
    }
    Ok(users)
}

/// The DKIM keys: made once, their records told again when the key is there.
fn dkim_keys(folder: &Path) -> Result<Vec<(String, String)>, HostError> {
    let mut records = Vec::new();
    for (selector, algorithm) in [("rsa", Algorithm::Rsa), ("ed25519", Algorithm::Ed25519)] {
        let (private, record) = generate_dkim(algorithm)?;
        let file = folder.join(format!("secrets/dkim-{selector}.pem"));
        files::write_atomically(&file, private.as_bytes(), files::SECRET)?;
        records.push((selector.to_owned(), record));
    }
    Ok(records)
}

fn zone_file(domain: &str) -> String {
    format!("zones/{domain}.zone")
}

fn base64(octets: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(octets)
}

/// The configuration as a person would write it.
fn configuration_text(plan: &Plan<'_>) -> String {
    let listen = |addresses: &[IpAddr], service: &str| {
        let port = plan.ports.of(service);
        let all: Vec<_> =
            addresses.iter().map(|address| format!("\"{}\"", SocketAddr::new(*address, port))).collect();
        format!("[{}]", all.join(", "))
    };
    let domain = plan.domain;
    let mut text = format!(
        "# The configuration of {domain}. Every key: `utopia config reference`.\n\
         # After a change: `utopia reload`. Names of files are taken from this folder.\n\
         version = 1\n\
         domain = \"{domain}\"\n\n"
    );
    let _ = write!(
        text,
        "[dns]\nlisten = {}\n\n\
         [[dns.zones]]\nname = \"{domain}\"\nfile = \"{}\"\nallow_update = [\"update\"]\nallow_transfer = [\"key:update\"]\n\n\
         # For nsupdate and secondaries: key \"update\", secret in this file.\n\
         [[dns.keys]]\nname = \"update\"\nsecret_file = \"secrets/update.tsig\"\n\n",
        listen(plan.listen, "dns"),
        zone_file(domain),
    );
    let _ = write!(
        text,
        "[resolver]\nlisten = {}\n\n[resolver.stub_zones]\n\"{domain}\" = {}\n\n",
        listen(plan.local, "resolver"),
        listen(&plan.listen[..1], "dns"),
    );
    let _ = write!(
        text,
        "[smtp]\nlisten = {}\nlisten_submission = {}\nlisten_submissions = {}\n\n",
        listen(plan.listen, "smtp"),
        listen(plan.listen, "submission"),
        listen(plan.listen, "submissions"),
    );
    for selector in ["rsa", "ed25519"] {
        let _ = write!(
            text,
            "[[smtp.dkim]]\nselector = \"{selector}\"\nkey_file = \"secrets/dkim-{selector}.pem\"\n\n"
        );
    }
    let _ = write!(
        text,
        "[imap]\nlisten = {}\nlisten_tls = {}\n\n",
        listen(plan.listen, "imap"),
        listen(plan.listen, "imaps"),
    );
    let tracker = listen(plan.listen, "tracker");
    let _ = write!(
        text,
        "# Serves the torrents that are published here.\n\
         [tracker]\nudp_listen = {tracker}\nhttp_listen = {tracker}\n\n\
         [torrents]\nlisten = {}\n",
        listen(plan.listen, "torrents"),
    );
    if let Some(name) = plan.public_name {
        let _ = writeln!(text, "public_name = \"{name}\"");
    }
    let _ = write!(
        text,
        "\n# Each file or folder in it is given away, by BitTorrent and over HTTP.\n\
         [[torrents.publish]]\npath = \"{TORRENTS_FOLDER}\"\n\n\
         [http]\nlisten = {}\n",
        listen(plan.local, "http"),
    );
    // Everybody sees what is published, and not the console.
    let public: Vec<_> =
        plan.listen.iter().filter(|address| !plan.local.contains(address)).copied().collect();
    if !public.is_empty() {
        let _ = writeln!(text, "listen_public = {}", listen(&public, "http"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_differ_and_can_be_typed() {
        let (a, b) = (new_password(), new_password());
        assert_ne!(a, b);
        assert_eq!(a.len(), 19);
        assert!(a.bytes().all(|letter| letter == b'-' || PASSWORD_LETTERS.contains(&letter)));
    }

    #[tokio::test]
    async fn a_domain_is_set_up_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 53));
        let made = provision_domain("example.org", &[address], folder.path()).await.expect("set up");
        assert_eq!(made.name_servers[0], ("ns1.example.org".to_owned(), vec![address]));
        assert_eq!(made.users[0].0, "postmaster@example.org");
        let configuration = Configuration::read(&made.configuration_file).expect("a configuration");
        assert_eq!(configuration.domain, "example.org");
        assert_eq!(configuration.torrents.public_name.as_deref(), Some("example.org"));
        assert_eq!(configuration.http.listen_public, [SocketAddr::new(address, 80)]);
        assert!(folder.path().join("torrents").is_dir());
        let again = provision_domain("example.org", &[address], folder.path()).await;
        assert!(matches!(again, Err(HostError::Exists { .. })));

        let zone = std::fs::read_to_string(folder.path().join("zones/example.org.zone")).expect("the zone");
        let apex = dns::master::name("example.org").expect("a name");
        assert_eq!(dns::master::check(&zone, &apex), Vec::new(), "{zone}");
        for record in ["_submissions._tcp IN SRV 0 1 ", "_imaps._tcp IN SRV 0 1 ", "@ IN CAA 0 issue "] {
            assert!(zone.contains(record), "{record} is missing in {zone}");
        }
    }
}
