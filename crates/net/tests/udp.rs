//! Datagrams: source addresses, batches, and what a batch does with too much.

use net::batch::{BatchOptions, DatagramBatch};
use net::{Conditions, Impairment, Network, Shutdown};
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

fn client(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

fn at(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), port)
}

fn batch(address: &str, datagrams_max: usize) -> DatagramBatch {
    let options = BatchOptions { datagrams_max, ..BatchOptions::at(address.parse().unwrap()) };
    Network::new().datagram_batches(&options).unwrap().remove(0)
}

fn echo(batch: &mut DatagramBatch) -> usize {
    batch.receive().unwrap();
    for (datagram, mut reply) in batch.exchanges() {
        let upper = datagram.octets.to_ascii_uppercase();
        assert!(reply.push(&upper));
    }
    batch.send().unwrap()
}

#[tokio::test]
async fn a_reply_leaves_from_the_address_that_was_asked() {
    for (bound, asked) in [("0.0.0.0:0", "127.0.0.2"), ("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "::1")] {
        let server = Network::new().datagrams(bound.parse().unwrap()).unwrap();
        let asked = at(asked, server.local_addr().unwrap().port());
        let client = Network::new().datagrams_towards(asked).unwrap();
        client.send_to(b"where", asked).await.unwrap();
        let mut buffer = [0; 16];
        let received = server.receive(&mut buffer).await.unwrap();
        assert_eq!((received.octets, received.local, received.truncated), (5, asked, false));
        server.send_from(b"here", received.local, received.peer).await.unwrap();
        let (octets, from) = client.receive_from(&mut buffer).await.unwrap();
        assert_eq!((&buffer[..octets], from), (&b"here"[..], asked));
    }
}

#[tokio::test]
async fn asks_from_the_address_of_the_host_and_hears_of_a_closed_port() {
    let network = Network::from_source("127.0.0.9".parse().unwrap());
    let server = Network::new().datagrams(at("127.0.0.1", 0)).unwrap();
    let address = server.local_addr().unwrap();
    let client = network.datagrams_towards(address).unwrap();
    client.connect(address).await.unwrap();
    client.send_to(b"hello there", address).await.unwrap();
    let received = server.receive(&mut [0; 5]).await.unwrap();
    assert_eq!(received.peer.ip(), "127.0.0.9".parse::<std::net::IpAddr>().unwrap());
    assert!(received.truncated);
    drop(server);
    client.send_to(b"anybody?", address).await.unwrap();
    let error = client.receive_from(&mut [0; 5]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_batch_replies_from_the_address_that_was_asked() {
    for (bound, asked, from) in [
        ("0.0.0.0:0", "127.0.0.2", "127.0.0.1:0"),
        ("[::]:0", "::1", "[::1]:0"),
        ("127.0.0.3:0", "127.0.0.3", "127.0.0.1:0"),
    ] {
        let mut batch = batch(bound, 64);
        let asked = at(asked, batch.local_addr().port());
        let client = client(from);
        client.send_to(b"where", asked).unwrap();
        assert_eq!(batch.receive().unwrap(), 1);
        let datagram = batch.datagram(0);
        assert_eq!((datagram.octets, datagram.local()), (&b"where"[..], asked));
        assert_eq!(datagram.peer(), client.local_addr().unwrap());
        assert!(batch.exchange(0).1.push(b"here"));
        assert_eq!(batch.send().unwrap(), 1);
        let mut buffer = [0; 16];
        let (octets, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..octets], from), (&b"here"[..], asked));
    }
}

#[tokio::test]
async fn a_late_reply_leaves_from_the_address_that_was_asked_after_its_batch() {
    for (bound, asked) in [("0.0.0.0:0", "127.0.0.2"), ("127.0.0.3:0", "127.0.0.3")] {
        let mut batch = batch(bound, 1);
        let late = batch.late_replies().unwrap();
        let asked = at(asked, batch.local_addr().port());
        let client = client("127.0.0.1:0");
        client.send_to(b"hard", asked).unwrap();
        assert_eq!(batch.receive().unwrap(), 1);
        let (local, peer) = (batch.datagram(0).local(), batch.datagram(0).peer());
        assert_eq!(batch.send().unwrap(), 0);
        // Another batch comes and goes meanwhile.
        client.send_to(b"easy", asked).unwrap();
        assert_eq!(echo(&mut batch), 1);
        late.send(b"at last", local, peer).await;
        let mut buffer = [0; 16];
        for reply in [&b"EASY"[..], b"at last"] {
            let (octets, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..octets], from), (reply, asked));
        }
    }
}

#[tokio::test]
async fn a_late_reply_passes_the_layers_of_its_socket() {
    let lossy = Impairment::new(1, Conditions { loss: 1.0, ..Conditions::default() });
    let options = BatchOptions::at("127.0.0.1:0".parse().unwrap());
    let batch = Network::new().with(lossy.clone()).datagram_batches(&options).unwrap().remove(0);
    let (late, client) = (batch.late_replies().unwrap(), client("127.0.0.1:0"));
    let (local, peer) = (batch.local_addr(), client.local_addr().unwrap());
    late.send(b"lost", local, peer).await;
    lossy.set(Conditions { delay: Duration::from_millis(20), ..Conditions::default() });
    let begun = Instant::now();
    late.send(b"delayed", local, peer).await;
    assert!(begun.elapsed() >= Duration::from_millis(20));
    let mut buffer = [0; 16];
    assert_eq!(client.recv(&mut buffer).unwrap(), 7);
}

