//! The published torrents: a page, the same as JSON, torrent files, and the files
//! themselves over HTTP, which is at the same time the web seed of each torrent
//! (BEP 19).

mod body;
mod list;
mod page;

pub(crate) use body::Pulse;
pub(crate) use list::List;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing;
use bittorrent::percent;
use bittorrent_node::http_file::{Wanted, media_type, wanted};
use bittorrent_node::publish::{Listed, Publisher, ServeError};

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
    let tag = match published.file_number(&path) {
        Some(number) => format!("\"{id}-{number}\""),
        // Padding, which clients of a web seed may ask for: all of a length is the same.
        None => format!("\"padding-{octets}\""),
    };
    let mut headers = describe(&path, &tag);
    let told = |name| request.headers().get(name).and_then(|told| told.to_str().ok());
    if told(header::IF_NONE_MATCH).is_some_and(|told| is_known(told, &tag)) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    // A Range is defined for GET only (section 14.2).
    let range = told(header::RANGE).filter(|_| request.method() == Method::GET);
    let (status, part) = match wanted(range, told(header::IF_RANGE), &tag, octets) {
        Wanted::All => (StatusCode::OK, 0..octets),
        Wanted::Part(part) => {
            let told = format!("bytes {}-{}/{octets}", part.start, part.end - 1);
            insert(&mut headers, header::CONTENT_RANGE, &told);
            (StatusCode::PARTIAL_CONTENT, part)
        }
        Wanted::Beyond => {
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
fn describe(path: &str, tag: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let name = path.rsplit('/').next().unwrap_or(path);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(name)));
    headers.insert(header::CONTENT_DISPOSITION, disposition(name));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // It may be kept, but whoever has it asks whether it is there still.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    insert(&mut headers, header::ETAG, tag);
    headers
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Whether the client has the file already (`If-None-Match`).
fn is_known(told: &str, tag: &str) -> bool {
    told.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}

/// A name for the file where it is saved (RFC 6266): in ASCII for old programs, and
/// as it is.
fn disposition(name: &str) -> HeaderValue {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' { c } else { '_' })
        .collect();
    let mut text = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''");
    percent::encode(name.as_bytes(), &mut text);
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
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
    }

    #[test]
    fn tags_say_whether_a_file_is_known() {
        for (value, known) in [("\"a-1\"", true), ("\"b\", W/\"a-1\"", true), ("*", true), ("\"a-2\"", false)]
        {
            assert_eq!(is_known(value, "\"a-1\""), known, "{value}");
        }
    }
}
