//! NSD and Knot as secondaries and as primaries of the authoritative server:
//! transfer, NOTIFY and TSIG in both directions.

use dns_server::authoritative::{Config, KeyConfig, Kind, Remote, Server, ZoneConfig};
use net::{Network, Shutdown};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tests::{Peer, peer};

const SECRET: &str = "dXRvcGlhIHV0b3BpYSB1dG9waWEgdXRvcGlhIQ==";
const ZONE: &str = "\
$ORIGIN utopia.test.
$TTL 300
@     IN SOA ns1 hostmaster 1 3600 900 604800 60
      IN NS  ns1
ns1   IN A   127.0.0.1
mail  IN A   192.0.2.25
*.any IN TXT \"a wildcard\"
      IN TYPE65280 \\# 3 010203
";

struct Ours {
    server: Server,
    shutdown: Shutdown,
}

impl Ours {
    async fn start(folder: &Path, listen: SocketAddr, zone: ZoneConfig) -> Self {
        let reporter = event::Reporter::silent();
        let storage =
            storage::Storage::open(&storage::Config::default(), &folder.join("state"), reporter.clone())
                .unwrap();
        let secret_file = folder.join("secret");
        storage::files::write_atomically(&secret_file, SECRET.as_bytes(), storage::files::SECRET).unwrap();
        let config = Config {
            listen: vec![listen],
            threads: 1,
            zones: vec![zone],
            keys: vec![KeyConfig {
                name: "tests".to_owned(),
                algorithm: "hmac-sha256".to_owned(),
                secret_file,
            }],
            ..Config::default()
        };
        let shutdown = Shutdown::new();
        let server =
            Server::start(&config, Network::new(), storage, reporter, shutdown.clone()).await.unwrap();
        Self { server, shutdown }
    }

    fn primary(notify: SocketAddr, key: Option<&str>) -> ZoneConfig {
        let key = key.map(str::to_owned);
        ZoneConfig {
            name: "utopia.test".to_owned(),
            text: Some(ZONE.to_owned()),
            allow_transfer: vec![
                key.as_ref().map_or_else(|| "127.0.0.1".to_owned(), |key| format!("key:{key}")),
            ],
            notify: vec![Remote { address: notify, key }],
            ..ZoneConfig::default()
        }
    }

    fn secondary(primary: SocketAddr, key: Option<&str>) -> ZoneConfig {
        ZoneConfig {
            name: "utopia.test".to_owned(),
            kind: Kind::Secondary,
            primaries: vec![Remote { address: primary, key: key.map(str::to_owned) }],
            ..ZoneConfig::default()
        }
    }

    /// Publishes an address of `new.utopia.test`.
    async fn change(&self) {
        let apex = dns::master::name("utopia.test").unwrap();
        let (records, _) = dns::master::read("new 60 A 192.0.2.99\n", &apex);
        let changes = vec![dns::Change::Add(records[0].record.to_record().unwrap())];
        dns::Publish::publish(&self.server, &apex, changes).await.unwrap();
    }

    async fn stop(self) {
        assert!(self.shutdown.finish(Duration::from_secs(10)).await, "the server did not stop");
    }
}

