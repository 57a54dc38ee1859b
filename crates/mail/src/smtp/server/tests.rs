//! Whole sessions as scripts: the scenarios of RFC 5321 appendix D, attempts to
//! misuse the server, and every bound exceeded.

use super::*;
use proptest::prelude::*;

fn settings(role: Role) -> Settings {
    Settings {
        hostname: "foo.com".into(),
        role,
        tls: false,
        starttls: true,
        limits: Limits { errors_max: 50, ..Limits::default() },
        tell: false,
    }
}

/// A service with two users at foo.com, which keeps what it accepts.
struct Server {
    session: Session,
    accepted: Vec<(Envelope, Vec<u8>)>,
    said: String,
    closed: bool,
    handshake: bool,
}

impl Server {
    fn new(settings: Settings) -> Self {
        let mut server = Self {
            session: Session::new(settings),
            accepted: Vec::new(),
            said: String::new(),
            closed: false,
            handshake: false,
        };
        server.run();
        server
    }

    fn exchange() -> Self {
        let mut server = Self::new(settings(Role::Exchange));
        server.say("EHLO bar.com\r\n");
        server
    }

    fn run(&mut self) {
        loop {
            match self.session.poll() {
                Step::Input => break,
                Step::Close => {
                    self.closed = true;
                    break;
                }
                Step::Sender { .. } => self.session.answer(Answer::Accept(String::new())),
                Step::Recipient { to } => {
                    let known = ["<Jones@foo.com>", "<Brown@foo.com>", "<Postmaster>"];
                    self.session.answer(if known.contains(&to.to_string().as_str()) {
                        Answer::Accept(String::new())
                    } else {
                        Answer::Refuse(Reply::new(550, EnhancedCode(5, 1, 1), "no such user here"))
                    });
                }
                Step::Message { envelope, message } => {
                    self.accepted.push((envelope, message));
                    self.session.answer(Answer::Accept("queued".into()));
                }
                Step::StartTls => {
                    self.handshake = true;
                    break;
                }
                Step::Authenticate { initial: None, .. } => {
                    self.session.answer(Answer::Challenge(Vec::new()))
                }
                Step::Authenticate { initial: Some(response), .. } | Step::Response(response) => {
                    self.session.answer(if response == b"\0alice\0secret" {
                        Answer::Authenticated("alice".into())
                    } else {
                        Answer::Refuse(Reply::new(535, EnhancedCode(5, 7, 8), "wrong user or password"))
                    });
                }
                Step::AuthenticationCancelled => {}
            }
        }
        self.said.push_str(&String::from_utf8(self.session.take_output()).unwrap());
    }

    /// Sends octets, returns the replies.
    fn say(&mut self, text: &str) -> String {
        self.said.clear();
        self.session.receive(text.as_bytes());
        self.run();
        self.said.clone()
    }

    /// The codes of the replies to one or more commands.
    fn codes(&mut self, text: &str) -> Vec<u16> {
        let said = self.say(text);
        said.lines()
            .filter(|line| line.as_bytes().get(3) == Some(&b' '))
            .map(|line| line[..3].parse().unwrap())
            .collect()
    }
}

/// RFC 5321 appendix D.1.
#[test]
fn a_typical_transaction() {
    let mut server = Server::new(settings(Role::Exchange));
    assert_eq!(server.said, "220 foo.com ESMTP\r\n");
    let hello = server.say("EHLO bar.com\r\n");
    assert!(hello.starts_with("250-foo.com greets bar.com\r\n250-PIPELINING\r\n250-SIZE "), "{hello}");
    assert!(hello.contains("250-STARTTLS\r\n") && !hello.contains("AUTH"), "{hello}");
    for (line, reply) in [
        ("MAIL FROM:<Smith@bar.com>", "250 2.1.0"),
        ("RCPT TO:<Jones@foo.com>", "250 2.1.5"),
        ("RCPT TO:<Green@foo.com>", "550 5.1.1"),
        ("RCPT TO:<Brown@foo.com>", "250 2.1.5"),
        ("DATA", "354 "),
    ] {
        let said = server.say(&format!("{line}\r\n"));
        assert!(said.starts_with(reply), "{line}: {said}");
    }
    assert_eq!(server.say("Blah blah blah...\r\n...etc. etc. etc.\r\n"), "");
    assert_eq!(server.say(".\r\n"), "250 2.0.0 queued\r\n");
    assert_eq!(server.codes("QUIT\r\n"), [221]);
    assert!(server.closed);
    let (envelope, message) = &server.accepted[0];
    assert_eq!(message, b"Blah blah blah...\r\n..etc. etc. etc.\r\n");
    assert_eq!(envelope.from.to_string(), "<Smith@bar.com>");
    assert_eq!(envelope.recipients.len(), 2);
}

