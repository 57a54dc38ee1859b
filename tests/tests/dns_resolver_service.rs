//! The resolver as a service over real sockets: what it tells, its bounds, and
//! hostile octets. The name server is a socket of the test.

use dns::{Name, Resolve, ResolveError};
use dns_server::resolver::{AskOptions, Config, Resolver, StartError, ask};
use domain::base::iana::{Class, OptRcode, Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Ttl};
use domain::rdata::A;
use event::{Detail, DnsEvent, Event, Observer, Reporter, Stream, Told};
use net::{Network, Shutdown};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

fn name(text: &str) -> Name {
    Name::bytes_from_str(text).expect("a name")
}

/// A name server that says 192.0.2.1 to everything, until the test ends.
fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind(loopback()).expect("a socket");
    let address = socket.local_addr().expect("an address");
    thread::spawn(move || {
        let mut buffer = [0; 1_500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let query = Message::from_octets(&buffer[..length]).expect("a query");
            let question = query.sole_question().expect("a question");
            let mut builder = MessageBuilder::new_vec().start_answer(&query, Rcode::NOERROR).expect("room");
            builder.header_mut().set_aa(true);
            let data = A::new([192, 0, 2, 1].into());
            builder.push((question.qname(), Class::IN, Ttl::from_secs(60), data)).expect("room");
            socket.send_to(&builder.finish(), from).expect("sent");
        }
    });
    address
}

fn config(zone_server: SocketAddr) -> Config {
    Config {
        listen: vec![loopback()],
        stub_zones: [("utopia.test".to_owned(), vec![zone_server])].into(),
        ..Config::default()
    }
}

fn start(config: &Config, reporter: Reporter) -> (Resolver, SocketAddr, Shutdown) {
    let shutdown = Shutdown::new();
    let resolver =
        Resolver::start(config, Network::new(), reporter, shutdown.clone()).expect("the resolver starts");
    let address = resolver.addresses()[0];
    (resolver, address, shutdown)
}

/// Notes every event about names.
#[derive(Default)]
struct Notes(Mutex<Vec<DnsEvent>>);

impl Observer for Notes {
    fn detail(&self) -> Detail {
        Detail::Message
    }

    fn observe(&self, told: &Told) {
        if let Event::Dns(event) = &told.event {
            self.0.lock().expect("the notes").push(event.clone());
        }
    }
}

impl Notes {
    fn lines(&self) -> Vec<String> {
        self.0.lock().expect("the notes").iter().map(ToString::to_string).collect()
    }
}

fn notes() -> (Arc<Notes>, Reporter) {
    let (stream, notes) = (Stream::new(), Arc::new(Notes::default()));
    stream.observe(notes.clone());
    (notes, stream.reporter("resolver"))
}

fn question(text: &str) -> dns::resolver::Question {
    dns::resolver::Question { name: name(text), rtype: Rtype::A }
}

#[tokio::test]
async fn tells_queries_responses_and_cache_hits() {
    let (notes, reporter) = notes();
    let (_resolver, address, _shutdown) = start(&config(name_server()), reporter);
    for _ in 0..2 {
        let options = AskOptions::default();
        let exchanged = ask(&Network::new(), address, &question("www.utopia.test"), options).await;
        let reply = exchanged.expect("a reply").reply;
        assert!(reply.recursion_available && !reply.authoritative);
        assert_eq!((reply.rcode, reply.answer.len()), (OptRcode::NOERROR, 1));
    }
    let lines = notes.lines();
    assert_eq!(lines[0], "query www.utopia.test. A (recursion desired)");
    assert!(lines[1].starts_with("answer www.utopia.test. A: "), "{lines:?}");
    assert_eq!(lines[2], lines[0]);
    assert!(lines[3].starts_with("www.utopia.test. A from the cache, fresh for "), "{lines:?}");
    assert!(lines[4].starts_with("answer www.utopia.test. A: "), "{lines:?}");
}

#[tokio::test]
async fn a_server_that_is_silent_is_told_and_the_question_fails() {
    let silent = UdpSocket::bind(loopback()).expect("a socket");
    let (notes, reporter) = notes();
    let (resolver, ..) = start(&config(silent.local_addr().expect("an address")), reporter);
    let failure = resolver.resolve(&name("www.utopia.test"), Rtype::A).await.expect_err("nobody answers");
    assert!(matches!(failure, ResolveError::Unreachable { .. }), "{failure}");
    assert!(failure.to_string().contains("utopia.test"), "{failure}");
    assert!(
        notes.lines().iter().any(|line| line.starts_with("no answer from 127.0.0.1:")),
        "{:?}",
        notes.lines()
    );
}

