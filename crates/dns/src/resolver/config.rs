//! What a resolver is told once: where to begin, whom to ask for some zones,
//! and its bounds.

use crate::{Name, cache};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// A resolver's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// The root servers to begin with.
    pub root_hints: Vec<RootHint>,
    /// Whether to ask a root hint for the current root servers first (RFC 8109).
    pub prime: bool,
    /// Zones whose servers are given here instead of being looked for.
    pub zones: Vec<FixedZone>,
    /// The port of servers that were found by name; 53 on the Internet.
    pub upstream_port: u16,
    /// Whether servers are asked over IPv4.
    pub ipv4: bool,
    /// Whether servers are asked over IPv6.
    pub ipv6: bool,
    /// Whether a server is asked only for as much of the name as it needs to
    /// know (RFC 9156).
    pub qname_minimisation: bool,
    /// Whether letters of the question change case at random, so that a reply
    /// must repeat them ("0x20").
    pub mixed_case: bool,
    /// Bounds of the work.
    pub limits: Limits,
    /// Bounds of the cache.
    pub cache: cache::Bounds,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            root_hints: iana_root_hints(),
            prime: true,
            zones: Vec::new(),
            upstream_port: 53,
            ipv4: true,
            ipv6: false,
            qname_minimisation: true,
            mixed_case: false,
            limits: Limits::default(),
            cache: cache::Bounds::default(),
        }
    }
}

impl Config {
    /// Whether answers are learnt from where `other` learns them.
    pub(super) fn learns_like(&self, other: &Self) -> bool {
        self.root_hints == other.root_hints
            && self.zones == other.zones
            && self.upstream_port == other.upstream_port
    }

    /// Whether servers at this address are asked.
    pub(super) fn speaks(&self, address: IpAddr) -> bool {
        if address.is_ipv4() { self.ipv4 } else { self.ipv6 }
    }
}

/// A root server to begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootHint {
    /// Its name.
    pub name: Name,
    /// Its addresses.
    pub addresses: Vec<SocketAddr>,
}

/// A zone whose servers are given by configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedZone {
    /// The zone's apex.
    pub apex: Name,
    /// Its servers.
    pub servers: Vec<SocketAddr>,
    /// Whether they resolve recursively (a forward zone). Otherwise they are
    /// the zone's authoritative servers (a stub zone).
    pub recursive: bool,
}

/// Bounds on the work for questions, in the spirit of RFC 9520 and against
/// amplification by referrals ("NXNSAttack").
#[derive(Debug, Clone)]
pub struct Limits {
    /// Messages sent for one question of a client, all side quests included.
    pub queries_max: u32,
    /// Aliases followed for one question.
    pub aliases_max: usize,
    /// Side quests within side quests: a server whose name's servers' names …
    pub depth_max: usize,
    /// Server names without address that are looked up for one zone.
    pub side_quests_per_zone_max: usize,
    /// Name servers of one zone that are considered.
    pub servers_per_zone_max: usize,
    /// Addresses of one name server that are considered.
    pub addresses_per_server_max: usize,
    /// Times one address is asked the same.
    pub tries_per_address_max: u8,
    /// Replies to one query that do not fit before the question goes over TCP:
    /// somebody is guessing.
    pub mismatches_max: u32,
    /// Questions worked on at once.
    pub iterations_max: usize,
    /// Clients that wait for one question.
    pub askers_per_iteration_max: usize,
    /// Time for one question.
    pub patience: Duration,
    /// Time for one exchange over TCP, the connection included.
    pub tcp_patience: Duration,
    /// How long a failure is remembered (RFC 9520 section 3.2: 1 s to 5 min).
    pub failure_ttl: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queries_max: 100,
            aliases_max: 12,
            depth_max: 5,
            side_quests_per_zone_max: 5,
            servers_per_zone_max: 20,
            addresses_per_server_max: 4,
            tries_per_address_max: 6,
            mismatches_max: 16,
            iterations_max: 4_096,
            askers_per_iteration_max: 256,
            patience: Duration::from_secs(10),
            tcp_patience: Duration::from_secs(4),
            failure_ttl: Duration::from_secs(5),
        }
    }
}

/// The root servers of the Internet (<https://www.iana.org/domains/root/servers>).
pub fn iana_root_hints() -> Vec<RootHint> {
    const SERVERS: [(&str, Ipv4Addr, [u16; 8]); 13] = [
        ("a", Ipv4Addr::new(198, 41, 0, 4), [0x2001, 0x503, 0xba3e, 0, 0, 0, 2, 0x30]),
        ("b", Ipv4Addr::new(170, 247, 170, 2), [0x2801, 0x1b8, 0x10, 0, 0, 0, 0, 0xb]),
        ("c", Ipv4Addr::new(192, 33, 4, 12), [0x2001, 0x500, 2, 0, 0, 0, 0, 0xc]),
        ("d", Ipv4Addr::new(199, 7, 91, 13), [0x2001, 0x500, 0x2d, 0, 0, 0, 0, 0xd]),
        ("e", Ipv4Addr::new(192, 203, 230, 10), [0x2001, 0x500, 0xa8, 0, 0, 0, 0, 0xe]),
        ("f", Ipv4Addr::new(192, 5, 5, 241), [0x2001, 0x500, 0x2f, 0, 0, 0, 0, 0xf]),
        ("g", Ipv4Addr::new(192, 112, 36, 4), [0x2001, 0x500, 0x12, 0, 0, 0, 0, 0xd0d]),
        ("h", Ipv4Addr::new(198, 97, 190, 53), [0x2001, 0x500, 1, 0, 0, 0, 0, 0x53]),
        ("i", Ipv4Addr::new(192, 36, 148, 17), [0x2001, 0x7fe, 0, 0, 0, 0, 0, 0x53]),
        ("j", Ipv4Addr::new(192, 58, 128, 30), [0x2001, 0x503, 0xc27, 0, 0, 0, 2, 0x30]),
        ("k", Ipv4Addr::new(193, 0, 14, 129), [0x2001, 0x7fd, 0, 0, 0, 0, 0, 1]),
        ("l", Ipv4Addr::new(199, 7, 83, 42), [0x2001, 0x500, 0x9f, 0, 0, 0, 0, 0x42]),
        ("m", Ipv4Addr::new(202, 12, 27, 33), [0x2001, 0xdc3, 0, 0, 0, 0, 0, 0x35]),
    ];
    SERVERS
        .into_iter()
        .filter_map(|(letter, v4, v6)| {
            let addresses: [IpAddr; 2] = [v4.into(), Ipv6Addr::from(v6).into()];
            Some(RootHint {
                name: Name::bytes_from_str(&format!("{letter}.root-servers.net.")).ok()?,
                addresses: addresses.into_iter().map(|address| SocketAddr::new(address, 53)).collect(),
            })
        })
        .collect()
}
