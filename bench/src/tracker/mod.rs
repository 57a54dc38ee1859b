//! Announces over UDP: ours, a bare echo of the same shape, opentracker and
//! aquatic, on the same load in the same run; ours and aquatic on aquatic's own
//! load. Announces over HTTP: ours and opentracker.
//!
//! Each server answers on one thread that is kept on one processor, the load
//! comes from another. What counts is the processor time the server took: it is
//! hardly disturbed by what else the machine does. The rate beside it is.

mod foreign_load;
mod http;
mod load;
mod servers;

use crate::row::{Figure, Row};
use crate::threads::{Measured, pin, this_thread, threads_named};
use load::{Client, Load};
use net::Shutdown;
use servers::{Foreign, start_echo, start_ours};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

/// Rounds, in turn over all servers, so that what disturbs the machine disturbs
/// all alike; the median counts.
const ROUNDS: usize = 9;
/// How long each server is measured, in each round.
const ROUND: Duration = Duration::from_secs(1);
/// Peers told of in each reply, at most.
const PEERS_TOLD: u32 = 30;

/// A world of torrents and peers.
struct World {
    name: &'static str,
    torrents: u32,
    peers: u32,
}

/// Some torrents with many peers, and many torrents with few.
const WORLDS: [World; 2] = [
    World { name: "10,000 torrents, 200,000 peers", torrents: 10_000, peers: 200_000 },
    World { name: "500,000 torrents, 1,000,000 peers", torrents: 500_000, peers: 1_000_000 },
];

/// Runs the comparison and prints the rows of each world, then those of aquatic's
/// load and over HTTP; `only` `http` or `aquatic` leaves out the others.
pub(crate) fn run(json: bool, only: &[String]) -> io::Result<()> {
    pin(&this_thread()?, "1");
    if only.iter().any(|only| only == "http") {
        return http::compare(json);
    }
    if only.iter().any(|only| only == "aquatic") {
        return foreign_load::compare(json);
    }
    for world in &WORLDS {
        compare(world, json)?;
    }
    foreign_load::compare(json)?;
    http::compare(json)
}

fn compare(world: &World, json: bool) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let shutdown = Shutdown::new();
    let [ours, _] = runtime.block_on(start_ours(&shutdown))?;
    let echo = start_echo(&shutdown)?;
    let load = Load::new(world.torrents, world.peers);
    let mut foreign = [
        ("opentracker", Foreign::opentracker(folder.path(), &load)?),
        ("aquatic", Foreign::aquatic(folder.path())?),
    ];
    let mut servers = vec![
        ("ours", Measured { address: ours, threads: threads_named("tracker-udp")? }),
        ("echo", Measured { address: echo, threads: threads_named("echo")? }),
    ];
    for (name, server) in &mut foreign {
        if let Some(server) = server {
            servers.push((*name, server.measured(|server| load::Client::new(server).map(drop))?));
        }
    }
    for thread in servers.iter().flat_map(|(_, server)| &server.threads) {
        pin(thread, "0");
    }
    let mut rates: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    let mut efficiencies: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    let mut clients = Vec::new();
    for (name, server) in &servers {
        let mut client = Client::new(server)?;
        // Everybody is there before the first round.
        client.announce(server, &load, |answered, _| answered >= u64::from(world.peers))?;
        clients.push((*name, server, client));
    }
    for _ in 0..ROUNDS {
        for (name, server, client) in &mut clients {
            let done = client.announce(server, &load, |_, elapsed| elapsed >= ROUND)?;
            rates.entry(name).or_default().push(done.answered / done.seconds);
            efficiencies.entry(name).or_default().push(done.answered / done.cpu_seconds);
        }
    }
    for (what, unit, measured) in
        [("by processor time", "announces/CPU s", efficiencies), ("by the clock", "announces/s", rates)]
    {
        let mut peers: BTreeMap<_, _> =
            measured.into_iter().map(|(name, rounds)| (name, Figure::median(rounds))).collect();
        let ours = peers.remove("ours").unwrap_or_default();
        let what = format!("Tracker, {}, {what}", world.name);
        Row::more_is_better(what, unit, ours, peers, &["echo"]).print(json);
    }
    runtime.block_on(shutdown.finish(Duration::from_secs(5)));
    Ok(())
}
