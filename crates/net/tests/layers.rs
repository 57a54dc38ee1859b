//! What stacks around a socket: capture that others can read, impairment that
//! can be repeated and changed, both at once, on streams, datagrams and batches.

use net::batch::BatchOptions;
use net::{
    Capture, Conditions, Datagrams, Direction, Impairment, Layer, ListenOptions, Network, Passing, Stream,
};
use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PATIENCE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(100);

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

async fn pair(server: &Network, client: &Network) -> (Stream, Stream) {
    let listener = server.listen(&ListenOptions::at(loopback())).unwrap();
    let (accepted, connected) =
        tokio::join!(listener.accept(), client.connect(listener.local_addr().unwrap(), PATIENCE));
    (accepted.unwrap(), connected.unwrap())
}

/// Which of a hundred datagrams a link loses.
fn lost(impairment: &Impairment) -> Vec<usize> {
    let now = Instant::now();
    let passing = |direction| Passing { at: now, direction, from: loopback(), to: loopback(), octets: b"x" };
    (0..100)
        .filter(|_| {
            // What goes the other way must not change what is lost this way.
            impairment.datagram(&passing(Direction::Incoming));
            impairment.datagram(&passing(Direction::Outgoing)).is_none()
        })
        .collect()
}

#[test]
fn the_same_seed_loses_the_same_datagrams() {
    let conditions = Conditions { loss: 0.3, ..Conditions::default() };
    let first = lost(&Impairment::new(7, conditions));
    assert_eq!(first, lost(&Impairment::new(7, conditions)));
    assert_ne!(first, lost(&Impairment::new(8, conditions)));
    assert!((15..45).contains(&first.len()), "{} of 100 lost", first.len());
}

#[test]
fn a_link_has_rate_delay_and_order() {
    let start = Instant::now();
    let passing = Passing {
        at: start,
        direction: Direction::Outgoing,
        from: loopback(),
        to: loopback(),
        octets: &[0; 972],
    };
    // 1,000 octets with their headers take 8 ms at 1 Mbit/s.
    let delay = Duration::from_millis(20);
    let conditions = Conditions { rate_bits: Some(1_000_000), delay, ..Conditions::default() };
    let slow = Impairment::new(1, conditions);
    let due: Vec<_> = (0..3).map(|_| slow.datagram(&passing).unwrap() - start).collect();
    assert_eq!(due, [28, 36, 44].map(Duration::from_millis));
    // One second of queue is all it holds.
    let passed = (0..1_000).filter(|_| slow.datagram(&passing).is_some()).count();
    assert!((115..130).contains(&passed), "{passed}");
    let ahead = Impairment::new(1, Conditions { delay, reordering: 0.5, ..Conditions::default() });
    let due: Vec<_> = (0..20).map(|_| ahead.datagram(&passing).unwrap() - start).collect();
    assert!(due.contains(&Duration::ZERO) && due.contains(&delay));
}

async fn answers(client: &Datagrams, server: SocketAddr, patience: Duration) -> bool {
    client.send_to(b"ping", server).await.unwrap();
    tokio::time::timeout(patience, client.receive(&mut [0; 16])).await.is_ok()
}

#[tokio::test]
async fn a_link_is_cut_and_joined_while_in_use() {
    let impairment = Impairment::new(1, Conditions::default());
    let server = Network::new().with(impairment.clone()).datagrams(loopback()).unwrap();
    let address = server.local_addr().unwrap();
    let echo = tokio::spawn(async move {
        let mut buffer = [0; 16];
        loop {
            let received = server.receive(&mut buffer).await.unwrap();
            server.send_from(&buffer[..received.octets], received.local, received.peer).await.unwrap();
        }
    });
    let client = Network::new().datagrams_towards(address).unwrap();
    assert!(answers(&client, address, PATIENCE).await);
    impairment.partition(true);
    assert!(!answers(&client, address, SHORT).await);
    impairment.set(Conditions { delay: Duration::from_millis(30), ..Conditions::default() });
    let begin = Instant::now();
    assert!(answers(&client, address, PATIENCE).await);
    assert!(begin.elapsed() >= Duration::from_millis(60), "{:?}", begin.elapsed());
    echo.abort();
}

