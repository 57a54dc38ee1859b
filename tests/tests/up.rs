//! `utopia up` as a newcomer meets it: the first start, the second, foreign
//! programs, changes while it runs, and its end.

use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tests::mail::inbox;
use tests::peer;
use tests::utopia::{Utopia, command, own_address, run, run_with_input, said, told, wait_for};

/// What dig prints with `+short`, its lines sorted.
fn dig(at: SocketAddr, arguments: &[&str]) -> Option<Vec<String>> {
    let mut dig = Command::new(peer("dig")?);
    dig.args([format!("@{}", at.ip()), "-p".into(), at.port().to_string()]);
    dig.args(["+short", "+tries=10", "+time=5"]).args(arguments);
    let mut lines: Vec<_> = told(dig.output().expect("dig runs")).lines().map(str::to_owned).collect();
    lines.sort();
    Some(lines)
}

/// Sends a message by `utopia mail send`, which logs in by SCRAM-SHA-256 over TLS.
fn send(utopia: &Utopia, folder: &Path, password: &str, to: &str, text: &str) -> Output {
    let file = folder.join("password-of-alice");
    fs::write(&file, format!("{password}\n")).expect("a password file");
    let mut send = utopia.asking(&["mail", "send", "--from", "alice@utopia.test", "--to", to]);
    send.arg("--password-file").arg(&file);
    run_with_input(send, text)
}

#[test]
fn a_second_start_finds_everything_as_it_was() {
    let (Some(python), Some(nsupdate)) = (peer("python3"), peer("nsupdate")) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let first = Utopia::start(&data);
    let (alice, bob) = (first.password("alice@utopia.test"), first.password("bob@utopia.test"));
    assert!(first.said().contains("utopia.test is up."), "{}", first.said());
    told(send(&first, folder.path(), &alice, "bob@utopia.test", "Subject: Kept\n\nStill there?\n"));
    wait_for("Bob has mail", || (!inbox(&python, &first, "bob@utopia.test", &bob).is_empty()).then_some(()));

    let dns = first.at("dns");
    let secret = fs::read_to_string(data.join("secrets/update.tsig")).expect("the update key's secret");
    let script = format!(
        "server {} {}\nzone utopia.test\nupdate add kept.utopia.test 60 A 192.0.2.99\nsend\n",
        dns.ip(),
        dns.port()
    );
    let mut update = Command::new(nsupdate);
    update.args(["-y", &format!("hmac-sha256:update:{}", secret.trim())]);
    told(run_with_input(update, &script));
    assert_eq!(dig(dns, &["kept.utopia.test"]), Some(vec!["192.0.2.99".to_owned()]));
    let services = first.services().to_vec();
    first.stop();

    let second = Utopia::start(&data);
    assert_eq!(second.services(), services, "everything is where it was");
    let told_again =
        wait_for("all is told", || Some(second.said()).filter(|said| said.contains("Stop with Ctrl-C")));
    assert!(!told_again.contains(&alice) && !told_again.contains("told this once"), "{told_again}");
    let messages = inbox(&python, &second, "bob@utopia.test", &bob);
    assert!(messages.len() == 1 && messages[0].contains("Still there?"), "{messages:?}");
    assert_eq!(dig(second.at("dns"), &["kept.utopia.test"]), Some(vec!["192.0.2.99".to_owned()]));
    second.stop();
}

