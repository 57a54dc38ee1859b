//! The HTTP service.

use crate::{Config, Status, page};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::{Router, middleware, routing};
use event::metrics::Metrics;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use net::{ListenError, Listener, Listeners, Network, Plan, Shutdown, Stream};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// Connections open at once; further ones wait.
const CONNECTIONS_MAX: usize = 1_000;
/// Connections open at once from one address; further ones are closed.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 50;
/// How long a client may take to send a whole request header, and how long it may
/// say nothing between two requests.
const HEADER_PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may last, also one whose client does not read what it
/// asked for; a client with more to ask connects again.
const LIFE: Duration = Duration::from_mins(1);
/// How long a response that has begun may take once its connection is to end:
/// short enough for a host that has ten seconds to stop.
const LAST_PATIENCE: Duration = Duration::from_secs(3);

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
    app: Router,
    listeners: Listeners<()>,
    shutdown: Shutdown,
}

/// A new configuration for which everything is ready.
pub struct Prepared(Plan<(), Listener>);

impl Server {
    /// Pages that are not served yet. Serving ends with `shutdown`.
    pub fn new(network: Network, status: StatusSource, metrics: Arc<Metrics>, shutdown: Shutdown) -> Self {
        let listeners = Listeners::none(network, shutdown.clone(), |()| "http");
        Self { app: router(Shown { status, metrics }), listeners, shutdown }
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
            let (app, shutdown) = (self.app.clone(), self.shutdown.clone());
            self.shutdown.spawn(new.socket.each(new.closing, move |stream| {
                shutdown.spawn(serve(stream, app.clone(), shutdown.clone()));
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

/// Serves one connection, within its bounds.
async fn serve(stream: Stream, app: Router, shutdown: Shutdown) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    let mut connection = pin!(connection);
    tokio::select! {
        // Whatever a client does wrong ends its own connection only.
        _ = connection.as_mut() => return,
        () = shutdown.requested() => {}
        () = tokio::time::sleep(LIFE) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(LAST_PATIENCE, connection).await;
}
