//! `utopia lab swarm`: a file gets from one seed to many peers, as real nodes.

use super::{folder, screen, telling};
use crate::{capture, logging, out};
use lab::{SwarmPlan, run_swarm};
use net::Capture;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  utopia lab swarm --svg swarm.svg\n  utopia lab swarm --peers 24 --json\n  utopia lab swarm --file-size 33554432 --uplink 512000"
)]
pub(crate) struct SwarmArguments {
    /// Peers beside the seed, Alice and the free rider among them: 6 to 40
    #[arg(long, value_name = "NUMBER", default_value_t = 16)]
    peers: usize,
    /// Octets of the file
    #[arg(long, value_name = "OCTETS", default_value_t = 16 * 1024 * 1024)]
    file_size: u64,
    /// Octets a second of a peer's uplink; the seed's has twice as much, and every downlink half as much again
    #[arg(long, value_name = "OCTETS", default_value_t = 256_000)]
    uplink: u64,
    /// Write a picture of the whole run
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
    /// The seed of what is in the file
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Write everything on the wire to a file for Wireshark
    #[arg(long, value_name = "FILE.pcapng")]
    capture: Option<PathBuf>,
    /// The folder of the hosts' data, kept; without it a temporary one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

pub(super) async fn run(arguments: SwarmArguments) -> ExitCode {
    logging::start("error");
    let SwarmArguments { peers, file_size, uplink, svg, seed, json, capture, data } = arguments;
    let folder = match folder(data) {
        Ok(folder) => folder,
        Err(reason) => return out::failed(&reason),
    };
    let capture = match capture.as_deref().map(capture::begin).transpose() {
        Ok(capture) => capture,
        Err(reason) => return out::failed(&reason),
    };
    let plan = SwarmPlan {
        peers,
        octets: file_size,
        uplink,
        picture: svg,
        capture: capture.clone(),
        ..SwarmPlan::new(folder.path().to_owned(), seed)
    };
    let told = Box::pin(run_swarm(telling(json), plan, &out::UNREAD)).await;
    screen().clear();
    let code = match told {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => out::failed(&error.to_string()),
    };
    match capture.as_ref().map(Capture::flush) {
        Some(Err(error)) => out::failed(&format!("the capture could not be written: {error}")),
        _ => code,
    }
}
