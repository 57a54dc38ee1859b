//! Foreign mail readers against our IMAP service: Python's imaplib, mbsync, mutt.

use event::Reporter;
use mail_server::accounts::{self, Accounts};
use mail_server::imap;
use mail_server::mailbox::{self, Mailboxes};
use net::tls::{Authority, server_config};
use net::{Network, Shutdown};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};
use storage::Storage;
use tests::peer;

const PASSWORD: &str = "correct horse";

/// A server with the accounts alice and bob, and a folder for the peer.
struct Server {
    clear: SocketAddr,
    tls: SocketAddr,
    shutdown: Shutdown,
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    fn start() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let shutdown = Shutdown::new();
        let addresses = runtime.block_on(async {
            let data = folder.path().join("data");
            let storage = Storage::open(&storage::Config::default(), &data, Reporter::silent()).unwrap();
            let mailboxes = Mailboxes::new(mailbox::Config::default(), storage);
            let accounts = Accounts::new(accounts::Config::default(), mailboxes.clone());
            accounts.create("alice@utopia.test", PASSWORD).await.unwrap();
            let authority = Authority::create("Utopia test", SystemTime::now()).unwrap();
            let issued = authority.issue(&["localhost", "127.0.0.1"], SystemTime::now()).unwrap();
            fs::write(folder.path().join("ca.pem"), authority.cert_pem()).unwrap();
            let tls = server_config(&issued.cert_chain_pem, &issued.key_pem).unwrap();
            let local = "127.0.0.1:0".parse().unwrap();
            let service = imap::Server::new(imap::Parts {
                network: Network::new(),
                tls,
                accounts,
                mailboxes,
                reporter: Reporter::silent(),
                shutdown: shutdown.clone(),
            });
            let config = imap::Config { listen: vec![local], listen_tls: vec![local], ..Default::default() };
            service.carry_out(service.prepare(config).unwrap());
            service.addresses()
        });
        Self { clear: addresses[0].1, tls: addresses[1].1, shutdown, folder, runtime }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a Python script that knows the server as `clear`, `tls`, `ca`, `password`.
    fn python(&self, python: &Path, script: &str) {
        let start = format!(
            "import imaplib, ssl, socket, time\nclear, tls, ca, password = {}, {}, \"{}\", {PASSWORD:?}\n",
            self.clear.port(),
            self.tls.port(),
            self.path("ca.pem").display(),
        );
        let file = self.path("script.py");
        fs::write(&file, format!("{start}{PRELUDE}{script}")).unwrap();
        succeeded(Command::new(python).arg(file));
    }

    fn stop(self) {
        let finished = self.runtime.block_on(self.shutdown.finish(Duration::from_secs(10)));
        assert!(finished, "connections were still open 10 s after the shutdown was asked for");
    }
}

fn succeeded(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?} failed\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

const PRELUDE: &str = r#"
imaplib.Debug = 0
context = ssl.create_default_context(cafile=ca)
def connect():
    reader = imaplib.IMAP4_SSL("localhost", tls, ssl_context=context, timeout=30)
    reader.login("alice@utopia.test", password)
    return reader
def ok(answer):
    assert answer[0] == "OK", answer
    return answer[1]
def message(subject, body="hello"):
    return (f"From: bob@crepes.test\r\nTo: alice@utopia.test\r\nSubject: {subject}\r\n"
            f"Message-ID: <{subject}@crepes.test>\r\nDate: Wed, 17 Jul 1996 02:23:25 -0700\r\n\r\n{body}\r\n").encode()
"#;

