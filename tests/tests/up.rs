//! `utopia up` as a newcomer meets it: the first start, the second, foreign
//! programs, changes while it runs, and its end.

use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tests::mail::{Smtp, inbox};
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
        ("tracker", "udp"),
        ("tracker", "tcp"),
        ("torrents", "tcp"),
        ("torrents", "udp"),
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

#[test]
fn an_end_finishes_what_was_promised_within_ten_seconds() {
    let Some(python) = peer("python3") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut utopia = Utopia::start(&data);
    let bob = utopia.password("bob@utopia.test");
    let (mut done, mut halfway, mut stuck) = (
        Smtp::connect(utopia.at("smtp")),
        Smtp::connect(utopia.at("smtp")),
        Smtp::connect(utopia.at("smtp")),
    );
    for (smtp, subject) in [(&mut done, "done"), (&mut halfway, "halfway"), (&mut stuck, "stuck")] {
        smtp.begin();
        smtp.send(&format!("Subject: {subject}\r\n\r\nfirst half\r\n"));
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
fn half_sent_requests_to_the_page_do_not_hold_up_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut utopia = Utopia::start(&folder.path().join("data"));
    let half = || {
        let mut stream = TcpStream::connect(utopia.at("http")).expect("a connection");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").expect("sent");
        stream
    };
    let _halves: Vec<TcpStream> = (0..50).map(|_| half()).collect();
    utopia.signal("TERM");
    let status = utopia.wait();
    assert!(status.success(), "{status}: {}", utopia.said());
    assert!(!utopia.said().contains("not everything could be finished"), "{}", utopia.said());
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
