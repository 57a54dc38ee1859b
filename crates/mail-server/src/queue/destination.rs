//! Where the mail of a domain goes: RFC 5321 section 5.1, RFC 7505.

use crate::authentication::{Lookup, LookupError};
use mail::address::Domain;
use mail::smtp::{EnhancedCode, Reply};
use net::Network;
use rand::seq::SliceRandom as _;
use std::net::IpAddr;

/// Servers of one domain that are tried.
const SERVERS_MAX: usize = 10;

/// One server that takes a domain's mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// Its name, for TLS and for DSNs.
    pub(super) name: String,
    pub(super) address: IpAddr,
}

/// The servers for a domain, in the order to try them; or the reply that stands
/// for their absence: 5yz when there is no hope, 4yz when it may change.
pub(super) async fn servers(
    lookup: &Lookup,
    network: &Network,
    domain: &str,
    hostname: &str,
) -> Result<Vec<Server>, Reply> {
    if domain.starts_with('[') {
        let address = format!("a@{domain}").parse::<mail::address::Address>();
        return match address.as_ref().map(mail::address::Address::domain) {
            Ok(Domain::Literal(address)) => Ok(vec![Server { name: address.to_string(), address: *address }]),
            _ => Err(Reply::new(550, EnhancedCode(5, 1, 2), format!("{domain} is no address"))),
        };
    }
    let hosts = match lookup.mx(domain).await {
        Ok(mut exchanges) => {
            if let [only] = exchanges.as_slice()
                && only.host.is_empty()
            {
                return Err(Reply::new(
                    556,
                    EnhancedCode(5, 1, 10),
                    format!("{domain} takes no mail (null MX)"),
                ));
            }
            exchanges.retain(|exchange| !exchange.host.is_empty());
            // Equal ones share the load (shuffled first, then sorted stably).
            exchanges.shuffle(&mut rand::rng());
            exchanges.sort_by_key(|exchange| exchange.preference);
            // Mail must only move towards better exchanges than this host.
            if let Some(own) = exchanges.iter().find(|exchange| exchange.host.eq_ignore_ascii_case(hostname))
            {
                let preference = own.preference;
                exchanges.retain(|exchange| exchange.preference < preference);
                if exchanges.is_empty() {
                    let text =
                        format!("the mail for {domain} loops back to {hostname}, which does not serve it");
                    return Err(Reply::new(554, EnhancedCode(5, 4, 6), text));
                }
            }
            exchanges.into_iter().map(|exchange| exchange.host).collect()
        }
        // Section 5.1: without MX records the domain itself is the host.
        Err(LookupError::NoData(_)) => vec![domain.to_owned()],
        Err(LookupError::NoName(_)) => {
            return Err(Reply::new(
                550,
                EnhancedCode(5, 1, 2),
                format!("the domain {domain} does not exist"),
            ));
        }
        Err(LookupError::Temporary(error)) => {
            return Err(Reply::new(451, EnhancedCode(4, 4, 3), error.to_string()));
        }
    };
    addresses(lookup, network, domain, hosts).await
}

async fn addresses(
    lookup: &Lookup,
    network: &Network,
    domain: &str,
    hosts: Vec<String>,
) -> Result<Vec<Server>, Reply> {
    let mut servers = Vec::new();
    let mut temporary = None;
    for host in hosts {
        let mut found = Vec::new();
        match lookup.ipv6(&host).await {
            Ok(addresses) => found.extend(addresses.into_iter().map(IpAddr::V6)),
            Err(LookupError::Temporary(error)) => temporary = Some(error),
            Err(_) => {}
        }
        match lookup.ipv4(&host).await {
            Ok(addresses) => found.extend(addresses.into_iter().map(IpAddr::V4)),
            Err(LookupError::Temporary(error)) => temporary = Some(error),
            Err(_) => {}
        }
        let mut routed = Vec::new();
        for address in &found {
            routed.push(network.has_route(*address).await);
        }
        let found = routed_first(found.into_iter().zip(routed));
        servers.extend(found.map(|address| Server { name: host.clone(), address }));
        if servers.len() >= SERVERS_MAX {
            servers.truncate(SERVERS_MAX);
            break;
        }
    }
    match temporary {
        _ if !servers.is_empty() => Ok(servers),
        Some(error) => Err(Reply::new(451, EnhancedCode(4, 4, 3), error.to_string())),
        None => Err(Reply::new(550, EnhancedCode(5, 4, 4), format!("no server of {domain} has an address"))),
    }
}

/// A host's addresses that this host knows a way to, then the others, which are
/// tried only after them; else each in its order, IPv6 first.
fn routed_first(addresses: impl Iterator<Item = (IpAddr, bool)>) -> impl Iterator<Item = IpAddr> {
    let (routed, unrouted): (Vec<_>, Vec<_>) = addresses.partition(|(_, routed)| *routed);
    routed.into_iter().chain(unrouted).map(|(address, _)| address)
}

#[cfg(test)]
mod tests {
    //! The order of addresses, and how many.
    use super::*;
    use domain::base::iana::{Rcode, Rtype};

    #[test]
    fn without_a_route_for_ipv6_ipv4_comes_first() {
        let order = |ipv6_routed, ipv4_routed| {
            let addresses =
                [("2001:db8::1", ipv6_routed), ("2001:db8::2", ipv6_routed), ("192.0.2.1", ipv4_routed)];
            let addresses = addresses.map(|(address, routed)| (address.parse().unwrap(), routed));
            routed_first(addresses.into_iter()).map(|address| address.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(order(true, true), ["2001:db8::1", "2001:db8::2", "192.0.2.1"]);
        assert_eq!(order(false, true), ["192.0.2.1", "2001:db8::1", "2001:db8::2"]);
        assert_eq!(order(false, false), ["2001:db8::1", "2001:db8::2", "192.0.2.1"]);
    }

    /// `a.test` with more servers than are tried, each with an address.
    struct Many;

    impl dns::Resolve for Many {
        fn resolve<'a>(
            &'a self,
            name: &'a dns::Name,
            rtype: Rtype,
        ) -> dns::BoxFuture<'a, Result<dns::Resolution, dns::ResolveError>> {
            let lines = |line: fn(usize) -> String| (0..=SERVERS_MAX).map(line).collect::<Vec<_>>().concat();
            let text = match (name.to_string().as_str(), rtype) {
                ("a.test", Rtype::MX) => lines(|n| format!("@ MX {n} m{n}.a.test.\n")),
                ("many.test", Rtype::A) => lines(|n| format!("@ A 127.0.0.{n}\n")),
                (_, Rtype::A) => "@ A 127.0.0.1\n".to_owned(),
                _ => String::new(),
            };
            let (records, _) = dns::master::read(&format!("$TTL 60\n{text}"), name);
            let records = records.into_iter().filter_map(|located| located.record.to_record()).collect();
            Box::pin(async { Ok(dns::Resolution { rcode: Rcode::NOERROR, records }) })
        }
    }

    #[tokio::test]
    async fn only_so_many_servers_are_tried() {
        let lookup = Lookup::new(std::sync::Arc::new(Many));
        let found = servers(&lookup, &Network::new(), "a.test", "mail.b.test").await.unwrap();
        let names: Vec<String> = found.into_iter().map(|server| server.name).collect();
        assert_eq!(names, (0..SERVERS_MAX).map(|n| format!("m{n}.a.test")).collect::<Vec<_>>());
        // One server with many addresses counts as many.
        let found = servers(&lookup, &Network::new(), "many.test", "mail.b.test").await.unwrap();
        assert_eq!(found.len(), SERVERS_MAX);
    }
}
