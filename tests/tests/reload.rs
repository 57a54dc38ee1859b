//! SIGHUP and `utopia reload`: another configuration without dropping a
//! connection, or none at all.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;
use tests::mail::Smtp;
use tests::peer;
use tests::utopia::{Utopia, said, told, wait_for, without_mail};

/// A query for `name`, type A, with the length that TCP wants (RFC 1035 section
/// 4.2.2).
fn query(name: &str) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    [&(message.len() as u16).to_be_bytes()[..], &message].concat()
}

/// Asks on an open connection; the response code and the number of answers.
fn ask_over(stream: &mut TcpStream, name: &str) -> (u8, u8) {
    stream.write_all(&query(name)).expect("sent");
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("a length");
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply).expect("a reply");
    (reply[3] & 0x0f, reply[7])
}

#[test]
fn a_reload_changes_the_zone_and_drops_no_connection() {
    let Some(python) = peer("python3") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let utopia = Utopia::start(&data);
    let script = r#"
import imaplib, ssl, sys
host, port, ca = sys.argv[1:4]
imap = imaplib.IMAP4_SSL(host, int(port), ssl_context=ssl.create_default_context(cafile=ca))
imap.login("alice@utopia.test", sys.stdin.readline().rstrip("\n"))
imap.select("INBOX")
print("selected", flush=True)
for line in sys.stdin:
    print(imap.noop()[0], flush=True)
"#;
    let imaps = utopia.at("imaps");
    let mut reader = Command::new(python)
        .args(["-c", script, &imaps.ip().to_string(), &imaps.port().to_string()])
        .arg(utopia.ca_file())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs");
    let mut stdin = reader.stdin.take().expect("a pipe");
    let mut replies = BufReader::new(reader.stdout.take().expect("a pipe")).lines();
    let mut next = || replies.next().expect("a line").expect("a line");
    writeln!(stdin, "{}", utopia.password("alice@utopia.test")).expect("written");
    assert_eq!(next(), "selected");
    let mut dns = TcpStream::connect(utopia.at("dns")).expect("a connection");
    dns.set_read_timeout(Some(Duration::from_mins(1))).expect("a timeout");
    assert_eq!(ask_over(&mut dns, "new.utopia.test"), (3, 0), "there is no such name yet");

    let zone_file = data.join("zones/utopia.test.zone");
    let zone = fs::read_to_string(&zone_file).expect("the zone");
    let changed = zone.replace("postmaster 1 7200", "postmaster 20 7200") + "new IN A 192.0.2.7\n";
    assert_ne!(changed.len(), zone.len() + "new IN A 192.0.2.7\n".len(), "the serial is raised");
    fs::write(&zone_file, &changed).expect("written");
    utopia.signal("HUP");
    wait_for("the new name is there", || (ask_over(&mut dns, "new.utopia.test") == (0, 1)).then_some(()));
    writeln!(stdin, "noop").expect("written");
    assert_eq!(next(), "OK", "the session goes on");

    // A wrong configuration, then a wrong zone: each is said, and nothing changes.
    let configuration_file = data.join("utopia.toml");
    let configuration = fs::read_to_string(&configuration_file).expect("the configuration");
    fs::write(&configuration_file, configuration.replace("[http]\nlisten", "[http]\nlisen"))
        .expect("written");
    utopia.signal("HUP");
    wait_for("the mistake is said", || utopia.said().contains("did you mean `listen`?").then_some(()));
    assert!(utopia.said().contains("stays as it was"), "{}", utopia.said());
    fs::write(&configuration_file, &configuration).expect("written");
    fs::write(&zone_file, changed.replace("postmaster 20 ", "postmaster 30 ") + "broken IN A 192.0.2\n")
        .expect("written");
    let refused = utopia.ask(&["reload"]);
    assert_eq!(refused.status.code(), Some(1), "who asked is told");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("stays as it was"));
    wait_for("the fault of the zone is said", || {
        utopia
            .said()
            .lines()
            .any(|line| line.contains("stays as it was") && line.contains("zone"))
            .then_some(())
    });
    assert_eq!(ask_over(&mut dns, "new.utopia.test"), (0, 1));
    writeln!(stdin, "noop").expect("written");
    assert_eq!(next(), "OK", "the session goes on");
    drop(stdin);
    reader.wait().expect("python ends");
    utopia.stop();
}

/// What `utopia status --json` lists now: name, transport, address.
fn listed(utopia: &Utopia) -> Vec<(String, String, SocketAddr)> {
    let status: serde_json::Value =
        serde_json::from_str(&told(utopia.ask(&["status", "--json"]))).expect("JSON");
    let text = |service: &serde_json::Value, key: &str| service[key].as_str().expect("a text").to_owned();
    let services = status["services"].as_array().expect("services").iter();
    services
        .map(|service| {
            let address = text(service, "address").parse().expect("an address");
            (text(service, "name"), text(service, "transport"), address)
        })
        .collect()
}

