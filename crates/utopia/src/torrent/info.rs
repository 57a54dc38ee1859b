//! `utopia torrent info`: what a torrent file or a magnet link is about.

use super::source;
use crate::out;
use bittorrent::metainfo::{File, Magnet, Metainfo, Version};
use bittorrent_node::What;
use bittorrent_node::octets;
use serde_json::{Value, json};
use std::fmt::Write;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A torrent file, a magnet link, an info-hash or the address of a torrent file
    source: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: &Arguments) -> ExitCode {
    let (said, told) = match source::find(&arguments.source, &net::Network::new()).await {
        Ok(What::Metainfo(metainfo)) => (describe(&metainfo), as_json(&metainfo)),
        Ok(What::Magnet(magnet)) => (describe_magnet(&magnet), magnet_as_json(&magnet)),
        Err(reason) => return out::failed(&reason),
    };
    if arguments.json {
        out::line(told);
    } else {
        out::text(&said);
    }
    ExitCode::SUCCESS
}

fn version(version: Version) -> &'static str {
    match version {
        Version::V1 => "v1",
        Version::V2 => "v2",
        Version::Hybrid => "hybrid (v1 and v2)",
    }
}

fn describe(metainfo: &Metainfo) -> String {
    let (info, layout) = (&metainfo.info, metainfo.info.layout());
    let hashes = info.hashes();
    let mut out = format!("{}\n\n", info.name());
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "  {name:<12} {value}");
    };
    line("version", version(layout.version()).to_owned());
    if let Some(hash) = hashes.v1 {
        line("info-hash", hash.to_string());
    }
    if let Some(hash) = hashes.v2 {
        line("info-hash v2", hash.to_string());
    }
    line("size", octets(layout.content_octets()));
    line("pieces", format!("{} of {}", layout.piece_count(), octets(layout.piece_length().into())));
    if info.is_private() {
        line("private", "yes: peers come from its trackers only".to_owned());
    }
    for tier in &metainfo.trackers {
        line("tracker", tier.join(", "));
    }
    for seed in metainfo.web_seeds.iter().chain(&metainfo.http_seeds) {
        line("web seed", seed.clone());
    }
    for (name, text) in [("comment", &metainfo.comment), ("made by", &metainfo.created_by)] {
        if let Some(text) = text {
            // Terminals obey control characters.
            line(name, text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect());
        }
    }
    out.push_str("\nFiles\n");
    for (index, file) in files(metainfo) {
        let _ = writeln!(out, "  {index:>4}  {:>10}  {}", octets(file.length), file.path.join("/"));
    }
    let _ = writeln!(out, "\n{}", metainfo.magnet());
    out
}

/// The files that are no padding, each with its number in the torrent's list (BEP 53),
/// in which padding counts.
fn files(metainfo: &Metainfo) -> impl Iterator<Item = (usize, &File)> {
    metainfo.info.layout().files().iter().enumerate().filter(|(_, file)| !file.is_padding())
}

fn as_json(metainfo: &Metainfo) -> Value {
    let (info, layout) = (&metainfo.info, metainfo.info.layout());
    let hashes = info.hashes();
    let files: Vec<Value> = files(metainfo)
        .map(|(index, file)| json!({"index": index, "path": file.path.join("/"), "octets": file.length}))
        .collect();
    json!({
        "name": info.name(),
        "version": match layout.version() {
            Version::V1 => "v1",
            Version::V2 => "v2",
            Version::Hybrid => "hybrid",
        },
        "info_hash": hashes.v1.map(|hash| hash.to_string()),
        "info_hash_v2": hashes.v2.map(|hash| hash.to_string()),
        "octets": layout.content_octets(),
        "pieces": layout.piece_count(),
        "piece_octets": layout.piece_length(),
        "private": info.is_private(),
        "trackers": metainfo.trackers,
        "web_seeds": metainfo.web_seeds,
        "comment": metainfo.comment,
        "created_by": metainfo.created_by,
        "files": files,
        "magnet": metainfo.magnet().to_string(),
    })
}

fn describe_magnet(magnet: &Magnet) -> String {
    let mut out = format!("{}\n\n", magnet.name.as_deref().unwrap_or("a torrent without a name"));
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "  {name:<12} {value}");
    };
    if let Some(hash) = magnet.hashes.v1 {
        line("info-hash", hash.to_string());
    }
    if let Some(hash) = magnet.hashes.v2 {
        line("info-hash v2", hash.to_string());
    }
    magnet.trackers.iter().for_each(|tracker| line("tracker", tracker.clone()));
    magnet.web_seeds.iter().for_each(|seed| line("web seed", seed.clone()));
    magnet.peers.iter().for_each(|(host, port)| line("peer", format!("{host}:{port}")));
    out
}

fn magnet_as_json(magnet: &Magnet) -> Value {
    json!({
        "name": magnet.name,
        "info_hash": magnet.hashes.v1.map(|hash| hash.to_string()),
        "info_hash_v2": magnet.hashes.v2.map(|hash| hash.to_string()),
        "trackers": magnet.trackers,
        "web_seeds": magnet.web_seeds,
        "peers": magnet.peers.iter().map(|(host, port)| format!("{host}:{port}")).collect::<Vec<_>>(),
    })
}
