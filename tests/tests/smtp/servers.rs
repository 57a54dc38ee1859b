//! Two of our servers exchange mail.

use crate::fixture::{Host, Names, Plan};
use mail_server::queue;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// The names of two organisations on `127.25.net.1` and `.2`.
fn names(net: u8) -> Arc<Names> {
    Names::new(&format!(
        "crepes.test. MX 10 mail.crepes.test.\nmail.crepes.test. A 127.25.{net}.1\n\
         utopia.test. MX 10 mail.utopia.test.\nmail.utopia.test. A 127.25.{net}.2\n\
         nomail.test. MX 0 .\n"
    ))
}

async fn crepes(net: u8, folder: &Path, names: &Arc<Names>) -> Host {
    let mut plan = Plan::new("crepes.test", &format!("127.25.{net}.1"), folder, names);
    plan.users = vec!["alice"];
    plan.start().await
}

async fn utopia(net: u8, port: u16, folder: &Path, names: &Arc<Names>) -> Host {
    let mut plan = Plan::new("utopia.test", &format!("127.25.{net}.2"), folder, names);
    plan.port = port;
    plan.users = vec!["bob", "carol"];
    plan.start().await
}

const MESSAGE: &str = "From: Alice <alice@crepes.test>\r\nTo: bob@utopia.test\r\nBcc: carol@utopia.test\r\nSubject: crepes\r\n\r\nDo you like ketchup?\r\n.\r\n..\r\n";

fn codes(replies: &[mail::smtp::Reply]) -> Vec<u16> {
    replies.iter().map(mail::smtp::Reply::code).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn alices_mail_to_bob() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let names = names(1);
    let crepes = crepes(1, a.path(), &names).await;
    let utopia = utopia(1, crepes.exchange().port(), b.path(), &names).await;
    // One message: to Bob and Carol elsewhere, and to Alice herself.
    let to = ["bob@utopia.test", "carol+news@utopia.test", "ALICE@crepes.test"];
    assert_eq!(codes(&crepes.send("alice", &to, MESSAGE).await), [250, 250, 250]);
    let bobs = utopia.wait_for("bob", 1).await;
    let text = &bobs[0];
    assert!(
        text.starts_with(
            "Return-Path: <alice@crepes.test>\r\nReceived: from mail.crepes.test ([127.25.1.1])\r\n"
        ),
        "{text}"
    );
    assert!(text.contains("with ESMTPS id"), "the servers go under TLS: {text}");
    assert!(text.contains("by mail.crepes.test with ESMTPSA id"), "{text}");
    assert!(text.contains("Authentication-Results: mail.utopia.test;"), "{text}");
    assert!(text.contains("\r\nDate: ") && text.contains("\r\nMessage-ID: <"), "{text}");
    assert!(!text.contains("Bcc") && text.ends_with("\r\n\r\nDo you like ketchup?\r\n.\r\n..\r\n"), "{text}");
    utopia.wait_for("carol", 1).await;
    assert_eq!(crepes.read("alice", "INBOX").await.len(), 1);
    assert!(
        crepes.queue.list().await.unwrap().is_empty() || {
            crepes.wait_for_queue(0).await;
            true
        }
    );
    assert_eq!(utopia.read("bob", "INBOX").await.len(), 1, "once");
    crepes.stop().await;
    utopia.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mailboxes_and_queue_share_one_stored_copy() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let names = names(11);
    let crepes = crepes(11, a.path(), &names).await;
    let port = crepes.exchange().port();
    // Nobody listens at utopia.test yet.
    let large = format!("{MESSAGE}{}", "More ketchup.\r\n".repeat(20_000));
    for message in [MESSAGE, &large] {
        let to = ["alice@crepes.test", "bob@utopia.test", "x@absent.test"];
        assert_eq!(codes(&crepes.send("alice", &to, message).await), [250; 3]);
    }
    // Two messages in her mailbox and in the queue, and two notifications.
    let bounces = crepes.wait_for("alice", 4).await;
    crepes.wait_for_queue(2).await;
    assert_eq!(contents(&crepes).await, 4, "each is stored once");
    let bounce = bounces.iter().find(|text| text.contains("x@absent.test")).unwrap();
    assert_eq!(bounce.matches("Return-Path:").count(), 1, "only its own: {bounce}");
    // What goes on is what came, without the Return-Path; the mailboxes keep theirs.
    let utopia = utopia(11, port, b.path(), &names).await;
    crepes.queue.retry_now(None);
    for text in utopia.wait_for("bob", 2).await {
        assert!(text.starts_with("Return-Path: <alice@crepes.test>\r\nReceived: from mail.crepes.test"));
        assert_eq!(text.matches("Return-Path:").count(), 1, "{text}");
    }
    crepes.wait_for_queue(0).await;
    assert_eq!(contents(&crepes).await, 4);
    assert_eq!(crepes.read("alice", "INBOX").await.len(), 4);
    crepes.stop().await;
    utopia.stop().await;
}