#[test]
fn the_zone_has_what_its_services_need_and_the_resolver_finds_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let utopia = Utopia::start(&folder.path().join("data"));
    let address = utopia.at("dns").ip().to_string();
    let ask = |service: &str, arguments: &[&str]| dig(utopia.at(service), arguments);
    let Some(servers) = ask("dns", &["utopia.test", "NS"]) else { return };
    assert_eq!(servers, ["ns1.utopia.test.", "ns2.utopia.test."]);
    for name in ["utopia.test", "ns1.utopia.test", "ns2.utopia.test", "mail.utopia.test", "www.utopia.test"] {
        assert_eq!(ask("dns", &[name, "A"]), Some(vec![address.clone()]), "{name}");
    }
    assert_eq!(ask("dns", &["utopia.test", "MX"]), Some(vec!["10 mail.utopia.test.".to_owned()]));
    assert_eq!(ask("dns", &["utopia.test", "TXT"]), Some(vec!["\"v=spf1 mx -all\"".to_owned()]));
    assert_eq!(ask("dns", &["utopia.test", "CAA"]), Some(vec!["0 issue \";\"".to_owned()]));
    for (name, begins) in [
        ("_dmarc.utopia.test", "\"v=DMARC1; p=quarantine"),
        ("rsa._domainkey.utopia.test", "\"v=DKIM1; k=rsa; "),
        ("ed25519._domainkey.utopia.test", "\"v=DKIM1; k=ed25519; "),
    ] {
        let texts = ask("dns", &[name, "TXT"]).expect("dig");
        assert!(texts.len() == 1 && texts[0].starts_with(begins), "{name}: {texts:?}");
    }
    for (service, priority) in [("submissions", 0), ("submission", 10), ("imaps", 0), ("imap", 10)] {
        let port = utopia.at(service).port();
        let expected = format!("{priority} 1 {port} mail.utopia.test.");
        assert_eq!(ask("dns", &[&format!("_{service}._tcp.utopia.test"), "SRV"]), Some(vec![expected]));
    }
    // The same through the resolver, and over TCP.
    assert_eq!(ask("resolver", &["mail.utopia.test"]), Some(vec![address.clone()]));
    assert_eq!(
        ask("resolver", &["+tcp", "utopia.test", "MX"]),
        Some(vec!["10 mail.utopia.test.".to_owned()])
    );
    // And with our own client, as the README has it.
    let server = utopia.at("dns").to_string();
    let answered = told(run(&["dns", "query", "mail.utopia.test", "A", "--server", &server]));
    assert!(answered.contains(&address), "{answered}");
}

/// The README's first command as it stands there: no options, the folder made
/// where one is, on 127.0.0.1 and ::1, which one such test has at a time.
#[test]
fn the_first_command_of_the_readme() {
    let lock = fs::File::create(std::env::temp_dir().join("utopia-loopback.lock")).expect("a lock file");
    lock.lock().expect("the lock");
    let folder = tempfile::tempdir().expect("a folder");
    let mut up = command(&["up"]);
    up.current_dir(folder.path());
    let utopia = Utopia::start_command(up, &folder.path().join("utopia-data"));
    let has_v6 = std::net::UdpSocket::bind("[::1]:0").is_ok();
    let expected: &[&str] = if has_v6 { &["127.0.0.1", "::1"] } else { &["127.0.0.1"] };
    for name in ["dns", "resolver", "smtp", "submission", "submissions", "imap", "imaps", "http"] {
        let addresses: std::collections::BTreeSet<_> = utopia
            .services()
            .iter()
            .filter(|service| service["name"] == name)
            .map(|service| {
                service["address"].as_str().expect("text").parse::<SocketAddr>().expect("an address")
            })
            .collect();
        let ips: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
        assert_eq!(ips, expected, "{name}");
        assert!(addresses.iter().all(|address| address.port() == utopia.at(name).port()), "{addresses:?}");
    }
    let Some(addresses) = dig(utopia.at("dns"), &["mail.utopia.test", "A"]) else { return };
    assert_eq!(addresses, ["127.0.0.1"]);
    let v6 = dig(utopia.at("dns"), &["mail.utopia.test", "AAAA"]);
    assert_eq!(v6, Some(if has_v6 { vec!["::1".to_owned()] } else { Vec::new() }));

    // The other commands of the README, in the same folder and without options.
    let here = |arguments: &[&str]| {
        told(command(arguments).current_dir(folder.path()).output().expect("utopia runs"))
    };
    assert!(here(&["status"]).contains("127.0.0.1:"));
    assert!(here(&["user", "add", "carol@utopia.test"]).starts_with("carol@utopia.test  "));
    assert_eq!(here(&["mail", "queue", "list"]), "nothing waits\n");
    here(&["dns", "zone", "check", "utopia-data/zones/utopia.test.zone"]);
    here(&["config", "check", "utopia-data/utopia.toml"]);
    // Ctrl-C.
    let mut utopia = utopia;
    utopia.signal("INT");
    let status = utopia.wait();
    assert!(status.success(), "{status}: {}", utopia.said());
}

