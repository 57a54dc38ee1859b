//! The connection to a web seed and the answer that is being read.

use super::{Desk, Ended};
use crate::http::{Connection, HttpError, REDIRECTIONS_MAX, Reach, Target, absolute};
use crate::swarm::Swarm;
use bittorrent::web_seed::{Answer, Request, Verdict, WebSeed};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_RANGE, HeaderMap, LOCATION, RETRY_AFTER};
use std::ops::Range;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};
use tokio::time::timeout;

/// How long a server may take to begin its answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);
/// How long it may pause within it.
const PAUSE_PATIENCE: Duration = Duration::from_secs(20);
/// How long the end of an answer of which all octets are here may take.
const END_PATIENCE: Duration = Duration::from_millis(500);
/// Octets that are passed over, for want of ranges, to get to those that are wanted.
const SKIP_OCTETS_MAX: u64 = 256 * 1024 * 1024;
/// Octets of the body that says when a script may be asked again (BEP 17).
const RETRY_OCTETS_MAX: usize = 16;

/// The connection, and what comes over it.
pub(super) struct Line<'a> {
    swarm: &'a Swarm,
    desk: &'a Desk,
    connection: Option<Connection>,
    body: Option<Body>,
    /// Where the file that was asked for last was found by redirection.
    moved: Option<(String, Moved)>,
}

#[derive(Debug, Clone)]
struct Moved {
    url: String,
    /// By a server of the Internet: it may not lead into our own network.
    global: bool,
}

/// An answer that is being read.
struct Body {
    /// What was asked for, without the Range.
    url: String,
    /// Which octet of the file is next.
    at: u64,
    incoming: Incoming,
    /// Octets that were read and not taken.
    rest: Bytes,
}

impl<'a> Line<'a> {
    pub(super) fn new(swarm: &'a Swarm, desk: &'a Desk) -> Self {
        Self { swarm, desk, connection: None, body: None, moved: None }
    }

    /// Ends the answer that is being read, and the connection with it.
    pub(super) fn hang_up(&mut self) {
        self.body = None;
        self.connection = None;
    }

    /// All that was asked for is here: the connection is free for the next request
    /// once the answer's end is. An answer that goes on to the end of a file may be
    /// of use yet.
    pub(super) async fn finish(&mut self) {
        if self.desk.knows_no_ranges.get() {
            return;
        }
        let Some(mut body) = self.body.take() else { return };
        if body.incoming.is_end_stream() {
            return;
        }
        if !matches!(timeout(END_PATIENCE, body.incoming.frame()).await, Ok(None)) {
            self.connection = None;
        }
    }

