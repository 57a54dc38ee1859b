//! Session scripts over real sockets: what the client says, what the server answers.

use super::{Config, Parts};
use crate::accounts::{self, Accounts};
use crate::mailbox::{self, Mailboxes};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use event::{Detail, Observer, Reporter, Told};
use mail::sasl::ScramClient;
use net::tls::{Authority, client_config_verified, server_config};
use net::{Network, Shutdown, Stream};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use storage::Storage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    shutdown: Shutdown,
    clear: SocketAddr,
    tls: SocketAddr,
    trust: Arc<rustls::ClientConfig>,
    _folder: tempfile::TempDir,
}

async fn server(config: Config) -> Server {
    server_told(config, Reporter::silent()).await
}

async fn server_told(config: Config, reporter: Reporter) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::open(&storage::Config::default(), folder.path(), Reporter::silent()).unwrap();
    let mailboxes = Mailboxes::new(mailbox::Config::default(), storage);
    let accounts = Accounts::new(accounts::Config::default(), mailboxes.clone());
    accounts.create("alice@x.test", "sesame street").await.unwrap();
    let authority = Authority::create("test", SystemTime::now()).unwrap();
    let issued = authority.issue(&["localhost"], SystemTime::now()).unwrap();
    let tls = server_config(&issued.cert_chain_pem, &issued.key_pem).unwrap();
    let shutdown = Shutdown::new();
    let local = "127.0.0.1:0".parse().unwrap();
    let config = Config { listen: vec![local], listen_tls: vec![local], ..config };
    let network = Network::new().reporting(reporter.clone());
    let service =
        super::Server::new(Parts { network, tls, accounts, mailboxes, reporter, shutdown: shutdown.clone() });
    service.carry_out(service.prepare(config).unwrap());
    let addresses = service.addresses();
    let trust = client_config_verified(authority.cert_pem()).unwrap();
    Server { shutdown, clear: addresses[0].1, tls: addresses[1].1, trust, _folder: folder }
}

impl Server {
    /// A client under TLS that has read the greeting.
    async fn stranger(&self) -> Peer {
        let stream = Network::new().connect(self.tls, PATIENCE).await.unwrap();
        let stream = stream.connect_tls(self.trust.clone(), "localhost").await.unwrap();
        let mut peer = Peer { stream, arrived: Vec::new(), tag: 0 };
        assert!(peer.line().await.starts_with("* OK [CAPABILITY IMAP4rev1"));
        peer
    }

    /// A client that is logged in.
    async fn alice(&self) -> Peer {
        let mut peer = self.stranger().await;
        peer.ok("LOGIN alice@x.test \"sesame street\"").await;
        peer
    }
}

struct Peer {
    stream: Stream,
    arrived: Vec<u8>,
    tag: u32,
}

impl Peer {
    async fn line(&mut self) -> String {
        self.line_or_end().await.expect("the server ended the connection")
    }

    async fn line_or_end(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.arrived.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.arrived.drain(..=end).collect();
                return Some(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            // On the heap: every await of a test would hold it otherwise.
            let mut more = vec![0; 65536];
            let reading = tokio::time::timeout(PATIENCE, self.stream.read(&mut more));
            match reading.await.expect("the server is silent") {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.arrived.extend_from_slice(&more[..count]),
            }
        }
    }

    async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.write_all(octets.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Gives a command; all lines up to the tagged one, its tag taken away.
    async fn give(&mut self, command: &str) -> Vec<String> {
        self.tag += 1;
        let tag = format!("t{} ", self.tag);
        self.send(format!("{tag}{command}\r\n")).await;
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            if let Some(rest) = line.strip_prefix(&tag) {
                lines.push(rest.to_owned());
                return lines;
            }
            lines.push(line);
        }
    }

    /// Gives a command that must succeed; the untagged lines.
    async fn ok(&mut self, command: &str) -> Vec<String> {
        let mut lines = self.give(command).await;
        let last = lines.pop().unwrap();
        assert!(last.starts_with("OK"), "{command}: {last}");
        lines
    }

    /// Gives a command; its tagged answer only.
    async fn answer(&mut self, command: &str) -> String {
        self.give(command).await.pop().unwrap()
    }

    async fn append(&mut self, mailbox: &str, flags: &str, message: &str) -> String {
        self.answer(&format!("APPEND {mailbox} {flags} {{{}+}}\r\n{message}", message.len())).await
    }
}

