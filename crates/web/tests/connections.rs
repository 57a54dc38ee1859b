//! Connections that would last for ever: half a request, nothing more to ask, a
//! client that does not read.

use bittorrent_node::Names;
use bittorrent_node::publish::{self, Publisher};
use bittorrent_node::tracker::{self, Tracker};
use event::metrics::Metrics;
use net::{Network, Shutdown};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use web::{Config, Status};

/// Half a request.
const HALF: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n";

/// The pages on an address of their own.
fn serve(shutdown: &Shutdown) -> SocketAddr {
    let pages = web::Server::new(web::Parts {
        network: Network::new(),
        status: Arc::new(Status::default),
        metrics: Arc::new(Metrics::new()),
        torrents: None,
        shutdown: shutdown.clone(),
    });
    let config = Config { listen: vec!["127.0.0.1:0".parse().expect("an address")], ..Config::default() };
    pages.carry_out(pages.prepare(&config).expect("an address to listen on"));
    pages.addresses()[0]
}

/// Everything until the server ends the connection, which takes it less than
/// five minutes of a clock that jumps while nothing happens.
async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    let ended = tokio::time::timeout(Duration::from_mins(5), stream.read_to_end(&mut read)).await;
    // A reset is an end as well.
    let _ = ended.expect("the server ends the connection");
    read
}

#[tokio::test]
async fn a_client_that_sends_half_a_request_or_no_further_one_is_let_go() {
    let shutdown = Shutdown::new();
    let at = serve(&shutdown);
    let mut half = TcpStream::connect(at).await.expect("a connection");
    half.write_all(HALF).await.expect("sent");
    let mut idle = TcpStream::connect(at).await.expect("a connection");
    idle.write_all(&[HALF, b"\r\n"].concat()).await.expect("sent");
    let mut first = [0; 15];
    idle.read_exact(&mut first).await.expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    tokio::time::pause();
    until_closed(&mut half).await;
    let rest = String::from_utf8(until_closed(&mut idle).await).expect("text");
    assert!(rest.ends_with("</html>"), "the answer was whole: {rest}");
}

#[tokio::test]
async fn a_client_that_asks_and_asks_but_does_not_read_is_let_go() {
    let shutdown = Shutdown::new();
    let mut stream = TcpStream::connect(serve(&shutdown)).await.expect("a connection");
    tokio::time::pause();
    let asking = async {
        let request = [HALF, b"\r\n"].concat();
        // Until nothing more fits into the buffers between us, and then the end.
        while stream.write_all(&request).await.is_ok() {}
    };
    tokio::time::timeout(Duration::from_mins(5), asking).await.expect("the server ends the connection");
}

#[tokio::test]
async fn half_sent_requests_do_not_hold_up_the_end() {
    let shutdown = Shutdown::new();
    let at = serve(&shutdown);
    let mut halves = Vec::new();
    for _ in 0..50 {
        let mut half = TcpStream::connect(at).await.expect("a connection");
        half.write_all(HALF).await.expect("sent");
        halves.push(half);
    }
    // Who comes beyond the bound is let go at once: the fifty are all being served.
    until_closed(&mut TcpStream::connect(at).await.expect("a connection")).await;
    tokio::time::pause();
    assert!(shutdown.finish(Duration::from_secs(9)).await, "all have ended");
}

/// Octets of a file that fills every buffer on its way many times.
const FILE_OCTETS: usize = 64 << 20;

/// The pages with one published file; its address.
async fn serve_file(shutdown: &Shutdown, folder: &std::path::Path) -> (SocketAddr, String) {
    let files = folder.join("files");
    std::fs::create_dir(&files).expect("a folder");
    std::fs::write(files.join("film"), vec![7; FILE_OCTETS]).expect("written");
    let (network, reporter) = (Network::new(), event::Reporter::silent());
    let tracker =
        Tracker::start(&tracker::Config::default(), network.clone(), reporter.clone(), shutdown.clone());
    let publisher = Publisher::new(publish::Parts {
        network: network.clone(),
        tracker: tracker.expect("a tracker"),
        names: Names::default(),
        data: folder.join("data"),
        reporter,
        shutdown: shutdown.clone(),
    });
    let config = publish::Config {
        listen: vec!["127.0.0.1:0".parse().expect("an address")],
        publish: vec![publish::Folder::new(files)],
        settle_seconds: 0,
        ..publish::Config::default()
    };
    let prepared = publisher.prepare(&config).await.expect("an address to listen on");
    assert!(publisher.carry_out(prepared, publish::Addresses::default()).await.is_empty());
    let id = loop {
        if let Some(listed) = publisher.listing().torrents.first() {
            break listed.published.id.clone();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let pages = web::Server::new(web::Parts {
        network,
        status: Arc::new(Status::default),
        metrics: Arc::new(Metrics::new()),
        torrents: Some(publisher),
        shutdown: shutdown.clone(),
    });
    let config =
        Config { listen_public: vec!["127.0.0.1:0".parse().expect("an address")], ..Config::default() };
    pages.carry_out(pages.prepare(&config).expect("an address to listen on"));
    (pages.public_addresses()[0], format!("/torrents/{id}/film"))
}

#[tokio::test]
async fn who_takes_a_file_slowly_gets_all_of_it_and_who_does_not_take_it_is_let_go() {
    let (shutdown, folder) = (Shutdown::new(), tempfile::tempdir().expect("a folder"));
    let (at, path) = serve_file(&shutdown, folder.path()).await;
    let ask = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let mut slow = TcpStream::connect(at).await.expect("a connection");
    slow.write_all(ask.as_bytes()).await.expect("sent");
    let mut deaf = TcpStream::connect(at).await.expect("a connection");
    deaf.write_all(ask.as_bytes()).await.expect("sent");
    tokio::time::pause();
    // Eight minutes for all of it, far beyond the life of a connection.
    let mut got = 0;
    let mut buffer = vec![0; 1 << 20];
    for _ in 0..16 {
        for _ in 0..FILE_OCTETS / 16 / buffer.len() {
            got += slow.read_exact(&mut buffer).await.expect("a piece");
        }
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
    got += until_closed(&mut slow).await.len();
    assert!(got > FILE_OCTETS, "the header and the file: {got}");
    let rest = until_closed(&mut deaf).await.len();
    assert!(rest < FILE_OCTETS, "it was cut short: {rest}");

    // For everybody is what is published, and nothing else.
    for (path, status) in [
        ("/torrents", "200"),
        ("/torrents.json", "200"),
        ("/", "307"),
        ("/metrics", "404"),
        ("/status.json", "404"),
    ] {
        let mut stream = TcpStream::connect(at).await.expect("a connection");
        let ask = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(ask.as_bytes()).await.expect("sent");
        let answer = String::from_utf8(until_closed(&mut stream).await).expect("text");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
        assert!(!answer.contains(&folder.path().display().to_string()), "{answer}");
    }
    tokio::time::resume();
    assert!(shutdown.finish(Duration::from_secs(20)).await);
}