/// RFC 5321 appendix D.2.
#[test]
fn an_aborted_transaction() {
    let mut server = Server::exchange();
    let codes = server.codes("MAIL FROM:<Smith@bar.com>\r\nRCPT TO:<Jones@foo.com>\r\nRCPT TO:<Green@foo.com>\r\nRSET\r\nDATA\r\nQUIT\r\n");
    assert_eq!(codes, [250, 250, 550, 250, 503, 221]);
    assert!(server.accepted.is_empty());
}

/// RFC 5321 appendix D.4.
#[test]
fn verifying_and_sending() {
    let mut server = Server::exchange();
    assert_eq!(server.codes("VRFY Crispin\r\nEXPN list\r\nHELP\r\nNOOP\r\n"), [252, 502, 214, 250]);
    let codes = server.codes("MAIL FROM:<EAK@bar.com>\r\nRCPT TO:<Postmaster>\r\nDATA\r\nx\r\n.\r\n");
    assert_eq!(codes, [250, 250, 354, 250]);
}

#[test]
fn commands_out_of_order() {
    let mut server = Server::new(settings(Role::Exchange));
    assert_eq!(
        server.codes("MAIL FROM:<a@b>\r\nRCPT TO:<Jones@foo.com>\r\nDATA\r\nAUTH PLAIN\r\n"),
        [503, 503, 503, 503]
    );
    assert_eq!(server.codes("HELO bar.com\r\nMAIL FROM:<a@b>\r\nMAIL FROM:<a@b>\r\n"), [250, 250, 503]);
    // DATA without a valid recipient, and EHLO in the middle, which forgets.
    assert_eq!(server.codes("DATA\r\nEHLO bar.com\r\nRCPT TO:<Jones@foo.com>\r\n"), [554, 250, 503]);
    assert_eq!(server.codes("AUTH PLAIN\r\nBDAT 3\r\nabcNOOP\r\n"), [502, 503, 250]);
}

#[test]
fn messages_in_chunks() {
    let mut server = Server::exchange();
    let begin = "MAIL FROM:<a@b>\r\nRCPT TO:<Jones@foo.com>\r\n";
    let codes = server.codes(&format!("{begin}BDAT 5\r\na\r\n.\r"));
    assert_eq!(codes, [250, 250, 250]);
    assert_eq!(server.codes("DATA\r\nBDAT 1 LAST\r\n\n"), [503, 250]);
    assert_eq!(server.accepted[0].1, b"a\r\n.\r\n");
    assert_eq!(
        server.codes(&format!("{begin}BDAT 0 LAST\r\n{begin}BDAT 3 LAST\r\na\nb")),
        [250, 250, 250, 250, 250, 554]
    );
    let limit = server.session.settings.limits.message_octets_max;
    assert_eq!(server.codes(&format!("{begin}BDAT {}\r\n", limit + 1)), [250, 250, 552]);
    assert_eq!(server.say(&"x".repeat(1000)), "", "a refused chunk is thrown away");
}

