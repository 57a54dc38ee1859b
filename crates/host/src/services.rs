//! The services of one host and how they change: a start and a reload are the
//! same two steps. First everything that may fail is prepared, then all of it is
//! carried out, so that a wrong configuration changes nothing.

use crate::mail::{self, Mail};
use crate::{Configuration, HostError, torrents};
use bittorrent_node::Names;
use bittorrent_node::publish::{self, Addresses, Publisher};
use bittorrent_node::rpc::{self, Standing};
use bittorrent_node::tracker::{self, Tracker};
use dns_server::authoritative::{self, Server};
use dns_server::resolver::{self, Resolver};
use event::Reporter;
use event::metrics::Metrics;
use mail_server::accounts::Accounts;
use mail_server::mailbox::Mailboxes;
use mail_server::queue::{self, Queue};
use net::{Network, Shutdown};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use storage::Storage;
use web::StatusSource;

/// Where in the data folder is what torrents remember between runs.
const TORRENTS_DATA: &str = "bittorrent";
/// Where in the data folder is what users added from elsewhere.
const REMOTE_DATA: &str = "downloads-state";

/// What the services stand on.
pub(crate) struct Ground {
    pub(crate) folder: PathBuf,
    pub(crate) network: Network,
    pub(crate) storage: Storage,
    pub(crate) reporter: Reporter,
    pub(crate) shutdown: Shutdown,
}

/// The services of one host.
pub(crate) struct Services {
    pub(crate) dns: Server,
    pub(crate) resolver: Resolver,
    pub(crate) accounts: Accounts,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) queue: Queue,
    /// From the first configuration that wants any of it.
    mail: OnceLock<Mail>,
    tracker: Tracker,
    publisher: Publisher,
    /// From the first configuration that wants it.
    remote: OnceLock<Standing>,
    pages: web::Server,
    ground: Ground,
}

/// A configuration for which everything is ready.
pub(crate) struct Prepared {
    dns: authoritative::Prepared,
    resolver: resolver::Prepared,
    queue: queue::Settings,
    mail: Option<(Option<Mail>, mail::Prepared)>,
    tracker: tracker::Prepared,
    torrents: publish::Prepared,
    addresses: Addresses,
    remote: Option<(Option<Standing>, rpc::Prepared)>,
    pages: web::Prepared,
    accounts: mail_server::accounts::Config,
    mailboxes: mail_server::mailbox::Config,
}

impl Services {
    /// Starts what the configuration asks for.
    pub(crate) async fn start(
        configuration: &Configuration,
        ground: Ground,
        status: StatusSource,
        metrics: Arc<Metrics>,
    ) -> Result<Self, HostError> {
        let Ground { network, storage, reporter, shutdown, .. } = &ground;
        let dns = Server::start(
            &configuration.dns,
            network.clone(),
            storage.clone(),
            reporter.clone(),
            shutdown.clone(),
        )
        .await?;
        let resolver =
            Resolver::start(&configuration.resolver, network.clone(), reporter.clone(), shutdown.clone())?;
        let mailboxes = Mailboxes::new(configuration.mailboxes.clone(), storage.clone());
        let accounts = Accounts::new(configuration.accounts.clone(), mailboxes.clone());
        let tracker =
            Tracker::new(&configuration.tracker, network.clone(), reporter.clone(), shutdown.clone())
                .map_err(HostError::Tracker)?;
        let publisher = Publisher::new(publish::Parts {
            network: network.clone(),
            tracker: tracker.clone(),
            names: names(&resolver),
            data: ground.folder.join(TORRENTS_DATA),
            reporter: reporter.clone(),
            shutdown: shutdown.clone(),
        });
        let pages = web::Server::new(web::Parts {
            network: network.clone(),
            status,
            metrics,
            torrents: Some(publisher.clone()),
            shutdown: shutdown.clone(),
        });
        let (queue, sending) = mail::queue(configuration, &ground, &resolver, &accounts, &mailboxes).await?;
        let services = Self {
            dns,
            resolver,
            accounts,
            mailboxes,
            queue,
            mail: OnceLock::new(),
            tracker,
            publisher,
            remote: OnceLock::new(),
            pages,
            ground,
        };
        let tracker = services.tracker.prepare(&configuration.tracker)?;
        let pages = services.pages.prepare(&configuration.http)?;
        let torrents = services.publisher.prepare(&configuration.torrents).await?;
        let addresses = torrent_addresses(configuration, &tracker, &pages);
        let remote = services.prepare_remote(configuration).await?;
        if let Some((Some(mail), prepared)) = services.prepare_mail(configuration)? {
            mail.carry_out(prepared);
            let _ = services.mail.set(mail);
        }
        services.tracker.carry_out(tracker);
        services.pages.carry_out(pages);
        for note in services.publisher.carry_out(torrents, addresses).await {
            tracing::warn!("{note}");
        }
        services.carry_out_remote(remote);
        sending.start();
        Ok(services)
    }

    /// Opens and reads what the configuration needs.
    ///
    /// # Errors
    /// When any of it cannot be had; then all stays as it is.
    pub(crate) async fn prepare(&self, configuration: &Configuration) -> Result<Prepared, HostError> {
        let tracker = self.tracker.prepare(&configuration.tracker)?;
        let pages = self.pages.prepare(&configuration.http)?;
        Ok(Prepared {
            dns: self.dns.prepare(&configuration.dns).await?,
            resolver: self.resolver.prepare(&configuration.resolver)?,
            queue: mail::queue_settings(configuration, &self.accounts),
            mail: self.prepare_mail(configuration)?,
            torrents: self.publisher.prepare(&configuration.torrents).await?,
            remote: self.prepare_remote(configuration).await?,
            addresses: torrent_addresses(configuration, &tracker, &pages),
            tracker,
            pages,
            accounts: configuration.accounts.clone(),
            mailboxes: configuration.mailboxes.clone(),
        })
    }

