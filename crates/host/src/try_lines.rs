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
        add(
            "Settings for a mail program: IMAP",
            format!("{}, port {}, TLS, user bob@{domain}", address.ip(), address.port()),
        );
    }
    if let Some(address) = find("submissions") {
        add(
            "Settings for a mail program: SMTP",
            format!("{}, port {}, TLS, user bob@{domain}", address.ip(), address.port()),
        );
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
