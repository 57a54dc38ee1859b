//! The small Internet, running: every host with its own address, data folder
//! and services.

use crate::LabError;
use crate::ladder::{Arrow, Ladder, Names};
use crate::topology::{HostPlan, Made, Topology, secret_file};
use base64::Engine;
use event::metrics::Metrics;
use event::{Observer, Stream};
use futures_util::future::try_join_all;
use host::{Host, HostError, Setup};
use mail_server::authentication::{Algorithm, generate_dkim};
use net::tls::Authority;
use net::{Capture, Impairment, Network};
use rustls::ClientConfig;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use storage::files;
use tokio::sync::mpsc;
use web::Status;

/// How long a host may take to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// The password of every user of the lab: who can reach loopback may read it here.
pub const PASSWORD: &str = "lab-password";

/// The small Internet.
pub struct Internet {
    topology: Topology,
    folder: PathBuf,
    stream: Stream,
    made: Made,
    authority: Authority,
    /// Every host's network, by name.
    networks: BTreeMap<String, Network>,
    /// TSIG secrets by the names of their keys.
    secrets: BTreeMap<String, Vec<u8>>,
    hosts: BTreeMap<String, Host>,
}

/// What the small Internet is started from.
pub struct Plan {
    /// Its hosts.
    pub topology: Topology,
    /// Where each of them gets a folder of its own.
    pub folder: PathBuf,
    /// Drives what varies on their links.
    pub seed: u64,
    /// Who is told what happens.
    pub observers: Vec<Arc<dyn Observer>>,
    /// Where everything on the wire is written, each host an interface.
    pub capture: Option<Capture>,
}

impl Internet {
    /// Starts all hosts. Returns the messages between them as well.
    ///
    /// # Errors
    /// When an address is taken, e.g. by another lab.
    pub async fn start(plan: Plan) -> Result<(Self, mpsc::Receiver<Arrow>), LabError> {
        let Plan { topology, folder, seed, observers, capture } = plan;
        let mut names = Names::default();
        for host in &topology.hosts {
            names.add(host.address, &host.name);
        }
        let (ladder, arrows) = Ladder::new(names);
        let stream = Stream::new();
        stream.observe(ladder);
        for observer in observers {
            stream.observe(observer);
        }
        let mut internet = Self {
            secrets: topology
                .keys()
                .map(|key| (key.to_owned(), rand::random::<[u8; 32]>().to_vec()))
                .collect(),
            authority: Authority::create("Utopia lab CA", SystemTime::now())
                .map_err(host::HostError::from)?,
            networks: networks(&topology, seed, capture.as_ref())?,
            topology,
            folder,
            stream,
            made: Made::default(),
            hosts: BTreeMap::new(),
        };
        files::write_atomically(
            &internet.folder.join("ca.pem"),
            internet.authority.cert_pem().as_bytes(),
            files::PUBLIC,
        )?;
        internet.make_mail_keys()?;
        let plans = internet.topology.hosts.clone();
        let started = try_join_all(plans.iter().map(|plan| internet.start_host(plan))).await?;
        internet.hosts = started.into_iter().flatten().map(|host| (host.name().to_owned(), host)).collect();
        Ok((internet, arrows))
    }

    /// The DKIM key of each mail domain: its record is part of the zone.
    fn make_mail_keys(&mut self) -> Result<(), LabError> {
        for plan in &self.topology.hosts {
            let Some(domain) = &plan.mail else { continue };
            let (private, record) = generate_dkim(Algorithm::Ed25519).map_err(host::HostError::from)?;
            let file = self.host_folder(plan).join("secrets/dkim.pem");
            files::write_atomically(&file, private.as_bytes(), files::SECRET)?;
            self.made.dkim.push((domain.clone(), record));
        }
        Ok(())
    }

