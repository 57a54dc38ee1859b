//! A client of HTTP for trackers, web seeds and metainfo files: bounded in time
//! and octets, following some redirections, but never from the Internet into this
//! machine or its network.

mod connection;

pub(crate) use connection::{Connection, Reach, Target};

use crate::names::Names;
use http_body_util::BodyExt;
use hyper::header::{HeaderMap, LOCATION};
use hyper::{StatusCode, Uri};
use net::Network;
use std::ops::Range;
use std::time::Duration;

/// Redirections that are followed.
pub(crate) const REDIRECTIONS_MAX: usize = 5;
/// How long a torrent file may take to come.
const FETCH_PATIENCE: Duration = Duration::from_mins(2);

/// What was answered.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No address that can be asked.
    #[error("{url}: this is no http:// or https:// address")]
    Url {
        /// The address.
        url: String,
    },
    /// Its host is not found, or not over the family wanted.
    #[error("{host} has no address that can be reached")]
    NoAddress {
        /// The host.
        host: String,
    },
    /// Nobody is there, or it speaks no HTTP.
    #[error("{host}: {reason}")]
    Failed {
        /// The host.
        host: String,
        /// Why.
        reason: String,
    },
    /// The answer has more octets than are taken.
    #[error("{host} answers with more than {octets_max} octets")]
    TooLarge {
        /// The host.
        host: String,
        /// The bound.
        octets_max: usize,
    },
    /// It sends us round and round.
    #[error("{url}: redirected more than {REDIRECTIONS_MAX} times")]
    Redirections {
        /// Where it began.
        url: String,
    },
    /// It takes too long.
    #[error("{host} does not answer in time")]
    Late {
        /// The host.
        host: String,
    },
}

/// Gets a torrent file from the web.
///
/// # Errors
/// When it cannot be had, or is too large to be one.
pub async fn fetch(network: &Network, names: &Names, url: &str) -> Result<Vec<u8>, HttpError> {
    let octets_max = bittorrent::metainfo::Limits::DEFAULT.metainfo_octets_max;
    let wanted = Get { url, range: None, family: None, octets_max, patience: FETCH_PATIENCE };
    let response = get(network, names, wanted).await?;
    if response.status.is_success() {
        return Ok(response.body);
    }
    Err(HttpError::Failed { host: host_of(url), reason: format!("HTTP status {}", response.status) })
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Get<'a> {
    pub(crate) url: &'a str,
    /// Only some octets of it.
    pub(crate) range: Option<Range<u64>>,
    /// Which addresses of the host may be asked.
    pub(crate) family: Option<bittorrent::tracker::Family>,
    /// Octets of the answer.
    pub(crate) octets_max: usize,
    /// How long all of it may take.
    pub(crate) patience: Duration,
}

/// Asks.
///
/// # Errors
/// When nothing, or nothing of use, comes back.
pub(crate) async fn get(network: &Network, names: &Names, get: Get<'_>) -> Result<Response, HttpError> {
    let host = host_of(get.url);
    match tokio::time::timeout(get.patience, follow(network, names, &get)).await {
        Ok(answered) => answered,
        Err(_) => Err(HttpError::Late { host }),
    }
}

fn host_of(url: &str) -> String {
    url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_else(|| url.to_owned())
}

async fn follow(network: &Network, names: &Names, get: &Get<'_>) -> Result<Response, HttpError> {
    let mut url = get.url.to_owned();
    let mut global = false;
    for _ in 0..=REDIRECTIONS_MAX {
        let (response, from_afar) = once(network, names, get, &url, global).await?;
        global |= from_afar;
        let location = response.headers.get(LOCATION).and_then(|location| location.to_str().ok());
        match (response.status.is_redirection(), location) {
            (true, Some(location)) => url = absolute(&url, location).ok_or(HttpError::Url { url })?,
            _ => return Ok(response),
        }
    }
    Err(HttpError::Redirections { url: get.url.to_owned() })
}

/// A redirection's target, which may be relative (RFC 3986 section 4.2).
pub(crate) fn absolute(base: &str, location: &str) -> Option<String> {
    if location.contains("://") {
        return Some(location.to_owned());
    }
    let base: Uri = base.parse().ok()?;
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    if location.starts_with("//") {
        return Some(format!("{scheme}:{location}"));
    }
    if location.starts_with('/') {
        return Some(format!("{scheme}://{authority}{location}"));
    }
    let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    Some(format!("{scheme}://{authority}{folder}/{location}"))
}

async fn once(
    network: &Network,
    names: &Names,
    get: &Get<'_>,
    url: &str,
    global: bool,
) -> Result<(Response, bool), HttpError> {
    let target = Target::parse(url)?;
    let reach = Reach { family: get.family, global };
    let mut connection = Connection::open(network, names, &target, reach).await?;
    let (parts, mut incoming) = connection.get(&target, get.range.as_ref()).await?.into_parts();
    let host = || target.host().to_owned();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| HttpError::Failed { host: host(), reason: error.to_string() })?;
        if let Ok(data) = frame.into_data() {
            if body.len() + data.len() > get.octets_max {
                return Err(HttpError::TooLarge { host: host(), octets_max: get.octets_max });
            }
            body.extend_from_slice(&data);
        }
    }
    Ok((Response { status: parts.status, headers: parts.headers, body }, !connection.is_local()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirections_may_be_relative() {
        let base = "http://a.test:8080/one/two?three";
        assert_eq!(absolute(base, "https://b.test/").as_deref(), Some("https://b.test/"));
        assert_eq!(absolute(base, "//b.test/x").as_deref(), Some("http://b.test/x"));
        assert_eq!(absolute(base, "/x?y").as_deref(), Some("http://a.test:8080/x?y"));
        assert_eq!(absolute(base, "x").as_deref(), Some("http://a.test:8080/one/x"));
    }
}
