//! A whole mail host on a loopback address, and names for it to look up.

use bytes::Bytes;
use dns::{BoxFuture, Name, Record, Resolution, Resolve, ResolveError};
use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::name::FlattenInto;
use domain::zonefile::inplace::{Entry, Zonefile};
use event::Reporter;
use mail_server::accounts::{self, Accounts};
use mail_server::authentication::{DkimKey, DkimSigner};
use mail_server::directory::Directory;
use mail_server::mailbox::{self, MailboxId, Mailboxes};
use mail_server::queue::{self, Queue};
use mail_server::smtp::client::{Security, Submission, Target, submit};
use mail_server::smtp::{self, Face};
use net::tls::{Authority, client_config_opportunistic, client_config_verified, server_config};
use net::{Network, Shutdown};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use storage::Storage;

/// Names as a master file has them; anything else does not exist. A name with
/// only the record `TXT "servfail"` cannot be looked up.
#[derive(Default)]
pub(crate) struct Names {
    records: Mutex<HashMap<String, Vec<Record>>>,
}

impl Names {
    pub(crate) fn new(master: &str) -> Arc<Self> {
        let mut text = format!("$ORIGIN .\n$TTL 60\n{master}\n").into_bytes();
        text.push(b'\n');
        let mut file = Zonefile::load(&mut text.as_slice()).expect("names");
        file.set_default_class(Class::IN);
        let mut records: HashMap<String, Vec<Record>> = HashMap::new();
        while let Some(entry) = file.next_entry().expect("a record") {
            if let Entry::Record(record) = entry {
                let record: Record = record.flatten_into();
                records.entry(record.owner().to_string().to_lowercase()).or_default().push(record);
            }
        }
        Arc::new(Self { records: Mutex::new(records) })
    }
}

impl Resolve for Names {
    fn resolve<'a>(
        &'a self,
        name: &'a Name,
        rtype: Rtype,
    ) -> BoxFuture<'a, Result<Resolution, ResolveError>> {
        Box::pin(async move {
            let records = self.records.lock().unwrap();
            let Some(all) = records.get(&name.to_string().to_lowercase()) else {
                return Ok(Resolution { rcode: Rcode::NXDOMAIN, records: Vec::new() });
            };
            if all.iter().any(|record| record.data().to_string().contains("servfail")) {
                return Err(ResolveError::Failed {
                    name: name.to_string(),
                    zone: ".".into(),
                    rcode: Rcode::SERVFAIL,
                });
            }
            let found = all.iter().filter(|record| record.rtype() == rtype).cloned().collect();
            Ok(Resolution { rcode: Rcode::NOERROR, records: found })
        })
    }
}

/// What a host is to be.
pub(crate) struct Plan {
    pub(crate) domain: &'static str,
    pub(crate) address: IpAddr,
    /// The port of its MX; 0 for any.
    pub(crate) port: u16,
    /// The port of other hosts' MX; 0 for the same as its own.
    pub(crate) remote_port: u16,
    pub(crate) folder: PathBuf,
    pub(crate) names: Arc<Names>,
    pub(crate) users: Vec<&'static str>,
    pub(crate) queue: queue::Config,
    pub(crate) smtp: smtp::Config,
    pub(crate) keys: Vec<DkimKey>,
    pub(crate) reporter: Reporter,
}

impl Plan {
    pub(crate) fn new(domain: &'static str, address: &str, folder: &Path, names: &Arc<Names>) -> Self {
        Self {
            domain,
            address: address.parse().unwrap(),
            port: 0,
            remote_port: 0,
            folder: folder.to_owned(),
            names: names.clone(),
            users: Vec::new(),
            queue: queue::Config {
                retry_seconds_first: 3600,
                connect_seconds_max: 5,
                ..queue::Config::default()
            },
            smtp: smtp::Config::default(),
            keys: Vec::new(),
            reporter: Reporter::silent(),
        }
    }