#[tokio::test]
async fn datagrams_of_a_delayed_link_keep_their_order_without_jitter() {
    let conditions = Conditions { delay: Duration::from_millis(5), ..Conditions::default() };
    let server = Network::new().datagrams(loopback()).unwrap();
    let address = server.local_addr().unwrap();
    let client = Network::new().with(Impairment::new(1, conditions)).datagrams_towards(address).unwrap();
    for number in 0..50_u8 {
        client.send_to(&[number], address).await.unwrap();
    }
    for number in 0..50_u8 {
        let mut buffer = [0; 4];
        tokio::time::timeout(PATIENCE, server.receive(&mut buffer)).await.unwrap().unwrap();
        assert_eq!(buffer[0], number);
    }
}

#[tokio::test]
async fn a_connection_over_a_slow_cut_link_loses_nothing() {
    let conditions = Conditions {
        rate_bits: Some(20_000_000),
        delay: Duration::from_millis(5),
        jitter: Duration::from_millis(3),
        loss: 0.5,
        ..Conditions::default()
    };
    let impairment = Impairment::new(3, conditions);
    let (mut server, mut client) = pair(&Network::new(), &Network::new().with(impairment.clone())).await;
    let sent: Vec<u8> = (0..300_000_u32).map(|number| number as u8).collect();
    let begin = Instant::now();
    let expected = sent.clone();
    let writer = tokio::spawn(async move {
        client.write_all(&sent).await.unwrap();
        client.shutdown().await.unwrap();
        let mut reply = String::new();
        client.read_to_string(&mut reply).await.unwrap();
        reply
    });
    let mut got = vec![0; 50_000];
    server.read_exact(&mut got).await.unwrap();
    impairment.partition(true);
    // What is written already may still arrive; then it stalls.
    tokio::time::sleep(SHORT).await;
    let mut buffer = vec![0; 400_000];
    while let Ok(Ok(octets @ 1..)) = tokio::time::timeout(SHORT, server.read(&mut buffer)).await {
        got.extend(&buffer[..octets]);
    }
    assert!(got.len() < 300_000, "the cut link carried everything");
    impairment.partition(false);
    server.read_to_end(&mut got).await.unwrap();
    assert!(got == expected);
    // 300,000 octets take 120 ms at 20 Mbit/s.
    assert!(begin.elapsed() >= Duration::from_millis(120));
    server.write_all(b"all there").await.unwrap();
    server.shutdown().await.unwrap();
    assert_eq!(writer.await.unwrap(), "all there");
}

#[tokio::test]
async fn a_cut_link_opens_no_connection() {
    let impairment = Impairment::new(1, Conditions { partitioned: true, ..Conditions::default() });
    let listener = Network::new().listen(&ListenOptions::at(loopback())).unwrap();
    let client = Network::new().with(impairment);
    let error = client.connect(listener.local_addr().unwrap(), SHORT).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}

#[test]
fn a_batch_goes_through_the_layers_of_its_network() {
    let conditions = Conditions { delay: Duration::from_millis(10), ..Conditions::default() };
    let impairment = Impairment::new(1, conditions);
    let options =
        BatchOptions { patience: Duration::from_millis(5), ..BatchOptions::at("0.0.0.0:0".parse().unwrap()) };
    let mut batch = Network::new().with(impairment.clone()).datagram_batches(&options).unwrap().remove(0);
    let asked = SocketAddr::new("127.0.0.2".parse().unwrap(), batch.local_addr().port());
    let client = std::net::UdpSocket::bind(loopback()).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let begin = Instant::now();
    client.send_to(b"ping", asked).unwrap();
    let mut buffer = [0; 16];
    let from = loop {
        batch.receive().unwrap();
        for (datagram, mut reply) in batch.exchanges() {
            assert_eq!((datagram.octets, datagram.local()), (&b"ping"[..], asked));
            assert!(reply.push(b"pong"));
        }
        batch.send().unwrap();
        if let Ok((4, from)) = client.recv_from(&mut buffer) {
            break from;
        }
        assert!(begin.elapsed() < PATIENCE);
    };
    assert_eq!(from, asked);
    assert!(begin.elapsed() >= Duration::from_millis(20));
    impairment.partition(true);
    client.send_to(b"ping", asked).unwrap();
    assert_eq!((0..10).map(|_| batch.receive().unwrap()).sum::<usize>(), 0);
}

