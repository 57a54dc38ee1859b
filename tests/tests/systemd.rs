//! Under systemd: sockets handed over, the state told, and a unit file that
//! holds what it promises.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tests::utopia::{Utopia, program, said, told, without_mail};
use tests::{peer, skip};

/// What systemd says about a unit's state, by datagrams.
struct Notifications(UnixDatagram);

impl Notifications {
    fn bind(file: &Path) -> Self {
        let socket = UnixDatagram::bind(file).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_mins(1))).expect("a timeout");
        Self(socket)
    }

    /// The next one; its lines.
    fn next(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).expect("a notification");
        String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned).collect()
    }
}

#[test]
fn the_state_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    Utopia::start(&data).stop();
    let socket = folder.path().join("notify");
    let notifications = Notifications::bind(&socket);
    let mut up = tests::utopia::command(&["up"]);
    up.arg("--data").arg(&data).env("NOTIFY_SOCKET", &socket).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = up.spawn().expect("utopia runs");
    let signal = |name: &str| {
        let sent = Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
    };
    assert_eq!(notifications.next(), ["READY=1"]);
    // Ready means ready: asked once, without patience.
    let mut status = tests::utopia::command(&["status", "--json"]);
    told(status.arg("--data").arg(&data).output().expect("utopia runs"));

    for wrong in [false, true] {
        if wrong {
            fs::write(data.join("utopia.toml"), "nonsense").expect("written");
        }
        signal("-HUP");
        let reloading = notifications.next();
        assert_eq!(reloading[0], "RELOADING=1");
        // Type=notify-reload wants to know since when.
        assert!(reloading[1].starts_with("MONOTONIC_USEC="), "{reloading:?}");
        assert_eq!(notifications.next(), ["READY=1"], "the old configuration goes on");
    }
    signal("-TERM");
    assert_eq!(notifications.next(), ["STOPPING=1"]);
    assert!(child.wait().expect("it ends").success());
}

/// Opens sockets as systemd does and runs a command that inherits them, as
/// somebody without privileges where it can. Arguments: `tcp|udp/ADDRESS/PORT`
/// each, then `--` and the command.
const LAUNCHER: &str = r#"
import fcntl, os, socket, sys
split = sys.argv.index("--")
wanted, command = sys.argv[1:split], sys.argv[split + 1:]
high = []
for index, text in enumerate(wanted):
    kind, address, port = text.split("/")
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    s.bind((address, int(port)))
    if kind == "tcp":
        s.listen(64)
    high.append(fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 200))
    s.detach()
for index, descriptor in enumerate(high):
    os.dup2(descriptor, 3 + index)
    os.close(descriptor)
print("open", flush=True)
sys.stdin.readline()
os.environ["LISTEN_FDS"] = str(len(wanted))
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDNAMES"] = ":".join("utopia.socket" for _ in wanted)
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
os.execv(command[0], command)
"#;