/// How many contents a host keeps.
async fn contents(host: &Host) -> usize {
    let count = |transaction: &mut dyn storage::Transaction| {
        let mut count = 0;
        transaction.scan(storage::Table("content_references"), &[], &[], &mut |_, _| {
            count += 1;
            std::ops::ControlFlow::Continue(())
        })?;
        Ok::<_, storage::StorageError>(count)
    };
    host.mailboxes.storage().read(count).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_gets_its_mail_later() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let names = names(2);
    let crepes = crepes(2, a.path(), &names).await;
    let port = crepes.exchange().port();
    for _ in 0..3 {
        assert_eq!(codes(&crepes.send("alice", &["bob@utopia.test"], MESSAGE).await), [250]);
    }
    let waiting = crepes.wait_for_queue(3).await;
    assert!(waiting[0].reason.contains("127.25.2.2"), "{waiting:?}");
    // The queue survives its host, too.
    crepes.stop().await;
    let mut plan = Plan::new("crepes.test", "127.25.2.1", a.path(), &names);
    plan.port = port;
    let crepes = plan.start().await;
    assert_eq!(crepes.queue.list().await.unwrap().len(), 3);
    let utopia = utopia(2, port, b.path(), &names).await;
    crepes.queue.retry_now(Some("utopia.test"));
    assert_eq!(utopia.wait_for("bob", 3).await.len(), 3);
    crepes.wait_for_queue(0).await;
    assert_eq!(utopia.read("bob", "INBOX").await.len(), 3, "each once");
    crepes.stop().await;
    utopia.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_delivered_comes_back() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let names = names(3);
    let crepes = crepes(3, a.path(), &names).await;
    let utopia = utopia(3, crepes.exchange().port(), b.path(), &names).await;
    let to = ["bob@utopia.test", "nobody@utopia.test", "x@absent.test", "x@nomail.test"];
    assert_eq!(codes(&crepes.send("alice", &to, MESSAGE).await), [250; 4]);
    let bounces = crepes.wait_for("alice", 3).await.join("\n");
    for expected in [
        "Return-Path: <>",
        "Final-Recipient: rfc822; nobody@utopia.test",
        "Remote-MTA: dns; mail.utopia.test",
        "Status: 5.1.1",
        "Final-Recipient: rfc822; x@absent.test",
        "Status: 5.1.2",
        "Final-Recipient: rfc822; x@nomail.test",
        "Status: 5.1.10",
        "Subject: crepes",
    ] {
        assert!(bounces.contains(expected), "{expected} is missing in {bounces}");
    }
    assert_eq!(utopia.wait_for("bob", 1).await.len(), 1);
    crepes.wait_for_queue(0).await;
    crepes.stop().await;
    utopia.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_mail_is_given_up_and_no_bounce_bounces() {
    let folder = tempfile::tempdir().unwrap();
    let names = names(4);
    let mut plan = Plan::new("crepes.test", "127.25.4.1", folder.path(), &names);
    plan.users = vec!["alice"];
    plan.queue = queue::Config { lifetime_seconds: 0, connect_seconds_max: 5, ..queue::Config::default() };
    let crepes = plan.start().await;
    // Nobody listens at utopia.test.
    assert_eq!(codes(&crepes.send("alice", &["bob@utopia.test"], MESSAGE).await), [250]);
    let bounce = &crepes.wait_for("alice", 1).await[0];
    assert!(bounce.contains("Status: 4.4.1"), "{bounce}");
    // A notification that cannot be delivered ends here.
    let notification = queue::NewMail {
        id: queue::QueueId::parse("00000000000000AA").unwrap(),
        from: mail::address::Path::Null,
        local: Vec::new(),
        junk: false,
        remote: vec!["bob@utopia.test".parse().unwrap()],
        octets: MESSAGE.into(),
        smtputf8: false,
    };
    crepes.queue.accept(notification).await.unwrap();
    crepes.wait_for_queue(0).await;
    assert_eq!(crepes.read("alice", "INBOX").await.len(), 1);
    crepes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_removes_a_message() {
    let folder = tempfile::tempdir().unwrap();
    let names = names(5);
    let crepes = crepes(5, folder.path(), &names).await;
    crepes.send("alice", &["bob@utopia.test", "x@127.test"], MESSAGE).await;
    // The second recipient bounces at once, the first waits.
    let waiting = crepes.wait_for_queue(1).await;
    let id = queue::QueueId::parse(&waiting[0].id).unwrap();
    assert!(crepes.queue.remove(id).await.unwrap());
    assert!(!crepes.queue.remove(id).await.unwrap());
    assert!(crepes.queue.list().await.unwrap().is_empty());
    crepes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_tried_in_the_order_of_their_preference() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // The best server of order.test is down and the next has no address; for
    // bare.test there is no MX; for loops.test we are the MX ourselves; for
    // backup.test we are the backup.
    let names = Names::new(
        "utopia.test. A 127.25.7.2\nmail.utopia.test. A 127.25.7.2\n\
         order.test. MX 20 mail.utopia.test.\norder.test. MX 5 down.order.test.\norder.test. MX 10 absent.test.\n\
         down.order.test. A 127.25.7.9\n\
         loops.test. MX 10 mail.crepes.test.\nloops.test. MX 20 mail.utopia.test.\n\
         backup.test. MX 10 mail.utopia.test.\nbackup.test. MX 20 mail.crepes.test.\n\
         mail.crepes.test. A 127.25.7.1\n",
    );
    let crepes = crepes(7, a.path(), &names).await;
    let utopia = utopia(7, crepes.exchange().port(), b.path(), &names).await;
    // Our other host takes mail for utopia.test only, so that what reaches it
    // for the other domains comes back as refused by it.
    let to = ["bob@utopia.test", "x@order.test", "x@loops.test", "x@backup.test"];
    assert_eq!(codes(&crepes.send("alice", &to, MESSAGE).await), [250; 4]);
    utopia.wait_for("bob", 1).await;
    let bounces = crepes.wait_for("alice", 3).await;
    for (recipient, said) in [
        ("x@order.test", "mail.utopia.test said: 550 5.7.1"),
        ("x@loops.test", "mail.crepes.test said: 554 5.4.6"),
        ("x@backup.test", "mail.utopia.test said: 550 5.7.1"),
    ] {
        let found =
            bounces.iter().any(|bounce| bounce.contains(&format!("<{recipient}>")) && bounce.contains(said));
        assert!(found, "{recipient}: {bounces:?}");
    }
    crepes.stop().await;
    utopia.stop().await;
}

/// A server whose TLS is broken: the mail comes in the clear then.
#[tokio::test(flavor = "multi_thread")]
async fn broken_tls_does_not_stop_mail() {
    use mail::smtp::{Answer, Limits, Role, Session, Settings, Step};
    use tokio::io::AsyncReadExt as _;
    let folder = tempfile::tempdir().unwrap();
    let names = names(8);
    let listener = tokio::net::TcpListener::bind("127.25.8.2:0").await.unwrap();
    let mut plan = Plan::new("crepes.test", "127.25.8.1", folder.path(), &names);
    plan.users = vec!["alice"];
    plan.remote_port = listener.local_addr().unwrap().port();
    let crepes = plan.start().await;
    assert_eq!(codes(&crepes.send("alice", &["bob@utopia.test"], MESSAGE).await), [250]);
    let (mut handshakes, mut messages) = (0, 0);
    while messages == 0 {
        let accepted = tokio::time::timeout(Duration::from_mins(1), listener.accept()).await;
        let (mut stream, _) = accepted.expect("the sender comes back").unwrap();
        let limits = Limits::default();
        let hostname = "mail.utopia.test".to_owned();
        let mut session = Session::new(Settings {
            hostname,
            role: Role::Exchange,
            tls: false,
            starttls: true,
            limits,
            tell: false,
        });
        loop {
            let step = session.poll();
            stream.write_all(&session.take_output()).await.unwrap();
            match step {
                Step::Input => {
                    let mut buffer = [0; 1000];
                    match stream.read(&mut buffer).await {
                        Ok(0) | Err(_) => break,
                        Ok(read) => session.receive(&buffer[..read]),
                    }
                }
                Step::StartTls => {
                    handshakes += 1;
                    // After the client's first message; before it, this would be
                    // taken for an injection.
                    let _ = stream.read(&mut [0; 1000]).await;
                    let _ = stream.write_all(b"this is not TLS\r\n").await;
                    break;
                }
                Step::Message { .. } => {
                    messages += 1;
                    session.answer(Answer::Accept("ok".into()));
                }
                Step::Close => break,
                _ => session.answer(Answer::Accept(String::new())),
            }
        }
    }
    assert_eq!((handshakes, messages), (1, 1));
    crepes.wait_for_queue(0).await;
    crepes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_learns_that_mail_is_late() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = Plan::new("crepes.test", "127.25.9.1", folder.path(), &names(9));
    plan.users = vec!["alice"];
    plan.queue.delay_warning_seconds = 1;
    let crepes = plan.start().await;
    crepes.send("alice", &["bob@utopia.test"], MESSAGE).await;
    crepes.wait_for_queue(1).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    for _ in 0..2 {
        crepes.queue.retry_now(None);
        let notice = &crepes.wait_for("alice", 1).await[0];
        assert!(notice.contains("Action: delayed") && notice.contains("Will-Retry-Until: "), "{notice}");
    }
    assert_eq!(crepes.wait_for_queue(1).await[0].recipients, ["bob@utopia.test"], "it still waits");
    assert_eq!(crepes.read("alice", "INBOX").await.len(), 1, "told once");
    crepes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_mail_at_once_is_put_off() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = Plan::new("utopia.test", "127.25.10.2", folder.path(), &names(10));
    plan.users = vec!["bob"];
    plan.smtp.receiving_octets_max = 100_000;
    let host = plan.start().await;
    let begin = "EHLO a.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<bob@utopia.test>\r\nDATA\r\n";
    // Two messages that fit one after the other, but not at the same time.
    let large = "x"
        .repeat(70)
        .repeat(1_000)
        .as_bytes()
        .chunks(70)
        .fold(String::new(), |text, line| text + &String::from_utf8_lossy(line) + "\r\n");
    // Whose octets come last is put off; the other is, too, where its next ones come
    // before the room of the first is given back.
    let mut accepted = false;
    for _ in 0..50 {
        let mut first = Talk::with(&host).await;
        for turn in 0..4 {
            first.say(if turn == 0 { begin } else { "" }).await;
        }
        let mut second = Talk::with(&host).await;
        for turn in 0..4 {
            second.say(if turn == 0 { begin } else { "" }).await;
        }
        for talk in [&mut first, &mut second] {
            // Who is put off already cannot say all.
            let _ = talk.0.get_mut().write_all(large.as_bytes()).await;
        }
        let (reply, other) = tokio::select! {
            reply = first.reply() => (reply, &mut second),
            reply = second.reply() => (reply, &mut first),
        };
        assert!(reply.starts_with("421 4.3.1"), "{reply}");
        let reply = other.say(".\r\n").await;
        accepted = reply.starts_with("250");
        assert!(accepted || reply.is_empty() || reply.starts_with("421 4.3.1"), "{reply}");
        if accepted {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(accepted, "one of the two fits");
    // The room is given back a moment after the 250.
    let mut accepted = false;
    for _ in 0..100 {
        let mut third = Talk::with(&host).await;
        for turn in 0..4 {
            third.say(if turn == 0 { begin } else { "" }).await;
        }
        accepted = third.say(&format!("{large}.\r\n")).await.starts_with("250");
        if accepted {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(accepted, "the room is free again");
    assert_eq!(host.read("bob", "INBOX").await.len(), 2);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_takes_mail_for_its_own_users_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = Plan::new("crepes.test", "127.25.12.1", folder.path(), &names(12));
    plan.users = vec!["alice"];
    plan.queue.entries_max = 1;
    let crepes = plan.start().await;
    assert_eq!(codes(&crepes.send("alice", &["bob@utopia.test"], MESSAGE).await), [250]);
    crepes.wait_for_queue(1).await;
    let refused = crepes.send("alice", &["alice@crepes.test", "bob@utopia.test"], MESSAGE).await;
    assert!(refused.iter().all(|reply| reply.to_string().contains("452 4.3.1")), "{refused:?}");
    assert_eq!(crepes.read("alice", "INBOX").await.len(), 0, "all of it or none");
    assert_eq!(codes(&crepes.send("alice", &["alice@crepes.test"], MESSAGE).await), [250]);
    // There is room again once the message is gone.
    let id = queue::QueueId::parse(&crepes.queue.list().await.unwrap()[0].id).unwrap();
    assert!(crepes.queue.remove(id).await.unwrap());
    crepes.wait_for_queue(0).await;
    let mut taken = Vec::new();
    for _ in 0..100 {
        taken = codes(&crepes.send("alice", &["bob@utopia.test"], MESSAGE).await);
        if taken == [250] {
            break;
        }
    }
    assert_eq!(taken, [250]);
    crepes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_however_busy_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = Plan::new("utopia.test", "127.25.13.2", folder.path(), &names(13));
    plan.users = vec!["bob"];
    plan.smtp.session_seconds_max = 1;
    let host = plan.start().await;
    let mut talk = Talk::with(&host).await;
    let begun = std::time::Instant::now();
    let mut reply = talk.say("EHLO a.test\r\n").await;
    while !reply.starts_with("421") && begun.elapsed() < Duration::from_mins(1) {
        // Mail again and again; RSET alone would be too many idle commands.
        reply = talk.say("MAIL FROM:<a@b.test>\r\n").await;
        if reply.starts_with("250") {
            reply = talk.say("RCPT TO:<bob@utopia.test>\r\n").await;
        }
        if reply.starts_with("250") {
            reply = talk.say("DATA\r\n").await;
        }
        if reply.starts_with("354") {
            tokio::time::sleep(Duration::from_millis(100)).await;
            reply = talk.say("From: a@b.test\r\n\r\nx\r\n.\r\n").await;
        }
    }
    assert!(reply.starts_with("421 4.4.2 the session has taken too long"), "{reply}");
    assert_eq!(talk.reply().await, "", "closed");
    host.stop().await;
}

/// A conversation by hand.
struct Talk(BufReader<TcpStream>);

impl Talk {
    async fn with(host: &Host) -> Self {
        let mut talk = Self(BufReader::new(TcpStream::connect(host.exchange()).await.unwrap()));
        talk.reply().await;
        talk
    }

    async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(Duration::from_secs(30), self.0.read_line(&mut line)).await;
            // The end may come as a reset, where something was not read any more.
            if read.expect("an answer in time").unwrap_or_default() == 0 {
                return reply;
            }
            reply.push_str(&line);
            if line.as_bytes().get(3) == Some(&b' ') {
                return reply;
            }
        }
    }

    async fn say(&mut self, text: &str) -> String {
        // Who is refused in the middle of it cannot say all.
        let _ = self.0.get_mut().write_all(text.as_bytes()).await;
        self.reply().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_relays_through_us() {
    let folder = tempfile::tempdir().unwrap();
    let names = names(6);
    let host = utopia(6, 0, folder.path(), &names).await;
    let mut talk = Talk::with(&host).await;
    assert!(talk.say("EHLO spam.test\r\n").await.starts_with("250-mail.utopia.test greets spam.test"));
    assert!(talk.say("MAIL FROM:<x@spam.test>\r\n").await.starts_with("250"));
    for recipient in [
        "<victim@elsewhere.test>",
        "<@utopia.test:victim@elsewhere.test>",
        "<victim%elsewhere.test@[127.25.6.2]>",
        "<victim@[203.0.113.1]>",
        "<\"victim@elsewhere.test\"@elsewhere.test>",
    ] {
        let reply = talk.say(&format!("RCPT TO:{recipient}\r\n")).await;
        assert!(reply.starts_with("550 5.7.1"), "{recipient}: {reply}");
    }
    for recipient in [
        "<victim%elsewhere.test@utopia.test>",
        "<elsewhere.test!victim@utopia.test>",
        "<\"victim@elsewhere.test\"@utopia.test>",
    ] {
        let reply = talk.say(&format!("RCPT TO:{recipient}\r\n")).await;
        assert!(reply.starts_with("550 5.1.1"), "{recipient}: {reply}");
    }
    assert!(talk.say("RCPT TO:<Postmaster>\r\n").await.starts_with("250"));
    assert!(talk.say("AUTH PLAIN AGEAYg==\r\n").await.starts_with("50"));
    // A sender may not say that a message is ours when it has been everywhere.
    assert!(talk.say("DATA\r\n").await.starts_with("354"));
    let loops = "Received: by x\r\n".repeat(101);
    assert!(talk.say(&format!("{loops}\r\nx\r\n.\r\n")).await.starts_with("554 5.4.6"));
    // Nor have two authors, of whom readers show one and checks look at the other.
    assert!(talk.say("MAIL FROM:<x@spam.test>\r\n").await.starts_with("250"));
    assert!(talk.say("RCPT TO:<Postmaster>\r\n").await.starts_with("250"));
    assert!(talk.say("DATA\r\n").await.starts_with("354"));
    let double = "From: ceo@bank.test\r\nFrom: x@spam.test\r\n\r\nx\r\n.\r\n";
    assert!(talk.say(double).await.starts_with("550 5.6.0 the message has more than one From field"));
    assert!(talk.say("QUIT\r\n").await.starts_with("221"));
    assert!(host.queue.list().await.unwrap().is_empty());
    host.stop().await;
}
