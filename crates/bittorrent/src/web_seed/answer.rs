//! What an answer over HTTP is good for (RFC 9110 sections 14 and 15).

use super::Request;
use std::time::Duration;

/// The head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answer<'head> {
    /// The status code.
    pub status: u16,
    /// The field Content-Range.
    pub content_range: Option<&'head str>,
    /// The length of the body, where it is told.
    pub content_length: Option<u64>,
    /// The body is encoded (gzip …): its octets are not the file's.
    pub encoded: bool,
    /// When the server may be asked again (Retry-After, or the body of BEP 17's
    /// 503).
    pub retry_after: Option<Duration>,
}

/// What an answer is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The octets follow, behind so many of the file that were not asked for: the
    /// server knows no ranges.
    Body {
        /// Octets to pass over.
        skip: u64,
    },
    /// The server has not this file, or another in its place.
    Lacks(String),
    /// Nothing now; maybe later.
    Later {
        /// Why.
        why: String,
        /// Not before that.
        after: Option<Duration>,
    },
}

impl Answer<'_> {
    /// What it is good for as the answer to `request`.
    pub fn verdict(&self, request: &Request) -> Verdict {
        let why = || format!("HTTP status {}", self.status);
        match self.status {
            200 | 206 if self.encoded => Verdict::Lacks("it encodes what it sends".to_owned()),
            206 => self.partial(request),
            200 => match (request.file, self.content_length) {
                (Some(_), Some(octets)) if octets != request.whole_octets => {
                    Verdict::Lacks(length(octets, request))
                }
                _ => Verdict::Body { skip: request.range.start },
            },
            404 | 410 => Verdict::Lacks(why()),
            416 => Verdict::Lacks("its file is shorter than the torrent's".to_owned()),
            _ => Verdict::Later { why: why(), after: self.retry_after },
        }
    }

    fn partial(&self, request: &Request) -> Verdict {
        let Some((range, whole)) = self.content_range.and_then(read_content_range) else {
            return Verdict::Later { why: "it does not say which octets it sends".to_owned(), after: None };
        };
        match whole {
            Some(octets) if octets != request.whole_octets => Verdict::Lacks(length(octets, request)),
            _ if range.0 != request.range.start => {
                Verdict::Later { why: "it sends other octets than were asked for".to_owned(), after: None }
            }
            _ => Verdict::Body { skip: 0 },
        }
    }
}

fn length(octets: u64, request: &Request) -> String {
    format!("its file has {octets} octets, the torrent's {}", request.whole_octets)
}

/// Reads `bytes FIRST-LAST/WHOLE`; `*` for a length that is not known.
fn read_content_range(text: &str) -> Option<((u64, u64), Option<u64>)> {
    let (range, whole) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.trim().split_once('-')?;
    let range = (first.parse().ok()?, last.parse().ok()?);
    let whole = match whole.trim() {
        "*" => None,
        whole => Some(whole.parse().ok()?),
    };
    (range.0 <= range.1).then_some((range, whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request { url: String::new(), file: Some(0), range: 100..200, whole_octets: 1_000 }
    }

    fn verdict(status: u16, content_range: Option<&str>, content_length: Option<u64>) -> Verdict {
        Answer { status, content_range, content_length, ..Answer::default() }.verdict(&request())
    }

    #[test]
    fn what_was_asked_for_is_taken_with_and_without_ranges() {
        assert_eq!(verdict(206, Some("bytes 100-199/1000"), Some(100)), Verdict::Body { skip: 0 });
        assert_eq!(verdict(206, Some("bytes 100-150/*"), None), Verdict::Body { skip: 0 }, "a part of it");
        assert_eq!(verdict(200, None, Some(1_000)), Verdict::Body { skip: 100 });
        assert_eq!(verdict(200, None, None), Verdict::Body { skip: 100 }, "chunked");
    }

    #[test]
    fn another_file_is_found_out_by_its_length() {
        for lacks in [
            verdict(206, Some("bytes 100-199/1001"), Some(100)),
            verdict(200, None, Some(999)),
            verdict(416, Some("bytes */99"), None),
            verdict(404, None, None),
            Answer { status: 200, encoded: true, ..Answer::default() }.verdict(&request()),
        ] {
            assert!(matches!(lacks, Verdict::Lacks(_)), "{lacks:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_or_has_no_time_is_asked_again_later() {
        for later in [
            verdict(206, None, Some(100)),
            verdict(206, Some("bytes 0-99/1000"), Some(100)),
            verdict(206, Some("bytes 199-100/1000"), None),
            verdict(206, Some("bytes 99999999999999999999-1/2"), None),
            verdict(206, Some("octets 100-199/1000"), None),
            verdict(500, None, None),
            verdict(403, None, None),
            verdict(304, None, None),
        ] {
            assert!(matches!(later, Verdict::Later { after: None, .. }), "{later:?}");
        }
        let after = Some(Duration::from_secs(7));
        let busy = Answer { status: 503, retry_after: after, ..Answer::default() };
        assert_eq!(busy.verdict(&request()), Verdict::Later { why: "HTTP status 503".to_owned(), after });
    }
}
