//! Sockets that go from one service of a host to another, and the last look when
//! one closes.

use net::batch::{BatchOptions, DatagramBatch};
use net::{ListenBounds, ListenError, ListenOptions, Listener, Listeners, Network, Shutdown, Stream};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

/// Long enough for a slow machine: only what fails waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

fn own() -> SocketAddr {
    // An address of this process, and a port that it has alone.
    let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut own = probe.local_addr().unwrap();
    let [a, b] = (std::process::id() as u16).to_be_bytes();
    own.set_ip([127, 77, a, b.clamp(1, 254)].into());
    own
}

fn listen(network: &Network, address: SocketAddr, connections_max: usize) -> std::io::Result<Listener> {
    network.listen(&ListenOptions { address, bounds: ListenBounds::new(connections_max, 100) })
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

async fn next(streams: &mut mpsc::UnboundedReceiver<Stream>) -> Stream {
    tokio::time::timeout(PATIENCE, streams.recv()).await.expect("in time").expect("a connection")
}

#[tokio::test]
async fn what_waits_goes_to_whoever_takes_the_listener_over() {
    let (network, address) = (Network::new(), own());
    let (shutdown, closing) = (Shutdown::new(), Shutdown::new());
    let old = listen(&network, address, 10).unwrap();
    let _early = connect(address);
    let dropped = listen(&network.taking_over(), address, 10).unwrap();
    drop(dropped);
    let new = listen(&network.taking_over(), address, 10).unwrap();
    closing.request();
    old.each(closing, |stream| panic!("{} was taken from the new owner", stream.peer_addr())).await;
    let (taken, mut streams) = mpsc::unbounded_channel();
    shutdown.spawn(new.each(shutdown.child(), move |stream| taken.send(stream).unwrap()));
    next(&mut streams).await;
    let late = connect(address);
    assert_eq!(next(&mut streams).await.peer_addr(), late.local_addr().unwrap());
    assert!(shutdown.finish(PATIENCE).await);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn what_waits_when_a_listener_closes_is_served_in_its_turn() {
    let (network, address, closing) = (Network::new(), own(), Shutdown::new());
    let listener = listen(&network, address, 2).unwrap();
    let clients: Vec<_> = (0..5).map(|_| connect(address)).collect();
    closing.request();
    let (taken, mut streams) = mpsc::unbounded_channel();
    let closed = tokio::spawn(listener.each(closing, move |stream| taken.send(stream).unwrap()));
    let mut first = vec![next(&mut streams).await, next(&mut streams).await];
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(!closed.is_finished() && streams.try_recv().is_err(), "two at once");
    for client in &clients {
        let mut stream = first.pop().unwrap_or_else(|| panic!("{client:?}"));
        stream.write_all(b"hello").await.unwrap();
        drop(stream);
        if let Ok(Some(stream)) = tokio::time::timeout(PATIENCE, streams.recv()).await {
            first.push(stream);
        }
    }
    closed.await.unwrap();
    for mut client in clients {
        let mut said = String::new();
        std::io::Read::read_to_string(&mut client, &mut said).unwrap();
        assert_eq!(said, "hello");
    }
}

#[tokio::test]
async fn only_a_plan_takes_over_and_only_what_was_asked_for() {
    let (network, address) = (Network::new(), own());
    let _held = listen(&network, address, 1).unwrap();
    assert_eq!(listen(&network, address, 1).unwrap_err().kind(), ErrorKind::AddrInUse);
    let other_host = Network::new().taking_over();
    assert_eq!(listen(&other_host, address, 1).unwrap_err().kind(), ErrorKind::AddrInUse);
    let held = listen(&network, SocketAddr::new(address.ip(), 0), 1).unwrap();
    let error = listen(&network.taking_over(), held.local_addr().unwrap(), 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

#[tokio::test]
async fn an_address_that_includes_one_of_ours_is_refused_with_the_way_there() {
    let (network, shutdown) = (Network::new(), Shutdown::new());
    let listeners = Listeners::none(network.clone(), shutdown.clone(), |()| "http");
    let all: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let held = listen(&network, all, 1).unwrap();
    let one = SocketAddr::new(own().ip(), held.local_addr().unwrap().port());
    let error: ListenError = listeners.plan([((), one)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "http cannot listen on {one}: this program itself listens on 0.0.0.0:{} until it has another \
             configuration; reload first without either of the two, then with the new one, or restart",
            one.port()
        )
    );
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let foreign = std::net::TcpListener::bind(stranger).unwrap();
    let error = listeners.plan([((), stranger)]).unwrap_err().to_string();
    assert!(error.ends_with("choose another address or stop what listens there"), "{error}");
    drop(foreign);
}

fn batches(network: &Network, address: SocketAddr, sockets: usize) -> Vec<DatagramBatch> {
    let options = BatchOptions { sockets, ..BatchOptions::at(address) };
    network.datagram_batches(&options).unwrap()
}

fn echo(batch: &mut DatagramBatch) {
    for (datagram, mut reply) in batch.exchanges() {
        assert!(reply.push(datagram.octets));
    }
    batch.send().unwrap();
}

/// Echoes until `closing`, as the name server answers.
fn serve(batch: &mut DatagramBatch, closing: &Shutdown) {
    while !closing.is_requested() {
        match batch.receive_now().unwrap() {
            0 => batch.wait().unwrap(),
            _ => echo(batch),
        }
    }
    if batch.retire().unwrap() {
        while batch.receive_now().unwrap() > 0 {
            echo(batch);
        }
    }
}

#[test]
fn groups_of_other_sizes_follow_one_another_and_no_datagram_is_lost() {
    let (network, address) = (Network::new(), own());
    let (ended, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut serving: Vec<(std::thread::JoinHandle<()>, Shutdown)> = Vec::new();
    let mut turn = |sockets: usize| {
        let group = batches(&network.taking_over(), address, sockets);
        assert_eq!(group.len(), sockets);
        let old = std::mem::take(&mut serving);
        for (_, closing) in &old {
            closing.request();
        }
        serving.extend(group.into_iter().map(|mut batch| {
            let closing = Shutdown::new();
            let until = closing.clone();
            (std::thread::spawn(move || serve(&mut batch, &until)), closing)
        }));
        for (thread, _) in old {
            thread.join().unwrap();
        }
    };
    turn(2);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (ended, asked) = (ended.clone(), asked.clone());
            std::thread::spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    let client = UdpSocket::bind(SocketAddr::new(address.ip(), 0)).unwrap();
                    client.set_read_timeout(Some(PATIENCE)).unwrap();
                    client.send_to(b"there", address).unwrap();
                    assert_eq!(client.recv(&mut [0; 16]).expect("no datagram is lost"), 5);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for sockets in [1, 4, 3, 1, 2, 5, 1, 3, 2, 4, 1, 5, 1] {
        let before = asked.load(Ordering::Relaxed);
        while asked.load(Ordering::Relaxed) < before + 50
            && !clients.iter().any(std::thread::JoinHandle::is_finished)
        {
            std::thread::yield_now();
        }
        turn(sockets);
    }
    ended.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    turn(1);
    for (thread, closing) in serving {
        closing.request();
        thread.join().unwrap();
    }
}

#[test]
fn a_batch_that_retires_answers_what_waits_and_hears_no_more() {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    for bound in ["127.0.0.1:0", "0.0.0.0:0"] {
        let mut batch = batches(&Network::new(), bound.parse().unwrap(), 1).remove(0);
        let at = SocketAddr::new("127.0.0.1".parse().unwrap(), batch.local_addr().port());
        client.send_to(b"waits", at).unwrap();
        assert!(batch.retire().unwrap());
        client.send_to(b"too late", at).unwrap();
        assert_eq!(batch.receive_now().unwrap(), 1);
        echo(&mut batch);
        let mut buffer = [0; 16];
        // The system may have told first that nobody hears the second.
        let octets = client.recv(&mut buffer).or_else(|_| client.recv(&mut buffer)).unwrap();
        assert_eq!(&buffer[..octets], b"waits");
        assert_eq!(batch.receive_now().unwrap(), 0);
    }
}

#[tokio::test]
async fn a_socket_goes_from_a_thread_to_a_task_and_back() {
    let (network, address) = (Network::new(), own());
    let client = UdpSocket::bind(SocketAddr::new(address.ip(), 0)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 16];
    let mut thread_s = batches(&network, address, 1).remove(0);
    client.send_to(b"one", address).unwrap();
    client.send_to(b"two", address).unwrap();
    let task_s = network.taking_over().datagrams(address).unwrap();
    assert!(!thread_s.retire().unwrap(), "what waits is the other's");
    drop(thread_s);
    assert_eq!(task_s.receive(&mut buffer).await.unwrap().octets, 3);
    let mut thread_s = batches(&network.taking_over(), address, 2);
    assert!(task_s.receive_waiting(&mut buffer).is_none(), "what waits is the other's");
    assert_eq!(thread_s[0].receive().unwrap(), 1);
    assert_eq!(thread_s[0].datagram(0).octets, b"two");
    thread_s.clear();
    client.send_to(b"last", address).unwrap();
    let last = task_s.receive_waiting(&mut buffer).expect("it is alone again");
    assert_eq!((last.octets, last.peer), (4, client.local_addr().unwrap()));
    assert!(task_s.receive_waiting(&mut buffer).is_none());
}