#[test]
fn a_batch_takes_many_at_once_and_no_more_than_its_bound() {
    let mut batch = batch("127.0.0.1:0", 8);
    let client = client("127.0.0.1:0");
    for number in 0..20_u8 {
        client.send_to(&[b'a' + number], batch.local_addr()).unwrap();
    }
    let counts = [echo(&mut batch), echo(&mut batch), echo(&mut batch)];
    assert_eq!(counts, [8, 8, 4]);
    for number in 0..20_u8 {
        let mut buffer = [0; 16];
        let (octets, _) = client.recv_from(&mut buffer).unwrap();
        assert_eq!(buffer[..octets], [b'A' + number]);
    }
}

#[test]
fn a_batch_sends_no_empty_reply_and_forgets_old_ones() {
    let mut batch = batch("127.0.0.1:0", 8);
    let client = client("127.0.0.1:0");
    for datagram in [b"a", b"b", b"c"] {
        client.send_to(datagram, batch.local_addr()).unwrap();
    }
    assert_eq!(batch.receive().unwrap(), 3);
    assert!(batch.exchange(1).1.push(b"only this"));
    assert_eq!(batch.send().unwrap(), 1);
    assert_eq!(batch.send().unwrap(), 0, "a reply is sent once");
    // Written, but not sent before the next datagram comes.
    assert!(batch.exchange(0).1.push(b"stale"));
    client.send_to(b"d", batch.local_addr()).unwrap();
    assert_eq!(batch.receive().unwrap(), 1);
    assert!(batch.exchange(0).1.is_empty());
    assert_eq!(batch.send().unwrap(), 0);
    let mut buffer = [0; 16];
    assert_eq!(client.recv(&mut buffer).unwrap(), 9);
}

#[test]
fn buffers_hold_to_their_bounds() {
    let options = BatchOptions {
        datagram_octets_max: 10,
        reply_octets_max: 4,
        ..BatchOptions::at("127.0.0.1:0".parse().unwrap())
    };
    let mut batch = Network::new().datagram_batches(&options).unwrap().remove(0);
    let client = client("127.0.0.1:0");
    client.send_to(b"0123456789", batch.local_addr()).unwrap();
    client.send_to(b"0123456789a", batch.local_addr()).unwrap();
    assert_eq!(batch.receive().unwrap(), 2);
    assert_eq!((batch.datagram(0).octets.len(), batch.datagram(0).truncated), (10, false));
    assert_eq!((batch.datagram(1).octets.len(), batch.datagram(1).truncated), (10, true));
    let (_, mut reply) = batch.exchange(0);
    assert!(reply.push(b"abc"));
    assert!(!reply.push(b"de"));
    assert!(reply.push(b"d"));
    assert_eq!(reply.buffer().len(), 4);
    reply.set_len(5);
    assert_eq!(reply.len(), 4);
}

#[test]
fn a_batch_stops_waiting_so_that_its_thread_can_end() {
    let options = BatchOptions {
        patience: Duration::from_millis(5),
        ..BatchOptions::at("127.0.0.1:0".parse().unwrap())
    };
    let mut batch = Network::new().datagram_batches(&options).unwrap().remove(0);
    assert_eq!(batch.receive().unwrap(), 0);
    assert!(batch.is_empty());
}

#[test]
fn a_group_shares_one_address() {
    let options = BatchOptions { sockets: 3, ..BatchOptions::at("127.0.0.1:0".parse().unwrap()) };
    let mut group = Network::new().datagram_batches(&options).unwrap();
    let address = group[0].local_addr();
    assert!(group.iter().all(|batch| batch.local_addr() == address));
    // The system spreads clients over the sockets; each gets its reply from one.
    let shutdown = Shutdown::new();
    let threads: Vec<_> = group
        .drain(..)
        .map(|mut batch| {
            let shutdown = shutdown.clone();
            std::thread::spawn(move || {
                let mut replies = 0;
                while !shutdown.is_requested() {
                    batch.receive().unwrap();
                    for (datagram, mut reply) in batch.exchanges() {
                        assert!(reply.push(datagram.octets));
                    }
                    replies += batch.send().unwrap();
                }
                replies
            })
        })
        .collect();
    for number in 0..32_u8 {
        let client = client("127.0.0.1:0");
        client.send_to(&[number], address).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(client.recv(&mut buffer).unwrap(), 1);
        assert_eq!(buffer[0], number);
    }
    shutdown.request();
    let replies: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(replies, 32);
}

#[tokio::test]
async fn a_route_is_known_without_sending() {
    let network = Network::new();
    assert!(network.has_route("127.0.0.1".parse().unwrap()).await);
    // The system lets nobody connect to the broadcast address just so.
    assert!(!network.has_route("255.255.255.255".parse().unwrap()).await);
    // Nor does anything lead from loopback to elsewhere.
    let inside = Network::from_source("127.0.0.1".parse().unwrap());
    assert!(!inside.has_route("192.0.2.1".parse().unwrap()).await);
}
