//! The tracker over real sockets on loopback: what it says to clients, and what
//! to those who send something else.

use super::*;
use bittorrent::tracker::http::{self as rules, AnnounceReply, ReplyError, ScrapeReply};
use bittorrent::tracker::udp::{Announce, Options, Reply, Request, Scrape};
use bittorrent::tracker::{Event, Family};
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

const PEER_ID: [u8; 20] = *b"-UT0100-abcdefghijkl";

/// A tracker over both protocols and both families, on one runtime.
struct Running {
    tracker: Tracker,
    shutdown: Shutdown,
    runtime: tokio::runtime::Runtime,
}

/// What serves every torrent.
fn open() -> Config {
    Config { access: AccessKind::Open, ..Config::default() }
}

fn start(config: Config) -> Running {
    // An address that no other test has: a port that was given up here is taken by nobody else.
    let [one, two, three] = rand::random::<[u8; 3]>();
    let own = [127, one | 1, two, three | 1];
    let config = Config {
        udp_listen: vec![([127, 0, 0, 1], 0).into(), "[::1]:0".parse().expect("an address")],
        http_listen: vec![(own, 0).into(), "[::1]:0".parse().expect("an address")],
        threads: 2,
        ..config
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let shutdown = Shutdown::new();
    let guard = runtime.enter();
    let tracker = Tracker::start(&config, Network::new(), Reporter::silent(), shutdown.clone());
    drop(guard);
    Running { tracker: tracker.expect("started"), shutdown, runtime }
}

impl Drop for Running {
    fn drop(&mut self) {
        assert!(self.runtime.block_on(self.shutdown.finish(Duration::from_secs(5))), "all threads end");
    }
}

/// A client over UDP.
struct Client {
    socket: UdpSocket,
    family: Family,
    connection_id: u64,
}

impl Client {
    fn at(source: &str, tracker: SocketAddr) -> Self {
        let socket = UdpSocket::bind(source).expect("bound");
        socket.connect(tracker).expect("connected");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
        let mut client = Self { socket, family: Family::of(tracker), connection_id: 0 };
        let reply = client.ask(&Request::Connect { transaction_id: 9 }.write()).expect("an answer");
        let Ok((9, Reply::Connect { connection_id })) = Reply::read(&reply) else { panic!("{reply:?}") };
        client.connection_id = connection_id;
        client
    }

    fn ask(&self, octets: &[u8]) -> Option<Vec<u8>> {
        self.socket.send(octets).expect("sent");
        let mut reply = vec![0; 2_048];
        let length = self.socket.recv(&mut reply).ok()?;
        reply.truncate(length);
        Some(reply)
    }

    /// Whether nothing is said to these octets.
    fn is_ignored(&self, octets: &[u8]) -> bool {
        self.socket.set_read_timeout(Some(Duration::from_millis(150))).expect("set");
        let reply = self.ask(octets);
        self.socket.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
        reply.is_none()
    }

    fn request(&self, torrent: u32, port: u16, event: Event, left: u64) -> Announce<'static> {
        Announce {
            connection_id: self.connection_id,
            transaction_id: 77,
            info_hash: info_hash(torrent),
            peer_id: PEER_ID,
            downloaded: 0,
            left,
            uploaded: 0,
            event,
            ip: 0x0a00_0001,
            key: 1,
            num_want: -1,
            port,
            options: Options(b"\x02\x09/announce"),
        }
    }

    /// Leechers, seeds and peers, or the error.
    fn announce(&self, announce: Announce<'_>) -> Result<(u32, u32, Vec<String>), String> {
        let reply = self.ask(&Request::Announce(announce).write()).expect("an answer");
        match Reply::read(&reply).expect("a reply") {
            (77, reply @ Reply::Announce { interval_seconds, leechers, seeds, .. }) => {
                assert!((1_800..=1_920).contains(&interval_seconds));
                let mut peers: Vec<String> = reply.peers(self.family).map(|peer| peer.to_string()).collect();
                peers.sort();
                Ok((leechers, seeds, peers))
            }
            (77, Reply::Error { message }) => Err(String::from_utf8_lossy(message).into_owned()),
            other => panic!("{other:?}"),
        }
    }
}

fn info_hash(torrent: u32) -> [u8; 20] {
    let mut info_hash = [7; 20];
    info_hash[..4].copy_from_slice(&torrent.to_be_bytes());
    info_hash
}

/// What a response consists of.
fn get(tracker: SocketAddr, requests: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(tracker).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
    stream.write_all(requests.as_bytes()).expect("sent");
    let mut response = Vec::new();
    stream.read_to_end(&mut response).expect("read to the end");
    response
}