fn message(subject: &str) -> String {
    format!(
        "From: Bob <bob@x.test>\r\nSubject: {subject}\r\nDate: Wed, 17 Jul 1996 02:23:25 -0700\r\n\r\nHello {subject}\r\n"
    )
}

#[tokio::test]
async fn nobody_logs_in_in_the_clear() {
    let server = server(Config::default()).await;
    let stream = Network::new().connect(server.clear, PATIENCE).await.unwrap();
    let mut peer = Peer { stream, arrived: Vec::new(), tag: 0 };
    let greeting = peer.line().await;
    assert!(greeting.contains("STARTTLS LOGINDISABLED") && !greeting.contains("AUTH="), "{greeting}");
    assert!(peer.answer("LOGIN alice@x.test \"sesame street\"").await.starts_with("NO [PRIVACYREQUIRED]"));
    assert!(peer.answer("AUTHENTICATE PLAIN").await.starts_with("NO [PRIVACYREQUIRED]"));
    // What comes together with STARTTLS is not taken for what comes under TLS.
    peer.send("s STARTTLS\r\nx LOGOUT\r\n").await;
    assert!(peer.line().await.starts_with("s OK"));
    let stream = peer.stream.connect_tls(server.trust.clone(), "localhost").await.unwrap();
    let mut peer = Peer { stream, arrived: Vec::new(), tag: 0 };
    let capability = &peer.ok("CAPABILITY").await[0];
    assert!(capability.contains("AUTH=SCRAM-SHA-256 AUTH=PLAIN") && !capability.contains("LOGINDISABLED"));
    peer.ok("LOGIN alice@x.test \"sesame street\"").await;
    assert!(peer.answer("STARTTLS").await.starts_with("BAD"));
    assert_eq!(peer.ok("LOGOUT").await, ["* BYE until next time"]);
    assert_eq!(peer.line_or_end().await, None);
}

#[tokio::test]
async fn every_mechanism_logs_in_and_guessing_ends() {
    let server = server(Config::default()).await;
    let plain = STANDARD.encode(b"\0alice@x.test\0sesame street");
    let mut peer = server.stranger().await;
    assert!(peer.answer("SELECT INBOX").await.starts_with("BAD"));
    assert!(peer.answer(&format!("AUTHENTICATE PLAIN {plain}")).await.starts_with("OK [CAPABILITY"));
    let mut peer = server.stranger().await;
    peer.send("a AUTHENTICATE PLAIN\r\n").await;
    assert_eq!(peer.line().await, "+");
    peer.send(format!("{plain}\r\n")).await;
    assert!(peer.line().await.starts_with("a OK"));

    let mut peer = server.stranger().await;
    let mut scram = ScramClient::new("alice@x.test", "sesame street", "abcdefgh").unwrap();
    peer.send(format!("a AUTHENTICATE SCRAM-SHA-256 {}\r\n", STANDARD.encode(scram.client_first()))).await;
    for _ in 0..2 {
        let challenge = STANDARD.decode(peer.line().await.strip_prefix("+ ").unwrap()).unwrap();
        let answer = if let Ok(answer) = scram.server_first(&challenge) {
            answer
        } else {
            scram.server_final(&challenge).unwrap();
            Vec::new()
        };
        peer.send(format!("{}\r\n", STANDARD.encode(answer))).await;
    }
    assert!(peer.line().await.starts_with("a OK"));

    let mut peer = server.stranger().await;
    peer.send("a AUTHENTICATE PLAIN\r\n").await;
    peer.line().await;
    peer.send("*\r\n").await;
    assert!(peer.line().await.starts_with("a BAD"));
    assert!(peer.answer("AUTHENTICATE GSSAPI").await.starts_with("NO"));
    for _ in 0..3 {
        assert!(peer.answer("LOGIN alice@x.test guess").await.starts_with("NO [AUTHENTICATIONFAILED]"));
    }
    assert!(peer.line().await.starts_with("* BYE"));
    assert_eq!(peer.line_or_end().await, None);
}

