//! The authoritative server with the tools and servers of others: dig, kdig,
//! nsupdate, NSD and Knot.

use dns_server::authoritative::{Config, KeyConfig, Kind, Remote, Server, ZoneConfig};
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
    _folder: Option<tempfile::TempDir>,
}

impl Site {
    async fn start(change: impl FnOnce(&mut Config, &Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let site = Self::start_in(folder.path(), change).await;
        Self { _folder: Some(folder), ..site }
    }

    /// Starts with the state in `folder`.
    async fn start_in(folder: &Path, change: impl FnOnce(&mut Config, &Path)) -> Self {
        let reporter = event::Reporter::silent();
        let storage =
            storage::Storage::open(&storage::Config::default(), &folder.join("state"), reporter.clone())
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
        change(&mut config, folder);
        let shutdown = Shutdown::new();
        let server =
            Server::start(&config, Network::new(), storage, reporter, shutdown.clone()).await.unwrap();
        Self { server, shutdown, _folder: None }
    }

    fn address(&self) -> SocketAddr {
        self.server.local_addrs()[0]
    }

    async fn stop(self) {
        assert!(self.shutdown.finish(Duration::from_secs(10)).await, "the server did not stop");
    }
}

async fn dig(address: SocketAddr, arguments: &[&str]) -> String {
    run(
        "dig",
        &[&["@127.0.0.1", "-p", &address.port().to_string(), "+tries=2", "+time=2"], arguments].concat(),
    )
    .await
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

const SECRET: &str = "dXRvcGlhIHV0b3BpYSB1dG9waWEgdXRvcGlhIQ==";

/// A key that may transfer and update.
fn with_key(config: &mut Config, folder: &Path) {
    let secret_file = folder.join("secret");
    storage::files::write_atomically(&secret_file, SECRET.as_bytes(), storage::files::SECRET).unwrap();
    config.keys =
        vec![KeyConfig { name: "tests".to_owned(), algorithm: "hmac-sha256".to_owned(), secret_file }];
    config.zones[0].allow_transfer = vec!["key:tests".to_owned()];
    config.zones[0].allow_update = vec!["tests".to_owned()];
}

/// Runs nsupdate with `commands` and returns what it says.
async fn nsupdate(address: SocketAddr, arguments: &[&str], commands: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("commands");
    let text = format!("server 127.0.0.1 {}\nzone utopia.test\n{commands}\nsend\nanswer\n", address.port());
    std::fs::write(&script, text).unwrap();
    run("nsupdate", &[arguments, &["-t", "5", script.to_str().unwrap()]].concat()).await
}

/// Waits, for at most 20 s, until `done` holds.
async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..200 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("waited in vain until {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kdig_transfers_the_zone_with_a_key_only() {
    if peer("kdig").is_none() {
        return;
    }
    let site = Site::start(with_key).await;
    let port = site.address().port().to_string();
    let kdig = async |arguments: &[&str]| {
        run("kdig", &[&["@127.0.0.1", "-p", &port, "+timeout=5"], arguments].concat()).await
    };
    let key = format!("hmac-sha256:tests:{SECRET}");
    let transfer = kdig(&["-y", &key, "utopia.test", "AXFR"]).await;
    assert_eq!(transfer.matches("\tSOA\t").count(), 2, "{transfer}");
    assert!(transfer.contains("ns.child.utopia.test.") && transfer.contains("a wildcard"), "{transfer}");
    let refused = kdig(&["utopia.test", "AXFR"]).await;
    assert!(refused.contains("REFUSED"), "{refused}");
    let forged =
        kdig(&["-y", "hmac-sha256:tests:d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmc=", "utopia.test", "AXFR"]).await;
    assert!(forged.contains("BADSIG") || forged.contains("NOTAUTH"), "{forged}");
    for transport in ["+notcp", "+tcp"] {
        let signed = kdig(&["-y", &key, transport, "+short", "mail.utopia.test"]).await;
        assert!(signed.starts_with("192.0.2.25\n") && signed.contains("NOERROR"), "{signed}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nsupdate_changes_the_zone_and_a_restart_keeps_it() {
    if peer("nsupdate").is_none() || peer("dig").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start_in(folder.path(), with_key).await;
    let key = format!("hmac-sha256:tests:{SECRET}");
    for transport in [&[][..], &["-v"]] {
        let arguments = [&["-y", &key], transport].concat();
        let said = nsupdate(site.address(), &arguments, "update add new.utopia.test 60 A 192.0.2.99").await;
        assert!(said.contains("NOERROR"), "{said}");
    }
    assert_eq!(dig(site.address(), &["+short", "new.utopia.test"]).await, "192.0.2.99\n");
    let soa = dig(site.address(), &["+short", "utopia.test", "SOA"]).await;
    assert!(soa.contains(" 2 3600 "), "the second update changed nothing: {soa}");
    let unmet = nsupdate(
        site.address(),
        &["-y", &key],
        "prereq nxdomain web.utopia.test\nupdate delete web.utopia.test",
    )
    .await;
    assert!(unmet.contains("YXDOMAIN"), "{unmet}");
    let unsigned = nsupdate(site.address(), &[], "update add bad.utopia.test 60 A 192.0.2.66").await;
    assert!(unsigned.contains("REFUSED"), "{unsigned}");
    site.stop().await;

    let site = Site::start_in(folder.path(), with_key).await;
    assert_eq!(dig(site.address(), &["+short", "new.utopia.test"]).await, "192.0.2.99\n");
    let gone = nsupdate(site.address(), &["-y", &key], "update delete new.utopia.test").await;
    assert!(gone.contains("NOERROR"), "{gone}");
    assert!(dig(site.address(), &["new.utopia.test"]).await.contains("NXDOMAIN"));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_secondary_follows_our_primary_and_survives_it() {
    if peer("nsupdate").is_none() || peer("dig").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let second = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let primary = Site::start(|config, folder| {
        with_key(config, folder);
        config.zones[0].notify = vec![Remote { address: second, key: Some("tests".to_owned()) }];
    })
    .await;
    let address = primary.address();
    let as_secondary = |config: &mut Config, folder: &Path| {
        with_key(config, folder);
        config.listen = vec![second];
        config.zones[0] = ZoneConfig {
            name: "utopia.test".to_owned(),
            kind: Kind::Secondary,
            primaries: vec![Remote { address, key: Some("tests".to_owned()) }],
            ..ZoneConfig::default()
        };
    };
    let secondary = Site::start_in(folder.path(), as_secondary).await;
    until("the zone is transferred", async || {
        dig(second, &["+short", "mail.utopia.test"]).await == "192.0.2.25\n"
    })
    .await;
    let key = format!("hmac-sha256:tests:{SECRET}");
    let said = nsupdate(address, &["-y", &key], "update add new.utopia.test 60 A 192.0.2.99").await;
    assert!(said.contains("NOERROR"), "{said}");
    until("NOTIFY brings the change", async || {
        dig(second, &["+short", "new.utopia.test"]).await == "192.0.2.99\n"
    })
    .await;
    primary.stop().await;
    secondary.stop().await;
    let secondary = Site::start_in(folder.path(), as_secondary).await;
    assert_eq!(dig(second, &["+short", "new.utopia.test"]).await, "192.0.2.99\n", "served from storage");
    secondary.stop().await;
}
