//! The published torrents: a page, the same as JSON, torrent files, and the files
//! themselves over HTTP, which is at the same time the web seed of each torrent
//! (BEP 19).

mod body;
mod list;
mod page;
mod range;

pub(crate) use body::Pulse;
pub(crate) use list::List;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing;
use bittorrent_node::publish::{Listed, Publisher, ServeError};
use range::{Wanted, wanted};

/// How the names of torrent files end.
const TORRENT_SUFFIX: &str = ".torrent";

/// What the pages of torrents show.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) publisher: Option<Publisher>,
    /// Whether anybody may see it: then nothing is said of this machine's folders.
    pub(crate) public: bool,
}

/// The routes of everything below `/torrents`.
pub(crate) fn routes(shown: Shown) -> Router {
    Router::new()
        .route("/torrents", routing::get(page))
        .route("/torrents.json", routing::get(json))
        .route("/torrents/{file}", routing::get(torrent_file))
        .route("/torrents/{id}/{*path}", routing::get(file))
        .with_state(shown)
}

async fn page(State(shown): State<Shown>) -> Html<String> {
    Html(page::html(&shown.list()))
}

async fn json(State(shown): State<Shown>) -> Json<List> {
    Json(shown.list())
}

impl Shown {
    fn list(&self) -> List {
        self.publisher.as_ref().map(|publisher| List::of(publisher, self.public)).unwrap_or_default()
    }

    fn find(&self, id: &str) -> Option<Listed> {
        self.publisher.as_ref()?.listing().find(id).cloned()
    }
}

fn nothing() -> Response {
    let words = "There is no such torrent here any more; what is published is at /torrents\n";
    (StatusCode::NOT_FOUND, words).into_response()
}

async fn torrent_file(State(shown): State<Shown>, Path(file): Path<String>) -> Response {
    let listed = file.strip_suffix(TORRENT_SUFFIX).and_then(|id| shown.find(id));
    let Some(Listed { published, .. }) = listed else { return nothing() };
    let name = format!("{}{TORRENT_SUFFIX}", published.name());
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/x-bittorrent")),
        (header::CONTENT_DISPOSITION, disposition(&name)),
    ];
    (headers, published.torrent_file()).into_response()
}

/// One file, whole or in part (RFC 9110 section 14).
async fn file(
    State(shown): State<Shown>,
    Path((id, path)): Path<(String, String)>,
    request: Request,
) -> Response {
    let Some(Listed { published, .. }) = shown.find(&id) else { return nothing() };
    let tag = published.file_number(&path).map(|number| format!("\"{id}-{number}\""));
    let of = published.clone();
    let at = path.clone();
    let opened = match tokio::task::spawn_blocking(move || of.open(&at)).await {
        Ok(opened) => opened,
        Err(error) => Err(ServeError::Failed(std::io::Error::other(error))),
    };
    let served = match opened {
        Ok(served) => served,
        Err(error @ ServeError::NoFile) => {
            return (StatusCode::NOT_FOUND, format!("{error}\n")).into_response();
        }
        // Clients of the torrent come again; its address will be another.
        Err(error @ ServeError::Changed) => {
            return (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response();
        }
        Err(error) => {
            tracing::error!(torrent = published.name(), %error, "a published file");
            return (StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be read\n").into_response();
        }
    };
    let octets = served.octets();
    let mut headers = describe(&path, tag.as_deref());
    if is_known(request.headers(), tag.as_deref()) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let range =
        request.headers().get(header::RANGE).filter(|_| is_current(request.headers(), tag.as_deref()));
    let (status, part) = match wanted(range.and_then(|range| range.to_str().ok()), octets) {
        Wanted::All => (StatusCode::OK, 0..octets),
        Wanted::Part(part) => {
            let told = format!("bytes {}-{}/{octets}", part.start, part.end - 1);
            insert(&mut headers, header::CONTENT_RANGE, &told);
            (StatusCode::PARTIAL_CONTENT, part)
        }
        Wanted::Nothing => {
            insert(&mut headers, header::CONTENT_RANGE, &format!("bytes */{octets}"));
            return (StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response();
        }
    };
    insert(&mut headers, header::CONTENT_LENGTH, &(part.end - part.start).to_string());
    if request.method() == Method::HEAD {
        return (status, headers).into_response();
    }
    let pulse = request.extensions().get::<Pulse>().cloned().unwrap_or_default();
    (status, headers, Body::from_stream(body::stream(served, part, pulse))).into_response()
}

/// What is said of a file whichever part of it is sent.
fn describe(path: &str, tag: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let name = path.rsplit('/').next().unwrap_or(path);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(name)));
    headers.insert(header::CONTENT_DISPOSITION, disposition(name));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // It may be kept, but whoever has it asks whether it is there still.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Some(tag) = tag {
        insert(&mut headers, header::ETAG, tag);
    }
    headers
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Whether the client has the file already (`If-None-Match`).
fn is_known(headers: &HeaderMap, tag: Option<&str>) -> bool {
    let told = headers.get(header::IF_NONE_MATCH).and_then(|told| told.to_str().ok());
    let (Some(told), Some(tag)) = (told, tag) else { return false };
    told.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}

/// Whether a part may be sent: the client has parts of what is there now, or does
/// not say what it has (`If-Range`).
fn is_current(headers: &HeaderMap, tag: Option<&str>) -> bool {
    headers.get(header::IF_RANGE).is_none_or(|told| told.to_str().ok() == tag && tag.is_some())
}

/// A name for the file where it is saved (RFC 6266): in ASCII for old programs, and
/// as it is.
fn disposition(name: &str) -> HeaderValue {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' { c } else { '_' })
        .collect();
    let text = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", encode(name));
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}

/// A path in an address: each part percent-encoded (RFC 3986 section 2.1).
pub(super) fn encode_path(path: &str) -> String {
    path.split('/').map(encode).collect::<Vec<_>>().join("/")
}

fn encode(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(octet));
        } else {
            let _ = write!(out, "%{octet:02X}");
        }
    }
    out
}

