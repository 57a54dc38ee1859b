//! `utopia torrent get`: one torrent, until all of it is here.

use super::mutable::{FollowArguments, Follower};
use super::remote::Remote;
use super::run::{LOG, Shared, end, watch};
use super::source;
use super::told::until_told;
use crate::{logging, out};
use bittorrent::metainfo::{File, FileSelection, Metainfo};
use bittorrent::torrent::SeedingGoal;
use bittorrent_node::stream::Streaming;
use bittorrent_node::{Data, Progress, Stage, What, octets};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use storage::Allocation;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A torrent file, a magnet link, an info-hash or the address of a torrent file
    source: String,
    /// The folder for its files
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Pieces in their order, for a player
    #[arg(long)]
    sequential: bool,
    /// Serve the files over HTTP while they come, for a player, at http://ADDRESS:PORT/ until told to end; the system chooses a port where none is given
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "127.0.0.1:0"
    )]
    stream: Option<SocketAddr>,
    /// Only these files, by their numbers in `info`, e.g. 0,2-4
    #[arg(long, value_name = "FILES")]
    files: Option<String>,
    /// Seed until so many times its size was sent; without it `get` ends when all is here
    #[arg(long, value_name = "RATIO")]
    seed_ratio: Option<f64>,
    /// Send nothing to peers, who will choke you for it
    #[arg(long, conflicts_with = "seed_ratio")]
    no_upload: bool,
    /// Overwrite files that lie in the place of the torrent's and are something else
    #[arg(long)]
    overwrite: bool,
    /// Take the room of all files at once
    #[arg(long)]
    allocate: bool,
    #[command(flatten)]
    follow: FollowArguments,
    #[command(flatten)]
    shared: Shared,
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    logging::start(LOG);
    match carry_out(&arguments).await {
        Ok(code) => code,
        Err(reason) => out::failed(&reason),
    }
}

async fn carry_out(arguments: &Arguments) -> Result<ExitCode, String> {
    let what = source::find(&arguments.source, &arguments.shared.network()).await?;
    let mut options = arguments.shared.options(&arguments.out)?;
    options.rules.sequential = arguments.sequential;
    options.overwrite = arguments.overwrite;
    if arguments.no_upload {
        options.rules = options.rules.without_upload();
    }
    if arguments.allocate {
        options.allocation = Allocation::Full;
    }
    options.selection = arguments.files.as_deref().map(selection).transpose()?;
    if let (What::Metainfo(metainfo), Some(selection)) = (&what, &options.selection) {
        check_selection(selection, metainfo)?;
    }
    if let What::Magnet(magnet) = &what {
        options.named_peers.extend(magnet.peers.iter().cloned());
        if options.selection.is_none() {
            options.selection.clone_from(&magnet.selection);
        }
    }
    options.rules.seeding_goal = SeedingGoal { share_ratio: arguments.seed_ratio, ..SeedingGoal::default() };
    let engine = arguments.shared.start().await?;
    let mapping = arguments.shared.map_ports(&engine);
    let mut follower = Follower::new(&arguments.follow, &what, &engine)?;
    // The next one's files may have the names of those before.
    options.overwrite |= follower.goes_on();
    let mut what = tokio::select! {
        first = follower.first(what) => first?,
        () = until_told() => {
            end(mapping, engine).await;
            return Err("stopped before the hash table told which torrent stands under the key".to_owned());
        }
    };
    let streaming = arguments.streaming()?;
    let seeds = arguments.seed_ratio.is_some() || follower.goes_on() || streaming.is_some();
    let mut remote = None;
    let ends = |progress: &Progress| match progress.stage {
        Stage::Done => streaming.is_none(),
        Stage::Seeding => !seeds,
        _ => false,
    };
    let (mut last, progress) = loop {
        let handle = engine.add(what, options.clone()).await.map_err(|error| error.to_string())?;
        if let Some(streaming) = &streaming {
            streaming.show(handle.clone());
        }
        if remote.is_none() {
            remote = arguments.shared.remote(&engine, &arguments.out).await?;
        }
        what = tokio::select! {
            last = watch(&handle, arguments.shared.json, remote.as_ref(), ends) => break (last, handle.progress()),
            next = follower.next() => next?,
        };
        // Its files stay; some may be those of the next one.
        handle.remove(Data::Keep).await.map_err(|error| error.to_string())?;
    };
    let closed = Remote::end(remote).await;
    end(mapping, engine).await;
    if let after @ Stage::Paused(_) = &progress.borrow().stage {
        last.stage = after.clone();
    }
    if closed {
        // As it was told, however far it is.
        return Ok(ExitCode::SUCCESS);
    }
    match last.stage {
        Stage::Paused(why) => Err(format!("{}: {why}", last.name)),
        Stage::Seeding | Stage::Done => {
            if !arguments.shared.json {
                out::line(format_args!(
                    "{} is here: {} in {}",
                    last.name,
                    octets(last.have_octets),
                    arguments.out.display()
                ));
            }
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(format!(
            "{}: stopped with {} of {} pieces; the same command goes on from here",
            last.name, last.have_pieces, last.pieces
        )),
    }
}

impl Arguments {
    /// Begins to serve the files over HTTP, if that is wanted.
    fn streaming(&self) -> Result<Option<Streaming>, String> {
        let Some(address) = self.stream else { return Ok(None) };
        let network = source::network(&[address]);
        let streaming = Streaming::start(&network, address, net::Shutdown::new());
        let streaming = streaming.map_err(|error| error.to_string())?;
        if self.shared.json {
            out::line(serde_json::json!({ "stream": streaming.url() }));
        } else {
            out::line(format_args!("play {}", streaming.url()));
        }
        Ok(Some(streaming))
    }
}

/// Files by their numbers, e.g. `0,2-4`.
fn selection(text: &str) -> Result<FileSelection, String> {
    let plain: String = text.split_whitespace().collect();
    plain.parse().map_err(|error| format!("--files {text}: {error}"))
}

/// A torrent that has none of the files that are wanted is not got.
fn check_selection(selection: &FileSelection, metainfo: &Metainfo) -> Result<(), String> {
    let files = metainfo.info.layout().files();
    let chosen = |(index, file): (usize, &File)| selection.contains(index) && !file.is_padding();
    if files.iter().enumerate().any(chosen) {
        return Ok(());
    }
    Err(format!(
        "--files {selection}: the torrent has no such file; `utopia torrent info` tells their numbers"
    ))
}
