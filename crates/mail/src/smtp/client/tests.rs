//! The client against scripts, and against our own server.

use super::*;
use crate::address::Path;
use crate::smtp::{Answer, EnhancedCode, Limits, Mechanism, Role, Session, Settings, Step};

fn message(recipients: &[&str]) -> Message {
    Message {
        from: Path::Address("alice@crepes.test".parse().unwrap()),
        recipients: recipients.iter().map(|recipient| recipient.parse().unwrap()).collect(),
        octets: bytes::Bytes::from_static(b"Subject: hi\r\n\r\n.dot\r\n"),
        smtputf8: false,
    }
}

/// Gives `said`, returns what the client does and sends.
fn hear(client: &mut Client, said: &str) -> (Result<ClientStep, ClientError>, String) {
    client.receive(said.as_bytes());
    let step = client.poll();
    (step, String::from_utf8(client.take_output()).unwrap())
}

fn ready(offers: &str) -> Client {
    let mut client = Client::new("crepes.test", StartTls::Never, false);
    assert_eq!(hear(&mut client, "220 hi\r\n"), (Ok(ClientStep::Input), "EHLO crepes.test\r\n".into()));
    assert_eq!(hear(&mut client, &format!("250-hello\r\n{offers}250 HELP\r\n")).0, Ok(ClientStep::Ready));
    client
}

