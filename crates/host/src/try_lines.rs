//! Lines to copy into a terminal, made for what really runs here.

use crate::certificate::ca_file;
use std::net::SocketAddr;
use std::path::Path;
use web::{Service, TryLine};

/// Lines for the services of a domain.
pub(crate) fn of(domain: &str, services: &[Service], folder: &Path) -> Vec<TryLine> {
    let find =
        |name: &str| services.iter().find(|service| service.name == name).map(|service| service.address);
    let ca = std::path::absolute(ca_file(folder)).unwrap_or_else(|_| ca_file(folder));
    let mut lines = Vec::new();
    let mut add = |what: &str, line: String| lines.push(TryLine { what: what.to_owned(), line });
    let settings = |address: SocketAddr| {
        let (ip, port) = (address.ip(), address.port());
        format!("{ip}, port {port}, TLS, user bob@{domain}; trust the CA {}", ca.display())
    };
    if let Some(address) = find("dns") {
        add("Ask the authoritative server", format!("dig {} {domain} MX", at(address)));
    }
    if let Some(address) = find("resolver") {
        add("Ask the resolver", format!("dig {} mail.{domain}", at(address)));
    }
    if let Some(address) = find("submissions") {
        add(
            "Send mail as alice to bob",
            format!(
                "swaks --server {} --port {} --tls-on-connect --auth PLAIN --auth-user alice@{domain} --from alice@{domain} --to bob@{domain}",
                address.ip(),
                address.port()
            ),
        );
    }
    if let Some(address) = find("imaps") {
        add(
            "Read mail",
            format!(
                "curl --cacert {} --user bob@{domain} 'imaps://{address}/INBOX;MAILINDEX=1'",
                ca.display()
            ),
        );
        add("Settings for a mail program: IMAP", settings(address));
    }
    if let Some(address) = find("submissions") {
        add("Settings for a mail program: SMTP", settings(address));
    }
    if let Some(address) = find("files").or_else(|| find("http")).filter(|_| find("torrents").is_some()) {
        add("Published files and torrents", format!("http://{address}/torrents"));
    }
    if let Some(address) = find("http") {
        add("This page", format!("http://{address}/"));
    }
    lines
}

/// An address as dig wants it.
fn at(address: SocketAddr) -> String {
    if address.port() == 53 {
        format!("@{}", address.ip())
    } else {
        format!("@{} -p {}", address.ip(), address.port())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_mail_program_name_the_ca() {
        let service = |name: &str| Service {
            name: name.to_owned(),
            transport: "tcp".to_owned(),
            address: SocketAddr::from(([127, 0, 0, 1], 9930)),
            host: None,
        };
        let lines = of("utopia.test", &[service("imaps"), service("submissions")], Path::new("/data"));
        let settings: Vec<_> = lines.iter().filter(|line| line.what.starts_with("Settings")).collect();
        assert_eq!(settings.len(), 2);
        for line in settings {
            assert!(line.line.ends_with("; trust the CA /data/tls/ca.pem"), "{}", line.line);
        }
    }
}
