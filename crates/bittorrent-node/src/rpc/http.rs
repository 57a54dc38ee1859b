//! Transmission's RPC over HTTP: who may ask, and what is asked.
//!
//! A request passes the name it asks for (DNS rebinding), the password, and the
//! session id, which a page of a stranger cannot read (cross-site requests).

use super::Shared;
use super::request::{Body, Malformed, REQUEST_OCTETS_MAX, Request};
use super::session_methods::RPC_VERSION_SEMVER;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderName, HeaderValue, LOCATION, WWW_AUTHENTICATE,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use net::{Shutdown, Stream};
use serde_json::Value;
use std::convert::Infallible;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How long a client may take to send a whole request header, and how long it may
/// say nothing between two requests.
const HEADER_PATIENCE: Duration = Duration::from_secs(30);
/// How long a body may take to come.
const BODY_PATIENCE: Duration = Duration::from_mins(1);
/// How long a connection may last.
const LIFE: Duration = Duration::from_mins(10);
/// How long a response that has begun may take once its connection is to end.
const LAST_PATIENCE: Duration = Duration::from_secs(3);
/// How long who gives a wrong password waits for the answer.
const WRONG_PASSWORD_REST: Duration = Duration::from_secs(1);
/// Octets of a file of a web interface.
const FILE_OCTETS_MAX: u64 = 16 * 1024 * 1024;

const SESSION_ID: HeaderName = HeaderName::from_static("x-transmission-session-id");
const RPC_VERSION: HeaderName = HeaderName::from_static("x-transmission-rpc-version");
const PATH: &str = "/transmission/rpc";
const WEB: &str = "/transmission/web/";

type Reply = Response<Full<Bytes>>;

/// Serves one connection, within its bounds.
pub(super) async fn serve(stream: Stream, shared: Arc<Shared>, shutdown: Shutdown) {
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(reply(&shared, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
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

async fn reply(shared: &Shared, request: hyper::Request<Incoming>) -> Reply {
    let settings = shared.settings.load_full();
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(|host| is_ours(host, &settings.hosts)) {
        let why = "This name is not one that is served here (DNS rebinding); ask by address, or add it to rpc.hosts\n";
        return text(StatusCode::MISDIRECTED_REQUEST, why);
    }
    if let Some(credentials) = &settings.credentials
        && !is_allowed(request.headers().get(AUTHORIZATION), credentials)
    {
        if request.headers().contains_key(AUTHORIZATION) {
            tokio::time::sleep(WRONG_PASSWORD_REST).await;
        }
        let mut reply = text(StatusCode::UNAUTHORIZED, "A name and a password are wanted\n");
        let wanted = HeaderValue::from_static("Basic realm=\"Transmission\"");
        reply.headers_mut().insert(WWW_AUTHENTICATE, wanted);
        return reply;
    }
    let path = request.uri().path();
    if path.trim_end_matches('/') == PATH {
        return call(shared, request).await;
    }
    match (&settings.web_folder, path) {
        (Some(_), "/" | "/transmission" | "/transmission/" | "/transmission/web") => {
            let mut reply = text(StatusCode::MOVED_PERMANENTLY, "");
            reply.headers_mut().insert(LOCATION, HeaderValue::from_static(WEB));
            reply
        }
        (Some(folder), path) if request.method() == Method::GET => match path.strip_prefix(WEB) {
            Some(path) => file(shared, folder, path).await,
            None => text(StatusCode::NOT_FOUND, "There is nothing here\n"),
        },
        _ => text(StatusCode::NOT_FOUND, "There is nothing here but /transmission/rpc\n"),
    }
}

/// Whether a client asks for a name that is ours: an address, `localhost` or one
/// of the configuration. Its port is of no matter.
fn is_ours(host: &str, hosts: &[String]) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name.parse::<IpAddr>().is_ok() || name == "localhost" || hosts.contains(&name)
}

/// Compares without telling by the time it takes how much is right.
fn is_allowed(header: Option<&HeaderValue>, credentials: &[u8]) -> bool {
    let given = header.and_then(|header| header.to_str().ok()).and_then(|header| {
        let (scheme, text) = header.split_once(' ')?;
        BASE64_STANDARD.decode(text.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))
    });
    let Some(given) = given else { return false };
    let differing =
        given.iter().zip(credentials).fold(0, |differing, (one, other)| differing | (one ^ other));
    given.len() == credentials.len() && differing == 0
}

async fn call(shared: &Shared, request: hyper::Request<Incoming>) -> Reply {
    // Some clients come for the session id with a GET.
    let id = request.headers().get(SESSION_ID).map(HeaderValue::as_bytes);
    if id != Some(shared.session_id.as_bytes()) {
        let why =
            "The X-Transmission-Session-Id is wrong: repeat the request with the one of this response\n";
        let mut reply = text(StatusCode::CONFLICT, why);
        if let Ok(id) = HeaderValue::from_str(&shared.session_id) {
            reply.headers_mut().insert(SESSION_ID, id);
        }
        reply.headers_mut().insert(RPC_VERSION, HeaderValue::from_static(RPC_VERSION_SEMVER));
        return reply;
    }
    if request.method() != Method::POST {
        return text(StatusCode::METHOD_NOT_ALLOWED, "Requests are POSTed here\n");
    }
    // So many bodies are in memory at once.
    let Ok(_turn) = shared.bodies.acquire().await else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "It is being stopped\n");
    };
    let body = Limited::new(request.into_body(), REQUEST_OCTETS_MAX).collect();
    let body = match tokio::time::timeout(BODY_PATIENCE, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => {
            return text(StatusCode::PAYLOAD_TOO_LARGE, "The request is too large, or was cut short\n");
        }
        Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "The request took too long\n"),
    };
    let answer = match Body::read(&body) {
        Body::Single(request) => one(shared, request).await,
        Body::Batch(requests) => {
            let mut answers = Vec::new();
            for request in requests {
                answers.extend(one(shared, request).await);
            }
            Some(Value::Array(answers)).filter(|answers| *answers != Value::Array(Vec::new()))
        }
    };
    let Some(answer) = answer else { return text(StatusCode::NO_CONTENT, "") };
    let mut reply = Response::new(Full::from(answer.to_string()));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
    guarded(reply)
}

