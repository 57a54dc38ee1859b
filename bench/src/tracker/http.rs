//! Announces over HTTP: a connection for each, as clients do, and one after the
//! other on connections that stay open, as a proxy in front of the tracker does.

use super::load::{Client, Load};
use super::servers::{Foreign, start_ours};
use super::{PEERS_TOLD, ROUND, ROUNDS};
use crate::row::{Figure, Row};
use crate::threads::{Measured, pin, threads_named};
use bittorrent::tracker::Event;
use bittorrent::tracker::http::Announce;
use net::Shutdown;
use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The world over HTTP: small, because a round is short.
const TORRENTS: u32 = 1_000;
const PEERS: u32 = 20_000;
/// Connections open at once.
const CONNECTIONS: usize = 32;
/// How often a server that starts is asked, and how far apart.
const PATIENCE: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);
/// Octets of a response with all its peers, and more.
const RESPONSE_OCTETS_MAX: usize = 4_096;

/// Runs the comparison and prints its rows.
pub(super) fn compare(json: bool) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("tracker-http")
        .enable_all()
        .build()?;
    let shutdown = Shutdown::new();
    let [_, ours] = runtime.block_on(start_ours(&shutdown))?;
    let load = Load::new(TORRENTS, PEERS);
    let mut opentracker = Foreign::opentracker(folder.path(), &load)?;
    let mut servers = vec![("ours", Measured { address: ours, threads: threads_named("tracker-http")? })];
    if let Some(server) = &mut opentracker {
        servers.push(("opentracker", server.measured(|server| Client::new(server).map(drop))?));
    }
    keep_apart(&servers);
    let requests: Vec<String> = load.announces().map(|(info_hash, port)| request(info_hash, port)).collect();
    for (_, server) in &servers {
        for requests in requests.chunks(CONNECTIONS) {
            announce(server.address, requests)?;
        }
    }
    let closing =
        |_: &mut Vec<Conversation>, server: SocketAddr, requests: &[String]| announce(server, requests);
    let what = "Tracker, HTTP, a connection each, by processor time";
    measure(what, &servers, &requests, closing)?.print(json);
    let requests: Vec<String> =
        requests.into_iter().map(|request| request.replace("Connection: close\r\n", "")).collect();
    servers.retain(|(_, server)| stays_open(server.address, &requests).is_ok());
    // Its connections stay open.
    let mut aquatic = Foreign::aquatic_http(folder.path())?;
    if let Some(server) = &mut aquatic {
        let server = server.measured(|server| {
            (0..PATIENCE).map(|_| sleep(PAUSE)).find_map(|()| stays_open(server.address, &requests).ok());
            stays_open(server.address, &requests)
        })?;
        let mut conversations = Vec::new();
        for requests in requests.chunks(CONNECTIONS) {
            announce_on(&mut conversations, server.address, requests)?;
        }
        servers.push(("aquatic", server));
        keep_apart(&servers);
    }
    let what = "Tracker, HTTP, connections stay open, by processor time";
    measure(what, &servers, &requests, announce_on)?.print(json);
    runtime.block_on(shutdown.finish(Duration::from_secs(5)));
    Ok(())
}

