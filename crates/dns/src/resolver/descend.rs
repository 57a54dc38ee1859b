//! Where to begin: the deepest zone known that a name is in, and its servers.

use super::cut::{Cut, NameServer, addresses, server_names};
use super::iterate::Iteration;
use super::waiting::Asker;
use super::{Question, Resolver};
use crate::cache::Rank;
use crate::{Name, Record};
use domain::base::iana::Rtype;
use rand_core::Rng;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How often the root servers are asked for at most.
const PRIMED_FOR: Duration = Duration::from_hours(1);

impl<R: Rng> Resolver<R> {
    /// The deepest zone known that `name` is in.
    pub(super) fn find_cut(&mut self, now: Instant, name: &Name, rtype: Rtype) -> Cut {
        // A DS RRset is the parent's (RFC 4035 section 3.1.4.1).
        let above = usize::from(rtype == Rtype::DS && !name.is_root());
        for zone in name.iter_suffixes().skip(above) {
            if let Some(fixed) = self.config.zones.iter().find(|fixed| fixed.apex == zone) {
                return Cut::fixed(zone, &[(None, fixed.servers.clone())], fixed.recursive);
            }
            if let Some(records) = self.cache.delegation(now, &zone) {
                let cut = self.cut_of(now, zone, &records, &[], true);
                if cut.is_usable() {
                    return cut;
                }
            }
        }
        self.prime(now);
        let hints: Vec<_> =
            self.config.root_hints.iter().map(|h| (Some(h.name.clone()), h.addresses.clone())).collect();
        let mut cut = Cut::fixed(Name::root_bytes(), &hints, false);
        for server in &mut cut.servers {
            server.addresses.retain(|a| self.config.speaks(a.socket.ip()));
        }
        cut
    }

    /// Asks a root hint for the root servers of today (RFC 8109).
    fn prime(&mut self, now: Instant) {
        let recently = self.primed.is_some_and(|at| now.saturating_duration_since(at) < PRIMED_FOR);
        let question = Question { name: Name::root_bytes(), rtype: Rtype::NS };
        if !self.config.prime || recently || self.waiting.iteration(&question).is_some() {
            return;
        }
        self.primed = Some(now);
        let iteration = Iteration::new(question, now, &self.config.limits);
        self.begin(iteration, Asker::Cache);
    }

    /// The cut of an NS RRset: addresses from the glue, else from the cache.
    pub(super) fn cut_of(
        &mut self,
        now: Instant,
        zone: Name,
        servers: &[Record],
        glue: &[Record],
        cached: bool,
    ) -> Cut {
        let limits = self.config.limits.clone();
        let names: Vec<Name> = server_names(servers).take(limits.servers_per_zone_max).cloned().collect();
        let mut cut = Cut { zone, servers: Vec::new(), recursive: false, cached, side_quests: 0 };
        for name in names {
            let mut found: Vec<_> = addresses(glue, Some(&name)).collect();
            if found.is_empty() {
                for rtype in [Rtype::A, Rtype::AAAA] {
                    let records = self.cache.rrset(now, &name, rtype, Rank::Additional).unwrap_or_default();
                    found.extend(addresses(&records, None));
                }
            }
            found.retain(|ip| self.config.speaks(*ip));
            found.truncate(limits.addresses_per_server_max);
            cut.servers.push(NameServer {
                name: Some(name.clone()),
                addresses: Vec::new(),
                looked_up: false,
            });
            let port = self.config.upstream_port;
            cut.learn(&name, found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect());
        }
        cut
    }
}
