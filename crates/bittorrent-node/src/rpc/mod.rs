//! Remote control by Transmission's RPC, as `transmission-remote`, web interfaces
//! and programs for phones speak it.

mod changes;
mod config;
mod fields;
mod http;
mod lines;
mod methods;
mod request;
mod session_methods;
mod standing;

pub use config::{Config, ConfigError};
pub use request::{BATCH_MAX, Body, IDS_MAX, Id, Ids, Malformed, REQUEST_OCTETS_MAX, Request};
pub use standing::{Standing, StandingError};

use crate::names::Names;
use crate::session::Session;
use arc_swap::ArcSwap;
use config::Settings;
use methods::{Answer, Service};
use net::{ListenError, Listener, Listeners, Network, Plan, Shutdown};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Connections open at once; further ones wait.
const CONNECTIONS_MAX: usize = 100;
/// Connections open at once from one address; further ones are closed.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 50;
/// Bodies of requests in memory at once.
const BODIES_MAX: usize = 4;
/// Requests that wait for the session.
const CALLS_MAX: usize = 64;
/// How often the session looks after its torrents.
const TICK: Duration = Duration::from_secs(1);

/// Why the service did not start, or did not take a configuration.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// A socket could not be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// The service. Ends with the shutdown it was made with; the session is kept then.
#[derive(Debug)]
pub struct Rpc {
    shared: Arc<Shared>,
    listeners: Listeners<()>,
    shutdown: Shutdown,
}

/// A new configuration for which everything is ready.
#[derive(Debug)]
pub struct Prepared {
    settings: Settings,
    plan: Plan<(), Listener>,
}

/// What all connections see.
#[derive(Debug)]
struct Shared {
    settings: ArcSwap<Settings>,
    calls: mpsc::Sender<Call>,
    session_id: String,
    bodies: Semaphore,
    network: Network,
    names: Names,
}

/// A request on its way to the session.
struct Call {
    request: Request,
    reply: oneshot::Sender<Option<Value>>,
}

impl Rpc {
    /// A service for a session, which does not listen yet. `closing` is requested
    /// by a client's `session-close`; without it that is refused. Must be called
    /// within a tokio runtime.
    pub fn new(
        session: Session,
        network: Network,
        names: Names,
        shutdown: Shutdown,
        closing: Option<Shutdown>,
    ) -> Self {
        let session_id = format!("{:032x}{:016x}", rand::random::<u128>(), rand::random::<u64>());
        let (calls, waiting) = mpsc::channel(CALLS_MAX);
        let (moved, moves) = mpsc::unbounded_channel();
        let service = Service { session, closing, session_id: session_id.clone(), moved };
        shutdown.spawn(run(service, waiting, moves, shutdown.clone()));
        let shared = Arc::new(Shared {
            settings: ArcSwap::default(),
            calls,
            session_id,
            bodies: Semaphore::new(BODIES_MAX),
            network: network.clone(),
            names,
        });
        Self { shared, listeners: Listeners::none(network, shutdown.clone(), |()| "rpc"), shutdown }
    }

    /// Opens and reads what the configuration needs.
    ///
    /// # Errors
    /// When a socket cannot be opened, or the configuration is wrong; then all
    /// stays as it is.
    pub fn prepare(&self, config: &Config) -> Result<Prepared, RpcError> {
        let settings = config.settings()?;
        let plan = self.listeners.plan(config.listen.iter().map(|address| ((), *address)))?;
        Ok(Prepared { settings, plan })
    }

    /// Works by the new configuration from here on.
    pub fn carry_out(&self, Prepared { settings, plan }: Prepared) {
        self.shared.settings.store(Arc::new(settings));
        for new in self.listeners.carry_out(plan, CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX) {
            let (shared, shutdown) = (self.shared.clone(), self.shutdown.clone());
            self.shutdown.spawn(new.socket.each(new.closing, move |stream| {
                shutdown.spawn(http::serve(stream, shared.clone(), shutdown.clone()));
            }));
        }
    }

    /// Where it listens, in the order of the configuration.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.doors().into_iter().map(|((), address)| address).collect()
    }
}

impl Shared {
    /// Has a request answered; nothing is to a notification.
    async fn ask(&self, mut request: Request) -> Option<Value> {
        if let Some(url) = methods::fetched_by(&request) {
            // Others are answered while it comes.
            match crate::fetch(&self.network, &self.names, &url).await {
                Ok(octets) => {
                    use base64::Engine as _;
                    let text = base64::prelude::BASE64_STANDARD.encode(octets);
                    request.arguments.insert("metainfo".to_owned(), text.into());
                }
                Err(error) => return request.answer(Err(error.to_string())),
            }
        }
        let stopping = request.answer(Err("it is being stopped".to_owned()));
        net::ask(&self.calls, |reply| Call { request, reply }).await.unwrap_or(stopping)
    }
}

/// Answers one request after the other, and looks after the session meanwhile.
async fn run(
    mut service: Service,
    mut calls: mpsc::Receiver<Call>,
    mut moves: mpsc::UnboundedReceiver<(i64, std::path::PathBuf)>,
    shutdown: Shutdown,
) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.requested() => break,
            _ = ticks.tick() => service.session.tick().await,
            Some((id, folder)) = moves.recv() => {
                if let Err(error) = service.session.change(id, |record| record.folder = folder).await {
                    tracing::warn!(error, "where files were moved to is not kept with the session");
                }
            }
            call = calls.recv() => {
                let Some(Call { request, reply }) = call else { break };
                // Who asked may have left.
                match service.answer(&request).await {
                    Answer::Now(outcome) => drop(reply.send(request.answer(outcome))),
                    Answer::Later(outcome) => drop(shutdown.spawn(async move {
                        let _ = reply.send(request.answer(outcome.await));
                    })),
                }
            }
        }
    }
    service.session.close().await;
}