/// A port that is free over both UDP and TCP, and that was not given before. Below
/// those that the system gives to clients: each question takes one for a moment.
fn free_address() -> SocketAddr {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(97).wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        let address = SocketAddr::from(([127, 0, 0, 1], 10_000 + (number % 20_000) as u16));
        if UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Asks `server` until the short answer is `expected`, for at most 20 s.
async fn expect(server: SocketAddr, question: [&str; 2], expected: &str) {
    let mut said = String::new();
    for _ in 0..100 {
        let output = tokio::process::Command::new("dig")
            .args(["@127.0.0.1", "-p", &server.port().to_string(), "+short", "+tries=1", "+time=1"])
            .args(question)
            .output()
            .await
            .unwrap();
        said = String::from_utf8_lossy(&output.stdout).into_owned();
        if said == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("{question:?}: {said:?} in place of {expected:?}");
}

async fn expect_zone(server: SocketAddr) {
    expect(server, ["mail.utopia.test", "A"], "192.0.2.25\n").await;
    expect(server, ["x.any.utopia.test", "TXT"], "\"a wildcard\"\n").await;
    expect(server, ["x.any.utopia.test", "TYPE65280"], "\\# 3 010203\n").await;
}

/// Without a database: it would be one for all that run on this machine.
fn start_nsd(folder: &Path, address: SocketAddr, zone: &str) -> Peer {
    let file = |name: &str| folder.join(name).display().to_string();
    let configuration = format!(
        "server:\n  ip-address: 127.0.0.1@{}\n  server-count: 1\n  username: \"\"\n  chroot: \"\"\n  database: \"\"\n  zonesdir: \"{folder}\"\n  \
         pidfile: \"{}\"\n  xfrdfile: \"{}\"\n  zonelistfile: \"{}\"\n  xfrdir: \"{folder}\"\n\
         remote-control:\n  control-enable: no\n\
         key:\n  name: tests\n  algorithm: hmac-sha256\n  secret: \"{SECRET}\"\n\
         zone:\n  name: utopia.test\n  zonefile: \"{}\"\n{zone}",
        address.port(),
        file("nsd.pid"),
        file("xfrd.state"),
        file("zone.list"),
        file("nsd.zone"),
        folder = folder.display(),
    );
    std::fs::write(file("nsd.conf"), configuration).unwrap();
    start("nsd", &["-d", "-c", &file("nsd.conf")])
}

fn start_knot(folder: &Path, address: SocketAddr, zone: &str, remote: SocketAddr) -> Peer {
    let file = |name: &str| folder.join(name).display().to_string();
    std::fs::create_dir_all(folder.join("knot")).unwrap();
    let configuration = format!(
        "server:\n  rundir: \"{run}\"\n  listen: 127.0.0.1@{}\n\
         database:\n  storage: \"{run}\"\n\
         key:\n  - id: tests\n    algorithm: hmac-sha256\n    secret: {SECRET}\n\
         remote:\n  - id: ours\n    address: 127.0.0.1@{}\n    key: tests\n\
         acl:\n  - id: ours\n    key: tests\n    action: [notify, transfer]\n\
         zone:\n  - domain: utopia.test\n    storage: \"{run}\"\n    file: \"{}\"\n    acl: ours\n{zone}",
        address.port(),
        remote.port(),
        file("knot.zone"),
        run = file("knot"),
    );
    std::fs::write(file("knot.conf"), configuration).unwrap();
    start("knotd", &["-c", &file("knot.conf")])
}

fn start(program: &str, arguments: &[&str]) -> Peer {
    let path = peer(program).unwrap();
    Peer::start(Command::new(path).args(arguments).stdout(Stdio::null()).stderr(Stdio::null())).unwrap()
}

/// The zone with a newer serial, as a file.
fn newer_zone() -> String {
    ZONE.replace(" 1 3600", " 2 3600") + "new IN A 192.0.2.99\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn nsd_is_our_secondary() {
    if peer("nsd").is_none() || peer("dig").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let nsd = free_address();
    let ours = Ours::start(folder.path(), free_address(), Ours::primary(nsd, None)).await;
    let port = ours.server.local_addrs()[0].port();
    let zone = format!("  allow-notify: 127.0.0.1 NOKEY\n  request-xfr: AXFR 127.0.0.1@{port} NOKEY\n");
    let _peer = start_nsd(folder.path(), nsd, &zone);
    expect_zone(nsd).await;
    ours.change().await;
    expect(nsd, ["new.utopia.test", "A"], "192.0.2.99\n").await;
    ours.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nsd_is_our_primary() {
    if peer("nsd").is_none() || peer("dig").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (nsd, address) = (free_address(), free_address());
    std::fs::write(folder.path().join("nsd.zone"), ZONE).unwrap();
    let zone = format!("  notify: 127.0.0.1@{} tests\n  provide-xfr: 127.0.0.1 tests\n", address.port());
    let first = start_nsd(folder.path(), nsd, &zone);
    // Once it answers: who finds no primary comes again only after a while.
    expect_zone(nsd).await;
    let ours = Ours::start(folder.path(), address, Ours::secondary(nsd, Some("tests"))).await;
    expect_zone(address).await;
    std::fs::write(folder.path().join("nsd.zone"), newer_zone()).unwrap();
    // It reads its files again at SIGHUP, and then tells.
    let _ = Command::new("kill").args(["-HUP", &first.id().to_string()]).status();
    expect(address, ["new.utopia.test", "A"], "192.0.2.99\n").await;
    ours.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn knot_is_our_secondary() {
    if peer("knotd").is_none() || peer("dig").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let knot = free_address();
    let ours = Ours::start(folder.path(), free_address(), Ours::primary(knot, Some("tests"))).await;
    let _peer = start_knot(folder.path(), knot, "    master: ours\n", ours.server.local_addrs()[0]);
    expect_zone(knot).await;
    ours.change().await;
    expect(knot, ["new.utopia.test", "A"], "192.0.2.99\n").await;
    ours.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn knot_is_our_primary() {
    if peer("knotd").is_none() || peer("dig").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (knot, address) = (free_address(), free_address());
    std::fs::write(folder.path().join("knot.zone"), ZONE).unwrap();
    let first = start_knot(folder.path(), knot, "    notify: ours\n", address);
    let ours = Ours::start(folder.path(), address, Ours::secondary(knot, Some("tests"))).await;
    expect_zone(address).await;
    std::fs::write(folder.path().join("knot.zone"), newer_zone()).unwrap();
    let _ = Command::new("kill").args(["-HUP", &first.id().to_string()]).status();
    expect(address, ["new.utopia.test", "A"], "192.0.2.99\n").await;
    ours.stop().await;
}
