//! The query of a scrape (BEP 48).

use super::QueryError;
use super::query::{Pairs, exactly};
use crate::percent;

/// A scrape of some torrents; one of all is not offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scrape {
    /// Which torrents, in order and each once.
    pub info_hashes: Vec<[u8; 20]>,
}

impl Scrape {
    /// Reads what stands behind the `?`; torrents beyond `torrents_max` are left
    /// out.
    ///
    /// # Errors
    /// When no info-hash is there, or one is none.
    pub fn read(query: &[u8], torrents_max: usize) -> Result<Self, QueryError> {
        let mut info_hashes = Vec::new();
        let values = Pairs::of(query).filter(|(name, _)| *name == b"info_hash");
        for (_, value) in values.take(torrents_max) {
            info_hashes.push(exactly(value).ok_or(QueryError::NotTwenty("info_hash"))?);
        }
        if info_hashes.is_empty() {
            return Err(QueryError::Missing("info_hash"));
        }
        info_hashes.sort_unstable();
        info_hashes.dedup();
        Ok(Self { info_hashes })
    }
}

/// The URL that scrapes these torrents; `None` when the tracker's cannot be
/// scraped: its path's last part must begin with `announce`.
pub fn scrape_url(tracker: &str, info_hashes: &[[u8; 20]]) -> Option<String> {
    let path = tracker.split(['?', '#']).next().unwrap_or(tracker);
    let last = path.rfind('/')? + 1;
    let rest = tracker.get(last..)?.strip_prefix("announce")?;
    let mut url = format!("{}scrape{rest}", tracker.get(..last)?);
    for info_hash in info_hashes {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str("info_hash=");
        percent::encode(info_hash, &mut url);
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_specification() {
        // BEP 48, "Tracker HTTP Scrape".
        let scraped = |tracker| scrape_url(tracker, &[]);
        assert_eq!(scraped("http://example.com/announce").as_deref(), Some("http://example.com/scrape"));
        assert_eq!(scraped("http://example.com/x/announce").as_deref(), Some("http://example.com/x/scrape"));
        assert_eq!(
            scraped("http://example.com/announce.php").as_deref(),
            Some("http://example.com/scrape.php")
        );
        assert_eq!(scraped("http://example.com/a").as_deref(), None);
        assert_eq!(
            scraped("http://example.com/announce?x2%0644").as_deref(),
            Some("http://example.com/scrape?x2%0644")
        );
        assert_eq!(
            scraped("http://example.com/announce?x=2/4").as_deref(),
            Some("http://example.com/scrape?x=2/4")
        );
        assert_eq!(scraped("http://example.com/x%064announce").as_deref(), None);
    }

    #[test]
    fn torrents_are_asked_for_and_bounded() {
        let url = scrape_url("http://t.test/announce", &[[2; 20], [1; 20], [2; 20]]).expect("a URL");
        let (_, query) = url.split_once('?').expect("a query");
        let scrape = Scrape::read(query.as_bytes(), 74).expect("a scrape");
        assert_eq!(scrape.info_hashes, [[1; 20], [2; 20]]);
        let few = Scrape::read(query.as_bytes(), 1).expect("a scrape");
        assert_eq!(few.info_hashes, [[2; 20]]);
        assert_eq!(Scrape::read(b"", 74), Err(QueryError::Missing("info_hash")));
        assert_eq!(Scrape::read(b"info_hash=x", 74), Err(QueryError::NotTwenty("info_hash")));
    }
}