#[tokio::test]
async fn messages_are_appended_read_flagged_copied_moved_and_expunged() {
    let server = server(Config::default()).await;
    let mut peer = server.alice().await;
    for subject in ["one", "two", "three"] {
        let answer = peer.append("INBOX", "(\\Flagged)", &message(subject)).await;
        assert!(answer.starts_with("OK [APPENDUID "), "{answer}");
    }
    assert!(peer.append("Nowhere", "()", "x").await.starts_with("NO [TRYCREATE]"));
    assert!(peer.append("INBOX", "()", "").await.starts_with("NO"));
    assert!(peer.append("INBOX", "()", "a\0b").await.starts_with("NO"));

    let lines = peer.ok("SELECT inbox").await;
    assert!(lines.contains(&"* 3 EXISTS".to_owned()), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("* OK [UIDNEXT 4]")), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("* OK [UNSEEN 1]")), "{lines:?}");

    let lines = peer.ok("FETCH 1:2 (UID FLAGS RFC822.SIZE)").await;
    assert_eq!(lines[0], format!("* 1 FETCH (UID 1 FLAGS (\\Flagged) RFC822.SIZE {})", message("one").len()));
    let lines = peer.ok("FETCH 2 ENVELOPE").await;
    assert!(lines[0].contains("\"two\" ((\"Bob\" NIL \"bob\" \"x.test\"))"), "{lines:?}");
    // Peeking leaves the message unseen, reading does not, and says so.
    let lines = peer.ok("FETCH 1 BODY.PEEK[TEXT]").await;
    assert_eq!(lines, ["* 1 FETCH (BODY[TEXT] {11}", "Hello one", ")"]);
    let lines = peer.ok("UID FETCH 1 (BODY[HEADER.FIELDS (SUBJECT)])").await;
    assert_eq!(
        lines,
        [
            "* 1 FETCH (UID 1 BODY[HEADER.FIELDS (SUBJECT)] {16}",
            "Subject: one",
            "",
            " FLAGS (\\Seen \\Flagged))"
        ]
    );
    assert_eq!(peer.ok("UID SEARCH UNSEEN SUBJECT t").await, ["* SEARCH 2 3"]);
    assert_eq!(
        peer.ok("SEARCH RETURN (COUNT MAX) TEXT hello").await,
        [format!("* ESEARCH (TAG \"t{}\") MAX 3 COUNT 3", peer.tag)]
    );
    // A body that is read on a thread of its own.
    let long = format!("{}\r\nneedle\r\n", "hay\r\n".repeat(100_000));
    peer.append("INBOX", "(\\Deleted)", &long).await;
    assert_eq!(peer.ok("SEARCH BODY needle").await, ["* SEARCH 4"]);
    assert_eq!(peer.ok("EXPUNGE").await, ["* 4 EXPUNGE"]);
    assert!(peer.answer("SEARCH CHARSET KOI8-R ALL").await.starts_with("NO [BADCHARSET"));

    assert_eq!(
        peer.ok("STORE 2 +FLAGS (\\Deleted $Todo)").await,
        ["* 2 FETCH (UID 2 FLAGS (\\Flagged \\Deleted $Todo))"]
    );
    assert_eq!(peer.ok("STORE 2 -FLAGS.SILENT (\\Flagged)").await, Vec::<String>::new());
    assert!(peer.answer("STORE 9 FLAGS ()").await.starts_with("BAD"));
    assert!(peer.answer("COPY 1 Nowhere").await.starts_with("NO [TRYCREATE]"));
    assert!(peer.answer("CREATE Archive/2024").await.starts_with("OK [MAILBOXID"));
    assert!(peer.answer("CREATE Archive/2024").await.starts_with("NO [ALREADYEXISTS]"));
    assert!(peer.answer("COPY 1:2 Archive/2024").await.starts_with("OK [COPYUID "));
    let lines = peer.ok("MOVE 3 Archive/2024").await;
    assert!(lines[0].starts_with("* OK [COPYUID ") && lines[0].contains(" 3 3]"), "{lines:?}");
    assert_eq!(lines[1], "* 3 EXPUNGE");
    assert_eq!(peer.ok("EXPUNGE").await, ["* 2 EXPUNGE"]);
    assert_eq!(
        peer.ok("STATUS Archive/2024 (MESSAGES UNSEEN)").await,
        ["* STATUS Archive/2024 (MESSAGES 3 UNSEEN 2)"]
    );

    peer.ok("SELECT Archive/2024").await;
    assert_eq!(peer.ok("FETCH 3 BODY.PEEK[TEXT]").await[1], "Hello three");
    peer.ok("STORE 1:3 +FLAGS.SILENT (\\Deleted)").await;
    assert_eq!(peer.ok("UID EXPUNGE 2").await, ["* 2 EXPUNGE"]);
    assert_eq!(peer.ok("CLOSE").await, Vec::<String>::new());
    assert!(peer.answer("FETCH 1 UID").await.starts_with("BAD"));
    assert_eq!(peer.ok("STATUS Archive/2024 (MESSAGES)").await, ["* STATUS Archive/2024 (MESSAGES 0)"]);

    peer.ok("EXAMINE INBOX").await;
    assert!(peer.answer("STORE 1 FLAGS ()").await.starts_with("NO"));
    peer.ok("UNSELECT").await;
    assert!(peer.answer("SELECT Nowhere").await.starts_with("NO [NONEXISTENT]"));
}

