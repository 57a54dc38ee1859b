//! The bounds of the queue and of the SMTP service, each gone beyond.

use crate::fixture::{Host, Names, Plan};
use mail_server::queue::{NewMail, QueueId};
use mail_server::smtp::Face;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tests::utopia::own_address;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

/// What a sink sees of the sessions with it.
#[derive(Debug, Default)]
struct Seen {
    /// Sessions that are open, by the sink's address.
    open: HashMap<IpAddr, usize>,
    open_most: HashMap<IpAddr, usize>,
    open_most_in_all: usize,
    /// Messages of each session that has ended.
    messages: Vec<usize>,
}

impl Seen {
    fn begin(&mut self, at: IpAddr) {
        let open = self.open.entry(at).or_default();
        *open += 1;
        let most = self.open_most.entry(at).or_default();
        *most = (*most).max(*open);
        self.open_most_in_all = self.open_most_in_all.max(self.open.values().sum());
    }

    fn end(&mut self, at: IpAddr, messages: usize) {
        *self.open.entry(at).or_default() -= 1;
        self.messages.push(messages);
    }
}

/// Takes any mail, once `gate` is open.
async fn sink(listener: TcpListener, seen: Arc<Mutex<Seen>>, gate: watch::Receiver<bool>) {
    let at = listener.local_addr().unwrap().ip();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (seen, mut gate) = (seen.clone(), gate.clone());
        seen.lock().unwrap().begin(at);
        tokio::spawn(async move {
            gate.wait_for(|open| *open).await.unwrap();
            let mut stream = BufReader::new(stream);
            let (mut messages, mut data) = (0, false);
            stream.write_all(b"220 sink\r\n").await.unwrap();
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                    break;
                }
                let verb = line.get(..4).unwrap_or_default();
                let reply = match (data, verb) {
                    (true, _) if line == ".\r\n" => {
                        (data, messages) = (false, messages + 1);
                        "250 ok"
                    }
                    (true, _) => continue,
                    (false, "DATA") => {
                        data = true;
                        "354 go on"
                    }
                    (false, "QUIT") => break,
                    _ => "250 ok",
                };
                stream.write_all(format!("{reply}\r\n").as_bytes()).await.unwrap();
            }
            // Before the client can know that the session has ended.
            seen.lock().unwrap().end(at, messages);
            let _ = stream.write_all(b"221 bye\r\n").await;
        });
    }
}

/// A mail host that sends to other hosts at `port`.
async fn sender(
    folder: &tempfile::TempDir,
    names: &Arc<Names>,
    port: u16,
    change: impl FnOnce(&mut Plan),
) -> Host {
    let mut plan = Plan::new("crepes.test", &own_address().to_string(), folder.path(), names);
    plan.remote_port = port;
    change(&mut plan);
    plan.start().await
}

async fn queue(host: &Host, number: usize, to: &str) {
    let mail = NewMail {
        id: QueueId::parse(&format!("{number:016X}")).unwrap(),
        from: mail::address::Path::Null,
        local: Vec::new(),
        junk: false,
        remote: vec![to.parse().unwrap()],
        octets: "Subject: x\r\n\r\nx\r\n".into(),
        smtputf8: false,
    };
    host.queue.accept(mail).await.unwrap();
}