#[test]
fn no_relay_without_login_and_no_login_in_the_clear() {
    let mut server = Server::new(settings(Role::Submission));
    let hello = server.say("EHLO bar.com\r\n");
    assert!(!hello.contains("AUTH"), "{hello}");
    assert_eq!(server.codes("MAIL FROM:<a@b>\r\nAUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"), [530, 538]);
    assert_eq!(server.codes("STARTTLS\r\n"), [220]);
    assert!(server.handshake);
    server.session.tls_started();
    assert_eq!(server.codes("MAIL FROM:<a@b>\r\n"), [503], "what was said before TLS is forgotten");
    assert!(server.say("EHLO bar.com\r\n").contains("250-AUTH SCRAM-SHA-256 PLAIN\r\n"));
    assert_eq!(server.codes("STARTTLS\r\nMAIL FROM:<a@b>\r\n"), [503, 530]);
    assert_eq!(server.codes("AUTH CRAM-MD5\r\nAUTH PLAIN !\r\nAUTH PLAIN\r\n"), [504, 501, 334]);
    assert_eq!(server.codes("*\r\nAUTH PLAIN\r\n"), [501, 334]);
    assert_eq!(server.codes("AGFsaWNlAHNlY3JldA==\r\n"), [235]);
    assert_eq!(server.codes("AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"), [503]);
    assert_eq!(
        server.codes("MAIL FROM:<a@b>\r\nRCPT TO:<Jones@foo.com>\r\nDATA\r\n\r\n.\r\n"),
        [250, 250, 354, 250]
    );
    assert_eq!(server.accepted[0].0.user.as_deref(), Some("alice"));
    assert!(server.accepted[0].0.tls);
}

#[test]
fn guessing_passwords_ends_the_session() {
    let mut server = Server::new(Settings { tls: true, ..settings(Role::Submission) });
    server.say("EHLO bar.com\r\n");
    assert_eq!(
        server.codes("AUTH PLAIN AGEAYg==\r\nAUTH PLAIN AGEAYg==\r\nAUTH PLAIN AGEAYg==\r\nNOOP\r\n"),
        [535, 535, 535, 421]
    );
    assert!(server.closed);
}

#[test]
fn commands_injected_before_tls_are_not_obeyed() {
    let mut server = Server::exchange();
    assert_eq!(server.codes("STARTTLS\r\nMAIL FROM:<a@b>\r\nRCPT TO:<Jones@foo.com>\r\n"), [421]);
    assert!(server.closed && !server.handshake);
}

#[test]
fn a_smuggled_message_ends_the_session() {
    let begin = "MAIL FROM:<a@b>\r\nRCPT TO:<Jones@foo.com>\r\nDATA\r\n";
    for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r\r\n.\r\r\n"] {
        let mut server = Server::exchange();
        let codes = server.codes(&format!("{begin}hello{end}{begin}x\r\n.\r\nQUIT\r\n"));
        assert_eq!(codes, [250, 250, 354, 521], "{end:?}");
        assert!(server.closed && server.accepted.is_empty(), "{end:?}");
    }
    let mut server = Server::exchange();
    assert_eq!(server.codes(&format!("{begin}a\nb\r\n.\r\nNOOP\r\n")), [250, 250, 354, 554, 250]);
    assert_eq!(server.codes("NOOP\nNOOP\r\nNO\rOP\r\n"), [500, 250, 500]);
}

#[test]
fn a_browser_is_turned_away() {
    let mut server = Server::new(settings(Role::Exchange));
    assert_eq!(server.codes("POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO a\r\n"), [421]);
    assert!(server.closed);
}

#[test]
fn internationalised_addresses_need_smtputf8() {
    let mut server = Server::exchange();
    assert_eq!(
        server.codes("MAIL FROM:<δ@b>\r\nMAIL FROM:<a@b>\r\nRCPT TO:<δ@foo.com>\r\nRSET\r\n"),
        [553, 250, 553, 250]
    );
    assert_eq!(server.codes("MAIL FROM:<δ@b> SMTPUTF8\r\nRCPT TO:<δ@foo.com>\r\n"), [250, 550]);
}

