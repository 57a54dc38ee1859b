//! Connections: bounds, shutdown, TLS as server and as client.

use event::{Detail, Event, Observer, SocketEvent, Told};
use net::tls::{self, Authority};
use net::{ListenBounds, ListenOptions, Listener, Network, Phase, Shutdown, Stream, Timeouts};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PATIENCE: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_millis(200);

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn listen(network: &Network, connections_max: usize, connections_per_address_max: usize) -> Listener {
    let bounds = ListenBounds::new(connections_max, connections_per_address_max);
    network.listen(&ListenOptions { bounds, ..ListenOptions::at(loopback()) }).unwrap()
}

async fn pair(server: &Network, client: &Network) -> (Stream, Stream) {
    let listener = listen(server, 10, 10);
    let (accepted, connected) =
        tokio::join!(listener.accept(), client.connect(listener.local_addr().unwrap(), PATIENCE));
    (accepted.unwrap(), connected.unwrap())
}

#[derive(Default)]
struct Notes(Mutex<Vec<Event>>);

impl Observer for Notes {
    fn detail(&self) -> Detail {
        Detail::Summary
    }
    fn observe(&self, told: &Told) {
        self.0.lock().unwrap().push(told.event.clone());
    }
}

#[tokio::test]
async fn accept_waits_while_connections_max_are_open() {
    let network = Network::new();
    let listener = listen(&network, 2, 10);
    let address = listener.local_addr().unwrap();
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(network.connect(address, PATIENCE).await.unwrap());
    }
    let first = listener.accept().await.unwrap();
    let _second = listener.accept().await.unwrap();
    assert!(tokio::time::timeout(SOON, listener.accept()).await.is_err(), "a third one got in");
    assert_eq!(listener.connections(), 2);
    drop(first);
    let third = tokio::time::timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    assert_eq!(third.peer_addr(), clients[2].local_addr());
}

#[tokio::test]
async fn bounds_change_while_an_accept_waits() {
    let network = Network::new();
    let bounds = ListenBounds::new(1, 10);
    let options = ListenOptions { bounds: bounds.clone(), ..ListenOptions::at(loopback()) };
    let listener = network.listen(&options).unwrap();
    let address = listener.local_addr().unwrap();
    let _clients = [(); 2].map(|()| std::net::TcpStream::connect(address).unwrap());
    let first = listener.accept().await.unwrap();
    let mut waiting = std::pin::pin!(listener.accept());
    assert!(tokio::time::timeout(SOON, &mut waiting).await.is_err(), "a second one got in");
    bounds.set(2, 10);
    let second = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
    // Fewer than are open: they stay, and nobody else gets in before both are gone.
    bounds.set(1, 10);
    let _third = std::net::TcpStream::connect(address).unwrap();
    drop(first);
    assert!(tokio::time::timeout(SOON, listener.accept()).await.is_err(), "a third one got in");
    drop(second);
    tokio::time::timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
}

#[tokio::test]
async fn one_address_has_its_limit_and_others_have_room() {
    let stream = event::Stream::new();
    let notes = Arc::new(Notes::default());
    stream.observe(notes.clone());
    let network = Network::new().reporting(stream.reporter("host.test"));
    let listener = listen(&network, 10, 2);
    let address = listener.local_addr().unwrap();
    let here = Network::new();
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(here.connect(address, PATIENCE).await.unwrap());
    }
    let other = Network::from_source("127.0.0.2".parse().unwrap());
    let other = other.connect(address, PATIENCE).await.unwrap();
    let first = listener.accept().await.unwrap();
    let _second = listener.accept().await.unwrap();
    // The third one from 127.0.0.1 is turned away on the way to the fourth.
    let fourth = listener.accept().await.unwrap();
    assert_eq!(fourth.peer_addr(), other.local_addr());
    assert_eq!(fourth.peer_addr().ip(), "127.0.0.2".parse::<std::net::IpAddr>().unwrap());
    let turned_away = clients[2].local_addr();
    assert!(clients[2].read(&mut [0; 1]).await.is_ok_and(|octets| octets == 0));
    let told = notes.0.lock().unwrap().clone();
    assert!(
        matches!(&told[..], [Event::Socket(SocketEvent::LimitReached { peer, limit: "connections_per_address_max" })] if *peer == turned_away),
        "{told:?}"
    );
    drop(first);
    here.connect(address, PATIENCE).await.unwrap();
    assert_eq!(listener.accept().await.unwrap().peer_addr().ip(), clients[0].local_addr().ip());
}

