//! Announces over UDP by aquatic's own load, `aquatic_udp_load_test`: half a million
//! torrents whose first have hundreds of peers, three quarters of them seeds, each
//! announce of which makes a seed a leecher or a leecher a seed at random.
//!
//! It announces to a new tracker in each round, whose store is empty at first, and
//! sends more while at least nine in ten requests are answered.

use super::PEERS_TOLD;
use super::servers::{Foreign, installed, start_ours};
use crate::row::{Figure, Row};
use crate::threads::{Measured, pin, threads_named};
use net::Shutdown;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The program that makes the load.
const PROGRAM: &str = "aquatic_udp_load_test";
/// Rounds of each tracker, by turns.
const ROUNDS: usize = 11;
/// How long each round is, once the peers were chosen.
const SECONDS: u32 = 5;

/// Runs the comparison and prints its row; says so where the load is not installed.
pub(super) fn compare(json: bool) -> io::Result<()> {
    let Some(program) = installed(PROGRAM) else {
        eprintln!("{PROGRAM} is not installed (crates.io): the trackers are not compared under its load");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (mut ours, mut aquatic) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let shutdown = Shutdown::new();
        let [address, _] = runtime.block_on(start_ours(&shutdown))?;
        let server = Measured { address, threads: threads_named("tracker-udp")? };
        ours.push(announce(&program, folder.path(), &server)?);
        runtime.block_on(shutdown.finish(Duration::from_secs(5)));
        if let Some(mut server) = Foreign::aquatic(folder.path())? {
            let server = server.measured(|server| super::Client::new(server).map(drop))?;
            aquatic.push(announce(&program, folder.path(), &server)?);
        }
    }
    let mut peers = BTreeMap::new();
    if !aquatic.is_empty() {
        peers.insert("aquatic", Figure::median(aquatic));
    }
    let what = "Tracker, aquatic's own load, by processor time";
    Row::more_is_better(what, "announces/CPU s", Figure::median(ours), peers, &[]).print(json);
    Ok(())
}

/// Announces to a tracker; gives how many answers a second of its processor time
/// came.
fn announce(program: &Path, folder: &Path, server: &Measured) -> io::Result<f64> {
    for thread in &server.threads {
        pin(thread, "0");
    }
    let file = folder.join("load.toml");
    let configuration = format!(
        "server_address = \"{}\"\nduration = {SECONDS}\n[requests]\nnumber_of_torrents = 500_000\n\
         number_of_peers = 1_000_000\nannounce_peers_wanted = {PEERS_TOLD}\n\
         weight_connect = 1\nweight_announce = 100\nweight_scrape = 0\n",
        server.address
    );
    std::fs::write(&file, configuration)?;
    let begun = server.cpu_seconds();
    let output = Command::new(program).arg("-c").arg(&file).stderr(Stdio::inherit()).output()?;
    let cpu_seconds = server.cpu_seconds() - begun;
    let report = String::from_utf8_lossy(&output.stdout);
    // Its rate is that of all the seconds it ran.
    match (figure(&report, "Test ran for "), figure(&report, "Announce responses:")) {
        (Some(seconds), Some(rate)) if rate > 0.0 => Ok(seconds * rate / cpu_seconds),
        _ => Err(io::Error::other(format!("{PROGRAM} got no answers: {report}"))),
    }
}

/// The number behind a label.
fn figure(report: &str, label: &str) -> Option<f64> {
    let (_, rest) = report.split_once(label)?;
    rest.split_whitespace().next()?.parse().ok()
}
