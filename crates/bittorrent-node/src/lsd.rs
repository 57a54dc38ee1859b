//! Local service discovery (BEP 14): neighbours are told which torrents run here,
//! and heard.

use crate::context::Context;
use crate::progress::Source;
use bittorrent::lsd::{Announce, DATAGRAM_OCTETS_MAX, GROUP_V4, GROUP_V6, Schedule};
use net::{Multicast, Shutdown};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How often it is looked whether a torrent is to be told of.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Interfaces on which neighbours are told.
const INTERFACES_MAX: usize = 16;
/// The pause after an interface failed.
const REST: Duration = Duration::from_mins(1);

/// To which groups neighbours are told.
#[derive(Debug, Clone, Copy)]
pub struct LsdSettings {
    /// On interfaces with IPv4.
    pub group_v4: SocketAddr,
    /// On interfaces with IPv6.
    pub group_v6: SocketAddr,
}

impl Default for LsdSettings {
    /// The groups of BEP 14.
    fn default() -> Self {
        Self { group_v4: GROUP_V4, group_v6: GROUP_V6 }
    }
}

impl LsdSettings {
    /// In these groups; in that of BEP 14 for a family of which there is none.
    pub fn at(groups: &[SocketAddr]) -> Self {
        let of = |ipv4: bool| groups.iter().copied().find(|group| group.is_ipv4() == ipv4);
        Self { group_v4: of(true).unwrap_or(GROUP_V4), group_v6: of(false).unwrap_or(GROUP_V6) }
    }
}

/// Tells and hears the neighbours on the interfaces of what is listened on. An
/// interface that does not do multicast is passed over.
pub(crate) fn start(
    context: &Rc<Context>,
    settings: LsdSettings,
    listening: &[SocketAddr],
    shutdown: &Shutdown,
) {
    let cookie = format!("{:016x}", rand::random::<u64>());
    for (address, port) in addresses(listening) {
        let group = if address.is_ipv4() { settings.group_v4 } else { settings.group_v6 };
        let multicast = match context.network.multicast(group, address) {
            Ok(multicast) => multicast,
            Err(error) => {
                tracing::debug!(%error, %address, %group, "no neighbours are told on this interface");
                continue;
            }
        };
        let (context, cookie, shutdown) = (context.clone(), cookie.clone(), shutdown.clone());
        tokio::task::spawn_local(async move {
            tokio::select! {
                () = run(&context, &multicast, port, &cookie) => {}
                () = shutdown.requested() => {}
            }
        });
    }
}

/// Where neighbours are, with the port we are reached at from there.
fn addresses(listening: &[SocketAddr]) -> Vec<(IpAddr, u16)> {
    let mut found = Vec::new();
    for address in listening {
        if !address.ip().is_unspecified() {
            found.push((address.ip(), address.port()));
            continue;
        }
        let all = net::multicast_addresses().unwrap_or_else(|error| {
            tracing::debug!(%error, "the interfaces are not told");
            Vec::new()
        });
        let of_family = all.into_iter().filter(|one| one.is_ipv4() == address.is_ipv4());
        found.extend(of_family.map(|one| (one, address.port())));
    }
    found.truncate(INTERFACES_MAX);
    found
}

async fn run(context: &Context, multicast: &Multicast, port: u16, cookie: &str) {
    let mut schedule = Schedule::default();
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    // One octet more: what fills it is too long.
    let mut buffer = vec![0; DATAGRAM_OCTETS_MAX + 1];
    loop {
        tokio::select! {
            _ = looks.tick() => {
                let info_hashes = schedule.poll(Instant::now(), &context.public_torrents());
                if info_hashes.is_empty() {
                    continue;
                }
                let announce = Announce { port, info_hashes, cookie: Some(cookie.to_owned()) };
                let Ok(datagram) = announce.encode(multicast.group()) else { continue };
                if let Err(error) = multicast.send(&datagram).await {
                    tracing::debug!(%error, address = %multicast.address(), "neighbours are not told");
                }
            }
            received = multicast.receive(&mut buffer) => match received {
                Ok((octets, from)) => {
                    handle_datagram(context, from, buffer.get(..octets).unwrap_or_default(), cookie);
                }
                Err(error) => {
                    tracing::debug!(%error, address = %multicast.address(), "neighbours are not heard");
                    tokio::time::sleep(REST).await;
                }
            },
        }
    }
}

/// A neighbour tells of its torrents: those that run here have one more peer.
fn handle_datagram(context: &Context, from: SocketAddr, datagram: &[u8], cookie: &str) {
    let announce = match Announce::decode(datagram) {
        Ok(announce) => announce,
        Err(error) => return tracing::trace!(%error, %from, "no announce of a neighbour"),
    };
    if announce.cookie.as_deref() == Some(cookie) {
        return;
    }
    for info_hash in &announce.info_hashes {
        if let Some(swarm) = context.find(info_hash) {
            swarm.add_contacts(Source::Lsd, [SocketAddr::new(from.ip(), announce.port)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_interfaces_are_told_each_with_its_port() {
        let at = |last: u16| SocketAddr::from(([127, 0, 0, last as u8], 1_000 + last));
        let listening: Vec<SocketAddr> = (1..=INTERFACES_MAX as u16 + 5).map(at).collect();
        let found = addresses(&listening);
        assert_eq!(found.len(), INTERFACES_MAX);
        assert_eq!(found[2], (at(3).ip(), 1_003));
        // Of all addresses those of the interfaces are taken.
        let all = addresses(&[SocketAddr::from(([0, 0, 0, 0], 7))]);
        assert!(all.iter().all(|(ip, port)| ip.is_ipv4() && !ip.is_unspecified() && *port == 7));
    }
}