#[test]
fn every_bound_exceeded() {
    let limited = |limits: Limits| {
        let mut server = Server::new(Settings { limits, ..settings(Role::Exchange) });
        server.say("EHLO bar.com\r\n");
        server
    };
    let wide = || Limits { errors_max: 50, ..Limits::default() };
    let mail = "MAIL FROM:<a@b>\r\n";
    let rcpt = "RCPT TO:<Jones@foo.com>\r\n";

    let mut server = limited(wide());
    assert_eq!(server.codes(&format!("NOOP {}\r\nNOOP\r\n", "x".repeat(2_000))), [500, 250]);
    assert_eq!(server.codes(&format!("NOOP {}", "x".repeat(20_000))), [500]);
    assert_eq!(server.codes(&"x".repeat(20_000)), [] as [u16; 0]);
    assert!(server.session.input.is_empty(), "a long line is not kept");
    assert_eq!(server.codes("\r\nNOOP\r\n"), [250]);

    let mut server = limited(Limits { recipients_max: 2, ..wide() });
    assert_eq!(
        server.codes(&format!("{mail}{rcpt}{rcpt}{rcpt}DATA\r\n\r\n.\r\n")),
        [250, 250, 250, 452, 354, 250]
    );
    assert_eq!(server.accepted[0].0.recipients.len(), 2);

    let mut server = limited(Limits { message_octets_max: 100, ..wide() });
    assert_eq!(server.codes("MAIL FROM:<a@b> SIZE=101\r\n"), [552]);
    assert_eq!(server.codes("MAIL FROM:<a@b> SIZE=99999999999999999999\r\n"), [552]);
    let large = "x".repeat(101);
    assert_eq!(
        server.codes(&format!("{mail}{rcpt}DATA\r\n{large}\r\n.\r\nNOOP\r\n")),
        [250, 250, 354, 552, 250]
    );

    let mut server = limited(Limits { text_line_octets_max: 100, ..wide() });
    assert_eq!(
        server.codes(&format!("{mail}{rcpt}DATA\r\n{large}\r\n.\r\nNOOP\r\n")),
        [250, 250, 354, 554, 250]
    );
    assert_eq!(server.codes(&format!("{mail}{rcpt}BDAT 101 LAST\r\n{large}")), [250, 250, 554]);

    let mut server = limited(Limits { messages_max: 1, ..wide() });
    assert_eq!(server.codes(&format!("{mail}{rcpt}DATA\r\n.\r\n{mail}")), [250, 250, 354, 250, 421]);
    assert!(server.closed);

    let mut server = limited(Limits { errors_max: 2, ..wide() });
    assert_eq!(server.codes("X\r\nX\r\nX\r\nNOOP\r\n"), [500, 500, 500, 421]);
    assert!(server.closed);

    let mut server = limited(Limits { commands_idle_max: 3, ..wide() });
    assert_eq!(server.codes("NOOP\r\nNOOP\r\nNOOP\r\n"), [250, 250, 421]);
    assert!(server.closed);

    let mut server = Server::new(Settings { tls: true, ..settings(Role::Submission) });
    server.say("EHLO bar.com\r\n");
    assert_eq!(server.codes("AUTH PLAIN\r\n"), [334]);
    assert_eq!(server.codes(&"A".repeat(13_000)), [500]);
    assert_eq!(server.codes("\r\nNOOP\r\n"), [250]);
}

/// A piece of a session: mostly sensible lines, sometimes anything.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    static LINES: [&str; 15] = [
        "EHLO bar.com\r\n",
        "MAIL FROM:<a@b>\r\n",
        "RCPT TO:<Jones@foo.com>\r\n",
        "DATA\r\n",
        "hello\r\n.\r\n",
        ".\r\n",
        "BDAT 4\r\n",
        "BDAT 2 LAST\r\n",
        "RSET\r\n",
        "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n",
        "AUTH PLAIN\r\n",
        "*\r\n",
        "NOOP\n",
        "\r\n.\n",
        "QUIT\r\n",
    ];
    prop_oneof![
        8 => proptest::sample::select(&LINES[..]).prop_map(|line| line.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
        1 => Just(vec![b'x'; 1_500]),
    ]
}

proptest! {
    #[test]
    fn where_the_chunks_end_never_matters(
        pieces in proptest::collection::vec(piece(), 0..20),
        size in 1usize..50,
        submission in any::<bool>(),
    ) {
        let octets = pieces.concat();
        let role = if submission { Role::Submission } else { Role::Exchange };
        let start = || Server::new(Settings { tls: true, ..settings(role) });
        let mut whole = start();
        whole.session.receive(&octets);
        whole.run();
        let mut parts = start();
        for chunk in octets.chunks(size) {
            parts.session.receive(chunk);
            parts.run();
        }
        prop_assert_eq!(whole.said, parts.said);
        prop_assert_eq!(whole.accepted, parts.accepted);
        prop_assert_eq!(whole.closed, parts.closed);
    }
}
