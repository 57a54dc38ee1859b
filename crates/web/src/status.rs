//! What runs where, as the page, the command line and scripts read it.

use bittorrent_node::octets;
use bittorrent_node::publish::Listing;
use bittorrent_node::tracker::Stats as TrackerStats;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;

/// What runs where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The domain, e.g. `utopia.test`; absent for a whole lab.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// All services, each once for each address.
    pub services: Vec<Service>,
    /// Lines to copy into a terminal.
    #[serde(default)]
    pub try_lines: Vec<TryLine>,
    /// What is published as torrents, where anything may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torrents: Option<TorrentsStatus>,
    /// What the tracker has done, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracker: Option<TrackerStats>,
}

/// What is published as torrents, all together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TorrentsStatus {
    /// Torrents.
    pub published: usize,
    /// Files that are being read, or wait for it, before they are published.
    pub reading: usize,
    /// Files that are left out.
    pub left_out: usize,
    /// Octets of all torrents.
    pub octets: u64,
    /// Connections to peers.
    pub connections: usize,
    /// Octets sent to peers, in earlier runs too.
    pub sent_octets: u64,
    /// Octets sent to peers a second.
    pub sent_per_second: u64,
}

impl TorrentsStatus {
    /// Of what is published now.
    pub fn of(listing: &Listing) -> Self {
        let mut status = Self {
            published: listing.torrents.len(),
            reading: listing.reading.len(),
            left_out: listing.left_out.len(),
            ..Self::default()
        };
        for torrent in &listing.torrents {
            let progress = torrent.progress();
            status.octets += torrent.published.octets;
            status.connections += progress.connections;
            status.sent_octets += progress.sent_octets;
            status.sent_per_second += progress.sent_per_second as u64;
        }
        status
    }
}

impl fmt::Display for TorrentsStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} published, {}", self.published, octets(self.octets))?;
        if self.reading > 0 {
            write!(f, "; {} being read", self.reading)?;
        }
        if self.left_out > 0 {
            write!(f, "; {} left out", self.left_out)?;
        }
        write!(f, "; {} peers, sending {}/s", self.connections, octets(self.sent_per_second))
    }
}

/// One service on one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// `dns`, `resolver`, `smtp`, `submission`, `submissions`, `imap`, `imaps`,
    /// `tracker`, `torrents`, `files` or `http`.
    pub name: String,
    /// `udp` or `tcp`.
    pub transport: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// The host it runs on, in the lab.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// A line to copy into a terminal, or a setting to copy into a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TryLine {
    /// What it does.
    pub what: String,
    /// The line.
    pub line: String,
}

/// A service of one host, with all its transports and addresses: what a person
/// reads as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'a> {
    /// The host it runs on, in the lab.
    pub host: Option<&'a str>,
    /// The service's name.
    pub name: &'a str,
    /// Its transports, e.g. `udp, tcp`.
    pub transports: String,
    /// Where it listens, e.g. `127.0.0.1:53, [::1]:53`.
    pub addresses: String,
}

impl Status {
    /// The services, one row each, in the order they were told.
    pub fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<Row<'_>> = Vec::new();
        for service in &self.services {
            let host = service.host.as_deref();
            let address = service.address.to_string();
            match rows.iter_mut().find(|row| row.name == service.name && row.host == host) {
                Some(row) => {
                    append(&mut row.transports, &service.transport);
                    append(&mut row.addresses, &address);
                }
                None => rows.push(Row {
                    host,
                    name: &service.name,
                    transports: service.transport.clone(),
                    addresses: address,
                }),
            }
        }
        rows
    }
}

/// Appends to a list unless it is there.
fn append(list: &mut String, item: &str) {
    if !list.split(", ").any(|there| there == item) {
        list.push_str(", ");
        list.push_str(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_on_several_transports_and_addresses_is_one_row() {
        let service = |name: &str, transport: &str, address: &str| Service {
            name: name.to_owned(),
            transport: transport.to_owned(),
            address: address.parse().expect("an address"),
            host: None,
        };
        let status = Status {
            services: vec![
                service("dns", "udp", "127.0.0.1:53"),
                service("dns", "tcp", "127.0.0.1:53"),
                service("dns", "udp", "[::1]:53"),
                service("smtp", "tcp", "127.0.0.1:25"),
            ],
            ..Status::default()
        };
        let rows = status.rows();
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (rows[0].transports.as_str(), rows[0].addresses.as_str()),
            ("udp, tcp", "127.0.0.1:53, [::1]:53")
        );
    }
}
