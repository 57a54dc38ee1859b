//! `utopia torrent`: making, describing, getting, seeding and tracking torrents.

mod create;
mod dht;
mod finding;
mod get;
mod info;
mod mutable;
mod remote;
mod run;
mod seed;
mod sharing;
mod source;
mod told;
mod track;
mod view;

use clap::Subcommand;
use std::process::ExitCode;

/// Work with torrents.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a torrent of a file or a folder
    #[command(
        after_help = "Example:\n  utopia torrent create film.mkv --tracker udp://127.0.0.1:6969 --out film.torrent"
    )]
    Create(create::Arguments),
    /// Say what a torrent file or a magnet link is about
    #[command(after_help = "Example:\n  utopia torrent info film.torrent")]
    Info(info::Arguments),
    /// Get a torrent; ends when all is here
    #[command(
        after_help = "Examples:\n  utopia torrent get film.torrent --out downloads\n  utopia torrent get 'magnet:?xt=urn:btih:…' --sequential\n  utopia torrent get 'magnet:?xs=urn:btpk:…' --follow"
    )]
    Get(get::Arguments),
    /// Give a file or a folder to others, until Ctrl-C
    #[command(
        after_help = "Examples:\n  utopia torrent seed film.mkv --tracker udp://127.0.0.1:6969\n  utopia torrent seed film.mkv --torrent film.torrent\n  utopia torrent seed news --key news.key"
    )]
    Seed(seed::Arguments),
    /// Read and write small items in the distributed hash table
    #[command(
        subcommand,
        after_help = "Examples:\n  utopia torrent dht put 'Hello'\n  utopia torrent dht get --help"
    )]
    Dht(dht::Command),
    /// Run a tracker, until Ctrl-C
    #[command(after_help = "Example:\n  utopia torrent track --udp 127.0.0.1:6969 --http 127.0.0.1:6969")]
    Track(track::Arguments),
}

pub(crate) async fn run(command: Command) -> ExitCode {
    match command {
        Command::Create(arguments) => create::run(arguments).await,
        Command::Info(arguments) => info::run(&arguments).await,
        Command::Get(arguments) => get::run(arguments).await,
        Command::Seed(arguments) => seed::run(arguments).await,
        Command::Dht(command) => dht::run(command).await,
        Command::Track(arguments) => track::run(arguments).await,
    }
}
