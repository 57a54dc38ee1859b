//! Our resolver over real sockets: NSD serves a root, a top-level domain and a
//! zone on loopback addresses of their own; dig and kdig ask.

use dns::{Name, Resolve};
use dns_server::resolver::{Config, Resolver, RootHintConfig};
use domain::base::iana::{Rcode, Rtype};
use event::Reporter;
use net::{Network, Shutdown};
use std::fmt::Write;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tests::{Peer, peer};

const SOA: &str = "SOA ns.invalid. admin.invalid. 1 7200 900 604800 300\n";

/// A small Internet of three name servers that differ by address only.
struct Internet {
    _servers: Vec<Peer>,
    _folder: TempDir,
    root: SocketAddr,
}

fn address(net: u8, host: u8) -> IpAddr {
    Ipv4Addr::new(127, 53, net, host).into()
}

impl Internet {
    /// Starts NSD three times; `net` keeps tests apart.
    fn start(nsd: &Path, net: u8) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port(net);
        let mut many = String::new();
        for n in 0..100 {
            writeln!(many, "many 60 TXT \"record {n:03} of the large set\"").expect("a line");
        }
        let zones = [
            (
                1,
                ".",
                format!(
                    "@ {SOA}@ NS a.root.\na.root. A 127.53.{net}.1\n\
                     test NS ns.nic.test.\nns.nic.test. A 127.53.{net}.2\n"
                ),
            ),
            (
                2,
                "test.",
                format!(
                    "@ {SOA}@ NS ns.nic\nns.nic A 127.53.{net}.2\n\
                     utopia NS ns1.utopia\nns1.utopia A 127.53.{net}.3\n"
                ),
            ),
            (
                3,
                "utopia.test.",
                format!(
                    "@ {SOA}@ NS ns1\nns1 A 127.53.{net}.3\nwww 60 A 192.0.2.80\n\
                     mail CNAME www\n@ MX 10 mail\n{many}"
                ),
            ),
        ];
        let start = |(host, apex, text): &(u8, &str, String)| {
            start_nsd(nsd, folder.path(), SocketAddr::new(address(net, *host), port), apex, text)
        };
        let servers: Vec<Peer> = zones.iter().map(start).collect();
        for (host, apex, _) in &zones {
            await_server(SocketAddr::new(address(net, *host), port), apex);
        }
        Self { _servers: servers, _folder: folder, root: SocketAddr::new(address(net, 1), port) }
    }

    fn config(&self) -> Config {
        Config {
            listen: vec!["127.0.0.1:0".parse().expect("an address")],
            root_hints: vec![RootHintConfig { name: "a.root".to_owned(), addresses: vec![self.root] }],
            upstream_port: self.root.port(),
            ..Config::default()
        }
    }
}

/// A port that is free on all three addresses.
fn free_port(net: u8) -> u16 {
    loop {
        let first = UdpSocket::bind((address(net, 1), 0)).expect("a socket");
        let port = first.local_addr().expect("an address").port();
        if (2..=3).all(|host| UdpSocket::bind((address(net, host), port)).is_ok()) {
            return port;
        }
    }
}

fn start_nsd(nsd: &Path, folder: &Path, at: SocketAddr, apex: &str, text: &str) -> Peer {
    let folder = folder.join(at.ip().to_string());
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("zone"), format!("$ORIGIN {apex}\n$TTL 3600\n{text}")).expect("a zone file");
    let (place, address, port) = (folder.display(), at.ip(), at.port());
    let config = format!(
        "server:\n  ip-address: {address}@{port}\n  username: \"\"\n  zonesdir: \"{place}\"\n  database: \"\"\n  \
         pidfile: \"{place}/pid\"\n  xfrdfile: \"{place}/xfrd\"\n  zonelistfile: \"{place}/zones\"\n  \
         xfrdir: \"{place}\"\n  server-count: 1\n  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n\
         zone:\n  name: \"{apex}\"\n  zonefile: \"zone\"\n"
    );
    fs::write(folder.join("nsd.conf"), config).expect("a configuration");
    let log = fs::File::create(folder.join("log")).expect("a log");
    let mut command = Command::new(nsd);
    command.arg("-d").arg("-c").arg(folder.join("nsd.conf")).stdout(Stdio::null()).stderr(log);
    Peer::start(&mut command).expect("nsd starts")
}

