//! kill -9 of the whole program in the middle of a thousand deliveries and of a
//! thousand updates: after the restart everything acknowledged is there, exactly
//! once.

use dns::Change;
use domain::base::iana::Class;
use domain::base::{Name, Record, Ttl};
use domain::rdata::A;
use net::Network;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tests::mail::inbox;
use tests::peer;
use tests::utopia::{Utopia, own_address, run, run_with_input, said, told, wait_for};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// How often the program is killed.
const ROUNDS: usize = 4;
/// What is acknowledged in all.
const ACKNOWLEDGED_MIN: usize = 1000;
/// Clients that do not wait for each other.
const CLIENTS: usize = 8;
/// How many of them submit mail for another host.
const SUBMITTERS: usize = 2;

/// Numbers that look random and are the same in every run.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: usize) -> usize {
        // Knuth's MMIX generator; its upper bits are the good ones.
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % bound
    }
}

/// Counts acknowledgements in each round, and kills when it is time.
async fn kill_in_the_middle(utopia: &Utopia, acknowledged: impl Fn() -> usize, seeded: &mut Seeded) {
    let until = acknowledged() + ACKNOWLEDGED_MIN / ROUNDS + seeded.below(40);
    let mut seen = (acknowledged(), tokio::time::Instant::now());
    while acknowledged() < until {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if acknowledged() > seen.0 {
            seen = (acknowledged(), tokio::time::Instant::now());
        }
        assert!(seen.1.elapsed() < Duration::from_mins(1), "no progress: {}", utopia.said());
    }
    // Somewhere within a commit, not always at the same step after a reply.
    tokio::time::sleep(Duration::from_micros(seeded.below(8000) as u64)).await;
    utopia.signal("KILL");
}

// ---- deliveries -------------------------------------------------------------

/// One command and its reply.
async fn say(stream: &mut BufReader<TcpStream>, text: &str) -> Option<String> {
    stream.get_mut().write_all(text.as_bytes()).await.ok()?;
    reply(stream).await
}

async fn reply(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    loop {
        line.clear();
        let read = tokio::time::timeout(Duration::from_mins(1), stream.read_line(&mut line)).await;
        if read.expect("a reply in time").ok()? == 0 {
            return None;
        }
        if line.as_bytes().get(3) == Some(&b' ') {
            return Some(line);
        }
    }
}

/// Delivers messages to Bob here, over one connection, until it breaks.
async fn deliver(
    smtp: SocketAddr,
    next: Arc<AtomicUsize>,
    acknowledged: Arc<Mutex<Vec<usize>>>,
) -> Option<()> {
    let mut stream = BufReader::new(TcpStream::connect(smtp).await.ok()?);
    reply(&mut stream).await?;
    say(&mut stream, "EHLO client.crepes.test\r\n").await?;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        for command in ["MAIL FROM:<carol@crepes.test>", "RCPT TO:<bob@utopia.test>", "DATA"] {
            let reply = say(&mut stream, &format!("{command}\r\n")).await?;
            assert!(reply.starts_with(['2', '3']), "{command}: {reply}");
        }
        let text = format!("From: carol@crepes.test\r\nSubject: number {number} end\r\n\r\nbody\r\n.\r\n");
        let reply = say(&mut stream, &text).await?;
        assert!(reply.starts_with("250"), "{reply}");
        acknowledged.lock().expect("no panic").push(number);
    }
}

/// Submits messages for another host's user over one connection until it breaks;
/// prints each one's number when it is acknowledged. Arguments: host, port, CA
/// file, first number; the password comes on standard input.
const SUBMITTER: &str = r#"
import smtplib, ssl, sys
host, port, ca, number = sys.argv[1:5]
number = int(number)
try:
    smtp = smtplib.SMTP_SSL(host, int(port), context=ssl.create_default_context(cafile=ca))
    smtp.login("alice@utopia.test", sys.stdin.readline().rstrip("\n"))
    while True:
        text = "From: alice@utopia.test\r\nSubject: number %d end\r\n\r\nbody\r\n" % number
        smtp.sendmail("alice@utopia.test", ["postmaster@crepes.test"], text)
        print(number, flush=True)
        number += 1