    async fn start_host(&self, plan: &HostPlan) -> Result<Option<Host>, LabError> {
        let Some(mut configuration) = self.topology.configuration(plan, &self.made)? else { return Ok(None) };
        let folder = self.host_folder(plan);
        for key in &configuration.dns.keys {
            let secret = base64::engine::general_purpose::STANDARD.encode(self.secret(&key.name));
            files::write_atomically(&folder.join(secret_file(&key.name)), secret.as_bytes(), files::SECRET)?;
        }
        if plan.mail.is_some() {
            let issued = self
                .authority
                .issue(&[&plan.name, &plan.address.to_string()], SystemTime::now())
                .map_err(host::HostError::from)?;
            files::write_atomically(
                &folder.join("certificate.pem"),
                issued.cert_chain_pem.as_bytes(),
                files::PUBLIC,
            )?;
            files::write_atomically(
                &folder.join("secrets/tls-key.pem"),
                issued.key_pem.as_bytes(),
                files::SECRET,
            )?;
            configuration.tls.certificate_file = Some("certificate.pem".into());
            configuration.tls.key_file = Some("secrets/tls-key.pem".into());
        }
        let host = Host::start(Setup {
            name: plan.name.clone(),
            folder,
            configuration,
            network: self.network(&plan.name),
            stream: self.stream.clone(),
            metrics: Arc::new(Metrics::new()),
        })
        .await
        .map_err(|error| {
            let host = plan.name.clone();
            match error {
                HostError::Listen(error) if error.source.kind() == io::ErrorKind::AddrInUse => {
                    LabError::Taken { host, error }
                }
                error => LabError::Start { host, error },
            }
        })?;
        let known = host.accounts().list().await.map_err(host::HostError::from)?;
        for user in &plan.users {
            let address = format!("{user}@{}", plan.mail.as_deref().unwrap_or_default());
            if !known.iter().any(|account| account.address == address) {
                host.accounts().create(&address, PASSWORD).await.map_err(host::HostError::from)?;
            }
        }
        Ok(Some(host))
    }

    /// Switches a host off.
    pub async fn stop_host(&mut self, name: &str) {
        if let Some(host) = self.hosts.remove(name) {
            host.stop(STOP_PATIENCE).await;
        }
    }

    /// Switches a host on again, with the data it had.
    ///
    /// # Errors
    /// When it cannot start.
    pub async fn restart_host(&mut self, name: &str) -> Result<(), LabError> {
        if let Some(plan) = self.topology.host(name).cloned()
            && let Some(host) = self.start_host(&plan).await?
        {
            self.hosts.insert(name.to_owned(), host);
        }
        Ok(())
    }

    /// A running host.
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.get(name)
    }

    /// The address of a host, whether it runs services or not.
    ///
    /// # Panics
    /// When the topology has no such host.
    pub fn address(&self, name: &str) -> IpAddr {
        let plan = self.topology.host(name);
        plan.map_or_else(|| panic!("the topology has no host {name}"), |plan| plan.address)
    }

    /// A host's address with one of the lab's ports.
    pub fn at(&self, name: &str, port: u16) -> SocketAddr {
        SocketAddr::new(self.address(name), port)
    }

    /// The network as a program on that host sees it.
    ///
    /// # Panics
    /// When the topology has no such host.
    pub fn network(&self, name: &str) -> Network {
        let network = self.networks.get(name);
        let network = network.unwrap_or_else(|| panic!("the topology has no host {name}"));
        network.clone().reporting(self.stream.reporter(name))
    }

    /// Who tells what happens on a host.
    pub fn reporter(&self, name: &str) -> event::Reporter {
        self.stream.reporter(name)
    }

    /// TLS for clients that trust the lab's CA.
    ///
    /// # Errors
    /// When the CA's certificate is of no use.
    pub fn tls(&self) -> Result<Arc<ClientConfig>, LabError> {
        Ok(net::tls::client_config_verified(self.authority.cert_pem()).map_err(host::HostError::from)?)
    }

    /// The topology.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The secret of a TSIG key.
    pub fn secret(&self, key: &str) -> &[u8] {
        self.secrets.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// What runs where, on all hosts.
    pub fn status(&self) -> Status {
        let mut services = Vec::new();
        for (name, host) in &self.hosts {
            services.extend(host.status().services.into_iter().map(|mut service| {
                service.host = Some(name.clone());
                service
            }));
        }
        Status { services, ..Status::default() }
    }

    /// Switches everything off.
    pub async fn stop(self) {
        futures_util::future::join_all(self.hosts.into_values().map(|host| host.stop(STOP_PATIENCE))).await;
    }

    fn host_folder(&self, plan: &HostPlan) -> PathBuf {
        self.folder.join(&plan.name)
    }
}

/// The networks of hosts with a link of their own, or with a capture. Everything
/// a host sends and receives passes its one link.
fn networks(
    topology: &Topology,
    seed: u64,
    capture: Option<&Capture>,
) -> Result<BTreeMap<String, Network>, LabError> {
    let mut networks = BTreeMap::new();
    for (index, plan) in topology.hosts.iter().enumerate() {
        let mut network = Network::from_source(plan.address);
        if let Some(conditions) = topology.link(plan) {
            network = network.with(Impairment::new(seed.wrapping_add(index as u64), conditions));
        }
        if let Some(capture) = capture {
            let interface = capture.interface(&plan.name).map_err(LabError::network("the capture"))?;
            network = network.with(interface);
        }
        networks.insert(plan.name.clone(), network);
    }
    Ok(networks)
}