/// Waits until a server answers for its SOA record.
fn await_server(server: SocketAddr, apex: &str) {
    let mut query = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend(Name::bytes_from_str(apex).expect("a name").as_slice());
    query.extend([0, 6, 0, 1]);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        let _ = socket.send_to(&query, server);
        if socket.recv_from(&mut [0; 512]).is_ok() {
            return;
        }
    }
    panic!("{server} does not answer for {apex}");
}

fn start(config: &Config) -> (Resolver, Shutdown) {
    let shutdown = Shutdown::new();
    let resolver = Resolver::start(config, Network::new(), Reporter::silent(), shutdown.clone());
    (resolver.expect("the resolver starts"), shutdown)
}

/// What a stub program prints.
async fn run(program: &Path, server: SocketAddr, arguments: &[&str]) -> String {
    let mut command = tokio::process::Command::new(program);
    command.arg(format!("@{}", server.ip())).arg("-p").arg(server.port().to_string()).args(arguments);
    let output = command.output().await.expect("the stub runs");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn resolves_through_nsd_for_dig_and_kdig() {
    let Some(nsd) = peer("nsd") else { return };
    let internet = Internet::start(&nsd, 1);
    let (resolver, shutdown) = start(&internet.config());
    let server = resolver.addresses()[0];
    for program in ["dig", "kdig"] {
        let Some(stub) = peer(program) else { continue };
        assert_eq!(
            run(&stub, server, &["+short", "www.utopia.test"]).await.trim(),
            "192.0.2.80",
            "{program}"
        );
        let alias = run(&stub, server, &["+short", "mail.utopia.test"]).await;
        assert_eq!(alias.lines().collect::<Vec<_>>(), ["www.utopia.test.", "192.0.2.80"], "{program}");
        let denied = run(&stub, server, &["nothing.utopia.test"]).await;
        assert!(denied.contains("NXDOMAIN") && denied.contains("SOA"), "{program}: {denied}");
        let empty = run(&stub, server, &["www.utopia.test", "AAAA"]).await;
        assert!(empty.contains("NOERROR") && empty.contains("SOA"), "{program}: {empty}");
        let large = run(&stub, server, &["+short", "many.utopia.test", "TXT"]).await;
        let records = large.lines().filter(|line| line.starts_with("\"record")).count();
        assert_eq!(records, 100, "{program}: {large}");
        let over_tcp = run(&stub, server, &["+tcp", "+short", "utopia.test", "MX"]).await;
        assert_eq!(over_tcp.trim(), "10 mail.utopia.test.", "{program}");
    }
    assert!(shutdown.finish(Duration::from_secs(5)).await, "everything ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn resolves_for_the_services_of_this_host() {
    let Some(nsd) = peer("nsd") else { return };
    let internet = Internet::start(&nsd, 2);
    let (resolver, _shutdown) = start(&internet.config());
    let name = |text: &str| Name::bytes_from_str(text).expect("a name");
    let found = resolver.resolve(&name("mail.utopia.test"), Rtype::A).await.expect("an answer");
    let data: Vec<String> = found.records.iter().map(|record| record.data().to_string()).collect();
    assert_eq!(found.rcode, Rcode::NOERROR);
    assert_eq!(data, ["www.utopia.test.", "192.0.2.80"]);
    let denied = resolver.resolve(&name("nothing.test"), Rtype::MX).await.expect("an answer");
    assert_eq!((denied.rcode, denied.records.len()), (Rcode::NXDOMAIN, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_other_networks_are_refused() {
    let Some(dig) = peer("dig") else { return };
    let config = Config {
        listen: vec!["127.0.0.1:0".parse().expect("an address")],
        allow: vec!["192.0.2.0/24".to_owned()],
        ..Config::default()
    };
    let (resolver, _shutdown) = start(&config);
    let refused = run(&dig, resolver.addresses()[0], &["www.utopia.test"]).await;
    assert!(refused.contains("REFUSED"), "{refused}");
}