#[tokio::test]
async fn mailboxes_are_listed_renamed_subscribed_and_deleted() {
    let server = server(Config::default()).await;
    let mut peer = server.alice().await;
    let lines = peer.ok("LIST \"\" %").await;
    assert!(lines.contains(&"* LIST (\\HasNoChildren \\Sent) \"/\" Sent".to_owned()), "{lines:?}");
    peer.ok("CREATE {12+}\r\nEntw&APw-rfe").await;
    peer.ok("RENAME Entw&APw-rfe Neu/Entw&APw-rfe").await;
    assert_eq!(peer.ok("LIST \"\" *rfe").await, ["* LIST (\\HasNoChildren) \"/\" Neu/Entw&APw-rfe"]);
    peer.ok("SUBSCRIBE Neu").await;
    peer.ok("UNSUBSCRIBE INBOX").await;
    let lines = peer.ok("LSUB \"\" *").await;
    assert!(lines.contains(&"* LSUB () \"/\" Neu".to_owned()), "{lines:?}");
    assert!(!lines.contains(&"* LSUB () \"/\" INBOX".to_owned()), "{lines:?}");
    let lines = peer.ok("LIST (SUBSCRIBED) \"\" Neu RETURN (STATUS (MESSAGES))").await;
    assert_eq!(lines, ["* LIST (\\HasChildren \\Subscribed) \"/\" Neu", "* STATUS Neu (MESSAGES 0)"]);
    peer.ok("DELETE Neu/Entw&APw-rfe").await;
    assert!(peer.answer("DELETE Neu/Entw&APw-rfe").await.starts_with("NO [NONEXISTENT]"));
    assert!(peer.answer("DELETE INBOX").await.starts_with("NO [CANNOT]"));
    assert!(peer.answer("CREATE x (USE (\\All))").await.starts_with("NO [USEATTR]"));
    assert_eq!(peer.ok("NAMESPACE").await, ["* NAMESPACE ((\"\" \"/\")) NIL NIL"]);
    assert!(peer.ok("ID NIL").await[0].starts_with("* ID (\"name\" \"Utopia\""));
}

#[tokio::test]
async fn other_sessions_are_told_when_it_is_allowed() {
    let server = server(Config::default()).await;
    let (mut first, mut second) = (server.alice().await, server.alice().await);
    for subject in ["one", "two", "three"] {
        first.append("INBOX", "()", &message(subject)).await;
    }
    first.ok("SELECT INBOX").await;
    second.ok("SELECT INBOX").await;
    second.send("i IDLE\r\n").await;
    assert_eq!(second.line().await, "+ idling");
    // Delivery, flags and expunging wake who idles.
    first.append("INBOX", "()", &message("four")).await;
    assert_eq!(second.line().await, "* 4 EXISTS");
    first.ok("STORE 1 +FLAGS (\\Deleted)").await;
    assert_eq!(second.line().await, "* 1 FETCH (UID 1 FLAGS (\\Deleted))");
    first.ok("EXPUNGE").await;
    assert_eq!(second.line().await, "* 1 EXPUNGE");
    second.send("DONE\r\n").await;
    assert_eq!(second.line().await, "i OK IDLE completed");

    // Not while numbers are in use; a message that is gone is no surprise then.
    first.ok("STORE 1 +FLAGS (\\Deleted)").await;
    first.ok("EXPUNGE").await;
    let lines = second.give("FETCH 1:2 (UID)").await;
    assert_eq!(lines[0], "* 2 FETCH (UID 3)");
    assert!(lines.last().unwrap().starts_with("NO [EXPUNGEISSUED]"), "{lines:?}");
    assert_eq!(second.ok("SEARCH ALL").await, ["* SEARCH 2 3"]);
    assert_eq!(second.ok("NOOP").await, ["* 1 EXPUNGE"]);
    assert_eq!(second.ok("FETCH 1 UID").await, ["* 1 FETCH (UID 3)"]);

    // DONE is all that ends IDLE.
    second.send("i IDLE\r\n").await;
    second.line().await;
    second.send("x NOOP\r\n").await;
    assert!(second.line().await.starts_with("i BAD"));

    // A mailbox that goes takes its sessions with it.
    first.ok("CREATE Gone").await;
    second.ok("SELECT Gone").await;
    second.send("i IDLE\r\n").await;
    second.line().await;
    first.ok("DELETE Gone").await;
    assert!(second.line().await.starts_with("* BYE"));
}