except smtplib.SMTPServerDisconnected:
    pass
except smtplib.SMTPException:
    raise # A wrong reply.
except OSError:
    pass
"#;

/// Runs a submitter to its end; numbers that it prints are acknowledged.
fn submit_elsewhere(mut submitter: Command, password: &str, acknowledged: &Mutex<Vec<usize>>) {
    let mut child =
        submitter.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the submitter runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    writeln!(stdin, "{password}").expect("written");
    for line in io::BufReader::new(child.stdout.take().expect("a pipe")).lines() {
        let number = line.expect("a line").parse().expect("a number");
        acknowledged.lock().expect("no panic").push(number);
    }
    let status = child.wait().expect("it ends");
    assert!(status.success(), "the submitter met a wrong reply: {status}");
}

/// Changes a file.
fn edit(file: &Path, change: impl Fn(String) -> String) {
    let text = fs::read_to_string(file).expect("the file");
    let changed = change(text.clone());
    assert_ne!(changed, text, "{}", file.display());
    fs::write(file, changed).expect("written");
}

/// The domain above both, which DMARC asks as well (RFC 9989 section 4.10): it
/// says that it has no policy.
const TLD: &str = r#"
[[dns.zones]]
name = "test"
text = """
$TTL 60
$ORIGIN test.
@ SOA a.nic hostmaster.nic 1 7200 3600 1209600 60
@ NS a.nic
a.nic A 127.0.0.1
"""
"#;

/// `crepes.test`, set up by `utopia init` on a loopback address, on ports that
/// need no privilege, knowing where utopia.test's names are.
fn crepes(data: &Path, utopia_dns: SocketAddr) -> Utopia {
    let address = own_address();
    let text = data.to_str().expect("a path");
    told(run(&["init", "crepes.test", "--address", &address.to_string(), "--data", text]));
    let file = data.join("utopia.toml");
    edit(&file, |mut text| {
        // The resolver and the page first: they stand on 127.0.0.1.
        text = text.replace("\"127.0.0.1:53\"", &format!("\"{address}:5301\""));
        text = text.replace("\"127.0.0.1:80\"", &format!("\"{address}:8080\""));
        for (standard, other) in [(53, 5300), (25, 2525), (587, 5870), (465, 4650), (143, 1430), (993, 9930)]
        {
            text = text.replace(&format!("\"{address}:{standard}\""), &format!("\"{address}:{other}\""));
        }
        let stubs = format!(
            "[resolver.stub_zones]\n\"utopia.test\" = [\"{utopia_dns}\"]\n\"test\" = [\"{address}:5300\"]\n"
        );
        text.push_str(TLD);
        text.replace("[resolver.stub_zones]\n", &stubs)
            // Its own look-ups at a host that is just being killed cannot tell.
            .replace("[smtp]\n", "[smtp]\nenforce_dmarc = false\n")
    });
    let mut passwd =
        tests::utopia::command(&["user", "passwd", "postmaster@crepes.test", "--password-stdin"]);
    passwd.arg("--data").arg(data);
    told(run_with_input(passwd, "correct horse battery\n"));
    let mut up = tests::utopia::command(&["up"]);
    up.arg("--data").arg(data);
    Utopia::start_command(up, data)
}

