//! The HTTP tracker protocol from both sides: heads of requests, their queries,
//! replies, and the URLs of trackers.

use bittorrent::tracker::announcer::{TrackerUrl, URL_OCTETS_MAX};
use bittorrent::tracker::http::{
    Announce, AnnounceReply, HEAD_OCTETS_MAX, Head, PEERS_READ_MAX, ReplyError, Scrape, ScrapeReply,
    scrape_url,
};

/// Info-hashes of a scrape that are read here.
const TORRENTS_MAX: usize = 5;
/// Places at which the network cuts a head.
const CUTS: usize = 16;

/// What a tracker or a client got.
pub fn tracker_http(input: &[u8]) {
    head(input);
    query(input);
    reply(input);
    if let Ok(text) = std::str::from_utf8(input) {
        url(text);
    }
}

fn head(input: &[u8]) {
    let whole = Head::read(input);
    if let Ok(Some(head)) = &whole {
        assert!(head.octets <= HEAD_OCTETS_MAX && head.octets <= input.len());
        assert!(!head.path.contains(&b' ') && !head.query.contains(&b' '));
        query(head.query);
    }
    // What is said of the first octets is not taken back.
    for cut in (0..input.len()).step_by(input.len() / CUTS + 1) {
        match Head::read(&input[..cut]) {
            Ok(None) => {}
            said => assert_eq!(said, whole, "the head was whole after {cut} octets"),
        }
    }
}

fn query(query: &[u8]) {
    if let Ok(announce) = Announce::read(query) {
        let url = announce.url("http://tracker.test/announce");
        let (_, written) = url.split_once('?').expect("a query");
        assert_eq!(Announce::read(written.as_bytes()), Ok(announce), "what is written reads the same");
    }
    if let Ok(scrape) = Scrape::read(query, TORRENTS_MAX) {
        assert!((1..=TORRENTS_MAX).contains(&scrape.info_hashes.len()));
        assert!(scrape.info_hashes.is_sorted_by(|one, next| one < next));
        let url = scrape_url("http://tracker.test/announce", &scrape.info_hashes).expect("a URL");
        let (_, written) = url.split_once('?').expect("a query");
        assert_eq!(Scrape::read(written.as_bytes(), TORRENTS_MAX), Ok(scrape));
    }
}

fn reply(input: &[u8]) {
    match AnnounceReply::read(input) {
        Ok(reply) => {
            // One family may fill the room of the other.
            assert!(reply.peers.len() <= PEERS_READ_MAX);
            assert!(reply.peers.iter().all(|peer| peer.address.port() != 0));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    match ScrapeReply::read(input) {
        Ok(reply) => assert!(reply.torrents.len() * 20 <= input.len()),
        Err(error) => {
            let failure = matches!(error, ReplyError::Failure { .. });
            let same = AnnounceReply::read(input) == Err(error);
            assert!(same || !failure, "a failure is one whatever was asked");
        }
    }
}

fn url(text: &str) {
    let Ok(url) = TrackerUrl::parse(text) else { return };
    let (host, port) = url.host_and_port();
    assert!(!host.is_empty() && port != 0);
    assert!(!host.contains(['/', '?', '#', '@', ' ']), "{host}");
    let written = url.to_string();
    assert!(written.len() <= URL_OCTETS_MAX);
    assert_eq!(TrackerUrl::parse(&written), Ok(url), "what is written reads the same");
}
