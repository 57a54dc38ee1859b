//! `--proxy`: peers, trackers and web seeds through microsocks, a SOCKS5 proxy, and
//! nothing beside it; datagrams through Dante, which carries them.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use tests::nginx::Nginx;
use tests::torrent::{Place, Running, address, ended, getting, hash_table, lines, seed};
use tests::utopia::{command, said, told, wait_for};
use tests::{Peer, peer};

/// A proxy for who knows the name and password; it leaves from its own address.
fn proxy(program: &Path, at: SocketAddr) -> (Peer, String) {
    let (ip, port) = (at.ip().to_string(), at.port().to_string());
    let mut proxy = Command::new(program);
    proxy.args(["-i", &ip, "-p", &port, "-b", &ip, "-u", "me", "-P", "secret"]);
    let proxy = Peer::start(proxy.stdout(Stdio::null()).stderr(Stdio::null())).expect("microsocks runs");
    wait_for("microsocks listens", || TcpStream::connect(at).ok());
    (proxy, format!("socks5://me:secret@{at}"))
}

/// A proxy that carries datagrams, too.
fn dante(program: &Path, place: &Place, at: SocketAddr) -> (Peer, String) {
    let (ip, port) = (at.ip(), at.port());
    let configuration = place.path("danted.conf");
    let text = format!(
        "logoutput: {}\ninternal: {ip} port = {port}\nexternal: {ip}\n\
         clientmethod: none\nsocksmethod: none\n\
         client pass {{ from: 0/0 to: 0/0 }}\n\
         socks pass {{ from: 0/0 to: 0/0 command: connect udpassociate }}\n\
         socks pass {{ from: 0/0 to: 0/0 command: udpreply }}\n",
        place.path("danted.log").display(),
    );
    std::fs::write(&configuration, text).expect("written");
    let mut proxy = Command::new(program);
    proxy.arg("-f").arg(&configuration).arg("-p").arg(place.path("danted.pid"));
    let proxy = Peer::start(proxy.stdout(Stdio::null()).stderr(Stdio::null())).expect("danted runs");
    wait_for("danted listens", || TcpStream::connect(at).ok());
    (proxy, format!("socks5://{at}"))
}

/// Peers that a seed has seen, until it ends.
struct Seen {
    child: std::process::Child,
    peers: std::thread::JoinHandle<Vec<Value>>,
}

impl Seen {
    /// Starts a seed that tells who comes.
    fn start(place: &Place, file: &Path, listen: SocketAddr, more: &[&str]) -> Self {
        let mut seeding = command(&["torrent", "seed", "--json", "--upload-limit", "1000000"]);
        seeding.arg(place.source()).arg("--torrent").arg(file).args(["--listen", &listen.to_string()]);
        seeding.arg("--data").arg(place.path("seed-data")).args(more);
        let mut child = seeding.stdout(Stdio::piped()).spawn().expect("utopia runs");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let peers = std::thread::spawn(move || {
            let read = output
                .lines()
                .map(|line| serde_json::from_str::<Value>(&line.expect("a line")).expect("JSON"));
            read.flat_map(|line| line["peers"].as_array().cloned().unwrap_or_default()).collect()
        });
        Self { child, peers }
    }

    /// Ends it. All peers came from `ip`, over `protocol`.
    fn ended(mut self, ip: std::net::IpAddr, protocol: &str) {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().expect("kill").success());
        self.child.wait().expect("it ends");
        let peers = self.peers.join().expect("read");
        assert!(!peers.is_empty(), "the peer was found and reached");
        for peer in &peers {
            let from: SocketAddr =
                peer["address"].as_str().and_then(|text| text.parse().ok()).expect("an address");
            assert_eq!((from.ip(), &peer["protocol"]), (ip, &protocol.into()), "{peer}");
        }
    }
}

#[test]
fn peers_trackers_and_web_seeds_see_the_proxy_only() {
    let (Some(microsocks), Some(nginx)) = (peer("microsocks"), peer("nginx")) else { return };
    let place = Place::with_file(3_000_000);
    let (proxy_at, tracker_at, peer_at, server_at) = (address(), address(), address(), address());
    let (_proxy, url) = proxy(&microsocks, proxy_at);
    let _tracker = Running::start(command(&["torrent", "track", "--http", &tracker_at.to_string()]), 1);
    let server =
        Nginx::start(&nginx, &place.path("nginx"), &place.path("source"), server_at, "limit_rate 300k;");
    let tracker = format!("http://{tracker_at}/announce");
    let more = ["--tracker", &tracker, "--web-seed", &format!("http://{server_at}/")];
    let (file, _) = place.torrent_with("v1", &more);
    let seeding = Seen::start(&place, &file, peer_at, &["--dht", "off"]);
    let stats = || {
        let output = Command::new("curl").args(["-s", &format!("http://{tracker_at}/stats")]).output();
        serde_json::from_slice::<Value>(&output.expect("curl runs").stdout).ok()
    };
    wait_for("the tracker knows the seed", || stats()?["http_announces"].as_u64().filter(|count| *count > 0));
    let out = place.path("out");
    let get = getting(&place, file.to_str().expect("a name"), &out, &["--json", "--proxy", &url]);
    let shown = lines(&told(ended(get)));
    place.compare(&out);
    seeding.ended(proxy_at.ip(), "tcp");
    assert!(!server.requests().is_empty(), "the web seed was asked");
    let last = shown.last().expect("a line");
    assert_eq!(last["stage"], "seeding", "{last}");
}