/// A file in memory that stays readable.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(octets);
        Ok(octets.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The blocks of a pcapng file: type and body; checks that both lengths agree.
fn blocks(file: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let (mut at, mut blocks) = (0, Vec::new());
    while at < file.len() {
        let length = word(at + 4) as usize;
        assert_eq!((length % 4, word(at + length - 4) as usize), (0, length));
        blocks.push((word(at), file[at + 8..at + length - 4].to_vec()));
        at += length;
    }
    blocks
}

/// Talks over UDP and TCP, IPv4 and IPv6, through a capture.
async fn captured() -> Vec<u8> {
    let memory = Memory::default();
    let capture = Capture::new(memory.clone()).unwrap();
    let host = Network::new().with(capture.interface("ns1.utopia.test").unwrap());
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let address: SocketAddr = address.parse().unwrap();
        let peer = Network::new().datagrams(address).unwrap();
        let peer_address = peer.local_addr().unwrap();
        let ours = host.datagrams(address).unwrap();
        ours.send_to(b"question", peer_address).await.unwrap();
        peer.send_to(b"answer!", ours.local_addr().unwrap()).await.unwrap();
        ours.receive(&mut [0; 16]).await.unwrap();

        let listener = host.listen(&ListenOptions::at(address)).unwrap();
        let there = Network::new();
        let (ours, client) =
            tokio::join!(listener.accept(), there.connect(listener.local_addr().unwrap(), PATIENCE));
        let (mut ours, mut client) = (ours.unwrap(), client.unwrap());
        client.write_all(b"EHLO client.test\r\n").await.unwrap();
        ours.read_exact(&mut [0; 18]).await.unwrap();
        ours.write_all(&vec![b'x'; 40_000]).await.unwrap();
        client.read_exact(&mut vec![0; 40_000]).await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(ours.read(&mut [0; 1]).await.unwrap(), 0);
        ours.shutdown().await.unwrap();
    }
    capture.flush().unwrap();
    memory.0.lock().unwrap().clone()
}

#[tokio::test]
async fn a_capture_holds_one_section_its_interface_and_every_packet() {
    let blocks = blocks(&captured().await);
    assert_eq!((blocks[0].0, blocks[1].0), (0x0A0D_0D0A, 1));
    let packets: Vec<_> = blocks[2..].iter().collect();
    assert!(packets.iter().all(|(kind, _)| *kind == 6));
    // Each family: two datagrams; SYN, SYN ACK, ACK, EHLO, at least three
    // segments of at most 16 KiB, FIN, FIN.
    assert!(packets.len() >= 2 * (2 + 3 + 1 + 3 + 2), "{}", packets.len());
    let has =
        |text: &[u8]| packets.iter().any(|(_, body)| body.windows(text.len()).any(|window| window == text));
    assert!(has(b"question") && has(b"answer!") && has(b"EHLO client.test\r\n"));
}

#[tokio::test]
async fn tshark_reads_a_capture_without_a_complaint() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture.pcapng");
    std::fs::write(&file, captured().await).unwrap();
    let tshark = |arguments: &[&str]| {
        let output = Command::new("tshark").arg("-r").arg(&file).args(arguments).output();
        output.ok().map(|output| {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).into_owned()
        })
    };
    let checks = ["ip.check_checksum:TRUE", "udp.check_checksum:TRUE", "tcp.check_checksum:TRUE"];
    let mut checks: Vec<_> = checks.iter().flat_map(|check| ["-o", check]).collect();
    // The system may choose a port that tshark takes for some other protocol's.
    checks.extend(["-d", "udp.port==1-65535,data", "-d", "tcp.port==1-65535,data"]);
    // Whatever the expert finds wrong: checksums, gaps, lengths, retransmissions.
    let wrong = "_ws.malformed || ip.checksum.status == 0 || udp.checksum.status == 0 || tcp.checksum.status == 0 \
                 || tcp.analysis.flags || _ws.expert.severity >= 0x600000";
    let Some(complaints) = tshark(&[&checks[..], &["-Y", wrong]].concat()) else {
        eprintln!("tshark is absent: not read back");
        return;
    };
    assert_eq!(complaints, "");
    let payload = tshark(&["-q", "-z", "follow,tcp,ascii,0"]).unwrap();
    assert!(payload.contains("EHLO client.test"), "{payload}");
    let names = tshark(&["-T", "fields", "-e", "frame.interface_name", "-Y", "udp"]).unwrap();
    assert_eq!(names, "ns1.utopia.test\n".repeat(4));
    let syn = tshark(&["-Y", "tcp.flags.syn == 1", "-T", "fields", "-e", "tcp.seq"]).unwrap();
    assert_eq!(syn.lines().count(), 4);
}