#[tokio::test]
async fn mod_sequences_and_quick_resynchronisation() {
    let server = server(Config::default()).await;
    let (mut first, mut second) = (server.alice().await, server.alice().await);
    for subject in ["one", "two", "three", "four"] {
        first.append("INBOX", "()", &message(subject)).await;
    }
    assert_eq!(first.ok("ENABLE QRESYNC X-OTHER").await, ["* ENABLED QRESYNC"]);
    let lines = first.ok("SELECT INBOX").await;
    let code = |name: &str| {
        let line = lines.iter().find(|line| line.contains(name)).unwrap();
        line.split([' ', ']']).nth(3).unwrap().to_owned()
    };
    let (validity, known) = (code("[UIDVALIDITY"), code("[HIGHESTMODSEQ"));
    assert!(first.ok("FETCH 1 (MODSEQ)").await[0].starts_with("* 1 FETCH (MODSEQ ("));
    second.ok("SELECT INBOX").await;
    second.ok("STORE 1 +FLAGS.SILENT (\\Seen)").await;
    second.ok("STORE 2:3 +FLAGS.SILENT (\\Deleted)").await;
    second.ok("EXPUNGE").await;
    let lines = first.ok("NOOP").await;
    assert_eq!(lines[0], "* VANISHED 2:3");
    assert!(lines[1].starts_with("* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ ("), "{lines:?}");
    // What changed since is left alone.
    let answer = first.answer(&format!("UID STORE 1,4 (UNCHANGEDSINCE {known}) +FLAGS.SILENT ($A)")).await;
    assert!(answer.starts_with("OK [MODIFIED 1]"), "{answer}");
    let lines = first.ok(&format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {known} VANISHED)")).await;
    assert_eq!(lines[0], "* VANISHED (EARLIER) 2:3");
    assert_eq!(lines.len(), 3, "{lines:?}");
    first.ok("UNSELECT").await;
    let lines = first.ok(&format!("SELECT INBOX (QRESYNC ({validity} {known} 1:4))")).await;
    assert!(lines.contains(&"* VANISHED (EARLIER) 2:3".to_owned()), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("* 2 FETCH (UID 4 FLAGS ($A) MODSEQ (")), "{lines:?}");
    let lines = first.ok(&format!("SEARCH MODSEQ {known}")).await;
    assert!(lines[0].starts_with("* SEARCH 1 2 (MODSEQ "), "{lines:?}");
}

#[tokio::test]
async fn bounds_exceeded_are_answered() {
    let config = Config { append_octets_max: 1_000, literal_octets_max: 100, ..Config::default() };
    let server = server(config).await;
    let mut peer = server.alice().await;
    assert!(peer.answer("LOGIN {101}").await.starts_with("NO [TOOBIG]"));
    let answer = peer.append("INBOX", "()", &"x".repeat(1_001)).await;
    assert!(answer.starts_with("NO [TOOBIG]"), "{answer}");
    assert!(peer.append("INBOX", "()", &"x".repeat(1_000)).await.starts_with("OK"));
    assert!(peer.answer("FOO").await.starts_with("BAD expected a command at octet"));
    peer.send("x".repeat(70_000)).await;
    assert_eq!(peer.line().await, "* BYE the command is too long");
    // A stranger may take less.
    let mut peer = server.stranger().await;
    peer.send("x".repeat(9_000)).await;
    assert_eq!(peer.line().await, "* BYE the command is too long");
}