/// Keeps the servers on a processor that the load does not use.
fn keep_apart(servers: &[(&'static str, Measured)]) {
    for thread in servers.iter().flat_map(|(_, server)| &server.threads) {
        pin(thread, "0");
    }
}

/// Announces to each server in turn, in rounds.
fn measure(
    what: &str,
    servers: &[(&'static str, Measured)],
    requests: &[String],
    announce: impl Fn(&mut Vec<Conversation>, SocketAddr, &[String]) -> io::Result<()>,
) -> io::Result<Row> {
    let mut next = requests.chunks_exact(CONNECTIONS).cycle();
    let mut efficiencies: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for (name, server) in servers {
            let mut conversations = Vec::new();
            let (start, cpu_start, mut answered) = (Instant::now(), server.cpu_seconds(), 0.0);
            while start.elapsed() < ROUND {
                if let Some(requests) = next.next() {
                    announce(&mut conversations, server.address, requests)?;
                    answered += requests.len() as f64;
                }
            }
            efficiencies.entry(name).or_default().push(answered / (server.cpu_seconds() - cpu_start));
        }
    }
    let mut peers: BTreeMap<_, _> =
        efficiencies.into_iter().map(|(name, rounds)| (name, Figure::median(rounds))).collect();
    let ours = peers.remove("ours").unwrap_or_default();
    Ok(Row::more_is_better(what, "announces/CPU s", ours, peers, &[]))
}

fn request(info_hash: [u8; 20], port: u16) -> String {
    let announce = Announce {
        info_hash,
        peer_id: *b"-UT0100-benchbenchbe",
        port,
        uploaded: 0,
        downloaded: 0,
        left: Some(u64::from(!port.is_multiple_of(4))),
        event: Event::None,
        num_want: Some(PEERS_TOLD.cast_signed()),
        compact: Some(true),
        no_peer_id: true,
        key: None,
        tracker_id: None,
    };
    format!("GET {} HTTP/1.1\r\nHost: bench.test\r\nConnection: close\r\n\r\n", announce.url("/announce"))
}

/// A connection for each of the requests, all at once, and the replies to their
/// ends.
fn announce(tracker: SocketAddr, requests: &[String]) -> io::Result<()> {
    let mut streams = Vec::with_capacity(requests.len());
    for request in requests {
        let mut stream = TcpStream::connect(tracker)?;
        stream.write_all(request.as_bytes())?;
        streams.push(stream);
    }
    let mut response = Vec::with_capacity(RESPONSE_OCTETS_MAX);
    for stream in streams {
        response.clear();
        stream.take(RESPONSE_OCTETS_MAX as u64).read_to_end(&mut response)?;
        if !response.windows(10).any(|text| text == b"8:interval") {
            let text = String::from_utf8_lossy(&response);
            return Err(io::Error::other(format!("the tracker at {tracker} says: {text}")));
        }
    }
    Ok(())
}

/// A connection that stays open.
struct Conversation {
    stream: TcpStream,
    response: Vec<u8>,
}

impl Conversation {
    fn new(tracker: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(tracker)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(Self { stream, response: vec![0; RESPONSE_OCTETS_MAX] })
    }

    /// Reads one response, which says how long it is.
    fn read(&mut self) -> io::Result<()> {
        let mut filled = 0;
        loop {
            let place = self.response.get_mut(filled..).unwrap_or_default();
            let octets = self.stream.read(place)?;
            if octets == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += octets;
            let text = String::from_utf8_lossy(&self.response[..filled]);
            let Some(head) = text.find("\r\n\r\n") else { continue };
            let length = text[..head].split("Content-Length: ").nth(1).and_then(|rest| rest.lines().next());
            let length: Option<usize> = length.and_then(|length| length.trim().parse().ok());
            if filled >= head + 4 + length.ok_or(io::ErrorKind::InvalidData)? {
                return Ok(());
            }
        }
    }
}

/// The next request on each connection, all at once, and their replies.
fn announce_on(open: &mut Vec<Conversation>, tracker: SocketAddr, requests: &[String]) -> io::Result<()> {
    while open.len() < requests.len() {
        open.push(Conversation::new(tracker)?);
    }
    for (conversation, request) in open.iter_mut().zip(requests) {
        conversation.stream.write_all(request.as_bytes())?;
    }
    open.iter_mut().take(requests.len()).try_for_each(Conversation::read)
}

/// Fails unless a server answers a second request on a connection.
fn stays_open(tracker: SocketAddr, requests: &[String]) -> io::Result<()> {
    let mut conversation = Conversation::new(tracker)?;
    for request in requests.iter().take(2) {
        conversation.stream.write_all(request.as_bytes())?;
        conversation.read()?;
    }
    Ok(())
}
