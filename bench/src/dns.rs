//! Authoritative answers a second: ours, a bare echo of the same shape, and NSD,
//! on the same load in the same run.

use crate::row::Row;
use dns_server::authoritative::{Config, Server, ZoneConfig};
use net::batch::{BatchOptions, DatagramBatch};
use net::{Network, Shutdown};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Names in the zone.
const NAMES: usize = 100_000;
/// How long each server is measured, in each round.
const ROUND: Duration = Duration::from_secs(3);
/// Rounds, in turn over all servers, so that what disturbs the machine disturbs
/// all alike; the best round of each counts.
const ROUNDS: usize = 3;
/// Queries on their way at once, about: more than a server's batch, less than
/// what a socket's buffer holds.
const WINDOW: usize = 192;
/// Octets of a reply to an A query for one of the names: what the echo sends.
const REPLY_OCTETS: usize = 49;

/// Runs the comparison and prints a row for each load.
pub(crate) fn run(json: bool) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let zone = zone_text();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let shutdown = Shutdown::new();
    let ours = runtime.block_on(start_ours(&zone, folder.path(), &shutdown))?;
    let echo = start_echo(&shutdown)?;
    let nsd = Nsd::start(folder.path(), &zone)?;

    let existing: Vec<Vec<u8>> = (0..NAMES).map(|n| query(&format!("host{n}"), n as u16)).collect();
    let missing: Vec<Vec<u8>> = (0..NAMES).map(|n| query(&format!("nohost{n}"), n as u16)).collect();
    let mut servers = vec![
        ("ours", Measured { address: ours, threads: threads_named("dns-udp")? }),
        ("echo", Measured { address: echo, threads: threads_named("echo")? }),
    ];
    if let Some(nsd) = &nsd {
        servers.push(("nsd", Measured { address: nsd.address, threads: nsd.threads()? }));
    }
    for (_, server) in &servers {
        server.threads.iter().for_each(|thread| pin(thread, "0"));
    }
    for (load, queries) in
        [("names that exist", shuffled(existing)), ("names that do not exist", shuffled(missing))]
    {
        let mut rates: BTreeMap<&'static str, f64> = BTreeMap::new();
        let mut efficiencies: BTreeMap<&'static str, f64> = BTreeMap::new();
        for _ in 0..ROUNDS {
            for (name, server) in &servers {
                let Load { answered, seconds, cpu_seconds } = blast(server, &queries)?;
                let keep = |best: &mut f64, figure: f64| *best = best.max(figure);
                keep(rates.entry(name).or_default(), answered / seconds);
                keep(efficiencies.entry(name).or_default(), answered / cpu_seconds);
            }
        }
        for (what, unit, mut best) in
            [("", "queries/s", rates), (", by processor time of the server", "queries/CPU s", efficiencies)]
        {
            let ours = best.remove("ours").unwrap_or_default();
            Row::more_is_better(format!("DNS, {load}{what}"), unit, ours, best).print(json);
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

async fn start_ours(zone: &str, folder: &Path, shutdown: &Shutdown) -> io::Result<SocketAddr> {
    let reporter = event::Reporter::silent();
    let storage =
        storage::Storage::open(&storage::Config::default(), &folder.join("state"), reporter.clone())
            .map_err(io::Error::other)?;
    let config = Config {
        listen: vec![([127, 0, 0, 1], 0).into()],
        threads: 1,
        zones: vec![ZoneConfig {
            name: "bench.test".to_owned(),
            text: Some(zone.to_owned()),
            ..ZoneConfig::default()
        }],
        ..Config::default()
    };
    let server = Server::start(&config, Network::new(), storage, reporter, shutdown.clone())
        .await
        .map_err(io::Error::other)?;
    server.local_addrs().first().copied().ok_or_else(|| io::Error::other("the server does not listen"))
}

/// The same socket code, and nothing else: each datagram is sent back, as long
/// as an answer.
fn start_echo(shutdown: &Shutdown) -> io::Result<SocketAddr> {
    let options = BatchOptions::at(([127, 0, 0, 1], 0).into());
    let mut batches = Network::new().datagram_batches(&options)?;
    let batch = batches.pop().ok_or_else(|| io::Error::other("no socket"))?;
    let address = batch.local_addr();
    let (shutdown, hold) = (shutdown.clone(), shutdown.hold());
    thread::Builder::new().name("echo".to_owned()).spawn(move || {
        let ended = echo(batch, &shutdown);
        drop(hold);
        ended
    })?;
    Ok(address)
}

fn echo(mut batch: DatagramBatch, shutdown: &Shutdown) -> io::Result<()> {
    while !shutdown.is_requested() {
        batch.receive()?;
        for (datagram, mut reply) in batch.exchanges() {
            let length = datagram.octets.len();
            reply.buffer()[..length].copy_from_slice(datagram.octets);
            reply.set_len(length.max(REPLY_OCTETS));
        }
        batch.send()?;
    }
    Ok(())
}

/// A server and the threads that answer in it, as folders of /proc.
struct Measured {
    address: SocketAddr,
    threads: Vec<PathBuf>,
}

impl Measured {
    /// Seconds its threads have run, in the kernel and outside of it.
    fn cpu_seconds(&self) -> f64 {
        let nanoseconds = |thread: &PathBuf| -> Option<f64> {
            std::fs::read_to_string(thread.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
        };
        self.threads.iter().filter_map(nanoseconds).sum::<f64>() / 1e9
    }
}

/// The threads of this process with this name.
fn threads_named(name: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc/self/task")? {
        let thread = entry?.path();
        if std::fs::read_to_string(thread.join("comm"))?.trim() == name {
            found.push(thread);
        }
    }
    Ok(found)
}

/// Keeps a thread on one processor, so that the load runs on the other.
fn pin(thread: &Path, processor: &str) {
    let id = thread.file_name().unwrap_or_default();
    let _ = Command::new("taskset").args(["-pc", processor]).arg(id).stdout(Stdio::null()).status();
}

/// What a round measured.
struct Load {
    answered: f64,
    seconds: f64,
    cpu_seconds: f64,
}

/// Keeps [`WINDOW`] queries on their way, in batches: each answer is replied to
/// with the next query.
fn blast(server: &Measured, queries: &[Vec<u8>]) -> io::Result<Load> {
    let options =
        BatchOptions { patience: Duration::from_millis(50), ..BatchOptions::at(([127, 0, 0, 1], 0).into()) };
    let mut batch =
        Network::new().datagram_batches(&options)?.pop().ok_or_else(|| io::Error::other("no socket"))?;
    let first = batch.late_replies()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut next = queries.iter().cycle();
    let address = batch.local_addr();
    let inject = |next: &mut dyn Iterator<Item = &Vec<u8>>| {
        for query in next.take(WINDOW) {
            runtime.block_on(first.send(query, address, server.address));
        }
    };
    inject(&mut next);
    let (start, cpu_start) = (Instant::now(), server.cpu_seconds());
    let mut answered = 0.0;
    while start.elapsed() < ROUND {
        if batch.receive()? == 0 {
            // All were lost.
            inject(&mut next);
        }
        for (datagram, mut reply) in batch.exchanges() {
            answered += f64::from(u8::from(datagram.octets.len() > 12));
            if let Some(query) = next.next() {
                let _ = reply.push(query);
            }
        }
        batch.send()?;
    }
    Ok(Load {
        answered,
        seconds: start.elapsed().as_secs_f64(),
        cpu_seconds: server.cpu_seconds() - cpu_start,
    })
}

/// NSD with one server process, on a configuration of its own.
struct Nsd {
    child: Child,
    address: SocketAddr,
}

impl Nsd {
    fn start(folder: &Path, zone: &str) -> io::Result<Option<Self>> {
        let program = PathBuf::from("/usr/sbin/nsd");
        if !program.is_file() {
            return Ok(None);
        }
        let address = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
        let file = |name: &str| folder.join(name).display().to_string();
        std::fs::write(file("bench.zone"), zone)?;
        let configuration = format!(
            "server:\n  ip-address: 127.0.0.1@{}\n  server-count: 1\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{}\"\n  \
             database: \"\"\n  pidfile: \"{}\"\n  xfrdfile: \"{}\"\n  zonelistfile: \"{}\"\n  xfrdir: \"{}\"\n  rrl-ratelimit: 0\n\
             remote-control:\n  control-enable: no\nzone:\n  name: bench.test\n  zonefile: {}\n",
            address.port(),
            folder.display(),
            file("nsd.pid"),
            file("xfrd.state"),
            file("zone.list"),
            folder.display(),
            file("bench.zone"),
        );
        std::fs::write(file("nsd.conf"), configuration)?;
        let child = Command::new(program)
            .args(["-d", "-c", &file("nsd.conf")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let nsd = Self { child, address };
        nsd.wait()?;
        Ok(Some(nsd))
    }

    /// All threads of the processes it consists of.
    fn threads(&self) -> io::Result<Vec<PathBuf>> {
        let mut family = vec![self.child.id()];
        let mut index = 0;
        while let Some(id) = family.get(index) {
            let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
            family.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            index += 1;
        }
        Ok(family.into_iter().map(|id| PathBuf::from(format!("/proc/{id}/task/{id}"))).collect())
    }

    /// Waits until it answers.
    fn wait(&self) -> io::Result<()> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(self.address)?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        for _ in 0..100 {
            if socket.send(&query("host1", 1)).is_ok() && socket.recv(&mut [0; 512]).is_ok() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err(io::Error::other("NSD does not answer"))
    }
}

impl Drop for Nsd {
    fn drop(&mut self) {
        // NSD ends its children at SIGTERM, and leaves them alone at SIGKILL.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}
