//! Connections that would last for ever: half a request, nothing more to ask, a
//! client that does not read.

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
