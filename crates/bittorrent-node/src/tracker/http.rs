//! The HTTP protocol: one task a connection, requests answered in order. The
//! head of a GET is all of HTTP that is needed, so it is read by hand: it takes
//! less time than the system calls around it.

use super::stats::Tally;
use super::udp::Served;
use super::{NOT_SERVED, Settings, Shared, page, tell};
use bittorrent::tracker::Event;
use bittorrent::tracker::http::{
    self, Announced, HEAD_OCTETS_MAX, Head, HeadError, Scrape, write_announced, write_failure, write_scraped,
};
use bittorrent::tracker::swarm::{Announce, Counts, Refusal, Slot4, Slot6, Told};
use net::{Accepted, Listener, Phase, Shutdown, Stream, within};
use rand::Rng as _;
use rand::rngs::SmallRng;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Octets read at once: a request and more.
const READ_OCTETS: usize = 4 * 1024;
/// Octets of replies gathered before they are written.
const GATHERED_OCTETS_MAX: usize = 32 * 1024;
/// How long a client may take to accept what we say.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// How long after the last request a client's rest is read, so that it sees the
/// reply before the end.
const DRAIN_PATIENCE: Duration = Duration::from_secs(1);
/// Peers told in one reply over HTTP, of each family.
const PEERS_MAX: usize = 1_000;

/// Accepts connections until the listener is closed. Who sends its request at
/// once and wants one reply is answered here and now; the others get a task.
pub(super) async fn accept(shared: Arc<Shared>, closing: Shutdown, listener: Listener) {
    let mut desk = Desk::new(None);
    let each = |accepted: Accepted<'_>| {
        let peer = accepted.peer_addr();
        match at_once(&shared, accepted, &mut desk) {
            Ok(None) => {}
            Ok(Some((stream, begun))) => wait(shared.clone(), stream, begun),
            Err(error) => tracing::debug!(%peer, %error, "tracker connection ended"),
        }
    };
    listener.each_accepted(closing, each).await;
}

/// A connection that goes on: what was read of its next request, what is still to
/// be written, and whether more than that is wanted.
struct Begun {
    input: Vec<u8>,
    output: Vec<u8>,
    keep_alive: bool,
}

/// Answers what is asked for already; gives the connection back where it is not
/// over with that.
fn at_once(shared: &Shared, accepted: Accepted<'_>, desk: &mut Desk) -> io::Result<Option<(Stream, Begun)>> {
    desk.input.clear();
    desk.output.clear();
    let ends = (accepted.peer_addr(), accepted.local_addr());
    let mut keep_alive = true;
    match accepted.read(&mut desk.input, READ_OCTETS) {
        Ok(0) => return Ok(None),
        // What fills the buffer may go on.
        Ok(octets) if octets < READ_OCTETS => keep_alive = desk.answer_all(shared, ends),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => return Err(error),
    }
    if !keep_alive && desk.input.is_empty() {
        let Some((sent, stream)) = accepted.finish(&desk.output)? else { return Ok(None) };
        let output = desk.output.split_off(sent);
        return Ok(Some((stream, Begun { input: Vec::new(), output, keep_alive })));
    }
    let sent = if desk.output.is_empty() { 0 } else { accepted.reply(&desk.output)? };
    let output = desk.output.split_off(sent);
    let begun = Begun { input: std::mem::take(&mut desk.input), output, keep_alive };
    Ok(Some((accepted.into_stream()?, begun)))
}

/// Gives a connection a task of its own.
fn wait(shared: Arc<Shared>, stream: Stream, begun: Begun) {
    tokio::spawn(async move {
        let shutdown = shared.shutdown.clone();
        let peer = stream.peer_addr();
        tokio::select! {
            () = shutdown.requested() => {}
            // A client that goes away or is idle is nobody's fault.
            ended = serve(&shared, stream, begun) => if let Err(error) = ended {
                tracing::debug!(%peer, %error, "tracker connection ended");
            }
        }
    });
}

async fn serve(shared: &Shared, mut stream: Stream, begun: Begun) -> io::Result<()> {
    let ends = (stream.peer_addr(), stream.local_addr());
    let mut keep_alive = begun.keep_alive;
    let mut desk = Desk::new(Some(begun));
    loop {
        if !desk.output.is_empty() {
            within(WRITE_PATIENCE, Phase::Write, stream.write_all(&desk.output)).await?;
            desk.output.clear();
        }
        if !keep_alive {
            // Nothing is unread: closing resets nothing.
            return if desk.input.is_empty() { Ok(()) } else { end(stream).await };
        }
        keep_alive = desk.answer_all(shared, ends);
        if desk.output.is_empty() && keep_alive {
            desk.input.reserve(READ_OCTETS);
            let idle = Duration::from_secs(shared.settings.load().idle_seconds_max);
            if within(idle, Phase::Read, stream.read_buf(&mut desk.input)).await? == 0 {
                return Ok(());
            }
            keep_alive = desk.answer_all(shared, ends);
        }
    }
}

