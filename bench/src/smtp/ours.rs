//! Our MX, in this process, on a name service in which no name exists.

use super::load::user;
use super::{DOMAIN, Measured, USERS};
use dns::{BoxFuture, Name, Resolution, Resolve, ResolveError};
use domain::base::iana::{Rcode, Rtype};
use event::Reporter;
use mail_server::accounts::{self, Accounts};
use mail_server::authentication::DkimSigner;
use mail_server::directory::Directory;
use mail_server::mailbox::{self, AccountId, Mailboxes};
use mail_server::queue::{self, Queue};
use mail_server::smtp;
use net::tls::{Authority, client_config_opportunistic, server_config};
use net::{Network, Shutdown};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use storage::Storage;
use tokio::runtime::Runtime;

/// A world without names, that answers at once.
struct Nowhere;

impl Resolve for Nowhere {
    fn resolve<'a>(&'a self, _: &'a Name, _: Rtype) -> BoxFuture<'a, Result<Resolution, ResolveError>> {
        Box::pin(async { Ok(Resolution { rcode: Rcode::NXDOMAIN, records: Vec::new() }) })
    }
}

/// The server under test.
pub(super) struct Ours {
    runtime: Runtime,
    address: SocketAddr,
    mailboxes: Mailboxes,
    accounts: Vec<AccountId>,
    shutdown: Shutdown,
}

impl Ours {
    pub(super) fn start(folder: &Path) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let shutdown = Shutdown::new();
        let storage = Storage::open(&storage::Config::default(), folder, Reporter::silent());
        let mailboxes = Mailboxes::new(mailbox::Config::default(), storage.map_err(io::Error::other)?);
        let (address, accounts) = runtime.block_on(serve(&mailboxes, &shutdown))?;
        Ok(Self { runtime, address, mailboxes, accounts, shutdown })
    }

    /// Durable commits so far.
    pub(super) fn commits(&self) -> u64 {
        self.mailboxes.storage().commits()
    }

    pub(super) fn stop(self) -> io::Result<()> {
        if self.runtime.block_on(self.shutdown.finish(Duration::from_secs(5))) {
            Ok(())
        } else {
            Err(io::Error::other("our server does not stop"))
        }
    }
}

impl Measured for Ours {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn delivered(&self) -> io::Result<usize> {
        self.runtime.block_on(async {
            let mut messages = 0;
            for account in &self.accounts {
                messages += self.mailboxes.usage(*account).await.map_err(io::Error::other)?.messages;
            }
            usize::try_from(messages).map_err(io::Error::other)
        })
    }

    fn cpu_seconds(&self) -> io::Result<f64> {
        super::process::cpu_seconds(std::process::id())
    }

    fn includes_load(&self) -> bool {
        true
    }
}

async fn serve(mailboxes: &Mailboxes, shutdown: &Shutdown) -> io::Result<(SocketAddr, Vec<AccountId>)> {
    let hostname = format!("mail.{DOMAIN}");
    let network = Network::new();
    let accounts = Accounts::new(accounts::Config::default(), mailboxes.clone());
    let mut ids = Vec::new();
    for number in 0..USERS {
        ids.push(accounts.create(&user(number), "correct horse battery").await.map_err(io::Error::other)?);
    }
    let now = SystemTime::now();
    let authority = Authority::create("the bench's CA", now).map_err(io::Error::other)?;
    let issued = authority.issue(&[&hostname], now).map_err(io::Error::other)?;
    let directory = Directory::new(&[DOMAIN.to_owned()], accounts.clone());
    let reporter = Reporter::silent();
    let settings = queue::Settings {
        config: queue::Config::default(),
        hostname: hostname.clone(),
        directory: directory.clone(),
    };
    let parts = queue::Parts {
        network: network.clone(),
        tls: client_config_opportunistic().map_err(io::Error::other)?,
        resolver: Arc::new(Nowhere),
        mailboxes: mailboxes.clone(),
        reporter: reporter.clone(),
        shutdown: shutdown.clone(),
    };
    let (queue, sending) = Queue::open(settings, parts).await.map_err(io::Error::other)?;
    sending.start();
    let server = smtp::Server::new(smtp::Parts {
        network,
        tls: server_config(&issued.cert_chain_pem, &issued.key_pem).map_err(io::Error::other)?,
        accounts,
        mailboxes: mailboxes.clone(),
        queue,
        resolver: Arc::new(Nowhere),
        reporter,
        shutdown: shutdown.clone(),
    });
    // One session of the load sends more than a stranger may.
    let config = smtp::Config {
        listen: vec![([127, 0, 0, 1], 0).into()],
        messages_per_session_max: 1_000_000,
        ..smtp::Config::default()
    };
    let signer = DkimSigner::new(&[]).map_err(io::Error::other)?;
    let settings = smtp::Settings { config, hostname, directory, signer };
    server.carry_out(server.prepare(settings).map_err(io::Error::other)?);
    let (_, address) = server.addresses()[0];
    Ok((address, ids))
}
