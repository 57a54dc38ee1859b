//! `utopia torrent create`: makes a torrent file.

use super::source;
use super::view::Bar;
use crate::out;
use bittorrent::metainfo::Version;
use bittorrent_node::{Making, octets};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use storage::files;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The file or folder
    path: PathBuf,
    /// A tracker; several stand in one tier each, in this order
    #[arg(long, value_name = "URL")]
    tracker: Vec<String>,
    /// A web server that has the same files (BEP 19)
    #[arg(long, value_name = "URL")]
    web_seed: Vec<String>,
    /// The torrent file; without it the name of PATH and `.torrent`, here
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Which version of the protocol it is for
    #[arg(long, value_enum, default_value_t = Which::Hybrid)]
    format: Which,
    /// Octets of a piece, a power of two; without it chosen by size
    #[arg(long, value_name = "OCTETS")]
    piece_octets: Option<u32>,
    /// Text for people
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Peers may come from its trackers only (BEP 27)
    #[arg(long)]
    private: bool,
    /// Replace the torrent file where it is there already
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Which {
    /// For every program
    V1,
    /// With a hash tree for each file (BEP 52)
    V2,
    /// Both in one
    Hybrid,
}

impl From<Which> for Version {
    fn from(which: Which) -> Self {
        match which {
            Which::V1 => Version::V1,
            Which::V2 => Version::V2,
            Which::Hybrid => Version::Hybrid,
        }
    }
}

/// Trackers in tiers of one, each checked.
pub(super) fn tiers(trackers: &[String]) -> Result<Vec<Vec<String>>, String> {
    let check = |url: &String| match bittorrent::tracker::announcer::TrackerUrl::parse(url) {
        Ok(_) => Ok(vec![url.clone()]),
        Err(error) => Err(format!("--tracker {url}: {error}")),
    };
    trackers.iter().map(check).collect()
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let json = arguments.json;
    match tokio::task::spawn_blocking(move || create(&arguments)).await {
        Ok(Ok((said, told))) => {
            if json {
                out::line(told);
            } else {
                out::text(&said);
            }
            ExitCode::SUCCESS
        }
        Ok(Err(reason)) => out::failed(&reason),
        Err(error) => out::failed(&error.to_string()),
    }
}

fn create(arguments: &Arguments) -> Result<(String, serde_json::Value), String> {
    let making = Making {
        version: arguments.format.into(),
        piece_octets: arguments.piece_octets,
        trackers: tiers(&arguments.tracker)?,
        web_seeds: arguments.web_seed.clone(),
        comment: arguments.comment.clone(),
        private: arguments.private,
    };
    let mut bar = Bar::new("hashing");
    let metainfo = source::make(&arguments.path, making, |done, total| bar.show(done, total, ""))?;
    bar.clear();
    let file =
        arguments.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.torrent", metainfo.info.name())));
    if file.exists() && !arguments.force {
        return Err(format!("{} is there already; --force replaces it", file.display()));
    }
    files::write_atomically(&file, &metainfo.encode(), files::PUBLIC).map_err(|error| error.to_string())?;
    let layout = metainfo.info.layout();
    let magnet = metainfo.magnet().to_string();
    let said = format!(
        "{}: {} in {} pieces of {}\n{magnet}\n",
        file.display(),
        octets(layout.content_octets()),
        layout.piece_count(),
        octets(layout.piece_length().into())
    );
    let told = json!({
        "file": file,
        "octets": layout.content_octets(),
        "pieces": layout.piece_count(),
        "piece_octets": layout.piece_length(),
        "magnet": magnet,
    });
    Ok((said, told))
}
