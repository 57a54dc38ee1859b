//! Events of single requests, built only when somebody wants them.

use bittorrent::tracker::Event;
use event::{BittorrentEvent, Detail, Reporter};
use std::fmt::Write as _;
use std::net::SocketAddr;

/// An announce was answered.
pub(super) fn announced(
    reporter: &Reporter,
    from: SocketAddr,
    to: SocketAddr,
    info_hash: &[u8; 20],
    event: Event,
    peers: usize,
) {
    reporter.tell_with(Detail::Message, || {
        let reason = match event {
            Event::None => "",
            Event::Completed => "completed",
            Event::Started => "started",
            Event::Stopped => "stopped",
            Event::Paused => "paused",
        };
        let info_hash = info_hash.iter().fold(String::with_capacity(40), |mut text, octet| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{octet:02x}");
            text
        });
        BittorrentEvent::Announced { from, to, info_hash, reason, peers }
    });
}

/// A request was refused.
pub(super) fn refused(reporter: &Reporter, peer: SocketAddr, reason: &str) {
    reporter
        .tell_with(Detail::Message, || BittorrentEvent::TrackerRefused { peer, reason: reason.to_owned() });
}