/// What requests are read from and replies written to.
struct Desk {
    input: Vec<u8>,
    output: Vec<u8>,
    body: Vec<u8>,
    drawn: Drawn,
}

/// Compact peers of both families, drawn for one reply.
struct Drawn {
    rng: SmallRng,
    own: Vec<u8>,
    others: Vec<u8>,
}

impl Desk {
    fn new(begun: Option<Begun>) -> Self {
        let (input, output) = begun.map(|begun| (begun.input, begun.output)).unwrap_or_default();
        let drawn = Drawn { rng: rand::make_rng(), own: Vec::new(), others: Vec::new() };
        Self { input, output, body: Vec::new(), drawn }
    }

    /// Answers the requests that are whole, as far as replies are gathered, and
    /// takes them from the input. Whether the connection stays open.
    fn answer_all(&mut self, shared: &Shared, (peer, local): (SocketAddr, SocketAddr)) -> bool {
        let settings = shared.settings.load();
        let mut tally = Tally::default();
        let mut used = 0;
        let mut keep_alive = true;
        while keep_alive && self.output.len() < GATHERED_OCTETS_MAX {
            self.body.clear();
            let status = match Head::read(self.input.get(used..).unwrap_or_default()) {
                Ok(None) => break,
                Ok(Some(head)) => {
                    used += head.octets;
                    keep_alive = head.keep_alive;
                    let client = settings.client(peer, &head);
                    let (drawn, body) = (&mut self.drawn, &mut self.body);
                    answer(shared, &settings, (client, local), &head, drawn, body, &mut tally)
                }
                Err(error) => {
                    keep_alive = false;
                    tally.refused += 1;
                    tell::refused(&shared.reporter, peer, &error.to_string());
                    self.body.extend_from_slice(format!("{error}\n").as_bytes());
                    Status::of(error)
                }
            };
            let connection = if keep_alive { "" } else { "Connection: close\r\n" };
            let Status { line, kind } = status;
            let length = self.body.len();
            // Memory takes what is written.
            let _ = write!(
                self.output,
                "HTTP/1.1 {line}\r\nContent-Type: {kind}\r\n{connection}Content-Length: {length}\r\n\r\n"
            );
            self.output.extend_from_slice(&self.body);
        }
        if used > 0 || !keep_alive {
            self.input.drain(..used);
            shared.counters.add(&tally, &shared.reporter);
        }
        keep_alive
    }
}

/// Says that no more comes, and reads for a moment what the client still sends:
/// closing over unread octets would reset the connection, and the reply with it.
async fn end(mut stream: Stream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = [0; 1_024];
    let drain = async {
        for _ in 0..HEAD_OCTETS_MAX {
            if stream.read(&mut rest).await? == 0 {
                break;
            }
        }
        Ok(())
    };
    within(DRAIN_PATIENCE, Phase::Read, drain).await
}

/// The first line of a response, and what its body is.
#[derive(Debug, Clone, Copy)]
struct Status {
    line: &'static str,
    kind: &'static str,
}

impl Status {
    const BENCODED: Self = Self { line: "200 OK", kind: "text/plain" };
    const HTML: Self = Self { line: "200 OK", kind: "text/html; charset=utf-8" };
    const METRICS: Self = Self { line: "200 OK", kind: page::METRICS_KIND };
    const JSON: Self = Self { line: "200 OK", kind: "application/json" };
    const NOT_FOUND: Self = Self { line: "404 Not Found", kind: "text/plain" };

    fn of(error: HeadError) -> Self {
        let line = match error {
            HeadError::TooLong => "431 Request Header Fields Too Large",
            HeadError::Version => "505 HTTP Version Not Supported",
            HeadError::Method => "405 Method Not Allowed\r\nAllow: GET",
            HeadError::Broken => "400 Bad Request",
        };
        Self { line, kind: "text/plain" }
    }
}

impl Settings {
    /// Who asks: the other end, or whom a known proxy asks for.
    fn client(&self, peer: SocketAddr, head: &Head<'_>) -> SocketAddr {
        let client = match head.forwarded_for {
            Some(client) if self.proxies.contains(&peer.ip()) => client,
            _ => peer.ip(),
        };
        SocketAddr::new(client.to_canonical(), peer.port())
    }
}