/// Only uTP and a tracker over UDP, which is asked for by a name that the proxy
/// looks up.
#[test]
fn utp_and_udp_trackers_pass_a_proxy_that_carries_datagrams() {
    let Some(danted) = peer("danted") else { return };
    let place = Place::with_file(3_000_000);
    let (proxy_at, peer_at) = (address(), address());
    let (_proxy, url) = dante(&danted, &place, proxy_at);
    // The name is that of this address.
    let tracker_at = SocketAddr::new([127, 0, 0, 1].into(), address().port());
    let _tracker = Running::start(command(&["torrent", "track", "--udp", &tracker_at.to_string()]), 1);
    let (file, _) = place.torrent("hybrid", &[format!("udp://localhost:{}", tracker_at.port())]);
    let seeding = Seen::start(&place, &file, peer_at, &["--dht", "off", "--transport", "utp"]);
    let out = place.path("out");
    let more = ["--json", "--dht", "off", "--transport", "utp", "--proxy", &url];
    let shown = lines(&told(ended(getting(&place, file.to_str().expect("a name"), &out, &more))));
    place.compare(&out);
    seeding.ended(proxy_at.ip(), "utp");
    let last = shown.last().expect("a line");
    assert_eq!(last["trackers"][0]["failure"], Value::Null, "{last}");
}

/// Who has nothing but a link and the name of a node.
#[test]
fn the_hash_table_is_asked_through_a_proxy_that_carries_datagrams() {
    let Some(danted) = peer("danted") else { return };
    let place = Place::with_file(1_000_000);
    let (proxy_at, peer_at) = (address(), address());
    let (_proxy, url) = dante(&danted, &place, proxy_at);
    let (_nodes, node) = hash_table(&place);
    let router = SocketAddr::new([127, 0, 0, 1].into(), address().port());
    let mut at_router = command(&["torrent", "seed", "--dht-node", &node.to_string()]);
    at_router.arg(place.path("busy")).args(["--listen", &router.to_string()]);
    let _router = Running::start(
        {
            at_router.arg("--data").arg(place.path("router"));
            at_router
        },
        2,
    );
    let (file, link) = place.torrent("v1", &[]);
    let seeding = Seen::start(&place, &file, peer_at, &["--dht-node", &node.to_string()]);
    let out = place.path("out");
    let router = format!("localhost:{}", router.port());
    let get = getting(&place, &link, &out, &["--json", "--dht-router", &router, "--proxy", &url]);
    told(ended(get));
    place.compare(&out);
    assert!(Command::new("kill").arg(seeding.child.id().to_string()).status().expect("kill").success());
    drop(seeding.peers.join());
}

#[test]
fn a_proxy_that_refuses_or_is_gone_is_not_passed_by() {
    let Some(microsocks) = peer("microsocks") else { return };
    let place = Place::with_file(100_000);
    let (proxy_at, peer_at, nowhere) = (address(), address(), address());
    let (_proxy, _) = proxy(&microsocks, proxy_at);
    let (file, _) = place.torrent("v1", &[format!("udp://{peer_at}")]);
    let ours = seed(&place, &file, peer_at, &["--dht", "off"]);
    for url in [format!("socks5://me:wrong@{proxy_at}"), format!("socks5://{nowhere}")] {
        let more = ["--json", "--proxy", &url, "--peer", &peer_at.to_string()];
        let get = getting(&place, file.to_str().expect("a name"), &place.path("out"), &more);
        let mut bounded = Command::new("timeout");
        bounded.args(["--preserve-status", "4"]).arg(get.get_program()).args(get.get_args());
        let output = bounded.output().expect("timeout runs");
        let last: Value = serde_json::from_slice(
            output.stdout.split(|octet| *octet == b'\n').rfind(|line| !line.is_empty()).expect("a line"),
        )
        .expect("JSON");
        assert_eq!(last["have_octets"], 0, "{last}");
        assert!(last["trackers"].to_string().contains("the proxy"), "{last}");
    }
    let web = command(&[
        "torrent",
        "get",
        &format!("http://{peer_at}/x.torrent"),
        "--proxy",
        &format!("socks5://{nowhere}"),
    ]);
    assert!(said(&ended(web)).contains("the proxy"));
    ours.stop();
}
