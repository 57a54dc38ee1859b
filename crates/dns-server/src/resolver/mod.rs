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

use arc_swap::ArcSwapOption;
use dns::resolver::Question;
use dns::{BoxFuture, Name, Resolution, Resolve, ResolveError};
use domain::base::iana::Rtype;
use engine::{Asked, Engine};
use event::Reporter;
use net::{
    Datagrams, Doors, ListenBounds, ListenError, ListenOptions, Listener, Network, Opened, Plan, Shutdown,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use stubs::{Serving, Stubs};
use tokio::sync::mpsc;
use upstream::Upstream;

/// Questions that wait for the engine; further stubs get SERVFAIL.
const QUESTIONS_WAITING_MAX: usize = 4_096;
/// Times both transports are tried on one port chosen by the system.
const PORT_TRIES_MAX: usize = 16;

/// Why the resolver did not start, or did not take a configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A socket could not be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// A running resolver. Clones speak of the same one.
#[derive(Debug, Clone)]
pub struct Resolver(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    questions: mpsc::Sender<Asked>,
    rules: mpsc::Sender<dns::resolver::Config>,
    /// What is served to whom; `None` before the first configuration.
    serving: Arc<ArcSwapOption<Serving>>,
    bounds: ListenBounds,
    doors: Mutex<Doors<()>>,
    network: Network,
    reporter: Reporter,
    shutdown: Shutdown,
}

/// A new configuration for which everything is ready.
#[derive(Debug)]
pub struct Prepared {
    rules: dns::resolver::Config,
    serving: Serving,
    bounds: (usize, usize),
    plan: Plan<(), (Datagrams, Listener)>,
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
        let (questions, asked) = mpsc::channel(QUESTIONS_WAITING_MAX);
        let (rules, configured) = mpsc::channel(1);
        let machine = dns::resolver::Resolver::new(config.rules()?, StdRng::from_rng(&mut rand::rng()));
        let resolver = Self(Arc::new(Shared {
            questions,
            rules,
            serving: Arc::default(),
            bounds: ListenBounds::new(config.connections_max, config.connections_per_address_max),
            doors: Mutex::new(Doors::none()),
            network: network.clone(),
            reporter: reporter.clone(),
            shutdown: shutdown.clone(),
        }));
        let prepared = resolver.prepare(config)?;
        let engine = Engine::new(machine, Upstream::new(network), asked, configured, reporter);
        shutdown.spawn(engine.run(shutdown.clone()));
        resolver.serve(prepared);
        Ok(resolver)
    }

    /// Opens what the configuration needs and is not open yet.
    ///
    /// # Errors
    /// When a setting is wrong or a socket cannot be opened; then all stays as
    /// it is.
    pub fn prepare(&self, config: &Config) -> Result<Prepared, StartError> {
        let shared = &self.0;
        let rules = config.rules()?;
        let serving =
            Serving { allowed: config.allowed()?, idle: Duration::from_secs(config.idle_seconds_max) };
        let wanted = config.listen.iter().map(|address| ((), *address));
        let plan = shared.lock().plan(wanted, &shared.shutdown, |(), address| {
            let failed = |source| ListenError { service: "resolver", address, source };
            let (datagrams, listener, local) =
                listen(&shared.network.taking_over(), address, &shared.bounds).map_err(failed)?;
            Ok::<_, ListenError>(((datagrams, listener), local))
        })?;
        let bounds = (config.connections_max, config.connections_per_address_max);
        Ok(Prepared { rules, serving, bounds, plan })
    }

    /// Serves by the new configuration from here on. What is cached stays,
    /// unless what it was learnt from changes; questions under way are answered.
    pub async fn carry_out(&self, prepared: Prepared) {
        // When the engine has ended the host is stopping.
        let _ = self.0.rules.send(prepared.rules.clone()).await;
        self.serve(prepared);
    }

    fn serve(&self, prepared: Prepared) {
        let shared = &self.0;
        let Prepared { serving, bounds: (connections_max, per_address_max), plan, .. } = prepared;
        shared.serving.store(Some(Arc::new(serving)));
        shared.bounds.set(connections_max, per_address_max);
        let (doors, opened) = plan.carry_out();
        *shared.lock() = doors;
        for Opened { socket: (datagrams, listener), local, closing, .. } in opened {
            shared.network.tell_listening("resolver", local);
            let stubs = Stubs {
                serving: shared.serving.clone(),
                questions: shared.questions.clone(),
                reporter: shared.reporter.clone(),
                shutdown: shared.shutdown.clone(),
                closing,
            };
            shared.shutdown.spawn(stubs.clone().serve_datagrams(Arc::new(datagrams)));
            shared.shutdown.spawn(stubs.serve_streams(listener));
        }
    }

    /// Where it listens, over UDP and TCP alike.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0.lock().addresses().into_iter().map(|((), address)| address).collect()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Doors<()>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resolve for Resolver {
    fn resolve<'a>(
        &'a self,
        name: &'a Name,
        rtype: Rtype,
    ) -> BoxFuture<'a, Result<Resolution, ResolveError>> {
        Box::pin(async move {
            let question = Question { name: name.clone(), rtype };
            let asked = |reply| Asked::Service { question, reply };
            let response = net::ask(&self.0.questions, asked).await.ok_or(ResolveError::Stopping)??;
            Ok(Resolution { rcode: response.rcode, records: response.answer })
        })
    }
}

/// Both transports on one port.
fn listen(
    network: &Network,
    address: SocketAddr,
    bounds: &ListenBounds,
) -> std::io::Result<(Datagrams, Listener, SocketAddr)> {
    let mut tries = 0;
    loop {
        tries += 1;
        let datagrams = network.datagrams(address)?;
        let bound = datagrams.local_addr()?;
        let options = ListenOptions { address: bound, bounds: bounds.clone() };
        match network.listen(&options) {
            Ok(listener) => return Ok((datagrams, listener, bound)),
            // The system chose a port that is free for UDP only.
            Err(_) if address.port() == 0 && tries < PORT_TRIES_MAX => {}
            Err(error) => return Err(error),
        }
    }
}