async fn one(shared: &Shared, request: Result<Request, Malformed>) -> Option<Value> {
    match request {
        Ok(request) => shared.ask(request).await,
        Err(malformed) => malformed.answer(),
    }
}

fn text(status: StatusCode, text: &'static str) -> Reply {
    let mut reply = Response::new(Full::from(text));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    guarded(reply)
}

/// Headers that every response carries.
fn guarded(mut reply: Reply) -> Reply {
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (HeaderName::from_static("x-frame-options"), "SAMEORIGIN"),
        (HeaderName::from_static("referrer-policy"), "no-referrer"),
    ] {
        reply.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    reply
}

/// A file of the web interface.
async fn file(shared: &Shared, folder: &Path, path: &str) -> Reply {
    let Some(path) = plain_path(path) else { return text(StatusCode::NOT_FOUND, "There is no such file\n") };
    let Ok(_turn) = shared.bodies.acquire().await else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "It is being stopped\n");
    };
    let (file, kind) = (folder.join(&path), media_type(&path));
    let read = tokio::task::spawn_blocking(move || storage::files::read(&file, FILE_OCTETS_MAX)).await;
    match read {
        Ok(Ok(Some(octets))) => {
            let mut reply = Response::new(Full::from(octets));
            reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            guarded(reply)
        }
        _ => text(StatusCode::NOT_FOUND, "There is no such file\n"),
    }
}

/// A path below the folder of the web interface: plain names only.
fn plain_path(path: &str) -> Option<PathBuf> {
    let path = if path.is_empty() { Path::new("index.html") } else { Path::new(path) };
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    let known = !path.as_os_str().is_empty() && !path.to_string_lossy().contains(['%', '\0']);
    (plain && known).then(|| path.to_owned())
}

fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|end| end.to_str()) {
        Some("html") => "text/html; charset=UTF-8",
        Some("js" | "mjs") => "text/javascript; charset=UTF-8",
        Some("css") => "text/css; charset=UTF-8",
        Some("json" | "webmanifest" | "map") => "application/json; charset=UTF-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("gif") => "image/gif",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("woff") => "font/woff",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_answered() {
        let hosts = ["seed.utopia.test".to_owned()];
        for ours in [
            "localhost",
            "LOCALHOST:9091",
            "localhost.",
            "127.0.0.1:80",
            "[::1]:9091",
            "[::1]",
            "192.0.2.7",
            "seed.utopia.test:1",
            "Seed.Utopia.Test.",
        ] {
            assert!(is_ours(ours, &hosts), "{ours}");
        }
        for strange in ["", "evil.test", "localhost.evil.test", "127.0.0.1.evil.test", "[::1", "xlocalhost"] {
            assert!(!is_ours(strange, &hosts) || strange == "[::1", "{strange}");
        }
    }

    #[test]
    fn only_the_whole_password_is_right() {
        let header = |text: &str| HeaderValue::from_str(text).expect("a header");
        let right = header(&format!("Basic {}", BASE64_STANDARD.encode("alice:secret")));
        assert!(is_allowed(Some(&right), b"alice:secret"));
        for wrong in ["alice:secre", "alice:secretx", "alice:", "", "bob:secret"] {
            let wrong = header(&format!("Basic {}", BASE64_STANDARD.encode(wrong)));
            assert!(!is_allowed(Some(&wrong), b"alice:secret"));
        }
        assert!(!is_allowed(None, b"alice:secret") && !is_allowed(Some(&header("Basic !")), b"alice:secret"));
        assert!(!is_allowed(Some(&header("Bearer YWxpY2U6c2VjcmV0")), b"alice:secret"));
    }

    #[test]
    fn no_file_outside_of_the_folder_is_served() {
        assert_eq!(plain_path(""), Some("index.html".into()));
        assert_eq!(plain_path("images/x.png"), Some("images/x.png".into()));
        for outside in ["../x", "/etc/passwd", "a/../../x", "%2e%2e/x", "a\0b"] {
            assert_eq!(plain_path(outside), None, "{outside}");
        }
    }
}