#[test]
fn imaplib_reads_searches_flags_copies_moves_appends_deletes_and_expunges() {
    let Some(python) = peer("python3") else { return };
    let server = Server::start();
    server.python(
        &python,
        r#"
reader = imaplib.IMAP4("localhost", clear, timeout=30)
assert "LOGINDISABLED" in reader.capabilities
try:
    reader.login("alice@utopia.test", password)
    raise SystemExit("a password was taken in the clear")
except imaplib.IMAP4.error:
    pass
ok(reader.starttls(context))
ok(reader.authenticate("PLAIN", lambda _: f"\0alice@utopia.test\0{password}".encode()))

for subject in ["one", "two", "three"]:
    ok(reader.append("INBOX", "(\\Flagged)", imaplib.Time2Internaldate(0), message(subject)))
assert ok(reader.select("INBOX")) == [b"3"]
assert ok(reader.search(None, "FLAGGED", "SUBJECT", '"two"')) == [b"2"]
assert ok(reader.uid("SEARCH", "BODY", "hello")) == [b"1 2 3"]
fetched = ok(reader.fetch("1", "(FLAGS INTERNALDATE BODY.PEEK[])"))
assert fetched[0][1] == message("one"), fetched
assert b"01-Jan-1970" in fetched[0][0].replace(b'" 1', b'"01'), fetched
import email
envelope = ok(reader.fetch("2", "(ENVELOPE BODYSTRUCTURE)"))[0]
assert b'"two" ((NIL NIL "bob" "crepes.test"))' in envelope, envelope
assert b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 7 1' in envelope, envelope
ok(reader.fetch("2", "(RFC822)"))
assert b"\\Seen" in ok(reader.fetch("2", "(FLAGS)"))[0]
ok(reader.store("1", "+FLAGS", "(\\Answered $Work)"))
assert ok(reader.search(None, "KEYWORD", "$Work", "ANSWERED")) == [b"1"]
ok(reader.create("Archive/2026"))
ok(reader.copy("1:2", "Archive/2026"))
ok(reader.uid("MOVE", "3", "Archive/2026"))
ok(reader.store("1", "+FLAGS.SILENT", "(\\Deleted)"))
# imaplib gathers the EXPUNGE that came with MOVE as well.
assert ok(reader.expunge()) == [b"3", b"1"]
assert ok(reader.status("Archive/2026", "(MESSAGES)")) == [b"Archive/2026 (MESSAGES 3)"]
assert len(ok(reader.list())) >= 7
ok(reader.rename("Archive/2026", "Archive/old"))
ok(reader.select("Archive/old", readonly=True))
assert b"$Work" in ok(reader.fetch("1", "(FLAGS)"))[0]
ok(reader.unselect())
ok(reader.delete("Archive/old"))
reader.logout()

# What was answered with OK is there for the next one.
reader = connect()
assert ok(reader.select("INBOX")) == [b"1"]
assert reader.uid("FETCH", "2", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1][0][1] == b"Subject: two\r\n\r\n"
reader.logout()
"#,
    );
    server.stop();
}

#[test]
fn idle_wakes_on_delivery() {
    let Some(python) = peer("python3") else { return };
    let server = Server::start();
    server.python(
        &python,
        r#"
idler, other = connect(), connect()
ok(idler.select("INBOX"))
idler.send(b"i1 IDLE\r\n")
assert idler.readline().startswith(b"+ ")
ok(other.append("INBOX", None, None, message("news")))
assert idler.readline() == b"* 1 EXISTS\r\n"
ok(other.select("INBOX"))
ok(other.store("1", "+FLAGS", "(\\Deleted)"))
assert idler.readline() == b"* 1 FETCH (UID 1 FLAGS (\\Deleted))\r\n"
ok(other.expunge())
assert idler.readline() == b"* 1 EXPUNGE\r\n"
idler.send(b"DONE\r\n")
assert idler.readline().startswith(b"i1 OK")
"#,
    );
    server.stop();
}

