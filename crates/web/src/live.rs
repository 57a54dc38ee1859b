//! A page with a picture that changes, for as long as something runs.

use crate::page::escape;
use crate::server::{CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX, asset, serve};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use axum::{Router, middleware, routing};
use net::{ListenBounds, ListenError, ListenOptions, Network, Shutdown};
use std::net::SocketAddr;
use std::sync::Arc;

/// Draws the picture as it is now, as SVG.
pub type Painter = Arc<dyn Fn() -> String + Send + Sync>;

#[derive(Clone)]
struct Shown {
    title: Arc<str>,
    paint: Painter,
}

/// Serves a page that shows a picture and renews it twice a second, until
/// `shutdown` is requested. Returns where.
///
/// # Errors
/// When the address cannot be listened on.
pub fn live(
    network: &Network,
    address: SocketAddr,
    title: &str,
    paint: Painter,
    shutdown: &Shutdown,
) -> Result<SocketAddr, ListenError> {
    let failed = |source| ListenError { service: "http", address, source };
    let bounds = ListenBounds::new(CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX);
    let listener = network.listen(&ListenOptions { address, bounds }).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let app = Router::new()
        .route("/", routing::get(page))
        .route("/picture.svg", routing::get(picture))
        .route(
            "/live.js",
            routing::get(|| async {
                asset("text/javascript; charset=utf-8", include_str!("../assets/live.js"))
            }),
        )
        .layer(middleware::map_response(guard))
        .with_state(Shown { title: title.into(), paint });
    let stopping = shutdown.clone();
    shutdown.spawn(listener.each(shutdown.clone(), move |stream| {
        stopping.spawn(serve(stream, app.clone(), stopping.clone()));
    }));
    Ok(address)
}

async fn page(State(shown): State<Shown>) -> Html<String> {
    let title = escape(&shown.title);
    Html(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\
         <body><img id=\"picture\" src=\"picture.svg\" alt=\"{title}\"><p id=\"state\" role=\"status\"></p>\
         <script src=\"live.js\"></script></body></html>"
    ))
}

async fn picture(State(shown): State<Shown>) -> Response {
    ([(header::CONTENT_TYPE, "image/svg+xml")], (shown.paint)()).into_response()
}

/// Headers that every response carries.
async fn guard(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 4] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; img-src 'self'; script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
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
