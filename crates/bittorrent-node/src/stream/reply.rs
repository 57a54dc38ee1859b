//! One request, and what is answered.

use super::page;
use super::reader::Reader;
use crate::Handle;
use crate::http_file::{Wanted, media_type, wanted};
use crate::swarm::{Files, Wish};
use bittorrent::percent;
use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::stream::try_unfold;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{
    ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HOST,
    HeaderName, IF_RANGE, LOCATION, RANGE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::response::Builder;
use hyper::{Method, Request, Response, StatusCode};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long a client waits while it is not known yet what the torrent is and which
/// pieces are here; then it is told to come again.
const FILES_PATIENCE: Duration = Duration::from_secs(20);

pub(super) type Reply = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// Answers a request.
pub(super) async fn reply(torrent: Option<Arc<Handle>>, request: &Request<Incoming>) -> Reply {
    let header = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    if !header(HOST).is_some_and(is_address) {
        // A page of a stranger could read the files through a name of its own.
        return text(StatusCode::MISDIRECTED_REQUEST, "Ask by address or localhost (DNS rebinding)\n");
    }
    let head_only = request.method() == Method::HEAD;
    if !head_only && request.method() != Method::GET {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD are answered\n");
        refused.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let Some((torrent, files)) = files(torrent).await else {
        let mut later = text(StatusCode::SERVICE_UNAVAILABLE, "It is not known yet which files there are\n");
        later.headers_mut().insert(RETRY_AFTER, hyper::header::HeaderValue::from_static("5"));
        return later;
    };
    let layout = files.content.info().layout();
    let path = request.uri().path();
    if path == "/" {
        if let [only] = files.wanted[..]
            && let Some(file) = layout.files().get(only)
        {
            // What a player was given: it reads no list.
            let head = Response::builder().status(StatusCode::FOUND).header(LOCATION, page::path(file));
            return finish(head, head_only, Bytes::new());
        }
        let page = page::page(layout, &files.wanted);
        let policy = "default-src 'none'";
        let head = Response::builder()
            .header(CONTENT_TYPE, "text/html; charset=utf-8")
            .header(CONTENT_SECURITY_POLICY, policy);
        return finish(head, head_only, page.into());
    }
    let matches =
        |index: &usize| layout.files().get(*index).is_some_and(|file| same_path(&page::path(file), path));
    let Some(index) = files.wanted.iter().copied().find(matches) else {
        return text(StatusCode::NOT_FOUND, "There is no such file in the torrent, or it is not wanted\n");
    };
    let Some(file) = layout.files().get(index) else { return text(StatusCode::NOT_FOUND, "") };
    let hash = torrent.hashes().wire().next().map(|hash| hash.to_string()).unwrap_or_default();
    let tag = format!("\"{hash}-{index}\"");
    let head = Response::builder()
        .header(CONTENT_TYPE, media_type(file.path.last().map_or("", String::as_str)))
        .header(ACCEPT_RANGES, "bytes")
        .header(ETAG, &tag)
        .header(X_CONTENT_TYPE_OPTIONS, "nosniff");
    // RFC 9110 section 14.2: a Range is defined for GET only.
    let range = header(RANGE).filter(|_| !head_only);
    let (head, range) = match wanted(range, header(IF_RANGE), &tag, file.length) {
        Wanted::All => (head, 0..file.length),
        Wanted::Part(range) => {
            let said = format!("bytes {}-{}/{}", range.start, range.end - 1, file.length);
            (head.status(StatusCode::PARTIAL_CONTENT).header(CONTENT_RANGE, said), range)
        }
        Wanted::Beyond => {
            let said = format!("bytes */{}", file.length);
            let head = head.status(StatusCode::RANGE_NOT_SATISFIABLE).header(CONTENT_RANGE, said);
            return finish(head, false, Bytes::new());
        }
    };
    let head = head.header(CONTENT_LENGTH, range.end - range.start);
    if head_only {
        return head.body(empty()).unwrap_or_else(|_| Response::new(empty()));
    }
    let Some(reader) = Reader::begin(torrent, files.content.clone(), index, range).await else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "There are too many readers\n");
    };
    let octets = try_unfold(reader, |mut reader| async move {
        Ok::<_, io::Error>(reader.next().await?.map(|octets| (octets, reader)))
    });
    let body = StreamBody::new(octets.map_ok(Frame::data)).boxed_unsync();
    head.body(body).unwrap_or_else(|_| Response::new(empty()))
}

/// The files, as soon as it is known what there is.
async fn files(torrent: Option<Arc<Handle>>) -> Option<(Handle, Files)> {
    let torrent = torrent?.as_ref().clone();
    let files = tokio::time::timeout(FILES_PATIENCE, torrent.ask_for(Wish::Files)).await.ok()?.ok()?;
    Some((torrent, files))
}

/// Whether the name asked for is no name but an address, or this machine's own.
fn is_address(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// Whether two paths are the same once they are decoded.
fn same_path(ours: &str, asked: &str) -> bool {
    percent::decode(asked).is_some_and(|asked| percent::decode(ours) == Some(asked))
}

fn empty() -> UnsyncBoxBody<Bytes, io::Error> {
    full(Bytes::new())
}

fn full(octets: Bytes) -> UnsyncBoxBody<Bytes, io::Error> {
    Full::new(octets).map_err(|never| match never {}).boxed_unsync()
}

fn finish(head: Builder, head_only: bool, octets: Bytes) -> Reply {
    let head = head.header(CONTENT_LENGTH, octets.len());
    head.body(if head_only { empty() } else { full(octets) }).unwrap_or_else(|_| Response::new(empty()))
}

fn text(status: StatusCode, said: &'static str) -> Reply {
    let head = Response::builder().status(status).header(CONTENT_TYPE, "text/plain; charset=utf-8");
    finish(head, false, said.as_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_are_answered() {
        for (host, answered) in [
            ("127.0.0.1:80", true),
            ("[::1]:8080", true),
            ("localhost", true),
            ("LOCALHOST:1", true),
            ("evil.test", false),
            ("127.0.0.1.evil.test:80", false),
            ("", false),
        ] {
            assert_eq!(is_address(host), answered, "{host}");
        }
    }

    #[test]
    fn paths_are_the_same_however_they_are_written() {
        assert!(same_path("/a%20b/%C3%A4", "/a%20b/ä") && same_path("/a-b", "/%61-b"));
        assert!(!same_path("/a", "/a/") && !same_path("/a", "/%zz") && !same_path("/a", "/%"));
    }
}
