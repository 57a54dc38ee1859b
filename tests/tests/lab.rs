//! `utopia lab`: every scenario tells its story and checks itself; `lab up` is a
//! small Internet that foreign programs find their way through.

use serde_json::Value;
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tests::mail::read;
use tests::utopia::{Utopia, closed_pipe, command, run, said, told, wait_for};
use tests::{Peer, peer, skip};

/// The hosts of the lab have their addresses for themselves, so one lab runs at
/// a time on a machine; the next waits here.
fn turn() -> File {
    let file = File::create(std::env::temp_dir().join("utopia-lab.lock")).expect("a lock file");
    file.lock().expect("the lock");
    file
}

/// Runs a scenario with `--json`; its lines.
fn scenario(name: &str) -> Vec<Value> {
    let _turn = turn();
    let output = told(run(&["lab", name, "--json", "--seed", "7"]));
    let lines: Vec<Value> = output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let (first, last) = (&lines[0], &lines[lines.len() - 1]);
    assert_eq!((first["kind"].as_str(), first["name"].as_str()), (Some("scenario"), Some(name)));
    assert_eq!(first["seed"], 7);
    assert_eq!((last["kind"].as_str(), last["passed"].as_bool()), (Some("end"), Some(true)), "{last}");
    let checks: Vec<_> = lines.iter().filter(|line| line["kind"] == "check").collect();
    assert!(!checks.is_empty() && checks.iter().all(|check| check["holds"] == true), "{checks:?}");
    assert_eq!(last["checks"].as_u64(), Some(checks.len() as u64));
    let steps = lines.iter().filter(|line| line["kind"] == "step").count();
    assert!(steps > 1, "{lines:?}");
    lines
}

/// The messages of a protocol: from, to, text.
fn arrows(lines: &[Value], protocol: &str) -> Vec<(String, String, String)> {
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let of_protocol = lines.iter().filter(|line| line["kind"] == "arrow" && line["protocol"] == protocol);
    of_protocol.map(|line| (text(line, "from"), text(line, "to"), line.to_string())).collect()
}

#[track_caller]
fn has(arrows: &[(String, String, String)], from: &str, to: &str, text: &str) {
    let found = arrows.iter().any(|arrow| arrow.0 == from && arrow.1 == to && arrow.2.contains(text));
    assert!(found, "no message with {text:?} from {from} to {to}: {arrows:#?}");
}

#[test]
fn sockets() {
    let lines = scenario("sockets");
    assert!(!arrows(&lines, "UDP").is_empty() && !arrows(&lines, "TCP").is_empty());
}

#[test]
fn smtp() {
    let arrows = arrows(&scenario("smtp"), "SMTP");
    has(&arrows, "dns.university.edu", "mail.crepes.test", "HELO university.edu");
    has(&arrows, "mail.crepes.test", "dns.university.edu", "354");
}

#[test]
fn alice_to_bob() {
    let lines = scenario("alice-to-bob");
    let smtp = arrows(&lines, "SMTP");
    has(&smtp, "mail.utopia.test", "mail.crepes.test", "MAIL FROM:<alice@utopia.test>");
    assert!(arrows(&lines, "DNS").iter().any(|(_, _, text)| text.contains("MX")), "{lines:?}");
}

#[test]
fn resolve() {
    let dns = arrows(&scenario("resolve"), "DNS");
    assert!(dns.iter().any(|(_, to, _)| to.ends_with("root-servers.net")), "a root is asked: {dns:?}");
    assert!(dns.iter().any(|(_, to, _)| to == "a.nic.edu"), "then edu: {dns:?}");
}

#[test]
fn register() {
    let dns = arrows(&scenario("register"), "DNS");
    assert!(dns.iter().any(|(from, to, _)| from == "registrar.test" && to == "a.nic.com"), "{dns:?}");
}

#[test]
fn a_scenario_for_people_is_drawn_with_arrows() {
    let _turn = turn();
    let output = told(run(&["lab", "resolve"]));
    assert!(output.contains("\n1. ") && output.contains('✓'), "{output}");
    assert!(output.contains("──") || output.contains("->") || output.contains('→'), "{output}");
    assert!(output.contains("all as it should be"), "{output}");
}