    /// Remote control, where it runs or shall run; it is made when it is wanted first.
    async fn prepare_remote(
        &self,
        configuration: &Configuration,
    ) -> Result<Option<(Option<Standing>, rpc::Prepared)>, HostError> {
        let config = &configuration.rpc;
        if let Some(remote) = self.remote.get() {
            return Ok(Some((None, remote.prepare(config)?)));
        }
        if config.listen.is_empty() {
            return Ok(None);
        }
        let Ground { network, shutdown, folder, .. } = &self.ground;
        let names = names(&self.resolver);
        let remote = Standing::start(config, &folder.join(REMOTE_DATA), network, &names, shutdown).await?;
        let prepared = remote.prepare(config)?;
        Ok(Some((Some(remote), prepared)))
    }

    fn carry_out_remote(&self, prepared: Option<(Option<Standing>, rpc::Prepared)>) {
        let Some((new, prepared)) = prepared else { return };
        let remote = match new {
            Some(new) => Some(self.remote.get_or_init(|| new)),
            None => self.remote.get(),
        };
        if let Some(remote) = remote {
            remote.carry_out(prepared);
        }
    }

    /// Mail, where it runs or shall run; it is made when it is wanted first.
    fn prepare_mail(
        &self,
        configuration: &Configuration,
    ) -> Result<Option<(Option<Mail>, mail::Prepared)>, HostError> {
        if let Some(mail) = self.mail.get() {
            return Ok(Some((None, mail.prepare(configuration, &self.accounts)?)));
        }
        let mut endpoints = configuration.smtp.endpoints().map(|(_, address)| address);
        if endpoints.next().or(configuration.imap.endpoints().map(|(_, address)| address).next()).is_none() {
            return Ok(None);
        }
        let mail = Mail::new(configuration, self)?;
        let prepared = mail.prepare(configuration, &self.accounts)?;
        Ok(Some((Some(mail), prepared)))
    }

    /// Works by the new configuration from here on. Returns what a person should
    /// know.
    pub(crate) async fn carry_out(&self, prepared: Prepared) -> Vec<String> {
        self.accounts.configure(prepared.accounts);
        self.mailboxes.configure(prepared.mailboxes);
        let mut notes = self.dns.carry_out(prepared.dns).await;
        self.resolver.carry_out(prepared.resolver).await;
        self.queue.configure(prepared.queue);
        if let Some((new, prepared)) = prepared.mail {
            let mail = match new {
                Some(new) => Some(self.mail.get_or_init(|| new)),
                None => self.mail.get(),
            };
            if let Some(mail) = mail {
                mail.carry_out(prepared);
            }
        }
        self.tracker.carry_out(prepared.tracker);
        self.pages.carry_out(prepared.pages);
        self.carry_out_remote(prepared.remote);
        notes.extend(self.publisher.carry_out(prepared.torrents, prepared.addresses).await);
        notes
    }

    pub(crate) fn mail(&self) -> Option<&Mail> {
        self.mail.get()
    }

    /// What is published, where anything may be.
    pub(crate) fn torrents(&self) -> Option<web::TorrentsStatus> {
        let listing = self.publisher.listing();
        (!listing.addresses.is_empty()).then(|| web::TorrentsStatus::of(&listing))
    }

    /// What the tracker has done, where there is one.
    pub(crate) fn tracker(&self) -> Option<tracker::Stats> {
        let listens = !(self.tracker.udp_addrs().is_empty() && self.tracker.http_addrs().is_empty());
        listens.then(|| self.tracker.stats())
    }

    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.ground.folder
    }

    /// What listens where.
    pub(crate) fn listening(&self) -> Vec<web::Service> {
        let mut all = Vec::new();
        let mut add = |name: &str, transports: &[&str], addresses: Vec<SocketAddr>| {
            for address in addresses {
                all.extend(transports.iter().map(|transport| web::Service {
                    name: name.to_owned(),
                    transport: (*transport).to_owned(),
                    address,
                    host: None,
                }));
            }
        };
        add("dns", &["udp", "tcp"], self.dns.local_addrs());
        add("resolver", &["udp", "tcp"], self.resolver.addresses());
        for (name, address) in self.mail.get().into_iter().flat_map(Mail::listening) {
            add(name, &["tcp"], vec![address]);
        }
        add("tracker", &["udp"], self.tracker.udp_addrs());
        add("tracker", &["tcp"], self.tracker.http_addrs());
        add("torrents", &["tcp", "udp"], self.publisher.listing().addresses.clone());
        if let Some(remote) = self.remote.get() {
            add("downloads", &["tcp", "udp"], remote.peer_addresses());
            add("rpc", &["tcp"], remote.addresses());
        }
        add("files", &["tcp"], self.pages.public_addresses());
        add("http", &["tcp"], self.pages.addresses());
        all
    }
}

/// Where others will reach what belongs to torrents.
fn torrent_addresses(
    configuration: &Configuration,
    tracker: &tracker::Prepared,
    pages: &web::Prepared,
) -> Addresses {
    let (udp, http) = (tracker.udp_addrs(), tracker.http_addrs());
    torrents::addresses(configuration, &udp, &http, &pages.torrent_addresses())
}

/// The hosts that torrents name, by our resolver; over https they must be whom the
/// machine trusts.
fn names(resolver: &Resolver) -> Names {
    Names::new(Some(Arc::new(resolver.clone())), net::tls::client_config_of_system())
}
