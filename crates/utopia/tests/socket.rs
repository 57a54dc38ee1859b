//! `utopia socket` from outside: the lecture's pair, several clients, TLS,
//! JSON, capture, and errors that name address and remedy.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, ChildStderr, ChildStdin, Command, Output, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

fn utopia(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_utopia"));
    command.arg("socket").args(arguments);
    command
}

/// Runs to the end with `input` typed.
fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = utopia(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// A listening command, ended when dropped.
struct Server {
    child: Child,
    address: String,
    stdin: ChildStdin,
    notices: BufReader<ChildStderr>,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut child = utopia(&[&["listen"], arguments].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut notices = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        notices.read_line(&mut line).unwrap();
        let address = line.split_whitespace().nth(2).unwrap_or_else(|| panic!("{line:?}")).to_owned();
        let stdin = child.stdin.take().unwrap();
        Self { child, address, stdin, notices }
    }

    fn notice(&mut self) -> String {
        let mut line = String::new();
        self.notices.read_line(&mut line).unwrap();
        line
    }

    /// Asks it to end as Ctrl-C does; gives its output.
    fn end(mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let mut output = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        assert!(self.child.wait().unwrap().success());
        output
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap()
}

#[test]
fn a_line_in_upper_case_back() {
    for transport in ["--udp", "--tcp", "--tls"] {
        let server = Server::start(&[transport, "0", "--upper"]);
        let mut arguments = vec!["connect", transport, &server.address];
        if transport == "--tls" {
            arguments.push("--insecure");
        }
        let output = run(&arguments, "hello\ngrüße\n".as_bytes());
        assert_eq!(text(&output.stdout), "HELLO\nGRÜSSE\n", "{transport} {}", text(&output.stderr));
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn a_listener_to_whom_nobody_comes_ends_after_its_timeout() {
    for transport in ["--udp", "--tcp"] {
        let output = run(&["listen", transport, "0", "--timeout", "0.2"], b"");
        assert_eq!(output.status.code(), Some(0), "{transport} {}", text(&output.stderr));
    }
}

#[test]
fn foreign_clients_get_it_too() {
    let server = Server::start(&["--udp", "0", "--upper"]);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send_to(b"lower", &server.address).unwrap();
    let mut buffer = [0; 16];
    let length = client.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"LOWER");
    let server = Server::start(&["--tcp", "0", "--upper"]);
    let mut client = TcpStream::connect(&server.address).unwrap();
    client.write_all(b"lo").unwrap();
    client.write_all(b"wer\n").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut reply = String::new();
    client.read_to_string(&mut reply).unwrap();
    assert_eq!(reply, "LOWER\n");
}

#[test]
fn what_is_typed_goes_to_all_clients_and_lines_are_named() {
    let mut server = Server::start(&["--tcp", "0", "--lines"]);
    let mut first = TcpStream::connect(&server.address).unwrap();
    let mut second = TcpStream::connect(&server.address).unwrap();
    for _ in 0..2 {
        assert!(server.notice().starts_with("connected tcp 127.0.0.1:"));
    }
    // The clients subscribe right after the notice; ask until both have heard.
    first.write_all(b"one\n").unwrap();
    second.write_all(b"two\n").unwrap();
    let mut printed = BufReader::new(server.child.stdout.take().unwrap());
    let mut lines = [String::new(), String::new()];
    for line in &mut lines {
        printed.read_line(line).unwrap();
    }
    lines.sort();
    let mut expected =
        [format!("{} one\n", first.local_addr().unwrap()), format!("{} two\n", second.local_addr().unwrap())];
    expected.sort();
    assert_eq!(lines, expected);
    server.stdin.write_all(b"to all\n").unwrap();
    for client in [&first, &second] {
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut line = String::new();
        BufReader::new(client).read_line(&mut line).unwrap();
        assert_eq!(line, "to all\n");
    }
}

#[test]
fn json_is_one_object_a_line() {
    let server = Server::start(&["--udp", "0", "--upper"]);
    let output = run(&["connect", "--udp", &server.address, "--json"], b"hi\n");
    let lines: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!((&lines[0]["event"], &lines[0]["text"]), (&"sent".into(), &"hi".into()));
    assert_eq!((&lines[1]["event"], &lines[1]["text"]), (&"received".into(), &"HI".into()));
    assert_eq!(lines[1]["from"], server.address.as_str());
    assert_eq!(lines[1]["to"], lines[0]["from"]);
}

#[test]
fn hexadecimal_both_ways() {
    let server = Server::start(&["--udp", "0", "--upper"]);
    let output = run(&["connect", "--udp", &server.address, "--hex"], b"61 62 ff 00\n");
    assert_eq!(text(&output.stdout), "4142ff00\n");
    let wrong = run(&["connect", "--udp", &server.address, "--hex"], b"61\nxyz\n");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("line 2 of the input is no hexadecimal"), "{}", text(&wrong.stderr));
}

#[test]
fn a_capture_is_complete_after_the_end_and_is_decrypted_by_its_own_keys() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tls.pcapng");
    let server = Server::start(&["--tls", "0", "--upper", "--capture", file.to_str().unwrap()]);
    let output = run(&["connect", "--tls", &server.address, "--insecure"], b"whisper\n");
    assert_eq!(text(&output.stdout), "WHISPER\n");
    server.end();
    let octets = std::fs::read(&file).unwrap();
    assert_eq!(octets[..4], 0x0A0D_0D0A_u32.to_le_bytes());
    assert!(!octets.windows(7).any(|window| window == b"WHISPER"), "TLS was captured as plain text");
    assert!(octets.windows(23).any(|window| window == b"CLIENT_TRAFFIC_SECRET_0"));
    let Ok(tshark) = Command::new("tshark").arg("-r").arg(&file).args(["-x"]).output() else {
        eprintln!("tshark is absent: not read back");
        return;
    };
    let dump = String::from_utf8_lossy(&tshark.stdout).into_owned();
    assert!(dump.contains("Decrypted TLS"), "{dump}");
    assert!(dump.contains("WHISPER"), "{dump}");
}

#[test]
fn errors_name_address_and_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["listen", "--tcp", &address], b"");
    assert_eq!(output.status.code(), Some(1));
    let line = text(&output.stderr);
    assert!(line.contains(&address) && line.contains("choose another port"), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    drop(taken);
    for transport in ["--tcp", "--udp"] {
        let output = run(&["connect", transport, &address], b"hello\n");
        assert_eq!(output.status.code(), Some(1));
        let line = text(&output.stderr);
        assert!(line.contains("connection refused") && line.contains(&address), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
    let output = run(&["connect", "--tls", &address, "--ca", "/nowhere.pem"], b"");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_certificate_nobody_vouches_for_is_refused() {
    let server = Server::start(&["--tls", "0"]);
    let output = run(&["connect", "--tls", &server.address], b"hello\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("--insecure"), "{}", text(&output.stderr));
}

#[test]
fn used_wrongly_is_2_and_help_has_examples() {
    for wrong in [
        &["listen", "--tcp", "no port"][..],
        &["connect", "--udp", "nohost"],
        &["listen", "--udp", "--tcp", "1"],
        &["connect", "--tcp", "127.0.0.1:1", "--insecure"],
        &["listen", "--tls", "1", "--cert", "only.pem"],
    ] {
        assert_eq!(run(wrong, b"").status.code(), Some(2), "{wrong:?}");
    }
    for verb in ["listen", "connect"] {
        let help = run(&[verb, "--help"], b"");
        assert!(text(&help.stdout).contains(&format!("utopia socket {verb} --udp")));
    }
}

#[test]
fn gives_up_after_its_timeout_and_ends_with_its_only_client() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let output = run(&["connect", "--udp", &address, "--timeout", "0.05"], b"anybody?\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no answer from udp"));
    let output = run(&["connect", "--udp", &address, "--timeout", "0"], b"just so you know\n");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mut server = Server::start(&["--tcp", "0", "--once"]);
    TcpStream::connect(&server.address).unwrap().write_all(b"bytes").unwrap();
    assert!(server.child.wait().unwrap().success());
    let mut printed = String::new();
    server.child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!(printed, "bytes");
}

/// An address of loopback's many.
fn numbered(number: u16) -> std::net::Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    std::net::Ipv4Addr::new(127, 77, high, low)
}

#[test]
fn only_the_last_senders_are_told_what_is_typed() {
    let senders_max = 1_024;
    let mut server = Server::start(&["--udp", "0", "--upper"]);
    let speak = |number: u16| {
        let socket = UdpSocket::bind((numbered(number), 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.send_to(b"x", &server.address).unwrap();
        let mut reply = [0; 16];
        assert_eq!(socket.recv(&mut reply).unwrap(), 1);
        socket
    };
    let first = speak(0);
    let second = speak(1);
    // Each from an address of its own; the others need not stay open.
    for number in 2..senders_max {
        drop(speak(number));
    }
    let last = speak(senders_max);
    server.stdin.write_all(b"typed\n").unwrap();
    let mut typed = [0; 16];
    for socket in [&last, &second] {
        assert_eq!(socket.recv(&mut typed).unwrap(), 5);
    }
    // It goes to them in the order in which they spoke: the first would have it by now.
    first.set_nonblocking(true).unwrap();
    assert!(first.recv(&mut typed).is_err(), "the first of {} is forgotten", senders_max + 1);
}

#[test]
fn a_client_that_does_not_read_misses_pieces_and_holds_nobody_up() {
    let mut server = Server::start(&["--tcp", "0", "--lines"]);
    let mut slow = TcpStream::connect(&server.address).unwrap();
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(server.notice().starts_with("connected tcp 127.0.0.1:"));
    // The client is told what is typed from the moment its own line is printed.
    slow.write_all(b"here\n").unwrap();
    let mut printed = BufReader::new(server.child.stdout.take().unwrap());
    printed.read_line(&mut String::new()).unwrap();
    // Far more than the system keeps for it and than may wait.
    let mut line = vec![b'x'; 32 * 1024];
    line.push(b'\n');
    for _ in 0..2_000 {
        server.stdin.write_all(&line).unwrap();
    }
    let reading = std::thread::spawn(move || {
        let (mut octets, mut buffer) = (0, vec![0; 1 << 20]);
        while let Ok(read @ 1..) = slow.read(&mut buffer) {
            octets += read;
        }
        octets
    });
    let notice = server.notice();
    assert!(notice.starts_with("lagging ") && notice.contains(" pieces"), "{notice}");
    drop(server);
    let octets = reading.join().unwrap();
    assert!(octets < 2_000 * line.len(), "{octets} octets");
}

#[test]
fn what_is_typed_waits_for_a_server_that_does_not_read() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut child = utopia(&["connect", "--tcp", &address])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let typed = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (counting, piece, pieces) = (typed.clone(), vec![b'x'; 64 * 1024], 1_000);
    let typing = std::thread::spawn(move || {
        for _ in 0..pieces {
            stdin.write_all(&piece).unwrap();
            counting.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    });
    // Time for too much to be read ahead; it stays within what the system keeps
    // and the few pieces that wait.
    std::thread::sleep(Duration::from_secs(1));
    assert!(typed.load(std::sync::atomic::Ordering::SeqCst) < pieces);
    let (mut octets, mut buffer) = (0, vec![0; 1 << 20]);
    while octets < pieces * 64 * 1024 {
        let read = peer.read(&mut buffer).unwrap();
        assert!(read > 0, "{octets} octets came");
        octets += read;
    }
    typing.join().unwrap();
    drop(peer);
    child.wait().unwrap();
}
