//! uTP over real sockets: both families, bad links, strangers on the port, many
//! connections, bounds.

use bittorrent_node::utp::{Config, UtpOptions, UtpSocket, UtpStream};
use net::{Conditions, Impairment, Network};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_mins(1);

fn bind(network: &Network, address: &str) -> UtpSocket {
    UtpSocket::bind(network, address.parse().unwrap(), UtpOptions::default(), None).unwrap()
}

fn octets(count: usize) -> Vec<u8> {
    (0..count).map(|place| (place % 251) as u8 ^ (place / 251 % 256) as u8).collect()
}

/// Sends back what comes until it ends.
async fn echo(mut stream: UtpStream) {
    let mut buffer = vec![0; 50_000];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    stream.shutdown().await.ok();
}

/// An echo server; its address.
fn serve(socket: UtpSocket) -> SocketAddr {
    let address = socket.local_addr();
    tokio::spawn(async move {
        while let Ok(stream) = socket.accept().await {
            tokio::spawn(echo(stream));
        }
    });
    address
}

/// Sends octets and expects the same back, at the same time.
async fn exchange(stream: UtpStream, all: Vec<u8>) {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let sent = all.clone();
    let writer = tokio::spawn(async move {
        writing.write_all(&sent).await.unwrap();
        writing.shutdown().await.unwrap();
    });
    let mut got = Vec::new();
    timeout(PATIENCE, reading.read_to_end(&mut got)).await.expect("in time").unwrap();
    assert!(got == all, "{} of {} octets", got.len(), all.len());
    writer.await.unwrap();
}

#[tokio::test]
async fn octets_go_there_and_back_over_both_families() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let server = serve(bind(&Network::new(), address));
        let client = bind(&Network::new(), address);
        let stream = client.connect(server).await.unwrap();
        assert_eq!((stream.peer_addr(), stream.local_addr()), (server, client.local_addr()));
        exchange(stream, octets(5_000_000)).await;
        timeout(PATIENCE, client.close()).await.unwrap();
        assert_eq!(client.connect(server).await.unwrap_err().kind(), ErrorKind::NotConnected);
    }
}

#[tokio::test]
async fn a_bad_link_loses_nothing() {
    let conditions = Conditions {
        delay: Duration::from_millis(3),
        jitter: Duration::from_millis(4),
        loss: 0.04,
        reordering: 0.05,
        ..Conditions::default()
    };
    let network = Network::new().with(Impairment::new(7, conditions));
    let server = serve(bind(&Network::new(), "127.0.0.1:0"));
    let client = bind(&network, "127.0.0.1:0");
    exchange(client.connect(server).await.unwrap(), octets(400_000)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_socket_carries_many_connections() {
    let server = serve(bind(&Network::new(), "127.0.0.1:0"));
    let client = Arc::new(bind(&Network::new(), "127.0.0.1:0"));
    let exchanges: Vec<_> = (0..60)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move {
                exchange(client.connect(server).await.unwrap(), octets(20_000 + number * 997)).await;
            })
        })
        .collect();
    for exchange in exchanges {
        exchange.await.unwrap();
    }
}

#[tokio::test]
async fn strangers_on_the_port_are_handed_on_within_their_bound() {
    let (others, mut strangers) = mpsc::channel(4);
    let address = "127.0.0.1:0".parse().unwrap();
    let socket = UtpSocket::bind(&Network::new(), address, UtpOptions::default(), Some(others)).unwrap();
    let dht = bind(&Network::new(), "127.0.0.1:0");
    for number in 0..50 {
        dht.send_to(format!("d1:ad2:id20:{number:020}").as_bytes(), socket.local_addr()).await.unwrap();
    }
    let first = timeout(PATIENCE, strangers.recv()).await.unwrap().unwrap();
    assert_eq!((&first.octets[..], first.peer), (&b"d1:ad2:id20:00000000000000000000"[..], dht.local_addr()));
    // A connection beside it is not disturbed.
    let server = serve(socket);
    exchange(dht.connect(server).await.unwrap(), octets(10_000)).await;
    let mut kept = 1;
    while strangers.try_recv().is_ok() {
        kept += 1;
    }
    assert!(kept <= 1 + 4 + 4, "{kept}");
}

#[tokio::test]
async fn a_socket_on_all_addresses_answers_from_the_one_that_was_asked() {
    let port = serve(bind(&Network::new(), "0.0.0.0:0")).port();
    let client = bind(&Network::new(), "127.0.0.1:0");
    let stream = client.connect(format!("127.0.0.5:{port}").parse().unwrap()).await.unwrap();
    exchange(stream, octets(100_000)).await;
}

