//! `cargo xtask bench`: runs us and the peers side by side on the same work and
//! prints the ratio.

mod choice;
mod dns;
mod hash;
mod row;
mod smtp;
mod swarm;
mod threads;
mod torrent;
mod tracker;

use clap::{Parser, ValueEnum};
use std::process::ExitCode;

/// Side by side with the best peers.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to measure.
    what: What,
    /// One JSON object a row.
    #[arg(long)]
    json: bool,
    /// Only clients and cases whose names contain one of these, e.g. `ours,slow` (swarm, torrent), or `http` or `aquatic` (tracker).
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// Authoritative answers, against NSD and a bare echo.
    Dns,
    /// The hashes of pieces, by the crate we use and by ring.
    Hash,
    /// Mail taken by the MX, against Postfix.
    Smtp,
    /// Completion of swarms over the lecture's bound, against libtorrent, aria2, Transmission and rqbit.
    Swarm,
    /// Announces to the tracker over UDP and HTTP, against opentracker, aquatic and a bare echo.
    Tracker,
    /// A torrent of 1 GiB from one seed to one leecher, against libtorrent, rqbit and aria2.
    Torrent,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.what {
        What::Dns => dns::run(arguments.json),
        What::Hash => {
            hash::run(arguments.json);
            Ok(())
        }
        What::Smtp => smtp::run(arguments.json),
        What::Swarm => swarm::run(arguments.json, &arguments.only),
        What::Tracker => tracker::run(arguments.json, &arguments.only),
        What::Torrent => torrent::run(arguments.json, &arguments.only),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the bench could not be run: {error}");
            ExitCode::FAILURE
        }
    }
}