#[tokio::test]
async fn takes_over_a_socket_somebody_else_opened() {
    let std = std::net::TcpListener::bind(loopback()).unwrap();
    let address = std.local_addr().unwrap();
    let listener = Network::new().adopt_listener(std, &ListenOptions::at(loopback())).unwrap();
    assert_eq!(listener.local_addr().unwrap(), address);
    let network = Network::new();
    let (accepted, connected) = tokio::join!(listener.accept(), network.connect(address, PATIENCE));
    assert_eq!(accepted.unwrap().peer_addr(), connected.unwrap().local_addr());
}

#[tokio::test]
async fn ipv6_too() {
    let network = Network::new();
    let listener = network.listen(&ListenOptions::at("[::1]:0".parse().unwrap())).unwrap();
    let (accepted, connected) =
        tokio::join!(listener.accept(), network.connect(listener.local_addr().unwrap(), PATIENCE));
    assert_eq!(accepted.unwrap().peer_addr(), connected.unwrap().local_addr());
}

#[tokio::test]
async fn each_phase_has_its_time() {
    let (server, mut client) = pair(&Network::new(), &Network::new()).await;
    let timeouts = Timeouts { read: Duration::from_millis(20), ..Timeouts::default() };
    let error = timeouts.bound(Phase::Read, client.read(&mut [0; 1])).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(error.to_string(), "waiting for the peer to speak took longer than 20ms");
    drop(server);
    let short = Duration::from_millis(20);
    for (phase, name, change) in [
        (Phase::Connect, "connecting", (|t| &mut t.connect) as fn(&mut Timeouts) -> &mut Duration),
        (Phase::Handshake, "the TLS handshake", |t| &mut t.handshake),
        (Phase::Read, "waiting for the peer to speak", |t| &mut t.read),
        (Phase::Write, "waiting for the peer to read", |t| &mut t.write),
    ] {
        // Only this phase is short: another one's time would not end the test.
        let mut timeouts = Timeouts::all(Duration::from_hours(1));
        *change(&mut timeouts) = short;
        let error = timeouts.bound(phase, std::future::pending::<io::Result<()>>()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), format!("{name} took longer than 20ms"));
    }
}

async fn tls_pair(
    server: rustls_config::Server,
    client: rustls_config::Client,
    name: &str,
) -> (io::Result<Stream>, io::Result<Stream>) {
    let (accepted, connected) = pair(&Network::new(), &Network::new()).await;
    tokio::join!(accepted.accept_tls(server), connected.connect_tls(client, name))
}

/// The configurations' types, which services hold without naming rustls.
mod rustls_config {
    pub(crate) type Server = std::sync::Arc<rustls::ServerConfig>;
    pub(crate) type Client = std::sync::Arc<rustls::ClientConfig>;
}

async fn speaks_both_ways(mut server: Stream, mut client: Stream) {
    client.write_all(b"hello\r\n").await.unwrap();
    client.flush().await.unwrap();
    let mut line = [0; 7];
    server.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"hello\r\n");
    server.write_all(b"HELLO\r\n").await.unwrap();
    // Shutdown says close_notify: without it, rustls gives an error at the end.
    server.shutdown().await.unwrap();
    let mut all = Vec::new();
    client.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"HELLO\r\n");
}