#[tokio::test]
async fn large_messages_at_the_same_time_are_bounded() {
    let server = server(Config { appends_octets_max: 500_000, ..Config::default() }).await;
    let (mut first, mut second) = (server.alice().await, server.alice().await);
    first.send("a APPEND INBOX {300000}\r\n").await;
    assert!(first.line().await.starts_with('+'));
    let large = "x".repeat(300_000);
    assert!(second.append("INBOX", "()", &large).await.starts_with("NO [INUSE]"));
    assert!(second.append("INBOX", "()", "small").await.starts_with("OK"));
    first.send(format!("{large}\r\n")).await;
    assert!(first.line().await.starts_with("a OK"));
    first.ok("NOOP").await;
    assert!(second.append("INBOX", "()", &large).await.starts_with("OK"));
}

#[tokio::test]
async fn silence_ends_a_connection() {
    let server = server(Config { login_seconds_max: 0, ..Config::default() }).await;
    let mut peer = server.stranger().await;
    assert_eq!(peer.line().await, "* BYE you said nothing for too long");
    assert_eq!(peer.line_or_end().await, None);
    // Whoever is logged in has a time of its own.
    let config = Config { silence_minutes_max: 0, ..Config::default() };
    let mut peer = self::server(config).await.alice().await;
    assert_eq!(peer.line().await, "* BYE you said nothing for too long");
    assert_eq!(peer.line_or_end().await, None);
}

#[tokio::test]
async fn a_handshake_that_does_not_begin_ends_the_connection() {
    let server = server(Config::default()).await;
    let mut silent = Network::new().connect(server.tls, PATIENCE).await.unwrap();
    let reading = async { silent.read(&mut [0; 1]).await };
    let patience = Duration::from_secs(super::connection::HANDSHAKE_SECONDS_MAX) + PATIENCE;
    assert_eq!(
        tokio::time::timeout(patience, reading).await.expect("the server waits no longer").unwrap(),
        0
    );
}