    pub(crate) async fn start(self) -> Host {
        let hostname = format!("mail.{}", self.domain);
        let storage =
            Storage::open(&storage::Config::default(), &self.folder, self.reporter.clone()).unwrap();
        let mailboxes = Mailboxes::new(mailbox::Config::default(), storage);
        let accounts = Accounts::new(accounts::Config::default(), mailboxes.clone());
        for user in &self.users {
            let address = format!("{user}@{}", self.domain);
            if accounts.find(&address).await.unwrap().is_none() {
                accounts.create(&address, PASSWORD).await.unwrap();
            }
        }
        let network = Network::from_source(self.address);
        let shutdown = Shutdown::new();
        let authority = Authority::create("the test's CA", SystemTime::now()).unwrap();
        let issued = authority.issue(&[&hostname, &self.address.to_string()], SystemTime::now()).unwrap();
        let tls = server_config(&issued.cert_chain_pem, &issued.key_pem).unwrap();
        let directory = Directory::new(&[self.domain.to_owned()], accounts.clone());
        let queue_settings = queue::Settings {
            config: self.queue.clone(),
            hostname: hostname.clone(),
            directory: directory.clone(),
        };
        let (queue, sending) = Queue::open(
            queue_settings,
            queue::Parts {
                network: network.clone(),
                tls: client_config_opportunistic().unwrap(),
                resolver: self.names.clone(),
                mailboxes: mailboxes.clone(),
                reporter: self.reporter.clone(),
                shutdown: shutdown.clone(),
            },
        )
        .await
        .unwrap();
        sending.start();
        let smtp = smtp::Server::new(smtp::Parts {
            network,
            tls,
            accounts: accounts.clone(),
            mailboxes: mailboxes.clone(),
            queue: queue.clone(),
            resolver: self.names,
            reporter: self.reporter,
            shutdown: shutdown.clone(),
        });
        let at = |port| vec![SocketAddr::new(self.address, port)];
        let config = smtp::Config {
            listen: at(self.port),
            listen_submission: at(0),
            listen_submissions: at(0),
            connections_per_address_max: 200,
            ..self.smtp
        };
        let signer = DkimSigner::new(&self.keys).unwrap();
        let settings =
            smtp::Settings { config, hostname: hostname.clone(), directory: directory.clone(), signer };
        smtp.carry_out(smtp.prepare(settings).unwrap());
        let ports: HashMap<Face, SocketAddr> = smtp.addresses().into_iter().collect();
        // Other hosts of a test listen where this one does.
        let remote_port =
            if self.remote_port == 0 { ports[&Face::Exchange].port() } else { self.remote_port };
        let config = queue::Config { remote_port, ..self.queue };
        queue.configure(queue::Settings { config, hostname: hostname.clone(), directory });
        Host {
            hostname,
            domain: self.domain,
            ca_pem: authority.cert_pem().to_owned(),
            ports,
            queue,
            mailboxes,
            accounts,
            shutdown,
        }
    }
}

pub(crate) const PASSWORD: &str = "correct horse battery";

/// A mail host that runs.
pub(crate) struct Host {
    pub(crate) hostname: String,
    pub(crate) domain: &'static str,
    pub(crate) ca_pem: String,
    pub(crate) ports: HashMap<Face, SocketAddr>,
    pub(crate) queue: Queue,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) accounts: Accounts,
    pub(crate) shutdown: Shutdown,
}

impl Host {
    pub(crate) fn exchange(&self) -> SocketAddr {
        self.ports[&Face::Exchange]
    }

    pub(crate) fn address(&self, user: &str) -> String {
        format!("{user}@{}", self.domain)
    }

    /// Stops it, and closes its storage.
    pub(crate) async fn stop(self) {
        assert!(self.shutdown.finish(Duration::from_secs(10)).await, "it stops in time");
    }

    /// The messages in a user's mailbox.
    pub(crate) async fn read(&self, user: &str, mailbox: &str) -> Vec<String> {
        let account = self.accounts.find(&self.address(user)).await.unwrap().expect("an account");
        let mailbox = match mailbox {
            "INBOX" => MailboxId::INBOX,
            name => self.mailboxes.find(account, name).await.unwrap().expect("a mailbox").id,
        };
        let mut texts = Vec::new();
        for message in self.mailboxes.messages(account, mailbox, vec![1..=u32::MAX]).await.unwrap() {
            let octets = self.mailboxes.content(&message).await.unwrap();
            texts.push(String::from_utf8_lossy(&octets).into_owned());
        }
        texts
    }

    /// Waits until a user's INBOX has so many messages.
    pub(crate) async fn wait_for(&self, user: &str, count: usize) -> Vec<String> {
        for _ in 0..600 {
            let texts = self.read(user, "INBOX").await;
            if texts.len() >= count {
                return texts;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!(
            "{} messages did not reach {user}; the queue holds {:?}",
            count,
            self.queue.list().await.unwrap()
        );
    }

    /// Waits until the queue holds so many entries of which each was tried.
    pub(crate) async fn wait_for_queue(&self, count: usize) -> Vec<queue::Waiting> {
        for _ in 0..600 {
            let list = self.queue.list().await.unwrap();
            if list.len() == count && list.iter().all(|waiting| waiting.attempts > 0) {
                return list;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the queue holds {:?}", self.queue.list().await.unwrap());
    }

    /// Submits as a user, under TLS, with our own client.
    pub(crate) async fn send(&self, user: &str, to: &[&str], message: &str) -> Vec<mail::smtp::Reply> {
        let target = Target {
            address: self.ports[&Face::Submissions],
            name: self.hostname.clone(),
            hostname: "laptop.test".into(),
            security: Security::Tls(client_config_verified(&self.ca_pem).unwrap()),
            connect_patience: Duration::from_secs(10),
            reply_patience: Duration::from_mins(1),
        };
        let submission = Submission {
            from: Some(self.address(user).parse().unwrap()),
            recipients: to.iter().map(|to| to.parse().unwrap()).collect(),
            message: Bytes::from(message.to_owned()),
            login: Some((self.address(user), PASSWORD.into())),
        };
        submit(&Network::new(), target, submission).await.unwrap()
    }
}