/// A port of `address` that nobody has over TCP or UDP.
fn free_port(address: SocketAddr) -> SocketAddr {
    wait_for("a free port", || {
        let tcp = TcpListener::bind(SocketAddr::new(address.ip(), 0)).ok()?;
        let free = tcp.local_addr().ok()?;
        UdpSocket::bind(free).ok().map(|_| free)
    })
}

/// Asks over UDP; the reply's code and number of answers, `None` when none came.
fn ask_datagram(at: SocketAddr, name: &str) -> Option<(u8, u8)> {
    let socket = UdpSocket::bind(SocketAddr::new(at.ip(), 0)).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    socket.connect(at).expect("an address");
    let mut reply = [0; 512];
    socket.send(&query(name)[2..]).ok()?;
    socket.recv(&mut reply).ok()?;
    Some((reply[3] & 0x0f, reply[7]))
}

#[test]
fn a_reload_moves_every_service_and_its_bounds_and_drops_no_connection() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let utopia = Utopia::start(&data);
    let before = listed(&utopia);
    let at = |services: &[(String, String, SocketAddr)], name: &str| {
        services.iter().find(|(service, ..)| service == name).expect("the service").2
    };

    // A connection to each service that lasts, begun under the first configuration.
    let mut smtp = Smtp::connect(at(&before, "smtp"));
    assert!(smtp.say("EHLO client.test").contains("SIZE 52428800"));
    let mut submission = Smtp::connect(at(&before, "submission"));
    let connect = |name: &str| {
        let stream = TcpStream::connect(at(&before, name)).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a timeout");
        stream
    };
    let (mut dns, mut resolver) = (connect("dns"), connect("resolver"));
    assert_eq!(ask_over(&mut dns, "utopia.test"), (0, 1));
    assert_eq!(ask_over(&mut resolver, "mail.utopia.test"), (0, 1));
    let mut imap = BufReader::new(connect("imap"));
    let mut line = String::new();
    imap.read_line(&mut line).expect("a greeting");

    // Every address moves, and some bounds change.
    let file = data.join("utopia.toml");
    let first = fs::read_to_string(&file).expect("the configuration");
    let mut second = first.clone();
    let mut moved = std::collections::BTreeMap::new();
    for (_, _, address) in &before {
        moved.entry(*address).or_insert_with(|| free_port(*address));
    }
    for (from, to) in &moved {
        second = second.replace(&format!("\"{from}\""), &format!("\"{to}\""));
    }
    let second = second
        .replace("[smtp]\n", "[smtp]\nmessage_octets_max = 70000\nconnections_max = 2\n")
        .replace("[dns]\n", "[dns]\nthreads = 1\npayload_octets_max = 600\n")
        .replace("[resolver]\n", "[resolver]\nallow = [\"127.0.0.0/8\"]\nquestions_max = 17\n");
    fs::write(&file, &second).expect("written");
    told(utopia.ask(&["reload"]));

    let after = listed(&utopia);
    let expected: Vec<_> =
        before.iter().map(|(name, transport, from)| (name.clone(), transport.clone(), moved[from])).collect();
    assert_eq!(after, expected);
    for (name, transport, address) in &before {
        if transport == "tcp" {
            wait_for("the old port is closed", || TcpStream::connect(address).err());
        } else {
            wait_for(name, || ask_datagram(*address, "utopia.test").is_none().then_some(()));
        }
    }
    assert_eq!(ask_datagram(at(&after, "dns"), "utopia.test"), Some((0, 1)));
    assert_eq!(ask_datagram(at(&after, "resolver"), "mail.utopia.test"), Some((0, 1)));
    for name in ["submissions", "imaps", "http"] {
        TcpStream::connect(at(&after, name)).expect(name);
    }
    let page = Command::new("curl").args(["-sf", &format!("http://{}/", at(&after, "http"))]).output();
    assert!(told(page.expect("curl runs")).contains("is up"));

    // Whoever came before goes on as before.
    assert_eq!(ask_over(&mut dns, "utopia.test"), (0, 1));
    assert_eq!(ask_over(&mut resolver, "ns1.utopia.test"), (0, 1));
    assert!(smtp.say("MAIL FROM:<carol@elsewhere.example> SIZE=80000").starts_with("250"));
    assert!(submission.say("NOOP").starts_with("250"));
    imap.get_mut().write_all(b"a NOOP\r\n").expect("written");
    line.clear();
    imap.read_line(&mut line).expect("a line");
    assert!(line.starts_with("a OK"), "{line}");

    // Whoever comes now meets the new bounds: two connections, and the third waits.
    let mut new = Smtp::connect(at(&after, "smtp"));
    assert!(new.say("EHLO client.test").contains("SIZE 70000"));
    assert!(new.say("MAIL FROM:<carol@elsewhere.example> SIZE=80000").starts_with("552"));
    let _second = Smtp::connect(at(&after, "smtp"));
    let third = TcpStream::connect(at(&after, "smtp")).expect("it waits in the backlog");
    third.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    assert!((&third).read(&mut [0; 1]).is_err(), "nobody greets it");
    assert!(new.say("QUIT").starts_with("221"));
    third.set_read_timeout(Some(Duration::from_mins(1))).expect("a timeout");
    assert_eq!((&third).read(&mut [0; 1]).expect("now it is its turn"), 1);
    utopia.stop();
}

