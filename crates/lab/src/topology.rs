//! The lab's Internet as it is written down in `internet/internet.toml`, and the
//! configuration of each of its hosts, of the same kind that `utopia up` reads.

use dns_server::authoritative::{KeyConfig, Kind, Remote, ZoneConfig};
use dns_server::resolver::RootHintConfig;
use host::Configuration;
use mail_server::smtp::DkimConfig;
use net::Conditions;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The text of the topology.
const TEXT: &str = include_str!("../internet/internet.toml");

/// The zone files beside the topology.
const ZONES: &[(&str, &str)] = &[
    ("root.zone", include_str!("../internet/root.zone")),
    ("test.zone", include_str!("../internet/test.zone")),
    ("com.zone", include_str!("../internet/com.zone")),
    ("edu.zone", include_str!("../internet/edu.zone")),
    ("university.edu.zone", include_str!("../internet/university.edu.zone")),
    ("networkutopia.com.zone", include_str!("../internet/networkutopia.com.zone")),
    ("utopia.test.zone", include_str!("../internet/utopia.test.zone")),
    ("crepes.test.zone", include_str!("../internet/crepes.test.zone")),
];

/// Why the topology is of no use.
#[derive(Debug, thiserror::Error)]
#[error("the lab's topology: {0}")]
pub struct TopologyError(String);

impl TopologyError {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// The whole lab.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// The ports that every host listens on.
    pub ports: Ports,
    /// Kinds of links, by name.
    #[serde(default)]
    links: BTreeMap<String, LinkPlan>,
    /// Where resolvers begin.
    root_hints: Vec<RootHint>,
    /// All hosts.
    pub hosts: Vec<HostPlan>,
}

/// The ports that every host listens on.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ports {
    /// Name servers and resolvers.
    pub dns: u16,
    /// Mail from other hosts.
    pub smtp: u16,
    /// Mail from users, STARTTLS.
    pub submission: u16,
    /// Mail from users, TLS.
    pub submissions: u16,
    /// Reading mail, STARTTLS.
    pub imap: u16,
    /// Reading mail, TLS.
    pub imaps: u16,
}

/// What a link does to everything that passes it, in each direction.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkPlan {
    /// Milliseconds everything takes.
    delay_ms: u64,
    /// Up to how many milliseconds more.
    jitter_ms: u64,
    /// The share of datagrams that is lost, 0 to 1.
    loss: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RootHint {
    name: String,
    address: IpAddr,
}

/// One host.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostPlan {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// The kind of its link.
    link: Option<String>,
    /// Zones it is authoritative for.
    #[serde(default)]
    zones: Vec<ZonePlan>,
    /// Whether it resolves for its network.
    #[serde(default)]
    resolver: bool,
    /// The resolver its own services ask.
    resolver_at: Option<IpAddr>,
    /// The domain whose mail it takes and sends.
    pub mail: Option<String>,
    /// Users with a mailbox there.
    #[serde(default)]
    pub users: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ZonePlan {
    name: String,
    /// The master file, for a primary.
    file: Option<String>,
    /// The primary, for a secondary.
    primary: Option<IpAddr>,
    /// A secondary to tell of changes and to let transfer.
    notify: Option<IpAddr>,
    /// The TSIG key that may update the zone.
    update_key: Option<String>,
}

/// What a host needs that the lab makes when it starts.
#[derive(Debug, Clone, Default)]
pub struct Made {
    /// The DKIM record of a mail domain, to be added to its zone: domain and text.
    pub dkim: Vec<(String, String)>,
}

/// The selector of the lab's DKIM keys.
pub(crate) const DKIM_SELECTOR: &str = "lab";

impl Topology {
    /// The lab's topology.
    ///
    /// # Errors
    /// When the text is wrong.
    pub fn read() -> Result<Self, TopologyError> {
        toml::from_str(TEXT).map_err(|error| TopologyError(error.to_string()))
    }

    /// The host with this name.
    pub fn host(&self, name: &str) -> Option<&HostPlan> {
        self.hosts.iter().find(|host| host.name == name)
    }

    /// The addresses of the root servers.
    pub fn roots(&self) -> Vec<SocketAddr> {
        self.root_hints.iter().map(|hint| SocketAddr::new(hint.address, self.ports.dns)).collect()
    }

    /// The conditions of a host's link; `None` where it has none of its own.
    pub fn link(&self, plan: &HostPlan) -> Option<Conditions> {
        let link = self.links.get(plan.link.as_ref()?)?;
        Some(Conditions {
            delay: Duration::from_millis(link.delay_ms),
            jitter: Duration::from_millis(link.jitter_ms),
            loss: link.loss,
            ..Conditions::default()
        })
    }

