//! What a person sees while a torrent is made or runs: a bar, rates, peers.

use crate::screen::Screen;
use bittorrent_node::{PeerLine, Progress, Protocol, Source, Stage, WebSeedState, octets};
use std::fmt::Write as _;

/// Letters of the bar.
const BAR_LETTERS: usize = 30;
/// Peers that are shown.
const PEERS_SHOWN_MAX: usize = 8;

/// A bar for work of a known length.
#[derive(Debug)]
pub(super) struct Bar {
    what: &'static str,
    screen: Screen,
}

impl Bar {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, screen: Screen::new() }
    }

    pub(super) fn show(&mut self, done: u64, total: u64, note: &str) {
        let what = self.what;
        self.screen.draw(|| format!("{what} {} {note}", bar(done, total)));
    }

    pub(super) fn clear(&mut self) {
        self.screen.clear();
    }
}

fn bar(done: u64, total: u64) -> String {
    let share = if total == 0 { 1.0 } else { done as f64 / total as f64 };
    let filled = ((share * BAR_LETTERS as f64) as usize).min(BAR_LETTERS);
    format!(
        "[{}{}] {:5.1} % of {}",
        "#".repeat(filled),
        "-".repeat(BAR_LETTERS - filled),
        share * 100.0,
        octets(total)
    )
}

/// A torrent as a few lines.
pub(super) fn picture(progress: &Progress) -> String {
    let mut out = format!("{}: {}\n", progress.name, stage(&progress.stage));
    if progress.pieces > 0 {
        let _ = writeln!(
            out,
            "{}  {}/{} pieces{}",
            bar(progress.have_octets, progress.total_octets),
            progress.have_pieces,
            progress.pieces,
            left(progress)
        );
    }
    let _ = writeln!(
        out,
        "in {}/s, out {}/s, {} out in all; {} peers, {} with all; {} addresses known{}",
        octets(progress.received_per_second as u64),
        octets(progress.sent_per_second as u64),
        octets(progress.sent_octets),
        progress.connections,
        progress.seeds,
        progress.known_peers,
        progress.dht_nodes.map(|nodes| format!("; {nodes} nodes of the DHT")).unwrap_or_default()
    );
    let mut peers: Vec<_> = progress.peers.iter().collect();
    peers.sort_by(|one, other| {
        let rate = |peer: &&PeerLine| peer.received_per_second + peer.sent_per_second;
        rate(other).total_cmp(&rate(one))
    });
    for peer in peers.into_iter().take(PEERS_SHOWN_MAX) {
        let share = f64::from(peer.have_pieces) * 100.0 / f64::from(progress.pieces.max(1));
        let _ = writeln!(
            out,
            "  {:<24} {:<4} {:>3.0} %  in {:>10}/s  out {:>10}/s  {}{}  {}, {}",
            peer.address.to_string(),
            carrier(peer),
            share,
            octets(peer.received_per_second as u64),
            octets(peer.sent_per_second as u64),
            if peer.am_choking { "we choke" } else { "we serve" },
            if peer.peer_choking { ", it chokes" } else { ", it serves" },
            source(peer.source),
            peer.client
        );
    }
    for seed in progress.web_seeds.iter().take(PEERS_SHOWN_MAX) {
        let state = match seed.state {
            WebSeedState::Active => format!("in {:>10}/s", octets(seed.received_per_second as u64)),
            WebSeedState::Resting => "resting".to_owned(),
            WebSeedState::Spare => "spare".to_owned(),
            WebSeedState::Gone => "given up".to_owned(),
        };
        let failure = seed.failure.as_ref().map(|why| format!("  {why}")).unwrap_or_default();
        let _ = writeln!(out, "  web seed {}  {state}{failure}", seed.url);
    }
    for (tracker, failure) in &progress.trackers {
        if let Some(why) = failure {
            let _ = writeln!(out, "  tracker {tracker}: {why}");
        }
    }
    out
}

/// What carries a connection; a star where it is encrypted.
fn carrier(peer: &PeerLine) -> String {
    let protocol = match peer.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Utp => "uTP",
    };
    format!("{protocol}{}", if peer.encrypted { "*" } else { "" })
}

/// Who told of a peer, in a word.
fn source(source: Source) -> &'static str {
    match source {
        Source::Pex => "PEX",
        Source::Dht => "DHT",
        Source::Incoming => "came",
        Source::Lsd => "LSD",
        Source::Tracker => "tracker",
        Source::User => "given",
    }
}

fn left(progress: &Progress) -> String {
    let rate = progress.received_per_second;
    if progress.stage != Stage::Downloading || rate < 1.0 {
        return String::new();
    }
    let seconds = (progress.left_octets as f64 / rate) as u64;
    match seconds {
        0..60 => format!(", {seconds} s left"),
        60..3_600 => format!(", {} min left", seconds / 60),
        _ => format!(", {} h left", seconds / 3_600),
    }
}

/// What it is doing, in words.
pub(super) fn stage(stage: &Stage) -> String {
    match stage {
        Stage::Metadata => "asking peers what it is".to_owned(),
        Stage::Checking => "looking which pieces are here".to_owned(),
        Stage::Downloading => "downloading".to_owned(),
        Stage::Seeding => "seeding".to_owned(),
        Stage::Done => "has seeded enough".to_owned(),
        Stage::Halted => "paused".to_owned(),
        Stage::Paused(why) => format!("paused: {why}"),
    }
}