#[test]
fn swaks_curl_and_python_send_and_read_with_the_certificate_checked() {
    let (Some(python), Some(swaks), Some(curl)) = (peer("python3"), peer("swaks"), peer("curl")) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let utopia = Utopia::start(&folder.path().join("data"));
    let (alice, bob) = (utopia.password("alice@utopia.test"), utopia.password("bob@utopia.test"));
    let ca = utopia.ca_file();
    let swaks = |service: &str, tls: &str, password: &str, subject: &str| {
        let at = utopia.at(service);
        let mut swaks = Command::new(&swaks);
        swaks.args(["--server", &at.ip().to_string(), "--port", &at.port().to_string(), tls, "--tls-verify"]);
        swaks.arg("--tls-ca-path").arg(&ca).args(["--auth", "PLAIN", "--auth-user", "alice@utopia.test"]);
        swaks.args(["--auth-password", password, "--from", "alice@utopia.test", "--to", "bob@utopia.test"]);
        swaks.args(["--header", &format!("Subject: {subject}"), "--timeout", "60"]);
        swaks.output().expect("swaks runs")
    };
    told(swaks("submission", "--tls", &alice, "by STARTTLS"));
    told(swaks("submissions", "--tls-on-connect", &alice, "by TLS"));
    let refused = swaks("submissions", "--tls-on-connect", "wrong", "never");
    assert_eq!(refused.status.code(), Some(28), "authentication failed: {}", said(&refused));

    told(send(&utopia, folder.path(), &alice, "bob@utopia.test", "Subject: by SCRAM\n\nHello\n"));
    let wrong = send(&utopia, folder.path(), "wrong", "bob@utopia.test", "Subject: never\n\nHello\n");
    assert_eq!(wrong.status.code(), Some(1), "{}", said(&wrong));

    let script = r#"
import smtplib, ssl, sys
host, tls, starttls, ca = sys.argv[1:5]
password = sys.stdin.readline().rstrip("\n")
context = ssl.create_default_context(cafile=ca)
def send(smtp, subject):
    smtp.login("alice@utopia.test", password)
    smtp.sendmail("alice@utopia.test", ["bob@utopia.test"], "Subject: %s\r\n\r\nHello\r\n" % subject)
    smtp.quit()
send(smtplib.SMTP_SSL(host, int(tls), context=context), "by smtplib over TLS")
smtp = smtplib.SMTP(host, int(starttls))
smtp.starttls(context=context)
send(smtp, "by smtplib over STARTTLS")
"#;
    let (tls, starttls) = (utopia.at("submissions"), utopia.at("submission"));
    let mut smtplib = Command::new(&python);
    smtplib.args([
        "-c",
        script,
        &tls.ip().to_string(),
        &tls.port().to_string(),
        &starttls.port().to_string(),
    ]);
    told(run_with_input(
        {
            smtplib.arg(&ca);
            smtplib
        },
        &format!("{alice}\n"),
    ));

    let subjects = ["by STARTTLS", "by TLS", "by SCRAM", "by smtplib over TLS", "by smtplib over STARTTLS"];
    let messages = wait_for("all mail is there", || {
        let messages = inbox(&python, &utopia, "bob@utopia.test", &bob);
        (messages.len() >= subjects.len()).then_some(messages)
    });
    assert_eq!(messages.len(), subjects.len(), "and nothing else: {messages:?}");
    for subject in subjects {
        assert!(messages.iter().any(|text| text.contains(&format!("Subject: {subject}\r\n"))), "{subject}");
    }
    assert!(messages.iter().all(|text| text.contains("DKIM-Signature: ")), "each is signed: {messages:?}");

    // The line of the status page.
    let mut read = Command::new(curl);
    read.args(["-sS", "--cacert"]).arg(&ca).args(["--user", &format!("bob@utopia.test:{bob}")]);
    read.arg(format!("imaps://{}/INBOX;MAILINDEX=1", utopia.at("imaps")));
    let text = told(read.output().expect("curl runs"));
    assert!(text.contains("Subject: by "), "{text}");
    utopia.stop();
}