/// Waits, however long a slow machine takes, until `holds`.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1_200 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited in vain until {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_opens_only_so_many_sessions_with_so_many_messages() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (own_address(), own_address());
    let listener = TcpListener::bind((first, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let other = TcpListener::bind((second, port)).await.unwrap();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (gate, gated) = watch::channel(false);
    for listener in [listener, other] {
        tokio::spawn(sink(listener, seen.clone(), gated.clone()));
    }
    let names = Names::new(&format!("a.test. A {first}\nb.test. A {second}\n"));
    let host = sender(&folder, &names, port, |plan| {
        plan.queue.sessions_max = 3;
        plan.queue.sessions_per_destination_max = 2;
        plan.queue.messages_per_session_max = 2;
    })
    .await;
    // More than every bound, all of it waiting while the sinks say nothing.
    for number in 0..12 {
        queue(&host, 2 * number, "x@a.test").await;
        queue(&host, 2 * number + 1, "x@b.test").await;
    }
    until("the sessions are open", || seen.lock().unwrap().open.values().sum::<usize>() == 3).await;
    // Time for a session too many to show itself.
    tokio::time::sleep(Duration::from_millis(300)).await;
    gate.send(true).unwrap();
    host.wait_for_queue(0).await;
    until("the sessions have ended", || seen.lock().unwrap().open.values().sum::<usize>() == 0).await;
    host.stop().await;
    let seen = seen.lock().unwrap();
    assert_eq!(seen.open_most_in_all, 3);
    assert_eq!(seen.open_most.values().max(), Some(&2), "{:?}", seen.open_most);
    assert_eq!(seen.messages.iter().sum::<usize>(), 24);
    assert_eq!(seen.messages.iter().max(), Some(&2), "{:?}", seen.messages);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_silent_is_waited_for_only_so_long() {
    let folder = tempfile::tempdir().unwrap();
    let (silent, full, broken) = (own_address(), own_address(), own_address());
    // One that accepts and says nothing.
    let listener = TcpListener::bind((silent, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok(accepted) = listener.accept().await {
            kept.push(accepted);
        }
    });
    // One whose backlog is full, so that no connection is made.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(full, port)).unwrap();
    let _full = socket.listen(1).unwrap();
    let made = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..16 {
        let made = made.clone();
        tokio::spawn(async move {
            if let Ok(stream) = TcpStream::connect((full, port)).await {
                made.lock().unwrap().push(stream);
            }
        });
    }
    until("the backlog is full", || made.lock().unwrap().len() >= 2).await;
    // One that says nothing in the TLS handshake; then the mail comes in the clear.
    let listener = TcpListener::bind((broken, port)).await.unwrap();
    let handshakes = Arc::new(Mutex::new(0));
    let counted = handshakes.clone();
    let (clear, in_the_clear) = (Arc::new(Mutex::new(Seen::default())), TcpListener::bind((broken, 0)).await);
    let in_the_clear = in_the_clear.unwrap();
    let sink_at = in_the_clear.local_addr().unwrap();
    let (_gate, gated) = watch::channel(true);
    tokio::spawn(sink(in_the_clear, clear.clone(), gated));
    tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            if *counted.lock().unwrap() > 0 {
                let mut sink = TcpStream::connect(sink_at).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut sink).await;
                continue;
            }
            stream.write_all(b"220 broken\r\n").await.unwrap();
            let mut stream = BufReader::new(stream);
            stream.read_line(&mut String::new()).await.unwrap();
            stream.write_all(b"250-broken\r\n250 STARTTLS\r\n").await.unwrap();
            stream.read_line(&mut String::new()).await.unwrap();
            stream.write_all(b"220 go on\r\n").await.unwrap();
            *counted.lock().unwrap() += 1;
            kept.push(stream);
        }
    });
    let names =
        Names::new(&format!("silent.test. A {silent}\nfull.test. A {full}\nbroken.test. A {broken}\n"));
    let host = sender(&folder, &names, port, |plan| {
        plan.queue.connect_seconds_max = 1;
        plan.queue.reply_seconds_max = 2;
    })
    .await;
    for (number, to) in ["x@silent.test", "x@full.test", "x@broken.test"].into_iter().enumerate() {
        queue(&host, number, to).await;
    }
    let waiting = host.wait_for_queue(2).await;
    let reason = |domain: &str| &waiting.iter().find(|entry| entry.domain == domain).unwrap().reason;
    assert!(reason("silent.test").contains("did not answer within 2 s"), "{waiting:?}");
    assert!(reason("full.test").contains("connecting took longer than 1s"), "{waiting:?}");
    until("the session in the clear has ended", || clear.lock().unwrap().messages == [1]).await;
    assert_eq!(*handshakes.lock().unwrap(), 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_silent_is_waited_for_only_so_long() {
    let folder = tempfile::tempdir().unwrap();
    let host = sender(&folder, &Names::new(""), 0, |plan| {
        plan.smtp.command_seconds_max = 1;
        plan.smtp.handshake_seconds_max = 1;
    })
    .await;
    let said_by = async |face: Face| {
        let mut stream = TcpStream::connect(host.ports[&face]).await.unwrap();
        let mut said = String::new();
        let reading = tokio::time::timeout(Duration::from_mins(1), stream.read_to_string(&mut said));
        reading.await.expect("the server ends the connection").unwrap();
        said
    };
    for face in [Face::Exchange, Face::Submission] {
        let said = said_by(face).await;
        assert!(said.starts_with("220 ") && said.contains("421 4.4.2 waited too long"), "{said}");
    }
    assert_eq!(said_by(Face::Submissions).await, "", "no handshake, no greeting");
    host.stop().await;
}