#[test]
fn a_reload_whose_address_is_taken_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let utopia = Utopia::start(&data);
    let before = listed(&utopia);
    let taken = TcpListener::bind(SocketAddr::new(utopia.at("http").ip(), 0)).expect("a port");
    let taken_address = taken.local_addr().expect("its address");
    let (smtp, free) = (utopia.at("smtp"), free_port(utopia.at("smtp")));
    let file = data.join("utopia.toml");
    let first = fs::read_to_string(&file).expect("the configuration");
    let second = first
        .replace(&format!("\"{smtp}\""), &format!("\"{free}\""))
        .replace(&format!("\"{}\"", utopia.at("http")), &format!("\"{taken_address}\""))
        .replace("[smtp]\n", "[smtp]\nmessage_octets_max = 70000\n");
    fs::write(&file, second).expect("written");
    let refused = utopia.ask(&["reload"]);
    assert_eq!(refused.status.code(), Some(1));
    let why = said(&refused);
    assert!(why.contains("stays as it was") && why.contains(&taken_address.to_string()), "{why}");
    assert!(why.contains("choose another address"), "{why}");
    assert_eq!(listed(&utopia), before);
    assert!(TcpStream::connect(free).is_err(), "what was opened for it is closed again");
    assert!(Smtp::connect(smtp).say("EHLO client.test").contains("SIZE 52428800"));
    utopia.stop();
}

#[test]
fn a_reload_starts_and_ends_services() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    // First only names and pages, then mail too, then only pages.
    let utopia = Utopia::start(&data);
    let all = listed(&utopia);
    utopia.stop();
    let file = data.join("utopia.toml");
    let whole = fs::read_to_string(&file).expect("the configuration");
    let without_mail = without_mail(&whole);
    let smtp = all.iter().find(|(service, ..)| service == "smtp").expect("smtp").2;
    fs::write(&file, &without_mail).expect("written");
    let utopia = Utopia::start(&data);
    let names = |utopia: &Utopia| {
        let mut names: Vec<_> = listed(utopia).into_iter().map(|(name, ..)| name).collect();
        names.dedup();
        names
    };
    assert_eq!(names(&utopia), ["dns", "resolver", "tracker", "torrents", "http"]);
    fs::write(&file, &whole).expect("written");
    told(utopia.ask(&["reload"]));
    assert_eq!(listed(&utopia), all);
    assert!(Smtp::connect(smtp).say("EHLO client.test").starts_with("250"));
    fs::write(&file, &without_mail).expect("written");
    told(utopia.ask(&["reload"]));
    assert_eq!(names(&utopia), ["dns", "resolver", "tracker", "torrents", "http"]);
    wait_for("nobody takes mail", || TcpStream::connect(smtp).err());
    utopia.stop();
}

#[test]
fn a_reload_says_what_it_did_not_take_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let utopia = Utopia::start(&data);
    let [zone_file, file] = ["zones/utopia.test.zone", "utopia.toml"].map(|name| data.join(name));
    let zone = fs::read_to_string(&zone_file).expect("the zone");
    let configuration = fs::read_to_string(&file).expect("the configuration");
    assert_eq!(told(utopia.ask(&["reload"])), "", "nothing is left to say");

    fs::write(&zone_file, format!("{zone}new IN A 192.0.2.7\n")).expect("written");
    fs::write(&file, format!("{configuration}\n[storage]\nreaders_max = 3\n")).expect("written");
    for _ in 0..2 {
        let notes = told(utopia.ask(&["reload"]));
        let lines: Vec<_> = notes.lines().collect();
        assert_eq!(lines.len(), 2, "{notes}");
        assert!(
            lines[0].starts_with("zone utopia.test: ") && lines[0].contains("raise the serial"),
            "{notes}"
        );
        assert!(lines[1].contains("[storage]") && lines[1].contains("next start"), "{notes}");
        assert!(lines.iter().all(|line| utopia.said().contains(line)), "the log says so too");
    }
    assert_eq!(ask_datagram(utopia.at("dns"), "new.utopia.test"), Some((3, 0)));

    fs::write(&zone_file, zone.replace("postmaster 1 7200", "postmaster 2 7200") + "new IN A 192.0.2.7\n")
        .expect("written");
    fs::write(&file, configuration).expect("written");
    assert_eq!(told(utopia.ask(&["reload"])), "");
    assert_eq!(ask_datagram(utopia.at("dns"), "new.utopia.test"), Some((0, 1)));
    utopia.stop();
}
