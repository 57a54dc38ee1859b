//! The authoritative server with the tools and servers of others: dig, kdig,
//! nsupdate, NSD and Knot.

use dns_server::authoritative::{Config, Server, ZoneConfig};
use net::{Network, Shutdown};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tests::peer;
use tokio::process::Command;

const ZONE: &str = "\
$ORIGIN utopia.test.
$TTL 300
@     IN SOA ns1 hostmaster 1 3600 900 604800 60
      IN NS  ns1
      IN MX  10 mail
ns1   IN A   127.0.0.1
mail  IN A   192.0.2.25
www   IN CNAME web
web   IN A   192.0.2.80
      IN A   192.0.2.81
*.any IN TXT \"a wildcard\"
child IN NS  ns.child
ns.child IN A 192.0.2.53
";

struct Site {
    server: Server,
    shutdown: Shutdown,
    _folder: tempfile::TempDir,
}

impl Site {
    async fn start(change: impl FnOnce(&mut Config, &Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage =
            storage::Storage::open(&storage::Config::default(), &folder.path().join("state"), event::Reporter::silent())
                .unwrap();
        let mut config = Config {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            threads: 1,
            zones: vec![ZoneConfig {
                name: "utopia.test".to_owned(),
                text: Some(ZONE.to_owned()),
                ..ZoneConfig::default()
            }],
            ..Config::default()
        };
        change(&mut config, folder.path());
        let shutdown = Shutdown::new();
        let server =
            Server::start(&config, Network::new(), storage, event::Reporter::silent(), shutdown.clone()).await.unwrap();
        Self { server, shutdown, _folder: folder }
    }

    fn address(&self) -> SocketAddr {
        self.server.local_addrs()[0]
    }

    async fn stop(self) {
        assert!(self.shutdown.finish(Duration::from_secs(10)).await, "the server did not stop");
    }
}

async fn dig(address: SocketAddr, arguments: &[&str]) -> String {
    run("dig", &[&["@127.0.0.1", "-p", &address.port().to_string(), "+tries=2", "+time=2"], arguments].concat()).await
}

async fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().await.unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn dig_gets_answers_over_udp_and_tcp() {
    if peer("dig").is_none() {
        return;
    }
    let site = Site::start(|_, _| {}).await;
    for transport in ["+notcp", "+tcp"] {
        let dig = async |arguments: &[&str]| dig(site.address(), &[&[transport], arguments].concat()).await;
        assert_eq!(dig(&["+short", "mail.utopia.test"]).await, "192.0.2.25\n");
        assert_eq!(dig(&["+short", "utopia.test", "MX"]).await, "10 mail.utopia.test.\n");
        let chain = dig(&["+short", "www.utopia.test"]).await;
        assert!(chain.starts_with("web.utopia.test.\n") && chain.contains("192.0.2.81"), "{chain}");
        assert_eq!(dig(&["+short", "x.any.utopia.test", "TXT"]).await, "\"a wildcard\"\n");
        let referral = dig(&["+norecurse", "www.child.utopia.test"]).await;
        assert!(referral.contains("ns.child.utopia.test.\t300\tIN\tA\t192.0.2.53"), "{referral}");
        let missing = dig(&["nowhere.utopia.test"]).await;
        assert!(missing.contains("NXDOMAIN") && missing.contains("60\tIN\tSOA"), "{missing}");
        let elsewhere = dig(&["example.org"]).await;
        assert!(elsewhere.contains("REFUSED"), "{elsewhere}");
    }
    site.stop().await;
}