/// How often each number is in a mailbox.
fn count(texts: &[String]) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for text in texts {
        let number = text.split("Subject: number ").nth(1).and_then(|rest| rest.split(' ').next());
        let number = number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text}"));
        *counts.entry(number).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries() {
    let Some(python) = peer("python3") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let set_up = Utopia::start(&data);
    let (alice, bob) = (set_up.password("alice@utopia.test"), set_up.password("bob@utopia.test"));
    let (smtp, submissions, ca_file) = (set_up.at("smtp"), set_up.at("submissions"), set_up.ca_file());
    let crepes = crepes(&folder.path().join("crepes"), set_up.at("dns"));
    set_up.stop();
    edit(&data.join("utopia.toml"), |text| {
        let dns = crepes.at("dns");
        let stubs = format!("[resolver.stub_zones]\n\"crepes.test\" = [\"{dns}\"]\n\"test\" = [\"{dns}\"]\n");
        let queue = format!("[queue]\nremote_port = {}\nretry_seconds_first = 1\n", crepes.at("smtp").port());
        // Carol's mail comes from here, not from where crepes.test says.
        let lenient = "[smtp]\nenforce_dmarc = false\n";
        text.replace("[resolver.stub_zones]\n", &stubs).replace("[smtp]\n", lenient) + "\n" + &queue
    });

    let (here, elsewhere) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let next = Arc::new(AtomicUsize::new(0));
    let mut seeded = Seeded(20_061_115);
    for round in 1..=ROUNDS {
        let utopia = Utopia::start(&data);
        let mut clients = Vec::new();
        for client in 1..=SUBMITTERS {
            let mut submitter = Command::new(&python);
            submitter.args(["-c", SUBMITTER, &submissions.ip().to_string(), &submissions.port().to_string()]);
            submitter.arg(&ca_file).arg((round * 1_000_000 + client * 100_000).to_string());
            let (alice, elsewhere) = (alice.clone(), elsewhere.clone());
            clients
                .push(tokio::task::spawn_blocking(move || submit_elsewhere(submitter, &alice, &elsewhere)));
        }
        // They need a while to log in; then all are in the middle of it.
        let before = elsewhere.lock().expect("no panic").len();
        wait_for("mail for elsewhere", || (elsewhere.lock().expect("no panic").len() > before).then_some(()));
        for _ in SUBMITTERS..CLIENTS {
            let delivering = deliver(smtp, next.clone(), here.clone());
            clients.push(tokio::spawn(async move {
                // Ended by the broken connection.
                let _ = delivering.await;
            }));
        }
        let acknowledged =
            || here.lock().expect("no panic").len() + elsewhere.lock().expect("no panic").len();
        kill_in_the_middle(&utopia, acknowledged, &mut seeded).await;
        for client in clients {
            // Ended by the broken connection, not by a wrong reply.
            client.await.expect("no wrong reply");
        }
    }

    let utopia = Utopia::start(&data);
    let (here, elsewhere) =
        (here.lock().expect("no panic").clone(), elsewhere.lock().expect("no panic").clone());
    assert!(
        here.len() + elsewhere.len() >= ACKNOWLEDGED_MIN && elsewhere.len() >= ROUNDS,
        "{}",
        elsewhere.len()
    );
    told(utopia.ask(&["mail", "queue", "retry"]));
    wait_for("the queue is empty", || {
        let list = told(utopia.ask(&["mail", "queue", "list", "--json"]));
        (list.trim() == "[]").then_some(())
    });
    let bobs = count(&inbox(&python, &utopia, "bob@utopia.test", &bob));
    for number in &here {
        assert_eq!(bobs.get(number), Some(&1), "number {number}, which was acknowledged");
    }
    assert!(bobs.values().all(|copies| *copies == 1), "nothing twice: {bobs:?}");
    // Beyond what was acknowledged at most what was under way at each kill.
    assert!(bobs.len() <= here.len() + ROUNDS * CLIENTS, "{} of {}", bobs.len(), here.len());

    let theirs = count(&inbox(&python, &crepes, "postmaster@crepes.test", "correct horse battery"));
    for number in &elsewhere {
        assert!(theirs.contains_key(number), "number {number}, which was acknowledged, was lost on its way");
    }
    // Between two hosts SMTP promises at least once (RFC 5321 section 4.2.5): what
    // was under way at a kill may come again, nothing else may.
    let again: usize = theirs.values().map(|copies| copies - 1).sum();
    println!("{} here, {} elsewhere, of these {again} twice", here.len(), elsewhere.len());
    assert!(again <= ROUNDS * 4, "{again} came again");
    utopia.stop();
    crepes.stop();
}

// ---- updates ----------------------------------------------------------------

/// What one client knows of its names: acknowledged to be there, or to be gone.
#[derive(Debug, Default)]
struct Known {
    there: BTreeSet<usize>,
    gone: BTreeSet<usize>,
    acknowledged: usize,
}

