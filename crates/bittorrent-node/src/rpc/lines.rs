//! Peers and trackers as clients see them.

use crate::details::TrackerLine;
use crate::progress::{PeerLine, Source};
use crate::transport::Protocol;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part.min(whole) as f64 / whole as f64 }
}

pub(super) fn peers_from(peers: &[PeerLine]) -> Value {
    let count = |source: Source| peers.iter().filter(|peer| peer.source == source).count();
    json!({
        "fromCache": count(Source::User),
        "fromDht": count(Source::Dht),
        "fromIncoming": count(Source::Incoming),
        "fromLpd": count(Source::Lsd),
        "fromLtep": 0,
        "fromPex": count(Source::Pex),
        "fromTracker": count(Source::Tracker),
    })
}

pub(super) fn peer_object(peer: &PeerLine, pieces: u32) -> Value {
    let downloading = peer.am_interested && !peer.peer_choking;
    let uploading = peer.peer_interested && !peer.am_choking;
    let flags = [
        (peer.protocol == Protocol::Utp, 'T'),
        (peer.optimistic, 'O'),
        (downloading && peer.received_per_second > 0.0, 'D'),
        (peer.am_interested && !(downloading && peer.received_per_second > 0.0), 'd'),
        (uploading && peer.sent_per_second > 0.0, 'U'),
        (peer.peer_interested && !(uploading && peer.sent_per_second > 0.0), 'u'),
        (!peer.peer_choking && !peer.am_interested, 'K'),
        (!peer.am_choking && !peer.peer_interested, '?'),
        (peer.encrypted, 'E'),
        (peer.source == Source::Dht, 'H'),
        (peer.source == Source::Pex, 'X'),
        (peer.incoming, 'I'),
    ];
    let flags: String = flags.iter().filter(|(set, _)| *set).map(|(_, letter)| letter).collect();
    json!({
        "address": peer.address.ip().to_string(),
        "bytes_to_client": peer.received_octets,
        "bytes_to_peer": peer.sent_octets,
        "clientIsChoked": peer.peer_choking,
        "clientIsInterested": peer.am_interested,
        "clientName": peer.client,
        "flagStr": flags,
        "isDownloadingFrom": downloading,
        "isEncrypted": peer.encrypted,
        "isIncoming": peer.incoming,
        "isUTP": peer.protocol == Protocol::Utp,
        "isUploadingTo": uploading,
        "peerIsChoked": peer.am_choking,
        "peerIsInterested": peer.peer_interested,
        "port": peer.address.port(),
        "progress": share(peer.have_pieces.into(), pieces.into()),
        "rateToClient": peer.received_per_second as u64,
        "rateToPeer": peer.sent_per_second as u64,
    })
}

/// A tracker's host with its scheme and port, and its host alone.
fn host(url: &str) -> (String, String) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.split('/').next().unwrap_or(rest);
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    (format!("{scheme}://{host}"), name.to_owned())
}

/// Where a tracker is asked for numbers (BEP 48).
fn scrape(url: &str) -> String {
    match url.rsplit_once('/') {
        Some((before, last)) if last.starts_with("announce") => {
            format!("{before}/scrape{}", last.trim_start_matches("announce"))
        }
        _ => String::new(),
    }
}

pub(super) fn tracker(id: usize, line: &TrackerLine) -> Value {
    json!({
        "announce": line.url,
        "id": id,
        "scrape": scrape(&line.url),
        "sitename": host(&line.url).1,
        "tier": line.tier,
    })
}

/// Trackers one a line, tiers parted by empty lines.
pub(super) fn tracker_list(trackers: &[TrackerLine]) -> String {
    let mut list = String::new();
    let mut tier = 0;
    for line in trackers {
        if line.tier != tier && !list.is_empty() {
            list.push('\n');
        }
        tier = line.tier;
        list.push_str(&line.url);
        list.push('\n');
    }
    list
}

pub(super) fn tracker_stats(id: usize, line: &TrackerLine, runs: bool) -> Value {
    const UNKNOWN: i64 = -1;
    let answer = line.answer.as_ref();
    let seconds = |at: SystemTime| at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let at = answer.map_or(0, |answer| seconds(answer.at));
    let next = answer.and_then(|answer| answer.next).filter(|_| runs).map_or(0, seconds);
    let failure = answer.and_then(|answer| answer.failure.clone());
    let count = |count: Option<u32>| count.map_or(UNKNOWN, i64::from);
    let (with_scheme, name) = host(&line.url);
    json!({
        "announce": line.url,
        "announceState": u8::from(runs),
        "downloadCount": UNKNOWN,
        "downloaderCount": UNKNOWN,
        "hasAnnounced": answer.is_some(),
        "hasScraped": false,
        "host": with_scheme,
        "id": id,
        "isBackup": answer.is_none() && id > 0,
        "lastAnnouncePeerCount": answer.map_or(0, |answer| answer.peers),
        "lastAnnounceResult": failure.clone().unwrap_or_else(|| if answer.is_some() { "Success".to_owned() } else { String::new() }),
        "lastAnnounceStartTime": at,
        "lastAnnounceSucceeded": answer.is_some() && failure.is_none(),
        "lastAnnounceTime": at,
        "lastAnnounceTimedOut": false,
        "lastScrapeResult": "",
        "lastScrapeStartTime": 0,
        "lastScrapeSucceeded": false,
        "lastScrapeTime": 0,
        "lastScrapeTimedOut": false,
        "leecherCount": count(answer.and_then(|answer| answer.leechers)),
        "nextAnnounceTime": next,
        "nextScrapeTime": 0,
        "scrape": scrape(&line.url),
        "scrapeState": 0,
        "seederCount": count(answer.and_then(|answer| answer.seeds)),
        "sitename": name,
        "tier": line.tier,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trackers_are_written_as_they_are_read() {
        let line = |url: &str, tier| TrackerLine { url: url.to_owned(), tier, answer: None };
        let lines =
            [line("http://a/announce", 0), line("udp://b:1/", 0), line("http://c/x/announce.php?k=1", 1)];
        let list = tracker_list(&lines);
        assert_eq!(list, "http://a/announce\nudp://b:1/\n\nhttp://c/x/announce.php?k=1\n");
        assert_eq!(crate::session::tiers(&list).len(), 2);
        assert_eq!(scrape(&lines[2].url), "http://c/x/scrape.php?k=1");
        assert_eq!(scrape(&lines[1].url), "");
        assert_eq!(host("udp://b.test:1/x"), ("udp://b.test:1".to_owned(), "b.test".to_owned()));
    }
}