#[tokio::test]
async fn tls_with_a_certificate_of_our_own_authority() {
    let now = SystemTime::now();
    let made = Authority::create("utopia.test CA", now).unwrap();
    let authority = Authority::load(made.cert_pem(), &made.key_pem()).unwrap();
    let issued = authority.issue(&["mx.utopia.test", "127.0.0.1", "::1"], now).unwrap();
    let server = tls::server_config(&issued.cert_chain_pem, &issued.key_pem).unwrap();
    let client = tls::client_config_verified(made.cert_pem()).unwrap();
    for name in ["mx.utopia.test", "mx.utopia.test.", "127.0.0.1", "::1"] {
        let (accepted, connected) = tls_pair(server.clone(), client.clone(), name).await;
        let (accepted, connected) = (accepted.unwrap(), connected.unwrap());
        let facts = accepted.tls().unwrap();
        assert_eq!(facts.version, "TLSv1.3");
        assert!(facts.cipher.starts_with("TLS13_"), "{facts:?}");
        let asked = name.starts_with("mx").then(|| "mx.utopia.test".to_owned());
        assert_eq!(facts.server_name, asked);
        assert!(connected.is_tls());
        speaks_both_ways(accepted, connected).await;
    }
    let (_, refused) = tls_pair(server.clone(), client, "other.test").await;
    assert!(refused.unwrap_err().to_string().contains("certificate"), "a wrong name must be refused");
    let stranger = Authority::create("stranger", now).unwrap();
    let distrusting = tls::client_config_verified(stranger.cert_pem()).unwrap();
    assert!(tls_pair(server.clone(), distrusting, "mx.utopia.test").await.1.is_err());
    let opportunistic = tls::client_config_opportunistic().unwrap();
    let (accepted, connected) = tls_pair(server, opportunistic, "whatever.test").await;
    speaks_both_ways(accepted.unwrap(), connected.unwrap()).await;
}

#[tokio::test]
async fn a_certificate_is_replaced_while_the_server_runs() {
    let now = SystemTime::now();
    let [old, new] = ["old CA", "new CA"].map(|name| Authority::create(name, now).unwrap());
    let [first, second] = [&old, &new].map(|authority| authority.issue(&["mx.utopia.test"], now).unwrap());
    let (server, handle) = tls::server_config_reloadable(&first.cert_chain_pem, &first.key_pem).unwrap();
    let trusting = |authority: &Authority| tls::client_config_verified(authority.cert_pem()).unwrap();
    assert!(tls_pair(server.clone(), trusting(&new), "mx.utopia.test").await.1.is_err());
    let (accepted, connected) = tls_pair(server.clone(), trusting(&old), "mx.utopia.test").await;

    let unfit = tls::Certified::read(&second.cert_chain_pem, &first.key_pem);
    assert!(unfit.is_err(), "they do not fit together");
    assert!(tls_pair(server.clone(), trusting(&old), "mx.utopia.test").await.1.is_ok(), "nothing changed");
    handle.replace(tls::Certified::read(&second.cert_chain_pem, &second.key_pem).unwrap());
    assert!(tls_pair(server.clone(), trusting(&old), "mx.utopia.test").await.1.is_err());
    assert!(tls_pair(server, trusting(&new), "mx.utopia.test").await.1.is_ok());
    // A connection from before goes on.
    speaks_both_ways(accepted.unwrap(), connected.unwrap()).await;
}

#[tokio::test]
async fn certificates_of_another_time_are_not_valid() {
    let long_ago = SystemTime::now() - Duration::from_hours(400 * 24);
    let authority = Authority::create("ca", long_ago).unwrap();
    let issued = authority.issue(&["mx.utopia.test"], long_ago).unwrap();
    assert!(issued.not_after < SystemTime::now());
    let server = tls::server_config(&issued.cert_chain_pem, &issued.key_pem).unwrap();
    let client = tls::client_config_verified(authority.cert_pem()).unwrap();
    let error = tls_pair(server, client, "mx.utopia.test").await.1.unwrap_err();
    assert!(error.to_string().contains("expired"), "{error}");
}

#[tokio::test]
async fn bad_pem_is_told_in_one_line() {
    assert_eq!(
        tls::client_config_verified("nothing").unwrap_err().to_string(),
        "it holds no certificate, a block that begins with -----BEGIN CERTIFICATE-----"
    );
    let authority = Authority::create("ca", SystemTime::now()).unwrap();
    let other = Authority::create("ca", SystemTime::now()).unwrap();
    let refused = |key: &str| tls::server_config(authority.cert_pem(), key).unwrap_err().to_string();
    assert_eq!(
        refused("nothing"),
        "it holds no private key, a block that begins with -----BEGIN PRIVATE KEY-----"
    );
    assert!(refused(&other.key_pem()).starts_with("the key is not that of the certificate"));
    assert!(authority.issue(&["nä me"], SystemTime::now()).is_err());
}