#[tokio::test]
async fn a_client_that_never_reads_is_given_up() {
    // While it is connected nobody else is, so that its end can be seen without
    // reading what it was sent.
    let config = Config { write_seconds_max: 1, connections_per_address_max: 1, ..Config::default() };
    let server = server(config).await;
    let mut peer = server.alice().await;
    let body = "x".repeat(4 << 20);
    assert!(peer.append("INBOX", "()", &format!("\r\n{body}")).await.starts_with("OK"));
    peer.ok("SELECT INBOX").await;
    // More than the system keeps for a client.
    peer.send("f FETCH 1 BODY.PEEK[TEXT]\r\n".repeat(16)).await;
    let mut gone = false;
    for _ in 0..600 {
        let stream = Network::new().connect(server.tls, PATIENCE).await.unwrap();
        gone = stream.connect_tls(server.trust.clone(), "localhost").await.is_ok();
        if gone {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(gone, "the client that does not read is still connected");
    let (mut octets, mut more) = (0, vec![0; 1 << 20]);
    loop {
        match tokio::time::timeout(PATIENCE, peer.stream.read(&mut more)).await.expect("the end") {
            Ok(0) | Err(_) => break,
            Ok(count) => octets += count,
        }
    }
    assert!(octets < 16 * body.len(), "{octets} octets were sent");
}

#[tokio::test]
async fn stopping_says_bye() {
    let server = server(Config::default()).await;
    let (mut waiting, mut idling) = (server.alice().await, server.alice().await);
    idling.send("i IDLE\r\n").await;
    idling.line().await;
    let shutdown = server.shutdown.clone();
    let finished = tokio::spawn(async move { shutdown.finish(PATIENCE).await });
    assert_eq!(waiting.line().await, "* BYE the server is stopping");
    assert_eq!(idling.line().await, "* BYE the server is stopping");
    drop((waiting, idling));
    assert!(finished.await.unwrap());
}

#[tokio::test]
async fn large_messages_come_whole_to_a_slow_reader() {
    let server = server(Config::default()).await;
    let mut peer = server.alice().await;
    let body = "0123456789abcdef".repeat(64 * 1024);
    for subject in ["a", "b", "c"] {
        peer.append("INBOX", "()", &format!("Subject: {subject}\r\n\r\n{body}")).await;
    }
    peer.ok("SELECT INBOX").await;
    peer.send("f FETCH 1:3 BODY.PEEK[TEXT]\r\n").await;
    // The server waits for the reader: nothing is lost meanwhile.
    tokio::time::sleep(Duration::from_millis(200)).await;
    for number in 1..=3 {
        assert_eq!(peer.line().await, format!("* {number} FETCH (BODY[TEXT] {{{}}}", body.len()));
        assert_eq!(peer.line().await, format!("{body})"));
    }
    assert_eq!(peer.line().await, "f OK FETCH completed");
}

#[derive(Default)]
struct Listening(Mutex<Vec<String>>);

impl Observer for Listening {
    fn detail(&self) -> Detail {
        Detail::Message
    }

    fn observe(&self, told: &Told) {
        self.0.lock().unwrap().push(told.event.to_string());
    }
}

#[tokio::test]
async fn what_happens_is_told_without_passwords() {
    let stream = event::Stream::new();
    let listening = Arc::new(Listening::default());
    stream.observe(listening.clone());
    let server = server_told(Config::default(), stream.reporter("x.test")).await;
    let mut peer = server.stranger().await;
    peer.give("LOGIN alice@x.test \"sesame street\" oops").await;
    peer.give("LOGIN alice@x.test {5+}\r\nwrong").await;
    peer.give("login alice@x.test \"sesame street\"").await;
    peer.ok("SELECT INBOX").await;
    let told = listening.0.lock().unwrap().join("\n");
    for secret in ["sesame", "wrong", "alice"] {
        assert!(
            !told.contains(&format!(" {secret}")) || secret == "wrong" && told.contains("is wrong"),
            "{told}"
        );
    }
    for expected in [
        "LOGIN …",
        "imap login from 127.0.0.1",
        "SELECT INBOX",
        "* 0 EXISTS",
        "succeeded",
        "failed",
        "imaps listens on",
    ] {
        assert!(told.contains(expected), "{expected} is not told:\n{told}");
    }
}

#[tokio::test]
async fn more_messages_than_are_looked_up_at_once_are_all_fetched() {
    let server = server(Config::default()).await;
    let mut peer = server.alice().await;
    peer.append("INBOX", "()", &message("one")).await;
    peer.ok("SELECT INBOX").await;
    let mut count = 1;
    while count <= super::fetch::MESSAGES_AT_ONCE_MAX {
        peer.ok("COPY 1:* INBOX").await;
        count *= 2;
    }
    let lines = peer.ok("FETCH 1:* (UID)").await;
    let fetched: Vec<String> = lines.into_iter().filter(|line| line.contains("FETCH")).collect();
    let expected: Vec<String> = (1..=count).map(|n| format!("* {n} FETCH (UID {n})")).collect();
    assert_eq!(fetched, expected);
    let found = peer.ok("SEARCH RETURN (COUNT) BODY hello").await;
    assert!(found[0].ends_with(&format!(" COUNT {count}")), "{found:?}");
}

#[tokio::test]
async fn only_so_many_keywords_are_told_and_long_lists_come_whole() {
    use super::mailboxes::{KEYWORDS_TOLD_MAX, RESPONSE_OCTETS_MAX};
    let server = server(Config::default()).await;
    let mut peer = server.alice().await;
    peer.append("INBOX", "()", &message("one")).await;
    peer.ok("SELECT INBOX").await;
    peer.ok("COPY 1 INBOX").await;
    peer.ok("COPY 1:* INBOX").await;
    for number in 1..=4 {
        let keywords: Vec<String> = (0..60).map(|n| format!("k{number}{n:02}")).collect();
        peer.ok(&format!("STORE {number} +FLAGS.SILENT ({})", keywords.join(" "))).await;
    }
    let lines = peer.ok("SELECT INBOX").await;
    let flags = lines.iter().find(|line| line.starts_with("* FLAGS")).unwrap();
    assert_eq!(flags.matches(" k").count(), KEYWORDS_TOLD_MAX);

    let name = |number: usize| format!("{number:03}{}", "x".repeat(850));
    let count = RESPONSE_OCTETS_MAX / 850 + 10;
    for number in 0..count {
        peer.ok(&format!("CREATE {}", name(number))).await;
    }
    let lines = peer.ok("LIST \"\" *x").await;
    assert!(lines.iter().map(String::len).sum::<usize>() > RESPONSE_OCTETS_MAX);
    let expected: Vec<String> =
        (0..count).map(|number| format!("* LIST (\\HasNoChildren) \"/\" {}", name(number))).collect();
    assert_eq!(lines, expected);
}