/// The media type of a file, so that players know what comes. What a browser would
/// run is never named.
fn media_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref().unwrap_or_default() {
        "mp4" | "m4v" => "video/mp4",
        "mkv" => "video/x-matroska",
        "webm" => "video/webm",
        "ogv" => "video/ogg",
        "mp3" => "audio/mpeg",
        "m4a" => "audio/mp4",
        "ogg" | "oga" | "opus" => "audio/ogg",
        "flac" => "audio/flac",
        "wav" => "audio/wav",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "pdf" => "application/pdf",
        "epub" => "application/epub+zip",
        "zip" => "application/zip",
        "gz" | "tgz" => "application/gzip",
        "txt" | "md" | "srt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_can_be_said_in_a_header() {
        for (name, told) in [
            ("film.mkv", "attachment; filename=\"film.mkv\"; filename*=UTF-8''film.mkv"),
            (
                "a \"b\"\r\nSet-Cookie: é",
                "attachment; filename=\"a _b___Set-Cookie: _\"; filename*=UTF-8''a%20%22b%22%0D%0ASet-Cookie%3A%20%C3%A9",
            ),
        ] {
            assert_eq!(disposition(name), told);
        }
        assert_eq!(encode_path("a b/c?/é"), "a%20b/c%3F/%C3%A9");
    }

    #[test]
    fn what_a_browser_would_run_has_no_type() {
        for name in ["x.html", "x.svg", "x.js", "x.xhtml", "x", "html"] {
            assert_eq!(media_type(name), "application/octet-stream", "{name}");
        }
        assert_eq!(media_type("A.MKV"), "video/x-matroska");
    }

    #[test]
    fn tags_say_whether_a_file_is_known() {
        let headers = |name: header::HeaderName, value: &'static str| {
            HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
        };
        let tag = Some("\"a-1\"");
        for (value, known) in [("\"a-1\"", true), ("\"b\", W/\"a-1\"", true), ("*", true), ("\"a-2\"", false)]
        {
            assert_eq!(is_known(&headers(header::IF_NONE_MATCH, value), tag), known, "{value}");
        }
        assert!(is_current(&HeaderMap::new(), tag));
        assert!(is_current(&headers(header::IF_RANGE, "\"a-1\""), tag));
        assert!(!is_current(&headers(header::IF_RANGE, "\"a-2\""), tag));
        assert!(!is_current(&headers(header::IF_RANGE, "\"a-1\""), None));
    }
}
