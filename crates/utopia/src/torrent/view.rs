//! What a person sees while a torrent is made or runs: a bar, rates, peers.

use crate::screen::Screen;
use bittorrent_node::{PeerLine, Progress, Protocol, Source, Stage, WebSeedState, octets};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// How often a line tells how a torrent gets on, at least.
const LINES_INTERVAL: Duration = Duration::from_mins(1);
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
    if !peers.is_empty() {
        let _ = writeln!(
            out,
            "  {:<22} {:<4} {:>5} {:>9} {:>9}  {:<6} {:<7} client",
            "peer", "over", "has", "in/s", "out/s", "chokes", "from"
        );
    }
    for peer in peers.into_iter().take(PEERS_SHOWN_MAX) {
        let share = f64::from(peer.have_pieces) * 100.0 / f64::from(progress.pieces.max(1));
        let _ = writeln!(
            out,
            "  {:<22} {:<4} {:>3.0} % {:>9} {:>9}  {:<6} {:<7} {}",
            peer.address.to_string(),
            carrier(peer),
            share,
            octets(peer.received_per_second as u64),
            octets(peer.sent_per_second as u64),
            match (peer.am_choking, peer.peer_choking) {
                (true, true) => "both",
                (true, false) => "we",
                (false, true) => "it",
                (false, false) => "",
            },
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

/// How a torrent gets on, in lines for where no picture can be drawn: when it begins
/// something else, at each tenth, and once a minute until all is here.
#[derive(Debug, Default)]
pub(super) struct Lines {
    last: Option<(Instant, Stage, u64)>,
}

impl Lines {
    /// The line that is due, if one is.
    pub(super) fn next(&mut self, now: Instant, progress: &Progress) -> Option<String> {
        let tenth = (progress.have_octets * 10).checked_div(progress.total_octets).unwrap_or(0);
        let news = |(at, stage, before): &(Instant, Stage, u64)| {
            let waits = matches!(stage, Stage::Metadata | Stage::Checking | Stage::Downloading);
            let long_ago = now.duration_since(*at) >= LINES_INTERVAL;
            *stage != progress.stage || *before < tenth || waits && long_ago
        };
        if !self.last.as_ref().is_none_or(news) {
            return None;
        }
        self.last = Some((now, progress.stage.clone(), tenth));
        let mut line = format!("{}: {}", progress.name, stage(&progress.stage));
        if progress.total_octets > 0 && progress.stage != Stage::Checking {
            let percent = (progress.have_octets * 100).checked_div(progress.total_octets).unwrap_or(0);
            let _ = write!(line, ", {percent} % of {} here", octets(progress.total_octets));
        }
        let peers = if progress.connections == 1 { "peer" } else { "peers" };
        let (into, out) = (progress.received_per_second as u64, progress.sent_per_second as u64);
        let _ =
            write!(line, "; {} {peers}, in {}/s, out {}/s", progress.connections, octets(into), octets(out));
        Some(line)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_at_each_tenth_at_something_else_and_once_a_minute() {
        let mut lines = Lines::default();
        let begin = Instant::now();
        let mut line = |seconds: u64, stage: Stage, have_octets: u64| {
            let progress = Progress {
                name: "film".to_owned(),
                stage,
                have_octets,
                total_octets: 1_000,
                ..Progress::default()
            };
            lines.next(begin + Duration::from_secs(seconds), &progress)
        };
        let first = line(0, Stage::Checking, 0).expect("a line");
        assert_eq!(first, "film: looking which pieces are here; 0 peers, in 0 B/s, out 0 B/s");
        assert_eq!(line(1, Stage::Checking, 0), None);
        let second = line(2, Stage::Downloading, 99).expect("a line");
        assert!(second.starts_with("film: downloading, 9 % of 1000 B here; 0 peers"), "{second}");
        assert!(line(3, Stage::Downloading, 100).is_some());
        assert_eq!(line(4, Stage::Downloading, 199), None);
        assert_eq!(line(62, Stage::Downloading, 199), None);
        assert!(line(63, Stage::Downloading, 199).is_some());
        assert!(line(64, Stage::Seeding, 1_000).is_some());
        assert_eq!(line(9_999, Stage::Seeding, 1_000), None);
    }
}
