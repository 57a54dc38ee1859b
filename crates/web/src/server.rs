//! The HTTP service.

use crate::torrents::{self, Pulse};
use crate::{Config, Status, page};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Json, Redirect, Response};
use axum::{Router, middleware, routing};
use bittorrent_node::publish::Publisher;
use event::metrics::Metrics;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use net::{ListenError, Listener, Listeners, Network, Plan, Shutdown, Stream};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// Connections open at once; further ones wait.
pub(crate) const CONNECTIONS_MAX: usize = 1_000;
/// Connections open at once from one address; further ones are closed.
pub(crate) const CONNECTIONS_PER_ADDRESS_MAX: usize = 50;
/// How long a client may take to send a whole request header, and how long it may
/// say nothing between two requests.
const HEADER_PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may last after its client last took a piece of a file, or
/// since it began; a client with more to ask connects again.
const LIFE: Duration = Duration::from_mins(1);
/// How long a response that has begun may take once its connection is to end:
/// short enough for a host that has ten seconds to stop.
const LAST_PATIENCE: Duration = Duration::from_secs(3);

/// Tells what runs where, now.
pub type StatusSource = Arc<dyn Fn() -> Status + Send + Sync>;

/// What the pages are made of.
#[derive(Clone)]
pub struct Parts {
    /// Where they are served.
    pub network: Network,
    /// Tells what runs where.
    pub status: StatusSource,
    /// What the metrics page shows.
    pub metrics: Arc<Metrics>,
    /// What is published as torrents, where anything may be.
    pub torrents: Option<Publisher>,
    /// The end of serving.
    pub shutdown: Shutdown,
}

/// For whom pages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Face {
    /// Who looks after the host: all of them.
    Console,
    /// Everybody: what is published.
    Public,
}

/// What the console reads.
#[derive(Clone)]
struct Shown {
    status: StatusSource,
    metrics: Arc<Metrics>,
}

/// The pages of a host.
pub struct Server {
    console: Router,
    public: Router,
    listeners: Listeners<Face>,
    shutdown: Shutdown,
}

/// A new configuration for which everything is ready.
pub struct Prepared(Plan<Face, Listener>);

impl Server {
    /// Pages that are not served yet.
    pub fn new(parts: Parts) -> Self {
        let Parts { network, status, metrics, torrents, shutdown } = parts;
        let name = |face| match face {
            Face::Console => "http",
            Face::Public => "files",
        };
        let listeners = Listeners::none(network, shutdown.clone(), name);
        let console = torrents::routes(torrents::Shown { publisher: torrents.clone(), public: false });
        let public = torrents::routes(torrents::Shown { publisher: torrents, public: true });
        Self {
            console: dressed(console.merge(console_routes(Shown { status, metrics }))),
            public: dressed(public.route("/", routing::get(|| async { Redirect::temporary("/torrents") }))),
            listeners,
            shutdown,
        }
    }

    /// Opens what the configuration needs and is not open yet.
    ///
    /// # Errors
    /// When an address cannot be listened on; then all stays as it is.
    pub fn prepare(&self, config: &Config) -> Result<Prepared, ListenError> {
        let console = config.listen.iter().map(|address| (Face::Console, *address));
        let public = config.listen_public.iter().map(|address| (Face::Public, *address));
        self.listeners.plan(console.chain(public)).map(Prepared)
    }

    /// Serves on the addresses of the configuration from here on.
    pub fn carry_out(&self, Prepared(plan): Prepared) {
        for new in self.listeners.carry_out(plan, CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX) {
            let app = if new.kind == Face::Console { self.console.clone() } else { self.public.clone() };
            let shutdown = self.shutdown.clone();
            self.shutdown.spawn(new.socket.each(new.closing, move |stream| {
                shutdown.spawn(serve(stream, app.clone(), shutdown.clone()));
            }));
        }
    }

    /// Where it serves all pages.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        at(self.listeners.doors(), Face::Console)
    }

    /// Where it serves what is published, and nothing else.
    pub fn public_addresses(&self) -> Vec<SocketAddr> {
        at(self.listeners.doors(), Face::Public)
    }
}

impl Prepared {
    /// Where what is published will be served: for everybody, or where all pages
    /// are while nothing is for everybody.
    pub fn torrent_addresses(&self) -> Vec<SocketAddr> {
        let public = at(self.0.addresses(), Face::Public);
        if public.is_empty() { at(self.0.addresses(), Face::Console) } else { public }
    }
}

fn at(doors: Vec<(Face, SocketAddr)>, wanted: Face) -> Vec<SocketAddr> {
    doors.into_iter().filter(|(face, _)| *face == wanted).map(|(_, address)| address).collect()
}

fn console_routes(shown: Shown) -> Router {
    Router::new()
        .route("/", routing::get(status_page))
        .route("/status.json", routing::get(status_json))
        .route("/metrics", routing::get(metrics))
        .with_state(shown)
}

/// The same with what every page needs.
pub(crate) fn dressed(routes: Router) -> Router {
    routes
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
        .fallback(|| async { (StatusCode::NOT_FOUND, "There is no such page here; begin at /\n") })
        .layer(middleware::map_response(guard))
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

pub(crate) fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// Headers that every response carries.
async fn guard(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    const HEADERS: [(HeaderName, &str); 2] =
        [(header::X_CONTENT_TYPE_OPTIONS, "nosniff"), (header::REFERRER_POLICY, "no-referrer")];
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    // A page that needs more says so itself, and so does what may be kept.
    let policy = HeaderValue::from_static(POLICY);
    response.headers_mut().entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Serves one connection, within its bounds.
pub(crate) async fn serve(stream: Stream, app: Router, shutdown: Shutdown) {
    let pulse = Pulse::default();
    let beating = pulse.clone();
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(beating.clone());
        TowerToHyperService::new(app.clone()).call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    loop {
        let end = pulse.last() + LIFE;
        tokio::select! {
            // Whatever a client does wrong ends its own connection only.
            _ = connection.as_mut() => return,
            () = shutdown.requested() => break,
            // Unless it has taken more of a file meanwhile.
            () = tokio::time::sleep_until(end) => if pulse.last() + LIFE <= end { break },
        }
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(LAST_PATIENCE, connection).await;
}