fn body(tracker: SocketAddr, target: &str, header: &str) -> Vec<u8> {
    let request = format!("GET {target} HTTP/1.1\r\nHost: t\r\n{header}Connection: close\r\n\r\n");
    let response = get(tracker, &request);
    let end = response.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    assert!(response.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&response));
    response[end + 4..].to_vec()
}

fn query(torrent: u32, port: u16, left: u64, event: Event) -> rules::Announce {
    rules::Announce {
        info_hash: info_hash(torrent),
        peer_id: PEER_ID,
        port,
        uploaded: 0,
        downloaded: 0,
        left: Some(left),
        event,
        num_want: None,
        compact: Some(true),
        no_peer_id: false,
        key: None,
        tracker_id: None,
    }
}

fn announce(tracker: SocketAddr, query: &rules::Announce) -> Result<AnnounceReply, ReplyError> {
    AnnounceReply::read(&body(tracker, &query.url("/announce"), ""))
}

fn peers(reply: &AnnounceReply) -> Vec<String> {
    let mut peers: Vec<String> = reply.peers.iter().map(|peer| peer.address.to_string()).collect();
    peers.sort();
    peers
}

#[test]
fn peers_find_one_another_over_udp() {
    let running = start(open());
    for (tracker, host) in running.tracker.udp_addrs().iter().zip(["127.0.0.1", "[::1]"]) {
        let client = Client::at(&format!("{host}:0"), *tracker);
        let peer = |port: u16| format!("{host}:{port}");
        let (first, second) =
            (client.request(1, 1_001, Event::Started, 5), client.request(1, 1_002, Event::Started, 0));
        assert_eq!(client.announce(first), Ok((1, 0, vec![])));
        assert_eq!(client.announce(second), Ok((1, 1, vec![peer(1_001)])));
        assert_eq!(client.announce(first), Ok((1, 1, vec![peer(1_002)])));
        // It becomes a seed: seeds are not told of seeds.
        assert_eq!(client.announce(client.request(1, 1_001, Event::Completed, 0)), Ok((0, 2, vec![])));
        let hashes = [info_hash(1), info_hash(2)].concat();
        let reply = client.ask(&Request::Scrape(Scrape::new(client.connection_id, 78, &hashes)).write());
        let reply = reply.expect("an answer");
        let Ok((78, Reply::Scrape(counts))) = Reply::read(&reply) else { panic!("{reply:?}") };
        let counts: Vec<_> = counts.counts().map(|one| (one.seeds, one.leechers, one.completed)).collect();
        assert_eq!(counts, [(2, 0, 1), (0, 0, 0)]);
        assert_eq!(client.announce(client.request(1, 1_001, Event::Stopped, 0)), Ok((0, 1, vec![])));
    }
    let stats = running.tracker.stats();
    assert_eq!((stats.connects, stats.udp_announces, stats.scrapes, stats.refused), (2, 10, 2, 0));
    assert_eq!((stats.sizes.peers_ipv4, stats.sizes.peers_ipv6), (1, 1));
}

#[test]
fn a_reply_fits_in_one_datagram_whatever_is_asked_for() {
    let running = start(Config { peers_max: 100_000, ..open() });
    for (tracker, source, most) in [(0, "127.0.0.1:0", 200), (1, "[::1]:0", 66)] {
        let client = Client::at(source, running.tracker.udp_addrs()[tracker]);
        for port in 1..=300 {
            client.announce(client.request(1, port, Event::Started, 1)).expect("room");
        }
        let greedy = Announce { num_want: i32::MAX, ..client.request(1, 1, Event::None, 1) };
        let (leechers, _, peers) = client.announce(greedy).expect("room");
        assert_eq!((leechers, peers.len()), (300, most));
    }
}

#[test]
fn who_cannot_read_at_an_address_cannot_announce_for_it() {
    let running = start(open());
    let tracker = running.tracker.udp_addrs()[0];
    let (client, other) = (Client::at("127.0.0.1:0", tracker), Client::at("127.0.0.2:0", tracker));
    let stolen = Announce { connection_id: client.connection_id, ..other.request(1, 1, Event::Started, 1) };
    let invented = Announce { connection_id: 12345, ..other.request(1, 1, Event::Started, 1) };
    for wrong in [stolen, invented] {
        let error = other.announce(wrong).expect_err("refused");
        assert!(error.contains("connection id"), "{error}");
    }
    let hashes = info_hash(1);
    let scrape = Request::Scrape(Scrape::new(12345, 78, &hashes)).write();
    let reply = other.ask(&scrape).expect("an answer");
    assert!(matches!(Reply::read(&reply), Ok((78, Reply::Error { .. }))));
    assert!(reply.len() < scrape.len());
    // Another port of the same address will do: some translators change it.
    let moved = Client { connection_id: client.connection_id, ..Client::at("127.0.0.1:0", tracker) };
    assert!(moved.announce(moved.request(1, 1, Event::Started, 1)).is_ok());
    assert_eq!(running.tracker.stats().sizes.torrents_ipv4, 1);
}