#[test]
fn sockets_handed_over_are_used_and_early_clients_are_served() {
    let Some(python) = peer("python3") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let set_up = Utopia::start(&data);
    let services: Vec<(String, SocketAddr)> = set_up
        .services()
        .iter()
        .map(|service| {
            let text = |key: &str| service[key].as_str().expect("text").to_owned();
            (text("transport"), text("address").parse().expect("an address"))
        })
        .collect();
    let (smtp, dns) = (set_up.at("smtp"), set_up.at("dns"));
    let password = set_up.password("alice@utopia.test");
    set_up.stop();
    let own = folder.path().join("utopia");
    fs::copy(program(), &own).expect("copied");
    if told(Command::new("id").arg("-u").output().expect("id runs")).trim() == "0" {
        told(
            Command::new("chown")
                .args(["-R", "65534:65534"])
                .arg(folder.path())
                .output()
                .expect("chown runs"),
        );
    }

    let mut launch = Command::new(python);
    launch.args(["-c", LAUNCHER]);
    for (transport, address) in &services {
        launch.arg(format!("{transport}/{}/{}", address.ip(), address.port()));
    }
    launch.arg("--").arg(&own).args(["up", "--data"]).arg(&data);
    let go = folder.path().join("go");
    // A pipe by name: the test says when the program may start.
    told(Command::new("mkfifo").arg(&go).output().expect("mkfifo runs"));
    let reading = std::thread::spawn({
        let go = go.clone();
        move || fs::OpenOptions::new().write(true).open(go)
    });
    launch.stdin(fs::File::open(&go).expect("the pipe"));
    let mut writing = reading.join().expect("a thread").expect("the pipe");

    // Started from a thread, because it becomes ready only after we let it go.
    let starting = std::thread::spawn({
        let data = data.clone();
        move || Utopia::start_command(launch, &data)
    });
    let (mut early, question) = tests::utopia::wait_for("the sockets are open", || {
        let early = TcpStream::connect(smtp).ok()?;
        let question = UdpSocket::bind((dns.ip(), 0)).expect("a socket");
        question.connect(dns).expect("connected");
        Some((early, question))
    });
    // `utopia.test MX`, asked before anybody is there to answer.
    let query = b"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06utopia\x04test\x00\x00\x0f\x00\x01";
    question.send(query).expect("sent");
    std::io::Write::write_all(&mut writing, b"go\n").expect("written");
    let utopia = starting.join().expect("it starts");

    let patience = Some(Duration::from_mins(1));
    early.set_read_timeout(patience).expect("a timeout");
    question.set_read_timeout(patience).expect("a timeout");
    let mut greeting = [0; 4];
    early.read_exact(&mut greeting).expect("a greeting");
    assert_eq!(&greeting, b"220 ");
    let mut answer = [0; 1500];
    let length = question.recv(&mut answer).expect("an answer");
    assert!(length > query.len() && answer[..2] == query[..2], "{:?}", &answer[..length]);
    assert_eq!((answer[3] % 16, answer[7]), (0, 1), "NOERROR and one record");

    let now: Vec<_> = utopia
        .services()
        .iter()
        .map(|service| {
            let text = |key: &str| service[key].as_str().expect("text").to_owned();
            (text("transport"), text("address").parse().expect("an address"))
        })
        .collect();
    assert_eq!(now, services, "all on the sockets that were handed over, without any privilege");
    if let Some(python) = peer("python3") {
        tests::mail::inbox(&python, &utopia, "alice@utopia.test", &password);
    }

    // They serve again: for other threads, and for services that go and come back.
    let file = data.join("utopia.toml");
    let text = fs::read_to_string(&file).expect("the configuration");
    let more_threads = text.replace("[dns]\n", "[dns]\nthreads = 3\n");
    let off = without_mail(&text).replace(&format!("listen = [\"{dns}\"]"), "listen = []");
    assert!(more_threads != text && !off.contains(&format!("listen = [\"{dns}\"]")));
    for text in [&more_threads, &off, &text] {
        fs::write(&file, text).expect("written");
        told(utopia.ask(&["reload"]));
    }
    question.send(query).expect("sent");
    let length = question.recv(&mut answer).expect("an answer");
    assert_eq!((answer[3] % 16, answer[7]), (0, 1), "{:?}", &answer[..length]);
    assert!(tests::mail::Smtp::connect(smtp).say("EHLO client.test").starts_with("250"));
    utopia.stop();
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    Utopia::start(&data).stop();
    let mut up = tests::utopia::command(&["up"]);
    up.arg("--data").arg(&data).envs([("LISTEN_FDS", "5"), ("LISTEN_PID", "1")]);
    Utopia::start_command(up, &data).stop();
}

#[test]
fn the_unit_files_are_right_and_hardened() {
    let Some(analyze) = peer("systemd-analyze") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let packaging = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging"));
    let (service, socket) = (folder.path().join("utopia.service"), folder.path().join("utopia.socket"));
    let unit = fs::read_to_string(packaging.join("utopia.service")).expect("the unit");
    let placed = unit.replace("/usr/local/bin/utopia", program().to_str().expect("a path"));
    assert_ne!(placed, unit);
    fs::write(&service, placed).expect("written");
    fs::copy(packaging.join("utopia.socket"), &socket).expect("copied");
    let verified = Command::new(&analyze).arg("verify").arg(&service).arg(&socket).output().expect("it runs");
    if said(&verified).contains("Failed to") && said(&verified).contains("bus") {
        return skip("systemd-analyze cannot verify units here");
    }
    assert!(verified.status.success(), "{}", said(&verified));
    let text = said(&verified);
    let about_us: Vec<_> = text.lines().filter(|line| line.contains("utopia.")).collect();
    assert!(about_us.is_empty(), "{about_us:?}");
    // 0 is no exposure, 100 is all of it; an unconfined service has 96.
    let mut security = Command::new(&analyze);
    security.args(["security", "--offline=true", "--no-pager", "--threshold=20"]).arg(&service);
    told(security.output().expect("it runs"));
}

/// The addresses that stand in quotes on lines that begin with `listen`, as the
/// sockets that they need.
fn configured(text: &str) -> BTreeSet<String> {
    let mut sockets = BTreeSet::new();
    let mut section = "";
    for line in text.lines() {
        section = if line.starts_with('[') { line } else { section };
        if line.starts_with("listen") {
            for address in line.split('"').skip(1).step_by(2) {
                let read: std::net::SocketAddr = address.parse().expect("an address");
                // The program opens others itself.
                if read.port() > 1023 {
                    continue;
                }
                sockets.insert(format!("ListenStream={address}"));
                if matches!(section, "[dns]" | "[resolver]") {
                    sockets.insert(format!("ListenDatagram={address}"));
                }
            }
        }
    }
    sockets
}

#[test]
fn the_socket_unit_opens_just_what_init_configures() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut init = tests::utopia::command(&["init", "example.org", "--address", "192.0.2.53", "--data"]);
    told(init.arg(&data).output().expect("utopia runs"));
    let configuration = fs::read_to_string(data.join("utopia.toml")).expect("the configuration");
    let unit = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/utopia.socket"));
    let unit = unit.expect("the unit");
    let opened: BTreeSet<_> =
        unit.lines().filter(|line| line.starts_with("Listen")).map(str::to_owned).collect();
    assert_eq!(opened, configured(&configuration));
}