#[test]
fn the_status_is_what_scripts_expect_and_the_page_shows_it() {
    let Some(curl) = peer("curl") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let text = data.to_str().expect("a path");
    let nothing = run(&["status", "--data", text, "--json"]);
    assert_eq!(nothing.status.code(), Some(1), "{}", said(&nothing));
    assert_eq!(String::from_utf8_lossy(&nothing.stderr).lines().count(), 1, "{}", said(&nothing));

    let utopia = Utopia::start(&data);
    let status: Value = serde_json::from_str(&told(utopia.ask(&["status", "--json"]))).expect("JSON");
    let mut seen = Vec::new();
    for service in status["services"].as_array().expect("an array") {
        let fields = service.as_object().expect("an object");
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["address", "name", "transport"], "{service}");
        let address: SocketAddr = service["address"].as_str().expect("text").parse().expect("an address");
        assert!(address.ip().is_loopback() && address.port() != 0, "{service}");
        seen.push((service["name"].as_str().expect("text"), service["transport"].as_str().expect("text")));
    }
    let expected = [
        ("dns", "udp"),
        ("dns", "tcp"),
        ("resolver", "udp"),
        ("resolver", "tcp"),
        ("smtp", "tcp"),
        ("submission", "tcp"),
        ("submissions", "tcp"),
        ("imap", "tcp"),
        ("imaps", "tcp"),
        ("http", "tcp"),
    ];
    assert_eq!(seen, expected);

    let get = |path: &str| {
        let url = format!("http://{}{path}", utopia.at("http"));
        told(Command::new(&curl).args(["-sSf", &url]).output().expect("curl runs"))
    };
    let page = get("/");
    for service in status["services"].as_array().expect("an array") {
        assert!(page.contains(service["address"].as_str().expect("text")), "{service}: {page}");
    }
    assert!(page.contains("dig @") && page.contains("swaks --server"), "{page}");
    let from_page: Value = serde_json::from_str(&get("/status.json")).expect("JSON");
    assert_eq!(from_page["services"], status["services"]);
    dig(utopia.at("dns"), &["utopia.test", "MX"]);
    let metrics = get("/metrics");
    assert!(metrics.trim_end().ends_with("# EOF"), "OpenMetrics: {metrics}");
    assert!(metrics.lines().any(|line| line.starts_with("utopia_") && !line.ends_with(" 0")), "{metrics}");

    // The table for people lists the same.
    let table = told(utopia.ask(&["status"]));
    for (name, transport) in expected {
        let address = utopia.at(name).to_string();
        let found = table.lines().any(|line| {
            line.split_whitespace().next() == Some(name)
                && line.contains(transport)
                && line.ends_with(&address)
        });
        assert!(found, "{name}: {table}");
    }
    utopia.stop();
    let nothing = run(&["status", "--data", text, "--json"]);
    assert_eq!(nothing.status.code(), Some(1), "{}", said(&nothing));
}