/// The address record of number `number`.
fn record(number: usize) -> dns::Record {
    let owner = Name::bytes_from_str(&format!("u{number}.utopia.test")).expect("a name");
    let [.., a, b, c] = (number as u32).to_be_bytes();
    Record::new(owner, Class::IN, Ttl::from_secs(60), A::new(Ipv4Addr::new(10, a, b, c)).into())
}

/// Adds names, and deletes every fourth again, until the server is gone.
async fn update(
    dns: SocketAddr,
    key: Arc<dns::tsig::Key>,
    next: Arc<AtomicUsize>,
    known: Arc<Mutex<Known>>,
) -> Option<()> {
    let zone = Name::bytes_from_str("utopia.test").expect("a name");
    let network = Network::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let added = [Change::Add(record(number))];
        dns_server::update_client::send(&network, dns, &zone, &added, key.clone()).await.ok()?;
        {
            let mut known = known.lock().expect("no panic");
            known.acknowledged += 1;
            known.there.insert(number);
        }
        if number % 4 == 3 {
            // From now until the reply nobody knows.
            known.lock().expect("no panic").there.remove(&number);
            let deleted = [Change::Delete(record(number))];
            dns_server::update_client::send(&network, dns, &zone, &deleted, key.clone()).await.ok()?;
            let mut known = known.lock().expect("no panic");
            known.acknowledged += 1;
            known.gone.insert(number);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn updates() {
    let Some(dig) = peer("dig") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut utopia = Utopia::start(&data);
    let secret = fs::read_to_string(data.join("secrets/update.tsig")).expect("the secret");
    let secret = secret.trim();
    let key = dns::tsig::key("update", "hmac-sha256", secret).expect("a key");
    let known = Arc::new(Mutex::new(Known::default()));
    let next = Arc::new(AtomicUsize::new(0));
    let mut seeded = Seeded(19_870_401);
    for _ in 0..ROUNDS {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| tokio::spawn(update(utopia.at("dns"), key.clone(), next.clone(), known.clone())))
            .collect();
        kill_in_the_middle(&utopia, || known.lock().expect("no panic").acknowledged, &mut seeded).await;
        for client in clients {
            client.await.expect("no panic");
        }
        drop(utopia);
        utopia = Utopia::start(&data);
    }

    let at = utopia.at("dns");
    let mut transfer = Command::new(dig);
    transfer.args([format!("@{}", at.ip()), "-p".into(), at.port().to_string(), "-y".into()]);
    transfer.args([&format!("hmac-sha256:update:{secret}"), "utopia.test", "AXFR", "+nostats", "+onesoa"]);
    let output = transfer.output().expect("dig runs");
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut served = BTreeMap::<usize, usize>::new();
    let mut serial = None;
    for line in text.lines() {
        let fields: Vec<_> = line.split_whitespace().collect();
        match fields[..] {
            [owner, _, "IN", "A", address] => {
                let Some(number) =
                    owner.strip_prefix('u').and_then(|rest| rest.split('.').next()?.parse().ok())
                else {
                    continue;
                };
                *served.entry(number).or_default() += 1;
                let [.., a, b, c] = (number as u32).to_be_bytes();
                assert_eq!(address.parse::<IpAddr>(), Ok(IpAddr::from([10, a, b, c])), "{line}");
            }
            [_, _, "IN", "SOA", _, _, number, ..] => serial = number.parse::<usize>().ok(),
            _ => {}
        }
    }
    let known = known.lock().expect("no panic");
    assert!(known.acknowledged >= ACKNOWLEDGED_MIN && !known.gone.is_empty(), "{known:?}");
    for number in &known.there {
        assert_eq!(served.get(number), Some(&1), "u{number}, which was acknowledged");
    }
    for number in &known.gone {
        assert_eq!(served.get(number), None, "u{number}, whose end was acknowledged");
    }
    assert!(served.values().all(|copies| *copies == 1), "{served:?}");
    // Each update raised the serial once: none was lost and none made twice.
    let made = serial.expect("a SOA") - 1;
    println!("{} acknowledged, {made} made", known.acknowledged);
    assert!((known.acknowledged..=known.acknowledged + ROUNDS * CLIENTS).contains(&made), "{made}");
    utopia.stop();
}