#[tokio::test]
async fn starts_tls_within_a_conversation_and_only_once() {
    let authority = Authority::create("ca", SystemTime::now()).unwrap();
    let issued = authority.issue(&["mx.utopia.test"], SystemTime::now()).unwrap();
    let server_config = tls::server_config(&issued.cert_chain_pem, &issued.key_pem).unwrap();
    let client_config = tls::client_config_opportunistic().unwrap();
    let (mut server, mut client) = pair(&Network::new(), &Network::new()).await;
    client.write_all(b"STARTTLS\r\n").await.unwrap();
    server.read_exact(&mut [0; 10]).await.unwrap();
    server.write_all(b"220 go\r\n").await.unwrap();
    client.read_exact(&mut [0; 8]).await.unwrap();
    let (server, client) = tokio::join!(
        server.accept_tls(server_config.clone()),
        client.connect_tls(client_config.clone(), "mx.utopia.test")
    );
    let again = server.unwrap().accept_tls(server_config).await.unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::InvalidInput);
    assert!(client.unwrap().connect_tls(client_config, "mx.utopia.test").await.is_err());
}

#[tokio::test]
async fn shutdown_waits_for_what_was_promised() {
    let shutdown = Shutdown::new();
    let hold = shutdown.hold();
    let task = {
        let shutdown = shutdown.clone();
        shutdown.clone().spawn(async move {
            shutdown.requested().await;
            drop(hold);
        })
    };
    assert!(!shutdown.is_requested());
    assert!(shutdown.finish(PATIENCE).await);
    task.await.unwrap();
    let stuck = Shutdown::new();
    let hold = stuck.hold();
    assert!(!stuck.finish(Duration::from_millis(20)).await);
    drop(hold);
}

#[tokio::test]
async fn a_file_is_sent_behind_its_header() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let octets: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    std::fs::write(&path, &octets).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    let (mut ours, mut theirs) = pair(&Network::new(), &Network::new()).await;
    let reading = tokio::spawn(async move {
        let mut read = Vec::new();
        theirs.read_to_end(&mut read).await.unwrap();
        read
    });
    assert!(ours.can_send_file() && ours.is_bare());
    let header = std::future::poll_fn(|cx| ours.poll_write_more(cx, b"header")).await.unwrap();
    assert_eq!(header, 6);
    let mut sent = 10;
    while sent < octets.len() as u64 {
        let left = std::num::NonZeroUsize::new(octets.len() - sent as usize).unwrap();
        let more = std::future::poll_fn(|cx| ours.poll_send_file(cx, &file, sent, left)).await.unwrap();
        assert!(more > 0);
        sent += more as u64;
    }
    let left = std::num::NonZeroUsize::new(10).unwrap();
    let end = std::future::poll_fn(|cx| ours.poll_send_file(cx, &file, sent, left)).await.unwrap();
    assert_eq!(end, 0, "the file has ended");
    ours.shutdown().await.unwrap();
    let read = reading.await.unwrap();
    assert_eq!(&read[..6], b"header");
    assert!(read[6..] == octets[10..]);
}

#[tokio::test]
async fn no_file_is_sent_past_a_layer() {
    let impaired = Network::new().with(net::Impairment::new(1, net::Conditions::default()));
    let (mut ours, _theirs) = pair(&impaired, &Network::new()).await;
    assert!(!ours.can_send_file() && !ours.is_bare());
    let file = std::fs::File::open("/dev/null").unwrap();
    let one = std::num::NonZeroUsize::MIN;
    let refused = std::future::poll_fn(|cx| ours.poll_send_file(cx, &file, 0, one)).await;
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::Unsupported);
    let written = std::future::poll_fn(|cx| ours.poll_write_more(cx, b"header")).await.unwrap();
    assert_eq!(written, 6);
}

#[tokio::test]
async fn one_read_fills_several_places() {
    for impaired in [false, true] {
        let network = Network::new();
        let network = if impaired {
            network.with(net::Impairment::new(1, net::Conditions::default()))
        } else {
            network
        };
        let (mut ours, mut theirs) = pair(&network, &Network::new()).await;
        theirs.write_all(b"headerblock").await.unwrap();
        theirs.shutdown().await.unwrap();
        let (mut first, mut second, mut read) = ([0; 6], [0; 10], Vec::new());
        loop {
            let octets = std::future::poll_fn(|cx| {
                let mut places = [io::IoSliceMut::new(&mut first), io::IoSliceMut::new(&mut second)];
                ours.poll_read_vectored(cx, &mut places)
            });
            let octets = octets.await.unwrap();
            if octets == 0 {
                break;
            }
            read.extend([&first[..], &second].concat().into_iter().take(octets));
        }
        assert_eq!(read, b"headerblock");
    }
}