#[test]
fn mbsync_keeps_a_folder_in_step_both_ways() {
    let (Some(mbsync), Some(python)) = (peer("mbsync"), peer("python3")) else { return };
    let server = Server::start();
    server.python(
        &python,
        r#"
reader = connect()
for number in range(30):
    ok(reader.append("INBOX", None, None, message(f"m{number}", "x" * 1000 * number)))
reader.logout()
"#,
    );
    let maildir = server.path("maildir");
    fs::create_dir(&maildir).unwrap();
    let configuration = server.path("mbsyncrc");
    fs::write(
        &configuration,
        format!(
            "IMAPStore far\nHost localhost\nPort {}\nUser alice@utopia.test\nPass \"{PASSWORD}\"\nSSLType IMAPS\n\
CertificateFile {}\n\nMaildirStore near\nPath {}/\nInbox {}/INBOX\nSubFolders Verbatim\n\n\
Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n",
            server.tls.port(),
            server.path("ca.pem").display(),
            maildir.display(),
            maildir.display(),
        ),
    )
    .unwrap();
    let sync = || succeeded(Command::new(&mbsync).arg("-c").arg(&configuration).arg("-a"));
    sync();
    let files = |folder: &str| -> Vec<PathBuf> {
        fs::read_dir(maildir.join("INBOX").join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    assert_eq!(files("new").len() + files("cur").len(), 30);

    // Read one, delete one, write one here; flag one there.
    let mut new = files("new");
    new.extend(files("cur"));
    new.sort();
    let cur = maildir.join("INBOX/cur");
    let renamed = |path: &Path, flags: &str| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let base = name.split(":2,").next().unwrap().to_owned();
        fs::rename(path, cur.join(format!("{base}:2,{flags}"))).unwrap();
    };
    renamed(&new[0], "S");
    renamed(&new[1], "T");
    fs::write(maildir.join("INBOX/new/9999999999.local.near"), "Subject: from here\r\n\r\nhi\r\n").unwrap();
    sync();
    server.python(
        &python,
        r#"
reader = connect()
assert ok(reader.select("INBOX")) == [b"30"]
assert len(ok(reader.search(None, "SEEN"))[0].split()) == 1
number = ok(reader.search(None, "SUBJECT", '"from here"'))[0].decode()
ok(reader.store(number, "+FLAGS", "(\\Flagged)"))
reader.logout()
"#,
    );
    sync();
    let flagged = files("cur").iter().filter(|path| path.to_string_lossy().ends_with(":2,F")).count();
    assert_eq!(flagged, 1, "{:?}", files("cur"));
    server.stop();
}

#[test]
fn mutt_reads_and_moves() {
    let (Some(mutt), Some(python)) = (peer("mutt"), peer("python3")) else { return };
    let server = Server::start();
    server.python(
        &python,
        r#"
reader = connect()
for number in range(3):
    ok(reader.append("INBOX", None, None, message(f"m{number}", f"body {number}")))
ok(reader.create("Kept"))
reader.logout()
"#,
    );
    // Mutt asks its terminal for nothing: a key sequence that saves the first
    // message elsewhere, reads and flags the second, and leaves.
    let configuration = server.path("muttrc");
    fs::write(
        &configuration,
        format!(
            "set folder=imaps://localhost:{port}/\nset spoolfile=imaps://localhost:{port}/INBOX\n\
set imap_user=alice@utopia.test\nset imap_pass=\"{PASSWORD}\"\nset certificate_file={ca}\n\
set ssl_usesystemcerts=no\nset ssl_verify_host=yes\nset quit=yes\nset delete=yes\nset mark_old=no\nset confirmappend=no\n\
set header_cache=\nset move=no\nset wait_key=no\nset pager_stop=yes\n\
push \"<first-entry><save-message>=Kept<enter><display-message><exit><flag-message><quit>\"\n",
            port = server.tls.port(),
            ca = server.path("ca.pem").display(),
        ),
    )
    .unwrap();
    // `script` gives mutt the terminal it insists on.
    let Some(script) = peer("script") else { return };
    let command = format!("{} -n -F {}", mutt.display(), configuration.display());
    let log = server.path("typescript");
    let mut running = Command::new("timeout");
    running.arg("60").arg(script).args(["-qec", &command]).arg(&log);
    running.env("TERM", "xterm").env("HOME", server.folder.path());
    running.stdin(std::process::Stdio::null());
    succeeded(&mut running);
    server.python(
        &python,
        r#"
reader = connect()
assert ok(reader.select("Kept")) == [b"1"]
assert b"Subject: m0" in ok(reader.fetch("1", "(BODY.PEEK[HEADER])"))[0][1]
assert ok(reader.select("INBOX")) == [b"2"]
found = ok(reader.search(None, "SEEN", "FLAGGED"))
assert found == [b"1"], found
assert b"Subject: m1" in ok(reader.fetch("1", "(BODY.PEEK[HEADER])"))[0][1]
reader.logout()
"#,
    );
    server.stop();
}
