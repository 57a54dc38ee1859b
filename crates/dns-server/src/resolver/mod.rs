//! The resolver: iterates from the root for this host's services and for stub
//! resolvers of the networks it is told to serve.
//!
//! - `config`: the `[resolver]` section
//! - `stubs`: listening for stub resolvers
//! - `engine`: the one task that owns the rules of [`dns::resolver`]
//! - `upstream`: sockets and connections to name servers
//! - `client`: one question to one server, as a stub resolver asks it
//! - `once`: one question from the root, told step by step

mod client;
mod config;
mod engine;
mod once;
mod stubs;
mod upstream;

pub use client::{AskError, AskOptions, Exchanged, ask};
pub use config::{Config, ConfigError, RootHintConfig};
pub use once::iterate;

use dns::resolver::Question;
use dns::{BoxFuture, Name, Resolution, Resolve, ResolveError};
use domain::base::iana::Rtype;
use engine::{Asked, Engine};
use event::{Reporter, SocketEvent};
use net::{Datagrams, ListenOptions, Listener, Network, Shutdown};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use stubs::Stubs;
use tokio::sync::{mpsc, oneshot};
use upstream::Upstream;

/// Questions that wait for the engine; further stubs get SERVFAIL.
const QUESTIONS_WAITING_MAX: usize = 4_096;
/// Times both transports are tried on one port chosen by the system.
const PORT_TRIES_MAX: usize = 16;

/// Why the resolver did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A socket could not be opened.
    #[error(
        "the resolver cannot listen on {address}: {source}; choose another address or stop what listens there"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// A running resolver. Clones speak of the same one.
#[derive(Debug, Clone)]
pub struct Resolver {
    questions: mpsc::Sender<Asked>,
    addresses: Arc<[SocketAddr]>,
}

impl Resolver {
    /// Opens the sockets and serves until `shutdown` is requested. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// When a setting is wrong or a socket cannot be opened.
    pub fn start(
        config: &Config,
        network: Network,
        reporter: Reporter,
        shutdown: Shutdown,
    ) -> Result<Self, StartError> {
        let rules = dns::resolver::Resolver::new(config.rules()?, StdRng::from_rng(&mut rand::rng()));
        let (questions, receiver) = mpsc::channel(QUESTIONS_WAITING_MAX);
        let stubs = Stubs {
            allowed: config.allowed()?.into(),
            idle: Duration::from_secs(config.idle_seconds_max.max(1)),
            questions: questions.clone(),
            reporter: reporter.clone(),
            shutdown: shutdown.clone(),
        };
        let mut opened = Vec::new();
        for &address in &config.listen {
            let pair = listen(&network, address, config);
            opened.push(pair.map_err(|source| StartError::Listen { address, source })?);
        }
        let mut addresses = Vec::new();
        for (datagrams, listener, address) in opened {
            reporter.tell(SocketEvent::Listening { service: "resolver".to_owned(), address });
            addresses.push(address);
            shutdown.spawn(stubs.clone().serve_datagrams(Arc::new(datagrams)));
            shutdown.spawn(stubs.clone().serve_streams(listener));
        }
        let engine = Engine::new(rules, Upstream::new(network), receiver, reporter);
        shutdown.spawn(engine.run(shutdown.clone()));
        Ok(Self { questions, addresses: addresses.into() })
    }

    /// Where it listens, over UDP and TCP alike.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Resolve for Resolver {
    fn resolve<'a>(
        &'a self,
        name: &'a Name,
        rtype: Rtype,
    ) -> BoxFuture<'a, Result<Resolution, ResolveError>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let question = Question { name: name.clone(), rtype };
            let asked = Asked::Service { question, reply };
            self.questions.send(asked).await.map_err(|_| ResolveError::Stopping)?;
            let response = answer.await.map_err(|_| ResolveError::Stopping)??;
            Ok(Resolution { rcode: response.rcode, records: response.answer })
        })
    }
}

/// Both transports on one port.
fn listen(
    network: &Network,
    address: SocketAddr,
    config: &Config,
) -> std::io::Result<(Datagrams, Listener, SocketAddr)> {
    let mut tries = 0;
    loop {
        tries += 1;
        let datagrams = network.datagrams(address)?;
        let bound = datagrams.local_addr()?;
        let options = ListenOptions {
            connections_max: config.connections_max,
            connections_per_address_max: config.connections_per_address_max,
            ..ListenOptions::at(bound)
        };
        match network.listen(&options) {
            Ok(listener) => return Ok((datagrams, listener, bound)),
            // The system chose a port that is free for UDP only.
            Err(_) if address.port() == 0 && tries < PORT_TRIES_MAX => {}
            Err(error) => return Err(error),
        }
    }
}