    /// A host's configuration; `None` for one that runs no service.
    ///
    /// # Errors
    /// When the plan names a file that is not there.
    pub fn configuration(
        &self,
        plan: &HostPlan,
        made: &Made,
    ) -> Result<Option<Configuration>, TopologyError> {
        if plan.zones.is_empty() && !plan.resolver && plan.mail.is_none() {
            return Ok(None);
        }
        let at = |port| vec![SocketAddr::new(plan.address, port)];
        let mut configuration = Configuration::new(plan.mail.as_deref().unwrap_or(&plan.name));
        if !plan.zones.is_empty() {
            configuration.dns.listen = at(self.ports.dns);
            // Sixteen servers share this machine.
            configuration.dns.threads = 1;
            for zone in &plan.zones {
                configuration.dns.zones.push(self.zone(zone, made)?);
                if let Some(key) = &zone.update_key {
                    configuration.dns.keys.push(KeyConfig {
                        name: key.clone(),
                        algorithm: "hmac-sha256".to_owned(),
                        secret_file: secret_file(key),
                    });
                }
            }
        }
        let resolver = &mut configuration.resolver;
        resolver.upstream_port = self.ports.dns;
        if plan.resolver {
            resolver.listen = at(self.ports.dns);
            resolver.root_hints = self
                .root_hints
                .iter()
                .map(|hint| RootHintConfig {
                    name: hint.name.clone(),
                    addresses: vec![SocketAddr::new(hint.address, self.ports.dns)],
                })
                .collect();
        }
        if let Some(address) = plan.resolver_at {
            resolver.forward_zones.insert(".".to_owned(), vec![SocketAddr::new(address, self.ports.dns)]);
        }
        if plan.mail.is_some() {
            configuration.smtp.listen = at(self.ports.smtp);
            configuration.smtp.listen_submission = at(self.ports.submission);
            configuration.smtp.listen_submissions = at(self.ports.submissions);
            configuration.smtp.hostname = Some(plan.name.clone());
            configuration.smtp.dkim =
                vec![DkimConfig { selector: DKIM_SELECTOR.to_owned(), key_file: "secrets/dkim.pem".into() }];
            configuration.imap.listen = at(self.ports.imap);
            configuration.imap.listen_tls = at(self.ports.imaps);
            configuration.queue.remote_port = self.ports.smtp;
            configuration.queue.retry_seconds_first = 1;
            configuration.queue.connect_seconds_max = 5;
        }
        Ok(Some(configuration))
    }

    fn zone(&self, plan: &ZonePlan, made: &Made) -> Result<ZoneConfig, TopologyError> {
        let remote =
            |address: IpAddr| Remote { address: SocketAddr::new(address, self.ports.dns), key: None };
        let mut zone = ZoneConfig { name: plan.name.clone(), ..ZoneConfig::default() };
        if let Some(primary) = plan.primary {
            zone.kind = Kind::Secondary;
            zone.primaries = vec![remote(primary)];
        }
        if let Some(file) = &plan.file {
            let text = ZONES.iter().find(|(name, _)| name == file);
            let (_, text) = text.ok_or_else(|| TopologyError(format!("there is no zone file {file}")))?;
            let mut text = (*text).to_owned();
            for (domain, record) in made.dkim.iter().filter(|(domain, _)| *domain == plan.name) {
                let _ = writeln!(text, "{DKIM_SELECTOR}._domainkey.{domain}. IN TXT \"{record}\"");
            }
            zone.text = Some(text);
        }
        if let Some(secondary) = plan.notify {
            zone.notify = vec![remote(secondary)];
            zone.allow_transfer = vec![secondary.to_string()];
        }
        zone.allow_update = plan.update_key.iter().cloned().collect();
        Ok(zone)
    }

    /// The names of all TSIG keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().flat_map(|host| &host.zones).filter_map(|zone| zone.update_key.as_deref())
    }
}

/// Where a host keeps a TSIG key's secret, in its data folder.
pub(crate) fn secret_file(key: &str) -> PathBuf {
    PathBuf::from(format!("secrets/{key}.tsig"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_host_has_an_address_of_its_own_and_a_configuration_that_reads_back() {
        let topology = Topology::read().expect("the topology");
        for plan in &topology.hosts {
            assert_eq!(
                plan.link.is_some(),
                topology.link(plan).is_some(),
                "{}: there is no such link",
                plan.name
            );
        }
        let addresses: BTreeSet<_> = topology.hosts.iter().map(|host| host.address).collect();
        assert_eq!(addresses.len(), topology.hosts.len());
        assert!(addresses.iter().all(IpAddr::is_loopback));
        for plan in &topology.hosts {
            let Some(configuration) = topology.configuration(plan, &Made::default()).expect("right") else {
                continue;
            };
            let text = toml::to_string(&configuration).expect("TOML");
            let read = Configuration::parse(&text, std::path::Path::new("x.toml")).expect("a configuration");
            assert_eq!(read, configuration, "{}", plan.name);
        }
    }

    #[test]
    fn every_zone_is_without_fault() {
        for (file, text) in ZONES {
            let origin = file.trim_end_matches(".zone").replace("root", ".");
            let apex = dns::master::name(&origin).expect("a name");
            let findings = dns::master::check(text, &apex);
            let errors: Vec<_> =
                findings.iter().filter(|finding| finding.severity == dns::master::Severity::Error).collect();
            assert!(errors.is_empty(), "{file}: {errors:?}");
        }
    }
}