#[test]
fn what_is_no_request_gets_no_more_than_it_brings() {
    let running = start(open());
    let client = Client::at("127.0.0.1:0", running.tracker.udp_addrs()[0]);
    let whole = Request::Announce(client.request(1, 1, Event::Started, 1)).write();
    for length in [0, 1, 7, 8, 15] {
        assert!(client.is_ignored(&whole[..length]), "{length}");
    }
    assert!(client.is_ignored(&[0xff; 1_400]));
    assert!(client.is_ignored(&vec![0; 65_000]));
    // With a connection it is told what is wrong.
    for length in [16, 97] {
        let reply = client.ask(&whole[..length]).expect("an answer");
        let Ok((77, Reply::Error { message })) = Reply::read(&reply) else { panic!("{reply:?}") };
        assert!(String::from_utf8_lossy(message).contains("cut short"));
    }
    let mut unknown = whole.clone();
    unknown[11] = 9;
    let reply = client.ask(&unknown).expect("an answer");
    assert!(matches!(Reply::read(&reply), Ok((77, Reply::Error { .. }))));
    // Options that are none do not matter.
    let odd = Announce { options: Options(&[2, 200, 1]), ..client.request(1, 1, Event::Started, 1) };
    assert!(client.announce(odd).is_ok());
    let mut state = 1_u32;
    for length in 0..300 {
        let noise: Vec<u8> = (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        client.socket.send(&noise).expect("sent");
    }
    assert!(client.announce(client.request(1, 1, Event::None, 1)).is_ok());
}

#[test]
fn a_flood_of_torrents_is_refused_beyond_the_bound() {
    let config = Config { torrents_max: 64, peers_total_max: 160, peers_per_torrent_max: 50, ..open() };
    let running = start(config);
    let client = Client::at("127.0.0.1:0", running.tracker.udp_addrs()[0]);
    let mut refused = 0;
    for torrent in 0..2_000 {
        if let Err(error) = client.announce(client.request(torrent, 1, Event::Started, 1)) {
            assert!(error.contains("full"), "{error}");
            refused += 1;
        }
    }
    let stats = running.tracker.stats();
    assert_eq!((stats.sizes.torrents_ipv4, refused), (64, 2_000 - 64));
    // Nor does a flood of peers exceed its bound; they are told of others all the same.
    let known =
        (0..2_000).find(|torrent| client.announce(client.request(*torrent, 1, Event::None, 1)).is_ok());
    for port in 1..1_000 {
        client.announce(client.request(known.expect("one"), port, Event::Started, 1)).expect("told");
    }
    assert!(running.tracker.stats().sizes.peers_ipv4 <= 160);
    // HTTP shares the store and its bounds.
    let http = running.tracker.http_addrs()[0];
    let Err(ReplyError::Failure { reason, .. }) = announce(http, &query(5_000, 1, 1, Event::Started)) else {
        panic!("a failure")
    };
    assert!(reason.contains("full"));
}

#[test]
fn peers_find_one_another_over_http_and_both_protocols() {
    let running = start(open());
    let (four, six) = (running.tracker.http_addrs()[0], running.tracker.http_addrs()[1]);
    let reply = announce(four, &query(1, 1_001, 5, Event::Started)).expect("a reply");
    assert_eq!((reply.seeds, reply.leechers, peers(&reply)), (Some(0), Some(1), vec![]));
    assert_eq!((reply.min_interval_seconds, reply.external_ip), (Some(300), Some([127, 0, 0, 1].into())));
    let reply = announce(six, &query(1, 1_002, 0, Event::Started)).expect("a reply");
    assert_eq!(
        (reply.seeds, reply.leechers, peers(&reply)),
        (Some(1), Some(0), vec!["127.0.0.1:1001".to_owned()])
    );
    // In the form of dictionaries as well.
    let dictionaries = rules::Announce { compact: Some(false), ..query(1, 1_003, 5, Event::Started) };
    let reply = announce(four, &dictionaries).expect("a reply");
    assert_eq!(peers(&reply), ["127.0.0.1:1001", "[::1]:1002"]);
    let udp = Client::at("127.0.0.1:0", running.tracker.udp_addrs()[0]);
    let (leechers, _, told) = udp.announce(udp.request(1, 1_004, Event::Paused, 5)).expect("told");
    assert_eq!((leechers, told), (3, vec!["127.0.0.1:1001".to_owned(), "127.0.0.1:1003".to_owned()]));
    let scraped = rules::scrape_url("/announce", &[info_hash(2), info_hash(1)]).expect("a URL");
    let reply = ScrapeReply::read(&body(four, &scraped, "")).expect("a reply");
    let [(torrent, counts)] = reply.torrents[..] else { panic!("{reply:?}") };
    // The partial seed is a leecher that downloads nothing.
    assert_eq!((torrent, counts.seeds, counts.leechers, counts.downloaders), (info_hash(1), 1, 3, 2));
    let stats: serde_json::Value = serde_json::from_slice(&body(four, "/stats", "")).expect("JSON");
    assert_eq!((&stats["http_announces"], &stats["peers_ipv4"]), (&3.into(), &3.into()));
    let page = String::from_utf8(body(four, "/", "")).expect("text");
    assert!(page.contains("<th scope=\"row\">peers</th><td>3</td><td>1</td>"), "{page}");
    let metrics = String::from_utf8(body(four, "/metrics", "")).expect("text");
    assert!(metrics.contains("utopia_tracker_peers{family=\"ipv4\"} 3\n"), "{metrics}");
    assert!(metrics.contains("utopia_tracker_requests_total{outcome=\"announce\"} 4\n"), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    let few = rules::Announce { num_want: Some(1), ..query(1, 1_001, 5, Event::None) };
    // One of each family at most.
    assert_eq!(announce(four, &few).expect("a reply").peers.len(), 2);
}

#[test]
fn what_is_wrong_in_a_query_is_said() {
    let running = start(open());
    let tracker = running.tracker.http_addrs()[0];
    for (target, expected) in [
        ("/announce", "port is missing"),
        ("/announce?info_hash=short&port=1", "info_hash must be 20 octets"),
        ("/announce?info_hash=%zz&port=1", "info_hash must be 20 octets"),
        ("/announce?info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=x&port=1", "peer_id must be 20 octets"),
        ("/scrape", "info_hash is missing"),
    ] {
        let reply = AnnounceReply::read(&body(tracker, target, ""));
        let Err(ReplyError::Failure { reason, .. }) = reply else { panic!("{target}") };
        assert!(reason.starts_with(expected), "{reason}");
    }
    assert_eq!(running.tracker.stats().refused, 5);
}

#[test]
fn requests_follow_one_another_on_one_connection() {
    let running = start(open());
    let tracker = running.tracker.http_addrs()[0];
    let one = |option: &str| {
        format!("GET {} HTTP/1.1\r\n{option}\r\n", query(1, 9, 1, Event::None).url("/announce"))
    };
    // More than is gathered at once, in one go.
    let many = one("").repeat(1_000) + &one("Connection: close\r\n") + &one("");
    let response = get(tracker, &many);
    let count = response.windows(9).filter(|text| *text == b"HTTP/1.1 ").count();
    assert_eq!(count, 1_001, "what follows the last request is not answered");
    assert_eq!(running.tracker.stats().http_announces, 1_001);
}

#[test]
fn what_is_not_http_ends_the_connection() {
    let running = start(Config { idle_seconds_max: 1, ..open() });
    let tracker = running.tracker.http_addrs()[0];
    for (request, expected) in [
        ("POST /announce HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 405"),
        ("GET /nothing HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 404"),
        ("\x16\x03\x01 hello\r\n\r\n", "HTTP/1.1 400"),
        ("GET / HTTP/3\r\n\r\n", "HTTP/1.1 505"),
    ] {
        let response = get(tracker, request);
        assert!(response.starts_with(expected.as_bytes()), "{}", String::from_utf8_lossy(&response));
    }
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    assert!(get(tracker, &long).starts_with(b"HTTP/1.1 431"));
    // Half a request is waited for no longer than an idle connection.
    let begun = Instant::now();
    assert!(get(tracker, "GET /announce HT").is_empty());
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[test]
fn only_known_proxies_are_believed() {
    let told = |config: Config| {
        let running = start(config);
        let tracker = running.tracker.http_addrs()[0];
        let target = query(1, 9, 1, Event::None).url("/announce");
        let reply = AnnounceReply::read(&body(tracker, &target, "X-Forwarded-For: 10.0.0.1, 192.0.2.7\r\n"));
        reply.expect("a reply").external_ip
    };
    assert_eq!(told(open()), Some([127, 0, 0, 1].into()));
    let proxies = vec![[127, 0, 0, 1].into()];
    assert_eq!(told(Config { proxies, ..open() }), Some([192, 0, 2, 7].into()));
}

#[test]
fn the_access_list_holds_over_both_protocols_and_can_be_changed() {
    let list = |torrent: u32| {
        // The rest of an info-hash here is 16 times 07.
        let hex = format!("{torrent:08x}{}", "07".repeat(16));
        Config { access: AccessKind::Allow, info_hashes: vec![hex], ..open() }
    };
    let running = start(list(1));
    let client = Client::at("127.0.0.1:0", running.tracker.udp_addrs()[0]);
    let http = running.tracker.http_addrs()[0];
    let served = || {
        [1, 2].map(|torrent| {
            let over_udp = client.announce(client.request(torrent, 1, Event::Started, 1));
            let over_http = announce(http, &query(torrent, 1, 1, Event::Started));
            assert_eq!(over_udp.is_ok(), over_http.is_ok());
            over_udp.is_ok()
        })
    };
    assert_eq!(served(), [true, false]);
    let reload = |config: Config| {
        let listening = |addresses: &[SocketAddr]| {
            addresses.iter().map(|address| SocketAddr::new(address.ip(), 0)).collect()
        };
        let (udp_listen, http_listen) = (running.tracker.udp_addrs(), running.tracker.http_addrs());
        let config = Config {
            udp_listen: listening(&udp_listen),
            http_listen: listening(&http_listen),
            threads: 2,
            ..config
        };
        let _guard = running.runtime.enter();
        running.tracker.prepare(&config).map(|prepared| running.tracker.carry_out(prepared))
    };
    reload(list(2)).expect("taken over");
    assert_eq!(served(), [false, true]);
    let wrong = Config { info_hashes: vec!["x".to_owned()], ..open() };
    assert!(reload(wrong).is_err());
    assert_eq!(served(), [false, true]);
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("an address");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _guard = runtime.enter();
    let config = Config { http_listen: vec![address], ..open() };
    let error = Tracker::start(&config, Network::new(), Reporter::silent(), Shutdown::new());
    assert!(error.expect_err("taken").to_string().contains(&address.to_string()));
}

#[test]
fn addresses_and_published_torrents_change_while_it_runs() {
    let running = start(Config::default());
    let (udp, http) = (running.tracker.udp_addrs(), running.tracker.http_addrs());
    let client = Client::at("127.0.0.1:0", udp[0]);
    let announced = |event| client.announce(client.request(1, 1, event, 1));
    assert!(announced(Event::Started).is_err(), "nothing is published");
    running.tracker.publish(HashSet::from([client.request(1, 1, Event::None, 1).info_hash]));
    assert!(announced(Event::Started).is_ok());
    assert!(client.announce(client.request(2, 1, Event::Started, 1)).is_err());
    // An open connection goes on when its listener is gone; peers are remembered.
    let mut open = TcpStream::connect(http[0]).expect("connected");
    let one = "GET /stats HTTP/1.1\r\n\r\n";
    open.write_all(one.as_bytes()).expect("sent");
    let mut first = [0; 16];
    open.read_exact(&mut first).expect("a reply");
    let config = Config { udp_listen: vec![udp[0]], http_listen: Vec::new(), ..Config::default() };
    {
        let _guard = running.runtime.enter();
        let prepared = running.tracker.prepare(&config).expect("the address is taken over");
        assert_eq!(prepared.udp_addrs(), [udp[0]]);
        running.tracker.carry_out(prepared);
    }
    assert!(announced(Event::None).is_ok(), "the same connection id, peer and torrent");
    assert_eq!(running.tracker.stats().sizes.peers_ipv4, 1);
    let last = "GET /stats HTTP/1.1\r\nConnection: close\r\n\r\n";
    open.write_all(last.as_bytes()).expect("sent");
    let mut rest = String::new();
    open.read_to_string(&mut rest).expect("a reply");
    assert!(rest.contains("peers_ipv4"), "{rest}");
    // The listener ends when its task is next woken, on a busy machine a moment later.
    let end = Instant::now() + Duration::from_mins(1);
    while TcpStream::connect(http[0]).is_ok() {
        assert!(Instant::now() < end, "nobody listens there any more");
        std::thread::sleep(Duration::from_millis(10));
    }
}