#[tokio::test]
async fn a_capture_ends_at_its_bound() {
    let memory = Memory::default();
    let capture = Capture::with_octets_max(memory.clone(), 2_000).unwrap();
    let host = Network::new().with(capture.interface("small").unwrap());
    let peer = Network::new().datagrams(loopback()).unwrap();
    let ours = host.datagrams(loopback()).unwrap();
    for _ in 0..100 {
        ours.send_to(&[0; 100], peer.local_addr().unwrap()).await.unwrap();
    }
    capture.flush().unwrap();
    let file = memory.0.lock().unwrap().clone();
    assert!(file.len() <= 2_000 && file.len() > 1_500, "{}", file.len());
    blocks(&file);
}

#[tokio::test]
async fn layers_stack() {
    let memory = Memory::default();
    let capture = Capture::new(memory.clone()).unwrap();
    let lossy = Impairment::new(1, Conditions { loss: 1.0, ..Conditions::default() });
    let before = capture.interface("service").unwrap();
    let after = capture.interface("wire").unwrap();
    let ours = Network::new().with(before).with(lossy).with(after).datagrams(loopback()).unwrap();
    let peer = Network::new().datagrams(loopback()).unwrap();
    ours.send_to(b"lost", peer.local_addr().unwrap()).await.unwrap();
    let file = memory.0.lock().unwrap().clone();
    let packets: Vec<_> = blocks(&file).into_iter().filter(|(kind, _)| *kind == 6).collect();
    assert_eq!(packets.len(), 1, "the service sent it, the wire never saw it");
    assert_eq!(packets[0].1[..4], 0_u32.to_le_bytes());
}

/// What a last mile does: one slow uplink for all connections, shared evenly, a
/// short queue, headers and acknowledgements that take room too.
#[tokio::test]
async fn connections_share_an_uplink_and_its_queue() {
    const OCTETS: usize = 60_000;
    let conditions = Conditions {
        rate_bits: Some(8_000_000),
        uplink_bits: Some(400_000),
        queue: Duration::from_millis(100),
        ..Conditions::default()
    };
    let link = Impairment::new(1, conditions);
    let client = Network::new().with(link.clone());
    let (mut first, mut one) = pair(&Network::new(), &client).await;
    let (mut second, mut other) = pair(&Network::new(), &client).await;
    let begin = Instant::now();
    let sending = tokio::spawn(async move {
        let sent = vec![7; OCTETS];
        let (one_sent, other_sent) = tokio::join!(one.write_all(&sent), other.write_all(&sent));
        one_sent.and(other_sent).unwrap();
        (one, other)
    });
    let mut got = [0, 0];
    let (mut buffer, mut further) = ([0; 4_096], [0; 4_096]);
    while got.iter().all(|octets| *octets < OCTETS) {
        tokio::select! {
            octets = first.read(&mut buffer) => got[0] += octets.unwrap(),
            octets = second.read(&mut further) => got[1] += octets.unwrap(),
        }
    }
    assert!(got.iter().all(|octets| *octets > OCTETS * 3 / 4), "not even: {got:?}");
    first.read_exact(&mut vec![0; OCTETS - got[0]]).await.unwrap();
    second.read_exact(&mut vec![0; OCTETS - got[1]]).await.unwrap();
    // 120,000 octets at 50,000 a second, and a header of 52 for each 1,460.
    assert!(begin.elapsed() >= Duration::from_millis(2_480), "{:?}", begin.elapsed());
    drop(sending.await.unwrap());
}
