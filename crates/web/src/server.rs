//! The HTTP service.

use crate::{Config, Status, page};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::{Router, middleware, routing};
use event::metrics::Metrics;
use net::{ListenError, Listener, Listeners, Network, Plan, Shutdown, Stream};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Connections open at once; further ones wait.
const CONNECTIONS_MAX: usize = 1_000;
/// Connections open at once from one address; further ones are closed.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 50;

/// Tells what runs where, now.
pub type StatusSource = Arc<dyn Fn() -> Status + Send + Sync>;

/// What the pages read.
#[derive(Clone)]
struct Shown {
    status: StatusSource,
    metrics: Arc<Metrics>,
}

/// The pages of a host.
pub struct Server {
    listeners: Listeners<()>,
    /// To the one that serves what all listeners accept. They bound what waits there.
    accepted: mpsc::UnboundedSender<Stream>,
    shutdown: Shutdown,
}

/// A new configuration for which everything is ready.
pub struct Prepared(Plan<(), Listener>);

impl Server {
    /// Pages without a listener yet. Serving ends with `shutdown`. Must be called
    /// within a tokio runtime.
    pub fn new(network: Network, status: StatusSource, metrics: Arc<Metrics>, shutdown: Shutdown) -> Self {
        let listeners = Listeners::none(network, shutdown.clone(), |()| "http");
        let (accepted, streams) = mpsc::unbounded_channel();
        let end = shutdown.clone();
        let served = axum::serve(Accepting(streams), router(Shown { status, metrics }))
            .with_graceful_shutdown(async move { end.requested().await });
        shutdown.spawn(async move {
            // Accepting does not fail.
            let _ = served.await;
        });
        Self { listeners, accepted, shutdown }
    }

    /// Opens what the configuration needs and is not open yet.
    ///
    /// # Errors
    /// When an address cannot be listened on; then all stays as it is.
    pub fn prepare(&self, config: &Config) -> Result<Prepared, ListenError> {
        self.listeners.plan(config.listen.iter().map(|address| ((), *address))).map(Prepared)
    }

    /// Serves on the addresses of the configuration from here on.
    pub fn carry_out(&self, Prepared(plan): Prepared) {
        for new in self.listeners.carry_out(plan, CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX) {
            let accepted = self.accepted.clone();
            self.shutdown.spawn(new.socket.each(new.closing, move |stream| {
                // When nobody serves any more the host is stopping.
                let _ = accepted.send(stream);
            }));
        }
    }

    /// Where it listens.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.doors().into_iter().map(|((), address)| address).collect()
    }
}

fn router(shown: Shown) -> Router {
    Router::new()
        .route("/", routing::get(status_page))
        .route("/status.json", routing::get(status_json))
        .route("/metrics", routing::get(metrics))
        .route(
            "/style.css",
            routing::get(|| async { asset("text/css; charset=utf-8", include_str!("../assets/style.css")) }),
        )
        .route(
            "/copy.js",
            routing::get(|| async {
                asset("text/javascript; charset=utf-8", include_str!("../assets/copy.js"))
            }),
        )
        .fallback(|| async {
            (axum::http::StatusCode::NOT_FOUND, "There is no such page here; the status page is at /\n")
        })
        .layer(middleware::map_response(guard))
        .with_state(shown)
}

async fn status_page(State(shown): State<Shown>) -> Html<String> {
    Html(page::html(&(shown.status)()))
}

async fn status_json(State(shown): State<Shown>) -> Json<Status> {
    Json((shown.status)())
}

async fn metrics(State(shown): State<Shown>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shown.metrics.text()).into_response()
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// Headers that every response carries.
async fn guard(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 4] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// What our listeners accept, as axum wants it.
struct Accepting(mpsc::UnboundedReceiver<Stream>);

impl axum::serve::Listener for Accepting {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        match self.0.recv().await {
            Some(stream) => {
                let peer = stream.peer_addr();
                (stream, peer)
            }
            // The pages are gone: nobody comes any more.
            None => std::future::pending().await,
        }
    }

    /// Of no account to the pages, which have several.
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::AddrNotAvailable.into())
    }
}