#[test]
fn users_come_and_go_while_it_runs_and_while_it_does_not() {
    let Some(python) = peer("python3") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let utopia = Utopia::start(&data);
    let text = data.to_str().expect("a path");
    let user = |arguments: &[&str], input: &str| {
        let mut user = command(&["user"]);
        user.args(arguments).args(["--data", text]);
        run_with_input(user, input)
    };
    let listed = || -> Value { serde_json::from_str(&told(user(&["list", "--json"], ""))).expect("JSON") };
    assert_eq!(listed(), json!(["alice@utopia.test", "bob@utopia.test"]));
    let made = told(user(&["add", "carol@utopia.test"], ""));
    let (address, password) = made.trim_end().split_once("  ").expect("address and password");
    assert_eq!(address, "carol@utopia.test");
    assert!(inbox(&python, &utopia, address, password).is_empty(), "she may log in");
    told(user(&["passwd", "carol@utopia.test", "--password-stdin"], "correct horse battery\n"));
    inbox(&python, &utopia, address, "correct horse battery");
    let again = user(&["add", "carol@utopia.test"], "");
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
    let unknown = user(&["passwd", "dave@utopia.test", "--password-stdin"], "correct horse battery\n");
    assert_eq!(unknown.status.code(), Some(1), "{}", said(&unknown));
    assert!(said(&unknown).contains("dave@utopia.test"), "{}", said(&unknown));
    let empty = user(&["passwd", "carol@utopia.test", "--password-stdin"], "");
    assert_eq!(empty.status.code(), Some(1), "{}", said(&empty));
    utopia.stop();

    told(user(&["passwd", "alice@utopia.test", "--password-stdin"], "battery staple horse\n"));
    told(user(&["remove", "carol@utopia.test"], ""));
    told(user(&["add", "dave@utopia.test", "--password-stdin"], "correct horse staple\n"));
    assert_eq!(listed(), json!(["alice@utopia.test", "bob@utopia.test", "dave@utopia.test"]));
    assert_eq!(told(user(&["list"], "")).lines().count(), 3);
    let utopia = Utopia::start(&data);
    inbox(&python, &utopia, "alice@utopia.test", "battery staple horse");
    inbox(&python, &utopia, "dave@utopia.test", "correct horse staple");
    told(user(&["remove", "dave@utopia.test"], ""));
    assert_eq!(listed(), json!(["alice@utopia.test", "bob@utopia.test"]));
    utopia.stop();
}

/// A query for `name`, type A, with the length that TCP wants (RFC 1035 section
/// 4.2.2).
fn query(name: &str) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
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

/// A client that speaks SMTP line by line.
struct Smtp(BufReader<TcpStream>);

impl Smtp {
    fn connect(utopia: &Utopia) -> Self {
        let stream = TcpStream::connect(utopia.at("smtp")).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a timeout");
        let mut smtp = Self(BufReader::new(stream));
        assert!(smtp.reply().starts_with("220"));
        smtp
    }

    /// One reply; empty when the connection ended.
    fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            match self.0.read_line(&mut reply) {
                Ok(0) | Err(_) => return reply,
                Ok(_) if reply.as_bytes().get(start + 3) != Some(&b'-') => return reply,
                Ok(_) => {}
            }
        }
    }

    fn say(&mut self, line: &str) -> String {
        let _ = self.0.get_mut().write_all(format!("{line}\r\n").as_bytes());
        self.reply()
    }

    /// Up to the text of a message to Bob.
    fn begin(&mut self) {
        assert!(self.say("EHLO client.test").starts_with("250"));
        assert!(self.say("MAIL FROM:<carol@elsewhere.example>").starts_with("250"));
        assert!(self.say("RCPT TO:<bob@utopia.test>").starts_with("250"));
        assert!(self.say("DATA").starts_with("354"));
    }
}

#[test]
fn an_end_finishes_what_was_promised_within_ten_seconds() {
    let Some(python) = peer("python3") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut utopia = Utopia::start(&data);
    let bob = utopia.password("bob@utopia.test");
    let (mut done, mut halfway, mut stuck) =
        (Smtp::connect(&utopia), Smtp::connect(&utopia), Smtp::connect(&utopia));
    for (smtp, subject) in [(&mut done, "done"), (&mut halfway, "halfway"), (&mut stuck, "stuck")] {
        smtp.begin();
        smtp.0
            .get_mut()
            .write_all(format!("Subject: {subject}\r\n\r\nfirst half\r\n").as_bytes())
            .expect("sent");
    }
    assert!(done.say("second half\r\n.").starts_with("250"));
    let began = Instant::now();
    utopia.signal("TERM");
    wait_for("the end is announced", || utopia.said().contains("finishing what was promised").then_some(()));
    let promised = halfway.say("second half\r\n.").starts_with("250");
    let status = utopia.wait();
    let took = began.elapsed();
    assert!(status.success(), "{status}: {}", utopia.said());
    // Ten seconds for what was promised; the rest is the machine's slowness.
    assert!(took < Duration::from_secs(20), "{took:?}");
    drop(utopia);

    let utopia = Utopia::start(&data);
    let messages = wait_for("what was promised is there", || {
        let messages = inbox(&python, &utopia, "bob@utopia.test", &bob);
        (messages.len() > usize::from(promised)).then_some(messages)
    });
    assert_eq!(messages.len(), 1 + usize::from(promised), "{messages:?}");
    assert!(messages.iter().any(|text| text.contains("Subject: done\r\n")), "{messages:?}");
    assert!(messages.iter().all(|text| text.ends_with("first half\r\nsecond half\r\n")), "{messages:?}");
    utopia.stop();
}

