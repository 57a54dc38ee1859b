//! The hash table together with libtorrent's (`cargo xtask test` installs it): each
//! finds what the other announced and stored.

use bittorrent::bencode;
use bittorrent_node::dht::{
    Dht, Id, Item, LookUp, Options, PeersWanted, PublicKey, SecretKey, Value, Wanted, Wires,
};
use net::{Network, Shutdown};
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// The keys of BEP 44: libtorrent, too, takes a private key of 64 octets.
const SECRET: &str = "e06d3183d14159228433ed599221b80bd0a5ce8352e4bdf0262f76786ef1c74d\
    b7e7a9fea2c0eb269d61e3b38e450a22e754941ac78479d6c54e1faf6037881d";
const PUBLIC: &str = "77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548";

/// Nodes of libtorrent.
struct Libtorrent {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    nodes: Vec<SocketAddr>,
}

impl Libtorrent {
    /// `None` where 2.1 is not installed: the Python binding of 2.0 cannot announce to the DHT.
    fn start() -> Option<Self> {
        let new_enough = "import libtorrent; assert libtorrent.__version__ >= '2.1'";
        // Where the test command puts it; else it may be on the path.
        let installed = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/python/bin/python3");
        let python = if std::path::Path::new(installed).is_file() { installed } else { "python3" };
        let imported = Command::new(python).args(["-c", new_enough]).stderr(Stdio::null()).status();
        if !imported.is_ok_and(|status| status.success()) {
            skip("libtorrent 2.1 for Python is not installed");
            return None;
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dht_libtorrent.py");
        let mut command = Command::new(python);
        command.args(["-W", "ignore", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("python3 starts");
        let orders = process.stdin.take().expect("piped");
        let answers = BufReader::new(process.stdout.take().expect("piped"));
        let mut started = Self { process, orders, answers, nodes: Vec::new() };
        let port = |port: &str| SocketAddr::from(([127, 0, 0, 1], port.parse().expect("a port")));
        started.nodes = started.answer().split(' ').map(port).collect();
        Some(started)
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        line.trim_end().to_owned()
    }

    /// Lets it do something while ours go on.
    fn tell(&mut self, order: &str) -> String {
        tokio::task::block_in_place(|| {
            writeln!(self.orders, "{order}").expect("it listens");
            self.answer()
        })
    }
}

impl Drop for Libtorrent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Says why a test is skipped, also to who counts it.
fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
    let Some(list) = std::env::var_os("UTOPIA_SKIPPED") else { return };
    if let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(list) {
        let _ = writeln!(file, "{reason}");
    }
}

/// A node of ours that knows `nodes`.
async fn ours(nodes: &[SocketAddr], shutdown: &Shutdown) -> (Dht, SocketAddr) {
    let at = "127.0.0.1:0".parse().expect("an address");
    let (wires, bound) = Wires::open(&Network::new(), &[at], shutdown).expect("a socket");
    let no_names: LookUp = Arc::new(|_| Box::pin(async { Err(io::Error::other("no names here")) }));
    let dht = Dht::start(Options { nodes: nodes.to_vec(), ..Options::default() }, wires, no_names, shutdown);
    tokio::time::timeout(Duration::from_secs(20), dht.ready()).await.expect("in time").expect("running");
    (dht, bound[0])
}

fn text(text: &str) -> Value {
    Value::encode(&bencode::Item::from(text)).expect("a value")
}

fn octets<const N: usize>(digits: &str) -> [u8; N] {
    std::array::from_fn(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).expect("digits"))
}

async fn peers(dht: &Dht, info_hash: Id) -> Vec<SocketAddr> {
    let finding = dht.peers(info_hash, PeersWanted::default()).await.expect("begun");
    finding.all().await.expect("ended").0
}

#[tokio::test(flavor = "multi_thread")]
async fn libtorrent_keeps_and_finds_what_is_ours() {
    let Some(mut libtorrent) = Libtorrent::start() else { return };
    let shutdown = Shutdown::new();
    let (dht, _) = ours(&libtorrent.nodes, &shutdown).await;
    let info_hash = Id::new([0x11; 20]);
    dht.announce(info_hash, Some(4_001), false).await.expect("begun").finish().await.expect("ended");
    let item = Item::Immutable(text("ours"));
    assert_eq!(dht.put(item.clone(), None).await, Ok(3));
    let secret = SecretKey::from_expanded(&octets(SECRET));
    for value in ["one", "two"] {
        dht.update(&secret, b"salt", text(value)).await.expect("stored");
    }
    assert!(shutdown.finish(Duration::from_secs(5)).await);
    assert_eq!(libtorrent.tell(&format!("peers {info_hash}")), "127.0.0.1:4001");
    assert_eq!(libtorrent.tell(&format!("get {}", item.target())), "ours");
    assert_eq!(libtorrent.tell(&format!("get-mutable {PUBLIC} salt")), "2 two");
    // A fresh one of ours finds it there, too, and what libtorrent adds.
    libtorrent.tell(&format!("put-mutable {SECRET} {PUBLIC} salt three"));
    let target = libtorrent.tell("put theirs");
    libtorrent.tell("announce 2222222222222222222222222222222222222222 4002");
    let shutdown = Shutdown::new();
    let (dht, _) = ours(&libtorrent.nodes, &shutdown).await;
    assert_eq!(peers(&dht, info_hash).await, ["127.0.0.1:4001".parse().expect("an address")]);
    assert_eq!(peers(&dht, Id::new([0x22; 20])).await, ["127.0.0.1:4002".parse().expect("an address")]);
    let wanted = Wanted::Immutable(Id::from_hex(&target).expect("a target"));
    assert_eq!(dht.get(wanted).await, Ok(Some(Item::Immutable(text("theirs")))));
    let wanted = Wanted::Mutable { key: PublicKey(octets(PUBLIC)), salt: b"salt".to_vec() };
    let item = dht.get(wanted).await.expect("running").expect("an item");
    assert_eq!((item.sequence(), item.value()), (Some(3), &text("three")));
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_keep_what_is_libtorrents() {
    let Some(mut libtorrent) = Libtorrent::start() else { return };
    let shutdown = Shutdown::new();
    let (one, at) = ours(&libtorrent.nodes, &shutdown).await;
    let (two, other) = ours(&libtorrent.nodes, &shutdown).await;
    let info_hash = "3333333333333333333333333333333333333333";
    libtorrent.tell(&format!("announce {info_hash} 4003"));
    let target = libtorrent.tell("put theirs");
    libtorrent.tell(&format!("put-mutable {SECRET} {PUBLIC} - first"));
    for dht in [&one, &two] {
        let status = dht.status().await.expect("running");
        assert_eq!((status.torrents, status.items), (1, 2));
    }
    // Those that stored it are gone.
    libtorrent.tell(&format!("restart {at} {other}"));
    assert_eq!(libtorrent.tell(&format!("peers {info_hash}")), "127.0.0.1:4003");
    assert_eq!(libtorrent.tell(&format!("get {target}")), "theirs");
    assert_eq!(libtorrent.tell(&format!("get-mutable {PUBLIC} -")), "1 first");
}