/// Writes the body of the reply to one request.
fn answer(
    shared: &Shared,
    settings: &Settings,
    ends: (SocketAddr, SocketAddr),
    head: &Head<'_>,
    drawn: &mut Drawn,
    body: &mut Vec<u8>,
    tally: &mut Tally,
) -> Status {
    let outcome = match head.path {
        b"/announce" => announce(shared, settings, ends, head.query, drawn, body).map(|event| {
            tally.http_announces += 1;
            tally.completed += u32::from(event == Event::Completed);
        }),
        b"/scrape" => scrape(shared, settings, head.query, body).map(|()| tally.scrapes += 1),
        b"/stats" => {
            // Numbers can be written; memory takes them.
            let _ = serde_json::to_writer(&mut *body, &shared.stats());
            return Status::JSON;
        }
        b"/" => {
            page::html(&shared.stats(), body);
            return Status::HTML;
        }
        b"/metrics" => {
            page::metrics(&shared.stats(), body);
            return Status::METRICS;
        }
        _ => {
            body.extend_from_slice(b"There is nothing here but /, /announce, /scrape, /stats and /metrics\n");
            return Status::NOT_FOUND;
        }
    };
    if let Err(reason) = outcome {
        tally.refused += 1;
        tell::refused(&shared.reporter, ends.0, &reason);
        write_failure(&reason, body);
    }
    Status::BENCODED
}

fn announce(
    shared: &Shared,
    settings: &Settings,
    (client, local): (SocketAddr, SocketAddr),
    query: &[u8],
    Drawn { rng, own, others }: &mut Drawn,
    body: &mut Vec<u8>,
) -> Result<Event, String> {
    let request = http::Announce::read(query).map_err(|error| error.to_string())?;
    if !settings.access.permits(&request.info_hash) {
        return Err(NOT_SERVED.to_owned());
    }
    own.clear();
    others.clear();
    // The other family's peers are told too, but the client is not stored with
    // them: its address there is not known (BEP 7).
    let told = match client.ip() {
        IpAddr::V4(_) => {
            take::<Slot6>(shared, settings, &request, unspecified(client), 0, rng, others).ok();
            take::<Slot4>(shared, settings, &request, client.ip(), request.port, rng, own)
        }
        IpAddr::V6(_) => {
            take::<Slot4>(shared, settings, &request, unspecified(client), 0, rng, others).ok();
            take::<Slot6>(shared, settings, &request, client.ip(), request.port, rng, own)
        }
    };
    let told = told.map_err(|refusal| refusal.to_string())?;
    tell::announced(&shared.reporter, client, local, &request.info_hash, request.event, told.peers);
    let (four, six) = if client.is_ipv4() { (own, others) } else { (others, own) };
    let reply = Announced {
        interval_seconds: settings.policy.interval(rng),
        min_interval_seconds: settings.policy.min_interval_seconds,
        seeds: told.seeds,
        leechers: told.leechers,
        external_ip: client.ip(),
        peers: four,
        peers6: six,
        compact: request.compact != Some(false),
    };
    write_announced(&reply, body);
    Ok(request.event)
}

/// No address of the family that is not the client's.
fn unspecified(client: SocketAddr) -> IpAddr {
    if client.is_ipv4() { [0; 16].into() } else { [0; 4].into() }
}

/// Takes the announce in one family's store; gives compact peers.
fn take<S: Served>(
    shared: &Shared,
    settings: &Settings,
    request: &http::Announce,
    client: IpAddr,
    port: u16,
    rng: &mut SmallRng,
    peers: &mut Vec<u8>,
) -> Result<Told, Refusal> {
    let Some(peer) = S::address(client, port) else { return Ok(Told::default()) };
    let announce = Announce {
        peer,
        event: request.event,
        seed: request.left == Some(0),
        wanted: settings.policy.wanted(request.num_want.unwrap_or(-1)).min(PEERS_MAX),
        lifetime: settings.policy.lifetime(),
        random: rng.next_u64(),
    };
    peers.resize(announce.wanted * S::OCTETS, 0);
    let at = shared.store.keyed.info_hash(&request.info_hash);
    let told = S::shards(&shared.store).announce(Instant::now(), at, &request.info_hash, &announce, peers)?;
    peers.truncate(told.peers * S::OCTETS);
    Ok(told)
}

fn scrape(shared: &Shared, settings: &Settings, query: &[u8], body: &mut Vec<u8>) -> Result<(), String> {
    let request = Scrape::read(query, settings.scrape_torrents_max).map_err(|error| error.to_string())?;
    let served = request.info_hashes.iter().filter(|info_hash| settings.access.permits(info_hash));
    let counted = served.map(|info_hash| (info_hash, shared.store.scrape(info_hash, true)));
    write_scraped(counted.filter(|(_, counts)| *counts != Counts::default()), body);
    Ok(())
}