#[test]
fn a_second_program_on_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let utopia = Utopia::start(&data);
    let second = utopia.ask(&["up"]);
    assert_eq!(second.status.code(), Some(1), "{}", said(&second));
    let last = said(&second).lines().last().unwrap_or_default().to_owned();
    assert!(last.starts_with("utopia: ") && last.contains(data.to_str().expect("a path")), "{last}");
    // The first one is none the worse for it.
    told(utopia.ask(&["status"]));

    let moved = utopia.ask(&["up", "--address", "127.1.2.3"]);
    assert_eq!(moved.status.code(), Some(1), "{}", said(&moved));
    assert!(said(&moved).contains("set up already"), "{}", said(&moved));
    utopia.stop();
}

#[test]
fn a_wrong_configuration_is_refused_with_its_line_and_the_nearest_right_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("utopia.toml");
    fs::write(&file, "version = 1\ndomain = \"utopia.test\"\n\n[imap]\nlisten_tsl = []\n").expect("written");
    let data = folder.path().to_str().expect("a path");
    for arguments in [&["up", "--data", data][..], &["config", "check", file.to_str().expect("a path")]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let expected =
            format!("utopia: {}:5: unknown key `listen_tsl`; did you mean `listen_tls`?\n", file.display());
        assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
    }
}

#[test]
fn an_ordinary_user_gets_ports_above_1024_and_is_told_so() {
    let Some(setpriv) = peer("setpriv") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let whoami = told(Command::new("id").arg("-u").output().expect("id runs"));
    let data = folder.path().join("data");
    let program = tests::utopia::program();
    let address = own_address().to_string();
    let up = if whoami.trim() == "0" {
        // Somebody else, who must be able to write there and to run the program.
        let own = folder.path().join("utopia");
        fs::copy(&program, &own).expect("copied");
        told(
            Command::new("chown")
                .args(["-R", "65534:65534"])
                .arg(folder.path())
                .output()
                .expect("chown runs"),
        );
        let mut up = Command::new(setpriv);
        up.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--"]).arg(own);
        up
    } else {
        Command::new(program)
    };
    let mut up = up;
    up.args(["up", "--address", &address, "--data"]).arg(&data).stdin(Stdio::null());
    let utopia = Utopia::start_command(up, &data);
    let lowest = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").expect("a number");
    let lowest: u16 = lowest.trim().parse().expect("a number");
    utopia.password("alice@utopia.test");
    for name in ["dns", "resolver", "smtp", "submission", "submissions", "imap", "imaps", "http"] {
        assert!(utopia.at(name).port() >= lowest, "{name} on {}", utopia.at(name));
    }
    if lowest > 993 {
        assert!(utopia.said().contains("Standard ports that could not be had: dns "), "{}", utopia.said());
        assert!(utopia.said().contains("imaps 9930 instead of 993"), "{}", utopia.said());
        // As the README has them.
        assert_eq!((utopia.at("dns").port(), utopia.at("submissions").port()), (5300, 4650));
    }
    assert!(dig(utopia.at("dns"), &["utopia.test", "MX"]).is_none_or(|lines| lines.len() == 1));
    utopia.stop();
}