#[tokio::test]
async fn a_port_nobody_listens_on_fails_at_once() {
    let closed = UdpSocket::bind(loopback()).expect("a socket").local_addr().expect("an address");
    let (resolver, ..) = start(&config(closed), Reporter::silent());
    let begun = Instant::now();
    resolver.resolve(&name("www.utopia.test"), Rtype::A).await.expect_err("nobody listens");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_beyond_the_bound_get_servfail() {
    let silent = UdpSocket::bind(loopback()).expect("a socket");
    let config = Config { questions_max: 5, ..config(silent.local_addr().expect("an address")) };
    let (_resolver, address, _shutdown) = start(&config, Reporter::silent());
    let mut asking = tokio::task::JoinSet::new();
    for n in 0..20 {
        asking.spawn(async move {
            let options = AskOptions { tcp: true, dnssec: false };
            let (network, question) = (Network::new(), question(&format!("n{n}.utopia.test")));
            let asked = ask(&network, address, &question, options);
            tokio::time::timeout(Duration::from_secs(2), asked).await
        });
    }
    let replies = asking.join_all().await;
    let servfail = replies.iter().flatten().flatten().filter(|asked| asked.reply.rcode == OptRcode::SERVFAIL);
    assert_eq!(servfail.count(), 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_octets_leave_the_service_as_it_was() {
    let (resolver, address, shutdown) = start(&config(name_server()), Reporter::silent());
    let socket = UdpSocket::bind(loopback()).expect("a socket");
    for length in 0..600_usize {
        let octets: Vec<u8> = (0..length).map(|n| (n * length % 251) as u8).collect();
        socket.send_to(&octets, address).expect("sent");
    }
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    // A message of one octet, then one that is a query of no kind.
    stream.write_all(&[0, 1, 7, 0, 12, 0, 1, 0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0]).expect("sent");
    let mut reply = [0; 14];
    stream.read_exact(&mut reply).expect("a reply");
    assert_eq!((reply[2..4].to_vec(), reply[5] & 15), (vec![0, 1], 4), "NOTIMP for UPDATE");
    let found = resolver.resolve(&name("www.utopia.test"), Rtype::A).await.expect("it lives");
    assert_eq!(found.records.len(), 1);
    assert!(shutdown.finish(Duration::from_secs(5)).await);
    let stopped = resolver.resolve(&name("www.utopia.test"), Rtype::A).await.expect_err("it has stopped");
    assert!(matches!(stopped, ResolveError::Stopping));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_no_more_still_gets_its_replies() {
    let (_resolver, address, _shutdown) = start(&config(name_server()), Reporter::silent());
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    for id in 0..10 {
        let mut builder = MessageBuilder::new_vec();
        builder.header_mut().set_id(id);
        builder.header_mut().set_rd(true);
        let mut builder = builder.question();
        builder.push((name(&format!("n{id}.utopia.test")), Rtype::A, Class::IN)).expect("room");
        let query = builder.finish();
        stream.write_all(&[&(query.len() as u16).to_be_bytes(), &query[..]].concat()).expect("sent");
    }
    stream.shutdown(std::net::Shutdown::Write).expect("half closed");
    let mut replies = Vec::new();
    stream.read_to_end(&mut replies).expect("replies, then the end");
    let mut count = 0;
    while let Some((length, rest)) = replies.split_first_chunk::<2>() {
        replies = rest[usize::from(u16::from_be_bytes(*length))..].to_vec();
        count += 1;
    }
    assert_eq!(count, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed() {
    let config = Config { idle_seconds_max: 1, ..config(name_server()) };
    let (_resolver, address, _shutdown) = start(&config, Reporter::silent());
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a timeout");
    assert_eq!(stream.read(&mut [0; 1]).expect("the end"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_loses_replies() {
    // Nobody is allowed, so that each query is answered at once.
    let config = Config { allow: Vec::new(), ..config(name_server()) };
    let (_resolver, address, _shutdown) = start(&config, Reporter::silent());
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a timeout");
    stream.set_write_timeout(Some(Duration::from_mins(1))).expect("a timeout");
    let long = ["x".repeat(63), "y".repeat(63), "z".repeat(63), "w".repeat(61)].join(".");
    let mut builder = MessageBuilder::new_vec().question();
    builder.push((name(&long), Rtype::A, Class::IN)).expect("room");
    let query = builder.finish();
    let framed = [&(query.len() as u16).to_be_bytes(), &query[..]].concat();
    // Far more replies than the system keeps for a client.
    let (rounds, at_once) = (600, 100);
    let batch = framed.repeat(at_once);
    for _ in 0..rounds {
        stream.write_all(&batch).expect("the server reads on");
    }
    stream.shutdown(std::net::Shutdown::Write).expect("half closed");
    let mut replies = Vec::new();
    let _ = stream.read_to_end(&mut replies);
    let received = replies.len() / framed.len();
    assert!((64..rounds * at_once).contains(&received), "{received} replies");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let taken = UdpSocket::bind(loopback()).expect("a socket");
    let config = Config { listen: vec![taken.local_addr().expect("an address")], ..Config::default() };
    let error = Resolver::start(&config, Network::new(), Reporter::silent(), Shutdown::new())
        .expect_err("the port is taken");
    assert!(
        matches!(error, StartError::Listen { .. })
            && error.to_string().contains("cannot listen on 127.0.0.1")
    );
}
