//! `--proxy`: peers, trackers and web seeds through microsocks, a SOCKS5 proxy, and
//! nothing beside it.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use tests::nginx::Nginx;
use tests::torrent::{Place, Running, address, ended, getting, lines, seed};
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
    // The seed tells who comes.
    let mut seeding = command(&["torrent", "seed", "--json", "--dht", "off", "--upload-limit", "1000000"]);
    seeding.arg(place.source()).arg("--torrent").arg(&file).args(["--listen", &peer_at.to_string()]);
    seeding.arg("--data").arg(place.path("seed-data"));
    let mut child = seeding.stdout(Stdio::piped()).spawn().expect("utopia runs");
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    let seen = std::thread::spawn(move || {
        let read =
            output.lines().map(|line| serde_json::from_str::<Value>(&line.expect("a line")).expect("JSON"));
        read.flat_map(|line| line["peers"].as_array().cloned().unwrap_or_default()).collect::<Vec<_>>()
    });
    let stats = || {
        let output = Command::new("curl").args(["-s", &format!("http://{tracker_at}/stats")]).output();
        serde_json::from_slice::<Value>(&output.expect("curl runs").stdout).ok()
    };
    wait_for("the tracker knows the seed", || stats()?["http_announces"].as_u64().filter(|count| *count > 0));
    let out = place.path("out");
    let get = getting(&place, file.to_str().expect("a name"), &out, &["--json", "--proxy", &url]);
    let shown = lines(&told(ended(get)));
    place.compare(&out);
    assert!(Command::new("kill").arg(child.id().to_string()).status().expect("kill").success());
    child.wait().expect("it ends");
    let seen = seen.join().expect("read");
    assert!(!seen.is_empty(), "the peer was found by the tracker and reached");
    for peer in &seen {
        let from: SocketAddr =
            peer["address"].as_str().and_then(|text| text.parse().ok()).expect("an address");
        assert_eq!((from.ip(), &peer["protocol"]), (proxy_at.ip(), &"tcp".into()), "{peer}");
    }
    assert!(!server.requests().is_empty(), "the web seed was asked");
    let last = shown.last().expect("a line");
    assert_eq!(last["stage"], "seeding", "{last}");
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
        assert!(last["trackers"].to_string().contains("UDP, which does not pass the proxy"), "{last}");
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
