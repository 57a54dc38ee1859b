//! A reload in which services take addresses over from one another.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tests::mail::Smtp;
use tests::utopia::{Utopia, said, told, wait_for};

/// `utopia.test A`, recursion desired.
const QUERY: &[u8] =
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06utopia\x04test\x00\x00\x01\x00\x01";

/// Exchanges addresses in a configuration.
fn exchanged(text: &str, pairs: &[(SocketAddr, SocketAddr)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (one, other)| {
        let text = text.replace(&format!("\"{one}\""), "\"-\"");
        text.replace(&format!("\"{other}\""), &format!("\"{one}\"")).replace("\"-\"", &format!("\"{other}\""))
    })
}

/// The reply to [`QUERY`].
fn ask(at: SocketAddr) -> std::io::Result<Vec<u8>> {
    let socket = UdpSocket::bind(SocketAddr::new(at.ip(), 0))?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    socket.send_to(QUERY, at)?;
    let mut reply = vec![0; 1500];
    let octets = socket.recv(&mut reply)?;
    reply.truncate(octets);
    Ok(reply)
}

/// Whether recursion is available at an address, which has an answer; `None` where
/// it says SERVFAIL: a resolver that asked our name server while that moved remembers
/// the failure for a moment (RFC 9520).
fn recurses(at: SocketAddr) -> Option<bool> {
    let reply = ask(at).expect("a reply");
    let (code, records) = (reply[3] & 0x0f, reply[7]);
    if code == 2 {
        return None;
    }
    assert_eq!((code, records), (0, 1), "NOERROR and one record: {reply:?}");
    Some(reply[3] & 0x80 != 0)
}

/// Connects, is greeted and says goodbye.
fn visit(at: SocketAddr) -> std::io::Result<()> {
    let stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    for (command, reply) in [("", "220"), ("QUIT\r\n", "221")] {
        (&stream).write_all(command.as_bytes())?;
        line.clear();
        reader.read_line(&mut line)?;
        if !line.starts_with(reply) {
            return Err(std::io::Error::other(format!("{reply} was expected, not {line:?}")));
        }
    }
    Ok(())
}

fn reload(utopia: &Utopia, file: &Path, text: &str) {
    fs::write(file, text).expect("written");
    told(utopia.ask(&["reload"]));
}

/// Ends the clients, also when the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn services_exchange_addresses_and_whoever_asks_meanwhile_is_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let utopia = Utopia::start(&data);
    let [dns, resolver, smtp, submission] =
        ["dns", "resolver", "smtp", "submission"].map(|name| utopia.at(name));
    let file = data.join("utopia.toml");
    let first =
        fs::read_to_string(&file).expect("the configuration").replace("[dns]\n", "[dns]\nthreads = 1\n");
    let second =
        exchanged(&first, &[(dns, resolver), (smtp, submission)]).replace("threads = 1", "threads = 3");
    let third = first.replace("threads = 1", "threads = 2");
    assert!(second != first && third != first);

    let (ended, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let end = End(&ended);
        let client = |work: &'static (dyn Fn(SocketAddr) -> std::io::Result<()> + Sync), at| {
            let (ended, done) = (&ended, &done);
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    if let Err(error) = work(at) {
                        return Err(format!("{at}: {error}"));
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        };
        let clients: Vec<_> = [dns, resolver]
            .map(|at| client(&|at| ask(at).map(drop), at))
            .into_iter()
            .chain([smtp, submission].map(|at| client(&visit, at)))
            .collect();
        for text in [&second, &first, &third, &second, &third, &first, &second] {
            let before = done.load(Ordering::Relaxed);
            let some = || done.load(Ordering::Relaxed) > before + 20;
            wait_for("clients come", || {
                (some() || clients.iter().any(std::thread::ScopedJoinHandle::is_finished)).then_some(())
            });
            reload(&utopia, &file, text);
            // Who comes after the reload meets the right service; a thread may have
            // its hand on a last batch.
            let swapped = text == &second;
            wait_for("each is where it shall be", || {
                ((recurses(dns), recurses(resolver)) == (Some(swapped), Some(!swapped))).then_some(())
            });
            for (at, submits) in [(smtp, swapped), (submission, !swapped)] {
                wait_for("each is where it shall be", || {
                    let mut client = Smtp::connect(at);
                    client.say("EHLO client.test");
                    let reply = client.say("MAIL FROM:<carol@elsewhere.example>");
                    (reply.starts_with("530") == submits).then_some(())
                });
            }
        }
        drop(end);
        for client in clients {
            client.join().expect("a thread").expect("everybody is answered");
        }
    });
    utopia.stop();
}

#[test]
fn an_address_is_passed_on_and_a_reload_that_fails_takes_nothing_from_anybody() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let utopia = Utopia::start(&data);
    let [http, imap] = ["http", "imap"].map(|name| utopia.at(name));
    let [dns, resolver] = ["dns", "resolver"].map(|name| utopia.at(name));
    let file = data.join("utopia.toml");
    let first = fs::read_to_string(&file).expect("the configuration");
    let free =
        TcpListener::bind(SocketAddr::new(http.ip(), 0)).expect("a port").local_addr().expect("an address");
    let greeting = |at| {
        let mut line = String::new();
        let stream = TcpStream::connect(at).expect("a connection");
        (&stream).write_all(b"GET / HTTP/1.0\r\n\r\n").expect("written");
        BufReader::new(stream).read_line(&mut line).expect("a line");
        line
    };

    // http goes to a free port, imap to where it was.
    let passed_on = exchanged(&exchanged(&first, &[(http, free)]), &[(imap, http)]);
    // The same, but something cannot be had.
    let taken = TcpListener::bind(SocketAddr::new(http.ip(), 0)).expect("a port");
    let taken = taken.local_addr().map(|address| (address, taken)).expect("an address");
    let impossible = exchanged(&passed_on, &[(dns, resolver), (free, taken.0)]);
    fs::write(&file, &impossible).expect("written");
    let refused = utopia.ask(&["reload"]);
    assert!(!refused.status.success() && said(&refused).contains(&taken.0.to_string()), "{}", said(&refused));
    for _ in 0..10 {
        assert_eq!((recurses(dns), recurses(resolver)), (Some(false), Some(true)));
        assert!(greeting(http).starts_with("HTTP/1.0 200"));
        assert!(greeting(imap).starts_with("* OK"));
    }

    reload(&utopia, &file, &passed_on);
    for _ in 0..10 {
        assert!(greeting(http).starts_with("* OK"), "imap is where http was");
        assert!(greeting(free).starts_with("HTTP/1.0 200"));
    }
    wait_for("nobody is where imap was", || TcpStream::connect(imap).err());
    reload(&utopia, &file, &first);
    assert!(greeting(http).starts_with("HTTP/1.0 200") && greeting(imap).starts_with("* OK"));
    utopia.stop();
}
