//! A page with a picture that changes, for as long as something runs.

use crate::page::escape;
use crate::server::{CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX, asset, dressed, serve};
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use axum::routing;
use net::{ListenBounds, ListenError, ListenOptions, Network, Shutdown};
use std::net::SocketAddr;
use std::sync::Arc;

/// What the page may do: the same as the others, and fetch the picture anew.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Draws the picture as it is now: an `svg` element that needs no style of its own,
/// in which everything from outside is escaped.
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
        .with_state(Shown { title: title.into(), paint });
    let app = dressed(app);
    let stopping = shutdown.clone();
    shutdown.spawn(listener.each(shutdown.clone(), move |stream| {
        stopping.spawn(serve(stream, app.clone(), stopping.clone()));
    }));
    Ok(address)
}

async fn page(State(shown): State<Shown>) -> Response {
    let (title, picture) = (escape(&shown.title), (shown.paint)());
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{title}</title>\
         <link rel=\"stylesheet\" href=\"/style.css\"><script src=\"/live.js\" defer></script></head>\
         <body><main class=\"wide\"><h1>{title}</h1><div class=\"picture\" id=\"picture\">{picture}</div>\
         <p class=\"facts\" id=\"state\" role=\"status\"></p></main></body></html>"
    );
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(html)).into_response()
}

async fn picture(State(shown): State<Shown>) -> Response {
    ([(header::CONTENT_TYPE, "image/svg+xml")], (shown.paint)()).into_response()
}