    /// The next octets of `request` from `at` on: at least one.
    pub(super) async fn read(&mut self, request: &Request, at: u64) -> Result<Bytes, Ended> {
        let follows = self
            .body
            .as_ref()
            .is_some_and(|body| body.url == request.url && body.at <= at && at - body.at <= SKIP_OCTETS_MAX);
        if !follows {
            self.body = None;
            self.ask(request, at..request.range.end).await?;
        }
        let fresh = !follows;
        loop {
            let Some(body) = &mut self.body else { return Err(later("it sends nothing")) };
            if body.rest.is_empty() {
                self.throttle().await;
                let Some(body) = &mut self.body else { return Err(later("it sends nothing")) };
                match timeout(PAUSE_PATIENCE, body.incoming.frame()).await {
                    Err(_) => return Err(later("it stopped in the middle of its answer")),
                    Ok(Some(Err(error))) if fresh => return Err(later(error)),
                    // It was kept for too long.
                    Ok(Some(Err(_))) => {
                        self.hang_up();
                        return Box::pin(self.read(request, at)).await;
                    }
                    Ok(None) if fresh && body.at == at => return Err(later("its answer is empty")),
                    Ok(None) if body.at < at => {
                        return Err(later("its answer ends before what was asked for"));
                    }
                    // It was cut short: the rest is asked for anew.
                    Ok(None) => {
                        self.body = None;
                        return Box::pin(self.read(request, at)).await;
                    }
                    Ok(Some(Ok(frame))) => body.rest = frame.into_data().unwrap_or_default(),
                }
                let octets = body.rest.len();
                self.swarm.context().count_download(octets, self.swarm.download_limit());
                continue;
            }
            let left = if body.at < at { at - body.at } else { request.range.end - at };
            let octets = body.rest.split_to(body.rest.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
            let passed_over = body.at < at;
            body.at += octets.len() as u64;
            if !passed_over {
                return Ok(octets);
            }
        }
    }

    /// Waits until octets may come.
    async fn throttle(&self) {
        let (context, limit) = (self.swarm.context(), self.swarm.download_limit());
        std::future::poll_fn(|cx| {
            if context.download_is_throttled(cx, Instant::now(), limit) {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }

    /// Asks for octets of a file, wherever redirections lead.
    async fn ask(&mut self, request: &Request, range: Range<u64>) -> Result<(), Ended> {
        let known = self.moved.take().filter(|(from, _)| *from == request.url);
        let was_known = known.is_some();
        let origin = || Moved { url: request.url.clone(), global: false };
        let mut place = known.map_or_else(origin, |(_, to)| to);
        for _ in 0..=REDIRECTIONS_MAX {
            let target = Target::parse(&place.url).map_err(later)?;
            let response = self.send(&target, place.global, request.file.map(|_| &range)).await?;
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            if let (true, Some(location)) = (response.status().is_redirection(), location) {
                let global = self.connection.as_ref().is_some_and(|connection| !connection.is_local());
                let url = absolute(&place.url, location)
                    .ok_or_else(|| later("it redirects to what is no address"))?;
                place = Moved { url, global: place.global || global };
                self.connection = None;
                continue;
            }
            if was_known && response.status().is_client_error() {
                // What was moved once may be elsewhere by now.
                self.connection = None;
                return Box::pin(self.ask(request, range)).await;
            }
            if place.url != request.url {
                self.moved = Some((request.url.clone(), place));
            }
            return self.judge(request, range.start, response).await;
        }
        Err(later(HttpError::Redirections { url: request.url.clone() }))
    }

    /// One request. A connection that was used before may have ended meanwhile:
    /// then another is opened.
    async fn send(
        &mut self,
        target: &Target,
        global: bool,
        range: Option<&Range<u64>>,
    ) -> Result<Response<Incoming>, Ended> {
        if let Some(connection) = &mut self.connection
            && connection.leads_to(target).await
            && let Ok(Ok(response)) = timeout(ANSWER_PATIENCE, connection.get(target, range)).await
        {
            return Ok(response);
        }
        self.connection = None;
        let context = self.swarm.context();
        let reach = Reach { family: None, global };
        let mut connection =
            Connection::open(&context.network, &context.names, target, reach).await.map_err(later)?;
        let response = match timeout(ANSWER_PATIENCE, connection.get(target, range)).await {
            Ok(response) => response.map_err(later)?,
            Err(_) => return Err(later(HttpError::Late { host: target.host().to_owned() })),
        };
        self.connection = Some(connection);
        Ok(response)
    }

    async fn judge(&mut self, request: &Request, at: u64, response: Response<Incoming>) -> Result<(), Ended> {
        let (parts, mut incoming) = response.into_parts();
        let status = parts.status.as_u16();
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let mut retry_after = text(RETRY_AFTER).and_then(read_retry_after);
        if status == 503 && retry_after.is_none() && matches!(self.desk.seed, WebSeed::Script(_)) {
            retry_after = read_seconds(&mut incoming).await;
        }
        let answer = Answer {
            status,
            content_range: text(CONTENT_RANGE),
            content_length: incoming.size_hint().exact(),
            encoded: is_encoded(&parts.headers),
            retry_after,
        };
        let request = &Request { range: at..request.range.end, ..request.clone() };
        let from = match answer.verdict(request) {
            Verdict::Body { skip } if skip > SKIP_OCTETS_MAX => {
                return Err(Ended::Lacks { file: request.file, why: "it knows no ranges".to_owned() });
            }
            Verdict::Body { .. } if request.file.is_none() => at,
            Verdict::Body { .. } if status == 200 => {
                self.desk.knows_no_ranges.set(request.range != (0..request.whole_octets));
                0
            }
            Verdict::Body { .. } => at,
            Verdict::Lacks(why) => return Err(Ended::Lacks { file: request.file, why }),
            Verdict::Later { why, after } => return Err(Ended::Later { why, after }),
        };
        self.body = Some(Body { url: request.url.clone(), at: from, incoming, rest: Bytes::new() });
        Ok(())
    }
}

fn later(why: impl std::fmt::Display) -> Ended {
    Ended::Later { why: why.to_string(), after: None }
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity")
}

/// Reads Retry-After: seconds, or a date (RFC 9110 section 10.2.3).
fn read_retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// Reads the seconds that a script writes as its whole answer (BEP 17).
async fn read_seconds(incoming: &mut Incoming) -> Option<Duration> {
    let frame = timeout(END_PATIENCE, incoming.frame()).await.ok()??.ok()?;
    let octets = frame.into_data().ok().filter(|octets| octets.len() <= RETRY_OCTETS_MAX)?;
    std::str::from_utf8(&octets).ok()?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_to_come_again_is_read_in_either_form() {
        assert_eq!(read_retry_after(" 120 "), Some(Duration::from_mins(2)));
        assert_eq!(read_retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        assert!(read_retry_after(&soon).is_some_and(|after| after > Duration::from_secs(90)));
        assert_eq!(read_retry_after("tomorrow"), None);
    }
}
