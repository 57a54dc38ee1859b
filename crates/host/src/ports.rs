//! Which ports to take: the standard ones where they may be had, others where
//! not. Chosen once, when a domain is set up, and written into the
//! configuration, so that a later start finds everything where it was.

use crate::HostError;
use net::Network;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// How many ports after the second choice are tried.
const TRIES_MAX: u16 = 100;

/// A service's port: the standard one, and where to look when it is closed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// The service's name.
    pub(crate) service: &'static str,
    /// Its registered port.
    standard: u16,
    /// The first of the ports tried instead.
    otherwise: u16,
    /// Whether it is served over UDP as well.
    udp: bool,
}

/// All services and their ports.
pub(crate) const WANTED: [Wanted; 10] = [
    Wanted { service: "dns", standard: 53, otherwise: 5300, udp: true },
    Wanted { service: "resolver", standard: 53, otherwise: 5301, udp: true },
    Wanted { service: "smtp", standard: 25, otherwise: 2525, udp: false },
    Wanted { service: "submission", standard: 587, otherwise: 5870, udp: false },
    Wanted { service: "submissions", standard: 465, otherwise: 4650, udp: false },
    Wanted { service: "imap", standard: 143, otherwise: 1430, udp: false },
    Wanted { service: "imaps", standard: 993, otherwise: 9930, udp: false },
    Wanted { service: "tracker", standard: 6969, otherwise: 6970, udp: true },
    Wanted { service: "torrents", standard: 6881, otherwise: 6882, udp: true },
    Wanted { service: "http", standard: 80, otherwise: 8080, udp: false },
];

/// The port chosen for each service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports([u16; WANTED.len()]);

impl Ports {
    /// The registered ports of all services, whether open or not. The resolver
    /// shares its port with the authoritative server, so it needs an address of
    /// its own.
    pub fn standard() -> Self {
        Self(WANTED.map(|wanted| wanted.standard))
    }

    /// Finds a port for each service that can be had on all `addresses`.
    ///
    /// # Errors
    /// When none of a service's ports can be had.
    pub fn choose(network: &Network, addresses: &[IpAddr]) -> Result<Self, HostError> {
        let mut taken = BTreeSet::new();
        let mut ports = [0; WANTED.len()];
        for (port, wanted) in ports.iter_mut().zip(WANTED) {
            let candidates =
                std::iter::once(wanted.standard).chain(wanted.otherwise..wanted.otherwise + TRIES_MAX);
            *port = candidates
                .filter(|candidate| !taken.contains(candidate))
                .find(|candidate| {
                    addresses
                        .iter()
                        .all(|address| is_open(network, SocketAddr::new(*address, *candidate), wanted.udp))
                })
                .ok_or_else(|| HostError::NoPort {
                    service: wanted.service,
                    last: wanted.otherwise + TRIES_MAX - 1,
                })?;
            taken.insert(*port);
        }
        Ok(Self(ports))
    }

    /// The port of a service; 0 for an unknown one.
    pub fn of(&self, service: &str) -> u16 {
        WANTED.iter().position(|wanted| wanted.service == service).map_or(0, |index| self.0[index])
    }

    /// Services that do not have their standard port: name, standard, chosen.
    pub fn moved(&self) -> impl Iterator<Item = (&'static str, u16, u16)> {
        WANTED
            .iter()
            .zip(self.0)
            .filter(|(wanted, port)| wanted.standard != *port)
            .map(|(wanted, port)| (wanted.service, wanted.standard, port))
    }
}

/// Whether a socket can be bound there, now.
fn is_open(network: &Network, address: SocketAddr, udp: bool) -> bool {
    network.listen(&net::ListenOptions::at(address)).is_ok() && (!udp || network.datagrams(address).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[tokio::test]
    async fn a_taken_port_is_passed_over() {
        let network = Network::new();
        let address = IpAddr::V4(Ipv4Addr::new(127, 77, 1, 1));
        let first = Ports::choose(&network, &[address]).expect("ports");
        let held = net::ListenOptions::at(SocketAddr::new(address, first.of("smtp")));
        let listener = network.listen(&held).expect("a listener");
        let second = Ports::choose(&network, &[address]).expect("ports");
        assert_ne!(second.of("smtp"), first.of("smtp"));
        assert_eq!(second.of("imaps"), first.of("imaps"));
        assert!(second.moved().any(|(service, standard, _)| (service, standard) == ("smtp", 25)));
        drop(listener);
    }

    #[tokio::test]
    async fn two_services_never_share_a_port() {
        let ports =
            Ports::choose(&Network::new(), &[IpAddr::V4(Ipv4Addr::new(127, 77, 1, 2))]).expect("ports");
        assert_ne!(ports.of("dns"), ports.of("resolver"));
    }
}