#[tokio::test]
async fn a_reader_that_rests_holds_the_writer_back() {
    let config = Config { receive_octets_max: 100_000, send_octets_max: 80_000, ..Config::default() };
    let options = UtpOptions { config, ..UtpOptions::default() };
    let address = "127.0.0.1:0".parse().unwrap();
    let server = UtpSocket::bind(&Network::new(), address, options.clone(), None).unwrap();
    let client = UtpSocket::bind(&Network::new(), address, options, None).unwrap();
    let (mut there, _) = {
        let mut stream = client.connect(server.local_addr()).await.unwrap();
        stream.write_all(b"first").await.unwrap();
        (
            server.accept().await.unwrap(),
            tokio::spawn(async move {
                stream.write_all(&octets(3_000_000)).await.unwrap();
                stream.shutdown().await.unwrap();
                std::future::pending::<()>().await;
            }),
        )
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut got = Vec::new();
    timeout(PATIENCE, there.read_to_end(&mut got)).await.unwrap().unwrap();
    assert!(got[..5] == *b"first" && got[5..] == octets(3_000_000));
}

#[tokio::test]
async fn octets_can_be_taken_as_they_arrived() {
    let server = bind(&Network::new(), "127.0.0.1:0");
    let client = bind(&Network::new(), "127.0.0.1:0");
    let mut stream = client.connect(server.local_addr()).await.unwrap();
    let all = octets(2_000_000);
    let sent = all.clone();
    tokio::spawn(async move { stream.write_all(&sent).await.unwrap() });
    let mut there = server.accept().await.unwrap();
    let mut got = Vec::new();
    loop {
        let octets = timeout(PATIENCE, there.read_bytes()).await.unwrap().unwrap();
        if octets.is_empty() {
            break;
        }
        got.extend_from_slice(&octets);
    }
    assert!(got == all);
}

#[tokio::test]
async fn a_connection_nobody_accepts_in_time_is_refused() {
    let server = bind(&Network::new(), "127.0.0.1:0");
    let client = bind(&Network::new(), "127.0.0.1:0");
    let mut streams = Vec::new();
    for _ in 0..140 {
        streams.push(client.connect(server.local_addr()).await.unwrap());
    }
    let mut refused = 0;
    for stream in &mut streams {
        let read = timeout(Duration::from_millis(30), stream.read(&mut [0; 1])).await;
        refused += usize::from(matches!(read, Ok(Err(error)) if error.kind() == ErrorKind::ConnectionReset));
    }
    assert_eq!(refused, 12, "128 wait to be accepted");
}

#[tokio::test]
async fn who_drops_a_stream_is_noticed_on_the_other_side() {
    let server = bind(&Network::new(), "127.0.0.1:0");
    let client = bind(&Network::new(), "127.0.0.1:0");
    let mut stream = client.connect(server.local_addr()).await.unwrap();
    stream.write_all(b"last words").await.unwrap();
    drop(stream);
    let mut there = server.accept().await.unwrap();
    let mut got = String::new();
    timeout(PATIENCE, there.read_to_string(&mut got)).await.unwrap().unwrap();
    assert_eq!(got, "last words");
    // Nobody takes this; some time later nobody knows of it any more.
    let writing = async {
        loop {
            if let Err(error) = there.write_all(&[0; 1_000]).await {
                break error;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let error = timeout(PATIENCE, writing).await.unwrap();
    assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
}

#[tokio::test]
async fn closing_waits_for_what_was_written() {
    let server = bind(&Network::new(), "127.0.0.1:0");
    let conditions = Conditions { delay: Duration::from_millis(20), ..Conditions::default() };
    let client = bind(&Network::new().with(Impairment::new(1, conditions)), "127.0.0.1:0");
    let mut stream = client.connect(server.local_addr()).await.unwrap();
    stream.write_all(&octets(300_000)).await.unwrap();
    drop(stream);
    let mut there = server.accept().await.unwrap();
    let reader = tokio::spawn(async move {
        let mut got = Vec::new();
        there.read_to_end(&mut got).await.unwrap();
        got
    });
    timeout(PATIENCE, client.close()).await.unwrap();
    drop(client);
    assert!(timeout(PATIENCE, reader).await.unwrap().unwrap() == octets(300_000));
}

#[tokio::test]
async fn an_attempt_to_reach_nobody_ends() {
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = bind(&Network::new(), "127.0.0.1:0");
    let error = timeout(PATIENCE, client.connect(nobody.local_addr().unwrap())).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}
