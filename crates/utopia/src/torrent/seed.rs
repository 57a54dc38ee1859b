//! `utopia torrent seed`: one torrent, given to others.

use super::create::{Which, tiers};
use super::mutable::{Publication, PublishArguments};
use super::remote::Remote;
use super::run::{LOG, Shared, end, watch};
use super::source;
use super::view::Bar;
use crate::{logging, out};
use bittorrent_node::{Making, Stage, What};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The file or folder
    path: PathBuf,
    /// Its torrent file; without it a torrent is made
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tracker", "web_seed", "format"])]
    torrent: Option<PathBuf>,
    /// A tracker for the torrent that is made
    #[arg(long, value_name = "URL")]
    tracker: Vec<String>,
    /// A web server that has the same files, for the torrent that is made (BEP 19)
    #[arg(long, value_name = "URL")]
    web_seed: Vec<String>,
    /// Which version of the protocol the torrent that is made is for
    #[arg(long, value_enum, default_value_t = Which::Hybrid)]
    format: Which,
    /// Show pieces one by one, so that each is sent once (BEP 16)
    #[arg(long)]
    super_seeding: bool,
    #[command(flatten)]
    publish: PublishArguments,
    #[command(flatten)]
    shared: Shared,
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    logging::start(LOG);
    match carry_out(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => out::failed(&reason),
    }
}

async fn carry_out(arguments: &Arguments) -> Result<(), String> {
    let metainfo = if let Some(file) = &arguments.torrent {
        source::read_file(file)?
    } else {
        let making = Making {
            trackers: tiers(&arguments.tracker)?,
            web_seeds: arguments.web_seed.clone(),
            ..Making::new(arguments.format.into())
        };
        let path = arguments.path.clone();
        let mut bar = Bar::new("hashing");
        let made = tokio::task::spawn_blocking(move || {
            let made = source::make(&path, making, |done, total| bar.show(done, total, ""));
            bar.clear();
            made
        });
        made.await.map_err(|error| error.to_string())??
    };
    let whole =
        arguments.path.canonicalize().map_err(|error| format!("{}: {error}", arguments.path.display()))?;
    let name = whole.file_name().unwrap_or_default();
    if name != metainfo.info.name() {
        return Err(format!(
            "the torrent is of {}, not of {}; rename the file or choose its torrent",
            metainfo.info.name(),
            name.display()
        ));
    }
    let folder = whole.parent().unwrap_or(Path::new("/")).to_owned();
    let mut options = arguments.shared.options(&folder)?;
    options.rules.super_seeding = arguments.super_seeding;
    options.seeds_only = true;
    let magnet = metainfo.magnet();
    let publication = Publication::new(&arguments.publish, &metainfo)?;
    let engine = arguments.shared.start().await?;
    let mapping = arguments.shared.map_ports(&engine);
    let addresses = engine.addresses().to_vec();
    let handle =
        engine.add(What::Metainfo(Arc::new(metainfo)), options).await.map_err(|error| error.to_string())?;
    if !arguments.shared.json {
        for address in addresses {
            out::line(format_args!("peers connect to {address}"));
        }
        out::line(&magnet);
        if let Some(publication) = &publication {
            out::line(publication.link());
        }
    }
    if let Some(publication) = publication {
        let dht = engine.dht().ok_or("--key: the hash table is needed: drop --dht off")?.clone();
        tokio::spawn(publication.run(dht, arguments.shared.json));
    }
    let remote = arguments.shared.remote(&engine, &folder).await?;
    let last = watch(&handle, arguments.shared.json, remote.as_ref(), |_| false).await;
    let closed = Remote::end(remote).await;
    end(mapping, engine).await;
    if closed {
        return Ok(());
    }
    match last.stage {
        Stage::Paused(why) => Err(format!("{}: {why}", last.name)),
        _ => Ok(()),
    }
}