#[test]
fn a_story_that_nobody_reads_ends_early_and_quietly() {
    let _turn = turn();
    let folder = tempfile::tempdir().expect("a folder");
    let mut lab = command(&["lab", "register"]);
    lab.env("TMPDIR", folder.path()).stdout(closed_pipe());
    let output = lab.output().expect("utopia runs");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(said(&output), "");
    let left = std::fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!(left, 0, "its temporary folder is gone");
}

/// Runs `lab up`; also how long it took to be ready.
fn lab_up(data: &Path, arguments: &[&str]) -> (Utopia, Duration) {
    let mut up = command(&["lab", "up"]);
    up.args(arguments).arg("--data").arg(data);
    let began = Instant::now();
    let lab = Utopia::start_command(up, data);
    (lab, began.elapsed())
}

#[test]
fn lab_up_serves_foreign_programs() {
    let (Some(dig), Some(swaks), Some(python)) = (peer("dig"), peer("swaks"), peer("python3")) else {
        return;
    };
    let _turn = turn();
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("lab");
    let (lab, took) = lab_up(&data, &[]);
    println!("the lab was ready after {took:?}");
    // Two seconds where the machine has nothing else to do and the build is
    // optimised.
    assert!(took < Duration::from_secs(30), "{took:?}");
    let second = run(&["lab", "smtp"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(said(&second).contains("If another lab runs on this machine, end it first"), "{}", said(&second));
    for service in lab.services() {
        assert!(service["host"].as_str().is_some_and(|host| host.contains('.')), "{service}");
    }
    for (host, service) in [
        ("a.root-servers.net", "dns"),
        ("b.root-servers.net", "dns"),
        ("a.nic.test", "dns"),
        ("a.nic.com", "dns"),
        ("a.nic.edu", "dns"),
        ("ns1.utopia.test", "dns"),
        ("ns2.utopia.test", "dns"),
        ("ns1.crepes.test", "dns"),
        ("ns2.crepes.test", "dns"),
        ("resolver.utopia.test", "resolver"),
        ("resolver.crepes.test", "resolver"),
        ("mail.utopia.test", "smtp"),
        ("mail.utopia.test", "submission"),
        ("mail.utopia.test", "submissions"),
        ("mail.crepes.test", "imap"),
        ("mail.crepes.test", "imaps"),
    ] {
        assert!(lab.at_host(host, service).ip().is_loopback());
    }
    // A second lab beside it is refused, in words.
    let second = run(&["lab", "smtp"]);
    assert_eq!(second.status.code(), Some(1), "{}", said(&second));
    assert!(said(&second).contains("did not start"), "{}", said(&second));

    let ask = |at: SocketAddr, arguments: &[&str]| {
        let mut dig = Command::new(&dig);
        dig.args([format!("@{}", at.ip()), "-p".into(), at.port().to_string()]);
        told(dig.args(["+short", "+tries=10"]).args(arguments).output().expect("dig runs"))
    };
    let resolver = lab.at_host("resolver.utopia.test", "resolver");
    assert_eq!(ask(resolver, &["mail.crepes.test"]), "127.20.0.4\n");
    assert_eq!(ask(resolver, &["crepes.test", "MX"]), "10 mail.crepes.test.\n");
    // The secondary has what the primary has.
    let serials = ["ns1.crepes.test", "ns2.crepes.test"].map(|host| {
        wait_for("the zone is there", || {
            Some(ask(lab.at_host(host, "dns"), &["crepes.test", "SOA"])).filter(|soa| !soa.is_empty())
        })
    });
    assert_eq!(serials[0], serials[1]);

    // The lines that it prints.
    let submission = lab.at_host("mail.utopia.test", "submission");
    let mut send = Command::new(swaks);
    send.args(["--server", &submission.ip().to_string(), "--port", &submission.port().to_string()]);
    send.args([
        "--tls",
        "--auth",
        "PLAIN",
        "--auth-user",
        "alice@utopia.test",
        "--auth-password",
        "lab-password",
    ]);
    send.args(["--from", "alice@utopia.test", "--to", "bob@crepes.test", "--header", "Subject: crepes"]);
    told(send.output().expect("swaks runs"));
    let imaps = lab.at_host("mail.crepes.test", "imaps");
    let message = wait_for("Bob has mail", || {
        read(&python, imaps, &data.join("ca.pem"), "bob@crepes.test", "lab-password", "INBOX").pop()
    });
    assert!(message.contains("Subject: crepes\r\n"), "{message}");
    for result in ["spf=pass", "dkim=pass", "dmarc=pass"] {
        assert!(message.contains(result), "{result}: {message}");
    }
    let root = lab.at_host("a.root-servers.net", "dns");
    let port = root.port().to_string();
    let traced = told(run(&[
        "dns",
        "query",
        "gaia.cs.university.edu",
        "--trace",
        "--root",
        &root.to_string(),
        "--port",
        &port,
    ]));
    for step in ["127.2.0.3", "127.30.0.1"] {
        assert!(traced.contains(step), "{traced}");
    }
    lab.stop();
}

/// Unbound's configuration: our root servers, and nothing of the Internet's.
fn unbound_conf(folder: &Path, address: &str) -> String {
    format!(
        "server:\n  directory: \"{folder}\"\n  chroot: \"\"\n  username: \"\"\n  pidfile: \"\"\n  \
         use-syslog: no\n  interface: {address}@5355\n  port: 5355\n  do-ip6: no\n  \
         outgoing-interface: {address}\n  do-not-query-localhost: no\n  root-hints: \"root.hints\"\n  \
         local-zone: \"test.\" nodefault\n  module-config: \"iterator\"\n  num-threads: 1\n  verbosity: 2\n\
         remote-control:\n  control-enable: no\n",
        folder = folder.display()
    )
}

#[test]
fn unbound_resolves_from_our_root_down() {
    let (Some(unbound), Some(dig)) = (peer("unbound"), peer("dig")) else { return };
    let _turn = turn();
    if std::net::UdpSocket::bind("127.1.0.1:53").is_err() {
        // Referrals name no port: a foreign resolver goes to 53.
        return skip("port 53 cannot be had, where Unbound looks for the lab's name servers");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (lab, _) = lab_up(&folder.path().join("lab"), &["--dns-port", "53"]);
    let address = tests::utopia::own_address().to_string();
    let hints = ". NS a.root-servers.net.\na.root-servers.net. A 127.1.0.1\n\
                 . NS b.root-servers.net.\nb.root-servers.net. A 127.1.0.2\n";
    std::fs::write(folder.path().join("root.hints"), hints).expect("written");
    std::fs::write(folder.path().join("unbound.conf"), unbound_conf(folder.path(), &address))
        .expect("written");
    let log = File::create(folder.path().join("unbound.log")).expect("a file");
    let mut command = Command::new(unbound);
    command.args(["-d", "-c"]).arg(folder.path().join("unbound.conf"));
    let _unbound = Peer::start(command.stdout(Stdio::null()).stderr(log)).expect("unbound runs");
    let mut complete = String::new();
    let ask = |arguments: &[&str]| {
        let mut dig = Command::new(&dig);
        dig.args([&format!("@{address}"), "-p", "5355", "+tries=5", "+time=5"]).args(arguments);
        let output = dig.output().expect("dig runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let answered = wait_for("unbound answers", || {
        complete = ask(&["mail.crepes.test"]);
        complete.contains("ANSWER: 1").then(|| complete.clone())
    });
    assert!(answered.contains("status: NOERROR") && answered.contains("127.20.0.4"), "{answered}");
    assert!(ask(&["+short", "crepes.test", "MX"]).contains("10 mail.crepes.test."));
    assert!(ask(&["nosuch.utopia.test"]).contains("status: NXDOMAIN"));
    assert!(ask(&["nosuch"]).contains("status: NXDOMAIN"), "the root says so");
    let through_cname = ask(&["+short", "gaia.cs.university.edu"]);
    assert!(!through_cname.is_empty(), "{}", ask(&["gaia.cs.university.edu"]));
    lab.stop();
}