fn codes(step: Result<ClientStep, ClientError>) -> Vec<u16> {
    match step {
        Ok(ClientStep::Sent(outcome)) => outcome.recipients.iter().map(Reply::code).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_command_at_a_time_without_pipelining() {
    let mut client = Client::new("crepes.test", StartTls::IfOffered, false);
    let _ = hear(&mut client, "220 hi\r\n");
    assert_eq!(hear(&mut client, "502 what?\r\n").1, "HELO crepes.test\r\n");
    assert_eq!(hear(&mut client, "250 hello\r\n").0, Ok(ClientStep::Ready));
    client.send(message(&["bob@b.test", "eve@b.test"]));
    assert_eq!(hear(&mut client, "").1, "MAIL FROM:<alice@crepes.test>\r\n");
    assert_eq!(hear(&mut client, "250 ok\r\n").1, "RCPT TO:<bob@b.test>\r\n");
    assert_eq!(hear(&mut client, "250 ok\r\n").1, "RCPT TO:<eve@b.test>\r\n");
    assert_eq!(hear(&mut client, "550 no eve\r\n").1, "DATA\r\n");
    assert_eq!(hear(&mut client, "354 go\r\n").1, "Subject: hi\r\n\r\n..dot\r\n.\r\n");
    assert_eq!(client.patience(), timeout::DATA_TERMINATION);
    assert_eq!(codes(hear(&mut client, "250 taken\r\n").0), [250, 550]);
    client.quit();
    assert_eq!(hear(&mut client, "").1, "QUIT\r\n");
    assert_eq!(hear(&mut client, "221 bye\r\n").0, Ok(ClientStep::Closed));
}

#[test]
fn groups_with_pipelining_and_several_messages() {
    let mut client = ready("250-PIPELINING\r\n250-SIZE 1000\r\n");
    client.send(message(&["bob@b.test"]));
    assert_eq!(
        hear(&mut client, "").1,
        "MAIL FROM:<alice@crepes.test> SIZE=21\r\nRCPT TO:<bob@b.test>\r\nDATA\r\n"
    );
    assert!(hear(&mut client, "250 a\r\n250 b\r\n354 c\r\n").1.ends_with("\r\n.\r\n"));
    assert_eq!(codes(hear(&mut client, "250 d\r\n").0), [250]);
    // No recipient is taken, yet 354 comes: an empty message, then RSET.
    assert_eq!(client.poll(), Ok(ClientStep::Ready));
    client.send(message(&["eve@b.test"]));
    let _ = hear(&mut client, "");
    assert_eq!(hear(&mut client, "250 a\r\n550 b\r\n354 c\r\n").1, ".\r\n");
    assert_eq!(codes(hear(&mut client, "554 d\r\n").0), [550]);
    client.send(message(&["eve@b.test"]));
    let _ = hear(&mut client, "");
    assert_eq!(codes(hear(&mut client, "250 a\r\n450 b\r\n554 c\r\n").0), [450]);
    client.send(message(&["bob@b.test"]));
    assert!(hear(&mut client, "").1.starts_with("RSET\r\nMAIL FROM:"));
    assert_eq!(codes(hear(&mut client, "250 r\r\n451 a\r\n503 b\r\n503 c\r\n").0), [451]);
}

#[test]
fn many_recipients_go_in_windows() {
    let mut client = ready("250-PIPELINING\r\n");
    let names: Vec<String> = (0..250).map(|number| format!("u{number}@b.test")).collect();
    client.send(message(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    assert_eq!(hear(&mut client, "").1.lines().count(), OUTSTANDING_MAX_TEST);
    assert_eq!(hear(&mut client, &"250 ok\r\n".repeat(50)).1.lines().count(), 50);
    let _ = hear(&mut client, &"250 ok\r\n".repeat(201));
    let _ = hear(&mut client, "354 go\r\n");
    assert_eq!(codes(hear(&mut client, "250 ok\r\n").0), vec![250; 250]);
}
const OUTSTANDING_MAX_TEST: usize = 100;

#[test]
fn what_the_server_cannot_take_is_not_sent() {
    let mut client = ready("250-SIZE 5\r\n");
    client.send(message(&["bob@b.test"]));
    assert_eq!(codes(client.poll()), [552]);
    client.send(Message { octets: bytes::Bytes::new(), ..message(&["δ@b.test"]) });
    assert_eq!(codes(client.poll()), [553]);
    let mut client = ready("");
    client.send(Message { octets: "δ".into(), ..message(&["bob@b.test"]) });
    assert_eq!(codes(client.poll()), [554]);
    assert_eq!(client.take_output(), b"");
}

#[test]
fn sessions_that_cannot_go_on() {
    let mut client = Client::new("a", StartTls::Required, false);
    assert!(matches!(hear(&mut client, "554 go away\r\n").0, Err(ClientError::Refused(_))));
    let mut client = Client::new("a", StartTls::Required, false);
    let _ = hear(&mut client, "220 hi\r\n");
    assert_eq!(hear(&mut client, "250 hello\r\n").0, Err(ClientError::NoTls));
    let mut client = Client::new("a", StartTls::IfOffered, false);
    let _ = hear(&mut client, "220 hi\r\n");
    assert_eq!(hear(&mut client, "250-hello\r\n250 STARTTLS\r\n").1, "STARTTLS\r\n");
    assert_eq!(hear(&mut client, "220 go\r\n250 forged\r\n").0, Err(ClientError::Injected));
    // 421 in the middle: what was not decided is tried again later.
    let mut client = ready("250-PIPELINING\r\n");
    client.send(message(&["bob@b.test", "eve@b.test"]));
    let _ = hear(&mut client, "");
    let (step, _) = hear(&mut client, "250 a\r\n550 b\r\n421 c\r\n");
    let Ok(ClientStep::Sent(outcome)) = step else { panic!("{step:?}") };
    assert!(outcome.closed);
    assert_eq!(outcome.recipients.iter().map(Reply::code).collect::<Vec<_>>(), [550, 421]);
    let mut client = ready("250-AUTH PLAIN\r\n");
    assert_eq!(client.authenticate("a", "b", "n"), Err(ClientError::NoMechanism), "never in the clear");
}

/// Our client and our server, octet by octet; STARTTLS without the TLS.
#[test]
fn with_our_own_server() {
    let mut server = Session::new(Settings {
        hostname: "mail.utopia.test".into(),
        role: Role::Submission,
        tls: false,
        starttls: true,
        limits: Limits::default(),
        tell: true,
    });
    let mut client = Client::new("laptop.test", StartTls::Required, false);
    let keys = crate::sasl::ScramKeys::derive("secret", b"salt", 4096).unwrap();
    let mut scram = None;
    let mut proven = false;
    let mut accepted = Vec::new();
    let mut done = false;
    for _ in 0..1_000 {
        for octet in client.take_output() {
            server.receive(&[octet]);
            loop {
                match server.poll() {
                    Step::Input | Step::Close | Step::AuthenticationCancelled => break,
                    Step::StartTls => {
                        client.receive(&server.take_output());
                        assert_eq!(client.poll(), Ok(ClientStep::StartTls));
                        server.tls_started();
                        client.tls_started();
                    }
                    Step::Authenticate { mechanism, initial } => {
                        assert_eq!(mechanism, Mechanism::ScramSha256);
                        let mut exchange =
                            crate::sasl::ScramServer::client_first(&initial.unwrap(), "server").unwrap();
                        server.answer(Answer::Challenge(exchange.server_first(keys.clone())));
                        scram = Some(exchange);
                    }
                    Step::Response(_) if proven => server.answer(Answer::Authenticated("alice".into())),
                    Step::Response(response) => {
                        let last = scram.as_ref().unwrap().client_final(&response).unwrap();
                        proven = true;
                        server.answer(Answer::Challenge(last));
                    }
                    Step::Message { envelope, message } => {
                        accepted.push((envelope, message));
                        server.answer(Answer::Accept("kept".into()));
                    }
                    Step::Sender { .. } | Step::Recipient { .. } => {
                        server.answer(Answer::Accept(String::new()))
                    }
                }
            }
        }
        client.receive(&server.take_output());
        match client.poll().unwrap() {
            ClientStep::Input => {}
            ClientStep::Ready if !proven => client.authenticate("alice", "secret", "clientnonce").unwrap(),
            ClientStep::Authenticated => client.send(message(&["bob@b.test"])),
            ClientStep::Sent(outcome) => {
                assert_eq!(outcome.recipients, [Reply::new(250, EnhancedCode(2, 0, 0), "kept")]);
                assert_eq!(client.poll(), Ok(ClientStep::Ready));
                client.quit();
            }
            ClientStep::Closed => {
                done = true;
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(done);
    assert_eq!(accepted[0].1, b"Subject: hi\r\n\r\n.dot\r\n");
    assert_eq!(accepted[0].0.user.as_deref(), Some("alice"));
    let told = format!("{:?}", server.take_exchanges());
    assert!(told.contains("AUTH SCRAM-SHA-256") && !told.contains("n,,n="), "{told}");
}

proptest::proptest! {
    #[test]
    fn hostile_servers_never_make_it_panic(octets in proptest::collection::vec(
        proptest::prop_oneof![proptest::prelude::Just("250 ok\r\n".to_owned()), proptest::prelude::Just("354 \r\n".to_owned()),
            proptest::prelude::Just("334 AAAA\r\n".to_owned()), "\\PC{0,10}", "[2-5][0-9]{2}[ -]\\PC{0,10}\r\n"], 0..30)) {
        let mut client = Client::new("a", StartTls::IfOffered, true);
        for chunk in octets {
            client.receive(chunk.as_bytes());
            match client.poll() {
                Err(_) => break,
                Ok(ClientStep::Ready) => client.send(message(&["a@b", "c@d"])),
                Ok(_) => {}
            }
        }
    }
}
