//! Authoritative answers: ours, a bare echo of the same shape, NSD and Knot, on
//! the same load in the same run.
//!
//! Each server answers on one thread that is kept on one processor, the load
//! comes from another. What counts is the processor time the server took: it is
//! hardly disturbed by what else the machine does. The rate beside it is.

mod load;
mod servers;

use crate::row::{Figure, Row};
use crate::threads::{Measured, pin, this_thread, threads_named};
use load::{Load, blast};
use net::Shutdown;
use servers::{Foreign, start_echo, start_ours};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Names in the zone.
const NAMES: usize = 100_000;
/// Rounds, in turn over all servers, so that what disturbs the machine disturbs
/// all alike; the median counts.
const ROUNDS: usize = 9;

/// Runs the comparison and prints the rows of each load.
pub(crate) fn run(json: bool) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let zone = zone_text();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let shutdown = Shutdown::new();
    let ours = runtime.block_on(start_ours(&zone, folder.path(), &shutdown))?;
    let added = Arc::new(AtomicUsize::new(0));
    let echo = start_echo(&added, &shutdown)?;
    let foreign =
        [("nsd", Foreign::nsd(folder.path(), &zone)?), ("knot", Foreign::knot(folder.path(), &zone)?)];

    let mut servers = vec![
        ("ours", Measured { address: ours, threads: threads_named("dns-udp")? }),
        ("echo", Measured { address: echo, threads: threads_named("echo")? }),
    ];
    for (name, server) in &foreign {
        if let Some(server) = server {
            servers.push((*name, server.measured()?));
        }
    }
    for thread in servers.iter().flat_map(|(_, server)| &server.threads) {
        pin(thread, "0");
    }
    pin(&this_thread()?, "1");

    for (load, label) in [("names that exist", "host"), ("names that do not exist", "nohost")] {
        let queries: Vec<Vec<u8>> = (0..NAMES).map(|n| query(&format!("{label}{n}"), n as u16)).collect();
        // Each answer is longer than its question by the same records.
        let reply = load::ask(ours, &queries[0])?;
        added.store(reply.saturating_sub(queries[0].len()), Ordering::Relaxed);
        let queries = shuffled(queries);
        let mut rates: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
        let mut efficiencies: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
        for _ in 0..ROUNDS {
            for (name, server) in &servers {
                let Load { answered, seconds, cpu_seconds } = blast(server, &queries)?;
                rates.entry(name).or_default().push(answered / seconds);
                efficiencies.entry(name).or_default().push(answered / cpu_seconds);
            }
        }
        for (what, unit, measured) in
            [("by processor time", "queries/CPU s", efficiencies), ("by the clock", "queries/s", rates)]
        {
            let mut peers: BTreeMap<_, _> =
                measured.into_iter().map(|(name, rounds)| (name, Figure::median(rounds))).collect();
            let ours = peers.remove("ours").unwrap_or_default();
            let echo = peers.get("echo").copied().into_iter().map(|echo| ("echo", echo)).collect();
            Row::more_is_better(format!("DNS, {load}, {what}"), unit, ours, peers, &["echo"]).print(json);
            let what = format!("DNS, {load}, {what}, over the echo");
            Row::more_is_better(what, unit, ours, echo, &[]).print(json);
        }
    }
    runtime.block_on(shutdown.finish(Duration::from_secs(5)));
    Ok(())
}

fn zone_text() -> String {
    let mut text = "$ORIGIN bench.test.\n$TTL 3600\n@ SOA ns hostmaster 1 3600 900 604800 300\n@ NS ns\nns A 127.0.0.1\n".to_owned();
    for n in 0..NAMES {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "host{n} A 10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255);
    }
    text
}

fn query(host: &str, id: u16) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    query.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in [host, "bench", "test"] {
        query.push(label.len() as u8);
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    query
}

/// A fixed order without locality: caches must not see neighbours.
fn shuffled(queries: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut order: Vec<(u64, Vec<u8>)> = queries
        .into_iter()
        .enumerate()
        .map(|(n, query)| ((n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15), query))
        .collect();
    order.sort_by_key(|(at, _)| *at);
    order.into_iter().map(|(_, query)| query).collect()
}
